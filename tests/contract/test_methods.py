"""What every search method keeps to, on every kind of problem."""

from __future__ import annotations

import dataclasses
import time
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from ase_l2h.errors import InputError
from ase_l2h.search.calls import CalculatorEngine
from ase_l2h.search.driver import engine_for, search_problem, start_run
from ase_l2h.search.engine import KernelEngine
from ase_l2h.search.limits import Limits
from ase_l2h.search.method import SearchRun
from ase_l2h.search.names import METHODS
from ase_l2h.search.problem import Problem
from ase_l2h.search.registry import make_method
from ase_l2h.search.requests import Advance, Points
from ase_l2h.search.stored import from_arrays, to_arrays
from ase_l2h.system import make_system

LJ7 = -16.505384
LJ13 = -44.326801


def bonds(positions):
    """Morse pairs, as a user writes them: depth 1 at distance 1."""
    first, second = jnp.triu_indices(positions.shape[0], 1)
    distance = jnp.sqrt(jnp.sum((positions[first] - positions[second]) ** 2, axis=-1))
    return jnp.sum((1 - jnp.exp(-6.0 * (distance - 1))) ** 2 - 1)


def copper() -> Problem:
    """Six atoms of copper by EMT, one call at a time."""
    atoms = Atoms("Cu6", calculator=EMT())

    def measure(positions):
        atoms.positions = positions.T
        return atoms.get_potential_energy(), -atoms.get_forces().T

    system = make_system(np.zeros(6, int), length_scale=2.64, energy_scale=0.4)
    return Problem(None, system, name="Cu6", measure=measure, fmax=0.05)


@lru_cache(maxsize=8)
def problem(kind: str) -> Problem:
    if kind == "cluster":
        return Problem.of("LJ7")
    if kind == "alloy":
        return Problem.of("Ag3Au4")
    if kind == "crystal":
        return Problem.of("Si8")
    if kind == "function":
        numbers = [18, 18, 18, 36, 36, 54]
        return Problem.from_function(bonds, numbers, length_scale=1, energy_scale=1)
    if kind == "calculator":
        return copper()
    # Two of seven atoms are fixed.
    known = Problem.of("LJ7")
    free = np.ones((3, 7), bool)
    free[:, :2] = False
    rng = np.random.default_rng(4)
    start = 1.1 * np.argwhere(np.ones((2, 2, 2)))[:7].T + rng.normal(0, 0.05, (3, 7))
    system = dataclasses.replace(known.system, free=free)
    return Problem(known.potential, system, given=start, name="slab")


KINDS = ("cluster", "alloy", "crystal", "function", "fixed", "calculator")
# The same loop as `learned`, `bh` and `auto`: on clusters in the fast tests.
ALIKE = ("gd", "adam", "fire", "bh-paper", "hops")
BUDGET = {"calculator": 160, "function": 1500}


