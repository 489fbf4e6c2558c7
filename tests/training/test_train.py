"""Training runs: recorded, refused, killed, and resumed to the same bits."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from ase_l2h._internal.stopping import Stop
from ase_l2h.errors import InputError
from ase_l2h.potentials.jax_md import FunctionPotential
from ase_l2h.rules.learned import CoordinatewiseRule
from ase_l2h.system import make_system
from ase_l2h.targets import Target, named_target
from ase_l2h.training import train as module
from ase_l2h.training import trainer as trainer_module
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.objective import capped_energy, jit_unroll
from ase_l2h.training.tasks import Task, make_task
from ase_l2h.training.train import train
from ase_l2h.training.trainer import Trainer, flattened, initial_rule
from ase_l2h.weights.load import load_weights

TINY = TrainingConfig(
    tasks=("LJ5", "LJ6"),
    updates=4,
    horizon=20,
    quench_steps=5,
    directions=2,
    starts=4,
    learning_rate=0.05,
    normalise="spread",
    hit_bonus=0.1,
    architecture="equivariant",
    seed=21,
)
ONE_TASK = dataclasses.replace(TINY, tasks=("LJ5",))
# A training that saves after every update and may kill itself on the way:
# argv = folder, number of the update, moment.
CHILD = """
import os, signal, sys
from pathlib import Path
import jax
folder, number, moment = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
jax.config.update("jax_compilation_cache_dir", str(folder.parent / "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
from ase_l2h.training import train as module
from ase_l2h.training import trainer as trainer_module
from ase_l2h.training.config import TrainingConfig

die = lambda: os.kill(os.getpid(), signal.SIGKILL)
module.CHECKPOINT_SECONDS = -1.0
save = module.Checkpoint.save

def saving(self, arrays, metadata, **more):
    if arrays["update"] == number and moment == "before saving":
        die()
    if arrays["update"] == number and moment == "while saving":
        Path.replace = lambda *_: die()
    save(self, arrays, metadata, **more)
    if arrays["update"] == number and moment == "after saving":
        die()

module.Checkpoint.save = saving
print("go", flush=True)
module.train(module.TrainingConfig(**{TINY}), folder, resume=True, quiet=True)
""".replace("{TINY}", repr(dataclasses.asdict(TINY)))


def start(folder: Path, number: int = -1, moment: str = "never") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(number), moment],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> int:
    _, errors = process.communicate(timeout=240)
    assert process.returncode in (0, -signal.SIGKILL), errors[-2000:]
    return process.returncode


def updates_recorded(folder: Path) -> list[int]:
    lines = (folder / "progress.jsonl").read_text().splitlines()
    return [json.loads(line)["update"] for line in lines]


def assert_same_run(folder: Path, other: Path) -> None:
    """Everything but the wall times agrees, to the bit."""
    assert updates_recorded(folder) == updates_recorded(other) == [1, 2, 3, 4]
    assert_same_files(folder, other)
    assert (folder / "config.json").read_bytes() == (other / "config.json").read_bytes()
    timeless = lambda path: [
        {k: v for k, v in json.loads(line).items() if k != "seconds"}
        for line in (path / "progress.jsonl").read_text().splitlines()
    ]
    assert timeless(folder) == timeless(other)
    assert list(folder.glob("*.partial")) == []


def assert_same_files(folder: Path, other: Path) -> None:
    """Weights and checkpoint; safetensors writes metadata in any order."""
    for name in ("weights.safetensors", "state.safetensors"):
        with safe_open(folder / name, "numpy") as a, safe_open(other / name, "np") as b:
            assert a.metadata() == b.metadata()
            assert set(a.keys()) == set(b.keys())
            for key in a.keys():  # noqa: SIM118
                first, second = a.get_tensor(key), b.get_tensor(key)
                assert first.dtype == second.dtype
                assert first.tobytes() == second.tobytes(), key


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run from beginning to end."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    train(TINY, folder, quiet=True)
    return folder


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory) -> Path:
    """A run from beginning to end, in a process of its own like the killed ones."""
    folder = tmp_path_factory.mktemp("runs") / "unkilled"
    assert finish(start(folder)) == 0
    return folder


def test_a_run_records_every_update_and_leaves_weights(finished):
    assert updates_recorded(finished) == [1, 2, 3, 4]
    loaded = load_weights(finished / "weights.safetensors")
    assert loaded.metadata["tasks"] == ["LJ5", "LJ6"]
    assert (loaded.horizon, loaded.metadata["updates"]) == (20, 4)
    assert np.any(np.asarray(loaded.rule.theta["kernel_out"]) != 0)
    lines = [
        json.loads(line)
        for line in (finished / "progress.jsonl").read_text().splitlines()
    ]
    # Two tasks of 4 starts; theta itself, and 2 directions with 2 arms, share 26
    # evaluations a start.
    charges = [line["charged_evaluations"] for line in lines]
    assert charges == [26 * 4 * (2 + 4) * k for k in (1, 2, 3, 4)]
    assert loaded.metadata["charged_evaluations"] == charges[-1]
    assert all(set(line["hits"]) == {"LJ5", "LJ6"} for line in lines)
    assert all(-1 <= line["loss"] <= 0 for line in lines)
    assert all(line["gradient_norm"] > 0 for line in lines)


@pytest.mark.slow
def test_a_run_killed_at_the_worst_moments_ends_with_the_same_bits(unkilled):
    """The line is written and the checkpoint is not, or only its first half is."""
    folder = unkilled.parent / "killed"
    for number, moment, known in ((2, "before saving", 2), (3, "while saving", 3)):
        assert finish(start(folder, number, moment)) == -signal.SIGKILL
        assert updates_recorded(folder) == list(range(1, known + 1))
    assert finish(start(folder)) == 0
    (folder / "state.safetensors.partial").unlink(missing_ok=True)
    assert_same_run(folder, unkilled)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_at_random_moments_change_nothing(unkilled):
    """Wherever SIGKILL falls: in imports, in compilation, in steps, in files."""
    rng = np.random.default_rng(99)
    folder = unkilled.parent / "often"
    kills = 0
    for attempt in range(200):
        process = start(folder)
        assert process.stdout is not None
        process.stdout.readline()
        begun = time.monotonic()
        allowed = rng.uniform(0, 6)
        while time.monotonic() - begun < allowed and process.poll() is None:
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        if finish(process) == 0:
            assert_same_run(folder, unkilled)
            folder = unkilled.parent / f"often-{attempt}"
            continue
        kills += 1
        if kills >= 20:
            break
    assert kills >= 20
    assert finish(start(folder)) == 0
    assert_same_run(folder, unkilled)


class Formula:
    """Energies from a formula instead of unrolls, for the book-keeping."""

    def __init__(self, *_, **__) -> None:
        self.asked: list = []

    def evaluate(self, members):
        self.asked.append(members)
        offsets = [
            np.asarray(jax.random.uniform(m.key, (ONE_TASK.starts,)), np.float64)
            for m in members
        ]
        waves = np.array([np.sum(np.sin(m.theta)) / 50 for m in members])
        return -5 - waves[:, None] - np.stack(offsets), np.full(len(members), 104)


@pytest.fixture
def quick(monkeypatch) -> None:
    """Trainers whose population is a formula: the book-keeping needs no unrolls."""
    monkeypatch.setattr(module, "make_task", quick_task)
    monkeypatch.setattr(Task, "starts", lambda *_: None)
    monkeypatch.setattr(trainer_module, "Population", Formula)


def quick_task(target, reference=None) -> Task:
    return Task(target, reference=-9.1, best=-9.1)


def quick_trainer(config: TrainingConfig) -> Any:
    tasks = {name: quick_task(named_target(name)) for name in config.tasks}
    return Trainer(config, tasks)


def shorter(updates: int) -> TrainingConfig:
    return dataclasses.replace(ONE_TASK, updates=updates)


def test_a_run_can_be_made_longer_and_only_that(quick, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(shorter(3), whole, quiet=True)
    train(shorter(1), parts, quiet=True)
    with pytest.raises(InputError, match="add --resume to continue it"):
        train(shorter(3), parts, quiet=True)
    for said, change in (
        ("another seed", {"seed": 5}),
        ("other tasks", {"tasks": ("LJ6",)}),
        ("other features", {"features": {"step": True}}),
        ("another backend", {"backend": "native"}),
    ):
        other = dataclasses.replace(shorter(3), **change)
        with pytest.raises(ValueError, match=f"made with {said}; use"):
            train(other, parts, resume=True, quiet=True)
    train(shorter(3), parts, resume=True, quiet=True)
    assert updates_recorded(parts) == [1, 2, 3]
    assert_same_files(parts, whole)
    # Nothing is left to do: the same weights again.
    train(shorter(3), parts, resume=True, quiet=True)
    assert_same_files(parts, whole)


def test_ctrl_c_saves_a_checkpoint_and_leaves_no_gap(quick, tmp_path, monkeypatch):
    """Interrupted in the third update: two are recorded and two are saved."""
    update = Trainer.update

    def interrupted(self, state):
        if state.update == 2:
            raise KeyboardInterrupt
        return update(self, state)

    monkeypatch.setattr(Trainer, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(shorter(3), tmp_path / "run", quiet=True)
    assert updates_recorded(tmp_path / "run") == [1, 2]
    state = load((tmp_path / "run" / "state.safetensors").read_bytes())
    assert state["update"] == 2


def test_a_stop_is_looked_at_between_updates(quick, tmp_path, monkeypatch):
    """Asked for in the second update, which is finished and kept."""
    update, stop = Trainer.update, Stop()

    def asked(self, state):
        if state.update == 1:
            stop.request()
        return update(self, state)

    monkeypatch.setattr(Trainer, "update", asked)
    with pytest.raises(KeyboardInterrupt):
        train(shorter(3), tmp_path / "run", quiet=True, stop=stop)
    assert updates_recorded(tmp_path / "run") == [1, 2]
    monkeypatch.undo()
    path = train(shorter(3), tmp_path / "late", quiet=True, stop=Stop(1e-9))
    assert load_weights(path).metadata["updates"] == 0


def test_a_refused_training_leaves_no_folder(quick, tmp_path):
    config = dataclasses.replace(shorter(1), tasks=("nonsense",))
    with pytest.raises(InputError, match="neither a file nor a formula"):
        train(config, tmp_path / "run", quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_lines_after_the_last_checkpoint_are_dropped(quick, tmp_path):
    """Also a line of which only a part was written."""
    folder = tmp_path / "run"
    train(shorter(1), folder, quiet=True)
    with (folder / "progress.jsonl").open("a") as stream:
        stream.write('{"update": 2, "loss": -0.5}\n{"update": 3, "lo')
    train(shorter(2), folder, resume=True, quiet=True)
    assert updates_recorded(folder) == [1, 2]


def test_resuming_where_nothing_is_begins_a_run(quick, tmp_path):
    train(shorter(1), tmp_path / "new", resume=True, quiet=True)
    assert updates_recorded(tmp_path / "new") == [1]


def names_of(members) -> list[str]:
    return [member.task.target.name for member in members]


def planned(quick, updates: int = 1, **changes):
    """Members that a configuration asks for in its first updates."""
    config = dataclasses.replace(TINY, **changes)
    trainer = quick_trainer(config)
    state = trainer.initial
    for _ in range(updates):
        state, record = trainer.update(state)
    return trainer.population.asked, record


def test_directions_are_dealt_out_to_the_tasks_in_turn(quick):
    """With more tasks than directions, every update trains on the next ones."""
    asked, _ = planned(quick, updates=3, tasks=("LJ5", "LJ6", "LJ7"))
    seen = [sorted(set(names_of(members))) for members in asked]
    assert seen == [["LJ5", "LJ6"], ["LJ5", "LJ7"], ["LJ6", "LJ7"]]


def test_every_direction_can_see_every_task_and_starts_of_its_own(quick):
    """Two directions, two tasks, two arms: with own starts each has its own base."""
    (members,), _ = planned(quick, deal=False)
    assert sorted(names_of(members)) == ["LJ5"] * 5 + ["LJ6"] * 5
    (members,), _ = planned(quick, deal=False, share_starts=False)
    assert sorted(names_of(members)) == ["LJ5"] * 6 + ["LJ6"] * 6
    keys = {tuple(np.asarray(jax.random.key_data(m.key))) for m in members}
    assert len(keys) == 4
    # Base and arms of a direction start alike.
    thetas = np.array([m.theta for m in members])
    is_base = np.all(thetas == thetas[0], axis=1)
    assert is_base.tolist() == [True, False, False] * 4
    for base in range(0, 12, 3):
        first = jax.random.key_data(members[base].key)
        for arm in (1, 2):
            other = jax.random.key_data(members[base + arm].key)
            assert np.array_equal(first, other)


def test_ga_moves_to_one_of_its_mutants(quick):
    config = dataclasses.replace(TINY, estimator="ga", deal=False, directions=6)
    trainer = quick_trainer(config)
    state, record = trainer.update(trainer.initial)
    mutants = [m.theta for m in trainer.population.asked[0]]
    distance = [np.max(np.abs(state.theta - theta)) for theta in mutants]
    assert record["gradient_norm"] > 0
    assert min(distance[1:]) < 1e-6
    assert len(mutants) == 2 * (1 + 6)


def test_alpha_is_searched_in_its_logarithm_where_that_is_asked_for():
    rule = CoordinatewiseRule.create(jax.random.key(3))
    plain, _ = flattened(rule.theta)
    flat, back = flattened(rule.theta, log_alpha=True)
    for name, leaf in back(flat).items():
        np.testing.assert_allclose(leaf, rule.theta[name], rtol=1e-6)
    # The same vector but for one number, whose shifts multiply alpha.
    (place,) = np.flatnonzero(np.asarray(flat != plain))
    moved = back(flat.at[place].add(-3.0))
    np.testing.assert_allclose(moved["alpha"], 0.1 * np.exp(-3.0), rtol=1e-6)
    np.testing.assert_array_equal(moved["kernel_0"], rule.theta["kernel_0"])


@pytest.mark.parametrize(
    ("theta", "sentence"),
    [
        ({"log_alpha": jnp.zeros(())}, "have no alpha; leave log_alpha out"),
        ({"alpha": jnp.asarray(-0.01)}, "alpha is -0.01 and has no logarithm"),
    ],
)
def test_an_alpha_without_a_logarithm_is_refused(theta, sentence):
    with pytest.raises(ValueError, match=sentence):
        flattened(theta, log_alpha=True)


def test_training_follows_the_logarithm_of_alpha(quick):
    """Adam's first step has the length of its rate, here in log(alpha)."""
    config = dataclasses.replace(shorter(1), architecture="coordinatewise")
    config = dataclasses.replace(config, log_alpha=True, learning_rate=0.05)
    trainer = quick_trainer(config)
    state, _ = trainer.update(trainer.initial)
    alpha = float(trainer.trained(state).theta["alpha"])
    assert abs(np.log(alpha / 0.1)) == pytest.approx(0.05, rel=1e-3)


@pytest.mark.slow
def test_horizons_are_drawn_log_uniformly_for_every_task_and_update(quick):
    horizons = []
    trainer = quick_trainer(dataclasses.replace(TINY, horizons=(10, 1000)))
    state = trainer.initial
    for _ in range(150):
        state, record = trainer.update(state)
        members = trainer.population.asked.pop()
        for name in ("LJ5", "LJ6"):
            mine = {m.horizon for m in members if m.task.target.name == name}
            assert mine == {record["horizons"][name]}
        horizons.append([record["horizons"][name] for name in ("LJ5", "LJ6")])
    logs = np.log(np.array(horizons))
    middle, error = np.log(100), np.log(100) / np.sqrt(12 * 300)
    assert abs(logs.mean() - middle) < 5 * error
    assert logs.min() < np.log(12)
    assert logs.max() > np.log(800)
    assert abs(np.corrcoef(logs.T)[0, 1]) < 0.4


def test_the_reference_of_a_task_is_computed_once(tmp_path, monkeypatch):
    from ase_l2h.training import tasks

    computed = []

    def adam(target):
        computed.append(target.name)
        return -7.5

    monkeypatch.setattr(tasks, "adam_best", adam)
    monkeypatch.setattr(Task, "starts", lambda *_: None)
    monkeypatch.setattr(trainer_module, "Population", Formula)
    config = dataclasses.replace(TINY, updates=1)
    train(config, tmp_path / "run", quiet=True)
    assert computed == ["LJ5", "LJ6"]
    train(dataclasses.replace(TINY, updates=2), tmp_path / "run", resume=True)
    assert computed == ["LJ5", "LJ6"]
    tasks = module.make_tasks(TINY, {"LJ6": -7.5})
    assert computed == ["LJ5", "LJ6", "LJ5"]
    assert tasks["LJ6"].reference == -7.5


@pytest.mark.slow
def test_a_rule_can_be_trained_on_a_potential_of_ones_own(tmp_path):
    """Morse, which the package does not know."""

    def morse(positions):
        d = positions[:, None] - positions[None]
        itself = jnp.eye(len(positions))
        r = jnp.sqrt(jnp.sum(d * d, axis=-1) + itself)
        pair = (1 - jnp.exp(-3 * (r - 1))) ** 2 - 1
        return 0.5 * jnp.sum(pair * (1 - itself))

    system = make_system(np.zeros(4, int), length_scale=1.0, energy_scale=1.0)
    potential = FunctionPotential(morse)
    target = Target("Morse4", ("X",) * 4, potential, system)
    config = dataclasses.replace(TINY, tasks=("Morse4",), updates=1, quench_steps=300)
    path = train(config, tmp_path / "run", targets={"Morse4": target}, quiet=True)
    assert load_weights(path).metadata["tasks"] == ["Morse4"]
    (line,) = (tmp_path / "run" / "progress.jsonl").read_text().splitlines()
    # Four atoms in mutual contact: six bonds of depth one.
    assert -6.001 < json.loads(line)["lowest"]["Morse4"] < -3
    with pytest.raises(ValueError, match="has the name 'Morse4'; use the same name"):
        module.make_tasks(config, targets={"Other": target})


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_training_improves_the_rule_on_starts_it_has_not_seen(tmp_path):
    """LJ7, 50 steps and 100 of FIRE: lower by more than ten standard errors."""
    config = TrainingConfig(
        tasks=("LJ7",),
        updates=60,
        horizon=50,
        quench_steps=100,
        directions=8,
        starts=32,
        architecture="equivariant",
        learning_rate=0.03,
        seed=2,
    )
    trained = load_weights(train(config, tmp_path / "run", quiet=True)).rule
    task = make_task(named_target("LJ7"))
    starts = task.starts(jax.random.key(78), 128, rotate=True)
    target = task.target

    def losses(rule) -> np.ndarray:
        arguments = (rule, target.potential, target.system, starts, jax.random.key(0))
        energy = jit_unroll(*arguments, config.horizon, config.quench_steps).energy
        return np.asarray(capped_energy(energy)) / abs(task.reference)

    before, after = losses(initial_rule(config)), losses(trained)
    error = np.sqrt((before.var() + after.var()) / 128)
    assert before.mean() - after.mean() > 10 * error
    assert after.mean() < -0.93
