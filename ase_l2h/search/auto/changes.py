"""Changes of structures in the pool; each keeps a part of the structure.

Every function takes positions ``(3, n, batch)`` and gives as many changed structures,
not relaxed, with fixed coordinates where they were.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ase_l2h.search.auto.exchange import random_exchanges
from ase_l2h.search.auto.fingerprint import BOND, nearest_images
from ase_l2h.search.auto.sites import barred_in, vacant_sites
from ase_l2h.search.problem import Problem

__all__ = [
    "melted",
    "moved_outside",
    "shaken",
    "shuffled",
    "slid",
    "swapped",
    "twisted",
]

# Standard deviation of a shake of all atoms, in bond lengths.
SHAKE = (0.15, 0.45)
# Share of the atoms on one side that are displaced, and by how much, in bond lengths.
MELT, MELT_STEP = (0.1, 0.5), 0.5
# Part of the structure that stays when the other is turned, and the smallest turn.
TWIST, LEAST_TURN = (0.2, 0.8), 0.3
# How far a cluster slides on its surface and how high it is lifted, in bond lengths;
# and how often it is also turned.
SLIDE, LIFT, TURNED = (0.3, 1.2), 0.1, 0.5
# Most loose atoms that are moved to the outside.
MOVED = 3
# At most one of this many atoms goes to a vacant site.
SHUFFLED = 8
# Random part of the looseness, in neighbours.
CHANCE = 3.0
# Most random exchanges of unlike atoms at once.
SWAPS = 4


def shaken(
    positions: np.ndarray, problem: Problem, rng: np.random.Generator
) -> np.ndarray:
    """All atoms displaced at random."""
    scale = rng.uniform(*SHAKE, size=positions.shape[2]) * problem.length
    return problem.with_fixed(positions + scale * rng.normal(size=positions.shape))


def melted(
    positions: np.ndarray, problem: Problem, rng: np.random.Generator
) -> np.ndarray:
    """The atoms on one side displaced at random, far enough to lose their order."""
    count = positions.shape[2]
    height = _heights(positions, _directions(rng, count))
    height[~problem.placed] = -np.inf
    place = np.argsort(np.argsort(-height, axis=0), axis=0)
    free = int(problem.placed.sum())
    chosen = place < np.maximum(2, rng.uniform(*MELT, size=count) * free)
    step = rng.normal(scale=MELT_STEP * problem.length, size=positions.shape)
    return problem.with_fixed(positions + np.where(chosen, step, 0.0))


def twisted(
    positions: np.ndarray, problem: Problem, rng: np.random.Generator
) -> np.ndarray:
    """One side turned against the other about an axis through the middle."""
    count = positions.shape[2]
    axes = _directions(rng, count)
    height = _heights(positions, axes)
    rank = np.argsort(np.argsort(height, axis=0), axis=0) + 0.5
    turned = rank > rng.uniform(*TWIST, size=count) * len(height)
    angles = rng.uniform(LEAST_TURN, 2 * np.pi - LEAST_TURN, size=count)
    around = _turned(positions, axes * angles)
    return problem.with_fixed(np.where(turned, around, positions))


def slid(
    positions: np.ndarray, problem: Problem, rng: np.random.Generator
) -> np.ndarray:
    """All placed atoms together elsewhere on their surface, perhaps turned about it.

    A cluster of the right shape on the wrong sites of the surface reaches the right
    ones, which its atoms cannot reach one by one.
    """
    normal, count = problem.sought.normal, positions.shape[2]
    assert normal is not None
    along = _directions(rng, count)
    along -= normal[:, None] * (normal @ along)
    along /= np.linalg.norm(along, axis=0)
    shift = rng.uniform(*SLIDE, size=count) * along + LIFT * normal[:, None]
    angles = rng.uniform(0, 2 * np.pi, size=count) * (rng.random(count) < TURNED)
    turned = _turned(positions[:, problem.placed], np.outer(normal, angles))
    changed = np.array(positions)
    changed[:, problem.placed] = turned + problem.length * shift[:, None]
    return problem.with_fixed(changed)


def _turned(positions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Structures turned about their middle by rotation vectors ``(3, batch)``."""
    matrices = Rotation.from_rotvec(vectors.T).as_matrix()
    middle = np.mean(positions, axis=1, keepdims=True)
    return np.einsum("kab,bnk->ank", matrices, positions - middle) + middle


def _directions(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Unit vectors uniform on the sphere, ``(3, *shape)``."""
    vectors = rng.normal(size=(3, *shape))
    return vectors / np.linalg.norm(vectors, axis=0)


def _heights(positions: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """How far atoms lie along a direction of each structure, ``(n, batch)``."""
    middle = np.mean(positions, axis=1, keepdims=True)
    return np.einsum("ak,ank->nk", directions, positions - middle)


def _looseness(
    positions: np.ndarray, problem: Problem, noise: np.ndarray
) -> np.ndarray:
    """Neighbours of each atom plus noise, ``(n, batch)``; inf for atoms that stay."""
    apart = positions[:, :, None] - positions[:, None, :]
    if problem.regional and problem.cell is not None:
        apart = nearest_images(apart, problem.cell)
    reach = BOND * problem.length
    near = np.sum(np.sum(apart * apart, axis=0) < reach * reach, axis=1)
    loose = near + noise
    loose[~problem.placed] = np.inf
    return loose


def moved_outside(
    positions: np.ndarray, problem: Problem, rng: np.random.Generator
) -> np.ndarray:
    """The one to three atoms with the fewest neighbours, put elsewhere outside."""
    n, count = positions.shape[1:]
    loose = _looseness(positions, problem, rng.uniform(size=(n, count)))
    rank = np.argsort(np.argsort(loose, axis=0), axis=0)
    moves = rank < rng.integers(1, MOVED + 1, size=count)
    moves &= problem.placed[:, None]
    centre = positions.mean(axis=1, keepdims=True)
    radius = np.sqrt(np.max(np.sum((positions - centre) ** 2, axis=0), axis=0))
    direction = _directions(rng, n, count)
    outside = np.where(moves, centre + radius * direction, positions)
    return problem.with_fixed(outside)


def shuffled(
    positions: np.ndarray, problem: Problem, rng: np.random.Generator
) -> np.ndarray:
    """Some loosely bound atoms at vacant sites drawn at random."""
    n, count = positions.shape[1:]
    loose = _looseness(positions, problem, rng.uniform(0, CHANCE, size=(n, count)))
    free = int(problem.placed.sum())
    most = min(1 + free // SHUFFLED, free)
    sites = vacant_sites(positions, problem.length, problem.cell, barred_in(problem))
    changed = np.array(positions)
    for k in range(count):
        own = np.flatnonzero(sites.owners == k)
        number = min(int(rng.integers(1, most + 1)), len(own))
        atoms = np.argsort(loose[:, k], kind="stable")[:number]
        chosen = rng.permutation(own)[:number]
        changed[:, atoms, k] = sites.positions[:, chosen]
    return problem.with_fixed(changed)


def swapped(
    positions: np.ndarray, problem: Problem, rng: np.random.Generator
) -> np.ndarray:
    """A few unlike atoms exchanged at random."""
    return random_exchanges(
        positions, problem.species, rng, most=SWAPS, movable=problem.movable
    )
