"""Cells that relax: the step after a search, which keeps the cell of its structure.

The filter of ASE that joins cell and positions, usually ``FrechetCellFilter`` with its
``scalar_pressure``, is relaxed by ASE's BFGS. A search in a fixed cell finds the lowest
minimum for that cell; the cell is then only relaxed locally.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter, UnitCellFilter
from ase.optimize import BFGS

from ase_l2h.analysis.symmetry import space_group
from ase_l2h.ase_adapter import convert
from ase_l2h.ase_adapter.calculators import PotentialCalculator
from ase_l2h.errors import InputError
from ase_l2h.potentials.base import Potential

__all__ = [
    "CellRelaxation",
    "CellStage",
    "KnownPotential",
    "check_crystal",
    "relax_cell",
]

STEPS = 500


@dataclasses.dataclass(frozen=True)
class CellRelaxation:
    """The result of relaxing a cell; energies and volumes in the calculator's units.

    Parameters
    ----------
    energy_before, energy
        Potential energies, without the work against a pressure.
    enthalpy
        ``energy + pressure * volume``, which has fallen.
    volume_before, volume
        Of the cell.
    space_group_before, space_group
        International symbols.
    converged
        Whether forces and stress met the threshold.
    steps
        Calls of the calculator.
    """

    energy_before: float
    energy: float
    enthalpy: float
    volume_before: float
    volume: float
    space_group_before: str
    space_group: str
    converged: bool
    steps: int

    def __str__(self) -> str:
        """One sentence."""
        end = "" if self.converged else ", not converged"
        return (
            f"cell relaxed from {self.energy_before:.6f} to {self.energy:.6f}, volume "
            f"{self.volume_before:.4f} to {self.volume:.4f}, space group "
            f"{self.space_group_before} to {self.space_group}{end}"
        )


class KnownPotential(PotentialCalculator):
    """A calculator of an existing potential."""

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self._potential = potential

    @property
    def potential(self) -> Potential:
        """That potential."""
        return self._potential


def relax_cell(
    cell: Any, fmax: int | float = 0.01, steps: int = STEPS
) -> CellRelaxation:
    """Relax cell and positions together, from where a search has ended.

    Parameters
    ----------
    cell
        A filter of ASE, such as ``FrechetCellFilter(atoms, scalar_pressure=0.1)``, or
        Atoms, which are relaxed without pressure. The atoms are moved.
    fmax
        Largest force, and largest entry of the filter's stress, in their units.
    steps
        Largest number of steps.

    Raises
    ------
    InputError
        For what has no cell that could relax, or atoms that are fixed.

    Examples
    --------
    >>> relax_cell(FrechetCellFilter(atoms))  # doctest: +SKIP
    """
    if isinstance(cell, Atoms):
        cell = FrechetCellFilter(cell)
    atoms = convert.require_atoms(getattr(cell, "atoms", cell))
    check_crystal(atoms)
    pressure = float(getattr(cell, "scalar_pressure", 0.0))
    energy, volume = float(atoms.get_potential_energy()), float(atoms.get_volume())
    group = space_group(atoms)
    with BFGS(cell, logfile=None) as optimizer:
        converged = bool(optimizer.run(fmax=fmax, steps=steps))
    last = float(atoms.get_potential_energy())
    return CellRelaxation(
        energy_before=energy,
        energy=last,
        enthalpy=last + pressure * float(atoms.get_volume()),
        volume_before=volume,
        volume=float(atoms.get_volume()),
        space_group_before=group,
        space_group=space_group(atoms),
        converged=converged,
        steps=int(optimizer.nsteps),
    )


def check_crystal(atoms: Atoms) -> None:
    """Refuse a structure whose cell cannot relax.

    Raises
    ------
    InputError
        For surfaces, wires and clusters, and for fixed atoms.
    """
    if not atoms.pbc.all():
        raise InputError(
            "a cell can be relaxed only if all three directions are periodic; leave "
            "the cell of this structure as it is"
        )
    if atoms.constraints:
        raise InputError(
            "relaxing the cell would move the fixed atoms; remove the constraints, "
            "or leave the cell as it is"
        )


class CellStage:
    """The cell of a filter that Learn2Hop was given: relaxed when a search has ended.

    Parameters
    ----------
    cell
        A filter of ASE around the atoms.

    Attributes
    ----------
    template
        The structure before relaxation, with the cell of the search's minima.
    relaxation
        The relaxation of the cell; None before it.
    """

    def __init__(self, cell: UnitCellFilter) -> None:
        self.filter = cell
        check_crystal(cell.atoms)
        self.template = cell.atoms.copy()
        self.relaxation: CellRelaxation | None = None
        self._left = cell.atoms.copy()

    @classmethod
    def of(cls, atoms: Any) -> CellStage | None:
        """The stage for a filter that lets the cell relax; None for anything else."""
        return cls(atoms) if isinstance(atoms, UnitCellFilter) else None

    @property
    def stands(self) -> bool:
        """Whether the cell is relaxed and the atoms have not moved since."""
        atoms = self.filter.atoms
        same = np.array_equal(atoms.positions, self._left.positions)
        same = same and np.array_equal(atoms.cell.array, self._left.cell.array)
        return self.relaxation is not None and same

    @property
    def converged(self) -> bool:
        """Whether forces and stress have met their threshold."""
        return self.relaxation is not None and self.relaxation.converged

    def relax(self, fmax: float, say: Callable[[str], object]) -> bool:
        """Relax the cell from the present atoms; True if it converged."""
        self.relaxation = relax_cell(self.filter, fmax)
        self._left = self.filter.atoms.copy()
        say(str(self.relaxation))
        return self.converged
