"""A potential learned from a few minima, and what a search of it proposes."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.potentials.parameters import stillinger_weber_set
from ase_l2h.potentials.units import reduced_units
from ase_l2h.rollout.kernels.native import compiler
from ase_l2h.search.auto import surrogate
from ase_l2h.search.auto.learned_potential import fitted, modelled, prior, usable
from ase_l2h.search.auto.making import Making
from ase_l2h.search.auto.method import make_auto
from ase_l2h.search.auto.patience import Patience
from ase_l2h.search.auto.pool import Pool
from ase_l2h.search.driver import engine_for, search_problem
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.limits import Limits
from ase_l2h.search.names import LEARNED
from ase_l2h.search.problem import Problem
from ase_l2h.starts.fragments import fragments
from ase_l2h.system import make_system

pytestmark = pytest.mark.skipif(compiler() is None, reason="machine code is searched")


def morse(positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy and gradient of pairs of the range 1/6, ``(3, n)``."""
    apart = positions[:, :, None] - positions[:, None]
    distances = np.sqrt(np.sum(apart**2, axis=0)) + 1e3 * np.eye(positions.shape[1])
    decay = np.exp(-6 * (distances - 1))
    slope = -12 * decay * (decay - 1) / distances
    return 0.5 * np.sum(decay * (decay - 2)), np.sum(slope * apart, axis=2)


def called(n_atoms: int = 13) -> Problem:
    return Problem(None, make_system(np.zeros(n_atoms, int)), measure=morse)


def evaluator_of(problem: Problem) -> Evaluator:
    engine = engine_for(problem)
    return Evaluator(problem, lambda request: engine.execute([request])[0])


@pytest.fixture(scope="module")
def gold():
    """Minima of Au20 by a potential that is one of what can be learned."""
    problem = Problem.of("Au20")
    starts = problem.length * fragments(20, 16, np.random.default_rng(4))
    return problem, evaluator_of(problem).relax(starts)


@pytest.fixture(scope="module")
def alloy():
    problem = Problem.of("Ag7Au8")
    rng = np.random.default_rng(5)
    starts = problem.length * fragments(15, 20, rng)
    order = np.argsort(rng.random(starts.shape[1:]), axis=0)
    starts = np.take_along_axis(starts, order[None], axis=1)
    return problem, evaluator_of(problem).relax(starts)


@pytest.mark.parametrize("name", ["gold", "alloy"])
def test_a_few_minima_tell_which_others_are_low(name, request):
    problem, minima = request.getfixturevalue(name)
    logs = fitted(problem, minima.energy[:6], minima.positions[..., :6]).logs
    model = modelled(problem, logs)
    learned = evaluator_of(model).energies(minima.positions[..., 6:])
    known = minima.energy[6:]
    error = (learned - learned.mean()) - (known - known.mean())
    assert np.corrcoef(learned, known)[0, 1] > 0.95
    assert np.std(error) < 0.3 * np.std(known)


def test_more_minima_do_not_make_it_worse(gold):
    problem, minima = gold
    errors = []
    for count in (1, 8):
        fit = fitted(problem, minima.energy[:count], minima.positions[..., :count])
        logs = fit.logs
        learned = evaluator_of(modelled(problem, logs)).energies(
            minima.positions[..., 8:]
        )
        errors.append(np.std(learned - minima.energy[8:]))
    assert errors[1] < errors[0]


def test_a_poor_model_is_told_from_a_good_one(gold):
    """Silicon has directed bonds, which no metal has."""
    problem, minima = gold
    fit = fitted(problem, minima.energy[:8], minima.positions[..., :8])
    assert fit.misfit < 0.2 * surrogate.POOR
    potential, kinds = stillinger_weber_set("Si").potential(), np.zeros(13, int)
    length, energy = reduced_units(potential, kinds)
    system = make_system(kinds, length_scale=length, energy_scale=energy)
    silicon = Problem(potential, system)
    starts = silicon.length * fragments(13, 12, np.random.default_rng(4))
    relaxed = evaluator_of(silicon).relax(starts)
    poor = fitted(silicon, relaxed.energy, relaxed.positions)
    known = surrogate.nothing_known(13)
    assert not surrogate.misleading(known | {"misfit": fit.misfit})
    assert surrogate.misleading(known | {"misfit": poor.misfit})


def test_what_is_believed_before_is_what_published_metals_have_in_common():
    mean, covariance = prior()
    assert np.exp(mean) == pytest.approx([11.1, 3.07, 3.44, 0.30], rel=0.02)
    assert np.all(np.linalg.eigvalsh(covariance) > 0)


def test_a_structure_far_from_every_metal_is_no_trouble():
    problem = called()
    far = 40.0 * np.random.default_rng(0).normal(size=(3, 13, 2))
    assert np.all(np.isfinite(fitted(problem, np.array([0.0, 0.0]), far).logs))


