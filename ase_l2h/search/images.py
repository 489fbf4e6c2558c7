"""Clusters in a periodic cell, whose images must not meet."""

from __future__ import annotations

from itertools import product

import numpy as np

__all__ = ["CONTACT", "images_apart"]

# Images at this many bond lengths are not bonded.
CONTACT = 1.5


def images_apart(
    positions: np.ndarray, lattice: np.ndarray, reach: float
) -> np.ndarray:
    """Which clusters are farther than ``reach`` from their periodic images.

    Parameters
    ----------
    positions
        ``(3, n, batch)``.
    lattice
        One to three lattice vectors as rows.
    reach
        Least distance of an atom from an image of any atom.

    Returns
    -------
    numpy.ndarray
        Mask ``(batch,)``.
    """
    positions = np.asarray(positions, float)
    apart = np.ones(positions.shape[2], bool)
    radii = np.linalg.norm(positions - positions.mean(axis=1, keepdims=True), axis=0)
    widths = 2 * np.max(radii, axis=0) + reach
    # Opposite translations show the same distances.
    steps = [s for s in product((-1, 0, 1), repeat=len(lattice)) if s > (0,) * len(s)]
    shifts = np.array(steps) @ lattice
    for b in np.flatnonzero(widths > np.min(np.linalg.norm(shifts, axis=1))):
        place = positions[..., b]
        between = place[:, :, None] - place[:, None, :]
        far = between[:, None] + shifts.T[:, :, None, None]
        apart[b] = bool(np.min(np.sum(far**2, axis=0)) > reach**2)
    return apart
