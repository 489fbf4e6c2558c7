"""One fast Lennard-Jones function and one ledger for every searcher.

A point costs one charged evaluation, whether its energy, its gradient or both are asked
for, at once or one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)

__all__ = ["Finished", "Ledger", "LedgerCalculator", "searched"]

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]
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


def _points(positions: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(positions, dtype=np.float64).reshape(-1, 3)


class Finished(BaseException):
    """The target is met or the budget spent.

    No ``Exception``: searchers that go on after a call that has failed would catch it.
    """


class Ledger:
    """Counts the points that a search evaluates and ends it.

    Parameters
    ----------
    target
        Energy of the putative global minimum. The search has met it with the first
        point within 1e-4: a little before its quench would end, to its advantage.
    budget
        Charged evaluations after which the search is over.
    function
        Energy and gradient of ``(n, 3)`` positions.
    hit, near
        How close to the target it is met, and how close it is nearly met.

    Attributes
    ----------
    course
        ``(evaluations, energy)`` of every point that was lower than all before it.
    """

    def __init__(
        self,
        target: float,
        budget: int,
        function: Function = lennard_jones,
        *,
        hit: float = HIT,
        near: float = NEAR,
    ) -> None:
        self.target, self.budget, self.function = target, budget, function
        self.hit_within, self.near_within = hit, near
        self.evaluations = 0
        self.lowest = np.inf
        self.course: list[tuple[int, float]] = []
        self.near: int | None = None
        self.found = False
        self._points: dict[bytes, tuple[float, np.ndarray]] = {}

    def knows(self, positions: np.ndarray) -> bool:
        """Whether asking for this point costs nothing."""
        return _points(positions).tobytes() in self._points

    def evaluate(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy and gradient ``(n, 3)``; charged unless the point was just charged.

        Raises
        ------
        Finished
            When the target is met or the budget spent.
        """
        points = _points(positions)
        name = points.tobytes()
        if name in self._points:
            return self._points[name]
        if self.found or self.evaluations >= self.budget:
            raise Finished
        value = self.function(points)
        self.evaluations += 1
        self._points[name] = value
        if len(self._points) > REMEMBERED:
            del self._points[next(iter(self._points))]
        if value[0] < self.lowest:
            self.lowest = value[0]
            self.course.append((self.evaluations, self.lowest))
        if self.near is None and value[0] <= self.target + self.near_within:
            self.near = self.evaluations
        if value[0] <= self.target + self.hit_within:
            self.found = True
            raise Finished
        return value


class LedgerCalculator(Calculator):
    """ASE's face of a ledger, whose function knows atoms in the order of their numbers.

    Which positions are known is the ledger's to say: Calculator's own comparison takes
    longer than a compiled potential.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def check_state(self, atoms: Any, tol: float = 1e-15) -> list[str]:
        """Nothing has changed where the point has been charged."""
        known = self.ledger.knows(atoms.get_positions()[_order(atoms)])
        return [] if known else list(all_changes)

    def get_property(
        self, name: str, atoms: Any = None, allow_calculation: bool = True
    ) -> Any:
        """Energy or forces, which are always computed together."""
        if name not in self.implemented_properties:
            raise PropertyNotImplementedError(name)
        order = _order(atoms)
        positions = atoms.get_positions()[order]
        if not (allow_calculation or self.ledger.knows(positions)):
            return None
        energy, gradient = self.ledger.evaluate(positions)
        if name == "energy":
            return energy
        forces = np.empty_like(gradient)
        forces[order] = -gradient
        return forces


def _order(atoms: Any) -> np.ndarray:
    """Genetic algorithms put together atoms in any order."""
    return np.argsort(atoms.numbers, kind="stable")


def searched(ledger: Ledger, search: Callable[[], None]) -> dict[str, Any]:
    """A search until its ledger ends it, and what a record says of it."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        search()
    except BaseException as error:
        # anneal wraps what its callbacks raise.
        over = ledger.found or ledger.evaluations >= ledger.budget
        if isinstance(error, KeyboardInterrupt) or not (
            isinstance(error, Finished) or over
        ):
            raise
    return {
        "found": ledger.found,
        "evaluations": ledger.evaluations,
        "near": ledger.near,
        "lowest": round(float(ledger.lowest), 6),
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
    }
