"""From Atoms with a calculator to a problem, and the only way to the calculator."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.cluster import Icosahedron
from ase.constraints import FixAtoms, FixCartesian

from ase_l2h.ase_adapter.calculators import Gupta, LennardJones
from ase_l2h.ase_adapter.measured import CentredCoordinates, CountingCalculator
from ase_l2h.ase_adapter.problem import (
    fingerprint_of,
    problem_of,
    rattled,
    structure_of,
)
from ase_l2h.errors import InputError


class Counting(EMT):
    """Counts its calls."""

    calls = 0

    def calculate(self, *arguments, **keywords):
        self.calls += 1
        super().calculate(*arguments, **keywords)


def copper(calculator=None) -> Atoms:
    """A shaken cluster far from the origin."""
    atoms = Icosahedron("Cu", 2)
    atoms.rattle(0.1, rng=np.random.default_rng(3))
    atoms.translate([30.0, 4.0, 5.0])
    atoms.calc = Counting() if calculator is None else calculator
    return atoms


def test_a_recognised_calculator_gives_its_potential_and_the_structure():
    atoms = copper(LennardJones(sigma=2.3, epsilon=0.4, rc=9.0))
    problem = problem_of(atoms)
    assert problem.measure is None
    assert problem.name == "Cu13"
    assert problem.symbols == ("Cu",) * 13
    assert problem.identity["calculator"] == "LennardJones"
    assert problem.identity["parameters"]["sigma"] == 2.3
    centred = atoms.positions - atoms.positions.mean(axis=0)
    np.testing.assert_allclose(problem.given[..., 0].T, centred, atol=1e-12)
    # ASE's own calculator of the same numbers is the same problem.
    twin = copper(AseLennardJones(sigma=2.3, epsilon=0.4, rc=9.0))
    assert fingerprint_of(problem_of(twin)) == fingerprint_of(problem)
    json.dumps(problem.fingerprint())


def test_any_other_calculator_is_called_on_a_copy():
    atoms = copper()
    before = atoms.get_positions()
    problem = problem_of(atoms, fmax=0.02)
    # The energy of the structure is part of what it is.
    assert atoms.calc.calls == 1
    assert problem.fmax == 0.02
    assert problem.potential is None
    rng = np.random.default_rng(0)
    place = problem.given[..., 0] + rng.normal(scale=0.05, size=(3, 13))
    energy, gradient = problem.measure(place)
    np.testing.assert_array_equal(atoms.positions, before)
    moved = copper(EMT())
    moved.positions = place.T + before.mean(axis=0)
    assert energy == pytest.approx(moved.get_potential_energy(), rel=1e-12)
    np.testing.assert_allclose(gradient, -moved.get_forces().T, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda a: a.set_constraint(FixAtoms([1])), "fixed_coordinates"),
        (lambda a: a.set_constraint(FixCartesian([1], [1, 0, 0])), "fixed_coordinates"),
        (lambda a: setattr(a, "calc", EMT(asap_cutoff=True)), "parameters"),
        (lambda a: a.calc.parameters.update(asap_cutoff=True), "parameters"),
        (lambda a: a.symbols.__setitem__(0, "Au"), "numbers"),
        (lambda a: a.rattle(0.3), "energy"),
    ],
)
def test_what_changes_a_problem_changes_its_identity(change, field):
    plain, changed = copper(EMT()), copper(EMT())
    change(changed)
    first, second = problem_of(plain).identity, problem_of(changed).identity
    assert first[field] != second[field]
    assert problem_of(copper(EMT())).identity == first


def test_species_and_parameters_of_a_potential_are_its_identity():
    def alloy(parameters: str, silver: int) -> Atoms:
        atoms = Icosahedron("Au", 2)
        atoms.symbols[:silver] = "Ag"
        atoms.calc = Gupta(parameters)
        return atoms

    first = problem_of(alloy("AgAu", 3))
    assert fingerprint_of(first) == fingerprint_of(problem_of(alloy("AgAu", 3)))
    assert fingerprint_of(first) != fingerprint_of(problem_of(alloy("AgAu", 4)))


def test_calls_are_counted_where_something_is_computed():
    atoms = copper()
    coordinates = CentredCoordinates(atoms.get_positions())
    calculator = CountingCalculator(atoms, coordinates)
    first = coordinates.given
    other = first + np.eye(13, 3) * 0.1
    for place in (first, first, other, first, other):
        calculator.at(place)
    # Both are known: as the last and the lowest.
    assert calculator.calls == atoms.calc.calls == 2
    # But the calculator has moved on, and can be asked to come back.
    calculator.call(first)
    assert calculator.calls == atoms.calc.calls == 3
    assert atoms.get_potential_energy() == calculator.at(first).energy
    assert atoms.calc.calls == 3
    assert calculator.lowest.energy == min(
        calculator.at(place).energy for place in (first, other)
    )


def test_coordinates_there_and_back_are_exact_where_they_must_be():
    rng = np.random.default_rng(1)
    given = rng.normal(size=(7, 3)) + np.array([100.0, -50.0, 3.0])
    free = np.ones((3, 7), bool)
    free[:, :2] = False
    free[1, 3] = False
    coordinates = CentredCoordinates(given, free)
    inside = coordinates.inside(given)
    np.testing.assert_allclose(inside.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_array_equal(coordinates.outside(inside), given)
    moved = coordinates.outside(inside + 1.0)
    np.testing.assert_array_equal(moved[:2], given[:2])
    assert moved[3, 1] == given[3, 1]
    np.testing.assert_allclose(moved[4:], given[4:] + 1.0, rtol=1e-12)


def test_a_rattle_breaks_symmetry_by_a_seed_and_moves_nothing_fixed():
    atoms = copper(LennardJones(sigma=2.3))
    atoms.set_constraint(FixAtoms([0, 5]))
    problem = problem_of(atoms)
    first, same, other = (rattled(problem, [seed]).given for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    shift = (first - problem.given)[..., 0]
    assert np.all(shift[:, [0, 5]] == 0)
    free = np.delete(np.arange(13), [0, 5])
    assert 0.5e-3 < np.std(shift[:, free]) / problem.length < 2e-3
    assert not np.array_equal(first, other)


def test_a_calculator_that_makes_nothing_of_the_structure():
    class Lost(EMT):
        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            self.results["forces"] = self.results["forces"] * np.nan

    with pytest.raises(InputError, match="no finite energy and forces"):
        problem_of(copper(Lost()))


def test_only_one_structure_at_a_time():
    with pytest.raises(InputError, match="not of a list"):
        structure_of([copper()])
    atoms = copper()
    assert structure_of(atoms.__ase_optimizable__()) is atoms


def test_a_crystal_keeps_its_cell():
    atoms = bulk("Cu", cubic=True)
    atoms.calc = EMT()
    problem = problem_of(atoms)
    np.testing.assert_array_equal(problem.cell, atoms.cell.array)
    energy, _ = problem.measure(problem.given[..., 0])
    assert energy == atoms.get_potential_energy()
