"""Weight files on disk: which there are, where they lie, whether they are sound.

The packaged ``manifest.json`` lists every released file with its role, SHA-256 and
size. An entry with ``file`` is bundled, except that only a checkout has those of the
role ``history``; any other lies in the user's cache once it was downloaded, from its
``url`` or a mirror. Nothing here needs JAX, opens a connection or executes what it
reads.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from safetensors import SafetensorError
from safetensors.numpy import load

from ase_l2h._internal.cache import cache_folder
from ase_l2h.errors import InputError, RunError

__all__ = [
    "DEFAULT_WEIGHTS",
    "FORMAT",
    "HISTORY",
    "MAX_BYTES",
    "PORTFOLIO",
    "ROLES",
    "Header",
    "NotDownloaded",
    "WeightFile",
    "check_metadata",
    "find_weight_file",
    "manifest",
    "not_intact",
    "pretrained_folder",
    "released",
    "unpack",
]

FORMAT = "ase_l2h-weights-1"
DEFAULT_WEIGHTS = "default"
# The largest rule here has some 10,000 numbers; a file beyond this is an attack.
MAX_BYTES = 5_000_000
# Joins names to a portfolio; the default may be one.
PORTFOLIO = "+"
# Roles of released weights: the manifest gives each of them one.
HISTORY = "history"
ROLES = {
    "default": "loaded where no weights are named",
    "paper": "loaded by `ase-l2h reproduce`",
    HISTORY: "used in published records; in checkouts, not in wheels",
}


class NotDownloaded(InputError):
    """A released file that is not bundled and not in the cache."""


class WeightFile(NamedTuple):
    """A weight file, whether it exists or not.

    ``entry`` is its entry of the manifest; None for a file of the user's own.
    """

    name: str
    path: Path
    entry: dict[str, Any] | None

    @property
    def bundled(self) -> bool:
        """Whether the file is part of the package, or of its checkout."""
        return self.entry is not None and self.path.name == self.entry.get("file")

    @property
    def released_as(self) -> str:
        """Name of the file where it is published."""
        address = PurePosixPath(urlsplit((self.entry or {}).get("url", "")).path)
        named = address.suffix == ".safetensors"
        return address.name if named else f"{self.name}.safetensors"

    def read(self) -> bytes:
        """Bytes of the file, those that were released.

        Raises
        ------
        NotDownloaded
            When the file has to be downloaded first.
        InputError
            For a file that cannot be read, is too large, or, of a released one, has
            another size or hash than the manifest says.
        """
        try:
            if self.path.is_fifo():
                raise InputError(
                    f"the weights {self.path} are not a regular file; save them first"
                )
            with self.path.open("rb") as stream:
                # Asked for its size, a device or a growing file does not tell.
                content = stream.read(MAX_BYTES + 1)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            if missing and self.entry is not None and not self.bundled:
                raise NotDownloaded(
                    f"the weights '{self.name}' are not on this machine; {self._remedy}"
                ) from error
            raise InputError(
                f"cannot read the weights {self.path}: {error.strerror}; {self._remedy}"
            ) from error
        if len(content) > MAX_BYTES:
            raise InputError(
                f"{self.path} is larger than any weight file ({MAX_BYTES} bytes); "
                f"{self._remedy}"
            )
        fault = self.fault(content)
        if fault is not None:
            raise InputError(
                f"{self.path} is not the file that was released ({fault}); "
                f"{self._remedy}"
            )
        return content

    def fault(self, content: bytes) -> str | None:
        """How ``content`` differs from what was released; None if it does not."""
        if self.entry is None:
            return None
        if len(content) != self.entry["bytes"]:
            return f"it has {len(content)} bytes, not {self.entry['bytes']}"
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != self.entry["sha256"]:
            return (
                f"its SHA-256 begins with {sha256[:12]}, "
                f"not {self.entry['sha256'][:12]}"
            )
        return None

    def status(self) -> str:
        """``bundled`` or ``cached``, and sound, or what is the matter.

        Else one of ``not downloaded``, ``damaged`` and ``unreadable``, and ``own file``
        for what was never released.

        Raises
        ------
        InputError
            For a bundled file that is not what was released, since the installation is
            broken then, and for one's own file that cannot be read.
        """
        try:
            self.read()
        except NotDownloaded:
            return "not downloaded"
        except ValueError as error:
            if self.entry is None or self.bundled:
                raise
            unreadable = isinstance(error.__cause__, OSError)
            return "unreadable" if unreadable else "damaged"
        if self.entry is None:
            return "own file"
        return "bundled" if self.bundled else "cached"

    @property
    def _remedy(self) -> str:
        if self.entry is None:
            return "check the path"
        if self.bundled:
            return "reinstall ase_l2h"
        command = f"run `ase-l2h weights download {self.name}"
        if "url" in self.entry:
            return f"{command}`"
        return (
            f"{command} --from FOLDER-or-URL`, for example with the folder "
            "`pretrained` of a checkout"
        )


def pretrained_folder() -> Path:
    """Folder of the bundled weights, in a wheel or an editable install."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "pretrained", package.parent / "pretrained"):
        if (folder / "manifest.json").is_file():
            return folder
    raise RunError(
        "the bundled weights are missing from this installation; reinstall ase_l2h"
    )


