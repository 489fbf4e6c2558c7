"""Which places are taken by atoms, by a table of voxels.

A voxel is marked if a single atom takes all of its points. One look-up then replaces
the distances to all atoms.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

__all__ = ["taken_voxels"]

# Edge of a voxel in bond lengths, the most voxels from the middle of a cluster along an
# axis, and the most of a cell that a table has.
VOXEL = 0.2
MOST_VOXELS = 64
MOST_MARKS = 2**26


def taken_voxels(
    points: np.ndarray, cell: np.ndarray | None, blocks: np.ndarray, radius: float
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A cheap test whether places ``(3, s)`` of structures ``(s,)`` are taken.

    A place near the border of what an atom takes may be missed.

    Parameters
    ----------
    points
        Atoms ``(3, b, n)`` in bond lengths and single precision; clusters are centred.
    cell
        Lattice vectors as rows, None for clusters.
    blocks
        Atoms that take places, ``(b, n)``.
    radius
        Within this distance of them.
    """
    b = points.shape[1]
    if cell is None:
        # The margin: no atom marks voxels beyond the table.
        half = np.ceil(np.max(np.abs(points), axis=(1, 2)) / VOXEL).astype(int) + 5
        shape = 2 * np.minimum(half, MOST_VOXELS)
        edges = VOXEL * np.eye(3)
    else:
        shape = np.ceil(np.linalg.norm(cell, axis=1) / VOXEL).astype(int)
        edges = cell / shape[:, None]
    inverse = np.linalg.inv(edges).T.astype(np.float32)
    nx, ny, nz = shape.tolist()
    outside = b * nx * ny * nz

    def voxel(owner: np.ndarray, places: np.ndarray, margin: int = 0) -> np.ndarray:
        """Numbers of voxels; the last number is for all places outside."""
        at = np.floor(inverse @ places.reshape(3, -1)).astype(np.int32)
        if cell is not None:
            x, y, z = np.mod(at, shape[:, None].astype(np.int32))
            return ((owner * nx + x) * ny + y) * nz + z
        x, y, z = at + (shape[:, None] // 2).astype(np.int32)
        inside = np.minimum(np.minimum(x, y), z) >= margin
        inside &= (x < nx - margin) & (y < ny - margin) & (z < nz - margin)
        return np.where(inside, ((owner * nx + x) * ny + y) * nz + z, outside)

    steps = _steps(tuple(edges.ravel().tolist()), radius)
    owner, atom = np.nonzero(blocks)
    if cell is None:
        centre = voxel(owner, points[:, owner, atom], 4)
        centre = centre[centre < outside]
        marked = np.zeros(outside + 1, bool)
        marked[centre[:, None] + (steps[0] * ny + steps[1]) * nz + steps[2]] = True
    else:
        places = points[:, owner, atom][:, :, None] + (edges.T @ steps)[:, None]
        numbers = voxel(np.repeat(owner, steps.shape[1]), places)
        if outside > MOST_MARKS:
            # In a wide cell almost all voxels are free, and a table fills memory.
            taken = np.unique(numbers)
            return lambda owner, places: np.isin(voxel(owner, places), taken)
        marked = np.zeros(outside + 1, bool)
        marked[numbers] = True
    return lambda owner, places: marked[voxel(owner, places)]


@lru_cache(maxsize=64)
def _steps(edges: tuple[float, ...], radius: float) -> np.ndarray:
    """Steps ``(3, m)`` from the voxel of an atom to those that it takes completely."""
    sides = np.reshape(edges, (3, 3))
    steps = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3)).reshape(3, -1)
    # Two points in voxels k steps apart are at most k + 1 steps apart.
    corners = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1)
    ends = np.einsum("ka,kmc->amc", sides, steps[:, :, None] + corners[:, None])
    return steps[:, np.max(np.sum(ends**2, axis=0), axis=1) < radius**2]
