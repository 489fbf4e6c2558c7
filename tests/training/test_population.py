"""The same population in any arrangement: threads, chunks, devices, processes."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from ase_l2h.rules.learned import EquivariantRule
from ase_l2h.targets import named_target
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.population import Member, Population
from ase_l2h.training.tasks import Task
from ase_l2h.training.trainer import Trainer

CONFIG = TrainingConfig(
    tasks=("LJ5", "LJ6"),
    horizon=12,
    quench_steps=4,
    directions=5,
    starts=4,
    normalise="spread",
    architecture="equivariant",
    seed=3,
)
TASKS = {
    name: Task(named_target(name), reference=-9.0, best=-12.7)
    for name in ("LJ5", "LJ6")
}


def meta_gradient(together: int = 1, devices=None) -> np.ndarray:
    trainer = Trainer(CONFIG, TASKS, devices)
    trainer.population.together = together
    return trainer.estimate(trainer.initial)[0]


@pytest.fixture(scope="module")
def alone() -> np.ndarray:
    """Every member a call of its own on one device."""
    gradient = meta_gradient(devices=jax.local_devices()[:1])
    assert np.linalg.norm(gradient) > 1
    return gradient


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    """Rounding errors of single precision, which twelve steps do not blow up."""
    assert np.linalg.norm(found - wanted) < 1e-3 * np.linalg.norm(wanted)


@pytest.mark.slow
def test_two_devices_give_the_gradient_of_one(alone):
    """Members dealt out as calls, and as one sharded call, some of it padding."""
    devices = jax.local_devices()[:2]
    assert len(devices) == 2
    assert np.array_equal(meta_gradient(devices=devices), alone)
    assert_close(meta_gradient(together=0, devices=devices), alone)
    assert_close(meta_gradient(together=3, devices=devices), alone)


@pytest.mark.compiler
def test_the_native_backend_gives_the_gradient_of_the_compiled_loop(alone):
    """And the same bits every time: members do not share anything."""
    config = dataclasses.replace(CONFIG, backend="native")
    trainers = [Trainer(config, TASKS, jax.local_devices()[:n]) for n in (1, 2)]
    found, again = (trainer.estimate(trainer.initial)[0] for trainer in trainers)
    assert np.array_equal(found, again)
    assert not np.array_equal(found, alone)  # really another code
    assert_close(found, alone)


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"together": 3}, "unrolls one set of weights at a time on a CPU; set toge"),
    ],
)
def test_the_native_backend_says_what_it_cannot_do(change, sentence):
    config = dataclasses.replace(CONFIG, backend="native", **change)
    with pytest.raises(ValueError, match=sentence):
        Trainer(config, TASKS)


def test_without_a_compiler_the_native_backend_is_refused(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="no C\\+\\+ compiler; install one"):
        Trainer(dataclasses.replace(CONFIG, backend="native"), TASKS)


def test_a_sharded_call_really_uses_both_devices():
    rule = EquivariantRule.create(jax.random.key(0))
    flat, unravel = ravel_pytree(rule.theta)
    population = Population(rule, unravel, "fire", 2, devices=jax.local_devices()[:2])
    population.together = 0
    task = TASKS["LJ5"]
    starts = task.starts(jax.random.key(1), 4, rotate=False)
    members = [Member(task, np.asarray(flat), starts, jax.random.key(2), 3)] * 4
    batch = population._chunk(members)
    assert {shard.device for shard in batch.energy.addressable_shards} == set(
        population.devices
    )
    assert {shard.data.shape for shard in batch.energy.addressable_shards} == {(2, 4)}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits(alone):
    assert np.array_equal(meta_gradient(devices=jax.local_devices()[:1]), alone)


CHILD = """
import json, sys
import jax
address, process = sys.argv[1], int(sys.argv[2])
jax.distributed.initialize(address, num_processes=2, process_id=process)
import numpy as np
from ase_l2h.training import config, tasks, trainer
from ase_l2h.targets import named_target
settings = config.TrainingConfig(**json.loads(sys.argv[3]))
task = lambda name: tasks.Task(named_target(name), reference=-9.0, best=-12.7)
runner = trainer.Trainer(settings, {name: task(name) for name in settings.tasks})
mine = []
whole = runner.population._on_this_process
runner.population._on_this_process = lambda m: (mine.append(len(m)), whole(m))[1]
gradient = runner.estimate(runner.initial)[0]
np.save(f"{sys.argv[4]}/gradient{process}.npy", gradient)
print(json.dumps({"members": mine, "processes": jax.process_count()}))
"""


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def run_two(command) -> list[str]:
    """Standard outputs of two processes that run at the same time."""
    processes = [
        subprocess.Popen(
            command(p),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )
        for p in range(2)
    ]
    outputs = []
    for process in processes:
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-3000:]
        outputs.append(output)
    return outputs


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_command_runs_on_two_processes(tmp_path):
    """One folder, written by the first; the same record as that of one process."""
    path = tmp_path / "c.toml"
    path.write_text(
        'tasks = ["LJ5"]\narchitecture = "equivariant"\nupdates = 2\nhorizon = 10\n'
        "quench_steps = 3\ndirections = 2\nstarts = 4\n"
    )
    address = free_address()
    program = "from ase_l2h.cli.main import cli; cli()"
    base = [sys.executable, "-c", program, "train", str(path), "--quiet", "--out"]
    outputs = run_two(
        lambda p: [
            *base,
            str(tmp_path / "two"),
            "--distributed",
            "--coordinator",
            f"{address},2,{p}",
        ]
    )
    # JAX's transport reports the connection on standard output.
    said = [[x for x in o.splitlines() if not x.startswith("[Gloo]")] for o in outputs]
    assert said == [[str(tmp_path / "two" / "weights.safetensors")], []]
    subprocess.run([*base, str(tmp_path / "one")], check=True, capture_output=True)
    records = [
        [
            json.loads(line)
            for line in (tmp_path / name / "progress.jsonl").read_text().splitlines()
        ]
        for name in ("two", "one")
    ]
    assert [line["update"] for line in records[0]] == [1, 2]
    for two, one in zip(*records, strict=True):
        assert two["charged_evaluations"] == one["charged_evaluations"]
        np.testing.assert_allclose(two["loss"], one["loss"], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_give_the_gradient_of_one(alone, tmp_path):
    """Over the loopback address; each unrolls about half of the members."""
    address, entries = free_address(), json.dumps(CONFIG.todict())
    outputs = run_two(
        lambda p: [sys.executable, "-c", CHILD, address, str(p), entries, str(tmp_path)]
    )
    reports = [json.loads(output.splitlines()[-1]) for output in outputs]
    assert [report["processes"] for report in reports] == [2, 2]
    # Two bases and five directions with two arms.
    assert [report["members"][0] for report in reports] == [6, 6]
    for p in range(2):
        assert_close(np.load(tmp_path / f"gradient{p}.npy"), alone)
