"""Check the curvature of the minima that are reported.

This is done beside the searches and after them: their states do not change, nor does
the folder. A continued search is checked again at its end.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ase_l2h.search.curvature import GAIN, check_cost, descend_saddles
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.ledger import Stopped
from ase_l2h.search.method import CUT_SHORT, Search, SearchRun
from ase_l2h.search.minima import Minimum, distinct_minima
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Relaxed

__all__ = [
    "SHARE",
    "affordable",
    "check_lowest",
    "checked_minima",
    "fitting",
    "polish_lowest",
]

# Share of the charged evaluations that may be spent on the curvatures of all minima but
# the lowest, which is always checked. Lennard-Jones clusters take less.
SHARE = 0.03


def affordable(problem: Problem, charged: int) -> int:
    """How many minima, lowest first, may have their curvature checked.

    ``charged`` are the evaluations that found them.
    """
    return max(1, int(SHARE * charged / check_cost(problem)))


def fitting(evaluator: Evaluator, count: int) -> int:
    """How many of ``count`` structures the evaluations left can check."""
    if math.isinf(evaluator.left):
        return count
    return max(0, min(count, int(evaluator.left) // check_cost(evaluator.problem)))


def checked_minima(run: SearchRun, minima: Sequence[Minimum]) -> list[Minimum]:
    """The minima of a run, saddle points replaced by lower minima.

    They are checked lowest first, while their search has evaluations left, and within
    three percent of what was charged; ``checked`` says which were.

    Parameters
    ----------
    run
        Its ledgers are charged, and know of what is lower than their lowest.
    minima
        Of :meth:`~ase_l2h.search.method.SearchRun.result`, lowest first.
    """
    problem = run.searches[0].problem
    relaxed = [minimum for minimum in minima if minimum.relaxed]
    room = affordable(problem, run.charged)
    sound = [minimum for minimum in minima if not minimum.relaxed] + relaxed[room:]
    lowered: list[Minimum] = []
    for owner in dict.fromkeys(minimum.first for minimum in relaxed[:room]):
        search = run.searches[owner]
        own = [minimum for minimum in relaxed[:room] if minimum.first == owner]
        evaluator = _evaluator(run, search)
        count = fitting(evaluator, len(own))
        below = _descended(evaluator, search, [m.positions.T for m in own[:count]])
        if below is None:
            count = 0
        sound += own[count:]
        for k, minimum in enumerate(own[:count]):
            assert below is not None
            known = dataclasses.replace(minimum, checked=True)
            if below.energy[k] < minimum.energy - GAIN * problem.energy_unit:
                energy, places = float(below.energy[k]), below.positions[..., k].T
                found = bool(below.converged[k])
                lowered.append(
                    dataclasses.replace(
                        known, energy=energy, positions=places, relaxed=found
                    )
                )
            else:
                sound.append(known)
    for minimum in lowered:
        sound = _joined(sound, minimum, problem)
    return sorted(sound, key=lambda minimum: minimum.energy)


def polish_lowest(run: SearchRun) -> None:
    """Relax the lowest structure of all to the last digits, within its search's limit.

    If the run was cut short, this is done already or cannot be done any more.
    """
    if run.stopped in CUT_SHORT:
        return
    search = min(run.searches, key=lambda search: search.present.energy)
    present = search.present
    search.tail = dataclasses.replace(present, course=list(present.course))
    limit = run.limits.evaluations
    run.evaluator_beside(search.problem, limit, search.tail).finish()


def check_lowest(run: SearchRun, search: Search) -> None:
    """Descend from the lowest structure of one search if it is a saddle point."""
    if search.present.relaxed and search.present.positions is not None:
        evaluator = _evaluator(run, search)
        if fitting(evaluator, 1):
            _descended(evaluator, search, [search.present.positions])


def _evaluator(run: SearchRun, search: Search) -> Evaluator:
    limit = run.limits.evaluations
    left = None if limit is None else limit - search.present.charged
    return run.evaluator_beside(search.problem, left)


def _descended(
    evaluator: Evaluator, search: Search, structures: list[np.ndarray]
) -> Relaxed | None:
    """Descents from structures ``(3, n)``, charged; None if cut short."""
    if not structures:
        return None
    try:
        below = descend_saddles(evaluator, np.stack(structures, axis=-1))
    except Stopped:
        below = None
    ledger, lower = search.present, evaluator.ledger
    ledger.charged += evaluator.charged
    gain = GAIN * search.problem.energy_unit
    if lower.relaxed and lower.energy < ledger.energy - gain:
        ledger.energy, ledger.positions = lower.energy, lower.positions
        ledger.course.append((ledger.charged, lower.energy))
    return below


def _joined(minima: Sequence[Minimum], new: Minimum, problem: Problem) -> list[Minimum]:
    """The minima with a new one, which may equal one of them."""
    for k, known in enumerate(minima):
        both = np.stack([known.positions.T, new.positions.T], axis=-1)
        energies = np.array([known.energy, new.energy])
        if known.relaxed and len(distinct_minima(energies, both, problem.system)) == 1:
            same = dataclasses.replace(
                known,
                count=known.count + new.count,
                first=min(known.first, new.first),
                checked=True,
            )
            return [*minima[:k], same, *minima[k + 1 :]]
    return [*minima, new]
