"""Adam with learned numbers: Adam, whatever the numbers, and trained like a network."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h._internal.pytree import replace
from ase_l2h.rules import Adam
from ase_l2h.rules.base import Observation
from ase_l2h.rules.learned import Adam4pRule, Adam4pStart
from ase_l2h.system import make_system
from ase_l2h.targets import named_target
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.tasks import make_task
from ase_l2h.training.trainer import Trainer
from ase_l2h.weights.load import load_weights, save_weights

KEY = jax.random.key(0)


@pytest.mark.parametrize("rate", [0.01, 0.003])
def test_untrained_it_is_adam(rate, rng):
    """On gradients of all sizes, the very small included, which feel the offset."""
    system = make_system(np.zeros(4, int))
    rule = Adam4pRule.create(KEY, Adam4pStart(rate=rate))
    adam = Adam(rate=rate)
    positions = jnp.zeros((3, 4, 2))
    states = [each.init(system, positions) for each in (rule, adam)]
    for scale in (1.0, 1e3, 1e-3, 1e-8):
        gradient = jnp.asarray(rng.normal(size=(3, 4, 2), scale=scale), jnp.float32)
        seen = Observation(positions, gradient, jnp.zeros(2), None, system)
        moved, states[0] = rule.update(KEY, seen, states[0])
        expected, states[1] = adam.update(KEY, seen, states[1])
        np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-9)


def test_every_theta_means_an_adam():
    """Far from where training begins: rates stay positive, decays below 1."""
    rule = Adam4pRule.create(KEY)
    for shift in (-6.0, 6.0):
        moved = replace(rule, theta={k: v + shift for k, v in rule.theta.items()})
        adam = moved.adam
        assert 0 < adam.rate < 10
        assert 0 < adam.b1 < 1
        assert 0 < adam.b2 <= 1
        assert adam.eps > 0
    # A step of one size changes rate and offset by one factor.
    np.testing.assert_allclose(moved.adam.rate / rule.adam.rate, np.exp(6), rtol=1e-4)


@pytest.mark.slow
def test_an_update_of_meta_training_moves_all_four_numbers():
    config = TrainingConfig(
        tasks=("LJ5",),
        horizon=10,
        quench_steps=2,
        directions=3,
        starts=4,
        architecture="adam4p",
        features={"rate": 0.05},
        learning_rate=0.01,
        seed=3,
    )
    trainer = Trainer(config, {"LJ5": make_task(named_target("LJ5"))})
    state, record = trainer.update(trainer.initial)
    before, after = (trainer.trained(s).theta for s in (trainer.initial, state))
    np.testing.assert_allclose(before["log_rate"], np.log(0.05), rtol=1e-6)
    for name in ("log_rate", "logit_b1", "logit_b2", "log_eps"):
        # Adam's first step has the size of its rate in every number.
        np.testing.assert_allclose(abs(after[name] - before[name]), 0.01, rtol=1e-2)
    assert record["charged_evaluations"] == 4 * 7 * (10 + 2 + 1)


def test_weights_survive_the_journey(tmp_path):
    rule = Adam4pRule.create(KEY, Adam4pStart(rate=0.005))
    rule = replace(rule, theta={k: v * 1.25 for k, v in rule.theta.items()})
    path = tmp_path / "adam4p.safetensors"
    save_weights(path, rule, {"horizon": 300, "tasks": ["LJ13"]})
    loaded = load_weights(path)
    assert loaded.metadata["architecture"] == "adam4p"
    assert dataclasses.asdict(loaded.rule.features) == {"rate": 0.005}
    for name, value in rule.theta.items():
        np.testing.assert_array_equal(loaded.rule.theta[name], value)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), "fast", True])
def test_a_rate_that_is_none_is_refused(rate):
    start = Adam4pStart()
    object.__setattr__(start, "rate", rate)
    with pytest.raises(ValueError, match="give a number above 0"):
        start.__post_init__()
