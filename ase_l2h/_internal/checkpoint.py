"""Checkpoints: a folder that keeps a run, so that it goes on after whatever ends it.

``run.json`` says which run it is, ``state.safetensors`` is its state, arrays with JSON
metadata, and ``progress.jsonl`` has a line for every step somebody may want to read.
The first two are replaced whole or not at all; lines without a state are dropped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ase_l2h._internal.differences import described, differences, text_of
from ase_l2h._internal.files import (
    check_name,
    not_written,
    read_regular,
    write_atomically,
)
from ase_l2h.errors import InputError, RunError

__all__ = [
    "FILES",
    "PROGRESS",
    "RUN",
    "STATE",
    "Checkpoint",
    "CheckpointError",
    "arrays_of_tree",
    "fingerprint",
    "load_jointly",
    "nothing_kept",
    "tree_of_arrays",
]

RUN, STATE, PROGRESS = "run.json", "state.safetensors", "progress.jsonl"
FILES = (RUN, STATE, PROGRESS)
# What reading bytes that are something else may end in.
DAMAGE = (SafetensorError, KeyError, TypeError, ValueError, RecursionError)
FORMAT = {"format": "ase_l2h-run", "version": 1}

Loaded = tuple[dict[str, np.ndarray], dict[str, Any]]


class CheckpointError(RunError):
    """A state could not be kept; what was kept before is not lost."""


class Checkpoint:
    """The folder of a run.

    Nothing is written before :meth:`claim`, :meth:`append` or :meth:`save`: a run that
    is refused after :meth:`load` leaves no folder behind.

    Parameters
    ----------
    folder
        Where; it need not exist. A name that none can have is an InputError.
    identity
        What is run and everything that its result depends on, JSON-able. What may
        change from one part of the run to the next belongs into the metadata.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]):
        check_name("the folder", folder)
        self.folder = Path(folder)
        self.identity: dict[str, Any] = json.loads(text_of({**FORMAT, **identity}))
        # How many lines of progress are kept, and whether the file holds no others.
        self._count = 0
        self._tidy = False
        self._claimed = False

    def load(self) -> Loaded | None:
        """Arrays and metadata of the last state; None where nothing is kept yet.

        A folder in which nothing has been kept is anybody's.

        Raises
        ------
        InputError
            When the folder is none, holds something else or another run, or is damaged;
            the sentence says what differs.
        """
        content = self.read()
        return None if content is None else self.unpack(content)

    def read(self) -> bytes | None:
        """The last state as bytes for :meth:`unpack`; see :meth:`load`."""
        try:
            return self._read()
        except OSError as error:
            raise InputError(
                f"the folder {self.folder} cannot be read ({error.strerror}); choose "
                "another one"
            ) from error

    def _read(self) -> bytes | None:
        folder = self.folder
        if not folder.exists():
            return None
        if not folder.is_dir():
            raise InputError(f"{folder} is a file; give the name of a folder")
        names = {p.name for p in folder.iterdir() if not p.name.endswith(".partial")}
        if RUN not in names:
            if names:
                raise InputError(
                    f"{folder} is not empty and holds no run to continue; choose "
                    "another folder"
                )
            return None
        if names <= {RUN, PROGRESS}:
            return None
        self._compare(read_regular(folder / RUN))
        if STATE not in names:
            raise InputError(
                f"{folder} holds a run, but its {STATE} is missing; choose another "
                "folder"
            )
        return read_regular(folder / STATE)

    def _compare(self, content: bytes) -> None:
        try:
            known = json.loads(content)
            if not isinstance(known, dict):
                raise ValueError("it is not a table")
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{self.folder / RUN} is damaged ({error}); choose another folder"
            ) from error
        others = [name for name in FORMAT if known.get(name) != FORMAT[name]]
        if others:
            raise InputError(
                f"{self.folder} was written by another version of this program; choose "
                "another folder"
            )
        wrong = differences(known, self.identity)
        if wrong:
            raise InputError(
                f"{self.folder} was made with {described(wrong)}; use the same again, "
                "or choose another folder"
            )

    def unpack(self, content: bytes) -> Loaded:
        """Arrays and metadata of what :meth:`read` gave, here or in another process.

        Raises
        ------
        InputError
            When it is damaged.
        """
        try:
            arrays = load(content)
            # The header is JSON after its length in eight bytes.
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            state = json.loads(header["__metadata__"]["state"])
            self._count = int(state["lines"])
            return arrays, dict(state["metadata"])
        except DAMAGE as error:
            raise InputError(
                f"{self.folder / STATE} is damaged ({error}); choose another folder"
            ) from error

    def claim(self) -> None:
        """Make the folder, if need be, and write down whose it is.

        To be called when nothing can be refused any more, so that a folder that cannot
        be written is found out before the work.

        Raises
        ------
        InputError
            When it cannot be written.
        """
        try:
            self._claim()
        except OSError as error:
            raise InputError(
                f"cannot write in the folder {self.folder} ({error.strerror}); free "
                "some space or choose another one"
            ) from error

    def _claim(self) -> None:
        made = [p for p in (self.folder, *self.folder.parents) if not p.exists()]
        text = json.dumps(self.identity, indent=2) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / RUN, text.encode())
        except OSError:
            for path in made:
                with contextlib.suppress(OSError):
                    path.rmdir()
            raise
        self._claimed = True

    def save(
        self,
        arrays: Mapping[str, np.ndarray],
        metadata: Mapping[str, Any],
        line: Mapping[str, Any] | None = None,
        *,
        lines: int | None = None,
    ) -> None:
        """Replace the state, and add a line of progress.

        Parameters
        ----------
        arrays, metadata
            The state; the metadata JSON-able.
        line
            Added to the progress.
        lines
            How many lines from before belong to this state, where the work may have
            been interrupted between a line and its state; all when None.

        Raises
        ------
        CheckpointError
            When that cannot be written; the state before is still there.
        """
        before = self._count
        if lines is not None:
            self._count, self._tidy = lines, False
        # Not ascontiguousarray, which makes vectors of scalars.
        whole = {name: np.asarray(value, order="C") for name, value in arrays.items()}
        try:
            with self.writing():
                # The line first: a run that is killed in between writes it again.
                self._append([] if line is None else [line], synchronise=True)
                text = text_of({"lines": self._count, "metadata": metadata})
                write_atomically(self.folder / STATE, save(whole, {"state": text}))
        except BaseException:
            self._count, self._tidy = before, False
            raise

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line of progress that belongs to the next state.

        Raises
        ------
        CheckpointError
            When that cannot be written.
        """
        try:
            with self.writing():
                self._append([line], synchronise=False)
        except BaseException:
            self._tidy = False
            raise

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, a file of the run that cannot be written is a CheckpointError."""
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                not_written(self.folder, error, "from the last state kept there")
            ) from error

    def lines(self) -> list[dict[str, Any]]:
        """The lines of progress that belong to what is kept, in order.

        Raises
        ------
        InputError
            When there are fewer than there were.
        """
        path = self.folder / PROGRESS
        try:
            return [json.loads(line) for line in self._kept_lines(strict=True)]
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} is damaged ({error}); choose another folder"
            ) from error

    def _kept_lines(self, strict: bool = False) -> list[bytes]:
        path = self.folder / PROGRESS
        found = read_regular(path).splitlines(keepends=True) if path.exists() else []
        # A killed run may have left half a line.
        kept = [line for line in found[: self._count] if line.endswith(b"\n")]
        if strict and len(kept) < self._count:
            raise ValueError(f"it has {len(kept)} of {self._count} lines")
        return kept

    def _append(self, lines: list[Mapping[str, Any]], synchronise: bool) -> None:
        path = self.folder / PROGRESS
        if not self._claimed:
            self._claim()
        if not self._tidy:
            kept = self._kept_lines()
            if path.exists() and b"".join(kept) != read_regular(path):
                write_atomically(path, b"".join(kept))
            self._count, self._tidy = len(kept), True
        if not lines and not (synchronise and path.exists()):
            return
        with path.open("a", encoding="utf-8") as stream:
            stream.write("".join(text_of(line) + "\n" for line in lines))
            stream.flush()
            if synchronise:
                os.fsync(stream.fileno())
        self._count += len(lines)


