"""Fingerprints of many structures at once: which packing, whatever the species.

A bond whose two atoms have five common neighbours runs along a five-fold axis: there
are none in close packing, a few along the axis of a decahedron, more in icosahedra and
most in polyicosahedra. Binned, their number is the *motif class* of a structure. The
histogram of its coordination numbers tells geometries of one class apart.

Common neighbours: J. D. Honeycutt and H. C. Andersen, J. Phys. Chem. 91, 4950 (1987).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = [
    "BOND",
    "MOTIF_BINS",
    "Fingerprints",
    "fingerprints",
    "nearest_images",
    "squared_distances",
]

# Atoms are bonded within so many bond lengths: between the first and the second shell
# of close packing.
BOND = 1.25
# Fewest bonds with five common neighbours of each motif class but the first.
MOTIF_BINS = (1, 6, 15, 25, 33, 41)
# Coordination numbers from 0 to this or more.
SHAPE = 16
# Pairs of atoms that are looked at together: what fits in the cache.
PAIRS = 2**18


class Fingerprints(NamedTuple):
    """Of a batch: motif class ``(batch,)`` and coordination numbers ``(batch, 16)``."""

    motif: np.ndarray
    shape: np.ndarray


def fingerprints(
    positions: np.ndarray, length: float, cell: np.ndarray | None = None
) -> Fingerprints:
    """Motif class, and histogram of coordination numbers, of every structure.

    Parameters
    ----------
    positions
        ``(3, n, batch)``.
    length
        Of a bond, in the units of the positions.
    cell
        Lattice vectors as rows, see :func:`nearest_images`; None for clusters.

    Returns
    -------
    Fingerprints
        The same for one structure whatever else is in the batch. Coordination numbers
        of 15 and more count as one.
    """
    n, batch = positions.shape[1:]
    motif = np.zeros(batch, np.int64)
    shape = np.zeros((batch, SHAPE), np.int64)
    size = max(1, PAIRS // max(1, n * n))
    for first in range(0, batch, size):
        part = slice(first, min(first + size, batch))
        bonded = _bonded(positions[..., part], BOND * length, cell)
        adjacency = bonded.astype(np.float32)
        common = adjacency @ adjacency
        fivefold = np.count_nonzero((common == 5) & bonded, axis=(1, 2)) // 2
        motif[part] = np.searchsorted(MOTIF_BINS, fivefold, "right")
        near = np.minimum(np.count_nonzero(bonded, axis=2), SHAPE - 1)
        place = near + SHAPE * np.arange(len(near))[:, None]
        counts = np.bincount(place.ravel(), minlength=SHAPE * len(near))
        shape[part] = counts.reshape(-1, SHAPE)
    return Fingerprints(motif, shape)


def _bonded(positions: np.ndarray, reach: float, cell: np.ndarray | None) -> np.ndarray:
    """Which atoms are bonded, ``(batch, n, n)``; none at positions not finite."""
    points = np.ascontiguousarray(np.moveaxis(positions, -1, 1), np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        if cell is None:
            squared = np.zeros((*points.shape[1:], points.shape[2]))
            for along in points:
                difference = along[:, :, None] - along[:, None, :]
                difference *= difference
                squared += difference
        else:
            apart = points[:, :, None, :] - points[:, :, :, None]
            squared = np.sum(nearest_images(apart, cell) ** 2, axis=0)
        bonded = squared < reach * reach
    atoms = np.arange(points.shape[2])
    bonded[:, atoms, atoms] = False
    return bonded


def squared_distances(positions: np.ndarray) -> np.ndarray:
    """Of all pairs in clusters ``(3, n, batch)``, ``(batch, n, n)``.

    By matrix products, which hold nothing large; right to rounding of the squares of
    the positions, so that those of coinciding atoms may lie a little below 0.
    """
    points = np.moveaxis(positions, -1, 0).astype(np.float64)
    squares = np.sum(points * points, axis=1)
    squared = -2 * np.moveaxis(points, 1, 2) @ points
    squared += squares[:, :, None] + squares[:, None, :]
    return squared


def nearest_images(difference: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Differences ``(3, ...)`` of positions, to the nearest periodic image.

    Parameters
    ----------
    difference
        ``(3, ...)``.
    cell
        Lattice vectors as rows. The image is the nearest one wherever that is less than
        half the smallest height of the cell away.
    """
    cell = np.asarray(cell, np.float64)
    flat = difference.reshape(3, -1)
    turns = np.round(np.linalg.inv(cell).T @ flat)
    return (flat - cell.T @ turns).reshape(difference.shape)
