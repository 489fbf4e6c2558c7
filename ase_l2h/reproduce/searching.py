"""The only place from which tables, figures and benchmarks start a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ase_l2h.potentials.base import Potential
from ase_l2h.search.multistart import SearchResult, search
from ase_l2h.system import System

__all__ = ["run_search"]


def run_search(
    potential: Potential,
    system: System,
    *,
    method: str = "learned",
    weights: str | None = None,
    starts: int,
    steps: int | None = None,
    seed: int,
    backend: str = "auto",
    rotate: bool = False,
    progress: Callable[[int], Any] | None = None,
) -> SearchResult:
    """A search from random starts, to its end.

    The parameters are those of :func:`~ase_l2h.search.multistart.search`.

    Raises
    ------
    KeyboardInterrupt
        When the search was stopped before its end: what was cut short is not the search
        that a record asks for.
    """
    result = search(
        potential,
        system,
        method=method,
        weights=weights,
        n_starts=starts,
        n_steps=steps,
        seed=seed,
        backend=backend,
        rotate=rotate,
        progress=progress,
    )
    if result.stopped != "done":
        raise KeyboardInterrupt
    return result
