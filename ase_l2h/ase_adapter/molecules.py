"""Which structures are made of molecules that a search should keep whole."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii, vdw_radii

from ase_l2h.errors import InputError
from ase_l2h.search.contacts import Contacts
from ase_l2h.search.molecules import Molecules, bonds_of
from ase_l2h.search.problem import Problem

__all__ = ["check_kept", "molecules_of"]

# The most neighbours of an atom in a molecule; more are there by accident.
MOST_BONDS = {
    "H": 1, "C": 4, "N": 4, "O": 3, "F": 1, "P": 5, "S": 6, "Cl": 1, "Se": 6, "Br": 1,
    "I": 1,
}  # fmt: skip
NOBLE = {"He", "Ne", "Ar", "Kr", "Xe"}
# Electronegativities (Pauling scale); 2 for other elements.
NEGATIVITY = {
    "H": 2.2, "C": 2.55, "N": 3.04, "O": 3.44, "F": 3.98, "P": 2.19, "S": 2.58,
    "Cl": 3.16, "Se": 2.55, "Br": 2.96, "I": 2.66,
}  # fmt: skip
# Charge per difference in electronegativity, and factor from van der Waals radii to
# sizes, both chosen so that water is near SPC; least charge of a polar hydrogen atom.
CHARGE, SIZE, POLAR = 0.33, 1.04, 0.2
# Elements that form diatomic molecules.
DIATOMIC = {"H", "N", "O", "F", "Cl", "Br", "I"}


def molecules_of(
    atoms: Atoms, radii: np.ndarray, keep: bool | None
) -> Molecules | None:
    """The molecules of a structure that are kept whole; None where none are.

    Parameters
    ----------
    atoms
        The structure.
    radii
        Covalent radii ``(n,)``, in the unit of its positions.
    keep
        Whether to keep what is bonded. When None only what is made of several
        molecules of non-metals, or is a single one with carbon and hydrogen, with no
        more bonds of an atom than it can have.

    Raises
    ------
    InputError
        Where ``keep`` asks for what cannot be.
    """
    if keep is False:
        return None
    free = not atoms.pbc.any() and not atoms.constraints
    if not free or len(atoms) < 2:
        if keep:
            raise InputError(
                "molecules are kept whole in free clusters without fixed atoms; leave "
                "keep_molecules out"
            )
        return None
    bonds = bonds_of(atoms.get_positions().T, radii)
    if keep and not len(bonds):
        raise InputError(
            "no two atoms of the structure are bonded, so there are no molecules to "
            "keep; leave keep_molecules out"
        )
    molecules = Molecules(radii, bonds, _contacts(atoms, bonds, radii))
    symbols = np.array(atoms.get_chemical_symbols())
    return molecules if keep or _molecular(molecules, symbols) else None


def _contacts(atoms: Atoms, bonds: np.ndarray, radii: np.ndarray) -> Contacts:
    """Charges of the atoms from their bonds, and sizes."""
    numbers = atoms.numbers
    negativity = np.array([NEGATIVITY.get(s, 2.0) for s in atoms.symbols])
    charges = np.zeros(len(atoms))
    for i, j in bonds:
        moved = CHARGE * (negativity[j] - negativity[i])
        charges[[i, j]] += (moved, -moved)
    known = vdw_radii[numbers]
    sizes = SIZE * 2 * np.where(np.isfinite(known), known, 2 * covalent_radii[numbers])
    # A polar hydrogen atom has no size.
    sizes[(numbers == 1) & (charges > POLAR)] = 0.4
    unit = float(np.mean(radii) / np.mean(covalent_radii[numbers]))
    return Contacts(bonds, charges, sizes, unit)


def check_kept(problem: Problem) -> None:
    """Refuse given structures with different bonds.

    Raises
    ------
    InputError
        Naming the first.
    """
    other = np.flatnonzero(~problem.kept(problem.given))
    if other.size:
        raise InputError(
            f"structure {other[0]} of the file has other bonds than structure 0; leave "
            "it out, or let the search break molecules (--break-molecules)"
        )


def _molecular(molecules: Molecules, symbols: np.ndarray) -> bool:
    """Whether the bonds look like those of molecules."""
    bonds = np.bincount(molecules.bonds.ravel(), minlength=len(symbols))
    for symbol, count in zip(symbols, bonds.tolist(), strict=True):
        most = MOST_BONDS.get(symbol, 0 if symbol in NOBLE else -1)
        if count > most or (count == 0 and symbol not in NOBLE):
            return False
    groups = [symbols[group] for group in molecules.groups if len(group) > 1]
    if len(groups) == 1 and len(molecules.groups) == 1:
        return {"C", "H"} <= set(symbols)
    return bool(groups) and all(
        len(set(group)) > 1 or (len(group) == 2 and group[0] in DIATOMIC)
        for group in groups
    )
