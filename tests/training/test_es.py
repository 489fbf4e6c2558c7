"""Meta-gradients: unbiased on a quadratic, clipped exactly."""

from __future__ import annotations

import numpy as np
import pytest

from ase_l2h.training.es import ES, ESMC, Estimator


def test_the_gradient_of_a_quadratic_is_found_within_standard_errors():
    """Antithetic differences have no bias there, however large sigma is.

    Six parameters of unlike curvature, two starts with unlike offsets; five standard
    errors of 40,000 directions, which are a hundredth of the gradient.
    """
    rng = np.random.default_rng(5)
    root = rng.normal(size=(6, 6))
    curvature, slope = root @ root.T, rng.normal(size=6)
    theta = rng.normal(size=6)
    offsets = np.array([-40.0, -25.0])

    def loss(parameters: np.ndarray) -> np.ndarray:
        curved = 0.5 * np.einsum("da,ab,db->d", parameters, curvature, parameters)
        return (curved + parameters @ slope)[:, None] + offsets

    sigma = 0.3
    noise = rng.normal(size=(40_000, 6))
    base = loss(theta[None])
    plus, minus = loss(theta + sigma * noise), loss(theta - sigma * noise)
    found = ES(sigma).gradient(noise, base, plus, minus)
    samples = noise * np.mean(plus - minus, axis=1, keepdims=True) / (2 * sigma)
    error = samples.std(axis=0) / np.sqrt(len(noise))
    true = curvature @ theta + slope
    assert np.max(error) < 0.03 * np.linalg.norm(true)
    assert np.all(np.abs(found - true) < 5 * error)


def test_es_is_its_formula_on_small_arrays():
    noise = np.array([[1.0, 0.0], [0.5, -2.0]])
    plus = np.array([[-0.5, -0.3], [-0.9, -0.1]])
    minus = np.array([[-0.1, -0.1], [-0.4, -0.8]])
    base = np.full((2, 2), -0.2)
    # Differences (-0.4, -0.2) and (-0.5, 0.7): means -0.3 and 0.1, over 2 sigma.
    wanted = (-0.3 * noise[0] + 0.1 * noise[1]) / (2 * 0.25) / 2
    found = ES(0.25).gradient(noise, base, plus, minus)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_esmc_clips_both_arms_at_the_unperturbed_loss_of_the_same_start():
    noise = np.array([[1.0, 0.0], [0.5, -2.0]])
    base = np.array([[-0.2, -0.6], [-0.2, -0.6]])
    plus = np.array([[-0.5, 0.0], [-0.1, -0.3]])
    minus = np.array([[0.0, -0.9], [-0.4, -0.1]])
    # Clipped: plus (-0.5, -0.6), (-0.2, -0.6); minus (-0.2, -0.9), (-0.4, -0.6).
    # Differences (-0.3, 0.3) and (0.2, 0.0).
    wanted = (0.0 * noise[0] + 0.1 * noise[1]) / (2 * 0.1) / 2
    found = ESMC(0.1).gradient(noise, base, plus, minus)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert not np.allclose(found, ES(0.1).gradient(noise, base, plus, minus))


def test_an_exploded_arm_teaches_nothing_under_clipping():
    """Both arms worse than the present weights: no gradient, whatever their size."""
    noise = np.ones((1, 3))
    base = np.full((1, 4), -1.0)
    arms = np.zeros((1, 4)), np.full((1, 4), -0.2)
    assert np.all(ESMC(0.1).gradient(noise, base, *arms) == 0)
    assert np.all(ES(0.1).gradient(noise, base, *arms) > 0)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("estimator", [ES, ESMC])
def test_a_perturbation_without_size_is_refused(estimator, sigma):
    assert isinstance(estimator(), Estimator)
    with pytest.raises(ValueError, match="give a positive perturbation scale"):
        estimator(sigma)
