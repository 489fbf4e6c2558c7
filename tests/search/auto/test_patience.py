"""When an attempt is over."""

from __future__ import annotations

import pytest

from ase_l2h.search.auto.patience import CALLS, Patience, UnderWay, jointly_over


@pytest.mark.parametrize(
    ("kind", "factor"), [({}, 4), ({"first": True}, 2), ({"again": True}, 1)]
)
def test_an_attempt_ends_when_nothing_has_fallen_for_long(kind, factor):
    patience = Patience(factor=4.0, first=2.0, again=1.0, least=10)
    assert not patience.over(1000 + 1000 * factor - 1, 1000, 10, **kind)
    assert patience.over(1000 + 1000 * factor, 1000, 10, **kind)


def test_early_falls_are_waited_for_as_well():
    patience = Patience(least=10)
    assert not patience.over(104, 5, 10, again=False)
    assert patience.over(105, 5, 10, again=False)


def test_what_is_met_again_soon_is_waited_for_less():
    patience = Patience(least=10, least_again=3)
    assert not patience.over(34, 5, 10, again=True)
    assert patience.over(35, 5, 10, again=True)
    assert not patience.over(104, 5, 10, first=True)
    assert not patience.over(104, 5, 10)


def test_what_is_met_again_is_not_waited_for_longer_than_all_else():
    patience = Patience(factor=0.5, again=1.0, least=0)
    assert not patience.over(1499, 1000, 10, again=True)
    assert patience.over(1500, 1000, 10, again=True)


def test_late_falls_are_not_waited_for_forever():
    patience = Patience(factor=4.0, least=10, most=50)
    assert not patience.over(1499, 1000, 10, again=False)
    assert patience.over(1500, 1000, 10, again=False)


# Ten atoms: met again, an attempt waits for 50 evaluations, and the first one for 200.
JOINT = Patience(first=4.0, least=20, least_again=5, joint=True)


@pytest.mark.parametrize(
    ("attempts", "count"),
    [
        # Together they have waited for 200, each for 50 or more.
        ([(-5.0, 100, 20), (-5.0, 80, 20), (-5.0, 80, 20)], 3),
        ([(-5.0, 99, 20), (-5.0, 80, 20), (-5.0, 80, 20)], 0),
        # One that has waited for less, or is elsewhere, counts for nothing.
        ([(-5.0, 140, 20), (-5.0, 110, 20), (-5.0, 69, 20)], 2),
        ([(-5.0, 140, 20), (-5.0, 110, 20), (-4.0, 300, 20)], 2),
        # Less than half of all.
        ([(-5.0, 300, 20), (-4.0, 300, 20), (-4.0, 300, 20)], 0),
        # What fell late must be waited for, by itself and by all.
        ([(-5.0, 470, 400), (-5.0, 480, 20), (-5.0, 90, 20)], 2),
        ([(-5.0, 870, 400), (-5.0, 480, 20), (-5.0, 90, 20)], 0),
        ([(-5.0, 870, 400), (-5.0, 1080, 20), (-5.0, 90, 20)], 3),
        ([], 0),
    ],
)
def test_attempts_under_way_wait_together(attempts, count):
    going = [UnderWay(*each) for each in attempts]
    met = jointly_over(JOINT, going, -5.0 + 1e-6, 10)
    assert len(met) == count
    assert all(each.energy == -5.0 for each in met)


def test_only_attempts_that_make_calls_do():
    going = [UnderWay(-5.0, 10**6, 1)] * 4
    assert len(jointly_over(CALLS, going, -5.0, 10)) == 4
    assert jointly_over(Patience(), going, -5.0, 10) == []
