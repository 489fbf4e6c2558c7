"""Vacant sites of clusters in machine code, see ``sites.cpp``: one structure at a time.

Most of what NumPy needs for a few structures is overhead. The results are those of
:mod:`~ase_l2h.search.auto.triples` to the bit; where nothing can be compiled, all
functions give None.
"""

from __future__ import annotations

import ctypes
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ase_l2h._internal.cache import cache_folder
from ase_l2h.rollout.kernels.native import FLAGS, compiled, compiler

__all__ = ["best_moves", "best_sites"]

LOGGER = logging.getLogger(__name__)
SOURCE = Path(__file__).parent / "sites.cpp"
# No fused multiply-add: NumPy rounds after every operation.
OPTIONS = (*FLAGS, "-ffp-contract=off")
# Room for this many sites per atom at first, and for all sites of a mover.
ROOM = 4

Found = tuple[np.ndarray, np.ndarray, np.ndarray]


def best_sites(points: np.ndarray) -> Found | None:
    """As :func:`~ase_l2h.search.auto.triples.best_sites`, of clusters."""
    mobile = np.ones(points.shape[2], bool)
    return _found(points, points, mobile, 0, -1, ROOM * points[0].size)


def best_moves(
    points: np.ndarray, tie: np.ndarray, mobile: np.ndarray, movers: int, sites: int
) -> Found | None:
    """As :func:`~ase_l2h.search.auto.triples.best_moves`, of clusters."""
    room = points.shape[1] * movers * sites
    return _found(points, tie, mobile, movers, sites, room)


def _found(
    points: np.ndarray,
    tie: np.ndarray,
    mobile: np.ndarray,
    movers: int,
    limit: int,
    room: int,
) -> Found | None:
    function = _function()
    if function is None or not np.isfinite(points).all():
        return None
    batch, n = points.shape[1:]
    while True:
        site = np.empty((room, 3))
        owner, number = np.empty((2, room), np.int32)
        arrays = (points, tie, mobile, site, owner, number)
        at = [array.ctypes.data for array in arrays]
        count = function(*at[:3], batch, n, movers, limit, *at[3:], room)
        if count < 0:
            raise MemoryError("no memory for the sites of a structure")
        if count <= room:
            break
        room = count
    return site[:count].T, owner[:count].astype(int), number[:count].astype(int)


@lru_cache(maxsize=1)
def _function() -> Any:
    """The compiled function; None without a compiler, or if compilation fails."""
    if compiler() is None:
        return None
    try:
        library = compiled(SOURCE, OPTIONS, cache_folder() / "native", [SOURCE])
        function = ctypes.CDLL(str(library)).vacant
    except (RuntimeError, OSError) as error:
        LOGGER.warning(
            "vacant sites are found without machine code, more slowly: %s", error
        )
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int
    function.argtypes = [pointer] * 3 + [number] * 4 + [pointer] * 3 + [ctypes.c_int64]
    function.restype = ctypes.c_int64
    return function
