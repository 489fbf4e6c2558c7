"""Inputs of the learned rules, judged by plain numpy."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h._internal.pytree import replace
from ase_l2h.rules.base import Observation
from ase_l2h.rules.learned import (
    CoordinatewiseRule,
    EquivariantFeatures,
    EquivariantRule,
    FeatureSet,
)
from ase_l2h.rules.learned.features import (
    DECAYS,
    ETAS,
    STEP_PERIODS,
    coordinate_features,
    initial_moments,
    log_magnitude,
    radial_functions,
    step_sines,
    update_moments,
)
from ase_l2h.rules.learned.invariants import surroundings
from ase_l2h.system import make_system

SWITCHES = [f.name for f in dataclasses.fields(FeatureSet) if f.type == "bool"]


def images_within(cell: np.ndarray, cutoff: float) -> np.ndarray:
    """More translations than can be needed, by brute force."""
    reach = 2 + int(np.ceil(cutoff / min(np.linalg.svd(cell)[1])))
    grid = np.arange(-reach, reach + 1)
    triples = np.stack(np.meshgrid(grid, grid, grid), axis=-1).reshape(-1, 3)
    return triples @ cell


def numpy_radial(positions, species, slots, shifts=None) -> np.ndarray:
    """Behler-Parrinello sums atom by atom, ``(slots, etas, n)``."""
    n = positions.shape[1]
    shifts = np.zeros((1, 3)) if shifts is None else shifts
    sums = np.zeros((slots, len(ETAS), n))
    for i in range(n):
        for j in range(n):
            for shift in shifts:
                r = np.linalg.norm(positions[:, i] - positions[:, j] - shift)
                if r == 0 or r >= 2.5:
                    continue
                fc = (np.cos(np.pi * r / 2.5) + 1) / 2
                sums[species[j], :, i] += np.exp(-np.array(ETAS) * r**2) * fc
    return sums


def test_radial_functions_of_two_species(rng):
    positions = rng.uniform(-1.5, 1.5, size=(3, 9))
    species = np.array([0, 1, 0, 0, 1, 1, 0, 1, 0])
    found = radial_functions(
        jnp.asarray(positions, jnp.float32), make_system(species), species_slots=2
    )
    wanted = numpy_radial(positions, species, 2).reshape(-1, 9)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    alike = radial_functions(jnp.asarray(positions, jnp.float32), make_system(species))
    np.testing.assert_allclose(
        alike, wanted.reshape(2, -1, 9).sum(0), rtol=1e-5, atol=1e-6
    )


def test_radial_functions_see_every_periodic_image(rng):
    """A skewed cell shorter than the cutoff: an atom sees itself several times."""
    cell = np.array([[1.6, 0, 0], [0.9, 1.7, 0], [-0.4, 0.5, 2.1]])
    positions = cell.T @ rng.random((3, 2))
    system = make_system(np.zeros(2, int), cell=cell, cutoff=1.0)
    found = radial_functions(jnp.asarray(positions, jnp.float32), system)
    wanted = numpy_radial(positions, [0, 0], 1, images_within(cell, 2.5))[0]
    alone = numpy_radial(positions, [0, 0], 1)[0]
    assert np.min(wanted - alone) > 0.5
    np.testing.assert_allclose(found, wanted, rtol=2e-5)


def test_shells_of_the_equivariant_rule_count_neighbours(rng):
    """``max(0, 1 - ((r^2 - c) / w)^2)^2`` summed over the neighbours, by hand."""
    positions = rng.uniform(-1.2, 1.2, size=(3, 8))
    found = surroundings(jnp.asarray(positions, jnp.float32), make_system([0] * 8))
    d = positions[:, :, None] - positions[:, None]
    squared = np.sum(d * d, axis=0) + 1e6 * np.eye(8)
    bump = lambda c, w: np.maximum(0, 1 - ((squared - c) / w) ** 2) ** 2
    nearest, wide = bump(1.0, 0.8), bump(3.0, 2.8)
    np.testing.assert_allclose(found.shells[1], bump(1.0, 0.4).sum(1), atol=1e-5)
    np.testing.assert_allclose(found.shells[5], bump(4.2, 1.4).sum(1), atol=1e-5)
    for k, weight in enumerate((nearest, wide)):
        np.testing.assert_allclose(
            found.vectors[k], np.sum(weight * d, axis=2), atol=1e-5
        )


@pytest.mark.parametrize(
    ("value", "magnitude", "direction"),
    [
        (np.e**3, 0.3, 1.0),
        (-(np.e**-9.99), -0.999, -1.0),
        # Below exp(-10) the value itself, scaled to meet the other branch.
        (-(np.e**-10.01), -1.0, -(np.e**-0.01)),
        (1e-9, -1.0, 1e-9 * np.e**10),
        (-1e-30, -1.0, -1e-30 * np.e**10),
        (0.0, -1.0, 0.0),
    ],
)
def test_log_magnitude_maps_both_signs_and_small_values(value, magnitude, direction):
    found = log_magnitude(jnp.asarray([value], jnp.float32))
    np.testing.assert_allclose(found[0], magnitude, rtol=1e-6)
    np.testing.assert_allclose(found[1], direction, rtol=1e-5)


@pytest.mark.parametrize("t", [1.0, 49_999.0, 50_000.0, 1_000_000.0])
@pytest.mark.usefixtures("optimised")
def test_sines_are_as_sharp_as_their_angle(t):
    """Single precision cannot hold 16,667 rad better than 1e-3; sines add nothing."""
    angles = t / np.array(STEP_PERIODS, dtype=np.float64)
    found = np.asarray(jax.jit(step_sines)(jnp.float32(t)))
    # XLA turns the quotient into a product, which rounds twice.
    rounding = 1.5 * np.spacing(angles.astype(np.float32))
    assert np.all(np.abs(found - np.sin(angles)) < rounding + 3e-7)
    # The shortest period is exact, however late.
    assert abs(found[0] - np.sin(t)) < 3e-7
    if t <= 50_000:
        assert np.max(np.abs(found - np.sin(angles))) < 3e-3


def test_moments_and_their_bias_correction_follow_float64(rng):
    """At decay 0.9999 and t = 1 a plain ``1 - d^t`` keeps only four digits."""
    gradients = (
        rng.normal(size=(3, 3, 5, 1)) * np.array([1e-4, 1, 1e3])[:, None, None, None]
    )
    moments = initial_moments(jnp.zeros((3, 5, 1), jnp.float32))
    first, second = np.zeros((6, 3, 5, 1)), np.zeros((6, 3, 5, 1))
    decay = np.array(DECAYS).reshape(6, 1, 1, 1)
    features = FeatureSet(gradients=False, positions=False, decays=False)
    for t, gradient in enumerate(gradients, start=1):
        single = jnp.asarray(gradient, jnp.float32)
        moments = update_moments(moments, single)
        first = decay * first + (1 - decay) * gradient
        second = decay * second + (1 - decay) * gradient**2
        found = coordinate_features(features, single, single, moments, jnp.asarray(t))
        hats = [m / (1 - decay**t) for m in (first, second)]
        inverse = 1 / np.sqrt(hats[1] + 1e-8)
        # 1 - float32(0.9999) is wrong in the fourth digit, in numerator and
        # denominator alike.
        np.testing.assert_allclose(found[:6], hats[0] * inverse, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[6:], inverse, rtol=1e-5)


def observation(n: int = 4) -> Observation:
    rng = np.random.default_rng(2)
    system = make_system(np.zeros(n, int))
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    return Observation(draw(3, n), draw(3, n), draw(), draw(n), system)


def random_rule(architecture, features):
    """A rule whose output layer is not zero; quicker than flax's initialisers."""
    rng = np.random.default_rng(4)
    shapes = jax.eval_shape(lambda: architecture.create(jax.random.key(0), features))
    draw = lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / 4, jnp.float32)
    theta = {name: draw(leaf) for name, leaf in shapes.theta.items()}
    return architecture(theta=theta, features=features)


