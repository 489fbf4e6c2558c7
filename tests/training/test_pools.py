"""Pools of minima, and hops that are trained from them."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.errors import InputError
from ase_l2h.system import make_system
from ase_l2h.targets import named_target
from ase_l2h.training import pools
from ase_l2h.training import train as train_module
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.objective import LOOPS
from ase_l2h.training.pools import MinimaPool, make_pool, rattled
from ase_l2h.training.tasks import make_task
from ase_l2h.training.train import make_tasks, train
from ase_l2h.training.trainer import LEAST_FALL, Trainer, initial_rule
from ase_l2h.weights.load import load_weights

LJ7 = named_target("LJ7")
# The four minima of seven Lennard-Jones atoms.
MINIMA = (-16.505384, -15.935043, -15.593211, -15.533060)
HOPS = TrainingConfig(
    tasks=("LJ7",),
    updates=2,
    horizon=10,
    quench_steps=150,
    directions=2,
    starts=6,
    normalise="spread",
    architecture="equivariant",
    pool=8,
    seed=4,
    initial="lj",
)


@pytest.fixture(scope="module", autouse=True)
def short():
    """Fewer shakes, so that the tests are fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pools, "ROUNDS", 4)
        patch.setattr(pools, "PADDED", 8)
        patch.setattr(pools, "LEARNED_STEPS", 20)
        yield


@pytest.fixture(scope="module")
def pool(short) -> MinimaPool:
    rule = initial_rule(HOPS)
    return make_pool(LJ7, rule, 8, jax.random.key(2), LOOPS["scan"])


def test_a_pool_has_relaxed_structures_of_different_depth(pool):
    assert pool.positions.shape == (3, 7, 8)
    distances = np.abs(pool.energies[:, None] - np.array(MINIMA))
    assert np.all(distances.min(axis=1) < 1e-3)
    assert len(set(distances.argmin(axis=1))) > 1
    energy = LJ7.potential.energy(jnp.asarray(pool.positions), LJ7.system)
    assert np.asarray(energy) == pytest.approx(pool.energies, abs=1e-4)


@pytest.mark.slow
def test_the_same_key_gives_the_same_pool_and_more_hops_end_lower(pool, monkeypatch):
    rule, key = initial_rule(HOPS), jax.random.key(2)
    again = make_pool(LJ7, rule, 8, key, LOOPS["scan"])
    assert np.array_equal(again.positions, pool.positions)
    monkeypatch.setattr(pools, "ROUNDS", 0)
    before = make_pool(LJ7, rule, 8, key, LOOPS["scan"]).energies
    assert np.all(pool.energies <= before + 1e-4)
    assert np.any(pool.energies < before - 0.1)


def test_noise_has_a_width_of_its_own_for_every_structure():
    rng = np.random.default_rng(1)
    system = make_system(np.zeros(4, int), length_scale=2.0)
    noise = rattled(np.zeros((3, 4000, 2)), (0.1, 0.4), system, rng)
    widths = noise.std(axis=(0, 1))
    assert np.all((widths > 0.19) & (widths < 0.81))
    assert abs(widths[0] - widths[1]) > 0.02


def test_a_task_with_a_pool_gives_its_minima_and_their_energies(pool):
    task = make_task(LJ7, pool=pool)
    assert task.reference == pool.energies.min()
    starts, held = task.held(jax.random.key(1), 5, (0.0, 0.0))
    energy = LJ7.potential.energy(starts, LJ7.system)
    assert np.asarray(energy) == pytest.approx(held, abs=1e-4)


def test_a_pool_of_separated_atoms_is_refused(pool):
    with pytest.raises(InputError, match="not bound"):
        make_task(LJ7, pool=pool._replace(energies=np.zeros(8)))


def test_only_what_falls_below_the_minimum_it_left_counts(pool):
    task = make_task(LJ7, pool=pool)
    trainer = Trainer(HOPS, {"LJ7": task})
    trials, _ = trainer._plan(
        trainer.initial,
        np.zeros((2, len(trainer.initial.theta))),
        jax.random.split(jax.random.key(0), 3),
    )
    trial = trials[0]
    held = trial.held
    assert held is not None
    unit = LEAST_FALL * task.energy_scale
    rows = 1 + max(max(t.base, *t.arms) for t in trials)
    energy = np.tile(held, (rows, 1))
    energy[trial.arms[0]] = held - 0.5
    energy[trial.arms[1]] = held + 3.0
    judged = trainer._judged(trial, energy)
    assert np.all(judged[0] == 0) or np.all(judged[0] <= unit)
    assert judged[1] == pytest.approx(-0.5 + unit)
    assert np.all(judged[2] == 0)


@pytest.mark.slow
def test_hops_are_trained_recorded_and_resumed_to_the_same_weights(
    pool, tmp_path, monkeypatch
):
    monkeypatch.setattr(train_module, "make_pool", lambda *_: pool)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    train(HOPS, straight, quiet=True)
    train(dataclasses.replace(HOPS, updates=1), stopped, quiet=True)
    train(HOPS, stopped, resume=True, quiet=True)
    text = (straight / "progress.jsonl").read_text()
    falls = [json.loads(line)["falls"] for line in text.splitlines()]
    assert [list(shares) for shares in falls] == [["LJ7"]] * 2
    assert all(0 <= shares["LJ7"] <= 1 for shares in falls)
    theta = [
        load_weights(folder / "weights.safetensors").rule.theta
        for folder in (straight, stopped)
    ]
    for name, values in theta[0].items():
        assert np.array_equal(values, theta[1][name]), name


def test_landscapes_that_are_drawn_join_the_tasks(monkeypatch):
    energies = np.linspace(-3, -2, 8)
    nothing = lambda target, *_: MinimaPool(np.zeros((3, target.n_atoms, 8)), energies)
    monkeypatch.setattr(train_module, "make_pool", nothing)
    config = dataclasses.replace(HOPS, drawn={"count": 2, "sizes": [6, 6]})
    tasks = make_tasks(config)
    assert list(tasks) == ["LJ7", "drawn-0-n6", "drawn-1-n6"]
    assert Trainer(config, tasks).turns == tuple(tasks)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pool": 7}, "an even number"),
        ({"rattle": (0.4, 0.1)}, "least, most"),
        ({"rattle": (0.1, 0.2), "pool": 0}, "noise of structures of a pool"),
        ({"normalise": "adam"}, 'set normalise = "spread"'),
        ({"loss": "best"}, "that minimum itself"),
    ],
)
def test_impossible_pools_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(HOPS, **changes)
