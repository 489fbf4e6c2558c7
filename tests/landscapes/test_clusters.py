"""Clusters without rigid motions: every structure has its point, and its energy."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from reference_data import structures

from ase_l2h.landscapes.clusters import cluster_landscape
from ase_l2h.targets import named_target


def standing(positions: np.ndarray) -> np.ndarray:
    """A structure ``(n, 3)`` turned so that three atoms fix its frame."""
    moved = positions - positions[0]
    x = moved[1] / np.linalg.norm(moved[1])
    y = moved[2] - (moved[2] @ x) * x
    y = y / np.linalg.norm(y)
    return moved @ np.array([x, y, np.cross(x, y)]).T


def test_every_structure_has_a_point_with_its_energy(rng):
    target = named_target("LJ13")
    landscape = cluster_landscape(target.potential, target.system)
    assert landscape.dimension == 33
    atoms = structures("lj_global_minima_2_150")["LJ13"]
    turned = standing(atoms.positions)
    point = np.concatenate([turned[1, :1], turned[2, :2], turned[3:].ravel()])
    assert np.abs(point).max() < landscape.bound
    points = jnp.asarray(point, jnp.float32)[:, None]
    np.testing.assert_allclose(landscape.positions(points)[..., 0].T, turned, atol=1e-5)
    assert target.reference is not None
    np.testing.assert_allclose(landscape.energy(points), target.reference, rtol=1e-5)


def test_random_structures_have_values_that_can_be_regressed_on(rng):
    target = named_target("LJ38")
    landscape = cluster_landscape(target.potential, target.system)
    shape = (landscape.dimension, 200)
    points = rng.uniform(-landscape.bound, landscape.bound, shape)
    values = landscape.energy(jnp.asarray(points, jnp.float32))
    raw = target.potential.energy(
        landscape.positions(jnp.asarray(points, jnp.float32)), target.system
    )
    assert np.max(raw) > 1e6
    assert np.all(np.isfinite(values))
    assert np.max(values) < 100
    order = np.argsort(np.asarray(raw))
    assert np.all(np.diff(np.asarray(values)[order]) >= 0)


def test_crystals_and_pairs_are_refused_in_a_sentence():
    crystal, pair = named_target("KA20"), named_target("LJ2")
    with pytest.raises(ValueError, match="only from free clusters; leave out the cell"):
        cluster_landscape(crystal.potential, crystal.system)
    with pytest.raises(ValueError, match="the cluster has 2 atoms"):
        cluster_landscape(pair.potential, pair.system)
