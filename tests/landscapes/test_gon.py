"""Global optimization networks have one minimum, in closed form, for all weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.landscapes.gon import GonNetwork, GonSettings, fit_gon
from ase_l2h.potentials.analytic import SchafferF7

SHIFT = np.array([30.0, -20.0, 45.0], np.float32)


def random_function(seed, dimension=5):
    network = GonNetwork(dimension, pieces=6, corners=4)
    pairs = jnp.asarray([[3, 0], [1, 4], [2, 3], [0, 2], [4, 1]])
    key = jax.random.key(seed)
    parameters: Any = jax.eval_shape(network.init, key, pairs)["params"]
    leaves, structure = jax.tree.flatten(parameters)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)
    ]
    made: Any = network.apply({"params": jax.tree.unflatten(structure, drawn)}, pairs)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_minimum_is_where_the_closed_form_has_it(seed):
    f = random_function(seed)
    minimum = f.minimum()
    images = f.mixing @ f.calibrated(minimum)
    np.testing.assert_allclose(images, f.target, atol=2e-5)
    assert float(f.raised(minimum)) == pytest.approx(0.0, abs=1e-4)
    points = minimum[:, None] + jax.random.normal(jax.random.key(seed), (5, 500))
    assert float(jnp.min(f.raised(points))) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_it_rises_along_every_ray_from_the_minimum(seed):
    """Rays of z, which are curves of x; so no other point is a minimum."""
    f = random_function(seed)
    directions = np.random.default_rng(seed).normal(size=(5, 50))
    lengths = np.linspace(0.0, 6.0, 80)
    away = jnp.asarray(directions[:, None] * lengths[:, None], jnp.float32)
    still = dataclasses.replace(
        f,
        slopes=jnp.ones_like(f.slopes),
        mixing=jnp.eye(5),
        target=jnp.zeros(5),
    )
    values = np.asarray(still.raised(away))
    assert np.all(np.diff(values, axis=0) > 0)


def test_calibrations_increase_and_are_undone_by_the_minimum():
    """Outside of the box they go on with the slope of its edge."""
    f = random_function(2)
    points = jnp.linspace(-1.5, 1.5, 61) * jnp.ones((5, 1))
    images = np.asarray(f.calibrated(points))
    assert np.all(np.diff(images, axis=1) > 0)
    np.testing.assert_allclose(images[:, 10], -images[:, 50], atol=1e-5)
    for column in (3, 20, 44, 58):
        target = f.mixing @ images[:, column]
        back = dataclasses.replace(f, target=target).minimum()
        np.testing.assert_allclose(back, points[:, column], atol=2e-5)


@pytest.mark.slow
def test_the_minimum_of_a_rough_function_is_approached():
    settings = GonSettings(budget=60_000, looks=20, seed=3)
    far = lambda point: float(np.sqrt(np.mean((point - SHIFT) ** 2)))
    found = fit_gon(SchafferF7(3, SHIFT), settings, lambda p: {"far": far(p)})
    assert found.records[0]["far"] > 20
    assert far(found.point) < 8
    assert found.energy == min(line["energy"] for line in found.records)
    assert 59_000 < found.charged_evaluations <= 60_000


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"corners": 1}, "corners is 1; give at least 2"),
        ({"budget": 200}, "the budget is 200 evaluations; give at least two batches"),
        ({"clip": 0.0}, "clip is 0.0; give a number above 0"),
    ],
)
def test_impossible_settings_are_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        GonSettings(**changes)
