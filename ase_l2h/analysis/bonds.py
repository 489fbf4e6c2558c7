"""Nearest-neighbour bonds of a free cluster, and how its species mix.

Two atoms are bonded when they are closer than ``(1 + sqrt(2)) / 2`` bond lengths of
their pair: halfway between the first and the second shell of a close-packed metal. No
function here depends on orientation, on handedness or on the order of the atoms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from ase import Atoms
from scipy.spatial.distance import pdist, squareform

from ase_l2h.errors import InputError

__all__ = [
    "CUTOFF",
    "BondLengths",
    "Segregation",
    "bond_length",
    "bond_matrix",
    "bonds",
    "require_cluster",
    "segregation",
    "surface_atoms",
    "unlike_bonds",
]

# One length for all pairs, or one per pair: {"Ag-Ag": 2.89, "Ag-Au": 2.88, ...}.
BondLengths = float | Mapping[str, float]

CUTOFF = (1 + 2**0.5) / 2
# Neighbours of an atom inside a close-packed solid.
CLOSE_PACKED = 12
MAX_FITS = 50


@dataclasses.dataclass(frozen=True)
class Segregation:
    """Where the atoms of one species sit.

    Parameters
    ----------
    count
        How many there are.
    mean_distance
        Mean distance of these atoms from the centroid of all atoms, in the unit of the
        positions.
    surface_fraction
        Share of these atoms that are at the surface, see :func:`surface_atoms`.
    """

    count: int
    mean_distance: float
    surface_fraction: float


def require_cluster(atoms: Atoms) -> Atoms:
    """``atoms`` itself, if it is a free cluster.

    Raises
    ------
    InputError
        When it is periodic, has no atoms, or a position is not a finite number.
    """
    if atoms.pbc.any():
        raise InputError(
            "this analysis is for free clusters and the structure is periodic; set "
            "pbc to False, or use space_group for a crystal"
        )
    if len(atoms) == 0:
        raise InputError("the structure has no atoms; there is nothing to analyse")
    if not np.all(np.isfinite(atoms.positions)):
        raise InputError("a position is not a finite number; repair the structure")
    return atoms


def bond_matrix(atoms: Atoms, bond_lengths: BondLengths | None = None) -> np.ndarray:
    """Which atoms are bonded, ``(n, n)`` and symmetric, False on the diagonal.

    Parameters
    ----------
    atoms
        A free cluster.
    bond_lengths
        Natural nearest-neighbour distance of every pair of species that occurs, in the
        unit of the positions. When None, one radius per species is fitted to the
        structure: ``r_a + r_b`` is the mean length of the bonds that they imply.
        Give them for a potential whose unlike bonds are far from the mean of the like
        ones, as in the Kob-Andersen mixture.

    Raises
    ------
    InputError
        For a periodic structure, or lengths that miss a pair or are not positive.
    """
    require_cluster(atoms)
    distances = squareform(pdist(atoms.positions))
    np.fill_diagonal(distances, np.inf)
    symbols, kinds = np.unique(atoms.get_chemical_symbols(), return_inverse=True)
    if bond_lengths is None:
        lengths = _fitted_lengths(distances, kinds, len(symbols))
    else:
        lengths = _given_lengths(symbols.tolist(), bond_lengths)
    return distances < CUTOFF * lengths[kinds[:, None], kinds[None, :]]


def _given_lengths(symbols: list[str], given: BondLengths) -> np.ndarray:
    lengths = np.zeros((len(symbols), len(symbols)))
    for i, a in enumerate(symbols):
        for j, b in enumerate(symbols):
            if isinstance(given, Mapping):
                length = given.get(f"{a}-{b}", given.get(f"{b}-{a}"))
            else:
                length = given
            if length is None:
                raise InputError(
                    f"there is no bond length for {a}-{b}; add it to bond_lengths"
                )
            lengths[i, j] = length
    if not (np.all(np.isfinite(lengths)) and np.all(lengths > 0)):
        raise InputError(f"bond_lengths are {given}; give positive lengths")
    return lengths


def _fitted_lengths(distances: np.ndarray, kinds: np.ndarray, count: int) -> np.ndarray:
    """Sums of radii that are the mean lengths of the bonds within their own cutoff."""
    if len(distances) == 1:
        return np.zeros((count, count))
    nearest = np.min(distances, axis=1)
    radii = np.array([np.median(nearest[kinds == k]) for k in range(count)]) / 2
    member = np.eye(count)[kinds]
    seen = None
    for _ in range(MAX_FITS):
        lengths = radii[:, None] + radii[None, :]
        bonded = distances < CUTOFF * lengths[kinds[:, None], kinds[None, :]]
        if seen is not None and np.array_equal(bonded, seen):
            break
        seen = bonded
        # Normal equations of r_a + r_b = d over all bonds; least norm where a species
        # has no bond or the radii of two are not apart.
        between = member.T @ bonded @ member
        equations = between + np.diag(between.sum(axis=1))
        total = member.T @ np.where(bonded, distances, 0.0).sum(axis=1)
        radii = np.linalg.lstsq(equations, total)[0]
    return radii[:, None] + radii[None, :]


def bond_length(atoms: Atoms) -> float:
    """Mean length of the bonds, in the unit of the positions; 1 when there is none."""
    first, second = np.nonzero(np.triu(bond_matrix(atoms)))
    if len(first) == 0:
        return 1.0
    difference = atoms.positions[first] - atoms.positions[second]
    return float(np.mean(np.linalg.norm(difference, axis=1)))


def bonds(atoms: Atoms, bond_lengths: BondLengths | None = None) -> int:
    """Number of nearest-neighbour bonds; ``bond_lengths`` as in :func:`bond_matrix`."""
    return int(np.count_nonzero(bond_matrix(atoms, bond_lengths))) // 2


def unlike_bonds(atoms: Atoms, bond_lengths: BondLengths | None = None) -> int:
    """Number of bonds between unlike species, 0 for one element."""
    bonded = bond_matrix(atoms, bond_lengths)
    unlike = atoms.numbers[:, None] != atoms.numbers[None, :]
    return int(np.count_nonzero(bonded & unlike)) // 2


def surface_atoms(atoms: Atoms, bond_lengths: BondLengths | None = None) -> np.ndarray:
    """Which atoms are at the surface, ``(n,)``: those with fewer than 12 neighbours.

    Every atom inside a close-packed, decahedral or icosahedral cluster has 12, inside a
    polyicosahedral one 12 or more.
    """
    return bond_matrix(atoms, bond_lengths).sum(axis=1) < CLOSE_PACKED


def segregation(
    atoms: Atoms, bond_lengths: BondLengths | None = None
) -> dict[str, Segregation]:
    """Radial order and share at the surface of each species, by chemical symbol."""
    surface = surface_atoms(atoms, bond_lengths)
    radii = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1)
    symbols = np.array(atoms.get_chemical_symbols())
    return {
        str(symbol): Segregation(
            count=int(np.sum(symbols == symbol)),
            mean_distance=float(np.mean(radii[symbols == symbol])),
            surface_fraction=float(np.mean(surface[symbols == symbol])),
        )
        for symbol in np.unique(symbols)
    }
