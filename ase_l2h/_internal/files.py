"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["write_atomically"]


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
