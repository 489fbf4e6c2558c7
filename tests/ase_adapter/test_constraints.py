"""Constraints of ASE as masks: which equal one, and which are refused."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc100, fcc111
from ase.calculators.emt import EMT
from ase.constraints import (
    FixAtoms,
    FixBondLengths,
    FixCartesian,
    FixedLine,
    FixedPlane,
    FixScaled,
    Hookean,
)

from ase_l2h.ase_adapter.constraints import free_mask
from ase_l2h.ase_adapter.convert import system_of
from ase_l2h.errors import InputError
from ase_l2h.potentials.lennard_jones import LennardJones

# A hexagonal cell, one whose third vector leans, and one that is turned.
HEXAGONAL = fcc111("Cu", (2, 2, 1), vacuum=4.0)
LEANING = Atoms("Cu4", positions=2.5 * np.eye(4, 3), cell=[[5, 0, 0], [0, 5, 0],
                                                          [1, 0, 9]])  # fmt: skip
RECTANGULAR = fcc100("Cu", (2, 2, 1), vacuum=4.0)
TURNED = RECTANGULAR.copy()
TURNED.rotate(30, "z", rotate_cell=True)
X, Y, Z = np.eye(3, dtype=bool)


def square() -> Atoms:
    return Atoms("Ar4", [[0, 0, 0], [1.1, 0, 0], [0, 1.1, 0], [1.1, 1.1, 0]])


def test_constraints_become_a_mask():
    atoms = square()
    atoms.set_constraint(
        [FixAtoms([0]), FixCartesian([1, 2], mask=(True, False, True))]
    )
    expected = np.ones((3, 4), bool)
    expected[:, 0] = False
    expected[np.ix_([0, 2], [1, 2])] = False
    np.testing.assert_array_equal(free_mask(atoms), expected)
    _, system, _ = system_of(atoms, LennardJones())
    np.testing.assert_array_equal(system.free, expected)
    assert not system.recentred


@pytest.mark.parametrize(
    ("atoms", "constraint", "fixed"),
    [
        (RECTANGULAR, FixScaled([1], (False, False, True)), Z),
        (RECTANGULAR, FixScaled([1], (True, False, False)), X),
        (HEXAGONAL, FixScaled([1], (False, False, True)), Z),
        (HEXAGONAL, FixScaled([1], (True, True, False)), X | Y),
        (HEXAGONAL, FixScaled([1], (True, True, True)), X | Y | Z),
        (LEANING, FixScaled([1], (True, False, True)), X | Z),
        (TURNED, FixScaled([1], (False, False, True)), Z),
        (HEXAGONAL, FixedPlane([1], (0, 0, -2)), Z),
        (HEXAGONAL, FixedPlane(1, (0, 1, 0)), Y),
        (HEXAGONAL, FixedLine([1], (0, 0, 3)), X | Y),
    ],
)
def test_what_lies_along_the_axes_equals_fixed_coordinates(
    rng, atoms, constraint, fixed
):
    """The mask, and what ASE itself leaves of a displacement and of forces."""
    atoms = atoms.copy()
    atoms.set_constraint(constraint)
    free = free_mask(atoms)
    assert free is not None
    np.testing.assert_array_equal(free[:, 1], ~fixed)
    assert np.all(free[:, [0, 2, 3]])
    before, step = atoms.get_positions(), rng.normal(size=(4, 3))
    atoms.set_positions(before + step)
    left = atoms.get_positions() - before
    np.testing.assert_allclose(left, np.where(free.T, step, 0), atol=1e-12)
    forces = rng.normal(size=(4, 3))
    kept = np.array(forces)
    constraint.adjust_forces(atoms, kept)
    np.testing.assert_allclose(kept, np.where(free.T, forces, 0), atol=1e-12)


@pytest.mark.parametrize(
    ("atoms", "constraint", "sentence"),
    [
        (HEXAGONAL, FixScaled([1], (True, False, False)), r"atom 1 .*\(F T T of"),
        (LEANING, FixScaled([2], (False, False, True)), r"atom 2 .*\(T T F of"),
        (TURNED, FixScaled([1], (True, False, False)), "do not lie along x, y and z"),
        (HEXAGONAL, FixedPlane([1], (1, 1, 0)), "FixedPlane of atom 1 is not along"),
        (HEXAGONAL, FixedLine([3], (0, 1, 1)), "FixedLine of atom 3 is not along"),
        (square(), FixBondLengths([[0, 1]]), "constraint FixBondLengths is not"),
        (square(), Hookean(0, 1, 5.0, 2.0), "Hookean is not supported; fix whole"),
        (square(), FixAtoms(range(4)), "every atom is fixed"),
    ],
)
def test_others_are_refused_with_the_reason(atoms, constraint, sentence):
    atoms = atoms.copy()
    atoms.set_constraint(constraint)
    with pytest.raises(InputError, match=sentence) as refusal:
        free_mask(atoms)
    assert "\n" not in str(refusal.value)


def test_free_atoms_have_no_mask():
    assert free_mask(square()) is None
    atoms = square()
    atoms.calc = EMT()
    atoms.set_constraint(FixAtoms([]))
    assert free_mask(atoms) is None


@pytest.mark.parametrize("constraint", [FixAtoms([0, 4]), FixCartesian(-5)])
def test_atoms_that_are_not_there_are_told(constraint):
    atoms = square()
    atoms.set_constraint(constraint)
    with pytest.raises(InputError, match="and the structure only 4, counted from 0"):
        free_mask(atoms)
