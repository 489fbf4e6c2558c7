from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones as AseLennardJones
from reference_data import evaluate, gradient_references, structures

from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.system import make_system
from ase_l2h.targets import lennard_jones_minimum

pytestmark = pytest.mark.usefixtures("x64")


def test_all_149_published_minima():
    """Cambridge Cluster Database, N = 2 ... 150: energies to 1e-6, and stationary."""
    minima = structures("lj_global_minima_2_150")
    sizes = [len(atoms) for atoms in minima.values()]
    assert sizes == list(range(2, 151))
    # One batch of one shape: what is missing to 150 atoms is put far away, each atom
    # alone, where it adds less than 1e-20.
    positions = np.zeros((3, 150, len(minima)))
    positions[0] = 1e5 * np.arange(1, 151)[:, None]
    for k, atoms in enumerate(minima.values()):
        positions[:, : len(atoms), k] = atoms.positions.T
    system = make_system(np.zeros(150, int))
    found = evaluate(LennardJones(), jnp.asarray(positions), system)
    published = [lennard_jones_minimum(n) for n in sizes]
    np.testing.assert_allclose(found.energy, published, rtol=0, atol=1e-6)
    assert np.abs(found.gradient).max() < 1e-4


def test_reference_gradient():
    reference = gradient_references()["LJ7_perturbed"]
    system = make_system(np.zeros(7, int))
    positions = jnp.asarray(np.transpose(reference["positions"]))
    found = evaluate(LennardJones(), positions, system)
    assert float(found.energy) == pytest.approx(reference["energy"], rel=1e-12)
    np.testing.assert_allclose(
        found.gradient, np.transpose(reference["gradient"]), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("edge", [None, 3.9, 8.0], ids=["free", "images", "large"])
@pytest.mark.parametrize(
    "cut",
    [{"rc": 2.3}, {"rc": 2.3, "smooth": True}, {"rc": 2.7, "ro": 1.5, "smooth": True}],
    ids=["shifted", "smooth", "onset"],
)
def test_cut_off_forms_are_those_of_ase(rng, cut, edge):
    """Distorted structure, non-default parameters, free and periodic."""
    cell = None
    if edge is not None:
        cell = edge * np.eye(3) + rng.normal(scale=0.2, size=(3, 3))
    atoms = Atoms("Ar12", rng.uniform(0, 4, (12, 3)), cell=cell, pbc=cell is not None)
    atoms.calc = AseLennardJones(sigma=1.1, epsilon=0.7, **cut)
    potential = LennardJones(sigma=1.1, epsilon=0.7, **cut)
    system = make_system(np.zeros(12, int), cell=cell, cutoff=potential.cutoff)
    found = evaluate(potential, jnp.asarray(atoms.positions.T), system)
    assert float(found.energy) == pytest.approx(atoms.get_potential_energy(), rel=1e-10)
    forces = atoms.get_forces()
    scale = np.abs(forces).max()
    np.testing.assert_allclose(-found.gradient.T, forces, rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(
        found.atom_energies, atoms.get_potential_energies(), rtol=1e-10, atol=1e-10
    )


def test_without_a_cutoff_ase_needs_a_huge_one(rng):
    atoms = Atoms("Ar9", rng.uniform(0, 3, (9, 3)))
    atoms.calc = AseLennardJones(sigma=1.05, epsilon=1.3, rc=1e3)
    found = evaluate(
        LennardJones(sigma=1.05, epsilon=1.3),
        jnp.asarray(atoms.positions.T),
        make_system(np.zeros(9, int)),
    )
    assert float(found.energy) == pytest.approx(atoms.get_potential_energy(), rel=1e-10)
    forces = atoms.get_forces()
    scale = np.abs(forces).max()
    np.testing.assert_allclose(-found.gradient.T, forces, rtol=0, atol=1e-10 * scale)


def test_energy_scales_with_its_parameters(rng):
    positions = jnp.asarray(rng.uniform(0, 3, (3, 8)))
    system = make_system(np.zeros(8, int))
    plain = evaluate(LennardJones(), positions, system)
    scaled = evaluate(LennardJones(epsilon=0.7, sigma=1.1), 1.1 * positions, system)
    assert float(scaled.energy) == pytest.approx(0.7 * float(plain.energy), rel=1e-12)
