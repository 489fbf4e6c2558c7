"""The outer loop: perturb, unroll, estimate, step; recorded and resumable.

Everything random follows from the seed and the number of the update, so a run that was
killed continues to the same bits on the same kind of device.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from tqdm import tqdm

from ase_l2h._files import write_atomically
from ase_l2h._pytree import replace
from ase_l2h.optimizers.learned import RULES
from ase_l2h.training.checkpoint import load_checkpoint, save_checkpoint
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.es import ES, ESMC
from ase_l2h.training.objective import QUENCHES, capped_energy, jit_unroll, with_horizon
from ase_l2h.training.tasks import Task, make_task
from ase_l2h.weights import load_weights, save_weights

__all__ = ["TrainingState", "train"]

ESTIMATORS: dict[str, Callable[[float], ES]] = {"es": ES, "esmc": ESMC}
CHECKPOINT_SECONDS = 60.0


class TrainingState(NamedTuple):
    """What a checkpoint holds."""

    update: np.ndarray
    theta: Any
    outer: Any
    charged: np.ndarray
    best: np.ndarray


def initial_rule(config: TrainingConfig) -> Any:
    """The rule a configuration starts from, untrained or from a weight file.

    Raises
    ------
    ValueError
        For an unknown architecture or feature, and for a weight file of another one.
    """
    if config.architecture not in RULES:
        raise ValueError(
            f"no architecture named '{config.architecture}'; choose one of "
            f"{', '.join(RULES)}"
        )
    architecture = RULES[config.architecture]
    known = [f.name for f in fields(architecture.features_type)]
    if unknown := sorted(set(config.features) - set(known)):
        raise ValueError(
            f"{config.architecture} has no features named {', '.join(unknown)}; known "
            f"are {', '.join(known)}"
        )
    features = architecture.features_type(**config.features)
    if config.initial is not None:
        rule = load_weights(config.initial).rule
        if type(rule) is not architecture:
            raise ValueError(
                f"{config.initial} holds weights of another architecture; set "
                "architecture as it is there"
            )
        if rule.features == features:
            return rule
        try:
            return rule.with_features(features)
        except (AttributeError, ValueError) as error:
            raise ValueError(
                f"{config.initial} holds weights with other features ({error}); set "
                "features as they are there"
            ) from error
    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    return architecture.create(key, features)


class Trainer:
    """One meta-training: builds tasks and optimizer, and takes updates."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.key = jax.random.key(config.seed)
        self.rule = with_horizon(initial_rule(config), config.horizon)
        flat, self.unravel = ravel_pytree(self.rule.theta)
        self.estimator = ESTIMATORS[config.estimator](config.sigma)
        schedule = optax.exponential_decay(
            config.learning_rate, config.decay_every, config.decay, staircase=True
        )
        self.outer = optax.adam(schedule)
        names = list(dict.fromkeys(config.tasks))
        keys = jax.random.split(jax.random.fold_in(self.key, 1), len(names))
        self.tasks: dict[str, Task] = {
            name: make_task(name, key) for name, key in zip(names, keys, strict=True)
        }
        self.initial = TrainingState(
            np.zeros((), np.int64),
            np.asarray(flat),
            jax.tree.map(np.asarray, self.outer.init(flat)),
            np.zeros((), np.int64),
            np.array([task.best for task in self.tasks.values()]),
        )
        self.workers = os.cpu_count() or 1

    def _energies(self, job: tuple[str, np.ndarray, Any, Any]) -> tuple[Any, int]:
        name, theta, starts, key = job
        task = self.tasks[name]
        rule = replace(self.rule, theta=self.unravel(jnp.asarray(theta)))
        result = jit_unroll(
            rule,
            task.target.potential,
            task.target.system,
            starts,
            key,
            self.config.horizon,
            self.config.quench_steps,
            QUENCHES[self.config.quench],
        )
        energy = np.asarray(capped_energy(result.energy), np.float64)
        return energy, int(np.sum(np.asarray(result.evaluations)))

    def update(
        self, state: TrainingState, pool: ThreadPoolExecutor
    ) -> tuple[TrainingState, dict[str, Any]]:
        """One meta-gradient and one Adam step."""
        config, number = self.config, int(state.update)
        key = jax.random.fold_in(self.key, 2 + number)
        noise_key, start_key, unroll_key = jax.random.split(key, 3)
        shape = (config.directions, len(state.theta))
        noise = np.asarray(jax.random.normal(noise_key, shape))
        # Directions go to the tasks in turn, and the turn moves on with the update.
        turn = number * config.directions
        names = [
            config.tasks[(turn + d) % len(config.tasks)]
            for d in range(config.directions)
        ]
        starts, keys = {}, {}
        for name in dict.fromkeys(names):
            index = list(self.tasks).index(name)
            starts[name] = self.tasks[name].starts(
                jax.random.fold_in(start_key, index), config.starts, config.rotate
            )
            keys[name] = jax.random.fold_in(unroll_key, index)
        step = self.estimator.sigma * noise
        jobs = [(name, state.theta, starts[name], keys[name]) for name in starts]
        for sign in (1.0, -1.0):
            jobs += [
                (name, state.theta + sign * step[d], starts[name], keys[name])
                for d, name in enumerate(names)
            ]
        # Longest first, so that no worker waits for a large cluster at the end.
        order = sorted(
            range(len(jobs)), key=lambda i: -self.tasks[jobs[i][0]].target.n_atoms
        )
        results: list[Any] = [None] * len(jobs)
        computed = pool.map(lambda i: self._energies(jobs[i]), order)
        for i, result in zip(order, computed, strict=True):
            results[i] = result

        base_of = {
            name: result[0] for name, result in zip(starts, results, strict=False)
        }
        arms = [result[0] for result in results[len(starts) :]]
        plus, minus = arms[: config.directions], arms[config.directions :]
        best = dict(zip(self.tasks, state.best.tolist(), strict=True))
        for name, *energies in zip(names, plus, minus, strict=True):
            lowest = min(float(e.min()) for e in (*energies, base_of[name]))
            best[name] = min(best[name], lowest)
        losses = []
        for d, name in enumerate(names):
            mine = [e for e in range(config.directions) if names[e] == name]
            pooled = [(plus[e], minus[e]) for e in mine]
            losses.append(
                task_losses(
                    self.tasks[name],
                    best[name],
                    (base_of[name], plus[d], minus[d]),
                    pooled,
                    config,
                )
            )
        base, above, below = (np.stack(arm) for arm in zip(*losses, strict=True))
        gradient = self.estimator.gradient(noise, base, above, below)
        gradient = jnp.asarray(gradient, jnp.float32)
        # optax raises floats to integer powers, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            change, outer = self.outer.update(
                gradient, jax.tree.map(jnp.asarray, state.outer)
            )
        theta = np.asarray(optax.apply_updates(jnp.asarray(state.theta), change))
        charged = sum(result[1] for result in results)
        relative = {
            name: energy / abs(self.tasks[name].reference)
            for name, energy in base_of.items()
        }
        record = {
            "update": number + 1,
            "loss": float(np.mean([loss.mean() for loss in relative.values()])),
            "hits": {
                name: round(float(self.tasks[name].hits(energy, best[name]).mean()), 4)
                for name, energy in base_of.items()
            },
            "lowest": {name: float(energy.min()) for name, energy in base_of.items()},
            "gradient_norm": float(jnp.linalg.norm(gradient)),
            "charged_evaluations": int(state.charged) + charged,
        }
        following = TrainingState(
            np.asarray(number + 1),
            theta,
            jax.tree.map(np.asarray, outer),
            state.charged + charged,
            np.array(list(best.values())),
        )
        return following, record


