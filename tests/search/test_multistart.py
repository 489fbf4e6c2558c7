"""Search: known minima found, nothing found is lost, the same seed gives the same."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from reference_data import structures

from ase_l2h.optimizers import Optimizer
from ase_l2h.rollout import Status
from ase_l2h.search import multistart as module
from ase_l2h.search.multistart import distinct_minima, make_starts, search
from ase_l2h.search.registry import default_steps, make_optimizer, method_weights
from ase_l2h.system import make_system
from ase_l2h.targets import named_target
from ase_l2h.weights.load import manifest

LJ7 = named_target("LJ7")
DEFAULTS = {"bh": 10_000, "bh-paper": 50_000}
PUBLISHED = -16.505384
# One shape of batch for all searches: each rule is compiled once.
STARTS, STEPS = 24, 120


def run(**arguments: Any) -> module.SearchResult:
    request: dict[str, Any] = {"n_starts": STARTS, "n_steps": STEPS, "seed": 3}
    request |= arguments
    return search(LJ7.potential, LJ7.system, **request)


@pytest.fixture(scope="module")
def learned() -> module.SearchResult:
    return run()


def test_the_default_weights_find_the_published_minimum(learned):
    assert jax.config.read("jax_enable_x64") is False
    np.testing.assert_allclose(learned.best_energy, PUBLISHED, rtol=0, atol=1e-6)
    best = learned.minima[0]
    assert best.positions.shape == (7, 3)
    assert best.positions.dtype == learned.energies.dtype == np.float64
    assert best.count == np.sum(np.abs(learned.energies - PUBLISHED) < 1e-5)
    assert best.start == np.argmax(np.abs(learned.energies - PUBLISHED) < 1e-5)


def test_several_devices_share_a_search_and_change_no_bit(learned):
    """Three sets of weights are three chunks, which two devices take in turn."""
    shared = run(device=jax.devices("cpu")[:2])
    np.testing.assert_array_equal(shared.energies, learned.energies)
    np.testing.assert_array_equal(shared.positions, learned.positions)
    np.testing.assert_array_equal(shared.trace, learned.trace)
    with pytest.raises(ValueError, match="list of devices is empty"):
        run(device=[])


def test_a_result_tells_what_was_done(learned):
    assert learned.method == "learned"
    assert learned.weights is not None
    assert learned.weights.name == manifest()["default"]
    assert (learned.backend, learned.stopped) == ("scan", "done")
    assert learned.energies.shape == learned.evaluations.shape == (STARTS,)
    assert learned.positions.shape == (3, 7, STARTS)
    assert np.all(learned.status == Status.CONVERGED)
    # Every start is charged its steps, the last point, and some for the quench.
    assert np.all(learned.evaluations > STEPS + 1)
    assert learned.charged_evaluations == learned.evaluations.sum()
    assert learned.trace_steps.tolist() == list(range(3, STEPS + 1, 3))
    assert learned.trace.shape == (40, STARTS)
    assert learned.wall_seconds > 0
    energies = [m.energy for m in learned.minima]
    assert energies == sorted(energies)
    assert sum(m.count for m in learned.minima) == STARTS


def test_the_energies_belong_to_the_positions(learned):
    with jax.enable_x64(True):
        energies = LJ7.potential.energy(
            jax.numpy.asarray(learned.positions), LJ7.system
        )
    np.testing.assert_allclose(energies, learned.energies, rtol=1e-12)
    lowest = np.argmin(learned.energies)
    np.testing.assert_array_equal(
        learned.positions[..., lowest].T, learned.minima[0].positions
    )


def test_a_seed_gives_its_result_again_and_another_does_not(learned):
    again = run()
    np.testing.assert_array_equal(again.energies, learned.energies)
    np.testing.assert_array_equal(again.positions, learned.positions)
    np.testing.assert_array_equal(again.evaluations, learned.evaluations)
    assert not np.array_equal(run(seed=4).trace, learned.trace)


def test_a_start_does_not_depend_on_how_many_there_are(monkeypatch):
    """In rounds of one size even the bits are the same."""
    monkeypatch.setattr(module, "STARTS_PER_ROUND", STARTS // 4)
    few, many = run(), run(n_starts=2 * STARTS)
    np.testing.assert_array_equal(few.energies, many.energies[:STARTS])
    np.testing.assert_array_equal(few.trace, many.trace[:, :STARTS])
    assert not np.any(few.trace[0] == many.trace[0, STARTS:])


@pytest.mark.parametrize("method", ["adam", "fire", "gd"])
def test_classical_methods_descend(method):
    result = run(method=method)
    assert result.weights is None
    assert np.all(result.energies <= -12)
    assert np.all(result.trace[-1] < result.trace[0])
    np.testing.assert_allclose(result.best_energy, PUBLISHED, rtol=0, atol=1e-6)


def test_a_target_stops_after_the_round_that_reaches_it(monkeypatch):
    """A published energy is rounded: it may lie 5e-7 below the true minimum."""
    monkeypatch.setattr(module, "STARTS_PER_ROUND", STARTS)
    reached = run(n_starts=5 * STARTS, target_energy=PUBLISHED - 1e-6)
    assert reached.stopped == "target"
    assert len(reached.energies) == STARTS
    never = run(n_starts=2 * STARTS, target_energy=PUBLISHED - 1.0)
    assert never.stopped == "done"
    assert len(never.energies) == 2 * STARTS
    np.testing.assert_array_equal(never.energies[:STARTS], reached.energies)
    # The rounds are different starts.
    assert not np.any(never.trace[0, :STARTS] == never.trace[0, STARTS:])


def test_time_is_up_after_a_block_and_what_there_is_gets_relaxed():
    result = run(n_steps=4000, max_seconds=1e-6)
    assert result.stopped == "time"
    assert result.trace_steps.tolist() == [100]
    assert np.all(result.status == Status.CONVERGED)
    assert np.all(result.energies < -10)


def test_no_round_begins_when_time_is_up(monkeypatch):
    monkeypatch.setattr(module, "STARTS_PER_ROUND", STARTS // 4)
    late = iter([False] * 40 + [True] * 100)
    monkeypatch.setattr(module, "_late", lambda _: next(late))
    result = run(n_starts=3 * STARTS, max_seconds=1e9)
    assert result.stopped == "time"
    assert len(result.energies) == STARTS
    assert result.trace_steps[-1] == STEPS


def test_ctrl_c_keeps_what_was_found(learned):
    calls = []

    def impatient(done: int) -> None:
        calls.append(done)
        if len(calls) == 7:
            raise KeyboardInterrupt

    result = run(progress=impatient)
    assert result.stopped == "interrupted"
    assert calls == [3 * STARTS] * 7
    assert result.trace_steps.tolist() == list(range(3, 22, 3))
    np.testing.assert_array_equal(result.trace, learned.trace[:7])
    assert np.all(result.status == Status.CONVERGED)
    assert result.minima


@pytest.mark.parametrize("rounds", [1, 3])
def test_ctrl_c_while_relaxing_keeps_the_rounds_before(rounds, monkeypatch):
    monkeypatch.setattr(module, "STARTS_PER_ROUND", STARTS // 4)
    relax, calls = module.relax_rollout, []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == rounds:
            raise KeyboardInterrupt
        return relax(*arguments, **options)

    monkeypatch.setattr(module, "relax_rollout", interrupted)
    if rounds == 1:
        with pytest.raises(KeyboardInterrupt):
            run(n_starts=5 * STARTS)
        return
    result = run(n_starts=5 * STARTS)
    assert result.stopped == "interrupted"
    assert len(result.energies) == 2 * STARTS


def test_a_given_structure_is_the_first_start_wherever_it_lies():
    """Far from the origin single precision would be coarse: it is moved there first."""
    minimum = structures("lj_global_minima_2_150")["LJ7"].positions.T
    given = np.repeat(minimum[..., None] + 5e4, STARTS, axis=2)
    result = run(method="gd", n_steps=1, starts=given)
    np.testing.assert_allclose(result.energies, PUBLISHED, rtol=0, atol=1e-6)
    assert result.minima[0].count == STARTS
    mixed = run(method="gd", n_steps=1, starts=given[..., :2])
    plain = run(method="gd", n_steps=1)
    np.testing.assert_allclose(mixed.energies[:2], PUBLISHED, atol=1e-6)
    np.testing.assert_array_equal(mixed.energies[2:], plain.energies[2:])


def test_fixed_atoms_are_given_back_exactly(rng):
    free = np.ones((3, 7), bool)
    free[:, 3] = free[1, 5] = False
    system = make_system(np.zeros(7, int), free=free, length_scale=2 ** (1 / 6))
    minimum = structures("lj_global_minima_2_150")["LJ7"].positions.T + 0.1
    starts = (minimum + rng.normal(size=(3, 7), scale=0.05))[..., None]
    result = search(
        LJ7.potential, system, method="gd", n_starts=1, n_steps=10, starts=starts
    )
    found = result.positions[..., 0]
    np.testing.assert_array_equal(found[~free], starts[..., 0][~free])
    assert np.all(found[free] != starts[..., 0][free])
    with pytest.raises(ValueError, match="give starts of your own"):
        search(LJ7.potential, system, method="gd", n_starts=2, starts=starts)


def test_the_starts_of_a_search_are_those_of_its_seed():
    """What a table calls start 5 of seed 3 can be drawn again."""
    given = make_starts(LJ7.system, 3, 0, STARTS)
    np.testing.assert_array_equal(
        run(method="gd", n_steps=1, starts=given, seed=8).trace.shape, (1, STARTS)
    )
    np.testing.assert_allclose(
        run(method="gd", n_steps=1, starts=given, seed=8).energies,
        run(method="gd", n_steps=1).energies,
        atol=1e-8,
    )


def gram_rotation(seed: int) -> np.ndarray:
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn


def test_copies_of_a_minimum_are_merged_and_others_kept(rng):
    """Turned, mirrored, moved and renumbered copies of two minima, out of order."""
    first = structures("lj_global_minima_2_150")["LJ13"].positions.T
    second = structures("lj_global_minima_2_150")["LJ13"].positions.T.copy()
    second[:, 0] *= 1.5
    batch, energies = [], []
    for k in range(6):
        shape = first if k % 2 else second
        turn = gram_rotation(k) * (-1 if k > 2 else 1)
        moved = turn @ shape[:, rng.permutation(13)] + rng.normal(size=(3, 1))
        batch.append(moved)
        energies.append((-44.3 if k % 2 else -41.0) + 1e-7 * k)
    energies[4] = np.nan
    system = make_system(np.zeros(13, int))
    minima = distinct_minima(np.array(energies), np.stack(batch, axis=-1), system)
    assert [(m.count, m.start) for m in minima] == [(3, 1), (2, 0)]
    assert [m.energy for m in minima] == [energies[1], energies[0]]
    np.testing.assert_array_equal(minima[0].positions, batch[1].T)


def test_equal_energies_do_not_merge_different_structures(rng):
    system = make_system(np.zeros(5, int))
    batch = rng.normal(size=(3, 5, 4))
    minima = distinct_minima(np.full(4, -3.0), batch, system)
    assert [m.start for m in minima] == [0, 1, 2, 3]


def test_equal_structures_of_different_energy_are_kept_apart(rng):
    system = make_system(np.zeros(5, int), energy_scale=0.1)
    batch = np.repeat(rng.normal(size=(3, 5, 1)), 3, axis=2)
    energies = np.array([-3.0, -3.0 + 0.9e-6, -3.0 + 1.1e-6])
    assert [m.count for m in distinct_minima(energies, batch, system)] == [2, 1]


def test_atoms_of_unlike_species_are_told_apart(rng):
    """Exchanging two unlike atoms is another structure, even at the same energy."""
    system = make_system([0, 0, 1, 1, 1])
    shape = rng.normal(size=(3, 5))
    like, unlike = shape[:, [1, 0, 4, 2, 3]], shape[:, [2, 1, 0, 3, 4]]
    batch = np.stack([shape, like, unlike], axis=-1)
    minima = distinct_minima(np.full(3, -1.0), batch, system)
    assert [(m.count, m.start) for m in minima] == [(2, 0), (1, 2)]


def test_periodic_structures_are_compared_by_nearest_images(rng):
    """Moved as a whole, and each atom by other lattice vectors; then one atom alone."""
    cell = np.array([[4.0, 0, 0], [1.9, 3.5, 0], [-1.2, 1.6, 3.9]])
    system = make_system(np.zeros(6, int), cell=cell, cutoff=2.5)
    shape = cell.T @ rng.random((3, 6))
    moved = shape + rng.normal(size=(3, 1)) + cell.T @ rng.integers(-2, 3, size=(3, 6))
    other = shape.copy()
    other[:, 2] += 0.3
    batch = np.stack([shape, moved, other], axis=-1)
    minima = distinct_minima(np.full(3, -1.0), batch, system)
    assert [(m.count, m.start) for m in minima] == [(2, 0), (1, 2)]


def test_nothing_finite_is_no_minimum():
    system = make_system([0, 0])
    assert (
        distinct_minima(np.array([np.inf, np.nan]), np.zeros((3, 2, 2)), system) == []
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_starts": 0}, "0 starts"),
        ({"n_starts": -5}, "-5 starts"),
        ({"n_starts": 10**9}, "1000000000 starts"),
        ({"n_steps": 0}, "0 steps"),
        ({"n_steps": 10**12}, "1000000000000 steps"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"max_seconds": 0.0}, "max_seconds is 0.0"),
        ({"max_seconds": float("nan")}, "max_seconds is nan"),
        ({"target_energy": float("nan")}, "target_energy is not a number"),
        ({"method": "magic"}, "no method named 'magic'; choose one of learned, adam"),
        ({"method": "adam", "weights": "default"}, "uses no weights"),
        ({"weights": "nonesuch"}, "no weights named 'nonesuch'"),
        ({"backend": "cuda9"}, "no backend named"),
        ({"device": "tpu"}, "no 'tpu' device"),
        ({"starts": np.zeros((7, 3, 1))}, r"give \(3, 7, m\)"),
        ({"starts": np.full((3, 7, 1), np.nan)}, "not finite numbers"),
    ],
)
def test_impossible_requests_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        run(**arguments)


def test_every_method_has_an_optimizer():
    for method in module.METHODS:
        weights = method_weights(method, None)
        steps = default_steps(method, weights)
        optimizer = make_optimizer(method, weights, steps, LJ7.system)
        several = optimizer if isinstance(optimizer, list) else [optimizer]
        assert several
        assert all(isinstance(each, Optimizer) for each in several)
        assert (weights is not None) == (method == "learned")
        assert steps == (weights.horizon if weights else DEFAULTS.get(method, 1000))
