"""Atoms kept apart before a calculator is called.

Quantum-chemical and learned calculators fail, or give wrong energies, if two atoms
nearly coincide, and steps and hops make such structures. Pairs nearer than a fraction
of their bond are moved apart along the line between them, until there are none.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ase_l2h.search.problem import Problem

__all__ = ["Guard"]

# Parts of a start that are farther apart (bond lengths) are brought to one bond length.
APART = 1.3

# Least distance, in bond lengths. The shortest bonds, of Cr2 and Mo2, are 0.60 and 0.63
# of the sum of the covalent radii; N2 is 0.77.
SHARE = 0.55
# A given structure may be tighter: this fraction of its closest pair is then allowed.
ROOM = 0.9
SWEEPS = 100
# Pairs are moved slightly beyond, so that rounding does not bring them back.
BEYOND = 1.001


class Guard:
    """Keeps the atoms of a problem apart, where their sizes are known.

    Parameters
    ----------
    problem
        Its ``radii`` add up to bonds.
    """

    def __init__(self, problem: Problem) -> None:
        self.cell = problem.cell
        radii = problem.radii
        self.closest: np.ndarray | None = None
        self.joined = False
        if radii is None or problem.n_atoms < 2:
            return
        self.first, self.second = np.triu_indices(problem.n_atoms, 1)
        bonds = radii[self.first] + radii[self.second]
        free = problem.free
        shape = (3, problem.n_atoms)
        self.mobile = np.ones(shape) if free is None else free.astype(float)
        share = SHARE
        for k in range(problem.given.shape[2]):
            apart = np.linalg.norm(self._between(problem.given[..., k]), axis=0)
            share = min(share, ROOM * float(np.min(apart / bonds)))
        self.closest = share * bonds
        self.bonds, self.n_atoms = bonds, problem.n_atoms
        cluster = problem.cell is None and free is None and problem.molecules is None
        self.joined = cluster and all(
            self._parts(np.linalg.norm(self._between(given), axis=0)).max() == 0
            for given in np.moveaxis(problem.given, -1, 0)
        )

    def _between(self, place: np.ndarray) -> np.ndarray:
        """Vectors from first to second atom of each pair, by the nearest image."""
        vectors = place[:, self.second] - place[:, self.first]
        if self.cell is None:
            return vectors
        fractions = np.linalg.solve(self.cell.T, vectors)
        return self.cell.T @ (fractions - np.round(fractions))

    def kept_apart(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions ``(3, n, batch)`` without overlaps, and a mask of those changed.

        Fixed atoms stay. Pairs that are not apart after 100 sweeps are left as they
        are.
        """
        moved = np.zeros(positions.shape[2], bool)
        if self.closest is None:
            return positions, moved
        result = positions
        for b in range(positions.shape[2]):
            place = np.array(positions[..., b], np.float64)
            if not np.all(np.isfinite(place)) or not self._spread(place):
                continue
            if not moved.any():
                result = np.array(positions)
            result[..., b] = place
            moved[b] = True
        return result, moved

    def brought_together(self, positions: np.ndarray) -> np.ndarray:
        """Positions ``(3, n, batch)`` of free clusters without separate parts.

        The smallest part is moved straight to its nearest neighbour. If a given
        structure has separate parts, nothing is changed.
        """
        if not self.joined:
            return positions
        result = np.array(positions, np.float64)
        for b in range(positions.shape[2]):
            place = result[..., b]
            while np.all(np.isfinite(place)):
                distances = np.linalg.norm(self._between(place), axis=0)
                labels = self._parts(distances)
                if labels.max() == 0:
                    break
                small = labels == np.argmin(np.bincount(labels))
                across = small[self.first] != small[self.second]
                gaps = np.where(across, distances / self.bonds, np.inf)
                pair = int(np.argmin(gaps))
                i, j = self.first[pair], self.second[pair]
                i, j = (i, j) if small[i] else (j, i)
                way = place[:, j] - place[:, i]
                way *= 1 - self.bonds[pair] / np.linalg.norm(way)
                place[:, small] += way[:, None]
        return result

    def _parts(self, distances: np.ndarray) -> np.ndarray:
        """The part of each atom, ``(n,)``."""
        near = distances < APART * self.bonds
        ends, n = (self.first[near], self.second[near]), self.n_atoms
        graph = coo_array((np.ones(len(ends[0])), ends), shape=(n, n))
        return connected_components(graph, directed=False)[1]

    def _spread(self, place: np.ndarray) -> bool:
        """Move atoms apart in place; True if any were moved."""
        assert self.closest is not None
        for sweep in range(SWEEPS):
            vectors = self._between(place)
            distances = np.linalg.norm(vectors, axis=0)
            near = np.flatnonzero(distances < self.closest)
            if near.size == 0:
                return sweep > 0
            # Coincident atoms are moved along an axis that depends on their indices.
            lost = distances[near] < 1e-9
            directions = vectors[:, near] / np.maximum(distances[near], 1e-9)
            directions[:, lost] = 0.0
            directions[near[lost] % 3, np.flatnonzero(lost)] = 1.0
            missing = BEYOND * self.closest[near] - distances[near]
            for direction, gap, pair in zip(directions.T, missing, near, strict=True):
                i, j = self.first[pair], self.second[pair]
                gives = self.mobile[:, i], self.mobile[:, j]
                total = np.maximum(gives[0] + gives[1], 1.0)
                place[:, i] -= gap * direction * gives[0] / total
                place[:, j] += gap * direction * gives[1] / total
        return True
