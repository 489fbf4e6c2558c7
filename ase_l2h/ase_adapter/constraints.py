"""ASE's constraints as a mask of Cartesian coordinates, or the reason why not."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import (
    FixAtoms,
    FixCartesian,
    FixedLine,
    FixedPlane,
    FixScaled,
)

from ase_l2h.errors import InputError

__all__ = ["free_mask"]

# Entries of a projection that differ by less are equal.
ALIGNED = 1e-9


def free_mask(atoms: Atoms) -> np.ndarray | None:
    """Which coordinates may move, ``(3, n)``; None when all may.

    ``FixAtoms`` and ``FixCartesian`` are masks already. ``FixScaled``, ``FixedPlane``
    and ``FixedLine`` are allowed if their free directions lie along the Cartesian axes.

    Raises
    ------
    InputError
        For any other constraint, and when nothing is left to move.
    """
    free = np.ones((3, len(atoms)), dtype=bool)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            fixed = np.ones(3, bool)
        elif isinstance(constraint, FixCartesian):
            fixed = np.asarray(constraint.mask, bool)
        elif isinstance(constraint, FixScaled):
            fixed = _along_vectors(constraint, np.asarray(atoms.cell.array))
        elif isinstance(constraint, FixedPlane | FixedLine):
            fixed = _along_direction(constraint)
        else:
            raise InputError(
                f"the constraint {type(constraint).__name__} is not supported; fix "
                "whole atoms or Cartesian coordinates, or remove it"
            )
        index = np.atleast_1d(constraint.index)
        if index.size and not -len(atoms) <= index.min() <= index.max() < len(atoms):
            raise InputError(
                f"{type(constraint).__name__} has atom {int(np.max(np.abs(index)))}, "
                f"and the structure only {len(atoms)}, counted from 0; correct it"
            )
        free[np.ix_(np.flatnonzero(fixed), index)] = False
    if free.all():
        return None
    if not free.any():
        raise InputError(
            "every atom is fixed, so nothing can move; remove a constraint"
        )
    return free


def _along_vectors(constraint: Any, cell: np.ndarray) -> np.ndarray:
    """Cartesian coordinates fixed by fixed fractional ones."""
    if np.all(constraint.mask):
        return np.ones(3, bool)
    kept = np.diag(1.0 - np.asarray(constraint.mask, float))
    if abs(np.linalg.det(cell)) > 0:
        inverse = np.linalg.inv(cell)
        # The projections that ASE applies to a displacement, and to a force.
        left = inverse @ kept @ cell, cell @ kept @ inverse
        free = np.round(np.diag(left[0]))
        if all(np.allclose(each, np.diag(free), atol=ALIGNED) for each in left):
            return free == 0
    marks = " ".join("F" if fixed else "T" for fixed in constraint.mask)
    raise InputError(
        f"atom {int(constraint.index[0])} may move only along some lattice vectors "
        f"({marks} of selective dynamics), and these do not lie along x, y and z; "
        "fix whole atoms, or rotate the cell"
    )


def _along_direction(constraint: Any) -> np.ndarray:
    """Coordinates that are fixed by a plane's normal or a line."""
    axis = np.abs(np.asarray(constraint.dir, float))
    along = axis > ALIGNED
    if np.count_nonzero(along) != 1:
        raise InputError(
            f"the {type(constraint).__name__} of atom {int(constraint.index[0])} is "
            "not along x, y or z; rotate the structure, or fix whole atoms"
        )
    return along if isinstance(constraint, FixedPlane) else ~along
