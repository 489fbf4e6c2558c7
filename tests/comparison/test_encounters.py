"""Means, quantiles and curves of runs, some of them cut off."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ase_l2h.comparison import encounters
from ase_l2h.comparison.compile_clock import CompileClock
from ase_l2h.comparison.encounters import Encounters


def met(found, evaluations) -> Encounters:
    return Encounters(np.array(found, bool), np.array(evaluations, int), 1e-5, 2.0)


def test_the_mean_of_memoryless_runs_is_right_though_most_are_cut_off():
    """Exponential waits of 1000, cut off at 600: the mean of the hits alone is 270."""
    rng = np.random.default_rng(11)
    means, covered = [], 0
    for _ in range(300):
        waits = rng.exponential(1000.0, 60)
        runs = met(waits <= 600, np.minimum(waits, 600))
        means.append(runs.mean.value)
        covered += runs.mean.low <= 1000.0 <= runs.mean.high
    error = np.std(means) / math.sqrt(len(means))
    # The estimate of a rate's inverse is high by 1/hits, here 3 %.
    assert abs(np.mean(means) - 1030) < 4 * error
    # 4 standard errors below 95 % are 90 %.
    assert covered >= 270


def mixed(rng: np.random.Generator) -> np.ndarray:
    """Seven of ten are easy, the others nine times as long; mean 1000."""
    easy = rng.random(60) < 0.7
    return np.where(easy, rng.exponential(300.0, 60), rng.exponential(2633.3, 60))


@pytest.mark.parametrize(
    "waits",
    [
        lambda rng: rng.exponential(1000.0, 60),
        # Rows of starts of which four fifths meet the target.
        lambda rng: 800.0 * rng.geometric(0.8, 60),
        lambda rng: 500 + rng.exponential(500.0, 60),
        mixed,
    ],
    ids=["memoryless", "rows", "delayed", "mixed"],
)
def test_the_interval_holds_the_mean_however_the_runs_vary(waits):
    """95 %; two standard errors of 400 samples and a skewed sample's loss below."""
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(400):
        mean = met(np.ones(60, bool), waits(rng)).mean
        held += mean.low <= 1000 <= mean.high
    assert 0.90 <= held / 400 <= 0.98


def test_a_poisson_interval_would_not_hold_the_mean_of_a_mixture(monkeypatch):
    monkeypatch.setattr(encounters, "SEVERAL", math.inf)
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(400):
        mean = met(np.ones(60, bool), mixed(rng)).mean
        held += mean.low <= 1000 <= mean.high
    assert held / 400 < 0.8


def test_few_encounters_have_the_interval_of_a_poisson_process():
    """Three of five: exact bounds of a rate (Garwood)."""
    mean = met([True, True, True, False, False], [100, 200, 300, 400, 400]).mean
    assert mean.value == pytest.approx(1400 / 3)
    # For 3 events the 95 % interval of their number is 0.6187 to 8.7673.
    assert mean.low == pytest.approx(1400 / 8.7673, rel=1e-4)
    assert mean.high == pytest.approx(1400 / 0.6187, rel=1e-4)


def test_nothing_found_bounds_the_mean_from_below():
    mean = met([False] * 20, [1000] * 20).mean
    assert math.isinf(mean.value)
    assert math.isinf(mean.high)
    # exp(-20000 / mean) = 2.5 %.
    assert mean.low == pytest.approx(20_000 / -math.log(0.025))


def test_quantiles_are_those_of_the_sample_until_it_is_cut_off():
    whole = met([True] * 10, np.arange(1, 11) * 100)
    assert whole.quantile(0.5).value == 500
    assert whole.quantile(0.9).value == 900
    assert whole.quantile(0.5).low <= 500 <= whole.quantile(0.5).high
    # Kaplan and Meier: after the third of ten, a censored one leaves six at risk.
    cut = met([True, True, True, False, True, *[False] * 5], [1, 2, 3, 4, 5, *[6] * 5])
    np.testing.assert_allclose(cut.curve().share[-2:], [1 - 0.7 * 5 / 6] * 2)
    assert math.isinf(cut.quantile(0.5).value)


def test_time_compiled_in_two_threads_at_once_counts_once(monkeypatch):
    now = iter([10.0, 11.0, 12.0, 20.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    clock = CompileClock()
    for event, duration in (
        ("/jax/core/compile/jaxpr_trace_duration", 4.0),  # 6 to 10
        ("/jax/core/compile/backend_compile_duration", 3.0),  # 8 to 11
        ("/jax/something/else", 50.0),
        ("/jax/core/compile/backend_compile_duration", 2.0),  # 10 to 12
        ("/jax/core/compile/backend_compile_duration", 1.0),  # 19 to 20
    ):
        clock.on_event(event, duration)
    assert clock.seconds == pytest.approx(7.0)
