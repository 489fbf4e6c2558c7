"""Fragments of ordered packings: starting structures that are pieces of order.

The packings are infinite, or practically so. The position of its middle and its shape
decide what a fragment is like; no size has its own packing.

=============  =====================================================================
icosahedron    twenty fcc tetrahedra around a point, strained to fill space; in shells
               (A. L. Mackay, Acta Cryst. 15, 916 (1962))
decahedron     five fcc wedges around a line, strained to fill space
               (C. L. Bagley, Nature 208, 674 (1965))
fcc, hcp       the two close packings of spheres
twin           fcc on either side of a twin plane
a15, laves     tetrahedral close packings: Cr3Si and the cubic Laves phase MgCu2, in
               which every hole is a tetrahedron, as in polyicosahedra
               (F. C. Frank and J. S. Kasper, Acta Cryst. 11, 184 (1958))
bcc            the body-centred cubic lattice
=============  =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np

__all__ = ["DEFAULT_PACKINGS", "PACKINGS", "cut", "fragments", "packing"]

# Largest distance of a fragment's middle from that of its packing, along each axis.
SHIFT = 0.8
# Tie-breaker, times the index of a point, added to its squared distance; below the
# rounding of these.
TIE = 1e-14
# Range of the factor by which distances along z are stretched.
STRETCH = (0.75, 1.35)
GOLDEN = (1 + 5**0.5) / 2
SQRT2, SQRT3 = 2**0.5, 3**0.5


def _lattice(vectors: np.ndarray, basis: np.ndarray, radius: float) -> np.ndarray:
    """Points of a crystal within ``radius`` of its first atom, ``(k, 3)``."""
    heights = 1 / np.linalg.norm(np.linalg.inv(vectors), axis=0)
    reach = np.ceil((radius + np.abs(vectors).sum()) / heights).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach]), axis=-1)
    points = grid.reshape(-1, 1, 3) @ vectors + basis @ vectors
    points = points.reshape(-1, 3) - basis[0] @ vectors
    return points[np.sum(points**2, axis=1) <= radius**2]


def _layers(stacking: Callable[[np.ndarray], np.ndarray], radius: float) -> np.ndarray:
    """Close-packed layers, each in the position 0, 1 or 2 given by ``stacking``."""
    reach = int(radius) + 2
    level, i, j = (
        a.ravel() for a in np.meshgrid(*[np.arange(-2 * reach, 2 * reach + 1)] * 3)
    )
    place = stacking(level)
    points = np.stack(
        [
            i + j / 2 + place / 2,
            j * SQRT3 / 2 + place / (2 * SQRT3),
            level * (2 / 3) ** 0.5,
        ],
        axis=1,
    )
    return points[np.sum(points**2, axis=1) <= radius**2]


def _fcc(radius: float) -> np.ndarray:
    vectors = np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]) / SQRT2
    return _lattice(vectors, np.zeros((1, 3)), radius)


def _hcp(radius: float) -> np.ndarray:
    return _layers(lambda level: level % 2, radius)


def _twin(radius: float) -> np.ndarray:
    return _layers(lambda level: np.abs(level) % 3, radius)


def _bcc(radius: float) -> np.ndarray:
    basis = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]])
    # Both shells, of 8 and 6 atoms, count as neighbours; their mean distance is 1.
    return _lattice(np.eye(3) * 14 / (4 * SQRT3 + 6), basis, radius)


def _a15(radius: float) -> np.ndarray:
    chains = [[0.25, 0, 0.5], [0.75, 0, 0.5], [0.5, 0.25, 0],
              [0.5, 0.75, 0], [0, 0.5, 0.25], [0, 0.5, 0.75]]  # fmt: skip
    basis = np.array([[0, 0, 0], [0.5, 0.5, 0.5], *chains])
    return _lattice(1.74 * np.eye(3), basis, radius)


def _laves(radius: float) -> np.ndarray:
    fcc = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    small = [[0.625, 0.625, 0.625], [0.375, 0.875, 0.125],
             [0.875, 0.125, 0.375], [0.125, 0.375, 0.875]]  # fmt: skip
    small = (np.array(small)[:, None] + fcc).reshape(-1, 3)
    large = np.concatenate([fcc, fcc + 0.25])
    # The origin is a small atom, the centre of an icosahedron.
    return _lattice(2.5 * np.eye(3), np.concatenate([small, large]), radius)


def _decahedron(radius: float) -> np.ndarray:
    """Wedges of planes ``i a + j b`` between neighbouring directions a and b."""
    reach = np.arange(int(2 * radius) + 2)
    # i starts at 1, so atoms along b are counted only once, in the next wedge.
    i, j = (a.ravel() for a in np.meshgrid(reach[1:], reach))
    turns = 2 * np.pi / 5 * np.arange(6)
    along = SQRT3 / 2 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    level = np.arange(-int(radius) - 1, int(radius) + 2)
    z = level[:, None] + ((i + j) % 2) / 2
    points = [np.stack([0 * level, 0 * level, level], axis=1).astype(float)]
    for a, b in pairwise(along):
        flat = np.broadcast_to(i[:, None] * a + j[:, None] * b, (*z.shape, 2))
        points.append(np.concatenate([flat, z[..., None]], axis=2).reshape(-1, 3))
    found = np.concatenate(points)
    return found[np.sum(found**2, axis=1) <= radius**2]


def _icosahedron(radius: float) -> np.ndarray:
    """Shells of triangles between the twelve vertices, one of them along z."""
    turns = 2 * np.pi / 5 * np.arange(5)
    ring = np.stack([2 * np.cos(turns), 2 * np.sin(turns), 1 + 0 * turns], axis=1)
    upper = np.concatenate([[[0, 0, 1.0]], ring / 5**0.5])
    vertices = np.concatenate([upper, -upper])
    edge = 2 / (1 + GOLDEN**2) ** 0.5
    near = np.linalg.norm(vertices[:, None] - vertices, axis=-1) < 1.1 * edge
    faces = [
        triple
        for triple in combinations(range(12), 3)
        if all(near[a, b] for a, b in combinations(triple, 2))
    ]
    points = [np.zeros((1, 3))]
    for shell in range(1, int(radius / 0.8) + 2):
        a, b = np.meshgrid(np.arange(shell + 1), np.arange(shell + 1))
        weights = np.stack([a, b, shell - a - b], axis=-1).reshape(-1, 3)
        weights = weights[weights[:, 2] >= 0]
        surface = weights @ vertices[np.array(faces)]
        # Atoms on edges and vertices belong to several faces.
        points.append(np.unique(np.round(surface.reshape(-1, 3), 9), axis=0))
    # Bonds between shells are five per cent shorter than those within a shell, and
    # equally many: the mean of both becomes 1.
    found = np.concatenate(points) * 2 / (1 + edge)
    return found[np.sum(found**2, axis=1) <= radius**2]


# Points within a radius of the middle, with bonds of length 1 on average.
PACKINGS: dict[str, Callable[[float], np.ndarray]] = {
    "icosahedron": _icosahedron,
    "decahedron": _decahedron,
    "fcc": _fcc,
    "twin": _twin,
    "hcp": _hcp,
    "a15": _a15,
    "laves": _laves,
    "bcc": _bcc,
}
# The lowest packings of clusters of simple pair potentials and metals; icosahedra and
# decahedra contain twin planes and hcp islands.
DEFAULT_PACKINGS = ("icosahedron", "decahedron", "fcc")


@lru_cache(maxsize=64)
def packing(name: str, n_atoms: int) -> np.ndarray:
    """A piece of a packing with room for all fragments of ``n_atoms``, ``(k, 3)``.

    All points within a radius of the middle. The middle of a lattice is an atom, that
    of the decahedron its axis, that of the icosahedron its centre.
    """
    # Radius of the ball filled by close-packed atoms; the factor allows for the
    # ellipsoid's worst shape.
    ball = (3 * n_atoms / (4 * np.pi * SQRT2)) ** (1 / 3)
    points = PACKINGS[name](1.5 * ball + 2 * SHIFT + 0.5)
    points.flags.writeable = False
    return points


def cut(
    points: np.ndarray, n_atoms: int, centres: np.ndarray, stretches: np.ndarray
) -> np.ndarray:
    """The atoms nearest to a centre, in an ellipsoid along z: ``(3, n, count)``.

    Parameters
    ----------
    points
        Of a packing, ``(k, 3)``.
    n_atoms
        How many are cut out.
    centres, stretches
        ``(count, 3)``, and ``(count,)`` the factor by which distances along z count.

    Returns
    -------
    numpy.ndarray
        Nearest first, around their centroid.
    """
    axes = np.ones((len(centres), 3))
    axes[:, 2] = stretches**2
    # Squared distances up to a constant, by matrix products.
    squared = axes @ (points**2).T - 2 * (centres * axes) @ points.T
    # Rounded, and ties broken by index: points at equal distance by symmetry stay in
    # the order of the packing.
    squared = np.round(squared, 9) + TIE * np.arange(len(points))
    # Sorting all points, most of which are far away, takes several times longer.
    inside = np.argpartition(squared, n_atoms - 1, axis=1)[:, :n_atoms]
    distances = np.take_along_axis(squared, inside, axis=1)
    order = np.argsort(distances, axis=1)
    nearest = np.take_along_axis(inside, order, axis=1).T
    chosen = np.moveaxis(points[nearest], -1, 0)
    return chosen - chosen.mean(axis=1, keepdims=True)


def fragments(
    n_atoms: int,
    count: int,
    rng: np.random.Generator,
    packings: Sequence[str] = DEFAULT_PACKINGS,
) -> np.ndarray:
    """Random fragments of ordered packings, ``(3, n, count)``, bonds about 1 long.

    Each is what lies nearest to a random point near the middle of one of ``packings``,
    in an ellipsoid of random shape.

    Parameters
    ----------
    n_atoms, count
        Size of the fragments, and how many.
    rng
        Everything follows from it.
    packings
        Names of :data:`PACKINGS`, all equally likely.
    """
    kinds = rng.integers(len(packings), size=count)
    centres = rng.uniform(-SHIFT, SHIFT, size=(count, 3))
    # Every second centre lies on the axis, so that the fragment keeps its symmetry.
    centres[:, :2] *= rng.integers(2, size=count)[:, None]
    stretches = rng.uniform(*STRETCH, size=count)
    found = np.empty((3, n_atoms, count))
    for kind, name in enumerate(packings):
        index = np.flatnonzero(kinds == kind)
        if len(index):
            points = packing(name, n_atoms)
            found[..., index] = cut(points, n_atoms, centres[index], stretches[index])
    return found
