"""One call from a problem to a result: folders that hold more than is asked for."""

from __future__ import annotations

import logging

import pytest

from ase_l2h.search import driver
from ase_l2h.search.limits import Limits
from ase_l2h.search.problem import Problem
from ase_l2h.search.result import SearchResult
from ase_l2h.targets import named_target

LONGER = "holds a longer search than the"


@pytest.fixture
def search(tmp_path):
    """Two searches of LJ7 kept in a folder, with a limit of evaluations."""

    def call(evaluations: int | None, **options: object) -> SearchResult:
        return driver.search_problem(
            Problem.of(named_target("LJ7")),
            method="fire",
            limits=Limits(evaluations),
            steps=50,
            width=4,
            searches=2,
            folder=tmp_path / "kept",
            **options,
        )

    return call


def told(result: SearchResult) -> tuple[object, ...]:
    energies = [minimum.energy for minimum in result.minima]
    return result.searches, result.stopped, result.backend, energies


def test_a_longer_search_is_given_as_it_was(search, caplog):
    longer = search(3000)
    assert longer.backend != "auto"
    with caplog.at_level(logging.WARNING):
        assert told(search(1200)) == told(longer)
    (record,) = caplog.records
    assert f"{LONGER} 1,200 evaluations asked for" in record.getMessage()
    caplog.clear()
    assert told(search(3000)) == told(longer)
    assert not caplog.records


def test_a_longer_search_that_was_interrupted_does_not_go_on(search, caplog, tmp_path):
    spent = []

    def late() -> bool:
        return sum(spent) > 3000

    broken = search(4000, interrupted=late, on_charge=spent.append)
    assert broken.stopped == "interrupted"
    kept = sum(trace.charged for trace in broken.searches)
    shorter = search(500)
    assert shorter.stopped == "evaluations"
    assert 1000 < shorter.charged_evaluations <= kept
    assert shorter.backend == broken.backend
    assert LONGER in caplog.text
    # What was kept is not lost.
    again = search(4000)
    (tmp_path / "kept").rename(tmp_path / "other")
    assert told(again) == told(search(4000))
