"""First encounters of chains: each to its end, charged for all it did."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from reference_data import structures

from ase_l2h.comparison.first_encounter import (
    FirstEncounters,
    first_encounters,
    mean_wait,
)
from ase_l2h.optimizers import BasinHopping, Moves, Restarts
from ase_l2h.search.problem import Problem

LJ13 = Problem.of("LJ13")
# Published, sigma = epsilon = 1.
ICOSAHEDRON = -44.326801
CHAINS = 5
HOPPING = BasinHopping(moves=Moves(surface=0.5), restarts=Restarts(stall=20))


def encounters(**arguments: Any) -> FirstEncounters:
    request: dict[str, Any] = {"chains": CHAINS, "seed": 2} | arguments
    target_energy = request.pop("target_energy", ICOSAHEDRON)
    problem = request.pop("problem", LJ13)
    return first_encounters(problem, HOPPING, target_energy, **request)


@pytest.fixture(scope="module")
def found() -> FirstEncounters:
    return encounters()


def test_every_chain_finds_the_icosahedron_and_says_what_it_cost(found):
    assert found.found.all()
    np.testing.assert_allclose(found.energies, ICOSAHEDRON, rtol=0, atol=1e-6)
    # Quenches of a few dozen evaluations, and those that confirm minima.
    assert np.all(found.evaluations > 15 * found.quenches)
    assert np.all(found.evaluations < 200 * found.quenches + 300)
    assert len(set(found.evaluations.tolist())) > 1


@pytest.mark.slow
@pytest.mark.compiler
def test_the_reference_finds_it_too_and_is_named(found):
    """The same chains draw the same numbers, so their waits are alike."""
    other = encounters(backend="scan", chains=3)
    assert (found.backend, other.backend) == ("native", "scan")
    assert other.found.all()
    np.testing.assert_allclose(other.energies, ICOSAHEDRON, rtol=0, atol=1e-6)
    assert 0.1 < other.evaluations.sum() / found.evaluations[:3].sum() < 10.0


def test_a_backend_that_cannot_run_the_chains_is_refused():
    with pytest.raises(ValueError, match="no backend named 'fast'"):
        encounters(backend="fast")


def test_a_chain_is_the_same_whatever_runs_beside_it(found):
    """Later chains of a seed alone, in other company."""
    told: list[int] = []
    later = encounters(chains=3, first=2, progress=told.append)
    for name in ("found", "evaluations", "quenches", "energies"):
        np.testing.assert_array_equal(getattr(later, name), getattr(found, name)[2:])
    assert sum(told) == 3


def test_a_target_out_of_reach_censors(found):
    """Every chain is charged what it spent, never more than it may."""
    never = encounters(target_energy=ICOSAHEDRON - 1, max_evaluations=2500, chains=3)
    assert not never.found.any()
    # Some are left, kept for a relaxation of the best that was not needed.
    assert np.all((never.evaluations > 2250) & (never.evaluations <= 2500))
    assert np.all((never.quenches > 2250 / 200) & (never.quenches < 2500 / 15))
    assert mean_wait(never.found, never.evaluations) == (math.inf, math.inf)
    mean, error = mean_wait(found.found, found.evaluations)
    np.testing.assert_allclose(mean, found.evaluations.mean())
    np.testing.assert_allclose(error, mean / math.sqrt(CHAINS))


def test_the_mean_of_waits_that_are_cut_off_is_unbiased(rng):
    """All that was spent over the encounters: five standard errors."""
    waits = rng.exponential(1000.0, 4000)
    counts = np.minimum(waits, 700.0)
    met = waits <= 700.0
    mean, error = mean_wait(met, counts)
    assert abs(mean - 1000.0) < 5 * error
    assert abs(counts.mean() - 1000.0) > 5 * error
    np.testing.assert_allclose(error, mean / math.sqrt(met.sum()))


def test_a_chain_that_begins_at_the_minimum_needs_one_quench():
    atoms = structures("lj_global_minima_2_150")["LJ13"]
    given = (atoms.positions - atoms.positions.mean(axis=0)).T
    result = encounters(
        chains=2, problem=dataclasses.replace(LJ13, given=given[..., None])
    )
    assert result.quenches.tolist() == [1, 1]
    assert np.all(result.evaluations < 50)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"chains": 0}, "0 chains of 10000000 evaluations are asked for; give at"),
        ({"max_evaluations": 0}, "5 chains of 0 evaluations are asked for"),
        ({"first": -1}, "the first chain is -1; give 0 or more"),
    ],
)
def test_nothing_to_do_is_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        encounters(**wrong)
