"""When an attempt is over."""

from __future__ import annotations

import pytest

from ase_l2h.search.auto.patience import AGAIN, attempt_over


@pytest.mark.parametrize("again", [False, True])
def test_an_attempt_ends_when_nothing_has_fallen_for_long(again):
    over = lambda spent: attempt_over(spent, 1000, least=100, patience=4.0, again=again)
    quiet = int(1000 * (AGAIN if again else 4.0))
    assert not over(1000 + quiet - 1)
    assert over(1000 + quiet)


def test_early_falls_are_waited_for_as_well():
    over = lambda spent: attempt_over(spent, 5, least=100, patience=4.0, again=False)
    assert not over(104)
    assert over(105)


def test_what_is_met_again_is_not_waited_for_longer_than_all_else():
    over = lambda spent: attempt_over(spent, 1000, least=0, patience=0.5, again=True)
    assert not over(1499)
    assert over(1500)


def test_without_patience_there_is_one_attempt():
    assert not attempt_over(10**9, 1, least=1, patience=None, again=True)
