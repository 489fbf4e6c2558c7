"""Which atoms in a periodic cell are a cluster with a vacuum on every side."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ase_l2h._internal.arguments import checked_number
from ase_l2h.ase_adapter.convert import unknown_units
from ase_l2h.errors import InputError
from ase_l2h.search.images import CONTACT, images_apart
from ase_l2h.starts.random import start_box
from ase_l2h.starts.region import VACUUM
from ase_l2h.system import with_open_directions

__all__ = ["all_isolated", "isolated"]

# Calculations of clusters and molecules leave more angstrom to the next image; layers
# and molecules of crystals are closer to each other.
LEAST_VACUUM = 6.0
# Positions and cells, in bond lengths, with which no whole structure can be made.
FARTHEST = 1e6


def isolated(
    atoms: Atoms, length_scale: int | float | None = None, *, before: bool = False
) -> Atoms | None:
    """A cluster in a periodic cell, made whole and without the cell.

    Along every periodic direction there must be an empty layer of 2.5 bond lengths,
    and of 6 angstrom where bond lengths follow from covalent radii, and the cell must
    hold random clusters of so many atoms. Atoms that lie across a border of the cell
    are moved by lattice vectors.

    Parameters
    ----------
    atoms
        The structure.
    length_scale
        Length of a bond; from covalent radii when None.
    before
        Whether the atoms have been searched as a cluster in this cell. Then it is
        enough that images are not bonded.

    Returns
    -------
    Atoms or None
        None of what is no such cluster: it is not periodic, has constraints, or its
        images are near.

    Raises
    ------
    InputError
        For a length that is no number, and lattice vectors that are none.
    """
    pbc, length = np.array(atoms.pbc), checked_number("length_scale", length_scale)
    if not pbc.any() or atoms.constraints or len(atoms) < 2:
        return None
    known = length is not None
    if length is None:
        length = unknown_units(atoms.get_chemical_symbols())[0]
    cell, positions = atoms.cell.array, atoms.get_positions()
    for numbers in (cell, positions):
        if not np.all(np.isfinite(numbers)) or np.max(np.abs(numbers)) > (
            FARTHEST * length
        ):
            return None
    lattice = with_open_directions(cell, pbc.tolist())
    if abs(np.linalg.det(lattice)) < 1e-9 * np.prod(np.linalg.norm(lattice, axis=1)):
        return None
    inverse = np.linalg.inv(lattice)
    heights = 1 / np.linalg.norm(inverse, axis=0)
    vacuum = max(VACUUM * length, 0.0 if known else LEAST_VACUUM)
    room = (start_box(len(atoms)) + CONTACT) * length
    fractions = positions @ inverse
    shifts = np.zeros_like(fractions)
    for k in np.flatnonzero(pbc):
        wrapped = np.mod(fractions[:, k], 1)
        ordered = np.sort(wrapped)
        gaps = np.diff(ordered, append=ordered[0] + 1)
        widest = int(np.argmax(gaps))
        if heights[k] < room or (not before and gaps[widest] * heights[k] < vacuum):
            return None
        first = ordered[(widest + 1) % len(ordered)]
        whole = first + np.mod(wrapped - first, 1)
        shifts[:, k] = np.round(whole - fractions[:, k])
    # Most atoms stay where they are.
    shifts -= np.median(shifts, axis=0).round()
    moved = positions + shifts @ lattice
    if not images_apart(moved.T[..., None], cell[pbc], CONTACT * length)[0]:
        return None
    return Atoms(atoms.numbers, moved)


def all_isolated(images: list[Atoms]) -> list[Atoms]:
    """Structures of a file, those of clusters in a periodic cell made whole.

    Raises
    ------
    InputError
        Where only the first is such a cluster.
    """
    if isolated(images[0]) is None:
        return images
    whole = []
    for k, image in enumerate(images):
        alone = isolated(image, before=True)
        if alone is None:
            raise InputError(
                f"structure {k} of the file touches its periodic images, and structure "
                "0 has a vacuum around it; leave one of them out"
            )
        image = image.copy()
        image.set_positions(alone.positions)
        whole.append(image)
    return whole
