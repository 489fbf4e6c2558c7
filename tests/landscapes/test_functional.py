"""Paths run down the learned function, and the loss sees only what counts."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist

from ase_l2h.landscapes.bilipschitz import BiLipschitzNetwork, SingleMinimumNetwork
from ase_l2h.landscapes.functional import (
    deviation,
    gradient_paths,
    largest_separation,
    projected_loss,
)

STARTS = np.random.default_rng(4).uniform(-1, 1, (4, 9)).astype(np.float32)


@jax.jit
def everything():
    """A function, its paths to a coarse and a fine tolerance, how these deviate."""
    network = SingleMinimumNetwork(BiLipschitzNetwork(4, 0.5, 2.0, layers=1, width=6))
    parameters = network.initial(jax.random.key(1), jnp.full(4, 0.3))
    f: Any = network.apply({"params": parameters})
    coarse, fine = (
        gradient_paths(f, jnp.asarray(STARTS), 1.0, 60, tolerance)
        for tolerance in (0.5, 1e-3)
    )
    # The function itself, and its negative, as U.
    return f, coarse, fine, deviation(f, fine), deviation(lambda p: -f(p), fine)


@pytest.fixture(scope="module")
def found():
    return everything()


def test_the_largest_separation_is_that_of_all_pairs():
    np.testing.assert_allclose(
        largest_separation(jnp.asarray(STARTS + 50)), pdist(STARTS.T).max(), rtol=1e-4
    )


def test_paths_begin_at_the_starts_and_go_down_to_the_minimum(found):
    f, _, fine, _, _ = found
    np.testing.assert_array_equal(fine.points[:, 0], STARTS)
    counted = np.asarray(fine.counted)
    values = np.asarray(f(fine.points))[counted]
    assert np.all(np.diff(values, axis=0) < 1e-6)
    last = np.asarray(fine.points)[:, counted][:, -1]
    np.testing.assert_allclose(last, np.full((4, 9), 0.3), atol=2e-2)


def test_points_count_until_the_paths_have_met(found):
    """Afterwards they rest, and are charged no more."""
    _, coarse, fine, _, _ = found
    for paths, tolerance in ((coarse, 0.5), (fine, 1e-3)):
        counted, points = np.asarray(paths.counted), np.asarray(paths.points)
        steps = int(counted.sum())
        assert 1 < steps < 60
        assert counted[:steps].all()
        apart = [pdist(points[:, k].T).max() for k in range(60)]
        assert min(apart[:steps]) > 0.99 * tolerance
        assert apart[steps] <= 1.01 * tolerance
        np.testing.assert_array_equal(points[:, steps], points[:, -1])
    assert int(coarse.counted.sum()) < int(fine.counted.sum())


def test_paths_of_a_function_do_not_deviate_from_descent_on_itself(found):
    _, _, _, (angle, downhill), (reverse, uphill) = found
    assert float(angle) == pytest.approx(0.0, abs=1e-3)
    assert float(downhill) > 0.99
    assert float(reverse) == pytest.approx(2.0, abs=1e-3)
    assert float(uphill) < 0.01


def least_squares(f, points, values, counted):
    """Coefficients of f and the mean of what they leave, by NumPy."""
    kept = np.asarray(counted) & np.isfinite(values)
    raised = np.asarray(f.raised(points), float)[kept]
    design = np.stack([raised, np.ones_like(raised)], axis=1)
    target = np.asarray(values, float)[kept]
    coefficients, *_ = np.linalg.lstsq(design, target, rcond=None)
    return coefficients, np.mean((design @ coefficients - target) ** 2)


def test_the_loss_is_that_of_the_best_coefficients(found):
    """What has no value, or is not counted, is left out."""
    f, points = found[0], jnp.asarray(STARTS)
    values = 3.0 * f(points) + jnp.asarray([1.0, 2.0, 3.0] + [0.0] * 6)
    holes = values.at[2].set(jnp.nan).at[5].set(jnp.inf)
    every = jnp.ones(9, bool)
    for given, counted in (
        (values, every),
        (holes, every),
        (holes, every.at[1].set(False)),
    ):
        (curvature, constant), left = least_squares(f, points, given, counted)
        loss, fitted = projected_loss(f.raised(points), given, counted)
        assert float(loss) == pytest.approx(left, rel=2e-3, abs=1e-5)
        assert float(fitted.curvature) == pytest.approx(curvature, rel=1e-3)
        assert float(fitted.constant) == pytest.approx(constant, rel=1e-3)
    loss, fitted = projected_loss(f.raised(points), holes, jnp.zeros(9, bool))
    assert float(loss) == float(fitted.constant) == 0.0


def test_a_function_that_falls_where_values_rise_still_learns(found):
    """The fitted curvature would be negative: a little is left, and a gradient."""
    f, points = found[0], jnp.asarray(STARTS)
    values, every = -f(points), jnp.ones(9, bool)

    def loss(target):
        moved = dataclasses.replace(f, target=target)
        return projected_loss(moved.raised(points), values, every)

    (_, fitted), slope = jax.value_and_grad(loss, has_aux=True)(f.target)
    share = float(fitted.curvature) * np.std(f.raised(points)) / np.std(values)
    assert share == pytest.approx(0.1, rel=1e-3)
    assert np.linalg.norm(slope) > 1e-3
