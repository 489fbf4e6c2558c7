"""Weight files: from a name or a path to a rule, verified before anything is used.

A weight file is safetensors: arrays and JSON text, no code. The bundled files are
listed in ``pretrained/manifest.json`` with their SHA-256 and size.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ase_l2h._files import write_atomically
from ase_l2h._pytree import replace
from ase_l2h.optimizers.learned import RULES

__all__ = [
    "DEFAULT_WEIGHTS",
    "Weights",
    "load_weights",
    "manifest",
    "pretrained_folder",
    "save_weights",
]

FORMAT = "ase_l2h-weights-1"
DEFAULT_WEIGHTS = "default"
# The largest rule here has some 10,000 numbers; a header beyond this is an attack.
MAX_BYTES = 5_000_000


class Weights(NamedTuple):
    """A rule with what is known of its origin.

    ``name`` is the manifest's or the file's; ``sha256`` the hash of the file;
    ``metadata`` holds at least ``horizon``, ``tasks`` and ``architecture``.
    """

    name: str
    rule: Any
    sha256: str
    metadata: dict[str, Any]

    @property
    def horizon(self) -> int:
        """Inner steps the weights were trained for, their default."""
        return int(self.metadata["horizon"])

    def for_horizon(self, horizon: int) -> Weights:
        """The same weights with the rule's clock compressed or stretched.

        Raises
        ------
        ValueError
            For less than one step.
        """
        if horizon < 1:
            raise ValueError(f"the horizon is {horizon} steps; give at least 1")
        scale = jnp.float32(self.rule.reference_horizon / horizon)
        return self._replace(rule=replace(self.rule, time_scale=scale))


def save_weights(path: Path, rule: Any, metadata: dict[str, Any]) -> None:
    """Write a learned rule, atomically.

    ``metadata`` must hold ``horizon`` and ``tasks``; architecture and features are
    added here.

    Raises
    ------
    TypeError
        When the rule has nothing learned.
    ValueError
        When the file could not be loaded again: without horizon or tasks, or with
        numbers that are not finite.
    """
    names = {cls: name for name, cls in RULES.items()}
    if type(rule) not in names:
        raise TypeError(
            f"a {type(rule).__name__} has no weights; save one of {', '.join(RULES)}"
        )
    _check_metadata(metadata)
    text = {
        "format": FORMAT,
        "architecture": names[type(rule)],
        "features": json.dumps(dataclasses.asdict(rule.features)),
        "metadata": json.dumps(metadata),
    }
    arrays = {k: np.asarray(v, np.float32, order="C") for k, v in rule.theta.items()}
    if not all(np.all(np.isfinite(array)) for array in arrays.values()):
        raise ValueError("the weights hold numbers that are not finite; train anew")
    write_atomically(Path(path), save(arrays, text))


def pretrained_folder() -> Path:
    """Folder of the bundled weights, in a wheel or an editable install."""
    package = Path(__file__).resolve().parent
    for folder in (package / "pretrained", package.parent / "pretrained"):
        if (folder / "manifest.json").is_file():
            return folder
    raise FileNotFoundError(
        "the bundled weights are missing from this installation; reinstall ase_l2h"
    )


@lru_cache(maxsize=1)
def manifest() -> dict[str, Any]:
    """The manifest of the bundled weights: ``{"default": name, "weights": {...}}``."""
    text = (pretrained_folder() / "manifest.json").read_text(encoding="utf-8")
    return json.loads(text)


def load_weights(name: str | Path | None = None) -> Weights:
    """Load a weight file by name or path and check it before use.

    Parameters
    ----------
    name
        A name of the manifest, ``None`` or ``"default"`` for the default weights, or
        the path of a ``.safetensors`` file.

    Raises
    ------
    ValueError
        For an unknown name, and for a file that cannot be read, is truncated, tampered
        with, pickled or too large, or whose arrays do not have the names, shapes and
        type of its architecture.
    """
    text = DEFAULT_WEIGHTS if name is None else str(name)
    path = Path(text)
    expected: dict[str, Any] | None = None
    if path.suffix != ".safetensors":
        known = manifest()
        text = known["default"] if text == DEFAULT_WEIGHTS else text
        expected = known["weights"].get(text)
        # A file that happens to be called like a name does not hide it.
        if expected is not None:
            path = pretrained_folder() / expected["file"]
        elif not path.is_file():
            raise ValueError(
                f"no weights named '{text}'; choose one of "
                f"{', '.join(sorted(known['weights']))}, or give the path of a "
                ".safetensors file"
            )
    content = _read(path)
    sha256 = hashlib.sha256(content).hexdigest()
    if expected is not None and sha256 != expected["sha256"]:
        raise ValueError(
            f"{path} is not the file that was released (its SHA-256 begins with "
            f"{sha256[:12]}, not {expected['sha256'][:12]}); reinstall ase_l2h"
        )
    rule, metadata = _parse(content, path)
    return Weights(path.stem if expected is None else text, rule, sha256, metadata)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(
                f"{path} is larger than any weight file ({MAX_BYTES} bytes); check the "
                "path"
            )
        return path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"cannot read the weights {path}: {error.strerror}; check the path"
        ) from error


def _check_metadata(metadata: Any) -> None:
    """Every weight file says which horizon and tasks it was trained for."""
    if not isinstance(metadata, dict):
        raise ValueError("its metadata is no table")
    horizon, tasks = metadata.get("horizon"), metadata.get("tasks")
    if type(horizon) is not int or horizon < 1:
        raise ValueError(f"its horizon is {horizon!r}, not a number of steps")
    if not isinstance(tasks, list) or not all(isinstance(t, str) for t in tasks):
        raise ValueError(f"its tasks are {tasks!r}, not a list of names")


def _parse(content: bytes, path: Path) -> tuple[Any, dict[str, Any]]:
    """Rule and metadata of a weight file's bytes; nothing in them is executed."""
    try:
        arrays = load(content)
        header_length = int.from_bytes(content[:8], "little")
        text = json.loads(content[8 : 8 + header_length])["__metadata__"]
        if text["format"] != FORMAT:
            raise ValueError(f"its format is '{text['format']}', not '{FORMAT}'")
        architecture = RULES[text["architecture"]]
        features = architecture.features_type(**json.loads(text["features"]))
        metadata = json.loads(text["metadata"])
        _check_metadata(metadata)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not an intact weight file ({error}); download or train it anew"
        ) from error
    rule = jax.eval_shape(lambda: architecture.create(jax.random.key(0), features))
    expected = {name: (leaf.shape, np.float32) for name, leaf in rule.theta.items()}
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    if expected != found:
        wrong = sorted(
            name for name in expected | found if expected.get(name) != found.get(name)
        )
        raise ValueError(
            f"{path} has arrays of the wrong name, shape or type ({', '.join(wrong)}); "
            "download or train it anew"
        )
    if not all(np.all(np.isfinite(array)) for array in arrays.values()):
        raise ValueError(f"{path} holds numbers that are not finite; train it anew")
    theta = {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
    scale = jnp.float32(architecture.reference_horizon / metadata["horizon"])
    metadata["architecture"] = text["architecture"]
    return architecture(theta=theta, time_scale=scale, features=features), metadata
