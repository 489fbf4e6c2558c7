"""Formation-energy hull of a two-element cluster: search, folder, result.

    result = find_hull("AgAu", 38, folder="AgAu38")

Every composition is one search of the method ``auto``; after every round neighbours
in composition show each other their lowest structures. The folder keeps all that was
found, each file whole or not at all: a search that was interrupted or killed continues
there to the same result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ase_l2h._internal.arguments import checked_count
from ase_l2h._internal.processes import joint
from ase_l2h._internal.workers import MOST_WORKERS
from ase_l2h.errors import InputError, InputTypeError
from ase_l2h.search.auto.method import SEVERAL_ELEMENTS
from ase_l2h.search.auto.parts import uses_weights
from ase_l2h.search.callers import Calls
from ase_l2h.search.hull.rounds import HullSearch
from ase_l2h.search.hull.settings import (
    CALLED_WIDTH,
    DEFAULT_BUDGET,
    DEFAULT_CALLS,
    WIDTH,
    HullResult,
    HullSettings,
)
from ase_l2h.search.hull.system import HullSystem, hull_system
from ase_l2h.search.limits import Limits
from ase_l2h.search.method import CUT_SHORT
from ase_l2h.weights.load import Weights, load_weights

__all__ = ["find_hull"]


def find_hull(
    system: str | HullSystem,
    n_atoms: int | None = None,
    *,
    compositions: Iterable[int] | None = None,
    potential: str = "gupta",
    parameters: str | Path | None = None,
    without: Sequence[str] = (),
    weights: str | None = None,
    budget: int | None = None,
    max_seconds: float | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    update: bool = False,
    backend: str = "auto",
    calls: Calls | None = None,
    workers: int = 1,
    interrupted: Callable[[], bool] = lambda: False,
    progress: Callable[[HullSearch, int], Any] | None = None,
) -> HullResult:
    """Search the lowest structures of all compositions of a two-element cluster.

    Parameters
    ----------
    system
        Two chemical symbols such as ``"AgAu"``, or what
        :func:`~ase_l2h.search.hull.system.hull_system` made of them, or
        :func:`~ase_l2h.ase_adapter.hulls.calculator_hull` with a calculator.
    n_atoms
        Atoms per cluster.
    compositions
        Numbers of atoms of the first element; all of 0 to ``n_atoms`` when None.
    potential, parameters
        See :func:`~ase_l2h.search.hull.system.hull_system`.
    without
        Parts of the method that are left out, see :mod:`~ase_l2h.search.auto.parts`.
    weights
        The learned optimizer's, several joined by ``+``; a portfolio when None.
    budget
        Charged evaluations per composition, never exceeded; 1,000,000 when None, or
        2000 calls of a calculator. What is left in the end pays for
        a look at the curvature of each lowest structure, some 30.
    max_seconds
        Stop then. How far a search gets depends on the machine.
    seed
        Everything random follows from it.
    folder
        Keep everything there, and continue what is there; nothing is kept when None.
    update
        Add ``budget`` to the search in ``folder``.
    backend
        What runs the steps. Several processes (``jax.distributed``) share the
        compositions; all call this alike.
    calls
        What carries out the calls of a calculator; one after the other when None.
    workers
        Processes of this machine that share the compositions of a compiled potential,
        to the same result. More than one need a script that guards what it does with
        ``if __name__ == "__main__":``.
    interrupted
        Asked before every evaluation; True ends the search with what it has.
    progress
        Called with the search and the number of compositions that fell, after every
        round.

    Returns
    -------
    HullResult
        Also after Ctrl-C.

    Raises
    ------
    InputError
        For anything impossible; one sentence says what to do, and nothing is lost.
    CheckpointError
        When the folder cannot be written any more.
    """
    if not isinstance(compositions, Iterable | None):
        raise InputTypeError(
            f"compositions is {compositions!r}; give a list of numbers of atoms"
        )
    listed = None if compositions is None else list(compositions)
    Limits(seconds=max_seconds)
    prepared = joint(
        lambda: _prepared(
            system,
            n_atoms,
            listed,
            potential,
            parameters,
            without,
            weights,
            budget,
            seed,
        )
    )[0]
    search = HullSearch(
        *prepared,
        folder,
        update=update,
        backend=backend,
        calls=calls,
        workers=checked_count("workers", workers, MOST_WORKERS),
        interrupted=interrupted,
    )
    deadline = math.inf if max_seconds is None else time.monotonic() + max_seconds
    ended = search.finished
    try:
        while ended is None:
            fallen = search.advance(deadline - time.monotonic())
            if progress is not None:
                joint(lambda fallen=fallen: progress(search, fallen))
            stops = {entry["stopped"] for entry in search.known.values()}
            ended = next((s for s in CUT_SHORT if s in stops), None)
            ended = ended or search.finished
        if ended not in CUT_SHORT:
            search.leave_saddles()
    except KeyboardInterrupt:
        ended = "interrupted"
    finally:
        search.close()
    return search.result(ended)


def _prepared(
    system: str | HullSystem,
    n_atoms: int | None,
    compositions: Sequence[int] | None,
    potential: str,
    parameters: str | Path | None,
    without: Sequence[str],
    weights: str | None,
    budget: int | None,
    seed: int,
) -> tuple[HullSystem, HullSettings, Weights | None]:
    if not isinstance(system, HullSystem):
        if n_atoms is None:
            raise InputError("the number of atoms is missing; give n_atoms")
        system = hull_system(
            system, n_atoms, potential=potential, parameters=parameters
        )
    calls = system.potential is None
    usual = DEFAULT_CALLS if calls else DEFAULT_BUDGET
    settings = HullSettings(
        compositions=system.species_counts(compositions),
        without=tuple(without),
        budget=usual if budget is None else budget,
        seed=seed,
        width=CALLED_WIDTH if calls else WIDTH,
    )
    if not uses_weights(settings.without, weights is not None):
        return system, settings, None
    return system, settings, load_weights(weights or SEVERAL_ELEMENTS)
