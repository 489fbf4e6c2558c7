"""Where structures come from that owe nothing to those a search holds."""

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

# The most fragments one is chosen of: two to this power.
DOUBLED = 4
# Structures of other compositions that come to a calculator in a round.
CALLED_VISITORS = 1


def fragment_structures(
    problem: Problem, rng: np.random.Generator, count: int
) -> np.ndarray:
    """Fragments of ordered packings ``(3, n, count)``, their elements at random.

    Each has the most bonds of some fragments of its packing, from one to ``2**DOUBLED``
    of them: what is best of many is seldom the only one that is worth a look. Its
    loosest atoms go where they make more bonds. Bonds tell which fragment of a packing
    is low, at no evaluation; they do not tell which packing.
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

    ``(3, n, count)``; a rattle breaks the symmetry, so that no saddle point is kept.
    """
    cell = problem.cell
    starts = symmetric_starts(
        problem.n_atoms,
        count,
        rng,
        np.bincount(problem.species).tolist(),
        cell=None if cell is None else cell / problem.length,
    )
    # They come element by element.
    place = np.argsort(np.argsort(problem.species, kind="stable"), kind="stable")
    return problem.length * starts[:, place]


def visiting(
    evaluator: Evaluator, visitors: dict[str, Any], rng: np.random.Generator
) -> np.ndarray:
    """Structures of other compositions, as many atoms turned as it takes.

    ``visitors`` has ``positions`` ``(3, n, k)``, ``species`` ``(n, k)``, ``energies``
    ``(k,)`` and the bond ``lengths`` ``(k,)`` of where they come from.
    """
    problem = evaluator.problem
    if not visitors["energies"].size:
        return np.zeros((3, problem.n_atoms, 0))
    if not can_turn(problem):
        # Nobody tells what turning an atom costs, and every visitor costs calls.
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
