"""Descents by proposals: what is relaxed, and what is given up."""

from __future__ import annotations

import numpy as np
import pytest

from ase_l2h.search.auto.improve import FALLS, ROUGH, Proposals, improve, site_descent
from ase_l2h.search.driver import engine_for
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Relaxed
from ase_l2h.starts.random import make_starts


@pytest.fixture
def evaluator() -> Evaluator:
    problem = Problem.of("LJ19")
    engine = engine_for(problem)
    return Evaluator(problem, lambda request: engine.execute([request])[0])


def relaxed_starts(evaluator: Evaluator, count: int) -> Relaxed:
    starts = np.asarray(make_starts(evaluator.problem.system, 6, 0, count), float)
    return evaluator.relax(starts, fmax=ROUGH)


def test_a_descent_lowers_energies_and_charges_every_structure(evaluator):
    start = relaxed_starts(evaluator, 8)
    before = evaluator.charged
    lower = site_descent(evaluator, start)
    assert np.all(lower.energy <= start.energy)
    assert np.sum(lower.energy < start.energy - 1) >= 4
    spent = np.sum(lower.evaluations) - np.sum(start.evaluations)
    assert spent == pytest.approx(evaluator.charged - before)
    assert evaluator.energies(lower.positions) == pytest.approx(lower.energy, rel=1e-5)


def test_what_will_not_come_down_to_the_goal_is_given_up(evaluator):
    start = relaxed_starts(evaluator, 8)
    free = site_descent(evaluator, start)
    before = evaluator.charged
    bound = site_descent(evaluator, start, goal=-1e6)
    first = evaluator.charged - before
    before = evaluator.charged
    site_descent(evaluator, start, goal=float(np.max(start.energy)))
    assert first < evaluator.charged - before - 50
    # It is given up after a fall, which is kept.
    assert np.all(bound.energy <= start.energy)
    assert np.any(bound.energy > free.energy)


def test_a_fall_that_may_lead_to_the_goal_goes_on(evaluator):
    start = relaxed_starts(evaluator, 1)
    energy, falls = float(start.energy[0]), []

    def propose(positions: np.ndarray, energies: np.ndarray) -> Proposals:
        falls.append(float(energies[0]))
        moved = evaluator.relax(positions, fmax=ROUGH / 2 ** len(falls))
        return Proposals(moved.positions, np.zeros(1, int))

    improve(evaluator, start, propose, trials=1, sweeps=3, goal=-np.inf)
    assert len(falls) == 1 or falls[-1] < energy
    once = len(falls)
    falls.clear()
    improve(evaluator, start, propose, trials=1, sweeps=3, goal=energy)
    assert len(falls) > once
    assert FALLS > 1


def test_proposals_far_above_are_not_relaxed(evaluator):
    start = relaxed_starts(evaluator, 1)
    before = evaluator.charged

    def squeezed(positions: np.ndarray, _: np.ndarray) -> Proposals:
        return Proposals(0.8 * positions, np.zeros(1, int))

    after = improve(evaluator, start, squeezed, trials=1)
    assert evaluator.charged == before + 1
    assert np.array_equal(after.positions, start.positions)
