from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from reference_data import evaluate

from ase_l2h.potentials.soft_sphere import SoftSphere
from ase_l2h.system import make_system

pytestmark = pytest.mark.usefixtures("x64")


def dimer(distances) -> jnp.ndarray:
    return jnp.zeros((3, 2, len(distances))).at[0, 1].set(jnp.asarray(distances))


def test_energy_and_force_of_a_pair():
    """Diameter 2.5, energy unit 0.3: 0.15 (1 - r/2.5)^2, zero beyond."""
    r = np.array([0.0, 0.5, 2.0, 2.5, 2.6])
    found = evaluate(SoftSphere(sigma=2.5, epsilon=0.3), dimer(r), make_system([0, 0]))
    overlap = np.maximum(1 - r / 2.5, 0)
    np.testing.assert_allclose(found.energy, 0.15 * overlap**2, rtol=1e-12)
    slope = np.where(r > 0, -0.3 * overlap / 2.5, 0.0)
    np.testing.assert_allclose(found.gradient[0, 1], slope, atol=1e-14)
    np.testing.assert_allclose(found.gradient[0, 0], -slope, atol=1e-14)


def test_diameter_is_the_length_scale_of_each_structure():
    scale = jnp.asarray([1.0, 2.0, 4.0])
    system = make_system([0, 0], length_scale=scale)
    energy = SoftSphere().energy(dimer([0.5, 1.0, 2.0]), system)
    np.testing.assert_allclose(energy, 0.125, rtol=1e-12)


def test_sees_through_the_walls_of_a_cell():
    """Two atoms 0.2 apart across the boundary, and an atom that meets its images."""
    positions = jnp.asarray([[0.1, 3.9], [0.0, 0.0], [0.0, 0.0]])
    system = make_system([0, 0], cell=4 * np.eye(3), cutoff=1.0)
    energy = SoftSphere(sigma=1.0).energy(positions, system)
    assert float(energy) == pytest.approx(0.5 * 0.8**2, rel=1e-12)
    alone = make_system([0], cell=0.9 * np.eye(3), cutoff=1.0)
    energy = SoftSphere(sigma=1.0).energy(jnp.zeros((3, 1)), alone)
    assert float(energy) == pytest.approx(3 * 0.5 * 0.1**2, rel=1e-12)