def displace(rule):
    seen = observation()
    state = rule.init(seen.system, seen.positions)
    return rule.update(jax.random.key(0), seen, state)[0]


def test_the_full_rule_has_the_papers_78_inputs():
    """Appendix D: about 3,600 weights for one element."""
    rule = CoordinatewiseRule.create(jax.random.key(0))
    assert FeatureSet().n_inputs == 78
    assert rule.theta["kernel_0"].shape == (78, 32)
    weights = sum(np.size(leaf) for leaf in rule.theta.values())
    assert weights == 78 * 32 + 32 + 32 * 32 + 32 + 32 * 2 + 2 + 3 == 3653
    # A second species: 16 more radial inputs and the one-hot.
    assert FeatureSet(species_slots=2).n_inputs == 78 + 16 + 2


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_group_of_inputs_can_be_switched_off(switch):
    widths = {
        "gradients": 2,
        "positions": 2,
        "decays": 24,
        "adam_like": 24,
        "singular": 1,
        "species": 2,
        "step": 9,
        "radial": 32,
    }
    full = FeatureSet(species_slots=2)
    without = dataclasses.replace(full, **{switch: False})
    assert full.n_inputs - without.n_inputs == widths[switch]
    rule = random_rule(CoordinatewiseRule, without)
    assert jax.eval_shape(displace, rule).shape == (3, 4)


