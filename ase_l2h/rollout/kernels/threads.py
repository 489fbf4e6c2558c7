"""Distribute the structures of a batch over the cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

__all__ = ["default_threads", "limit_threads", "share_out", "workers"]

# Structures in a group, a multiple of every number of lanes.
GROUP = 16
_pools: dict[int, ThreadPoolExecutor] = {}
_guard = threading.Lock()
_most: list[int] = []


def limit_threads(count: int) -> None:
    """Let this process use ``count`` processors; others use the rest."""
    _most[:] = [count]


def default_threads() -> int:
    """Processors that this process may use."""
    if _most:
        return _most[0]
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def workers() -> ThreadPoolExecutor:
    """The one pool of this process.

    A forked child has a copy of the pool, but none of its threads: it makes its own.
    """
    process = os.getpid()
    with _guard:
        if process not in _pools:
            _pools[process] = ThreadPoolExecutor(default_threads(), "ase_l2h")
        return _pools[process]


def share_out(
    function: Callable[[int, int, int], bool],
    block: int,
    batch: int,
    threads: int | None = None,
) -> None:
    """Call ``function(block, first, last)`` until all structures are done.

    Each thread takes the next group when it is done with one: some structures converge
    early. The caller's thread works as well.

    Raises
    ------
    MemoryError
        When there is no memory for the state of a group.
    """
    groups = -(-batch // GROUP)
    count = groups
    if groups > 1:
        count = min(groups, default_threads() if threads is None else threads)
    work = (function, block, iter(range(0, batch, GROUP)), batch)
    others = [workers().submit(_worked, *work) for _ in range(count - 1)]
    done = [_worked(*work), *(other.result() for other in others)]
    if not all(done):
        raise MemoryError("no memory for the state of the structures")


def _worked(
    function: Callable[[int, int, int], bool],
    block: int,
    waiting: Iterator[int],
    batch: int,
) -> bool:
    """Process groups in this thread; False if memory was missing for one."""
    done = True
    # `next` on a range's iterator is one operation under the interpreter's lock.
    for first in waiting:
        done = function(block, first, min(first + GROUP, batch)) and done
    return done
