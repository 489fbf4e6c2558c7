"""The cost of turning an atom into another element: measured first, then learned.

An exact answer takes one evaluation for every atom and element, half of all that an
alloy is charged for. Most of the cost is determined by the neighbours of the atom. So
the measured costs are fitted, by linear least squares for every pair of elements, to
sums over the neighbours of each atom, for every element and three ranges, and to the
square roots and squares of these sums, because metallic bonds grow with the root of the
number of neighbours. Later structures get the fitted costs. Some are measured as a
check, and all are measured while the fit explains too little.

The costs only rank exchanges; each exchanged structure is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ase_l2h.search.auto.exchange import flip_energies
from ase_l2h.search.auto.fingerprint import nearest_images, squared_distances
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem

__all__ = ["FlipCosts"]

# Decay of a neighbour's weight with its distance, per bond length.
DECAYS = (1.5, 4.0, 8.0)
# Distances in bond lengths: shorter ones count as the first, and neighbours beyond the
# second do not count.
LEAST, FAR = 0.6, 3.0
# This many structures are measured before the fit is used, and one of so many after
# that.
FIRST, AGAIN = 16, 20
# Largest share of the variance that the fit may leave unexplained, and the memory of
# this share.
UNEXPLAINED, MEMORY = 0.5, 0.9
# Ridge, relative to the diagonal: makes collinear descriptors harmless.
RIDGE = 1e-6
# Costs above this (energy scales) are of atoms without room, and are not learned from.
HIGHEST = 20.0


class FlipCosts:
    """Flip energies of the structures of one search.

    Parameters
    ----------
    problem
        Supplies the elements that turn into each other.
    arrays
        From :meth:`to_arrays`; None before anything is known.
    """

    def __init__(self, problem: Problem, arrays: dict[str, Any] | None = None) -> None:
        self._problem = problem
        self.elements = np.unique(problem.species)
        kinds = len(self.elements)
        size = 1 + len(DECAYS) * (kinds + 2)
        if arrays is None:
            arrays = {
                "products": np.zeros((kinds, kinds, size, size)),
                "moments": np.zeros((kinds, kinds, size)),
                "left": np.zeros(2),
                "asked": 0,
            }
        self._products = np.array(arrays["products"], float)
        self._moments = np.array(arrays["moments"], float)
        # Recent sums of squares of the residuals of the fit, and of the costs.
        self._left = np.array(arrays["left"], float)
        self._asked = int(arrays["asked"])
        self._fit: np.ndarray | None = None

    def to_arrays(self) -> dict[str, Any]:
        """Everything that is known, for a checkpoint."""
        return {
            "products": self._products,
            "moments": self._moments,
            "left": self._left,
            "asked": self._asked,
        }

    @property
    def trusted(self) -> bool:
        """Whether the fit explains enough to be used."""
        left, all_of_it = self._left.tolist()
        return self._asked >= FIRST and left < UNEXPLAINED * all_of_it

    def __call__(
        self,
        evaluator: Evaluator,
        positions: np.ndarray,
        species: np.ndarray,
        energies: np.ndarray,
    ) -> np.ndarray:
        """Costs ``(n, elements, batch)``, 0 for an atom's own element.

        Arguments as for :func:`~ase_l2h.search.auto.exchange.flip_energies`; ``inf``
        for atoms that may not turn.
        """
        batch = positions.shape[2]
        number = self._asked + np.arange(batch)
        measured = np.arange(batch)
        if self.trusted:
            measured = np.flatnonzero(number % AGAIN == 0)
        self._asked += batch
        near = self._surroundings(positions, species)
        costs = self._fitted(near, species)
        if len(measured):
            part = measured
            exact = flip_energies(
                evaluator,
                positions[..., part],
                species[:, part],
                energies[part],
                self.elements,
                movable=self._problem.movable,
            )
            self._learn(near[:, part], species[:, part], exact, costs[..., part])
            costs[..., part] = exact
        costs[~self._problem.movable] = np.inf
        return costs

    def couplings(
        self, positions: np.ndarray, species: np.ndarray
    ) -> np.ndarray | None:
        """How much turning one atom changes the cost of turning another.

        Follows from the fit, which is a sum over the neighbours of each atom.

        Parameters
        ----------
        positions, species
            ``(3, n, batch)`` and ``(n, batch)``.

        Returns
        -------
        numpy.ndarray
            ``(n, elements, n, elements, batch)``: effect of turning the first atom on
            the cost of turning the second; None where the fit is not trusted.
        """
        if not self.trusted:
            return None
        kinds, own = len(self.elements), np.searchsorted(self.elements, species)
        # Derivative by a neighbour of each element, for each range.
        first = 1 + (kinds + 2) * np.arange(len(DECAYS))
        of_each = self._solution()[..., first[:, None] + np.arange(kinds)]
        # (own, range, element of the neighbour, other)
        of_each = np.ascontiguousarray(of_each.transpose(0, 2, 3, 1))
        weights = np.stack(list(self._weights(positions)))
        n, batch = species.shape
        found = np.empty((n, kinds, n, kinds, batch))
        atoms = np.arange(n)
        for k in range(batch):
            mine = own[:, k]
            # (second, first, element of the first, element of the second)
            sums = weights[:, k].T @ of_each[mine].reshape(n, len(DECAYS), -1)
            sums = sums.reshape(n, n, kinds, kinds)
            before = sums[:, atoms, mine]
            found[..., k] = (sums - before[:, :, None]).transpose(1, 2, 0, 3)
        return found

    def _weights(self, positions: np.ndarray) -> Iterator[np.ndarray]:
        """The weight of each neighbour, ``(batch, n, n)`` for each range."""
        problem = self._problem
        if problem.cell is None:
            squared = squared_distances(positions)
        else:
            points = np.moveaxis(positions, -1, 1)
            apart = points[..., :, None] - points[..., None, :]
            squared = np.sum(nearest_images(apart, problem.cell) ** 2, axis=0)
        shortest = LEAST * problem.length
        distance = np.sqrt(np.maximum(squared, shortest**2)) / problem.length
        atoms = np.arange(positions.shape[1])
        distance[:, atoms, atoms] = np.inf
        for decay in DECAYS:
            yield np.where(distance < FAR, np.exp(decay * (1 - distance)), 0.0)

    def _surroundings(self, positions: np.ndarray, species: np.ndarray) -> np.ndarray:
        """Descriptors of the neighbours of each atom, ``(n, batch, numbers)``."""
        n, batch = positions.shape[1:]
        kinds = (species[None] == self.elements[:, None, None]).astype(float)
        kinds = np.moveaxis(kinds, -1, 0).swapaxes(1, 2)
        numbers = [np.ones((batch, n, 1))]
        for weight in self._weights(positions):
            of_each = weight @ kinds
            together = of_each.sum(axis=2, keepdims=True)
            numbers += [of_each, np.sqrt(together), together**2]
        return np.concatenate(numbers, axis=2).swapaxes(0, 1)

    def _fitted(self, near: np.ndarray, species: np.ndarray) -> np.ndarray:
        """Costs from the fit, ``(n, elements, batch)``."""
        own = np.searchsorted(self.elements, species)
        costs = np.einsum("nbp,nbep->neb", near, self._solution()[own])
        rows, columns = np.indices(species.shape)
        costs[rows, own, columns] = 0.0
        return costs

    def _solution(self) -> np.ndarray:
        """Coefficients ``(elements, elements, numbers)``, first to second element."""
        if self._fit is None:
            one = np.eye(self._moments.shape[2])
            ridge = RIDGE * one * (self._products + one)
            self._fit = np.linalg.solve(
                self._products + ridge, self._moments[..., None]
            )[..., 0]
        return self._fit

    def _learn(
        self,
        near: np.ndarray,
        species: np.ndarray,
        exact: np.ndarray,
        fitted: np.ndarray,
    ) -> None:
        """Remember measured costs, and the residuals of the fit."""
        highest = HIGHEST * self._problem.energy_unit
        own = np.searchsorted(self.elements, species)
        sums = np.zeros(2)
        for a, b in np.ndindex(self._moments.shape[:2]):
            cost = exact[:, b]
            taught = (own == a) & np.isfinite(cost) & (np.abs(cost) < highest)
            if a == b or not np.any(taught):
                continue
            rows, costs = near[taught], cost[taught]
            # The first descriptor is 1, so this is the number of samples.
            if self._products[a, b, 0, 0] >= near.shape[2]:
                sums[0] += np.sum((fitted[:, b][taught] - costs) ** 2)
                sums[1] += np.sum((costs - np.mean(costs)) ** 2)
            self._products[a, b] += rows.T @ rows
            self._moments[a, b] += rows.T @ costs
        self._left = MEMORY * self._left + sums
        self._fit = None
