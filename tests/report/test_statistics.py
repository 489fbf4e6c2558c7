"""The interval of a hit rate."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binomtest

from ase_l2h.report.statistics import wilson_interval


@pytest.mark.parametrize(
    ("hits", "trials"), [(0, 1), (1, 1), (0, 150), (3, 17), (140, 150), (150, 150)]
)
def test_the_interval_is_that_of_scipy(hits, trials):
    interval = binomtest(hits, trials).proportion_ci(method="wilson")
    found = wilson_interval(hits, trials)
    assert found == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_the_ends_are_exact():
    assert wilson_interval(0, 12)[0] == 0.0
    assert wilson_interval(12, 12)[1] == 1.0
    assert not math.isclose(wilson_interval(12, 12)[0], 1.0)


@pytest.mark.parametrize(("hits", "trials"), [(1, 0), (0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion_is_refused(hits, trials):
    with pytest.raises(ValueError, match="not a proportion"):
        wilson_interval(hits, trials)
