"""The lowest distinct structures of one composition, kept by motif class.

Otherwise the structures of whichever packing is refined first would push out all others
before those are refined.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ase_l2h.search.auto.fingerprint import SHAPE, fingerprints

__all__ = ["Added", "Pool"]

# A structure is new to a descent if its energy, not yet polished, differs by so many
# times what makes polished ones different.
UNLIKE = 50
# Chance that the lowest structure of those that are left is drawn.
GEOMETRIC = 0.35


class Added(NamedTuple):
    """Which candidates entered ``(m,)``, and whether the lowest energy fell."""

    entered: np.ndarray
    lowest_fell: bool


class Pool:
    """Structures in the order of energy; all arrays have the pool as their last axis.

    ``energies`` ``(k,)``, ``positions`` ``(3, n, k)``, ``motifs`` ``(k,)`` and
    ``shapes`` ``(16, k)``, see :mod:`~ase_l2h.search.auto.fingerprint`.

    Parameters
    ----------
    size
        How many are kept of one motif class.
    same
        Energies that differ by less are those of one structure.
    length
        Of a bond: that of every fingerprint of this pool.
    per_shape
        How many structures are kept that have one histogram of coordination numbers,
        such as the ways to place the elements on one geometry.
    window
        A motif class whose lowest structure lies further than this above the lowest of
        all is given up.
    cell
        Lattice vectors as rows; None for clusters.
    n_atoms
        Only an empty pool, whose arrays shall have the right shape, needs to be told.
    """

    def __init__(
        self,
        size: int,
        same: float,
        length: float,
        *,
        per_shape: int = 2,
        window: float = math.inf,
        cell: np.ndarray | None = None,
        n_atoms: int = 0,
    ) -> None:
        self.size, self.same, self.length = size, same, length
        self.per_shape, self.window, self.cell = per_shape, window, cell
        self.energies = np.zeros(0)
        self.positions = np.zeros((3, n_atoms, 0))
        self.motifs = np.zeros(0, np.int64)
        self.shapes = np.zeros((SHAPE, 0), np.int64)

    def __len__(self) -> int:
        return len(self.energies)

    @property
    def energy(self) -> float:
        """The lowest, ``inf`` when there is none."""
        return float(self.energies[0]) if len(self) else math.inf

    def drawn(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Structures that are held, ``(3, n, count)``, low ones more often."""
        rank = rng.geometric(GEOMETRIC, size=count) - 1
        return np.array(self.positions[..., np.minimum(rank, len(self) - 1)])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything that is kept, for a checkpoint."""
        return {
            "energies": self.energies,
            "positions": self.positions,
            "motifs": self.motifs,
            "shapes": self.shapes,
        }

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Hold what :meth:`to_arrays` gave, and nothing else."""
        self.energies = np.array(arrays["energies"], np.float64)
        self.positions = np.array(arrays["positions"], np.float64)
        self.motifs = np.array(arrays["motifs"], np.int64)
        self.shapes = np.array(arrays["shapes"], np.int64)

    def add_many(self, energies: np.ndarray, positions: np.ndarray) -> Added:
        """Keep the candidates that belong here.

        Parameters
        ----------
        energies, positions
            ``(m,)`` and ``(3, n, m)``, taken in the order of energy. One whose energy
            is that of a structure kept before is that structure; energies that are not
            finite are left out.
        """
        energies = np.asarray(energies, np.float64)
        entered = np.zeros(len(energies), bool)
        new = self._unlike(energies, self.same)
        if not len(new):
            return Added(entered, False)
        before = self.energy
        marks = fingerprints(positions[..., new], self.length, self.cell)
        held = len(self)
        together = np.concatenate([self.energies, energies[new]])
        motifs = np.concatenate([self.motifs, marks.motif])
        shapes = np.concatenate([self.shapes, marks.shape.T], axis=1)
        order = np.argsort(together, kind="stable")
        order = order[self._kept(together[order], motifs[order], shapes[:, order])]
        places = np.asarray(positions[..., new], np.float64)
        if held:
            places = np.concatenate([self.positions, places], axis=-1)
        self.energies, self.positions = together[order], places[..., order]
        self.motifs, self.shapes = motifs[order], shapes[:, order]
        entered[new[order[order >= held] - held]] = True
        return Added(entered, self.energy < before - self.same)

    def _kept(
        self, energies: np.ndarray, motifs: np.ndarray, shapes: np.ndarray
    ) -> np.ndarray:
        """Which structures, lowest first, a pool of them keeps: their indices."""
        _, kinds = np.unique(shapes, axis=1, return_inverse=True)
        kept = np.flatnonzero(_rank(kinds.ravel()) < self.per_shape)
        kept = kept[_rank(motifs[kept]) < self.size]
        first = kept[_rank(motifs[kept]) == 0]
        classes = motifs[first[energies[first] <= energies[0] + self.window]]
        return kept[np.isin(motifs[kept], classes)]

    def wants(self, energies: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Whether each candidate by itself would be kept, ``(m,)``.

        Those in the window, whatever else is in their motif class. Arguments as for
        :meth:`add_many`.
        """
        energies = np.asarray(energies, np.float64)
        wanted = np.isfinite(energies) & (energies < self.energy + self.window)
        wanted &= self._distance(energies) >= self.same
        index = np.flatnonzero(wanted)
        if len(index) and len(self):
            marks = fingerprints(positions[..., index], self.length, self.cell)
            of_class = marks.motif[:, None] == self.motifs
            alike = np.all(marks.shape[:, :, None] == self.shapes, axis=1)
            for group, most in ((alike, self.per_shape), (of_class, self.size)):
                highest = np.max(np.where(group, self.energies, -np.inf), axis=1)
                room = np.sum(group, axis=1) < most
                wanted[index] &= room | (energies[index] < highest)
        return wanted

    def shortlist(
        self,
        energies: np.ndarray,
        positions: np.ndarray,
        count: int,
        *,
        wanted: bool = False,
    ) -> np.ndarray:
        """At most ``count`` candidates that are worth more work: their indices.

        They are unlike each other and what is kept, and lie in the window; or are
        those that the pool wants, with ``wanted``. The lowest of every motif class come
        first, then the others, in the order of energy.

        Parameters
        ----------
        energies, positions
            As for :meth:`add_many`; the energies need not be polished.
        count
            The most.
        wanted
            Only those that would be kept.
        """
        energies = np.asarray(energies, np.float64)
        allowed = np.isfinite(energies)
        if wanted:
            allowed = self.wants(energies, positions)
        new = self._unlike(np.where(allowed, energies, np.inf), UNLIKE * self.same)
        new = new[energies[new] <= self._lowest(energies[new]) + self.window]
        if not len(new):
            return new
        motifs = fingerprints(positions[..., new], self.length, self.cell).motif
        follows = _rank(motifs) > 0
        return new[np.argsort(follows, kind="stable")][:count]

    def _lowest(self, energies: np.ndarray) -> float:
        return min(self.energy, float(np.min(energies, initial=np.inf)))

    def _distance(self, energies: np.ndarray) -> np.ndarray:
        """How far each energy is from the nearest one that is kept."""
        if not len(self):
            return np.full(len(energies), np.inf)
        place = np.searchsorted(self.energies, energies)
        below = self.energies[np.maximum(place - 1, 0)]
        above = self.energies[np.minimum(place, len(self) - 1)]
        return np.minimum(np.abs(energies - below), np.abs(energies - above))

    def _unlike(self, energies: np.ndarray, least: float) -> np.ndarray:
        """Finite energies that differ from each other and those kept: indices.

        Lowest first.
        """
        order = np.argsort(energies, kind="stable")
        order = order[np.isfinite(energies[order])]
        order = order[self._distance(energies[order]) >= least]
        last, chosen = -math.inf, []
        for index, energy in zip(order.tolist(), energies[order].tolist(), strict=True):
            if energy - last >= least:
                chosen.append(index)
                last = energy
        return np.array(chosen, int)


def _rank(groups: np.ndarray) -> np.ndarray:
    """How many before it, in order, belong to the same group, ``(k,)``."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    rank = np.empty(len(groups), int)
    rank[order] = np.arange(len(groups)) - np.searchsorted(ordered, ordered)
    return rank
