"""How far structures are relaxed: on the way, and what is reported."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

import ase_l2h
from ase_l2h.rollout.quench import QUENCH_FMAX
from ase_l2h.search.driver import engine_for
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.ledger import Stopped
from ase_l2h.search.problem import Problem
from ase_l2h.search.relaxing import FINE_FMAX
from ase_l2h.starts.fragments import fragments


def evaluator_of(problem: Problem, **limits) -> Evaluator:
    engine = engine_for(problem)
    return Evaluator(problem, lambda request: engine.execute([request])[0], **limits)


def rough(problem: Problem, count: int = 6) -> np.ndarray:
    pieces = fragments(problem.n_atoms, count, np.random.default_rng(4))
    return problem.length * pieces


def largest_force(problem: Problem, positions: np.ndarray) -> float:
    """In double precision, reduced units."""
    with jax.enable_x64(True):
        energy = lambda x: problem.potential.energy(x, problem.system)
        gradient = np.asarray(jax.grad(energy)(np.asarray(positions, float)))
    return float(np.linalg.norm(gradient, axis=0).max()) / problem.force_unit


@pytest.mark.parametrize("name", ["LJ19", "Au13"])
def test_refined_energies_are_those_of_the_minima_for_fewer_evaluations(name):
    problem = Problem.of(name)
    evaluator = evaluator_of(problem)
    refined = evaluator.refine(rough(problem))
    assert refined.converged.all()
    polished = evaluator.polish(refined.positions)
    above = (refined.energy - polished.energy) / problem.energy_unit
    assert np.all(above < 2e-6)
    assert np.any(above > 0)
    at_once = evaluator_of(problem).polish(rough(problem))
    assert refined.evaluations.sum() < 0.8 * at_once.evaluations.sum()


def test_who_wants_certain_forces_gets_them_from_either():
    problem = dataclasses.replace(Problem.of("LJ13"), fmax=1e-5)
    refined = evaluator_of(problem).refine(rough(problem))
    again = evaluator_of(problem).polish(refined.positions)
    assert np.all(again.evaluations == 1)


def test_what_was_only_refined_is_polished_in_the_end():
    problem = Problem.of("LJ19")
    evaluator = evaluator_of(problem)
    evaluator.refine(rough(problem))
    ledger = evaluator.ledger
    assert ledger.relaxed
    assert not ledger.polished
    before, energy = evaluator.charged, ledger.energy
    evaluator.finish()
    assert ledger.polished
    assert ledger.energy <= energy
    assert evaluator.charged > before
    after = evaluator.charged
    evaluator.finish()
    assert evaluator.charged == after


def test_the_last_digits_take_no_more_than_the_limit():
    problem = Problem.of("LJ19")
    first = evaluator_of(problem)
    first.refine(rough(problem, 1))
    limit = first.charged + 2
    evaluator = evaluator_of(problem, limit=limit, ledger=first.ledger)
    evaluator.finish()
    assert evaluator.charged <= limit
    assert not evaluator.ledger.polished
    assert evaluator.ledger.relaxed


def test_a_target_is_met_as_soon_as_a_minimum_can_be_told():
    problem = Problem.of("LJ13")
    evaluator = evaluator_of(problem, target_energy=problem.reference)
    pieces = fragments(13, 16, np.random.default_rng(0), ["icosahedron"])
    with pytest.raises(Stopped, match="target"):
        evaluator.refine(pieces * problem.length)


@pytest.mark.parametrize("target", [True, False])
def test_the_reported_minimum_has_no_forces(target):
    problem = Problem.of("LJ13" if target else "LJ19")
    limits = ase_l2h.Limits(
        evaluations=1500, target_energy=problem.reference if target else None
    )
    result = ase_l2h.search(problem, limits=limits, seed=5)
    assert result.stopped == ("target" if target else "evaluations")
    assert result.charged_evaluations <= 1500
    force = largest_force(problem, result.best.positions.T)
    assert force < 10 * QUENCH_FMAX < FINE_FMAX
