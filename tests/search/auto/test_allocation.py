"""Which part of the default method gets the next evaluations."""

from __future__ import annotations

import numpy as np
import pytest

from ase_l2h.search.auto.allocation import credited, drawn_parts, no_credit

EQUAL = (1.0, 1.0, 1.0)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def after(part: int, rank: int, *, times: int = 30, cost: float = 300.0) -> np.ndarray:
    """Credit when one part has made so many structures, all of a rank."""
    made = np.full(times, part)
    return credited(no_credit(3), made, np.full(times, cost), np.full(times, rank))


def test_equal_shares_are_drawn_alike_at_first_and_all_that_is_asked_for():
    drawn = drawn_parts(no_credit(3), EQUAL, 30_000, rng())
    assert drawn.sum() == 30_000
    np.testing.assert_allclose(drawn, 10_000, rtol=0.05)


def test_a_part_that_pays_is_drawn_more_often():
    first = drawn_parts(no_credit(3), EQUAL, 10_000, rng())
    paid = drawn_parts(after(1, 0), EQUAL, 10_000, rng())
    assert paid[1] > 1.5 * first[1]
    assert paid[0] == pytest.approx(paid[2], rel=0.15)


def test_a_part_that_pays_nothing_is_drawn_less_often_but_still():
    lost = drawn_parts(after(1, -1), EQUAL, 10_000, rng())
    assert 0 < lost[1] < 0.5 * min(lost[0], lost[2])


def test_a_share_of_zero_is_never_drawn_whatever_it_has_paid():
    drawn = drawn_parts(after(1, 0), (1.0, 0.0, 1.0), 10_000, rng())
    assert drawn[1] == 0
    assert drawn.sum() == 10_000


def test_shares_are_of_evaluations_and_not_of_structures():
    """Same share and same gain for each evaluation, but three times as dear."""
    credit = no_credit(2)
    credit[0], credit[1] = (1.0, 3000.0, 10.0), (1.0, 3000.0, 30.0)
    drawn = drawn_parts(credit, (1.0, 1.0), 100_000, rng())
    # A structure of each has been seen before any was made.
    assert drawn[1] / drawn[0] == pytest.approx(31 / 11, rel=0.05)


def test_the_lowest_is_worth_twice_the_second_and_the_known_nothing():
    parts, costs = np.array([0, 1, 2]), np.array([100.0, 200.0, 300.0])
    credit = credited(no_credit(3), parts, costs, np.array([0, 1, -1]))
    np.testing.assert_array_equal(credit[:, 0], [1.0, 0.5, 0.0])
    np.testing.assert_array_equal(credit[:, 1], costs)
    np.testing.assert_array_equal(credit[:, 2], 1.0)


def test_what_paid_long_ago_is_forgotten_and_only_of_the_part_that_goes_on():
    early = after(1, 0)
    late = credited(early, np.full(100, 1), np.full(100, 300.0), np.full(100, -1))
    assert late[1, 0] < 0.01 * early[1, 0]
    # Evaluations are forgotten alike: they do not grow without end.
    assert late[1, 1] == pytest.approx(300.0 / 0.05, rel=0.01)
    others = credited(early, np.full(100, 0), np.full(100, 300.0), np.full(100, -1))
    np.testing.assert_array_equal(others[1], early[1])
    drawn = [drawn_parts(c, EQUAL, 10_000, rng())[1] for c in (early, late)]
    assert drawn[1] < 0.5 * drawn[0]


def test_credit_is_not_changed_in_place():
    before = no_credit(3)
    credited(before, np.array([0]), np.array([100.0]), np.array([0]))
    np.testing.assert_array_equal(before, 0.0)
