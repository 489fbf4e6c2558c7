"""Meta-gradients: unbiased on a quadratic, clipped exactly."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.training.es import ES, Estimator
from ase_l2h.training.esmc import ESMC
from ase_l2h.training.ga import GA


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
    found = ES(sigma).gradient(noise, base, np.stack([plus, minus]))
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
    found = ES(0.25).gradient(noise, base, np.stack([plus, minus]))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_esmc_clips_both_arms_at_the_unperturbed_loss_of_the_same_start():
    noise = np.array([[1.0, 0.0], [0.5, -2.0]])
    base = np.array([[-0.2, -0.6], [-0.2, -0.6]])
    plus = np.array([[-0.5, 0.0], [-0.1, -0.3]])
    minus = np.array([[0.0, -0.9], [-0.4, -0.1]])
    # Clipped: plus (-0.5, -0.6), (-0.2, -0.6); minus (-0.2, -0.9), (-0.4, -0.6).
    # Differences (-0.3, 0.3) and (0.2, 0.0).
    wanted = (0.0 * noise[0] + 0.1 * noise[1]) / (2 * 0.1) / 2
    found = ESMC(0.1).gradient(noise, base, np.stack([plus, minus]))
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert not np.allclose(
        found, ES(0.1).gradient(noise, base, np.stack([plus, minus]))
    )


def test_an_exploded_arm_teaches_nothing_under_clipping():
    """Both arms worse than the present weights: no gradient, whatever their size."""
    noise = np.ones((1, 3))
    base = np.full((1, 4), -1.0)
    arms = np.stack([np.zeros((1, 4)), np.full((1, 4), -0.2)])
    assert np.all(ESMC(0.1).gradient(noise, base, arms) == 0)
    assert np.all(ES(0.1).gradient(noise, base, arms) > 0)


def example(seed: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise, base and arms of five directions, three parameters, four starts."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(5, 3)),
        rng.uniform(-1, 0, size=(5, 4)),
        rng.uniform(-1, 0, size=(2, 5, 4)),
    )


def test_the_sign_forgets_how_much_lower_an_arm_is():
    noise, base, arms = example()
    lower = np.sign(arms.mean(axis=2)[0] - arms.mean(axis=2)[1])
    found = ES(0.2, "sign").gradient(noise, base, arms)
    np.testing.assert_allclose(found, lower @ noise / (2 * 0.2) / 5, rtol=1e-12)
    # An exploding difference weighs no more than any other.
    loud = arms.copy()
    k = int(np.argmax(lower))
    loud[0, k] += 1e6
    np.testing.assert_allclose(ES(0.2, "sign").gradient(noise, base, loud), found)


def test_ranks_are_centred_and_compare_tasks_by_their_gains():
    noise, base, arms = example()
    gains = (arms - base).mean(axis=2).ravel()
    ranks = np.array([np.sum(gains < g) for g in gains]).reshape(2, 5) / 9 - 0.5
    wanted = (ranks[0] - ranks[1]) @ noise / (2 * 0.2) / 5
    found = ES(0.2, "ranks").gradient(noise, base, arms)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    # A task with deeper energies throughout does not win by that.
    shift = np.array([0, -7.0, 0, 3.0, 0])[:, None]
    shifted = ES(0.2, "ranks").gradient(noise, base + shift, arms + shift)
    np.testing.assert_allclose(shifted, found, rtol=1e-12)


def test_ga_takes_the_best_mutant_or_keeps_the_parent():
    noise, base, arms = example()
    gains = (base - arms[0]).mean(axis=1)
    assert gains.max() > 0
    step = -GA(0.3).gradient(noise, base, arms[:1])
    np.testing.assert_allclose(step, 0.3 * noise[np.argmax(gains)], rtol=1e-12)
    worse = np.zeros_like(arms[:1])
    assert np.all(GA(0.3).gradient(noise, base, worse) == 0)
    # The survivor replaces its parent whatever the learning rate.
    # The margin is in standard errors of the best mutant's mean gain.
    best = (base - arms[0])[np.argmax(gains)]
    errors = gains.max() / (best.std() / np.sqrt(best.size))
    kept = GA(0.3, margin=1.01 * errors).gradient(noise, base, arms[:1])
    assert np.all(kept == 0)
    taken = GA(0.3, margin=0.99 * errors).gradient(noise, base, arms[:1])
    np.testing.assert_array_equal(-taken, step)
    outer = GA(0.3).outer(1e-3)
    change, _ = outer.update(-jnp.asarray(step), outer.init(jnp.zeros(3)))
    np.testing.assert_allclose(np.asarray(change), step, rtol=1e-6)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("estimator", [ES, ESMC, GA])
def test_a_perturbation_without_size_is_refused(estimator, sigma):
    assert isinstance(estimator(), Estimator)
    with pytest.raises(ValueError, match=r"give a positive .* scale"):
        estimator(sigma)


def test_an_unknown_shaping_is_refused():
    with pytest.raises(ValueError, match="choose one of none, sign, ranks"):
        ESMC(0.1, "rank")
