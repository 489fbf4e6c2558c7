from __future__ import annotations

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase.build import bulk
from reference_data import evaluate, gradient_references

from ase_l2h.potentials.parameters import stillinger_weber_set
from ase_l2h.potentials.stillinger_weber import StillingerWeber
from ase_l2h.system import make_system

pytestmark = pytest.mark.usefixtures("x64")


def crystal(potential: StillingerWeber, lattice: float, repeats: int):
    """Energy and gradient of cubic diamond."""
    atoms = bulk("Si", "diamond", a=lattice, cubic=True).repeat(repeats)
    system = make_system(
        np.zeros(len(atoms), int), cell=atoms.cell.array, cutoff=potential.cutoff
    )
    return evaluate(potential, jnp.asarray(atoms.positions.T), system)


@pytest.mark.parametrize(
    ("name", "lattice", "per_atom"),
    [
        # LAMMPS (7 Aug 2019) log of StriderNET: -277.542399683 eV for 64 atoms.
        ("Si", 5.431, -277.542399683 / 64),
        # jax-md, tests/energy_test.py.
        ("Si_jax_md", 5.428, -4.336503155764325),
    ],
)
@pytest.mark.parametrize("repeats", [1, 2], ids=["images", "supercell"])
def test_diamond(name, lattice, per_atom, repeats):
    potential = stillinger_weber_set(name).potential()
    found = crystal(potential, lattice, repeats)
    assert float(found.energy) / 8 / repeats**3 == pytest.approx(per_atom, rel=1e-11)
    assert np.abs(found.gradient).max() < 1e-10


def test_perfect_diamond_is_bound_by_two_epsilon():
    """At the bond length where the pair term is -epsilon and every angle ideal."""
    potential = StillingerWeber(epsilon=1.7)
    lowest = min(
        float(crystal(potential, a, 1).energy) / 8 for a in (5.43, 5.43095, 5.432)
    )
    assert lowest == pytest.approx(-2 * 1.7, abs=1e-7)


def test_reference_gradient():
    reference = gradient_references()["SW_Si8_free_perturbed"]
    found = evaluate(
        StillingerWeber(),
        jnp.asarray(np.transpose(reference["positions"])),
        make_system(np.zeros(8, int)),
    )
    assert float(found.energy) == pytest.approx(reference["energy"], rel=1e-12)
    np.testing.assert_allclose(
        found.gradient, np.transpose(reference["gradient"]), rtol=1e-9, atol=1e-10
    )


def test_equals_the_sum_over_triples(rng):
    """The printed formula, term by term, with no parameter at its default."""
    values = {
        "epsilon": 1.3,
        "sigma": 1.9,
        "A": 6.0,
        "B": 0.7,
        "lam": 17.0,
        "gamma": 1.1,
        "a": 1.7,
        "cos_theta0": -0.21,
        "p": 3,
        "q": 1.5,
    }
    positions = rng.uniform(0, 4.5, (9, 3))
    e, s, A, B, lam, gamma, a, c0, p, q = values.values()

    def decay(r, strength):
        return np.exp(strength * s / (r - a * s)) if r < a * s else 0.0

    expected = 0.0
    for i, j in combinations(range(9), 2):
        r = np.linalg.norm(positions[i] - positions[j])
        expected += A * e * (B * (s / r) ** p - (s / r) ** q) * decay(r, 1.0)
    for i in range(9):
        for j, k in combinations([x for x in range(9) if x != i], 2):
            first, second = positions[j] - positions[i], positions[k] - positions[i]
            rij, rik = np.linalg.norm(first), np.linalg.norm(second)
            cosine = first @ second / (rij * rik)
            weight = decay(rij, gamma) * decay(rik, gamma)
            expected += lam * e * (cosine - c0) ** 2 * weight
    found = evaluate(
        StillingerWeber(**values), jnp.asarray(positions.T), make_system([0] * 9)
    )
    assert float(found.energy) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("edge", [None, 9.0], ids=["free", "periodic"])
def test_equals_jax_md(rng, jax_md, edge):
    """A distorted structure.

    jax-md adds 1e-7 length units to every distance in its cosines; in units of 1e-5
    angstrom that does not show at the tolerance.
    """
    space = jax_md.space
    unit = 1e5
    cell = None if edge is None else edge * np.eye(3)
    if cell is None:
        displacement, _ = space.free()
    else:
        displacement, _ = space.periodic(edge * unit)
    oracle = jax_md.energy.stillinger_weber(
        displacement, sigma=2.0951 * unit, cutoff=3.77118 * unit
    )
    positions = rng.uniform(0, 7, (12, 3))
    potential = stillinger_weber_set("Si_jax_md").potential()
    system = make_system(np.zeros(12, int), cell=cell, cutoff=potential.cutoff)
    found = evaluate(potential, jnp.asarray(positions.T), system)
    value, gradient = jax.jit(jax.value_and_grad(oracle))(jnp.asarray(positions) * unit)
    assert float(found.energy) == pytest.approx(float(value), rel=1e-10)
    gradient = gradient * unit
    scale = float(jnp.abs(gradient).max())
    np.testing.assert_allclose(found.gradient.T, gradient, rtol=0, atol=1e-10 * scale)


def test_energy_and_gradient_are_smooth_at_the_cut_off():
    """Nothing but zero and tiny numbers around r = a sigma, and never nan."""
    potential = StillingerWeber()
    r = potential.cutoff * (1 + np.array([-1e-3, -1e-8, -1e-16, 0.0, 1e-16, 1e-8]))
    positions = jnp.zeros((3, 3, len(r))).at[0, 1].set(r).at[1, 2].set(2.35)
    system = make_system(np.zeros(3, int))
    found = evaluate(potential, positions, system)
    dimer = evaluate(potential, positions[:, ::2], make_system([0, 0]))
    np.testing.assert_allclose(found.energy, dimer.energy, rtol=0, atol=1e-30)
    np.testing.assert_allclose(found.gradient[:, 1], 0.0, atol=1e-30)
