"""The structures that searches begin with: given ones first, then random ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.molecules import packed, packed_well
from ase_l2h.search.requests import random_keys
from ase_l2h.starts.heaps import atoms_in_a_heap
from ase_l2h.starts.random import uniform_points
from ase_l2h.starts.region import region_starts

__all__ = ["numbered_structures", "random_structures"]


def random_structures(
    evaluator: Evaluator, rng: np.random.Generator, count: int, spread: bool = True
) -> np.ndarray:
    """Random structures ``(3, n, count)``, without overlaps where ``spread``.

    Molecules that are kept whole stay as given. Atoms of a cluster with known sizes
    touch each other.
    """
    problem = evaluator.problem
    if problem.molecules is not None:
        return (
            packed_well(evaluator, rng, count)
            if spread
            else packed(problem, rng, count)
        )
    radii = None if problem.regional or problem.cell is not None else problem.radii
    if spread and radii is not None:
        return atoms_in_a_heap(radii, count, rng)
    if not problem.regional:
        points = uniform_points(problem.system, count, rng)
    else:
        points = _elsewhere(evaluator, rng, count)
    return evaluator.spread(points) if spread else points


def _elsewhere(
    evaluator: Evaluator, rng: np.random.Generator, count: int
) -> np.ndarray:
    """Atoms of given structures at random places in their region."""
    problem = evaluator.problem
    known = problem.given.shape[2]
    base = problem.given[..., int(rng.integers(known))] if known else None
    moved = region_starts(
        np.zeros((3, problem.n_atoms)) if base is None else base,
        problem.placed,
        count,
        rng,
        region=problem.sought,
        length=problem.length,
        cell=problem.cell,
    )
    return problem.with_fixed(moved)


def numbered_structures(
    evaluator: Evaluator,
    seed: Sequence[int],
    first: int,
    count: int,
    rotate: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Starts ``first`` to ``first + count`` of a seed, and their keys.

    Given structures come first, then random ones. Start i is the same whatever the
    method, and however many are asked for.

    Returns
    -------
    tuple
        ``(3, n, count)`` and uint32 ``(2, count)``.
    """
    problem = evaluator.problem
    columns, keys = [], []
    for number in range(first, first + count):
        rng = np.random.default_rng([*seed, number])
        if number < problem.given.shape[2]:
            points = problem.given[..., number : number + 1]
        else:
            points = random_structures(evaluator, rng, 1, spread=False)
        columns.append(points)
        keys.append(random_keys(rng, 1))
    starts = np.concatenate(columns, axis=-1)
    fresh = np.arange(first, first + count) >= problem.given.shape[2]
    if np.any(fresh):
        drawn = evaluator.spread(starts[..., fresh])
        if rotate and problem.system.recentred:
            generator = np.random.default_rng([*seed, first, count, 1])
            turns = Rotation.random(drawn.shape[2], generator).as_matrix()
            drawn = np.einsum("kab,bnk->ank", turns, drawn)
        starts[..., fresh] = drawn
    return starts, np.concatenate(keys, axis=1)
