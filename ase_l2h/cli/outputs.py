"""Output files: tried before the run, whole or not at all, never lost.

A file that cannot be written after the run (a full disk) goes to a new folder for
temporary files instead, and the message says where. ``ase.io`` takes half a second to
import, so it is imported where a structure is written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ase_l2h._internal.files import check_name
from ase_l2h.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "Output",
    "Writer",
    "check_cache",
    "check_outputs",
    "structures_output",
    "write_outputs",
    "write_structures",
]

Writer = Callable[[Path], None]


@dataclasses.dataclass(frozen=True)
class Output:
    """A file to be: the option that names it, where it goes, a trial of writing it."""

    option: str
    path: Path
    trial: Writer


def structures_output(option: str, path: Path, trial: list[Atoms]) -> Output:
    """A file of structures in the format of its name.

    Raises
    ------
    InputError
        When no format goes by that name, or it holds one structure and several come.
    """
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        known = ioformats[filetype(str(path), read=False)]
    # A suffix that is no format at all is a KeyError.
    except (UnknownFileTypeError, KeyError):
        known = None
    if known is None or not known.can_write:
        raise InputError(
            f"{option} {path}: ASE writes no format of that name; end it in .extxyz"
        )
    if len(trial) > 1 and known.single:
        raise InputError(
            f"{option} {path}: this format holds a single structure; end it in .extxyz"
        )
    return Output(option, path, write_structures(trial, path))


def write_structures(images: list[Atoms], path: Path) -> Writer:
    """A writer of ``images`` in the format that ``path`` asks for."""
    from ase.io import write
    from ase.io.formats import filetype

    form = filetype(str(path), read=False)
    content = images[0] if len(images) == 1 else images

    def writer(to: Path) -> None:
        write(str(to), content, format=form)

    return writer


def _replace(path: Path, writer: Writer) -> None:
    """Write beside ``path``, then move: the old file stays until the new is whole."""
    # The suffix stays last: compression goes by it.
    partial = path.with_name(f".partial-{path.name}")
    try:
        writer(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_cache(
    cache: str | Path | None,
    files: Mapping[str, Path | None],
    folder: tuple[str, Path | None, Sequence[str]],
) -> None:
    """Refuse outputs that would overwrite the cache of calls, before it is opened.

    Parameters
    ----------
    cache
        Of ``--cache``; without one there is nothing to refuse.
    files
        Paths of output files by the options that name them.
    folder
        The option that names the folder of the run, the folder, and the names of what
        is written there.

    Raises
    ------
    InputError
        When a file is the cache, or the folder is or would write it.
    """
    if cache is None:
        return
    for option, path in {"--cache": Path(cache), **files}.items():
        if path is not None:
            check_name(option, path)
    place = Path(cache).resolve()
    for option, path in files.items():
        if path is not None and path.resolve() == place:
            raise InputError(
                f"{option} {path} would overwrite --cache, which keeps the calls; "
                "choose another name"
            )
    option, root, names = folder
    if root is None:
        return
    check_name(option, root)
    inside = place.parent == root.resolve() and place.name in names
    if inside or place == root.resolve():
        raise InputError(
            f"--cache {cache} is also a name that {option} {root} needs for the run; "
            "give the cache another name"
        )


def check_outputs(outputs: list[Output], source: Path | None) -> None:
    """Write a trial beside every output and remove it again.

    Raises
    ------
    InputError
        When a file could not be written, two are the same, or one is the input.
    """
    taken = {} if source is None else {source.resolve(): "the structure file"}
    for output in outputs:
        check_name(output.option, output.path)
        place = output.path.resolve()
        if place in taken:
            raise InputError(
                f"{output.option} {output.path} would overwrite {taken[place]}; choose "
                "another name"
            )
        taken[place] = output.option
        if output.path.is_dir():
            raise InputError(
                f"{output.option} {output.path} is a folder; give the name of a file"
            )
        trial = output.path.with_name(f".trial-{output.path.name}")
        try:
            output.trial(trial)
        # Writers of ASE refuse what they cannot hold with errors of any kind.
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"{output.option} {output.path} cannot be written ({reason}); choose "
                "another place or format"
            ) from error
        finally:
            _remove(trial)


def _remove(path: Path) -> None:
    # Where its folder does not exist, the trial has just said so.
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def write_outputs(outputs: list[tuple[str, Path, Writer]]) -> list[str]:
    """Write every file; returns one sentence for each that went elsewhere."""
    trouble = []
    for option, path, writer in outputs:
        try:
            _replace(path, writer)
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error)
            said = f"{option} {path} could not be written ({reason})"
            try:
                spare = Path(tempfile.mkdtemp(prefix="ase-l2h-")) / path.name
                _replace(spare, writer)
            except Exception as second:
                trouble.append(f"{said}, and neither could a temporary file ({second})")
            else:
                trouble.append(f"{said}; it is in {spare} instead")
    return trouble
