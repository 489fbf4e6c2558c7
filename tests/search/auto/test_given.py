"""What lies near a minimum is relaxed first, and what is hot waits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ase_l2h.search.auto.given import NEAR, NONE_WAITING, WAIT, due
from ase_l2h.search.driver import search_problem
from ase_l2h.search.limits import Limits
from ase_l2h.search.problem import Problem


@pytest.fixture(scope="module")
def cluster() -> Problem:
    return Problem.of("LJ19")


@pytest.fixture(scope="module")
def lowest(cluster) -> np.ndarray:
    """The lowest minimum, ``(3, n)``."""
    few = Limits(evaluations=20_000, target_energy=-72.659782)
    result = search_problem(cluster, limits=few)
    assert result.stopped == "target"
    return np.array(result.best.positions).T


def evaluations(cluster: Problem, given: np.ndarray, target: float) -> int:
    problem = dataclasses.replace(cluster, given=given[..., None])
    limits = Limits(evaluations=20_000, target_energy=target)
    result = search_problem(problem, limits=limits, seed=4)
    assert result.stopped == "target"
    return result.charged_evaluations


def test_a_minimum_that_is_given_comes_first(cluster, lowest):
    rng = np.random.default_rng(2)
    near = lowest + 0.01 * rng.normal(size=lowest.shape)
    for given in (lowest, near):
        assert evaluations(cluster, given, -72.659782) < 120


def test_atoms_at_random_places_do_not_hold_up_the_search(cluster):
    hot = np.random.default_rng(3).uniform(0, 4, size=(3, 19))
    without = search_problem(
        cluster, limits=Limits(evaluations=20_000, target_energy=-72.659782), seed=4
    )
    spent = evaluations(cluster, hot, -72.659782)
    assert spent <= without.charged_evaluations + 2 * 12


def test_what_waits_is_due_when_something_as_low_is_held_or_after_a_while(cluster):
    unit, n = cluster.energy_unit, cluster.n_atoms
    waiting = {"positions": np.zeros((3, n, 1)), "energies": np.array([-10 * unit])}
    near, far = -10 * unit - 0.9 * NEAR * unit, -10 * unit - 1.1 * NEAR * unit
    assert due(waiting, cluster, near, 0, over=False)
    assert not due(waiting, cluster, far, WAIT * n - 1, over=False)
    assert due(waiting, cluster, far, WAIT * n, over=False)
    assert due(waiting, cluster, far, 0, over=True)
    assert not due(waiting, cluster, np.inf, 0, over=False)
    assert not due(NONE_WAITING, cluster, near, 10**6, over=True)


def test_hot_structures_enter_in_the_end(cluster, lowest):
    """The minimum below them may be what everybody looks for."""
    rng = np.random.default_rng(5)
    hot = lowest + 0.12 * rng.normal(size=lowest.shape)
    problem = dataclasses.replace(cluster, given=hot[..., None])
    result = search_problem(problem, limits=Limits(evaluations=2500), seed=11)
    assert result.best_energy == pytest.approx(-72.659782, abs=1e-4)