@pytest.mark.parametrize("switch", SWITCHES)
def test_one_group_alone_is_enough_to_run(switch):
    off = dict.fromkeys(SWITCHES, False)
    features = FeatureSet(**(off | {switch: True}), species_slots=2)
    moved = np.asarray(jax.jit(displace)(random_rule(CoordinatewiseRule, features)))
    assert np.all(np.isfinite(moved))
    assert np.any(moved != 0)
    # Inputs that all coordinates share cannot tell them apart.
    alike = switch in ("singular", "step", "species", "radial")
    assert (np.ptp(moved, axis=0).max() == 0) == alike


@pytest.mark.parametrize("switch", ["step", "progress", "atom_energies"])
def test_the_equivariant_rule_runs_with_every_switch(switch):
    features = EquivariantFeatures()
    flipped = dataclasses.replace(features, **{switch: not getattr(features, switch)})
    width = {"step": -9, "progress": -2, "atom_energies": 1}[switch]
    assert flipped.n_inputs - features.n_inputs == width
    moved = np.asarray(jax.jit(displace)(random_rule(EquivariantRule, flipped)))
    assert np.all(np.isfinite(moved))
    assert np.any(moved != 0)


def test_weights_that_need_atom_energies_say_so():
    features = EquivariantFeatures(atom_energies=True)
    rule = random_rule(EquivariantRule, features)
    seen = observation()._replace(atom_energies=None)
    state = rule.init(seen.system, seen.positions)
    with pytest.raises(ValueError, match="use weights trained without it"):
        jax.eval_shape(rule.update, jax.random.key(0), seen, state)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"species_slots": 0}, "species_slots is 0"),
        ({"species_slots": True}, "species_slots is True"),
        (dict.fromkeys(SWITCHES, False), "every group of inputs is off"),
    ],
)
def test_impossible_features_are_refused(entries, message):
    with pytest.raises(ValueError, match=message):
        FeatureSet(**entries)


@pytest.mark.parametrize("architecture", [CoordinatewiseRule, EquivariantRule])
def test_an_untrained_rule_does_not_move(architecture):
    rule = architecture.create(jax.random.key(0))
    assert np.all(np.asarray(jax.jit(displace)(rule)) == 0)


def test_the_clock_is_compressed_by_time_scale():
    """Step 1 at scale 500 sees the sines of step 500; only they know the time."""
    features = FeatureSet(**(dict.fromkeys(SWITCHES, False) | {"step": True}))
    rule = random_rule(CoordinatewiseRule, features)

    @jax.jit
    def act(scale, step):
        seen = observation()
        clocked = replace(rule, time_scale=scale)
        state = clocked.init(seen.system, seen.positions)._replace(step=step)
        return clocked.update(jax.random.key(0), seen, state)[0]

    early, late = jnp.asarray(0, jnp.int32), jnp.asarray(499, jnp.int32)
    np.testing.assert_array_equal(act(500.0, early), act(1.0, late))
    assert np.any(np.asarray(act(1.0, early)) != np.asarray(act(1.0, late)))
