"""Tables of the neighbours of atoms, for the potential that a search learns.

In a free cluster all other atoms are neighbours. In a periodic cell, or on a surface,
those within a cut-off are, each image separately.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ase_l2h.potentials.gupta import ONSET
from ase_l2h.search.problem import Problem
from ase_l2h.system import periodic_images

__all__ = ["RANGE", "Fade", "Pairs", "faded", "pairs_of", "range_of"]

# Cut-off of the learned potential in a cell, in bond lengths: second neighbours of a
# close packing, at 1.41, count in full.
RANGE = 2.0
# Images of atoms that are looked at together, which bounds the memory.
MOST_PAIRS = 1_000_000


class Pairs(NamedTuple):
    """Neighbours of the atoms of some structures.

    Attributes
    ----------
    vectors
        From the neighbour to the atom, ``(m, 3, n, k)``.
    distances
        ``(m, n, k)``; ``inf`` where an atom has fewer neighbours than others.
    partners
        Index of the neighbour, ``(m, n, k)``; None if the k-th is the atom k.
    """

    vectors: np.ndarray
    distances: np.ndarray
    partners: np.ndarray | None

    def of_partner(self, values: np.ndarray) -> np.ndarray:
        """Values of atoms ``(m, n)`` for each neighbour, to broadcast ``(m, n, k)``."""
        if self.partners is None:
            return values[:, None, :]
        structures = np.arange(len(values))[:, None, None]
        return values[structures, self.partners]

    def kinds(
        self, species: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Index arrays of tables of pairs of species, for some of the atoms."""
        if self.partners is None:
            return species[rows][:, None], species[None, :]
        return species[rows][:, None], species[self.partners[:, rows]]

    def of(self, rows: np.ndarray) -> Pairs:
        """The neighbours of some of the atoms."""
        partners = None if self.partners is None else self.partners[:, rows]
        return Pairs(self.vectors[:, :, rows], self.distances[:, rows], partners)

    def beside(self, moving: np.ndarray) -> np.ndarray:
        """Mask ``(n,)`` of the atoms of a mask, and of all that ever neighbour them."""
        if self.partners is None:
            return np.ones(len(moving), bool)
        near = moving[self.partners] & np.isfinite(self.distances)
        return moving | np.any(near, axis=(0, 2))

    def units(self) -> np.ndarray:
        """Unit vectors ``(m, 3, n, k)``; zero of atoms that coincide."""
        apart = np.where(self.distances > 0, self.distances, np.inf)
        return self.vectors / apart[:, None]


class Fade(NamedTuple):
    """A smooth cut-off: its value, and derivatives by the distance."""

    value: np.ndarray | float
    slope: np.ndarray | float
    bend: np.ndarray | float


def range_of(problem: Problem) -> float | None:
    """The cut-off of the learned potential in bond lengths; None in free clusters."""
    return None if problem.system.cell is None else RANGE


def faded(distances: np.ndarray, reach: float | None) -> Fade:
    """The smooth cut-off of :class:`~ase_l2h.potentials.gupta.Gupta`; None has none."""
    if reach is None:
        return Fade(1.0, 0.0, 0.0)
    end, begins = reach**2, (ONSET * reach) ** 2
    square = np.minimum(distances, reach) ** 2
    scale = np.where(square < begins, 0.0, (end - begins) ** -3)
    value = (end - square) ** 2 * (end + 2 * square - 3 * begins) * scale
    # By the squared distance s: w' = -6 (e - s) (s - b), w'' = 6 (2 s - e - b).
    first = -6 * (end - square) * (square - begins) * scale
    second = np.where(square < end, 6 * (2 * square - end - begins), 0.0) * scale
    return Fade(
        np.where(square < begins, 1.0, value),
        2 * np.sqrt(square) * first,
        2 * first + 4 * square * second,
    )


def pairs_of(points: np.ndarray, cell: np.ndarray | None, reach: float) -> Pairs:
    """Neighbours in structures ``(m, 3, n)``.

    In a ``cell``, those within ``reach``; without one, all.
    """
    if cell is None:
        return _all_pairs(points)
    images = periodic_images(cell, reach)
    found = [_within(each, cell, images, reach) for each in points]
    most = max((each[0].max(initial=0) for each in found), default=0)
    shape = (len(points), points.shape[2], int(most))
    # Any direction will do where there is no neighbour.
    vectors = np.zeros((shape[0], 3, *shape[1:]))
    distances, partners = np.full(shape, np.inf), np.zeros(shape, int)
    for m, (counts, owners, others, ways) in enumerate(found):
        slot = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        vectors[m, :, owners, slot] = ways
        distances[m, owners, slot] = np.linalg.norm(ways, axis=1)
        partners[m, owners, slot] = others
    return Pairs(vectors, distances, partners)


def _all_pairs(points: np.ndarray) -> Pairs:
    """All other atoms of free clusters ``(m, 3, n)``."""
    vectors = points[:, :, :, None] - points[:, :, None, :]
    distances = np.sqrt(np.sum(vectors**2, axis=1))
    itself = np.arange(points.shape[2])
    distances[:, itself, itself] = np.inf
    return Pairs(vectors, distances, None)


def _within(
    points: np.ndarray, cell: np.ndarray, images: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours of each atom, how many; and of each pair both atoms and the vector."""
    n, inverse = points.shape[1], np.linalg.inv(cell)
    together = max(1, MOST_PAIRS // (n * len(images)))
    parts = []
    for first in range(0, n, together):
        ways = points.T[first : first + together, None] - points.T[None]
        ways -= np.round(ways @ inverse) @ cell
        shifted = ways[:, :, None] + images
        near = np.sum(shifted**2, axis=-1) < reach * reach
        itself = np.arange(len(near))
        # The first image is the unshifted one.
        near[itself, first + itself, 0] = False
        owners, others, image = np.nonzero(near)
        parts.append((first + owners, others, shifted[owners, others, image]))
    owners, others, vectors = (
        np.concatenate(each) for each in zip(*parts, strict=True)
    )
    return np.bincount(owners, minlength=n), owners, others, vectors
