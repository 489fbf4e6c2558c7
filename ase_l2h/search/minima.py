"""Distinct minima: which relaxed structures are the same."""

from __future__ import annotations

import dataclasses

import numpy as np

from ase_l2h.analysis.compare import (
    ENERGY_TOLERANCE,
    same_distances,
    sort_by_species,
)
from ase_l2h.system import System

__all__ = ["Minimum", "distinct_minima"]


@dataclasses.dataclass(frozen=True)
class Minimum:
    """A relaxed structure.

    Parameters
    ----------
    energy
        Its energy in the potential's unit.
    positions
        ``(n, 3)``.
    count
        How many structures ended in it.
    first
        The first search, or start, that did.
    relaxed
        False where a search ended before its best structure could be relaxed.
    checked
        Whether its curvature has been looked at and it is no saddle point; False where
        no evaluations were left for that.
    """

    energy: float
    positions: np.ndarray
    count: int = 1
    first: int = 0
    relaxed: bool = True
    checked: bool = False


def distinct_minima(
    energies: np.ndarray,
    positions: np.ndarray,
    system: System,
    tolerance: float = ENERGY_TOLERANCE,
) -> list[Minimum]:
    """Sort relaxed structures by energy and merge the equal ones.

    Two are the same minimum when their energies agree within ``tolerance`` energy
    scales and their pair distances, sorted for each pair of species, within 1e-2
    length scales. Mirror images and permutations of like atoms are the same. Structures
    without a finite energy are left out.

    Parameters
    ----------
    energies
        ``(batch,)``.
    positions
        ``(3, n, batch)``.
    system
        Supplies scales and cell.
    tolerance
        Energy difference in energy scales.
    """
    length = float(np.max(np.asarray(system.length_scale)))
    unit = float(np.max(np.asarray(system.energy_scale)))
    groups: list[tuple[Minimum, np.ndarray]] = []
    for k in np.argsort(energies, kind="stable").tolist():
        energy = float(energies[k])
        if not np.isfinite(energy):
            continue
        structure = np.array(positions[..., k], dtype=float).T
        distances = _sorted_distances(structure, system, k)
        same = None
        # Sorted by energy, so only the last groups are candidates.
        for g in range(len(groups) - 1, -1, -1):
            known, others = groups[g]
            if energy - known.energy > tolerance * unit:
                break
            if same_distances(distances, others, length):
                same = g
                break
        if same is None:
            groups.append((Minimum(energy, structure, 1, k), distances))
        else:
            known, others = groups[same]
            known = dataclasses.replace(
                known, count=known.count + 1, first=min(known.first, k)
            )
            groups[same] = known, others
    return [minimum for minimum, _ in groups]


def _sorted_distances(
    positions: np.ndarray, system: System, structure: int
) -> np.ndarray:
    """Distances of the nearest images, sorted within each pair of species."""
    first, second = np.triu_indices(len(positions), 1)
    difference = positions[first] - positions[second]
    if system.cell is not None:
        cell = np.asarray(system.cell, dtype=float)
        difference = difference - np.round(difference @ np.linalg.inv(cell)) @ cell
        # In a skewed cell the wrapped image may not be the nearest one.
        difference = difference[:, None] + np.asarray(system.images, dtype=float)
        distances = np.min(np.linalg.norm(difference, axis=-1), axis=1)
    else:
        distances = np.linalg.norm(difference, axis=-1)
    species = np.asarray(system.species)
    species = species[:, structure] if species.ndim == 2 else species
    return sort_by_species(distances, species)
