"""How structures end: converged, still running, in pieces, without a finite energy."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

__all__ = ["BOND", "Status", "fragmented"]

# Parts of a cluster further apart than this (reduced units) are separate; third
# neighbours in a close packing are at 1.73.
BOND = 2.0
# Pairs treated together: an array of a few megabytes.
PAIRS = 2**20


class Status(enum.IntEnum):
    """How a structure ended.

    ``CONVERGED``: forces below the optimizer's fmax. ``RUNNING``: steps used up before.
    ``FRAGMENTED``: a cluster in two or more pieces. ``NON_FINITE``: no finite energy.
    """

    CONVERGED = 0
    RUNNING = 1
    FRAGMENTED = 2
    NON_FINITE = 3


def fragmented(positions: np.ndarray, length: Any) -> np.ndarray:
    """Whether a free cluster has fallen into pieces more than two lengths apart.

    Connected components of the graph of neighbours, by label propagation with pointer
    jumping: every atom takes the lowest label among its neighbours, then the label of
    the atom that this label names, until nothing changes.

    Parameters
    ----------
    positions
        ``(3, n, *batch)``.
    length
        Unit of length, a number or ``(*batch)``.

    Returns
    -------
    numpy.ndarray
        Booleans ``(*batch)``.
    """
    n, batch = positions.shape[1], positions.shape[2:]
    points = np.moveaxis(positions.reshape((3, n, -1)), -1, 0)
    lengths = np.broadcast_to(np.asarray(length), batch).reshape(-1)
    together = max(1, PAIRS // n**2)
    apart = [
        _apart(points[k : k + together], BOND * lengths[k : k + together])
        for k in range(0, len(points), together)
    ]
    return np.concatenate(apart).reshape(batch)


def _apart(points: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Whether ``(structures, 3, n)`` are in pieces; neighbours are within ``reach``."""
    n = points.shape[2]
    difference = points[:, :, :, None] - points[:, :, None]
    squared = np.einsum("scij,scij->sij", difference, difference)
    bonded = squared < (reach**2)[:, None, None]
    labels = np.broadcast_to(np.arange(n), (len(points), n))
    while True:
        lowest = np.min(np.where(bonded, labels[:, None], n), axis=2)
        lower = np.minimum(labels, lowest)
        lower = np.take_along_axis(lower, lower, axis=1)
        if np.array_equal(lower, labels):
            return np.any(labels != 0, axis=1)
        labels = lower