def nothing_kept(folder: Path) -> bool:
    """Whether a folder is missing or holds no state yet, and no files of others."""
    try:
        names = {p.name for p in folder.iterdir() if not p.name.endswith(".partial")}
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return not names or (RUN in names and names <= {RUN, PROGRESS})


def load_jointly(checkpoint: Checkpoint) -> Loaded | None:
    """What the first process loads, for every process of the run, which all call this.

    Raises
    ------
    InputError
        See :meth:`Checkpoint.load`; in every process.
    """
    # Here, so that a folder is read and written without JAX.
    from ase_l2h._internal.processes import is_first_process, joint

    _, messages = joint(
        lambda: checkpoint.read() if is_first_process() else None,
        # An empty file is no missing one.
        lambda content: b"" if content is None else b"+" + content,
    )
    return checkpoint.unpack(messages[0][1:]) if messages[0] else None


def fingerprint(tree: Any) -> str:
    """What tells the numbers of two pytrees apart, the same in every process."""
    digest = hashlib.sha256()
    for place, leaf in arrays_of_tree(tree).items():
        digest.update(f"{place} {leaf.dtype} {leaf.shape} ".encode() + leaf.tobytes())
    return digest.hexdigest()[:16]


def arrays_of_tree(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a pytree, named after their place: ``outer/0/mu/bias``."""
    return {place: np.asarray(leaf) for place, leaf in _leaves(tree).items()}


def tree_of_arrays(template: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The pytree that :func:`arrays_of_tree` took apart, of the form of ``template``.

    Raises
    ------
    InputError
        When names, shapes or types of the arrays are not those of the template.
    """
    import jax

    wanted = arrays_of_tree(template)
    wrong = sorted({*wanted} ^ {*arrays})
    wrong += [
        f"{name} ({arrays[name].dtype} {arrays[name].shape} instead of "
        f"{leaf.dtype} {leaf.shape})"
        for name, leaf in wanted.items()
        if name in arrays
        and (arrays[name].shape, arrays[name].dtype) != (leaf.shape, leaf.dtype)
    ]
    if wrong:
        raise InputError(
            f"the state that was kept differs in {', '.join(wrong)}; choose another "
            "folder"
        )
    structure = jax.tree.structure(template)
    return jax.tree.unflatten(structure, [arrays[name] for name in wanted])


def _leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a tree in their order, by their places."""
    from jax.tree_util import keystr, tree_flatten_with_path

    leaves, _ = tree_flatten_with_path(tree)
    # A tree may be a single leaf.
    return {keystr(p, simple=True, separator="/") or "leaf": v for p, v in leaves}