def proposals(count: int = 2, rounds: int = 2):
    problem = called()
    relaxed = evaluator_of(problem).refine(
        fragments(13, 4, np.random.default_rng(1), ["fcc"])
    )
    pool = Pool(4, 1e-4, problem.length, n_atoms=13)
    pool.add_many(relaxed.energy, relaxed.positions)
    known = surrogate.remembered(problem, surrogate.nothing_known(13), relaxed)
    method = make_auto(problem, without=("learned-starts", "learned-hops"))
    method = dataclasses.replace(method, **surrogate.SEARCH)
    rng = np.random.default_rng(2)
    made = [
        surrogate.proposed(
            surrogate.Model(problem, pool, known), method, pool, known, rng, count
        )
        for _ in range(rounds)
    ]
    return problem, relaxed, known, made


def test_proposals_are_low_and_none_is_made_twice():
    problem, relaxed, known, _ = proposals(rounds=3)
    lows = evaluator_of(problem).relax(known["proposed"]).energy
    # The icosahedron comes first, and never again.
    assert lows[0] == pytest.approx(-42.4398, abs=1e-3)
    assert lows[0] < relaxed.energy.min() - 0.5
    assert np.sum(lows < lows[0] + 1e-3) == 1


def test_proposals_follow_from_the_generator():
    first, second = proposals(rounds=1)[3][0], proposals(rounds=1)[3][0]
    assert np.array_equal(first, second)


def test_where_nothing_is_new_what_is_held_is_shaken(monkeypatch):
    monkeypatch.setattr(surrogate, "EVALUATIONS", 200)
    _, _, known, made = proposals(count=40, rounds=1)
    assert 0 < known["proposed"].shape[2] < 40
    assert made[0].shape == (3, 13, 40)


@pytest.mark.slow
def test_the_lowest_are_remembered():
    problem = called()
    relaxed = evaluator_of(problem).relax(
        np.random.default_rng(0).uniform(-2, 2, size=(3, 13, 40))
    )
    known = surrogate.remembered(problem, surrogate.nothing_known(13), relaxed)
    assert known["energies"].tolist() == np.sort(relaxed.energy)[:24].tolist()
    assert known["positions"].shape == (3, 13, 24)


def test_only_loose_atoms_without_machine_code_are_learned(monkeypatch):
    assert surrogate.learnable(called())
    assert not surrogate.learnable(called(4))
    assert not surrogate.learnable(Problem.of("LJ13"))
    cell = dataclasses.replace(Problem.of("Si8"), potential=None, measure=lambda x: x)
    assert surrogate.learnable(cell)
    for loose in (2, 3):
        free = np.zeros((3, 13), bool)
        free[:, :loose] = True
        system = dataclasses.replace(called().system, free=free)
        few = dataclasses.replace(called(), system=system, given=np.ones((3, 13)))
        assert surrogate.learnable(few) == (loose == 3)
    monkeypatch.setattr(surrogate, "compiler", lambda: None)
    assert not surrogate.learnable(called())


def test_machine_code_keeps_nothing_in_mind():
    problem = Problem.of("LJ13")
    relaxed = evaluator_of(problem).relax(fragments(13, 2, np.random.default_rng(0)))
    nothing = surrogate.nothing_known(13)
    assert surrogate.remembered(problem, nothing, relaxed) is nothing


def evaluations_to(energy: float, without: tuple[str, ...]) -> int:
    problem = dataclasses.replace(called(19), reference=energy)
    method = make_auto(problem, without=(*without, *LEARNED))
    result = search_problem(
        problem,
        method=method,
        limits=Limits(3000, target_energy=energy),
        searches=6,
        stop_together=False,
    )
    return sum(trace.charged for trace in result.searches)


@pytest.mark.slow
def test_a_search_that_learns_needs_fewer_evaluations():
    without = evaluations_to(-68.0, ("surrogate",))
    proposing = evaluations_to(-68.0, ("surrogate-descent",))
    assert evaluations_to(-68.0, ()) < 0.8 * min(proposing, without)


def test_structures_descend_in_what_is_learned_and_none_is_one_seen(gold):
    problem, minima = gold
    problem = dataclasses.replace(problem, potential=None, measure=lambda x: (0.0, x))
    known = surrogate.nothing_known(20) | {
        "energies": minima.energy[:6],
        "positions": minima.positions[..., :6],
    }
    asked: list[int] = []

    def make(count: int) -> np.ndarray:
        asked.append(count)
        return problem.length * fragments(20, count, np.random.default_rng(len(asked)))

    empty = Pool(4, 1e-4, problem.length, n_atoms=20)
    model = surrogate.Model(problem, empty, known)
    rng = np.random.default_rng(0)
    made = model.descended(make, 8, rng)
    assert asked[0] == 8
    assert 1 <= len(asked) <= 1 + surrogate.AGAIN
    relaxed = model.evaluator().relax(made)
    begun = model.evaluator().relax(make(8))
    assert np.median(relaxed.energy) <= np.median(begun.energy)
    # What has been seen is new to nobody; most of what was made is.
    assert not np.any(
        model.new(model.evaluator().relax(minima.positions[..., :6]).energy)
    )
    assert np.count_nonzero(model.new(relaxed.energy)) >= 4
    # A good guess: it is near a minimum of the problem itself.
    real = evaluator_of(Problem.of("Au20"))
    assert np.median(real.relax(made).evaluations) < 0.8 * np.median(
        real.relax(begun.positions).evaluations + begun.evaluations
    )


