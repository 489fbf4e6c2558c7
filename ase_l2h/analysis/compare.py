"""Whether two structures are the same minimum.

They are when their energies agree and so do their pair distances, sorted for each pair
of species. Rotations, translations, permutations of like atoms and mirror images change
neither; an exchange of unlike atoms does. Different structures with the same sorted
distances exist in principle: minima of one potential with one energy have shown none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "DISTANCE_TOLERANCE",
    "ENERGY_TOLERANCE",
    "same_distances",
    "same_minimum",
    "sort_by_species",
]

# In energy scales and in length scales of a system: rounding of a relaxed energy is far
# below the first, the rearrangement to another minimum far above the second.
ENERGY_TOLERANCE = 1e-5
DISTANCE_TOLERANCE = 1e-2


def sort_by_species(distances: np.ndarray, species: np.ndarray) -> np.ndarray:
    """Sort pair distances within each pair of species.

    Parameters
    ----------
    distances
        ``(n (n - 1) / 2,)`` in the order of ``numpy.triu_indices(n, 1)``.
    species
        Anything that tells species apart and can be ordered, ``(n,)``.
    """
    first, second = np.triu_indices(len(species), 1)
    low = np.minimum(species[first], species[second])
    high = np.maximum(species[first], species[second])
    return distances[np.lexsort((distances, high, low))]


def same_distances(first: np.ndarray, second: np.ndarray, length: float) -> bool:
    """Whether sorted distances agree, each within 1e-2 of a length scale."""
    apart = np.max(np.abs(first - second), initial=0.0)
    return bool(apart < DISTANCE_TOLERANCE * length)


def same_minimum(
    first: Atoms,
    second: Atoms,
    energies: tuple[float, float] | None = None,
    *,
    energy_tolerance: float = ENERGY_TOLERANCE,
    length_scale: float | None = None,
) -> bool:
    """Whether two structures are the same minimum.

    Parameters
    ----------
    first, second
        Clusters, or crystals of one and the same cell.
    energies
        Their energies; only the geometry is compared when None.
    energy_tolerance
        Largest difference of the energies, in their unit.
    length_scale
        What 1e-2 of is the largest difference of a distance; the mean distance to the
        nearest neighbour when None.

    Returns
    -------
    bool
        False, too, where compositions or periodicity differ.
    """
    if sorted(first.numbers.tolist()) != sorted(second.numbers.tolist()):
        return False
    if energies is not None and not abs(energies[0] - energies[1]) <= energy_tolerance:
        return False
    if not np.array_equal(first.pbc, second.pbc):
        return False
    periodic = bool(first.pbc.any())
    if periodic and not np.allclose(first.cell.array, second.cell.array):
        return False
    if len(first) < 2:
        return True
    between = [atoms.get_all_distances(mic=periodic) for atoms in (first, second)]
    if length_scale is None:
        np.fill_diagonal(between[0], np.inf)
        length_scale = float(np.mean(np.min(between[0], axis=1)))
    upper = np.triu_indices(len(first), 1)
    return same_distances(
        sort_by_species(between[0][upper], first.numbers),
        sort_by_species(between[1][upper], second.numbers),
        length_scale,
    )
