"""Flip energies that are learned, against measured ones."""

from __future__ import annotations

import numpy as np
import pytest

from ase_l2h.search.auto.exchange import flip_energies
from ase_l2h.search.auto.flips import AGAIN, FIRST, FlipCosts
from ase_l2h.search.driver import engine_for
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Points
from ase_l2h.search.starting import random_structures


def make_evaluator(problem: Problem) -> Evaluator:
    engine = engine_for(problem)
    return Evaluator(problem, lambda request: engine.execute([request])[0])


def structures(evaluator: Evaluator, rng: np.random.Generator, count: int) -> tuple:
    """Relaxed clusters, with species and energies as the costs take them."""
    relaxed = evaluator.relax(random_structures(evaluator, rng, count))
    species = np.repeat(evaluator.problem.species[:, None], count, axis=1)
    return relaxed.positions, species, relaxed.energy


def measured(evaluator: Evaluator, case: tuple) -> np.ndarray:
    problem = evaluator.problem
    return flip_energies(evaluator, *case, np.unique(problem.species))


def test_the_first_structures_are_measured(rng):
    evaluator = make_evaluator(Problem.of("Ag7Au6"))
    case = structures(evaluator, rng, 3)
    before = evaluator.charged
    costs = FlipCosts(evaluator.problem)(evaluator, *case)
    assert evaluator.charged - before == 3 * 13
    np.testing.assert_array_equal(costs, measured(evaluator, case))


@pytest.mark.parametrize("name", ["Ag7Au6", "Pd9Pt10"])
def test_later_ones_are_learned_and_ranked_as_they_are(rng, name):
    evaluator = make_evaluator(Problem.of(name))
    costs = FlipCosts(evaluator.problem)
    for _ in range(4):
        costs(evaluator, *structures(evaluator, rng, FIRST))
    assert costs.trusted
    case = structures(evaluator, rng, 4 * AGAIN)
    before = evaluator.charged
    learned = costs(evaluator, *case)
    assert evaluator.charged - before == 4 * evaluator.problem.n_atoms
    exact = measured(evaluator, case)
    species = case[1]
    for kind in (0, 1):
        own = species == kind
        found, true = learned[:, 1 - kind][own], exact[:, 1 - kind][own]
        assert np.any(found != true)
        assert np.corrcoef(found, true)[0, 1] > 0.8
        np.testing.assert_array_equal(learned[:, kind][own], 0.0)


@pytest.mark.slow
def test_couplings_are_how_the_learned_costs_change(rng):
    """Of three elements, with one atom turned into each of them."""
    evaluator = make_evaluator(Problem.of("Fe4Co4Ni5"))
    costs = FlipCosts(evaluator.problem)
    for _ in range(4):
        costs(evaluator, *structures(evaluator, rng, FIRST))
    assert costs.trusted
    positions, species, energies = structures(evaluator, rng, 1)
    couplings = costs.couplings(positions, species)
    assert couplings.shape == (13, 3, 13, 3, 1)

    def learned(kinds: np.ndarray) -> np.ndarray:
        # The second of two in a row is never one that is measured.
        twice = np.repeat(positions, 2, axis=2), np.repeat(kinds, 2, axis=1)
        return costs(evaluator, *twice, np.repeat(energies, 2))[..., 1]

    before = learned(species)
    for atom, element in ((0, 2), (7, 0), (12, 1)):
        turned = species.copy()
        turned[atom] = element
        others = np.arange(13) != atom
        change = (learned(turned) - before)[others]
        expected = couplings[atom, element, others, :, 0]
        np.testing.assert_allclose(change, expected, atol=1e-9)
        assert np.max(np.abs(expected)) > 1e-3


def test_what_is_kept_gives_the_same_costs(rng):
    evaluator = make_evaluator(Problem.of("Ag7Au6"))
    costs = FlipCosts(evaluator.problem)
    for _ in range(3):
        costs(evaluator, *structures(evaluator, rng, FIRST))
    again = FlipCosts(evaluator.problem, costs.to_arrays())
    case = structures(evaluator, rng, 12)
    np.testing.assert_array_equal(costs(evaluator, *case), again(evaluator, *case))


def test_what_cannot_be_learned_is_measured_ever_after(rng):
    problem = Problem.of("Ag7Au6")

    def noise(request: Points) -> np.ndarray:
        return rng.normal(size=request.positions.shape[2])

    evaluator = Evaluator(problem, noise)
    costs = FlipCosts(problem)
    for _ in range(20):
        positions = rng.normal(size=(3, 13, 10)) * 2 * problem.length
        species = np.repeat(problem.species[:, None], 10, axis=1)
        before = evaluator.charged
        costs(evaluator, positions, species, np.zeros(10))
        assert evaluator.charged - before == 130
    assert not costs.trusted
    assert costs.couplings(positions, species) is None
