from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.optimize import BFGS
from reference_data import structures

from ase_l2h import potentials
from ase_l2h.ase_adapter.calculators import (
    Gupta,
    LennardJones,
    StillingerWeber,
    potential_and_system,
    potential_of,
)


def distorted_silicon() -> Atoms:
    """Eight atoms in a sheared cell, seen through its images."""
    rng = np.random.default_rng(3)
    atoms = bulk("Si", "diamond", a=5.3, cubic=True)
    atoms.rattle(0.15, rng=rng)
    shear = np.eye(3) + rng.normal(scale=0.03, size=(3, 3))
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    return atoms


def distorted_alloy() -> Atoms:
    rng = np.random.default_rng(4)
    atoms = bulk("Au", "fcc", a=4.1, cubic=True)
    atoms.symbols[[0, 2]] = "Ag"
    atoms.rattle(0.15, rng=rng)
    atoms.set_cell(atoms.cell.array + rng.normal(scale=0.1, size=(3, 3)))
    return atoms


PERIODIC = {
    "lennard-jones": (distorted_silicon(), LennardJones(2.1, 0.7, rc=5.0, smooth=True)),
    "gupta": (distorted_alloy(), Gupta("AgAu", rc=7.9)),
    "stillinger-weber": (distorted_silicon(), StillingerWeber()),
}


@pytest.mark.parametrize("name", PERIODIC)
def test_forces_and_stress_are_slopes_of_the_energy(name):
    atoms, calculator = PERIODIC[name]
    atoms = atoms.copy()
    atoms.calc = calculator
    assert np.abs(atoms.get_forces()).max() > 0.1
    numerical = calculate_numerical_forces(atoms, eps=1e-5, iatoms=[1])
    np.testing.assert_allclose(atoms.get_forces()[[1]], numerical, atol=1e-7)
    assert np.abs(atoms.get_stress()).min() > 1e-5
    numerical = calculate_numerical_stress(atoms, eps=1e-5)
    np.testing.assert_allclose(atoms.get_stress(), numerical, atol=1e-8)


@pytest.mark.parametrize("name", PERIODIC)
def test_energies_add_up(name):
    atoms, calculator = PERIODIC[name]
    atoms = atoms.copy()
    atoms.calc = calculator
    energy = atoms.get_potential_energy()
    assert atoms.get_potential_energy(force_consistent=True) == energy
    assert atoms.get_potential_energies().sum() == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0.0, atol=1e-10)


def test_stress_equals_that_of_ase(rng):
    atoms = Atoms("Ar5", rng.uniform(0, 4, (5, 3)), cell=[4.0, 4.5, 5.0], pbc=True)
    atoms.calc = LennardJones(1.1, 0.7, rc=3.0)
    other = atoms.copy()
    other.calc = AseLennardJones(sigma=1.1, epsilon=0.7, rc=3.0)
    assert atoms.get_potential_energy() == pytest.approx(
        other.get_potential_energy(), rel=1e-10
    )
    np.testing.assert_allclose(atoms.get_stress(), other.get_stress(), rtol=1e-9)


def test_clusters_have_no_stress():
    atoms = structures("gupta_structures")["Ag30Au30"].copy()
    atoms.calc = Gupta("AgAu")
    assert atoms.get_potential_energy() == pytest.approx(-188.373819, abs=6e-7)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_results_are_in_double_precision_and_the_flag_stays(rng):
    atoms = Atoms("Ar6", rng.uniform(0, 2.5, (6, 3)))
    atoms.calc = LennardJones()
    before = jax.config.jax_enable_x64
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    assert jax.config.jax_enable_x64 == before
    assert forces.dtype == np.float64
    r = atoms.get_all_distances()[np.triu_indices(6, 1)]
    assert energy == pytest.approx(np.sum(4 * (r**-12 - r**-6)), rel=1e-13)


def test_an_ase_optimizer_finds_the_square_of_silver():
    """Everything an optimizer asks for, over several sizes and changes of species."""
    atoms = Atoms("Ag4", [[0, 0, 0], [2.8, 0, 0], [0, 2.8, 0], [2.6, 2.6, 0.6]])
    atoms.calc = Gupta("AgAu")
    assert BFGS(atoms, logfile=None).run(fmax=1e-4, steps=100)
    silver = atoms.get_potential_energy()
    atoms.symbols[0] = "Au"
    assert atoms.get_potential_energy() < silver
    del atoms[0]
    assert silver < atoms.get_potential_energy() < 0


def test_a_lone_atom_has_no_energy():
    atoms = Atoms("Au", [[1.0, 2.0, 3.0]])
    atoms.calc = Gupta("Au")
    assert atoms.get_potential_energy() == 0.0
    np.testing.assert_array_equal(atoms.get_forces(), 0.0)


def test_own_parameters():
    """The AgAu set written out is the AgAu set, in any order of its rows."""
    atoms = distorted_alloy()
    atoms.pbc = False
    atoms.calc = Gupta("AgAu")
    named = atoms.get_potential_energy()
    rows = dict(reversed(potentials.gupta_set("AgAu").pairs.items()))
    atoms.calc = Gupta({"-".join(k.split("-")[::-1]): v for k, v in rows.items()})
    assert atoms.get_potential_energy() == pytest.approx(named, rel=1e-14)
    jax_md = {"epsilon": 2.16826}
    assert StillingerWeber(jax_md).potential.epsilon == 2.16826
    assert StillingerWeber(jax_md).potential.lam == 21.0


