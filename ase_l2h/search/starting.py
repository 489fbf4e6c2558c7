"""The structures that searches begin with: given ones first, then random ones."""

from __future__ import annotations

import numpy as np

from ase_l2h.search.evaluator import Evaluator
from ase_l2h.starts.random import uniform_points

__all__ = ["first_structures", "random_structures"]


def random_structures(
    evaluator: Evaluator, rng: np.random.Generator, count: int, spread: bool = True
) -> np.ndarray:
    """Random structures ``(3, n, count)``, without overlaps where ``spread``."""
    problem = evaluator.problem
    if problem.free is None:
        points = uniform_points(problem.system, count, rng)
    else:
        points = _above(evaluator, rng, count)
    return evaluator.spread(points) if spread else points


def _above(evaluator: Evaluator, rng: np.random.Generator, count: int) -> np.ndarray:
    """Given structures whose free atoms are somewhere else."""
    problem = evaluator.problem
    given = problem.given
    base = given[..., rng.integers(given.shape[2], size=count)]
    moved = base + rng.normal(scale=problem.length, size=base.shape)
    return problem.with_fixed(moved)


def first_structures(
    evaluator: Evaluator,
    rng: np.random.Generator,
    count: int,
    skip: int = 0,
    spread: bool = True,
) -> np.ndarray:
    """Given structures from number ``skip`` on, then random ones, ``(3, n, count)``."""
    given = evaluator.problem.given[..., skip : skip + count]
    missing = count - given.shape[2]
    if missing <= 0:
        return np.array(given)
    fresh = random_structures(evaluator, rng, missing, spread)
    return np.concatenate([given, fresh], axis=-1)
