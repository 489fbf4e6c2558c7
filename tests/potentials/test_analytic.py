"""Test functions: published values, where the minima are, how they fold into atoms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.potentials.analytic import (
    FUNCTIONS,
    Alpine1,
    Landscape,
    LandscapePotential,
    SchafferF7,
    fold,
    folded_system,
    shifted_copy,
    test_function,
    unfold,
)
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout import rollout
from ase_l2h.rules import Fire, Lbfgs

# Computed from the formulas of V. Plevris and G. Solorzano, Data 7, 46 (2022):
# point, Alpine-1, Schaffer F7 as they have it, and the plain sum.
VALUES = [
    ([1.0, 2.0], 2.96006583845926, 6.239377174167904, 2.497874531310151),
    ([-3.5, 7.25, 0.5], 8.559790439049186, 16.74799046545997, 8.184861749708414),
    (
        [5.0, -5.0, 2.5, -2.5, 1.25],
        13.892834241345652,
        18.129000870147664,
        17.031265775695083,
    ),
    ([0.1] * 10, 0.1998334166468282, 0.3014524975319436, 4.941422092888588),
]


@pytest.mark.parametrize(("point", "alpine", "plevris", "classic"), VALUES)
@pytest.mark.usefixtures("x64")
def test_the_values_are_those_of_the_collection(point, alpine, plevris, classic):
    x, d = jnp.asarray(point), len(point)
    np.testing.assert_allclose(Alpine1(d).energy(x), alpine, rtol=1e-12)
    for form, value in (
        ("plevris", plevris),
        ("classic", classic),
        ("paper", classic / d),
    ):
        found = SchafferF7(d, form=form).energy(x)
        np.testing.assert_allclose(found, value, rtol=1e-11, err_msg=form)


@pytest.mark.usefixtures("x64")
def test_every_local_minimum_of_alpine_1_is_global(rng):
    """Between its zeros each term has one maximum and no minimum."""
    grid = np.linspace(-99.99997, 99.99991, 2_000_001)[None]
    u = np.asarray(Alpine1(1).energy(jnp.asarray(grid)))
    minima = np.flatnonzero((u[1:-1] < u[:-2]) & (u[1:-1] < u[2:])) + 1
    zeros = Alpine1(1).nearest_zero(grid[:, minima])
    # Two in each period of the sine, at 63 places of the box, and 0 itself.
    assert len(minima) == len(np.unique(zeros.round(6))) == 64
    assert np.abs(zeros - grid[:, minima]).max() < 1e-4
    assert np.all(Alpine1(1).energy(jnp.asarray(zeros)) < 1e-10)


def test_zeros_near_the_origin_are_the_published_ones():
    published = [-9.3246105396, -6.3833527283, -3.0414252324, -0.1001674212]
    published += [3.2417600748, 6.183017886, 9.5249453819]
    near = np.array(published)[None] + 0.03
    np.testing.assert_allclose(Alpine1(1).nearest_zero(near)[0], published, atol=1e-9)
    assert Alpine1(1).nearest_zero(np.array([0.02])) == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_shifted_copy_is_the_same_function_elsewhere(name, rng):
    function = test_function(name, 6)
    moved = shifted_copy(jax.random.key(3), function)
    points = jnp.asarray(rng.uniform(-90, 90, (6, 5)), jnp.float32)
    column = np.asarray(moved.shift)[:, None]
    assert np.abs(column).max() > 20
    np.testing.assert_allclose(
        moved.energy(points + column), function.energy(points), rtol=2e-4
    )
    assert float(moved.energy(moved.shift)) == 0.0
    other = shifted_copy(jax.random.key(4), function)
    assert not np.allclose(other.shift, moved.shift)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_finite_even_at_the_minimum(name, rng):
    function = test_function(name, 7)
    points = jnp.asarray(rng.uniform(-100, 100, (7, 20)), jnp.float32)
    points = points.at[:, 0].set(0.0)
    gradient = jax.grad(lambda p: jnp.sum(function.energy(p)))(points)
    assert np.all(np.isfinite(gradient))
    # Alpine-1 has a kink there, of slope 0.1.
    assert np.all(np.abs(gradient[:, 0]) < 0.11)


@pytest.mark.parametrize("dimension", [3, 7])
def test_a_landscape_behind_the_contract_of_potentials(dimension, rng):
    function = SchafferF7(dimension)
    potential, system = LandscapePotential(function), folded_system(dimension)
    assert isinstance(potential, Potential)
    assert isinstance(function, Landscape)
    points = jnp.asarray(rng.uniform(-9, 9, (dimension, 4)), jnp.float32)
    positions = fold(points)
    assert positions.shape == (3, -(-dimension // 3), 4)
    np.testing.assert_array_equal(unfold(positions, dimension), points)
    np.testing.assert_array_equal(
        potential.energy(positions, system), function.energy(points)
    )
    assert not system.recentred
    assert int(np.sum(np.asarray(system.free))) == dimension


@pytest.mark.parametrize("rule", [Fire(), Lbfgs()])
def test_the_rules_of_atoms_descend_on_a_landscape(rule, rng):
    """Coordinates that only fill up the last column stay where they are."""
    function = Alpine1(4)
    starts = fold(jnp.asarray(rng.uniform(-9, 9, (4, 6)), jnp.float32))
    potential, system = LandscapePotential(function), folded_system(4)
    key = jax.random.key(0)
    out = rollout(RuleOptimizer(rule), potential, system, starts, key=key, n_steps=60)
    before = np.asarray(function.energy(unfold(starts, 4)))
    assert np.all(out.best_energy < before)
    assert np.median(out.best_energy / before) < 0.6
    assert np.all(out.positions.reshape(6, 6)[4:] == 0.0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Alpine1(0), "the dimension is 0; give a whole number from 1"),
        (lambda: SchafferF7(1), "the dimension is 1; give a whole number from 2"),
        (lambda: Alpine1(3, bound=-1.0), "bound of the box is -1.0; give a number"),
        (lambda: test_function("ackley", 3), "no test function is named 'ackley'"),
    ],
)
def test_impossible_functions_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
