"""One call from a problem to a result: engine, method, limits, checkpoint, loop."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ase_l2h._internal.arguments import checked_count
from ase_l2h._internal.checkpoint import Checkpoint
from ase_l2h._internal.jax_start import start_jax
from ase_l2h.errors import InputError, InputTypeError
from ase_l2h.search.callers import Calls
from ase_l2h.search.calls import CalculatorEngine
from ase_l2h.search.checking import checked_minima, polish_lowest
from ase_l2h.search.engine import Engine, KernelEngine
from ase_l2h.search.limits import Limits, checked_seed
from ase_l2h.search.method import Method, SearchRun, run
from ase_l2h.search.names import DEFAULT_METHOD
from ase_l2h.search.problem import Problem
from ase_l2h.search.registry import make_method
from ase_l2h.search.result import SearchResult
from ase_l2h.search.stored import from_arrays, to_arrays

__all__ = [
    "DEFAULT_EVALUATIONS",
    "engine_for",
    "limited",
    "search_problem",
    "shared_by",
    "start_run",
]

logger = logging.getLogger(__name__)

# Default limits of a search: evaluations, and calls of a calculator.
DEFAULT_EVALUATIONS = 2_000_000
DEFAULT_CALLS = 10_000
# Independent attempts that must meet the lowest minimum.
SETTLED = 3
# Calls with which a search of its own is worth while.
FEWEST_CALLS = 100
MOST_SEARCHES = 100_000


def engine_for(
    problem: Problem,
    backend: str = "auto",
    device: Any = None,
    calls: Calls | None = None,
) -> Engine:
    """What evaluates a problem; ``calls`` carries out those of a calculator.

    Raises
    ------
    InputError
        For an unknown backend or device, and for a backend asked of a calculator.
    RunError
        In a process forked from one that has used JAX.
    """
    start_jax()
    if problem.measure is None:
        return KernelEngine(problem.potential, backend, device)
    if backend not in ("auto", "calculator"):
        raise InputError(
            f"a calculator is called one structure at a time, so the backend "
            f"'{backend}' cannot run it; leave the backend out"
        )
    failed = problem.first is not None and not math.isfinite(problem.first.energy)
    return CalculatorEngine(calls, failures=int(failed))


def start_run(
    problem: Problem,
    method: Method,
    limits: Limits,
    *,
    seed: int = 0,
    searches: int = 1,
    engine: Engine | None = None,
    **options: Any,
) -> SearchRun:
    """Searches of one problem, ready to be advanced.

    Parameters
    ----------
    problem, method, limits
        What, how, and how much.
    seed, searches
        Search k follows from ``(seed, k)`` alone, whatever runs beside it.
    engine
        See :func:`engine_for`.
    **options
        Of :class:`~ase_l2h.search.method.SearchRun`.
    """
    seed = checked_seed(seed)
    if searches != int(searches) or not 1 <= searches <= MOST_SEARCHES:
        raise InputError(f"{searches} searches are asked for; give 1 to 100000")
    return SearchRun(
        method,
        [problem] * searches,
        [(seed, k) for k in range(searches)],
        limits,
        engine_for(problem) if engine is None else engine,
        **options,
    )


def search_problem(
    problem: Problem,
    *,
    method: str | Method = DEFAULT_METHOD,
    limits: Limits | None = None,
    seed: int = 0,
    searches: int = 1,
    weights: Any = None,
    steps: int | None = None,
    starts: int | None = None,
    width: int | None = None,
    without: Sequence[str] = (),
    backend: str = "auto",
    device: Any = None,
    calls: Calls | None = None,
    folder: str | Path | None = None,
    stop_together: bool = True,
    interrupted: Callable[[], bool] = lambda: False,
    on_charge: Callable[[int], Any] | None = None,
    on_round: Callable[[SearchRun], Any] | None = None,
) -> SearchResult:
    """Search a problem for its lowest minimum.

    Parameters
    ----------
    problem
        What is minimised.
    method
        A name of :data:`~ase_l2h.search.names.METHODS`, or a method.
    limits
        When to stop. Where nothing else is said, 2,000,000 evaluations of each search,
        or 10,000 calls of a calculator; ``"auto"`` before that when three independent
        attempts have met the lowest minimum.
    seed, searches
        Search k follows from ``(seed, k)`` alone.
    weights, steps, starts, width, without
        See :func:`~ase_l2h.search.registry.make_method`.
    backend, device
        ``"auto"``, ``"native"``, ``"scan"`` or ``"cuda"``, and a JAX device.
    calls
        What carries out the calls of a calculator; one after the other when None.
    folder
        Everything is kept there every few seconds; what is there is continued, to the
        same end as without the break. Where more evaluations have been charged there
        than the limits allow, a warning is logged, and what was found is returned.
    stop_together
        Whether all searches end when one has met the target energy.
    interrupted
        Asked before every evaluation; True ends all searches with what they have.
    on_charge, on_round
        Called with every charge, and with the run after every round.

    Returns
    -------
    SearchResult
        Also after Ctrl-C.

    Raises
    ------
    InputError
        For anything impossible; one sentence says what to do, and nothing is lost.
    """
    if isinstance(method, str):
        method = make_method(
            method,
            problem,
            weights=weights,
            steps=steps,
            starts=starts,
            width=width,
            without=without,
        )
    elif not isinstance(method, Method):
        raise InputTypeError(
            f"method is of type {type(method).__name__}; give a name or a Method"
        )
    elif without:
        raise InputError(
            f"the method '{method.name}' has its options already; leave out without, "
            "or give its name instead"
        )
    limits = limited(
        Limits() if limits is None else limits,
        problem,
        method.name,
        bounded=starts is not None,
    )
    engine = engine_for(problem, backend, device, calls)
    progress = start_run(
        problem,
        method,
        limits,
        seed=seed,
        searches=searches,
        engine=engine,
        stop_together=stop_together,
        interrupted=interrupted,
        on_charge=on_charge,
    )
    save: Callable[[SearchRun], None] | None = None
    if folder is not None:
        kept = Checkpoint(folder, _identity(progress, seed))
        stored = kept.load()
        if stored is not None:
            _restore(progress, from_arrays(*stored), kept.folder)
        kept.claim()

        def keep(current: SearchRun) -> None:
            state = {**current.stored(), "backend": engine.backend}
            kept.save(*to_arrays(state))

        save = keep

    run(progress, save=save, on_round=on_round)
    polish_lowest(progress)
    return _checked(progress, progress.result(seed=seed))


def _restore(progress: SearchRun, stored: Mapping[str, Any], folder: Path) -> None:
    """Go on from a folder, whose searches may have had more than is asked for now.

    Searches that have all ended are given as they ended, with the check that follows.
    """
    if isinstance(progress.engine, KernelEngine):
        progress.engine.former = stored.get("backend")
    limits = progress.limits
    most = math.inf if limits.evaluations is None else limits.evaluations
    ledgers = [kept["tail"] or kept["ledger"] for kept in stored["searches"]]
    charged = max(ledger["charged"] for ledger in ledgers)
    if charged <= most:
        progress.restore(stored)
        return
    logger.warning(
        "the folder %s holds a longer search than the %s evaluations asked for, and "
        "its results are given; choose another folder for a shorter one",
        *(folder, f"{most:,}"),
    )
    progress.limits = dataclasses.replace(limits, evaluations=stored["evaluations"])
    progress.restore(stored)
    if progress.stopped is not None:
        return
    progress.limits = limits
    for search in progress.searches:
        if search.stopped is None and search.present.charged > most:
            search.stopped = "evaluations"


def _checked(progress: SearchRun, result: SearchResult) -> SearchResult:
    """The result without saddle points, as far as evaluations were left."""
    if result.stopped in ("target", "interrupted", "failed"):
        return result
    try:
        minima = checked_minima(progress, result.minima)
    except KeyboardInterrupt:
        return dataclasses.replace(result, stopped="interrupted")
    # Includes the charge of the check, and lower minima that it found.
    return dataclasses.replace(progress.result(seed=result.seed), minima=minima)


def shared_by(
    workers: int | None,
    searches: int | None,
    method: Any,
    evaluations: Any,
    bounded: bool = False,
) -> tuple[int, Any]:
    """How many searches a search becomes, and the evaluations of each.

    One search asks for one call after the other. So where nobody says how many there
    are, ``auto`` becomes as many as there are ``workers``, and three at least because a
    minimum is settled once so many attempts have met it. Together they may spend what
    one may; each gets 100 calls or more.

    Parameters
    ----------
    workers
        How many make the calls; None where nobody else does.
    searches
        What was asked for.
    method
        A name or a method.
    evaluations
        The limit of one search; the usual one when None.
    bounded
        Whether something else ends the search, so that it has no usual one.

    Raises
    ------
    InputError
        For a number of searches that is none.
    """
    if searches is not None:
        return checked_count("searches", searches, MOST_SEARCHES), evaluations
    most = DEFAULT_CALLS if evaluations is None and not bounded else evaluations
    if workers is None or workers == 1 or method != DEFAULT_METHOD:
        return 1, evaluations
    count = max(SETTLED, workers)
    if isinstance(most, int | np.integer):
        count = max(1, min(count, int(most) // FEWEST_CALLS))
    return count, evaluations if count == 1 or most is None else most // count


def limited(
    limits: Limits, problem: Problem, method: str, bounded: bool = False
) -> Limits:
    """Limits with defaults for what was not given.

    ``auto`` ends when the lowest minimum is settled, unless a target is looked for;
    ``bounded`` says that something else ends the search as well.
    """
    if limits.settled is None and limits.target_energy is None:
        known = SETTLED if method == DEFAULT_METHOD else 0
        limits = dataclasses.replace(limits, settled=known)
    if limits.evaluations is not None or limits.seconds is not None or bounded:
        return limits
    calls = problem.measure is not None
    count = DEFAULT_CALLS if calls else DEFAULT_EVALUATIONS
    return dataclasses.replace(limits, evaluations=count)


def _identity(progress: SearchRun, seed: int) -> dict[str, Any]:
    """The settings that a folder and its search must share."""
    return {
        "kind": "search",
        "problem": progress.searches[0].problem.fingerprint(),
        "method": progress.method.name,
        "settings": progress.method.describe(),
        "seed": seed,
        "searches": len(progress.searches),
    }
