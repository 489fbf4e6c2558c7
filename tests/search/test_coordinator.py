"""Searches side by side end in time, however many there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ase_l2h.search import coordinator
from ase_l2h.search.coordinator import side_by_side
from ase_l2h.search.ledger import Stopped
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Points, Spread

PROBLEM = Problem.of("LJ3")
WORK = PROBLEM.n_atoms**2


class Counting:
    """An engine that answers with the number of the batch."""

    backend = "none"

    def __init__(self, launch: float) -> None:
        self.launch = launch
        self.sizes: list[int] = []

    def execute(self, requests: Any) -> list[Any]:
        self.sizes.append(len(requests))
        return [len(self.sizes)] * len(requests)


def asking(times: int):
    """A task that asks so often and returns its answers."""
    request = Points(PROBLEM, np.zeros((3, 3, 1)), None)
    return lambda submit: [submit(request) for _ in range(times)]


def test_what_is_little_work_is_done_at_once():
    engine = Counting(launch=5 * WORK)
    assert side_by_side(engine, [asking(2)] * 4) == [[1, 2]] * 4
    assert engine.sizes == [4, 4]


def test_much_work_is_done_in_parts_and_in_order():
    engine = Counting(launch=WORK / coordinator.LAUNCHES * 2)
    outcomes = side_by_side(engine, [asking(2)] * 5)
    assert outcomes == [[1, 4], [1, 4], [2, 5], [2, 5], [3, 6]]
    assert engine.sizes == [2, 2, 1] * 2


def test_moving_atoms_apart_is_much_work():
    """It takes hundreds of steps, so many searches would keep an interrupt waiting."""
    engine = Counting(launch=100 * WORK)
    spread = Spread(PROBLEM, np.zeros((3, 3, 1)))
    side_by_side(engine, [lambda submit: submit(spread)] * 5)
    assert engine.sizes == [1] * 5


def test_an_interrupt_is_noticed_between_two_parts():
    engine = Counting(launch=WORK / coordinator.LAUNCHES)
    stop = lambda: "interrupted" if len(engine.sizes) >= 2 else None
    outcomes = side_by_side(engine, [asking(1)] * 5, stop)
    assert outcomes[:2] == [[1], [2]]
    assert [type(outcome) for outcome in outcomes[2:]] == [Stopped] * 3
    assert outcomes[-1].reason == "interrupted"


def test_what_is_asked_for_after_an_interrupt_is_still_done():
    """It relaxes what was found."""
    engine = Counting(launch=WORK / coordinator.LAUNCHES)

    def task(submit):
        try:
            return asking(2)(submit)
        except Stopped:
            return ["relaxed", *asking(1)(submit)]

    stop = lambda: "interrupted" if engine.sizes else None
    outcomes = side_by_side(engine, [task] * 3, stop)
    assert outcomes[0] == [1, 2]
    assert [outcome[0] for outcome in outcomes[1:]] == ["relaxed"] * 2


@pytest.mark.parametrize("reason", ["interrupted", "time"])
def test_after_a_while_nothing_is_done_any_more(reason, monkeypatch):
    monkeypatch.setattr(coordinator, "GRACE", -1.0)
    engine = Counting(launch=WORK)
    outcomes = side_by_side(engine, [asking(1)] * 3, lambda: reason)
    assert [outcome.reason for outcome in outcomes] == [reason] * 3
    assert engine.sizes == []
