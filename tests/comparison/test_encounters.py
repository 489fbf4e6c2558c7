"""Means, quantiles and curves of runs, some of them cut off."""

from __future__ import annotations

import math

import numpy as np
import pytest

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
    # 95 %, or more because counts are whole: 4 standard errors below are 90 %.
    assert covered >= 270


def test_the_interval_is_too_wide_for_runs_that_vary_less():
    """Rows of starts of which four fifths meet the target: never below 95 %."""
    rng = np.random.default_rng(12)
    covered = 0
    for _ in range(300):
        mean = met(np.ones(30, bool), 100 * rng.geometric(0.8, 30)).mean
        covered += mean.low <= 125 <= mean.high
    assert covered >= 297


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
