"""The outer loop: updates, recorded and resumable.

Everything random follows from the seed and the number of the update, so a run that was
killed continues to the same bits on the same kind of device.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from ase_l2h._internal.checkpoint import (
    Checkpoint,
    arrays_of_tree,
    fingerprint,
    load_jointly,
    tree_of_arrays,
)
from ase_l2h._internal.files import write_atomically
from ase_l2h._internal.processes import is_first_process, joint
from ase_l2h._internal.progress import progress_bar
from ase_l2h._internal.stopping import Stop
from ase_l2h.errors import InputError
from ase_l2h.targets import Target, named_target
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.drawn import Drawn, drawn_targets
from ase_l2h.training.objective import LOOPS
from ase_l2h.training.pools import make_pool
from ase_l2h.training.tasks import Task, make_task
from ase_l2h.training.trainer import Trainer, TrainingState, initial_rule
from ase_l2h.weights.load import save_weights

__all__ = ["make_tasks", "train"]

CHECKPOINT_SECONDS = 60.0
WEIGHTS = "weights.safetensors"


def make_tasks(
    config: TrainingConfig,
    references: Mapping[str, float] | None = None,
    targets: Mapping[str, Target] | None = None,
) -> dict[str, Task]:
    """The tasks of a configuration, with Adam's best of each where it is not known yet.

    Raises
    ------
    InputError
        For a name that is no target, and a target of which Adam finds nothing bound.
    """
    known, own = dict(references or {}), dict(targets or {})
    for name, target in own.items():
        if target.name != name:
            raise InputError(
                f"the target given as '{name}' has the name '{target.name}'; use the "
                "same name"
            )
    chosen = {name: own.get(name) or named_target(name) for name in config.tasks}
    if config.drawn:
        chosen |= drawn_targets(Drawn.of(config.drawn), config.seed)
    if not config.pool:
        return {name: make_task(chosen[name], known.get(name)) for name in chosen}
    tasks = {}
    rule, loop = initial_rule(config), LOOPS[config.backend]
    keys = jax.random.split(
        jax.random.fold_in(jax.random.key(config.seed), 1), len(chosen)
    )
    for name, key in zip(chosen, keys, strict=True):
        pool = make_pool(chosen[name], rule, config.pool, key, loop)
        tasks[name] = make_task(chosen[name], pool=pool)
    return tasks


def train(
    config: TrainingConfig,
    folder: Path,
    *,
    targets: Mapping[str, Target] | None = None,
    resume: bool = False,
    quiet: bool = False,
    stop: Stop | None = None,
) -> Path:
    """Meta-train a rule and return the path of its weight file.

    ``folder`` receives ``config.json``, ``progress.jsonl`` (a line per update), and
    ``state.safetensors`` and ``weights.safetensors`` (about every minute, and at the
    end or Ctrl-C). Under ``jax.distributed`` every process calls this with the same
    arguments; the first one reads and writes the folder.

    Parameters
    ----------
    config
        What to do.
    folder
        Where to write; made if need be.
    targets
        Targets of your own, with any JAX potential, by the names used in
        ``config.tasks``.
    resume
        Continue the run in ``folder``.
    quiet
        No progress bar.
    stop
        Looked at before every update; when its time is over, the weights are those of
        the updates until then.

    Raises
    ------
    InputError
        When the folder holds a run and ``resume`` is False, or a run of another
        configuration, and for targets and backends that cannot be trained on.
    CheckpointError
        When the folder can no longer be written.
    KeyboardInterrupt
        When ``stop`` is requested, in one of the processes.
    """
    checkpoint = Checkpoint(folder, _identity(config, targets or {}))
    stored = load_jointly(checkpoint)
    if stored is not None and not resume:
        raise InputError(
            f"{folder} already holds a training run; add --resume to continue it, or "
            "choose another folder"
        )
    arrays, metadata = stored or ({}, {})
    tasks = make_tasks(config, metadata.get("references"), targets)
    trainer = Trainer(config, tasks)
    state = trainer.initial
    if stored is not None:
        state = tree_of_arrays(state, arrays)
    run = _Run(config, checkpoint, trainer, state)
    joint(run.begin)
    with progress_bar(
        "train",
        config.updates,
        "update",
        is_first_process() and not quiet,
        done=int(state.update),
    ) as bar:
        try:
            while int(run.state.update) < config.updates:
                _, reasons = joint(lambda: run.pause(stop or Stop()), str.encode)
                if b"interrupted" in reasons:
                    raise KeyboardInterrupt
                if any(reasons):
                    break
                line = run.update()
                hits = " ".join(f"{k}={v:.2f}" for k, v in line["hits"].items())
                bar.set_postfix_str(f"loss {line['loss']:.4f} hits {hits}")
                bar.update(1)
        finally:
            run.save()
    return folder / WEIGHTS


class _Run:
    """A running training, and the files that the first process writes."""

    def __init__(
        self,
        config: TrainingConfig,
        checkpoint: Checkpoint,
        trainer: Trainer,
        state: TrainingState,
    ) -> None:
        self.config, self.checkpoint, self.trainer = config, checkpoint, trainer
        self.state = state
        self.started = self.saved = time.monotonic()

    def begin(self) -> None:
        """Make the folder and store the tasks' references, which were expensive."""
        if not is_first_process():
            return
        self.checkpoint.claim()
        text = json.dumps(self.config.todict(), indent=2) + "\n"
        with self.checkpoint.writing():
            write_atomically(self.checkpoint.folder / "config.json", text.encode())
        self._keep()

    def pause(self, stop: Stop) -> str:
        """Save from time to time; returns why to end, or nothing."""
        if time.monotonic() - self.saved > CHECKPOINT_SECONDS:
            self.save()
        return stop.reason or ""

    def update(self) -> dict[str, Any]:
        """One update and its line in the progress."""
        following, line = self.trainer.update(self.state)
        line["seconds"] = round(time.monotonic() - self.started, 2)
        if is_first_process():
            self.checkpoint.append(line)
        # Set after its line is written, so that Ctrl-C in between leaves no gap.
        self.state = following
        return line

    def save(self) -> None:
        """Weights and state."""
        if is_first_process():
            # Weights first, so that a state at the last update implies complete
            # weights.
            with self.checkpoint.writing():
                save_weights(
                    self.checkpoint.folder / WEIGHTS,
                    self.trainer.trained(self.state),
                    _metadata(self.config, self.state),
                )
            self._keep()
        self.saved = time.monotonic()

    def _keep(self) -> None:
        tasks = self.trainer.tasks
        references = {name: task.reference for name, task in tasks.items()}
        self.checkpoint.save(
            arrays_of_tree(self.state),
            {"references": references},
            lines=int(self.state.update),
        )


def _identity(config: TrainingConfig, targets: Mapping[str, Target]) -> dict[str, Any]:
    """The settings that must not change; the number of updates may."""
    entries = config.todict()
    del entries["updates"]
    own = {
        name: [
            type(target.potential).__name__,
            fingerprint((target.potential, target.system)),
        ]
        for name, target in targets.items()
        if name in config.tasks
    }
    return {"run": "training", **entries, "targets": own}


def _metadata(config: TrainingConfig, state: TrainingState) -> dict[str, Any]:
    return {
        "horizon": config.horizon,
        "tasks": list(dict.fromkeys(config.tasks)),
        "training": config.todict(),
        "updates": int(state.update),
        "charged_evaluations": int(state.charged),
    }
