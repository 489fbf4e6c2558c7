"""``ase-l2h search --relax-cell``: the cell of the best structure, after the search."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ase_l2h.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_l2h.cli.target import SearchTarget
    from ase_l2h.search.result import SearchResult

__all__ = ["check_cell", "relaxed_best", "rows_of"]

# Largest force and stress that are left, in energy units per unit of length.
FMAX, CALLS_FMAX = 1e-3, 1e-2


def check_cell(target: SearchTarget, wanted: bool, pressure: float | None) -> None:
    """Refuse a cell that cannot relax, and a pressure on one that shall not.

    Raises
    ------
    InputError
        In the words of the command line.
    """
    if pressure is not None and not wanted:
        raise InputError("--pressure needs a cell that relaxes; add --relax-cell")
    if not wanted:
        return
    if not target.template.pbc.all():
        raise InputError(
            f"--relax-cell needs a crystal, and '{target.name}' is not periodic in all "
            "three directions; leave it out"
        )
    if target.problem.free is not None:
        raise InputError(
            f"--relax-cell would move the fixed atoms of '{target.name}'; leave it out"
        )


def relaxed_best(
    target: SearchTarget, result: SearchResult, pressure: float | None
) -> tuple[Atoms, dict[str, Any]]:
    """The best structure in a cell of its own, and what became of it, for the record.

    ``pressure`` is in GPa for potentials in eV and angstrom, else in their own units.
    """
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.filters import FrechetCellFilter
    from ase.units import GPa

    from ase_l2h.ase_adapter.cells import KnownPotential, relax_cell

    best = result.minima[0]
    atoms = target.structure(best.positions, best.energy)
    potential = target.problem.potential
    if target.calculator is not None:
        atoms.calc = target.calculator()
    else:
        assert potential is not None
        atoms.calc = KnownPotential(potential)
    unit = GPa if target.unit == "eV" else 1.0
    pressed = FrechetCellFilter(atoms, scalar_pressure=(pressure or 0.0) * unit)
    relaxation = relax_cell(pressed, CALLS_FMAX if potential is None else FMAX)
    told = dataclasses.asdict(relaxation) | {
        "pressure": pressure or 0.0,
        "pressure_unit": "GPa" if target.unit == "eV" else "energy per volume",
        "cell": atoms.cell.array.tolist(),
    }
    atoms.calc = SinglePointCalculator(atoms, energy=relaxation.energy)
    return atoms, told


def rows_of(told: dict[str, Any], unit: str) -> list[tuple[str, str]]:
    """Lines of the table that a person reads."""
    end = "" if told["converged"] else ", not converged"
    groups = f"{told['space_group_before']} before, {told['space_group']} after"
    rows = [
        ("in a relaxed cell", f"{told['energy']:.6f} {unit}{end}"),
        ("volume", f"{told['volume_before']:.4f} before, {told['volume']:.4f} after"),
        ("space group", groups),
    ]
    if told["pressure"]:
        said = f"{told['enthalpy']:.6f} {unit} at {told['pressure']:g} "
        rows.insert(1, ("enthalpy", said + told["pressure_unit"]))
    return rows
