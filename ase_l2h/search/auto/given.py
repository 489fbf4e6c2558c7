"""When given structures are relaxed.

A structure near a minimum is relaxed first: it costs little, and a user has found it. A
hot one, such as atoms at random places, costs as much as several sources need to find
much lower structures. It waits until the pool has a structure as low, or for a certain
time, and enters during the first attempt in any case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ase_l2h.search.auto.improve import ROUGH, SAME, WINDOW
from ase_l2h.search.auto.pool import Pool
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.method import State
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Relaxed

__all__ = ["NONE_WAITING", "due", "parted", "with_waiting"]

# A structure that needs at most this many evaluations for a rough relaxation is near a
# minimum.
LOOK = 12
# A waiting structure is relaxed once it is within this many energy scales of the lowest
# one.
NEAR = 5.0
# Other structures wait for this many evaluations per atom. This does not depend on the
# limit, so that a search continued with a higher limit is the same as one begun with
# it.
WAIT = 30
NONE_WAITING: State = {"positions": np.zeros((3, 0, 0)), "energies": np.zeros(0)}


def parted(evaluator: Evaluator) -> tuple[np.ndarray, State]:
    """Given structures split into those near a minimum, and hot ones partly relaxed."""
    problem = evaluator.problem
    if problem.given.shape[2] == 0:
        return problem.given, NONE_WAITING
    rough = ROUGH * problem.force_unit
    looked = evaluator.relax(problem.given, fmax=rough, limit=LOOK)
    near = looked.converged
    # Structures without a finite energy are left out.
    hot = looked.take(~near & np.isfinite(looked.energy))
    waiting = {"positions": hot.positions, "energies": hot.energy}
    return problem.given[..., near], waiting


def due(
    waiting: State, problem: Problem, lowest: float, spent: int, over: bool
) -> bool:
    """Whether the waiting structures are relaxed now.

    Parameters
    ----------
    waiting
        Its ``positions`` ``(3, n, k)`` and ``energies`` ``(k,)``.
    problem
        What is minimised.
    lowest
        Energy of the lowest structure that is held.
    spent
        Evaluations of the first attempt.
    over
        Whether that is over.
    """
    if waiting["energies"].size == 0:
        return False
    near = lowest + NEAR * problem.energy_unit
    soon = bool(np.isfinite(near) and np.min(waiting["energies"]) <= near)
    return over or soon or spent >= WAIT * problem.n_atoms


def with_waiting(
    state: State,
    pool: Pool,
    evaluator: Evaluator,
    keep: Callable[[Evaluator, Pool, Relaxed], Any],
) -> State:
    """The state of a search after the waiting structures are relaxed.

    ``keep`` puts it into the ``pool`` of what is held.
    """
    lowest, before, problem = pool.energy, evaluator.charged, evaluator.problem
    rough = ROUGH * problem.force_unit
    looked = evaluator.relax(state["waiting"]["positions"], fmax=rough)
    # What is left high above the lowest would be polished for nothing.
    bound = min(lowest, float(np.min(looked.energy, initial=np.inf)))
    near = looked.energy <= bound + WINDOW * problem.energy_unit
    keep(evaluator, pool, evaluator.polish(looked.positions[..., near]))
    spent = state["spent"] + evaluator.charged - before
    new = {"spent": spent, "pool": pool.to_arrays(), "waiting": NONE_WAITING}
    # What the search had found by then is independent of the given structures.
    fell = pool.energy < lowest - SAME * evaluator.problem.energy_unit
    owed = {"given": pool.energy, "fall": spent} if fell else {}
    return state | new | owed
