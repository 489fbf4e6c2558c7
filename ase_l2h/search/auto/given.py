"""When structures that are given are relaxed.

One that lies near a minimum comes first: it costs little, and is what a user has found.
A hot one, such as atoms at random places, costs as much as several sources take to find
what lies far lower. It waits until something as low is held, or for a while, and
enters in the first attempt all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ase_l2h.search.auto.improve import ROUGH, SAME
from ase_l2h.search.auto.pool import Pool
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.method import State
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Relaxed

__all__ = ["NONE_WAITING", "due", "parted", "with_waiting"]

# Evaluations within which what lies near a minimum is relaxed roughly.
LOOK = 12
# Energy scales above the lowest structure within which what has waited is looked at.
NEAR = 5.0
# All else waits for so many evaluations of each atom, whatever the limit is: a search
# that is given more goes on as if it had been given them before.
WAIT = 30
NONE_WAITING: State = {"positions": np.zeros((3, 0, 0)), "energies": np.zeros(0)}


def parted(evaluator: Evaluator) -> tuple[np.ndarray, State]:
    """Given structures near a minimum as they are, and hot ones as far as they came."""
    problem = evaluator.problem
    if problem.given.shape[2] == 0:
        return problem.given, NONE_WAITING
    rough = ROUGH * problem.force_unit
    looked = evaluator.relax(problem.given, fmax=rough, limit=LOOK)
    near = looked.converged
    # What has no energy leads nowhere.
    hot = looked.take(~near & np.isfinite(looked.energy))
    waiting = {"positions": hot.positions, "energies": hot.energy}
    return problem.given[..., near], waiting


def due(
    waiting: State, problem: Problem, lowest: float, spent: int, over: bool
) -> bool:
    """Whether what waits is relaxed now.

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
    """The state of a search after what has waited is relaxed, too.

    ``keep`` puts it into the ``pool`` of what is held.
    """
    lowest, before = pool.energy, evaluator.charged
    keep(evaluator, pool, evaluator.polish(state["waiting"]["positions"]))
    spent = state["spent"] + evaluator.charged - before
    new = {"spent": spent, "pool": pool.to_arrays(), "waiting": NONE_WAITING}
    # What the search had found before it was shown it owes to nobody.
    fell = pool.energy < lowest - SAME * evaluator.problem.energy_unit
    owed = {"given": pool.energy, "fall": spent} if fell else {}
    return state | new | owed
