"""Saddle points are not reported as minima, and looking for them stays cheap."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from ase_l2h.search import checking
from ase_l2h.search.attempts import no_attempts
from ase_l2h.search.curvature import check_cost
from ase_l2h.search.driver import search_problem
from ase_l2h.search.limits import Limits
from ase_l2h.search.method import Found
from ase_l2h.search.problem import Problem

LJ3 = Problem.of("LJ3")
TRIANGLE, CHAIN = -3.0, -2.031124
SPENT = 1000


def places(*kinds: str) -> np.ndarray:
    """Three atoms near a chain or a triangle, ``(3, 3, k)``."""
    chain = [[-1.1, 0, 0], [0, 0, 0], [1.1, 0, 0]]
    triangle = [[0, 0, 0], [1.1, 0, 0], [0.55, 0.95, 0]]
    known = {"chain": chain, "triangle": triangle}
    return np.array([known[kind] for kind in kinds]).T.transpose(0, 1, 2)


@dataclasses.dataclass(frozen=True)
class Relaxing:
    """A method that relaxes structures and asks for some energies more."""

    kinds: tuple[str, ...]
    spend: int = SPENT
    name: str = "relaxing"

    def refuse(self, problem: Problem) -> str | None:
        return None

    def init(self, problem: Problem, seed: Any) -> dict[str, Any]:
        return {"done": False, "energies": np.zeros(0), "positions": problem.given}

    def advance(self, state, evaluator):
        relaxed = evaluator.polish(places(*self.kinds))
        evaluator.energies(np.repeat(places("triangle"), self.spend, axis=2))
        found = {"energies": relaxed.energy, "positions": relaxed.positions}
        return {"done": True, **found}

    def finished(self, state) -> bool:
        return state["done"]

    def minima(self, state) -> Found:
        return Found(state["energies"], state["positions"])

    def attempts(self, state):
        return no_attempts()

    def describe(self) -> dict[str, Any]:
        return {}


def found(*kinds: str, spend: int = SPENT, **limits: Any):
    method = Relaxing(kinds, spend)
    return search_problem(LJ3, method=method, limits=Limits(settled=0, **limits))


def told(result) -> list[tuple[float, int, bool]]:
    return [(round(m.energy, 4), m.count, m.checked) for m in result.minima]


def test_a_saddle_point_above_the_lowest_minimum_is_replaced_by_what_lies_below():
    result = found("triangle", "chain", spend=10_000)
    assert told(result) == [(TRIANGLE, 2, True)]


def test_a_lowest_saddle_point_is_replaced_too_and_the_search_knows():
    result = found("chain")
    assert told(result) == [(TRIANGLE, 1, True)]
    (search,) = result.searches
    assert search.energy == pytest.approx(TRIANGLE, abs=1e-9)
    assert search.course[0][1] == pytest.approx(CHAIN, abs=1e-5)
    assert search.course[-1] == (search.charged, search.energy)


def test_looking_is_charged_and_takes_a_small_share():
    """Of the lowest always; of others as long as it is affordable."""
    cheap = found("triangle", "chain", spend=1)
    assert told(cheap) == [(TRIANGLE, 1, True), (round(CHAIN, 4), 1, False)]
    alone = found("triangle", spend=10_000)
    room = checking.affordable(LJ3, alone.charged_evaluations)
    assert room == int(checking.SHARE * alone.charged_evaluations / check_cost(LJ3))
    assert alone.charged_evaluations - 10_000 <= 100 + check_cost(LJ3)


def test_nothing_is_spent_beyond_the_limit():
    spent = found("triangle", evaluations=1200).charged_evaluations
    for limit in range(spent - 20, spent + 1, 4):
        result = found("triangle", evaluations=limit)
        assert result.charged_evaluations <= limit
        assert [m.energy for m in result.minima] == pytest.approx([TRIANGLE])


@pytest.mark.parametrize("limits", [{"target_energy": TRIANGLE}])
def test_what_was_asked_for_is_not_looked_at(limits):
    assert told(found("triangle", **limits)) == [(TRIANGLE, 1, False)]


def test_ctrl_c_while_looking_keeps_what_was_found(monkeypatch):
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "descend_saddles", interrupted)
    result = found("triangle", "chain")
    assert result.stopped == "interrupted"
    assert [m.energy for m in result.minima] == pytest.approx(
        [TRIANGLE, CHAIN], abs=1e-5
    )


@pytest.mark.parametrize("name", ["LJ13", "LJ26"])
def test_all_minima_of_a_search_are_looked_at_for_a_few_percent(name):
    result = search_problem(Problem.of(name), seed=1)
    assert all(minimum.checked for minimum in result.minima)
    cost = len(result.minima) * check_cost(result.problem)
    assert cost < 0.03 * result.charged_evaluations