def manifest() -> dict[str, Any]:
    """The manifest of the released weights.

    ``{"default": name, "auto": {kind: name}, "weights": {name: entry}}``: what
    ``learned`` loads, what ``auto`` loads for every kind of problem, and all there are.
    """
    return _read_manifest(pretrained_folder() / "manifest.json")


@lru_cache(maxsize=4)
def _read_manifest(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def released(name: str) -> WeightFile:
    """The released weights of that name, or the first of the default ones.

    Raises
    ------
    InputError
        For an unknown name.
    """
    known = manifest()
    name = known["default"].split(PORTFOLIO)[0] if name == DEFAULT_WEIGHTS else name
    entry = known["weights"].get(name)
    if entry is None:
        every = known["weights"].items()
        names = sorted(n for n, other in every if other.get("role") != HISTORY)
        raise InputError(
            f"no weights named '{name:.80}'; choose one of {', '.join(names)}, or give "
            "the path of a .safetensors file"
        )
    if "file" in entry:
        file = WeightFile(name, pretrained_folder() / entry["file"], entry)
        if entry["role"] != HISTORY or os.path.isfile(file.path):
            return file
    # With its hash in the name: several versions of the package share one cache.
    path = cache_folder() / f"{name}-{entry['sha256'][:12]}.safetensors"
    return WeightFile(name, path, entry)


def find_weight_file(name: str | Path) -> WeightFile:
    """The file that a name of the manifest, or a path, stands for.

    Raises
    ------
    InputError
        For what is neither.
    """
    path = Path(name)
    own = WeightFile(path.stem, path, None)
    if path.suffix == ".safetensors":
        return own
    known = {DEFAULT_WEIGHTS, *manifest()["weights"]}
    # A file that happens to be called like a name does not hide it.
    # Unlike a path's own question, this one has an answer for names no file can have.
    file = str(name) not in known and os.path.isfile(path)
    return own if file else released(str(name))


class Header(NamedTuple):
    """What a weight file says of itself."""

    architecture: str
    features: dict[str, Any]
    metadata: dict[str, Any]


def unpack(content: bytes, path: Path) -> tuple[dict[str, Any], Header]:
    """Arrays and header of a weight file's bytes; nothing in them is executed.

    Raises
    ------
    InputError
        For anything but an intact weight file.
    """
    try:
        arrays = load(content)
        length = int.from_bytes(content[:8], "little")
        text = json.loads(content[8 : 8 + length])["__metadata__"]
        if text["format"] != FORMAT:
            raise InputError(f"its format is '{text['format']}', not '{FORMAT}'")
        features = json.loads(text["features"])
        if not isinstance(features, dict):
            raise InputError("its features are not a table")
        metadata = json.loads(text["metadata"])
        check_metadata(metadata)
        return arrays, Header(text["architecture"], features, metadata)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise not_intact(path, error) from error


def not_intact(path: Path, error: Exception) -> InputError:
    """The sentence about a file that is no weight file, or no longer."""
    return InputError(
        f"{path} is not an intact weight file ({error}); download or train it anew"
    )


def check_metadata(metadata: Any) -> None:
    """Every weight file says which horizon and tasks it was trained for.

    Raises
    ------
    InputError
        Where it does not.
    """
    if not isinstance(metadata, dict):
        raise InputError("its metadata is not a table")
    horizon, tasks = metadata.get("horizon"), metadata.get("tasks")
    if type(horizon) is not int or horizon < 1:
        raise InputError(f"its horizon is {horizon!r}, not a number of steps")
    if not isinstance(tasks, list) or not all(isinstance(t, str) for t in tasks):
        raise InputError(f"its tasks are {tasks!r}, not a list of names")
