"""Where files are kept between runs."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

__all__ = ["CACHE_VARIABLE", "cache_folder"]

CACHE_VARIABLE = "ASE_L2H_CACHE"


def cache_folder() -> Path:
    """Folder of weights and compiled code; ``ASE_L2H_CACHE`` overrides it."""
    # Asked for with every launch; what it depends on is the environment.
    return _folder(*map(os.environ.get, (CACHE_VARIABLE, "HOME", "XDG_CACHE_HOME")))


@lru_cache(maxsize=8)
def _folder(chosen: str | None, *_: str | None) -> Path:
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()
    from pooch import os_cache

    return os_cache("ase_l2h")
