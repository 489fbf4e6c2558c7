"""Bounds, inverse and single minimum hold for all weights, not only trained ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_l2h.landscapes.bilipschitz import (
    BiLipschitzNetwork,
    SingleMinimum,
    SingleMinimumNetwork,
    cayley,
)

# Dimension, width, mu, nu; every other layer of the tests is wider than the space.
CASE = (4, 3, 0.2, 5.0)
any_seed = st.integers(0, 2**31)
any_scale = st.sampled_from([0.01, 1.0, 30.0])
often = settings(deadline=None, max_examples=25, derandomize=True)


def random_function(key, case, size=1.0) -> SingleMinimum:
    """Weights far from their initial values: every array has its own random part."""
    dimension, width, mu, nu = case
    network = SingleMinimumNetwork(
        BiLipschitzNetwork(dimension, mu, nu, layers=2, width=width)
    )
    parameters: Any = jax.eval_shape(network.init, key)["params"]
    leaves, structure = jax.tree.flatten(parameters)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        size * jax.random.normal(k, leaf.shape, leaf.dtype)
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    made: Any = network.apply({"params": jax.tree.unflatten(structure, drawn)})
    return made


@jax.jit
def examine(key, scale):
    """Everything that is certified, on random weights and 40 pairs of points."""
    f = random_function(key, CASE)
    a, b = scale * jax.random.normal(jax.random.fold_in(key, 1), (2, CASE[0], 40))
    stretched = jnp.linalg.norm(f.map(a) - f.map(b), axis=0)
    images = jnp.concatenate([f.map(a), f.target[:, None]], axis=1)
    back = f.map.inverse(images, 1e-12)
    back, minimum = back[:, :-1], back[:, -1]
    return {
        "stretch": stretched / jnp.linalg.norm(a - b, axis=0),
        "inverse_error": jnp.linalg.norm(back - a, axis=0),
        "size": 1.0 + jnp.linalg.norm(a, axis=0),
        "squared_slope": jnp.sum(f.gradient(a) ** 2, axis=0),
        "height": f(a) - f.constant,
        "inequality": f.inequality(),
        "slope_at_minimum": jnp.linalg.norm(f.gradient(minimum)),
        "minimum": f(minimum) - f.constant,
    }


def examined(seed, scale):
    with jax.enable_x64(True):
        return jax.device_get(examine(jax.random.key(seed), jnp.asarray(scale)))


@pytest.mark.parametrize("shape", [(5, 5), (9, 4), (3, 8), (2, 1)])
def test_cayley_gives_orthonormal_columns_or_rows(shape):
    free = jax.random.normal(jax.random.key(1), shape)
    made = np.asarray(cayley(free))
    small = made.T @ made if shape[0] >= shape[1] else made @ made.T
    np.testing.assert_allclose(small, np.eye(min(shape)), atol=3e-6)
    assert not np.allclose(made, cayley(2.0 * free), atol=1e-2)


@pytest.mark.slow
@often
@given(seed=any_seed, scale=any_scale)
def test_distances_are_stretched_within_the_certified_bounds(seed, scale):
    stretch = examined(seed, scale)["stretch"]
    assert np.all(stretch >= CASE[2] * (1 - 1e-9))
    assert np.all(stretch <= CASE[3] * (1 + 1e-9))


@pytest.mark.slow
def test_the_bounds_say_something():
    """Some weights come close to both: much tighter ones would not hold."""
    found = [examined(seed, 1.0)["stretch"] for seed in range(60)]
    assert np.min(found) < 1.5 * 0.2
    assert np.max(found) > 0.6 * 5.0


@often
@given(seed=any_seed, scale=any_scale)
def test_the_inverse_gives_the_points_back(seed, scale):
    found = examined(seed, scale)
    # The tolerance of each layer, stretched by the layers behind it.
    assert np.all(found["inverse_error"] <= 1e-6 * found["size"])


@often
@given(seed=any_seed, scale=any_scale)
def test_the_polyak_lojasiewicz_inequality_holds(seed, scale):
    found = examined(seed, scale)
    below = 2.0 * found["inequality"] * found["height"]
    assert np.all(found["squared_slope"] >= below * (1 - 1e-9))
    assert np.all(found["height"] > 0)


@often
@given(seed=any_seed)
def test_the_learned_minimum_is_stationary(seed):
    found = examined(seed, 1.0)
    assert found["slope_at_minimum"] < 1e-5
    assert found["minimum"] < 1e-10


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("power", [0.25, 0.5, 2.0])
def test_a_power_keeps_the_minimum_and_the_order_of_points(power):
    f = random_function(jax.random.key(8), CASE)
    raised = dataclasses.replace(f, power=power)
    points = jax.random.normal(jax.random.key(9), (4, 200))
    np.testing.assert_array_equal(jnp.argsort(f(points)), jnp.argsort(raised(points)))
    minimum = raised.minimum(1e-12)
    np.testing.assert_array_equal(minimum, f.minimum(1e-12))
    assert float(raised(minimum)) == pytest.approx(float(f.constant), abs=1e-9)
    q = 2.0 * f.bowl(points) / 4
    expected = 2.0 * f.curvature * ((q + 1e-6) ** power - 1e-6**power) + f.constant
    np.testing.assert_allclose(raised(points), expected, rtol=1e-12)


def test_the_power_is_a_weight_of_the_network():
    network = SingleMinimumNetwork(BiLipschitzNetwork(3, width=4), power=0.5)
    weights: Any = network.init(jax.random.key(0))["params"]
    made: Any = network.apply({"params": {**weights, "log_power": jnp.asarray(0.7)}})
    assert float(made.power) == pytest.approx(0.5 * np.exp(0.7))


@pytest.mark.slow
def test_single_precision_will_do():
    """The inverse gives points back; the first minimum is where it was asked for."""
    network = SingleMinimumNetwork(BiLipschitzNetwork(5, width=8))
    point = jnp.asarray([0.3, -0.9, 0.1, 0.5, -0.2])

    @jax.jit
    def found(key):
        made: Any = network.apply({"params": network.initial(key, point)})
        points = jax.random.normal(key, (5, 100))
        images = jnp.concatenate([made.map(points), made.target[:, None]], axis=1)
        return points, made.map.inverse(images, 1e-6)

    points, back = found(jax.random.key(5))
    assert points.dtype == back.dtype == jnp.float32
    np.testing.assert_allclose(back[:, :-1], points, atol=2e-5)
    np.testing.assert_allclose(back[:, -1], point, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_gradient_descent_from_100_starts_ends_in_one_point():
    @jax.jit
    def descend(key):
        f = random_function(key, (6, 12, 0.5, 2.0), size=0.4)
        starts = 3.0 * jax.random.normal(key, (6, 100))
        rate = 0.2 / (f.curvature * 4.0)
        step = lambda _, x: x - rate * f.gradient(x)
        return f.minimum(1e-10), starts, jax.lax.fori_loop(0, 3000, step, starts)

    minimum, starts, ends = jax.device_get(descend(jax.random.key(11)))
    assert np.abs(starts - minimum[:, None]).max() > 5
    assert np.abs(ends - minimum[:, None]).max() < 1e-6


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (BiLipschitzNetwork(0), "the dimension is 0; give a whole number from 1"),
        (BiLipschitzNetwork(3, 2.0, 1.0), "mu = 2.0 and nu = 1.0; give 0 < mu < nu"),
        (BiLipschitzNetwork(3, -1.0, 1.0), "mu = -1.0 and nu = 1.0"),
        (BiLipschitzNetwork(3, layers=0), "0 layers of width 64; give at least 1"),
    ],
)
def test_impossible_networks_are_refused_in_a_sentence(network, sentence):
    with pytest.raises(ValueError, match=sentence):
        network.init(jax.random.key(0))
