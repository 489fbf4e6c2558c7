"""The only writer of the user's atoms, and their energies and forces."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from typing import Any

import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.optimize.optimize import OptimizableAtoms
from jaxtyping import Array

from ase_l2h._internal.promotion import compiled, double_precision
from ase_l2h.ase_adapter.cache import CallCache
from ase_l2h.ase_adapter.calling import Calling, RemoteCalls
from ase_l2h.ase_adapter.measured import first_measured
from ase_l2h.ase_adapter.problem import (
    PosedProblem,
    fingerprint_of,
    pose,
)
from ase_l2h.errors import RunError
from ase_l2h.system import System

__all__ = ["PlacedAtoms", "ViewedAtoms"]

# Largest difference between kernel and calculator that rounding explains.
AGREEMENT = 1e-6
CHANGED = (
    "the calculator or its parameters have been changed during the search; call run() "
    "again to begin a new one"
)

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class PlacedAtoms:
    """The user's atoms, moved by a search and checked at their positions.

    Parameters
    ----------
    atoms
        The user's structure.
    length_scale, energy_scale, region, keep_molecules
        As for :func:`~ase_l2h.ase_adapter.problem.problem_of`.
    calling
        How an unknown calculator is called.

    Attributes
    ----------
    posed
        The problem posed by the atoms, last time they were taken over.
    view
        ASE's energy and forces of the atoms.
    """

    atoms: Atoms
    length_scale: int | float | None = None
    energy_scale: int | float | None = None
    region: Any = None
    keep_molecules: bool | None = None
    calling: Calling = dataclasses.field(default_factory=Calling)
    posed: PosedProblem = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.view = ViewedAtoms(self)
        self._calculator: Any = None
        self._cache: CallCache | None = None
        self.calls: RemoteCalls | None = None
        self.take_over()

    def _pose(self) -> PosedProblem:
        before = getattr(self, "posed", None)
        return pose(
            self.atoms,
            self.length_scale,
            self.energy_scale,
            region=self.region,
            cache=self._cache,
            keep_molecules=self.keep_molecules,
            evaluate=None if self.calls is None else self.calls.evaluate,
            cluster=before is not None and before.problem.periods is not None,
        )

    def _take_calculator(self) -> None:
        """Open cache and workers for the calculator that the atoms have now."""
        calculator = self.atoms.calc
        if calculator is self._calculator:
            return
        self.rest()
        self._cache = self.calling.opened_cache(calculator)
        self.calls = self.calling.calls_for(calculator, self._cache)
        self._calculator = calculator

    def take_over(self) -> None:
        """Take over the user's atoms with their positions and calculator."""
        if self.calling != Calling() and self.atoms.calc is not None:
            self._take_calculator()
        self.posed = self._pose()
        self.fingerprint = fingerprint_of(self.posed.problem)
        # The positions differ if overlapping atoms were moved apart.
        given = self.posed.coordinates.given
        if not np.array_equal(given, self.atoms.positions):
            self.atoms.set_positions(given, apply_constraint=False)
        self.positions = self.atoms.get_positions()
        self._calculator = self.atoms.calc

    def rest(self) -> None:
        """Release the cache and end the workers; both come back when needed."""
        for used in (self._cache, self.calls):
            if used is not None:
                used.close()

    @property
    def kind(self) -> str:
        """``"kernel"`` or ``"calculator"``."""
        return "kernel" if self.posed.calculator is None else "calculator"

    @property
    def changed(self) -> bool:
        """Whether calculator or problem has changed since the atoms were taken over."""
        if self.replaced:
            return True
        return fingerprint_of(self._pose().problem) != self.fingerprint

    @property
    def moved(self) -> bool:
        """Whether somebody else has moved the atoms."""
        return not np.array_equal(self.positions, self.atoms.positions)

    def first_energy(self) -> float:
        """The energy of the structure that was taken over.

        Raises
        ------
        InputError
            If an unknown calculator gives no finite energy.
        RunError
            If kernel and calculator disagree.
        """
        if self.posed.calculator is not None:
            calculator, given = self.posed.calculator, self.posed.coordinates.given
            return first_measured(calculator, given).energy
        self.check()
        return self.measure()

    def measure(self) -> float:
        """ASE's energy at the present positions."""
        # Gradients first, because many calculators then know the energy as well.
        self.view.get_gradient()
        return float(self.view.get_value())

    def converged(self, fmax: float) -> bool:
        """Whether no force on an atom reaches ``fmax``."""
        return bool(self.view.converged(self.view.get_gradient(), fmax))

    def place(self, positions: np.ndarray) -> None:
        """Move the atoms to ``(n, 3)`` and check the kernel there."""
        if not np.array_equal(positions, self.atoms.positions):
            self.atoms.set_positions(positions, apply_constraint=False)
        self.positions = self.atoms.get_positions()
        if self.posed.calculator is None:
            self.check()

    def synchronise(self) -> None:
        """Let an unknown calculator compute the final structure."""
        # The result for this structure is known, so a failure here does not matter.
        with contextlib.suppress(Exception):
            if self.posed.calculator is not None and self.calls is None:
                self.posed.calculator.call(self.positions)

    @property
    def replaced(self) -> bool:
        """Whether the atoms have another calculator than the search began with."""
        return self._calculator is not self.atoms.calc

    def kernel_energy(self, positions: np.ndarray) -> float:
        """The kernel's energy of ``(n, 3)`` in double precision."""
        problem = self.posed.problem
        with double_precision():
            inside = jnp.asarray(self.posed.coordinates.inside(positions))
            return float(_kernel_energy(problem.potential, problem.system, inside))

    def check(self) -> None:
        """Compare the kernel with the calculator at the present positions.

        Raises
        ------
        RunError
            When they disagree; the atoms are back where they were taken over.
        """
        said, expected = self.measure(), self.kernel_energy(self.positions)
        unit = self.posed.problem.energy_unit
        if abs(said - expected) <= AGREEMENT * (unit + abs(expected)):
            return
        given = self.posed.coordinates.given
        self.atoms.set_positions(given, apply_constraint=False)
        self.positions = self.atoms.get_positions()
        if self.changed:
            raise RunError(CHANGED)
        raise RunError(
            f"the calculator's energy is {said:.10g}, the kernel's {expected:.10g}; "
            "give each thread its own calculator, or, if this one adds something to "
            "its potential, wrap it in ase.calculators.mixing.SumCalculator([...])"
        )


class ViewedAtoms(OptimizableAtoms):
    """ASE's view of the user's atoms, which never repeats a call."""

    def __init__(self, placed: PlacedAtoms) -> None:
        super().__init__(placed.atoms)
        self.placed = placed

    def get_gradient(self) -> np.ndarray:
        """Minus the forces, ``(3 n,)``."""
        calculator = self.placed.posed.calculator
        if calculator is None:
            if self.placed.replaced:
                raise RunError(CHANGED)
            return super().get_gradient()
        return calculator.at(self.atoms.get_positions()).gradient.ravel()

    def get_value(self) -> float:
        """The energy consistent with the forces."""
        calculator = self.placed.posed.calculator
        if calculator is None:
            return super().get_value()
        return calculator.at(self.atoms.get_positions()).energy


@compiled
def _kernel_energy(potential: Any, system: System, positions: Array) -> Array:
    return potential.energy(positions, system)
