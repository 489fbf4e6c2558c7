from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from reference_data import evaluate

from ase_l2h.errors import InputError
from ase_l2h.potentials.jax_md import FunctionPotential, from_jax_md
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.parameters import gupta_set
from ase_l2h.search.problem import Problem
from ase_l2h.system import make_system

pytestmark = pytest.mark.usefixtures("x64")


def test_a_function_by_name_over_a_batch(rng, jax_md):
    positions = jnp.asarray(rng.uniform(0, 6, (3, 8, 2, 3)))
    system = make_system(np.zeros(8, int))
    wrapped = from_jax_md("gupta_gold55", cutoff=8.0)
    found = evaluate(wrapped, positions, system)
    ours = evaluate(gupta_set("Au55").potential(8.0), positions, system)
    assert found.energy.shape == (2, 3)
    assert found.atom_energies is None
    np.testing.assert_allclose(found.energy, ours.energy, rtol=1e-10)
    np.testing.assert_allclose(found.gradient, ours.gradient, rtol=1e-8, atol=1e-9)


def test_a_periodic_function(rng, jax_md):
    """jax-md's smooth Lennard-Jones, also one of ASE's forms, in a sheared cell.

    jax-md rounds parameters to single precision; these are exact in it.
    """
    cell = 9 * np.eye(3)
    cell[1, 0] = 1.5
    shape = {"sigma": 1.25, "epsilon": 0.75}
    wrapped = from_jax_md(
        jax_md.energy.lennard_jones_pair,
        cell=cell,
        cutoff=3.75,
        r_onset=2.0,
        r_cutoff=3.0,
        **shape,
    )
    # jax-md gives onset and cut-off in units of sigma.
    ours = LennardJones(rc=3.75, ro=2.5, smooth=True, **shape)
    system = make_system(np.zeros(10, int), cell=cell, cutoff=wrapped.cutoff)
    positions = jnp.asarray(rng.uniform(0, 9, (3, 10)))
    found = evaluate(wrapped, positions, system)
    same = evaluate(ours, positions, system)
    assert float(found.energy) == pytest.approx(float(same.energy), rel=1e-10)
    np.testing.assert_allclose(found.gradient, same.gradient, rtol=1e-8, atol=1e-9)


def test_parameters_and_atom_energies_of_a_function():
    def atoms(positions, stiffness):
        return stiffness * jnp.sum(positions**2, axis=1)

    def total(positions, stiffness):
        return jnp.sum(atoms(positions, stiffness))

    potential = FunctionPotential(total, {"stiffness": jnp.asarray(1.5)}, atoms)
    positions = jnp.arange(12.0).reshape(3, 2, 2)
    found = evaluate(potential, positions, make_system([0, 0]))
    np.testing.assert_allclose(found.atom_energies, 1.5 * (positions**2).sum(0))
    np.testing.assert_allclose(found.energy, 1.5 * (positions**2).sum((0, 1)))
    np.testing.assert_allclose(found.gradient, 3.0 * positions)


def test_bad_requests_are_one_sentence(jax_md):
    with pytest.raises(ValueError, match="no function 'gupta_silver'"):
        from_jax_md("gupta_silver")
    with pytest.raises(ValueError, match="nearest images only"):
        from_jax_md("gupta_gold55", cell=10 * np.eye(3), cutoff=8.0)


def positions_only(positions):
    return jnp.sum(positions)


@pytest.mark.parametrize(
    ("energy", "parameters", "said"),
    [
        (lambda p: np.sum(np.asarray(p)), None, "use jax.numpy instead of numpy"),
        (lambda p: float(p[0, 0]), None, "use jax.numpy instead of numpy"),
        (lambda p: p[:, 0], None, "returns no scalar"),
        (lambda p: (p.sum(), p), None, "of a tuple"),
        (positions_only, {"epsilon": 1.0}, r"energy\(positions, epsilon\) cannot be"),
    ],
)
def test_a_function_that_is_no_energy_is_refused(energy, parameters, said):
    with pytest.raises(InputError, match=said):
        Problem.from_function(
            energy, [18] * 4, length_scale=1, energy_scale=1, parameters=parameters
        )
