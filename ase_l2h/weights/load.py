"""Weight files: from a name or a path to a rule, verified before anything is used.

A weight file is safetensors: arrays and JSON text, no code. The released files are
listed in ``pretrained/manifest.json`` with their SHA-256 and size; those that are not
bundled are downloaded by ``ase-l2h weights download``, never by loading.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save

from ase_l2h._internal.files import write_atomically
from ase_l2h._internal.jax_start import start_jax
from ase_l2h._internal.pytree import replace
from ase_l2h.errors import InputError, InputTypeError
from ase_l2h.rules.learned import RULES
from ase_l2h.weights.files import (
    DEFAULT_WEIGHTS,
    FORMAT,
    MAX_BYTES,
    PORTFOLIO,
    check_metadata,
    find_weight_file,
    manifest,
    not_intact,
    pretrained_folder,
    unpack,
)

__all__ = [
    "DEFAULT_WEIGHTS",
    "MAX_BYTES",
    "Weights",
    "load_weights",
    "manifest",
    "pretrained_folder",
    "save_weights",
]


class Weights(NamedTuple):
    """A rule with what is known of its origin.

    ``name`` is the manifest's or the file's; ``sha256`` the hash of the file;
    ``metadata`` holds at least ``horizon``, ``tasks`` and ``architecture``.

    Of a portfolio, ``rule`` is the tuple of its rules, name and hash are joined by
    ``+``, horizon and architecture are those of the first, and the tasks those of all.
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
        InputError
            For less than one step.
        """
        if horizon < 1:
            raise InputError(f"the horizon is {horizon} steps; give at least 1")

        def compressed(rule: Any) -> Any:
            scale = jnp.float32(rule.reference_horizon / horizon)
            return replace(rule, time_scale=scale)

        if isinstance(self.rule, tuple):
            return self._replace(rule=tuple(map(compressed, self.rule)))
        return self._replace(rule=compressed(self.rule))


def save_weights(path: Path, rule: Any, metadata: dict[str, Any]) -> None:
    """Write a learned rule, atomically; the same rule and metadata give the same bytes.

    ``metadata`` must hold ``horizon`` and ``tasks``; architecture and features are
    added here.

    Raises
    ------
    InputTypeError
        When the rule has nothing learned.
    InputError
        When the file could not be loaded again: without horizon or tasks, or with
        numbers that are not finite.
    """
    names = {cls: name for name, cls in RULES.items()}
    if type(rule) not in names:
        raise InputTypeError(
            f"a {type(rule).__name__} has no weights; save one of {', '.join(RULES)}"
        )
    check_metadata(metadata)
    text = {
        "format": FORMAT,
        "architecture": names[type(rule)],
        "features": json.dumps(dataclasses.asdict(rule.features)),
        "metadata": json.dumps(metadata),
    }
    arrays = {k: np.asarray(v, np.float32, order="C") for k, v in rule.theta.items()}
    if not all(np.all(np.isfinite(array)) for array in arrays.values()):
        raise InputError("the weights hold numbers that are not finite; train anew")
    write_atomically(Path(path), _in_order(save(arrays, text)))


def _in_order(content: bytes) -> bytes:
    """The same file, its text sorted by name: safetensors writes it in any order."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    # The arrays begin at a multiple of eight bytes.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def load_weights(name: str | Path | None = None) -> Weights:
    """Load a weight file by name or path and check it before use.

    Parameters
    ----------
    name
        A name of the manifest, ``None`` or ``"default"`` for the default weights, or
        the path of a ``.safetensors`` file. Several joined by ``+`` are a portfolio:
        start i of a search takes number i modulo their number.

    Raises
    ------
    InputError
        For an unknown name, for one that has to be downloaded first, and for a file
        that cannot be read, is truncated, tampered with, pickled or too large, or
        whose arrays do not have the names, shapes and type of its architecture, and
        when JAX does not start.
    RunError
        In a process forked from one that has used JAX.
    """
    chosen = DEFAULT_WEIGHTS if name is None else name
    if not isinstance(chosen, str | Path):
        raise InputTypeError(
            f"weights are a {type(chosen).__name__}; give a name, a path, or several "
            f"joined by {PORTFOLIO}"
        )
    # The path of a file may hold the sign, too.
    own = str(chosen).endswith(".safetensors") and os.path.isfile(chosen)
    parts = [chosen] if own else _members(str(chosen))
    start_jax()
    if len(parts) > 1:
        return _portfolio([load_weights(part) for part in parts])
    file = find_weight_file(parts[0])
    content = file.read()
    rule, metadata = _parse(content, file.path)
    sha256 = hashlib.sha256(content).hexdigest()
    # A caller's changes must not reach the next one.
    return Weights(file.name, rule, sha256, copy.deepcopy(metadata))


def _members(name: str) -> list[str]:
    """The names that one is made of; the default may be several itself."""
    parts = []
    for part in name.split(PORTFOLIO):
        whole = manifest()["default"] if part == DEFAULT_WEIGHTS else part
        parts += whole.split(PORTFOLIO)
    return parts


def _portfolio(members: list[Weights]) -> Weights:
    first = members[0]
    tasks = sorted({task for member in members for task in member.metadata["tasks"]})
    rules = tuple(member.for_horizon(first.horizon).rule for member in members)
    return Weights(
        PORTFOLIO.join(member.name for member in members),
        rules,
        PORTFOLIO.join(member.sha256 for member in members),
        first.metadata | {"tasks": tasks},
    )


@lru_cache(maxsize=64)
def _expected(architecture: Any, features: Any) -> dict[str, tuple[Any, type]]:
    """Shape and type of the arrays of a rule; tracing it takes longer than reading."""
    rule = jax.eval_shape(lambda: architecture.create(jax.random.key(0), features))
    return {name: (leaf.shape, np.float32) for name, leaf in rule.theta.items()}


# A campaign of small searches loads the same few files again and again.
@lru_cache(maxsize=16)
def _parse(content: bytes, path: Path) -> tuple[Any, dict[str, Any]]:
    """Rule and metadata of a weight file's bytes; nothing in them is executed."""
    arrays, header = unpack(content, path)
    try:
        architecture = RULES[header.architecture]
        features = architecture.features_type(**header.features)
        expected = _expected(architecture, features)
    except (KeyError, TypeError, ValueError) as error:
        raise not_intact(path, error) from error
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    if expected != found:
        wrong = sorted(
            name for name in expected | found if expected.get(name) != found.get(name)
        )
        raise InputError(
            f"{path} has arrays of the wrong name, shape or type ({', '.join(wrong)}); "
            "download or train it anew"
        )
    if not all(np.all(np.isfinite(array)) for array in arrays.values()):
        raise InputError(f"{path} holds numbers that are not finite; train it anew")
    theta = {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
    scale = jnp.float32(architecture.reference_horizon / header.metadata["horizon"])
    metadata = header.metadata | {"architecture": header.architecture}
    return architecture(theta=theta, time_scale=scale, features=features), metadata
