"""The region that a user gives, in which free atoms are sought."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from ase_l2h.errors import InputError
from ase_l2h.starts.region import Box
from ase_l2h.system import with_open_directions

__all__ = ["region_of"]


def region_of(region: Any, atoms: Atoms, centre: np.ndarray) -> Box | None:
    """A region in the coordinates of a search.

    Parameters
    ----------
    region
        ``(low, high)``: heights above the origin, along the normal of the two
        directions that are periodic, or of the first two where all are. Or
        ``(corner, vectors)``, a parallelepiped as ASE's genetic algorithm has it. None
        stays None.
    atoms
        Supply cell and periodicity.
    centre
        Where the origin of the search lies, ``(3,)``.

    Raises
    ------
    InputError
        For anything else, and heights where there is no surface.
    """
    if region is None:
        return None
    wrong = InputError(
        "region takes two heights (low, high), or a corner and three vectors "
        "((x, y, z), [v1, v2, v3])"
    )
    try:
        first, second = region
        corner, vectors = np.asarray(first, float), np.asarray(second, float)
    except (TypeError, ValueError):
        raise wrong from None
    if corner.shape == () and vectors.shape == ():
        corner, vectors = _between(float(corner), float(vectors), atoms)
    elif corner.shape != (3,) or vectors.shape != (3, 3):
        raise wrong
    lattice = None
    if atoms.pbc.any():
        lattice = with_open_directions(atoms.cell.array, atoms.pbc.tolist())
    return Box(corner - centre, vectors, lattice)


def _between(low: float, high: float, atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Corner and edges of the layer between two heights above a surface."""
    if np.count_nonzero(atoms.pbc) < 2:
        raise InputError(
            "two heights need a surface, which is periodic in two directions; give a "
            "corner and three vectors"
        )
    if not low < high:
        raise InputError(f"the region from {low} to {high} is empty; give low < high")
    flat = np.array([True, True, False]) if atoms.pbc.all() else atoms.pbc
    rows = np.array(atoms.cell.array[flat], float)
    third = int(np.flatnonzero(~flat)[0])
    # Right-handed cells, as usual for surfaces: up is the side of the third vector.
    normal = np.cross(rows[0], rows[1]) * (-1 if third == 1 else 1)
    normal = normal / np.linalg.norm(normal)
    return low * normal, np.array([*rows, (high - low) * normal])
