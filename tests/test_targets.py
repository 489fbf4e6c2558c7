"""Names of targets: what they mean, and what is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_data import structures

from ase_l2h.potentials.base import energy_and_gradient
from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones
from ase_l2h.targets import lennard_jones_minimum, named_target


def test_the_table_of_lennard_jones_minima_is_the_published_one():
    """All 149 sizes, against the energies stored with the structures."""
    frames = structures("lj_global_minima_2_150")
    assert len(frames) == 149
    for name, atoms in frames.items():
        assert lennard_jones_minimum(int(name[2:])) == atoms.info["energy_table"]
    assert lennard_jones_minimum(7) == -16.505384
    assert lennard_jones_minimum(1) is None
    assert lennard_jones_minimum(151) is None


def test_a_lennard_jones_target_has_the_published_energy():
    target = named_target("LJ38")
    assert (target.n_atoms, target.reference) == (38, -173.928427)
    assert target.symbols == ("Ar",) * 38
    np.testing.assert_allclose(target.system.length_scale, 2 ** (1 / 6))
    assert target.system.energy_scale == 1.0
    positions = structures("lj_global_minima_2_150")["LJ38"].positions.T
    energy = target.potential.energy(jnp.asarray(positions, jnp.float32), target.system)
    np.testing.assert_allclose(energy, -173.928427, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "symbols", "length"),
    [
        ("Au13", ["Au"] * 13, 2.96),
        ("Ag2Au3", ["Ag"] * 2 + ["Au"] * 3, (2 * 2.8921 + 3 * 2.885) / 5),
        ("AuAg", ["Au", "Ag"], (2.8921 + 2.885) / 2),
        ("Pd10Pt", ["Pd"] * 10 + ["Pt"], (10 * 2.7485 + 2.7747) / 11),
    ],
)
def test_a_formula_gets_the_parameters_of_its_elements(name, symbols, length):
    target = named_target(name)
    assert list(target.symbols) == symbols
    np.testing.assert_allclose(target.system.length_scale, length)
    # Ascending atomic number: silver before gold, however the formula is written.
    numbers = {"Ag": 47, "Au": 79, "Pd": 46, "Pt": 78}
    order = sorted(set(symbols), key=numbers.__getitem__)
    assert target.system.species.tolist() == [order.index(s) for s in symbols]


def test_a_parameter_set_can_be_chosen():
    default, chosen = named_target("Au13"), named_target("Au13", "Au")
    np.testing.assert_allclose(default.system.length_scale, 2.96)
    np.testing.assert_allclose(chosen.system.length_scale, 2.884)


@pytest.mark.parametrize(("name", "edge"), [("Si8", 5.431), ("Si64", 10.862)])
def test_silicon_is_a_cube_of_diamond(name, edge):
    """Perfect diamond at 5.431 angstrom: -2 eps per atom but for a slight stretch."""
    target = named_target(name)
    cell = np.asarray(target.system.cell)
    np.testing.assert_allclose(cell, edge * np.eye(3))
    face = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    cube = np.concatenate([face, face + 0.25])
    k = round(edge / 5.431)
    shifts = np.stack(np.meshgrid(*[np.arange(k)] * 3), axis=-1).reshape(-1, 1, 3)
    positions = 5.431 * (cube + shifts).reshape(-1, 3).T
    assert positions.shape[1] == target.n_atoms
    value = jax.jit(energy_and_gradient)(
        target.potential, jnp.asarray(positions, jnp.float32), target.system
    )
    np.testing.assert_allclose(value.energy / target.n_atoms, -2 * 2.168, rtol=1e-3)
    np.testing.assert_allclose(value.gradient, 0, atol=2e-4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "neither a file nor a formula"),
        ("lj38", "neither a file nor a formula"),
        ("LJ-3", "neither a file nor a formula"),
        ("Au 13", "neither a file nor a formula"),
        ("missing.xyz", "neither a file nor a formula"),
        ("LJ1", "has 1 atom"),
        ("LJ0", "has 0 atom"),
        ("LJ000", "has 0 atom"),
        ("Au", "has 1 atom"),
        ("Au0", "has 0 atom"),
        ("Ag5Au0", "has 0 atoms of Au"),
        ("LJ2001", "more than 2000 atoms"),
        ("Au99999999999", "more than 2000 atoms"),
        ("LJ" + "9" * 5000, "more than 2000 atoms"),
        ("Ag1500Au1500", "more than 2000 atoms"),
        ("Xx4", "no Gupta parameters for Xx"),
        ("He13", "no Gupta parameters for He"),
        ("LJ", "'LJ' has no number of atoms; write for example LJ38"),
        ("Au5He5", "no Gupta parameters for Au-He"),
        ("Si9", "not a cubic supercell"),
        ("LJ٣٨", "neither a file nor a formula"),
    ],
)
def test_names_that_mean_nothing_are_refused(name, message):
    with pytest.raises(ValueError, match=message) as caught:
        named_target(name)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("LJ13", "AgAu", "LJ13.*no parameter set 'AgAu'"),
        ("Au13", "Nonesuch", "no Gupta parameters named 'Nonesuch'"),
        ("Au13", "PdPt", "no Gupta parameters for Au; this set covers Pd, Pt"),
        ("Si8", "Nonesuch", "no Stillinger-Weber parameters named 'Nonesuch'"),
    ],
)
def test_parameter_sets_that_do_not_fit_are_refused(name, parameters, message):
    with pytest.raises(ValueError, match=message):
        named_target(name, parameters)


def test_the_reference_of_silicon_is_the_energy_of_its_crystal():
    """At the minimum the energy is -2 epsilon per atom; 5.431 angstrom is near it."""
    target = named_target("Si8")
    basis = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]])
    sites = np.concatenate([basis, basis + 1]) / 4 * 5.431
    with jax.enable_x64(True):
        energy = target.potential.energy(jnp.asarray(sites.T), target.system)
    assert target.reference is not None
    np.testing.assert_allclose(float(energy), target.reference, atol=1e-6)


def test_the_kob_andersen_mixture_is_the_published_one():
    """100 atoms: composition, box and the energy of a published glass."""
    smooth = named_target("KA100").potential
    assert isinstance(smooth, BinaryLennardJones)
    assert smooth.truncation == "stoddard-ford"
    target = named_target("KA100", "truncated")
    assert target.symbols == ("Ar",) * 80 + ("Kr",) * 20
    cell = np.asarray(target.system.cell)
    np.testing.assert_allclose(np.diag(cell), 4.367902323681494)
    atoms = structures("kob_andersen_binary_lj")["KA100_glass"]
    order = np.argsort(atoms.numbers, kind="stable")
    with jax.enable_x64(True):
        positions = jnp.asarray(atoms.positions[order].T)
        energy = target.potential.energy(positions, target.system)
    np.testing.assert_allclose(energy, -8.112565531844 * 100, rtol=1e-9)
    with pytest.raises(ValueError, match="multiple of 5, such as KA100"):
        named_target("KA13")
    with pytest.raises(ValueError, match="choose one of truncated, shifted"):
        named_target("KA100", "Au")