def test_parameters_can_be_changed_and_stored():
    calculator = LennardJones(epsilon=0.5)
    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 2 ** (1 / 6)]])
    atoms.calc = calculator
    assert atoms.get_potential_energy() == pytest.approx(-0.5)
    calculator.set(epsilon=2.0)
    assert atoms.get_potential_energy() == pytest.approx(-2.0)
    with pytest.raises(ValueError, match="sigma is -1; it must be a positive number"):
        calculator.set(sigma=-1)
    assert atoms.get_potential_energy() == pytest.approx(-2.0)
    assert json.loads(json.dumps(calculator.todict()))["epsilon"] == 2.0


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Gupta("AuAg"), "no Gupta parameters named 'AuAg'; choose one of"),
        (lambda: Gupta(None), "Gupta needs the name of a parameter set"),
        (lambda: Gupta({"Au-Au": (1.0, 2.0)}), "five positive numbers"),
        (lambda: Gupta("Au", rc=-2.0), "rc is -2.0; it must be a positive number"),
        (lambda: LennardJones(epsilon=float("nan")), "epsilon is nan; it must be"),
        (lambda: LennardJones(smooth=True), "needs its distance; set rc"),
        (lambda: LennardJones(rc=2.0, ro=2.5, smooth=True), "starts at ro = 2.5"),
        (lambda: StillingerWeber("Ge"), "named 'Ge'; choose one of Si"),
        (lambda: StillingerWeber({"eps": 2.0}), "no parameter 'eps'; it takes A, B"),
        (lambda: StillingerWeber({"sigma": 0.0}), "sigma is 0.0; it must be"),
        (lambda: Gupta({"Au-Au": "gold"}), "five positive numbers"),
        (
            lambda: StillingerWeber({"a": "far"}),
            "a is far; it must be a positive number",
        ),
        (lambda: StillingerWeber(3), "needs the name of a parameter set"),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_structures_without_parameters_are_refused():
    atoms = Atoms("Ge2", [[0, 0, 0], [0, 0, 2.4]])
    atoms.calc = StillingerWeber()
    with pytest.raises(ValueError, match="no parameters for Ge; it covers Si"):
        atoms.get_potential_energy()
    atoms.calc = Gupta("AgAu")
    with pytest.raises(ValueError, match="no Gupta parameters for Ge"):
        atoms.get_potential_energy()


def test_potential_of_our_calculators():
    lj = potential_of(LennardJones(1.2, 0.3, rc=4.0, ro=2.0, smooth=True))
    assert isinstance(lj, potentials.LennardJones)
    assert (lj.sigma, lj.epsilon, lj.rc, lj.ro, lj.smooth) == (1.2, 0.3, 4.0, 2.0, True)
    assert potential_of(Gupta("FeCoNi")).symbols == ("Fe", "Co", "Ni")
    assert potential_of(StillingerWeber("Si_learn2hop")).epsilon == 2.168


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"sigma": 1.3, "epsilon": 0.4},
        {"sigma": 1.1, "rc": 1e3},
        {"rc": 2.2, "smooth": True},
        {"rc": 2.2, "ro": 1.9, "smooth": True},
    ],
    ids=str,
)
def test_potential_of_ase_lennard_jones(rng, parameters):
    """Whatever it carries: defaults are rc = 3 sigma, shifted, and ro = 0.66 rc."""
    atoms = Atoms("Ar8", rng.uniform(0, 4, (8, 3)))
    atoms.calc = AseLennardJones(**parameters)
    potential, system, positions = potential_and_system(atoms)
    with jax.enable_x64(True):
        energy = float(potential.energy(jax.numpy.asarray(positions), system))
    assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-10)


def test_potential_of_ase_lennard_jones_after_set():
    calculator = AseLennardJones()
    calculator.set(sigma=2.0)
    # ASE does not move rc with sigma once it is resolved.
    assert potential_of(calculator).sigma == 2.0
    assert potential_of(calculator).rc == 3.0
    # None means 3 sigma in ASE, never "no cut-off" as in our own calculator.
    calculator.set(rc=None)
    assert potential_of(calculator).rc == 6.0


class Subclass(AseLennardJones):
    """May compute anything."""


@pytest.mark.parametrize("calculator", [None, EMT(), Subclass(), object()])
def test_other_calculators_are_called_as_they_are(calculator):
    assert potential_of(calculator) is None


def test_matscipy_stillinger_weber():
    """Non-default strength, so that a set of our own cannot be what is returned."""
    manybody = pytest.importorskip(
        "matscipy.calculators.manybody", reason="matscipy is not installed"
    )
    from matscipy.calculators.manybody.explicit_forms import (
        stillinger_weber,
        tersoff_brenner,
    )

    values = stillinger_weber.Stillinger_Weber_PRB_31_5262_Si | {"lambda1": 31.5}
    atoms = bulk("Si", "diamond", a=5.3, cubic=True).repeat(2)
    atoms.rattle(0.1, rng=np.random.default_rng(2))
    atoms.calc = manybody.Manybody(**stillinger_weber.StillingerWeber(values))
    potential, system, positions = potential_and_system(atoms)
    assert potential.lam == 31.5
    with jax.enable_x64(True):
        energy = float(potential.energy(jax.numpy.asarray(positions), system))
    assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-10)

    other = tersoff_brenner.TersoffBrenner(tersoff_brenner.Tersoff_PRB_39_5566_Si_C)
    assert potential_of(manybody.Manybody(**other)) is None


def test_potential_and_system_needs_a_known_calculator():
    atoms = fcc111("Cu", (2, 2, 2), vacuum=5.0)
    with pytest.raises(ValueError, match="the structure has no calculator; set"):
        potential_and_system(atoms)
    atoms.calc = EMT()
    with pytest.raises(ValueError, match=r"the structure has EMT; set atoms\.calc"):
        potential_and_system(atoms)
    with pytest.raises(TypeError, match=r"needs an ase\.Atoms object"):
        potential_and_system("Au13.xyz")
