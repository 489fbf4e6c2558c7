"""Point group of a free cluster, space group of a crystal.

The point group is found by construction. A rotation or rotoreflection that maps the
centred cluster onto itself is known from the images of two of its atoms. All images of
two atoms from the smallest classes of like atoms at one distance from the centroid are
tried; the mappings of every atom onto a like one are the group, and its name follows
from its order and its axes. No axis is guessed from moments of inertia, which in
clusters are often equal by accident.
"""

from __future__ import annotations

import warnings

import numpy as np
from ase import Atoms
from scipy.spatial.distance import cdist, pdist

from ase_l2h.analysis.bonds import bond_length, require_cluster
from ase_l2h.errors import InputError

__all__ = ["point_group", "space_group", "symmetry_operations"]

# In bond lengths. After a quench in double precision, atoms that symmetry makes equal
# agree to 1e-6; all published Lennard-Jones groups come out with 0.001 as with 0.1.
TOLERANCE = 0.05
# In cube roots of the volume of an atom; spglib finds false symmetries above it.
CRYSTAL_TOLERANCE = 0.01
# By then a tolerance has come down to a billionth.
MAX_REDUCTIONS = 60
# Groups of proper rotations with several axes of order above two, by their order and
# that of their highest axis.
POLYHEDRAL = {(12, 3): "T", (24, 4): "O", (60, 5): "I"}


def point_group(atoms: Atoms, tolerance: float = TOLERANCE) -> str:
    """Point group of a free cluster in Schoenflies notation: ``"Ih"``, ``"C2v"``.

    Linear clusters are ``"D*h"`` or ``"C*v"``, a single atom is ``"Kh"``. Like atoms
    are those of one element, so that an exchange of two unlike atoms lowers the group.
    Neither orientation nor the order of the atoms matters.

    Parameters
    ----------
    atoms
        A free cluster.
    tolerance
        How far an atom may be from the image of its like, in mean bond lengths; half
        the shortest distance at most. Where the mappings within it are no group, as
        when a cluster is almost but not quite symmetric, it is lowered until they are.

    Raises
    ------
    InputError
        For a periodic structure, no atoms, or a tolerance that is not positive.
    """
    require_cluster(atoms)
    if len(atoms) == 1:
        return "Kh"
    centred = atoms.positions - atoms.positions.mean(axis=0)
    if _linear(centred):
        folded = cdist(centred, -centred)
        folded[atoms.numbers[:, None] != atoms.numbers[None, :]] = np.inf
        within = _checked(tolerance) * bond_length(atoms)
        return "D*h" if np.max(np.min(folded, axis=1)) < within else "C*v"
    return _schoenflies(symmetry_operations(atoms, tolerance))


def symmetry_operations(
    atoms: Atoms, tolerance: float = TOLERANCE, *, alike: bool = False
) -> np.ndarray:
    """Orthogonal matrices that map a cluster onto itself about its centroid.

    Parameters
    ----------
    atoms
        A free cluster that is not linear.
    tolerance
        See :func:`point_group`.
    alike
        Take all atoms for like ones: the symmetry of the geometry.

    Returns
    -------
    numpy.ndarray
        ``(order, 3, 3)``; a group, the identity among them.

    Raises
    ------
    InputError
        See :func:`point_group`; also for a linear cluster, whose group is infinite.
    """
    require_cluster(atoms)
    positions = atoms.positions - atoms.positions.mean(axis=0)
    if _linear(positions):
        raise InputError("the atoms lie on a line; the point group is infinite")
    kinds = np.zeros(len(atoms), dtype=int) if alike else atoms.numbers
    # From half the shortest distance on, two atoms could have one image.
    within = min(
        _checked(tolerance) * bond_length(atoms), float(np.min(pdist(positions))) / 2
    )
    for _ in range(MAX_REDUCTIONS):
        found = _mappings(positions, kinds, within)
        if _is_group(found):
            return np.array(list(found.values()))
        within *= 0.7
    return np.eye(3)[None]


def _checked(tolerance: float) -> float:
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise InputError(f"the tolerance is {tolerance}; give a positive number")
    return tolerance


def _linear(centred: np.ndarray) -> bool:
    """Whether all atoms are within a thousandth of the extent of one line."""
    spread = np.linalg.svd(centred, compute_uv=False)
    return len(centred) < 3 or bool(spread[1] <= 1e-3 * spread[0])


# The permutation of the atoms as bytes, and the determinant: in a flat cluster two
# operations permute the atoms alike.
Mapping = tuple[bytes, int]


def _mappings(
    positions: np.ndarray, kinds: np.ndarray, within: float
) -> dict[Mapping, np.ndarray]:
    radii = np.linalg.norm(positions, axis=1)
    like = kinds[:, None] == kinds[None, :]
    alike = like & (np.abs(radii[:, None] - radii[None, :]) < within)
    first, second = _reference_pair(positions, radii, alike.sum(axis=1))
    between = np.linalg.norm(positions[first] - positions[second])
    frame = _frame(positions[first], positions[second])
    found: dict[Mapping, np.ndarray] = {
        (np.arange(len(positions)).tobytes(), 1): np.eye(3)
    }
    for a in np.flatnonzero(alike[first]).tolist():
        for b in np.flatnonzero(alike[second]).tolist():
            apart = np.linalg.norm(positions[a] - positions[b])
            if a == b or abs(apart - between) >= 2 * within:
                continue
            image = _frame(positions[a], positions[b])
            for sign in (1, -1):
                guess = image @ np.diag([1.0, 1.0, sign]) @ frame.T
                outcome = _fit(positions, like, guess, sign, within)
                if outcome is not None:
                    permutation, matrix = outcome
                    found[permutation.tobytes(), sign] = matrix
    return found


