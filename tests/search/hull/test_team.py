"""Compositions shared among processes: the same bits, whatever happens to them."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest
from ase.calculators.emt import EMT
from quick_recruits import QuickRecruit

from ase_l2h.ase_adapter.hulls import calculator_hull
from ase_l2h.errors import InputError
from ase_l2h.rollout.kernels.threads import default_threads
from ase_l2h.search.hull import team
from ase_l2h.search.hull.search import find_hull
from ase_l2h.search.hull.settings import DEFAULT_BUDGET, HullResult
from ase_l2h.search.hull.system import hull_system

PLAIN = {"without": ("learned-starts", "learned-hops"), "seed": 4, "budget": 9000}


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    monkeypatch.setattr(team, "Recruit", QuickRecruit)


@pytest.fixture(scope="module")
def alone() -> HullResult:
    return find_hull("AgAu", 5, **PLAIN)


def assert_same(found: HullResult, expected: HullResult) -> None:
    assert (found.rounds, found.ended) == (expected.rounds, expected.ended)
    assert found.charged == expected.charged
    assert found.settings == expected.settings
    for m, atoms in expected.structures.items():
        assert found.structures[m].get_potential_energy() == (
            atoms.get_potential_energy()
        )
        np.testing.assert_array_equal(found.structures[m].positions, atoms.positions)


# As `test_workers_share_the_compositions` of the command line.
@pytest.mark.slow
def test_two_processes_find_what_one_finds(alone):
    rounds = []
    found = find_hull(
        "AgAu", 5, workers=2, progress=lambda search, _: rounds.append(search), **PLAIN
    )
    assert_same(found, alone)
    assert len(rounds) == alone.rounds > 3
    # They are gone.
    assert rounds[-1]._team is not None
    assert rounds[-1]._team._workers._workers == []


@pytest.mark.slow
def test_a_process_that_is_killed_costs_nothing(alone):
    killed = []

    def kill(search: Any, _: int) -> None:
        if search.rounds in (2, 3):
            worker = search._team._workers._workers[0]
            os.kill(worker.process.pid, signal.SIGKILL)
            killed.append(worker.process.pid)

    found = find_hull("AgAu", 5, workers=2, progress=kill, **PLAIN)
    assert len(set(killed)) == 2
    assert_same(found, alone)


# From the command line: tests/cli/test_hull.py.
@pytest.mark.slow
def test_an_interruption_keeps_the_rounds_that_have_ended(tmp_path, alone):
    """And who goes on, alone, comes to the same end."""
    rounds = []
    options = {"workers": 2, "folder": tmp_path / "hull", **PLAIN}
    found = find_hull(
        "AgAu",
        5,
        progress=lambda search, _: rounds.append(search.rounds),
        interrupted=lambda: len(rounds) == 2,
        **options,
    )
    assert found.ended == "interrupted"
    assert set(found.structures) == set(alone.structures)
    assert 0 < sum(found.charged.values()) < sum(alone.charged.values())
    assert_same(find_hull("AgAu", 5, **options | {"workers": 1}), alone)


def test_calls_of_a_calculator_are_shared_otherwise():
    system = calculator_hull("CuAu", 4, EMT)
    with pytest.raises(InputError, match="give calls, which share those"):
        find_hull(system, workers=2)
    with pytest.raises(InputError, match="workers is 0; give a whole number"):
        find_hull("AgAu", 5, workers=0)


def test_large_hulls_are_shared_by_all_processors():
    large, small = hull_system("AgAu", 38), hull_system("AgAu", 7)
    assert team.usual_workers(large, 39, None) == min(39, default_threads())
    assert team.usual_workers(small, 8, DEFAULT_BUDGET) == 1
    assert team.usual_workers(large, 39, 1000) == 1
    assert team.usual_workers(calculator_hull("CuAu", 38, EMT), 39, None) == 1
