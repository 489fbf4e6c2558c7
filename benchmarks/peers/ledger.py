"""One fast Lennard-Jones function and one ledger for every searcher.

A point costs one charged evaluation, whether its energy, its gradient or both are asked
for, at once or one after the other.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

__all__ = ["Finished", "Ledger", "LedgerCalculator"]

# Points whose energy or gradient may still be asked for.
REMEMBERED = 8
HIT = 1e-4
# No other minimum of LJ13, LJ19, LJ26 or LJ38 lies so close to the lowest.
NEAR = 1e-2


@numba.njit(cache=True)
def lennard_jones(positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy and gradient of ``(n, 3)`` positions, sigma = epsilon = 1, no cutoff."""
    n = len(positions)
    gradient = np.zeros((n, 3))
    energy = 0.0
    for i in range(n):
        for j in range(i):
            x = positions[i, 0] - positions[j, 0]
            y = positions[i, 1] - positions[j, 1]
            z = positions[i, 2] - positions[j, 2]
            # Coincident points would divide by zero.
            inverse = 1.0 / max(x * x + y * y + z * z, 1e-4)
            sixth = inverse * inverse * inverse
            energy += 4.0 * sixth * (sixth - 1.0)
            slope = 24.0 * sixth * (1.0 - 2.0 * sixth) * inverse
            gradient[i, 0] += slope * x
            gradient[i, 1] += slope * y
            gradient[i, 2] += slope * z
            gradient[j, 0] -= slope * x
            gradient[j, 1] -= slope * y
            gradient[j, 2] -= slope * z
    return energy, gradient


class Finished(Exception):
    """The target is met or the budget spent."""


class Ledger:
    """Counts the points that a search evaluates and ends it.

    Parameters
    ----------
    target
        Energy of the putative global minimum. The search has met it with the first
        point within 1e-4: a little before its quench would end, to its advantage.
    budget
        Charged evaluations after which the search is over.
    """

    def __init__(self, target: float, budget: int) -> None:
        self.target, self.budget = target, budget
        self.evaluations = 0
        self.lowest = np.inf
        self.near: int | None = None
        self.found = False
        self._points: dict[bytes, tuple[float, np.ndarray]] = {}

    def evaluate(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy and gradient ``(n, 3)``; charged unless the point was just charged.

        Raises
        ------
        Finished
            When the target is met or the budget spent.
        """
        points = np.ascontiguousarray(positions, dtype=np.float64).reshape(-1, 3)
        name = points.tobytes()
        if name in self._points:
            return self._points[name]
        if self.found or self.evaluations >= self.budget:
            raise Finished
        value = lennard_jones(points)
        self.evaluations += 1
        self._points[name] = value
        if len(self._points) > REMEMBERED:
            del self._points[next(iter(self._points))]
        self.lowest = min(self.lowest, value[0])
        if self.near is None and value[0] <= self.target + NEAR:
            self.near = self.evaluations
        if value[0] <= self.target + HIT:
            self.found = True
            raise Finished
        return value


class LedgerCalculator(Calculator):
    """ASE's face of a ledger."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def calculate(
        self,
        atoms: Any = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        """Energy and forces, always both."""
        super().calculate(atoms, properties, system_changes)
        energy, gradient = self.ledger.evaluate(atoms.get_positions())
        self.results = {"energy": energy, "forces": -gradient}
