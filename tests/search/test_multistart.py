"""Many starts: known minima found, every start its own, nothing found is lost."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.search.curvature import STEPS
from ase_l2h.search.driver import search_problem
from ase_l2h.search.limits import Limits
from ase_l2h.search.multistart import StartTable, start_table
from ase_l2h.search.problem import Problem
from ase_l2h.search.registry import CLASSICAL, default_steps, method_weights
from ase_l2h.search.result import SearchResult
from ase_l2h.weights.load import load_weights, manifest

# Gradients by which a curvature is known.
CHECK = STEPS + 2

LJ7 = Problem.of("LJ7")
PUBLISHED = -16.505384
STARTS, STEPS = 24, 120


def run(**options: Any) -> SearchResult:
    request: dict[str, Any] = {
        "method": "learned",
        "starts": STARTS,
        "steps": STEPS,
        "seed": 3,
    }
    return search_problem(request.pop("problem", LJ7), **request | options)


@pytest.fixture(scope="module")
def learned() -> SearchResult:
    return run()


@pytest.fixture(scope="module")
def table(learned) -> StartTable:
    return start_table(learned)


def test_the_default_weights_find_the_published_minimum(learned, table):
    assert jax.config.read("jax_enable_x64") is False
    assert learned.stopped == "done"
    np.testing.assert_allclose(learned.best_energy, PUBLISHED, rtol=0, atol=1e-6)
    best = learned.minima[0]
    assert best.positions.shape == (7, 3)
    assert best.positions.dtype == table.energies.dtype == np.float64
    assert best.count == np.sum(np.abs(table.energies - PUBLISHED) < 1e-5)


def test_every_start_takes_its_steps_and_a_relaxation(learned, table):
    assert table.energies.shape == (STARTS,)
    assert table.positions.shape == (3, 7, STARTS)
    # The relaxation of the last digits takes a few more.
    assert np.all(table.evaluations > STEPS)
    # The rest tells that minima are no saddle points.
    checked = sum(minimum.checked for minimum in learned.minima)
    rest = learned.charged_evaluations - np.sum(table.evaluations)
    assert 0 < rest <= checked * CHECK
    assert rest <= CHECK + 0.03 * np.sum(table.evaluations)
    assert learned.searches[0].charged == learned.charged_evaluations


def test_the_energies_belong_to_the_positions(table):
    """In double precision, by the potential itself; and they are minima."""
    with jax.enable_x64(True):
        for k in range(STARTS):
            positions = jnp.asarray(table.positions[..., k])
            energy = LJ7.potential.energy(positions, LJ7.system)
            np.testing.assert_allclose(energy, table.energies[k], rtol=1e-10)
            gradient = jax.grad(LJ7.potential.energy)(positions, LJ7.system)
            assert np.max(np.abs(gradient)) < 1e-5


@pytest.mark.parametrize("other", [{"width": 5}, {"starts": 10}])
def test_a_start_does_not_depend_on_its_company(table, other):
    again = start_table(run(**other))
    count = len(again.energies)
    np.testing.assert_array_equal(again.energies, table.energies[:count])
    np.testing.assert_array_equal(again.positions, table.positions[..., :count])


def test_a_seed_gives_its_result_again_and_another_does_not(table):
    np.testing.assert_array_equal(start_table(run()).energies, table.energies)
    assert np.any(start_table(run(seed=4)).energies != table.energies)


def test_starts_take_the_rules_of_a_portfolio_in_turn():
    """Start i gets rule i modulo their number, whatever the groups."""
    names = "lj-fcc+lj-icosahedral"
    both = start_table(run(weights=names, starts=7, width=3))
    for k, name in enumerate(names.split("+")):
        alone = start_table(run(weights=name, starts=7))
        np.testing.assert_array_equal(both.energies[k::2], alone.energies[k::2])
        assert np.any(both.energies[1 - k :: 2] != alone.energies[1 - k :: 2])


@pytest.mark.parametrize("method", ["adam", "fire", "gd"])
def test_classical_methods_descend(method):
    found = start_table(run(method=method, steps=300, starts=8))
    assert np.all(found.energies < -10)
    assert np.all(found.energies > PUBLISHED - 1e-5)


def test_turned_starts_are_others_with_the_same_distances():
    still = run(method="gd", steps=1, starts=4)
    problem = dataclasses.replace(LJ7)
    from ase_l2h.search.registry import make_method

    method = make_method("gd", problem, steps=1, starts=4)
    turned = dataclasses.replace(method, rotate=True)
    moved = search_problem(problem, method=turned, starts=4, seed=3)
    one, other = start_table(still), start_table(moved)
    # Gradient descent does not see the axes: the same minima, somewhere else.
    np.testing.assert_allclose(one.energies, other.energies, atol=1e-6)
    assert np.max(np.abs(one.positions - other.positions)) > 0.1


def test_without_an_end_the_lowest_are_kept():
    limits = Limits(evaluations=60_000)
    result = run(method="fire", steps=20, starts=None, limits=limits)
    assert result.stopped == "evaluations"
    assert result.best_energy == pytest.approx(PUBLISHED, abs=1e-6)
    energies = start_table(result).energies
    assert 10 < len(energies) <= 200


def test_a_given_structure_is_the_first_start_wherever_it_lies():
    rng = np.random.default_rng(5)
    start = rng.normal(scale=0.8, size=(3, 7)) + np.array([[30.0], [-20.0], [10.0]])
    given = dataclasses.replace(LJ7, given=start[..., None])
    first = start_table(search_problem(given, method="gd", steps=1, starts=2, seed=3))
    other = start_table(run(method="gd", steps=1, starts=2))
    # The second is the second of the seed.
    assert first.energies[1] == other.energies[1]
    again = dataclasses.replace(LJ7, given=start[..., None] - 3.0)
    moved = start_table(search_problem(again, method="gd", steps=1, starts=1, seed=3))
    np.testing.assert_allclose(moved.energies[0], first.energies[0], atol=1e-6)


def test_every_method_of_many_starts_has_its_steps():
    for name in CLASSICAL:
        assert default_steps(name, None) == 1000
    weights = method_weights("learned", None)
    assert weights is not None
    assert weights.name == load_weights().name == manifest()["default"]
    assert default_steps("learned", weights) == weights.horizon
