"""Sources of structures that do not depend on those in the pool."""

from __future__ import annotations

from typing import Any

import numpy as np

from ase_l2h.search.auto.exchange import can_turn
from ase_l2h.search.auto.sites import gathered, neighbours
from ase_l2h.search.auto.turning import turned_at_random, turned_into
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem
from ase_l2h.starts.fragments import DEFAULT_PACKINGS, fragments
from ase_l2h.starts.symmetric import symmetric_starts

__all__ = ["fragment_structures", "symmetric_structures", "visiting"]

# One fragment is chosen among at most two to this power.
DOUBLED = 4
# Structures of other compositions per round, with a calculator.
CALLED_VISITORS = 1


def fragment_structures(
    problem: Problem, rng: np.random.Generator, count: int
) -> np.ndarray:
    """Fragments of ordered packings ``(3, n, count)``, their elements at random.

    Each is the fragment with the most bonds among 1 to ``2**DOUBLED`` fragments of one
    packing; the number varies, because the best of many is seldom the only good one.
    Its loosest atoms are moved to where they make more bonds. The number of bonds ranks
    the fragments of one packing without evaluations; it does not rank packings.
    """
    n, length = problem.n_atoms, problem.length
    pieces = np.empty((3, n, count))
    for k in range(count):
        packing = DEFAULT_PACKINGS[int(rng.integers(len(DEFAULT_PACKINGS)))]
        tries = 2 ** int(rng.integers(DOUBLED + 1))
        found = fragments(n, tries, rng, [packing])
        best = int(np.argmax(neighbours(found, 1.0).sum(axis=0)))
        pieces[..., k] = found[..., best]
    pieces = length * gathered(pieces, 1.0)
    order = np.argsort(rng.random(pieces.shape[1:]), axis=0)
    return np.take_along_axis(pieces, order[None], axis=1)


def symmetric_structures(
    problem: Problem, rng: np.random.Generator, count: int
) -> np.ndarray:
    """Random structures with point groups, or space groups of the cell.

    ``(3, n, count)``; a rattle breaks the symmetry, to avoid saddle points.
    """
    cell = problem.cell
    starts = symmetric_starts(
        problem.n_atoms,
        count,
        rng,
        np.bincount(problem.species).tolist(),
        cell=None if cell is None else cell / problem.length,
    )
    # The positions come sorted by element.
    place = np.argsort(np.argsort(problem.species, kind="stable"), kind="stable")
    return problem.length * starts[:, place]


def visiting(
    evaluator: Evaluator, visitors: dict[str, Any], rng: np.random.Generator
) -> np.ndarray:
    """Structures of other compositions, with atoms turned into the elements needed.

    ``visitors`` has ``positions`` ``(3, n, k)``, ``species`` ``(n, k)``, ``energies``
    ``(k,)`` and the bond ``lengths`` ``(k,)`` of their compositions.
    """
    problem = evaluator.problem
    if not visitors["energies"].size:
        return np.zeros((3, problem.n_atoms, 0))
    if not can_turn(problem):
        # The cost of turning an atom is not known, and every visitor costs calls.
        few = rng.permutation(visitors["energies"].size)[:CALLED_VISITORS]
        turned = turned_at_random(
            problem, visitors["positions"][..., few], visitors["species"][:, few], rng
        )
        return turned * (problem.length / visitors["lengths"][few])
    turned = turned_into(
        evaluator,
        visitors["positions"],
        visitors["species"],
        visitors["energies"],
        rng,
    )
    return turned * (problem.length / visitors["lengths"])
