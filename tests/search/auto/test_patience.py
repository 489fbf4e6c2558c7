"""When an attempt is over."""

from __future__ import annotations

import pytest

from ase_l2h.search.auto.patience import Patience


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
