"""Structures assembled piece by piece; each new piece touches the others.

Electronic-structure codes converge for bonded atoms, and seldom for separate ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

__all__ = ["atoms_in_a_heap", "docked", "heaped", "turned"]

# Most tries of docking, of which the most compact is taken.
DOCKINGS = 6
# Range of the contact distance in a heap of atoms, in sums of their sizes.
LOOSE = (1.0, 1.25)


def turned(points: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Points ``(3, k)`` rotated about their middle by a matrix."""
    middle = points.mean(axis=1, keepdims=True)
    return turn @ (points - middle) + middle


def heaped(
    place: np.ndarray,
    pieces: Sequence[np.ndarray],
    sizes: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Pieces of a structure ``(3, n)``, in any order, each docked to those before it.

    Parameters
    ----------
    place
        The structure that supplies the shapes of the pieces.
    pieces
        The atoms of each piece.
    sizes
        Atoms of two pieces are at least the sum of their sizes apart, ``(n,)``.
    rng
        Decides everything random.
    """
    place, placed = np.array(place, float), np.zeros(0, int)
    for number in rng.permutation(len(pieces)):
        piece = pieces[number]
        if placed.size:
            place[:, piece] = docked(place, placed, piece, sizes, rng)
        placed = np.concatenate([placed, piece])
    return place


def atoms_in_a_heap(
    sizes: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Single atoms in ``count`` heaps, about their middle, ``(3, n, count)``.

    Some heaps are looser, because bonds are longer where atoms have many.
    """
    n, heaps = len(sizes), np.zeros((3, len(sizes), count))
    pieces = [np.array([k]) for k in range(n)]
    for k in range(count):
        loose = rng.uniform(*LOOSE) * sizes
        heaps[..., k] = heaped(np.zeros((3, n)), pieces, loose, rng)
    return heaps - heaps.mean(axis=1, keepdims=True)


def docked(
    place: np.ndarray,
    others: np.ndarray,
    piece: np.ndarray,
    sizes: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """A piece rotated at random and moved along a line until it touches the others.

    Of several tries, the one nearest to the middle of the others; ``(3, k)``.
    """
    held, best, nearest = place[:, others], place[:, piece], np.inf
    contact = sizes[piece][:, None] + sizes[others]
    middle = held.mean(axis=1, keepdims=True)
    for _ in range(int(rng.integers(1, DOCKINGS + 1))):
        moved = turned(place[:, piece], Rotation.random(None, rng).as_matrix())
        moved += held[:, [rng.integers(len(others))]] - moved.mean(axis=1)[:, None]
        line = rng.normal(size=3)
        line /= np.linalg.norm(line)
        # The step t at which each pair touches: |apart + t line| = contact.
        apart = moved[:, :, None] - held[:, None, :]
        along = np.einsum("a,aij->ij", line, apart)
        room = contact**2 - np.sum(apart**2, axis=0) + along**2
        steps = np.where(room > 0, np.sqrt(np.maximum(room, 0.0)) - along, -np.inf)
        moved += max(0.0, float(np.max(steps))) * line[:, None]
        distance = float(np.linalg.norm(moved.mean(axis=1) - middle[:, 0]))
        if distance < nearest:
            best, nearest = moved, distance
    return best