class Counting:
    """An engine that counts for itself what it is asked for."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.evaluations = engine, 0

    @property
    def launch(self) -> float:
        return self.engine.launch

    @property
    def backend(self) -> str:
        return self.engine.backend

    def execute(self, requests):
        answers = self.engine.execute(requests)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(request, Points):
                self.evaluations += request.positions.shape[2]
            elif isinstance(request, Advance):
                before = np.sum(request.state.evaluations)
                self.evaluations += int(np.sum(answer.evaluations) - before)
        return answers


def limited(kind: str) -> Limits:
    return Limits(evaluations=BUDGET.get(kind, 3000))


def started(kind: str, method: str, searches: int = 1, **options: Any):
    chosen = problem(kind)
    engine = Counting(engine_for(chosen))
    made = make_method(method, chosen, width=None if method == "auto" else 2)
    run = start_run(
        chosen, made, limited(kind), seed=5, searches=searches, engine=engine, **options
    )
    return run, engine


def to_the_end(run: SearchRun) -> SearchRun:
    while run.stopped is None:
        run.advance()
    return run


def cases(*kinds: str, slow: tuple[tuple[str, str], ...] = ()) -> list[Any]:
    """All methods on these kinds of problems."""
    alike = {(kind, method) for kind in kinds if kind != "cluster" for method in ALIKE}
    return [
        pytest.param(*case, marks=[pytest.mark.slow] * (case in alike | {*slow}))
        for case in ((kind, method) for kind in kinds for method in METHODS)
    ]


# Who counts does not depend on what is counted: one method each will do.
SPENT = (
    ("function", "auto"),
    ("function", "bh"),
    ("crystal", "auto"),
    ("crystal", "learned"),
    ("calculator", "bh"),
)


@pytest.mark.parametrize(("kind", "method"), cases(*KINDS, slow=SPENT))
def test_charges_are_exact_and_stay_within_the_limit(kind, method):
    run, engine = started(kind, method)
    to_the_end(run)
    assert run.stopped == "evaluations"
    limit = limited(kind).evaluations
    assert engine.evaluations == run.charged <= limit
    # And they are spent: not a round that was never begun.
    assert run.charged > 0.65 * limit
    result = run.result(seed=5)
    assert result.charged_evaluations == run.charged
    assert np.isfinite(result.best_energy)


@pytest.mark.parametrize("method", METHODS)
def test_attempts_that_have_ended_are_part_of_what_was_charged(method):
    """A search that has just begun has none; none lies below what the search saw."""
    options = {} if method in ("auto", "hops") else {"starts": 3, "steps": 150}
    made = make_method(method, problem("cluster"), **options)
    run = start_run(problem("cluster"), made, Limits(evaluations=12_000), seed=5)
    assert len(made.attempts(run.searches[0].state).energies) == 0
    to_the_end(run)
    ended = made.attempts(run.searches[0].state)
    assert len(ended.energies) == len(ended.evaluations) >= 1
    assert np.all(np.asarray(ended.evaluations) > 0)
    assert np.sum(ended.evaluations) <= run.charged
    assert np.min(ended.energies) >= run.energy - 1e-9
    assert run.result().confidence == run.confidence


@pytest.mark.parametrize("method", METHODS)
def test_a_search_is_the_same_whatever_runs_beside_it(method):
    alone, _ = started("cluster", method)
    together, _ = started("cluster", method, searches=3)
    to_the_end(alone), to_the_end(together)
    first, same = alone.searches[0].present, together.searches[0].present
    assert first.energy == same.energy
    assert first.charged == same.charged
    assert first.course == same.course
    other = together.searches[1].present
    assert other.course != first.course


# What a method keeps does not depend on who computes its energies.
CALLED = (("calculator", "learned"), ("calculator", "bh"), ("alloy", "auto"))


@pytest.mark.parametrize(
    ("kind", "method"), cases("cluster", "alloy", "calculator", slow=CALLED)
)
def test_a_run_goes_on_bit_for_bit(kind, method):
    """Taken apart after every round, through arrays and JSON."""
    whole, _ = started(kind, method, searches=2)
    cut, _ = started(kind, method, searches=2)
    to_the_end(whole)
    while cut.stopped is None:
        cut.advance()
        if cut.stopped is None:
            stored = from_arrays(*to_arrays(cut.stored()))
            cut, _ = started(kind, method, searches=2)
            cut.restore(stored)
    for one, other in zip(whole.searches, cut.searches, strict=True):
        assert one.present.charged == other.present.charged
        assert one.present.energy == other.present.energy
        np.testing.assert_array_equal(one.present.positions, other.present.positions)


@pytest.mark.parametrize("method", METHODS)
def test_given_structures_are_used_and_nothing_worse_is_returned(method):
    """The icosahedron, shaken a little, and a budget for little else."""
    best = search_problem(
        Problem.of("LJ13"), method="bh", seed=1, limits=Limits(target_energy=LJ13)
    ).best
    assert best is not None
    assert best.energy == pytest.approx(LJ13, abs=1e-6)
    rng = np.random.default_rng(3)
    start = (best.positions + rng.normal(0, 0.03, (13, 3))).T
    known = Problem.of("LJ13")
    given = dataclasses.replace(known, given=start[..., None])
    options = {} if method == "auto" else {"width": 1}
    result = search_problem(
        given, method=method, limits=Limits(evaluations=3000), **options
    )
    if method == "bh-paper":
        # Its quench alone takes longer.
        assert result.best_energy < LJ13 + 1e-3
    else:
        assert result.best_energy == pytest.approx(LJ13, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_fixed_atoms_do_not_move_at_all(method):
    chosen = problem("fixed")
    options = {} if method == "auto" else {"width": 2}
    result = search_problem(chosen, method=method, limits=limited("fixed"), **options)
    fixed = ~np.asarray(chosen.system.free).T
    for minimum in result.minima:
        np.testing.assert_array_equal(
            minimum.positions[fixed], chosen.given[..., 0].T[fixed]
        )
    assert len(result.minima) >= 1


@pytest.mark.parametrize("method", ["learned", "fire", "bh", "auto"])
def test_the_target_ends_a_search_at_once(method):
    options = {} if method == "auto" else {"width": 1}
    limits = Limits(evaluations=100_000, target_energy=LJ7)
    result = search_problem(
        Problem.of("LJ7"), method=method, limits=limits, searches=4, **options,
        stop_together=False, seed=2,
    )  # fmt: skip
    for trace in result.searches:
        assert trace.stopped == "target"
        assert trace.energy <= LJ7 + 1e-4
        # The last fall is the encounter, and nothing was charged after it.
        assert trace.course[-1] == (trace.charged, trace.energy)


def test_an_unreachable_target_changes_nothing():
    """What is asked for in vain must not decide what is found."""
    limits = dataclasses.replace(limited("cluster"), settled=0)
    never = dataclasses.replace(limits, target_energy=-1000.0)
    for method in ("learned", "bh", "auto"):
        plain = search_problem(problem("cluster"), method=method, limits=limits)
        aimed = search_problem(problem("cluster"), method=method, limits=never)
        assert plain.best_energy == aimed.best_energy
        assert plain.charged_evaluations == aimed.charged_evaluations


def test_time_ends_a_search_with_what_it_has():
    limits = Limits(seconds=0.3)
    result = search_problem(Problem.of("LJ38"), method="bh", limits=limits)
    assert result.stopped == "time"
    assert result.best_energy < -150
    assert result.wall_seconds < 30


@pytest.mark.slow
def test_a_chain_cut_short_before_it_is_relaxed_is_kept():
    """The time is over when its first block of steps is."""
    limits = Limits(seconds=0.1)
    asked = []
    result = search_problem(
        Problem.of("LJ13"),
        method="bh-paper",
        limits=limits,
        on_charge=lambda count: asked.append(time.sleep(0.11)),
    )
    assert result.stopped == "time"
    assert asked
    assert result.best_energy < -30


def test_an_interruption_keeps_what_was_found():
    calls = []

    def enough() -> bool:
        calls.append(None)
        return len(calls) > 3

    result = search_problem(problem("cluster"), method="bh", interrupted=enough)
    assert result.stopped == "interrupted"
    assert np.isfinite(result.best_energy)


def test_a_calculator_that_fails_costs_that_structure_only():
    good = copper()
    calls = []

    def moody(positions):
        calls.append(None)
        if len(calls) % 7 == 0:
            raise RuntimeError("not converged")
        return good.measure(positions)

    chosen = dataclasses.replace(good, measure=moody)
    limits = Limits(evaluations=1500, target_energy=5.963)
    result = search_problem(chosen, method="bh", limits=limits, width=1)
    assert len(calls) == result.charged_evaluations <= 1500
    # As without failures, where another seed finds it in 1351 calls.
    assert result.best_energy == pytest.approx(5.9624, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "nothing"}, "no method named 'nothing'"),
        ({"seed": -1}, "the seed is -1"),
        ({"searches": 0}, "0 searches are asked for"),
        ({"method": "bh", "weights": "lj"}, "uses no weights"),
        ({"steps": 0, "method": "learned"}, "steps is 0"),
        ({"without": ["genetic"]}, "no part named 'genetic'; choose one of uniform"),
        ({"method": "bh", "without": ["swaps"]}, "has no parts that can be left out"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        search_problem(problem("cluster"), **options)


def test_limits_refuse_what_is_none():
    for wrong in (
        {"evaluations": 0},
        {"seconds": 0},
        {"target_energy": np.nan},
        {"settled": -1},
        {"settled": 1001},
    ):
        with pytest.raises(InputError):
            Limits(**wrong)


def test_the_engines_are_those_of_the_problems():
    assert isinstance(engine_for(problem("cluster")), KernelEngine)
    assert isinstance(engine_for(problem("calculator")), CalculatorEngine)
    with pytest.raises(InputError, match="a calculator is called"):
        engine_for(problem("calculator"), "native")
