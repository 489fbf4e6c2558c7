"""Paths run down the learned function, and the loss sees only what counts."""

from __future__ import annotations

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
    squared_loss,
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


def test_the_loss_leaves_out_what_has_no_value(found):
    f = found[0]
    points = jnp.asarray(STARTS)
    values = f(points) + jnp.asarray([1.0, 2.0, 3.0] + [0.0] * 6)
    every = jnp.ones(9, bool)
    assert float(squared_loss(f, points, values, every)) == pytest.approx(14 / 9, 1e-4)
    holes = values.at[2].set(jnp.nan).at[5].set(jnp.inf)
    assert float(squared_loss(f, points, holes, every)) == pytest.approx(5 / 7, 1e-4)
    some = every.at[1].set(False)
    assert float(squared_loss(f, points, holes, some)) == pytest.approx(1 / 6, 1e-4)
    none = jnp.zeros(9, bool)
    assert float(squared_loss(f, points, holes, none)) == 0.0
