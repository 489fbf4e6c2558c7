"""Who may write a file: code that others can write must not be run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["written_by_others"]


def written_by_others(path: Path) -> str | None:
    """Who besides this user and the administrator can change a file or folder.

    Parameters
    ----------
    path
        An existing file or folder; links are followed.

    Returns
    -------
    str or None
        The end of a sentence that names the remedy; None when nobody can, and on
        systems without such permissions.
    """
    if not hasattr(os, "geteuid"):
        return None
    path = path.resolve()
    status = path.stat()
    if status.st_uid not in (os.geteuid(), 0):
        return f"{path} belongs to another user; remove it or name another folder"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others can write {path}; run: chmod go-w {path}"
    for parent in path.parents:
        mode = parent.stat().st_mode
        # In a folder with the sticky bit, such as /tmp, nobody renames another's.
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"others can write {parent}; run: chmod o-w {parent}"
    return None