def test_nothing_known_is_what_published_metals_have_in_common():
    problem = called()
    empty = Pool(4, 1e-4, problem.length, n_atoms=13)
    known = surrogate.nothing_known(13)
    model = surrogate.Model(problem, empty, known)
    assert model.learned == 0
    assert known["misfit"] == 0.0
    assert np.log(model.problem.potential.p[0, 0]) == pytest.approx(prior()[0][0])
    assert model.new(np.zeros(3)).all()


def making(monkeypatch, *, without=(), wary=0.0, misfit=0.0) -> Making:
    monkeypatch.setattr("ase_l2h.search.auto.making.WARY", wary)
    problem = called()
    method = make_auto(problem, without=(*LEARNED, *without))
    known = surrogate.nothing_known(13) | {"misfit": misfit}
    empty = Pool(4, 1e-4, problem.length, n_atoms=13)
    rng = np.random.default_rng(0)
    return Making(method, evaluator_of(problem), empty, known, rng)


def test_the_learned_potential_is_left_out_where_it_is_not_wanted_or_not_trusted(
    monkeypatch,
):
    assert making(monkeypatch).model is not None
    assert making(monkeypatch, without=("surrogate-descent",)).model is None
    assert making(monkeypatch, without=("surrogate",)).model is None
    assert making(monkeypatch, misfit=2 * surrogate.POOR).model is None
    assert making(monkeypatch, wary=1.0).model is None


def test_relaxations_begin_with_the_learned_curvature_also_in_wary_rounds(monkeypatch):
    start = called().length * fragments(13, 1, np.random.default_rng(3), ["fcc"])
    spent = {
        name: int(making(monkeypatch, **options).evaluator.relax(start).evaluations[0])
        for name, options in {
            "learned": {},
            "wary": {"wary": 1.0},
            "off": {"without": ("surrogate",)},
            "poor": {"misfit": 2 * surrogate.POOR},
        }.items()
    }
    assert spent["learned"] == spent["wary"]
    assert spent["off"] == spent["poor"]
    assert spent["learned"] < 0.8 * spent["off"]


def test_the_ways_to_exchange_two_atoms_are_proposed(alloy):
    problem, minima = alloy
    called = dataclasses.replace(problem, potential=None, measure=lambda x: (0.0, x))
    best = int(np.argmin(minima.energy))
    pool = Pool(4, 1e-4, problem.length, n_atoms=15)
    pool.add_many(minima.energy[[best]], minima.positions[..., [best]])
    known = surrogate.nothing_known(15) | {
        "energies": minima.energy,
        "positions": minima.positions,
    }
    model = surrogate.Model(called, pool, known)
    rng = np.random.default_rng(0)
    beside = surrogate._neighbours(model, pool.positions, rng)
    # Seven atoms of one element and eight of the other: 56 exchanges.
    assert 56 <= beside.energy.size <= 56 + surrogate.MOVERS * surrogate.SITES
    lower = evaluator_of(problem).relax(beside.positions).energy
    assert np.min(lower) < minima.energy[best]


def test_an_attempt_knows_nothing_of_what_the_last_one_learned():
    hasty = Patience(factor=1e-9, least=1)
    method = make_auto(called(), without=tuple(LEARNED), patience=hasty)
    problem = called()
    state = method.init(problem, (0, 0))
    evaluator = evaluator_of(problem)
    while state["attempt"] == 0:
        state = method.advance(state, evaluator)
    assert state["archive_energies"].size
    assert state["learned"]["energies"].size == state["learned"]["proposed"].size == 0


def test_compositions_without_the_first_element_learn_as_well():
    """As the ends of a hull: species are numbers of the whole system's elements."""
    problem = called()
    species = np.full(problem.n_atoms, problem.species.max() + 1)
    system = dataclasses.replace(problem.system, species=species)
    pure = dataclasses.replace(problem, system=system)
    rng = np.random.default_rng(3)
    places = problem.length * fragments(problem.n_atoms, 3, rng)
    logs = fitted(pure, np.array([-1.0, -1.1, -1.2]), places).logs
    model = modelled(pure, logs)
    assert len(model.potential.symbols) == species[0] + 1
    assert np.all(np.isfinite(evaluator_of(model).energies(places)))


def test_atoms_that_coincide_or_are_far_away_teach_nothing():
    problem = called()
    places = problem.length * fragments(problem.n_atoms, 3, np.random.default_rng(3))
    places[:, 0, 0] = places[:, 1, 0]
    places[0, 0, 1] += 400 * problem.length
    np.testing.assert_array_equal(usable(problem, places), [False, False, True])


@pytest.mark.slow
def test_a_trap_in_which_all_atoms_coincide_is_searched():
    trap = Problem.from_function(
        lambda x: jnp.sum(x**2), [18] * 6, length_scale=1.0, energy_scale=1.0
    )
    result = search_problem(trap, limits=Limits(evaluations=1500), seed=0)
    assert result.best_energy == pytest.approx(0, abs=1e-6)
