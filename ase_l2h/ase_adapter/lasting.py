"""Properties of a structure that do not depend on its positions."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties

__all__ = ["lasting"]

# Per-atom arrays that do not depend on positions; neither do arrays of text.
ARRAYS = (
    *("tags", "masses", "initial_magmoms", "initial_charges"),
    *("id", "type", "mol-id", "labels", "residuenumbers"),
)
# Words in the names of results in files of any program, and in those of site data.
RESULTS = ("energy", "energies", "force", "stress", "virial", *all_properties)
SITES = ("occupancy", "spacegroup", "unit_cell")


def lasting(template: Atoms, positions: np.ndarray | None = None) -> Atoms:
    """A structure with the properties of a template that do not depend on positions.

    Parameters
    ----------
    template
        Supplies species, cell, constraints, tags, masses, initial moments and charges,
        labels, and its ``info`` except for what is named like a result.
    positions
        ``(n, 3)``; those of the template when None.
    """
    atoms = Atoms(
        numbers=template.numbers,
        positions=template.positions if positions is None else positions,
        cell=template.cell,
        pbc=template.pbc,
        celldisp=template.get_celldisp(),
        constraint=[constraint.copy() for constraint in template.constraints],
    )
    for name, values in template.arrays.items():
        if name in ARRAYS or (_are_texts(values) and name not in SITES):
            atoms.set_array(name, values.copy())
    for name, value in template.info.items():
        stale = any(result in str(name).lower() for result in RESULTS)
        if not stale and name not in SITES:
            atoms.info[name] = value
    return atoms


def _are_texts(values: np.ndarray) -> bool:
    """As arrays of texts, or of Python's own, which readers make."""
    if values.dtype.kind == "O":
        return all(isinstance(value, str) for value in values.ravel().tolist())
    return values.dtype.kind in "US"