def task_losses(
    task: Task,
    best: float,
    arms: tuple[np.ndarray, np.ndarray, np.ndarray],
    pooled: list[tuple[np.ndarray, np.ndarray]],
    config: TrainingConfig,
) -> tuple[np.ndarray, ...]:
    """Losses of theta and of the two arms of one direction, in the task's unit.

    ``arms`` are capped energies ``(starts,)`` of the base and of the arms; ``pooled``
    the arms of every direction of this task, from which the spread is taken, clipped
    at the base like the losses themselves: an exploded arm must not set the scale.
    """
    if config.normalise == "adam":
        return tuple(energy / abs(task.reference) for energy in arms)
    base = arms[0]
    clipped = [np.minimum(base, energy) for pair in pooled for energy in pair]
    spread = float(np.std(np.concatenate([base, *clipped])))
    spread = max(spread, 1e-3 * task.energy_scale)
    return tuple(
        energy / spread - config.hit_bonus * task.hits(energy, best) for energy in arms
    )


def train(
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool = False,
    quiet: bool = False,
) -> Path:
    """Meta-train a rule; returns the path of its weight file.

    ``folder`` receives ``config.json``, ``record.jsonl`` (a line per update),
    ``checkpoint.safetensors`` (about every minute, and at the end or Ctrl-C) and
    ``weights.safetensors``.

    Raises
    ------
    FileExistsError
        When the folder holds a run and ``resume`` is False.
    ValueError
        When the checkpoint there belongs to another configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.safetensors"
    record = folder / "record.jsonl"
    if checkpoint.exists() and not resume:
        raise FileExistsError(
            f"{folder} already holds a training run; add --resume to continue it, or "
            "choose another folder"
        )
    trainer = Trainer(config)
    state = trainer.initial
    if checkpoint.exists():
        state, stored = load_checkpoint(checkpoint, state)
        _check_same(stored["config"], config, checkpoint)
    text = json.dumps(config.todict(), indent=2) + "\n"
    write_atomically(folder / "config.json", text.encode())
    _truncate_record(record, int(state.update))

    def save() -> None:
        save_checkpoint(checkpoint, state, {"config": config.todict()})

    started = saved = time.monotonic()
    bar = tqdm(
        total=config.updates,
        initial=int(state.update),
        desc="train",
        unit="update",
        disable=quiet or None,
    )
    with bar, ThreadPoolExecutor(trainer.workers) as pool, record.open("a") as stream:
        try:
            while int(state.update) < config.updates:
                following, line = trainer.update(state, pool)
                line["seconds"] = round(time.monotonic() - started, 2)
                stream.write(json.dumps(line) + "\n")
                stream.flush()
                # After its line: Ctrl-C in between must not leave a gap in the record.
                state = following
                hits = " ".join(f"{k}={v:.2f}" for k, v in line["hits"].items())
                bar.set_postfix_str(f"loss {line['loss']:.4f} hits {hits}")
                bar.update(1)
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    save()
                    saved = time.monotonic()
        finally:
            save()
    weights = folder / "weights.safetensors"
    rule = replace(trainer.rule, theta=trainer.unravel(jnp.asarray(state.theta)))
    save_weights(
        weights,
        rule,
        {
            "horizon": config.horizon,
            "tasks": list(dict.fromkeys(config.tasks)),
            "training": config.todict(),
            "updates": int(state.update),
            "charged_evaluations": int(state.charged),
        },
    )
    return weights


def _check_same(stored: dict[str, Any], config: TrainingConfig, path: Path) -> None:
    """A checkpoint may be trained for longer, but not as something else."""
    wanted = json.loads(json.dumps(config.todict()))
    changed = sorted(
        name
        for name in wanted
        if name != "updates" and stored.get(name) != wanted[name]
    )
    if changed:
        raise ValueError(
            f"{path} was made with another {', '.join(changed)}; restore the "
            "configuration or start in another folder"
        )


def _truncate_record(path: Path, updates: int) -> None:
    """Drop the lines that a killed run wrote after its last checkpoint."""
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)[:updates]
        write_atomically(path, b"".join(lines))
