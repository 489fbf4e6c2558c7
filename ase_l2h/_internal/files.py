"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

from ase_l2h.errors import InputError, InputTypeError

__all__ = ["check_name", "not_written", "read_regular", "write_atomically"]


def check_name(what: str, path: str | os.PathLike[str]) -> None:
    """Refuse a name that no file and no folder can have.

    Raises
    ------
    InputError
        With ``what`` it was meant for; InputTypeError where it is no name at all.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(f"{what} is of type {type(path).__name__}; give a name")
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{what} cannot be {os.fspath(path)[:40]!r} ({reason}); give another name"
        ) from error


def not_written(folder: Path | None, error: OSError, goes_on: str) -> str:
    """What is said where the files of a folder in use cannot be written.

    Parameters
    ----------
    folder
        The folder.
    error
        What happened.
    goes_on
        Where the same command goes on.
    """
    if isinstance(error, FileNotFoundError):
        return (
            f"the folder {folder}, or a file in it, has been removed meanwhile; run "
            "the same again"
        )
    return (
        f"cannot write in the folder {folder} ({error.strerror or error}); free some "
        f"space and run the same again; it continues {goes_on}"
    )


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file: from anything else they may never come, or end.

    Raises
    ------
    OSError
        For everything that cannot be read.
    """
    # Without a writer, opening a pipe would wait for one.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(number, "rb") as stream:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, f"{path.name} is not a regular file")
        return stream.read()


def write_atomically(path: Path, content: bytes, *, shared: bool = False) -> None:
    """Replace ``path`` by ``content``, whole or not at all.

    With ``shared``, others may write the same path at the same time; the last of them
    wins. Without, what a killed process left is overwritten by the next.
    """
    own = f".{secrets.token_hex(8)}" if shared else ""
    partial = path.with_name(f"{path.name}{own}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