def _reference_pair(
    positions: np.ndarray, radii: np.ndarray, class_sizes: np.ndarray
) -> tuple[int, int]:
    """Two atoms of small classes, far from the centroid and not in line with it."""
    # The images of a near pair would fix the orientation badly.
    far = radii > 0.5 * np.max(radii)
    first = int(np.argmin(np.where(far, class_sizes, np.inf)))
    across = np.linalg.norm(np.cross(positions, positions[first]), axis=1)
    well_across = across > 0.5 * np.max(across)
    second = int(np.argmin(np.where(well_across, class_sizes, np.inf)))
    return first, second


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Right-handed orthonormal columns: along the first, in the plane, normal to it."""
    along = first / np.linalg.norm(first)
    normal = np.cross(first, second)
    length = np.linalg.norm(normal)
    # Images in line with the centroid come from a huge tolerance only, and fit nothing.
    normal = normal / length if length > 0 else np.zeros(3)
    return np.stack([along, np.cross(normal, along), normal], axis=1)


def _fit(
    positions: np.ndarray, like: np.ndarray, guess: np.ndarray, sign: int, within: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """The permutation near a guessed matrix and the best matrix for it, if it fits."""
    distances = np.where(like, cdist(positions @ guess.T, positions), np.inf)
    images = np.argmin(distances, axis=1)
    left, _, right = np.linalg.svd(positions[images].T @ positions)
    turn = np.sign(np.linalg.det(left @ right)) * sign
    matrix = left @ np.diag([1.0, 1.0, turn]) @ right
    missed = np.linalg.norm(positions @ matrix.T - positions[images], axis=1)
    if np.max(missed) >= within:
        return None
    return images, matrix


def _is_group(found: dict[Mapping, np.ndarray]) -> bool:
    """Whether the product of any two mappings is among them."""
    parts = [(np.frombuffer(images, dtype=int), sign) for images, sign in found]
    return all(
        (first[second].tobytes(), sign * other) in found
        for first, sign in parts
        for second, other in parts
    )


def _schoenflies(operations: np.ndarray) -> str:
    """Name of a finite group of orthogonal matrices."""
    proper = operations[np.linalg.det(operations) > 0]
    improper = operations[np.linalg.det(operations) < 0]
    inversion = bool(np.any(np.trace(improper, axis1=1, axis2=2) < -2.5))
    traces = np.trace(proper, axis1=1, axis2=2)
    angles = np.arccos(np.clip((traces - 1) / 2, -1, 1))
    order, axis = 1, np.zeros(3)
    if len(proper) > 1:
        # The smallest rotation is about the highest axis; the identity is none.
        smallest = np.argmin(np.where(angles < 0.02, np.inf, angles))
        order = round(2 * np.pi / angles[smallest])
        turn = proper[smallest]
        axis = np.linalg.eigh(turn + turn.T)[1][:, 2]
    mirrors = improper[np.abs(np.trace(improper, axis1=1, axis2=2) - 1) < 0.1]
    across = any(np.linalg.norm(m @ axis + axis) < 0.1 for m in mirrors)
    if order == 1:
        return "C1" if len(improper) == 0 else "Ci" if inversion else "Cs"
    if (len(proper), order) in POLYHEDRAL:
        letter = POLYHEDRAL[len(proper), order]
        return letter if len(improper) == 0 else letter + ("h" if inversion else "d")
    dihedral = len(proper) == 2 * order
    if len(improper) == 0:
        suffix = ""
    elif across:
        suffix = "h"
    elif len(mirrors) > 0:
        suffix = "d" if dihedral else "v"
    else:
        return f"S{2 * order}"
    return f"{'D' if dihedral else 'C'}{order}{suffix}"


def space_group(atoms: Atoms, tolerance: float = CRYSTAL_TOLERANCE) -> str:
    """International symbol of the space group of a crystal: ``"Fd-3m"``.

    Found by spglib (A. Togo, K. Shinohara, I. Tanaka, Sci. Technol. Adv. Mater. Methods
    4, 2384822 (2024)).

    Parameters
    ----------
    atoms
        Periodic in all three directions.
    tolerance
        How far an atom may be from the image of its like, in units of the cube root of
        the volume of an atom.

    Returns
    -------
    str
        ``"P1"`` when spglib finds no group.

    Raises
    ------
    InputError
        For a structure that is not periodic in three directions, has no atoms or a
        flat cell, or a tolerance that is not positive.
    """
    import spglib

    if not atoms.pbc.all():
        raise InputError(
            "a space group needs a structure periodic in all three directions; use "
            "point_group for a free cluster"
        )
    if len(atoms) == 0 or not atoms.cell.volume > 0:
        raise InputError(
            "the crystal has no atoms, or its cell has no volume; there is no space "
            "group"
        )
    precision = _checked(tolerance) * float(np.cbrt(atoms.cell.volume / len(atoms)))
    crystal = (
        atoms.cell.array.tolist(),
        atoms.get_scaled_positions().tolist(),
        atoms.numbers.tolist(),
    )
    with warnings.catch_warnings():
        # spglib 2.7 and 2.8 announce that failure, None so far, will be an exception.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found = spglib.get_symmetry_dataset(crystal, symprec=precision)
        except getattr(spglib, "SpglibError", RuntimeError):
            found = None
    return "P1" if found is None else str(found.international)
