"""The outer loop: updates, recorded and resumable.

Everything random follows from the seed and the number of the update, so a run that was
killed continues to the same bits on the same kind of device.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from tqdm import tqdm

from ase_l2h._internal.files import write_atomically
from ase_l2h.errors import InputError
from ase_l2h.targets import Target, named_target
from ase_l2h.training.checkpoint import load_checkpoint, save_checkpoint
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.tasks import Task, make_task
from ase_l2h.training.trainer import Trainer, TrainingState
from ase_l2h.weights.load import save_weights

__all__ = ["make_tasks", "train"]

CHECKPOINT_SECONDS = 60.0
REFERENCES = "references.json"


def make_tasks(
    config: TrainingConfig, folder: Path, targets: Mapping[str, Target] | None = None
) -> dict[str, Task]:
    """The tasks of a configuration, with Adam's best of each.

    That is computed once and kept in ``folder/references.json``.

    Raises
    ------
    InputError
        For a name that is no target, and a target of which Adam finds nothing bound.
    """
    own = dict(targets or {})
    for name, target in own.items():
        if target.name != name:
            raise InputError(
                f"the target called '{name}' is named '{target.name}'; give it one name"
            )
    path = folder / REFERENCES
    known: dict[str, float] = {}
    if path.exists():
        try:
            known = {k: float(v) for k, v in json.loads(path.read_text()).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} is damaged ({error}); delete it, it is computed again"
            ) from error
    tasks = {}
    for name in dict.fromkeys(config.tasks):
        target = own[name] if name in own else named_target(name)
        tasks[name] = make_task(target, known.get(name))
        known[name] = tasks[name].reference
    if is_first_process():
        write_atomically(path, (json.dumps(known, indent=2) + "\n").encode())
    return tasks


def is_first_process() -> bool:
    """Whether this process writes the files; alone it does."""
    return jax.process_index() == 0


def train(
    config: TrainingConfig,
    folder: Path,
    *,
    targets: Mapping[str, Target] | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> Path:
    """Meta-train a rule; returns the path of its weight file.

    ``folder`` receives ``config.json``, ``record.jsonl`` (a line per update), and
    ``checkpoint.safetensors`` and ``weights.safetensors`` (about every minute, and at
    the end or Ctrl-C). Under ``jax.distributed`` every process calls this with the same
    arguments; the folder must be visible to all, and the first one writes it.

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

    Raises
    ------
    FileExistsError
        When the folder holds a run and ``resume`` is False.
    InputError
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
    trainer = Trainer(config, make_tasks(config, folder, targets))
    state = trainer.initial
    if checkpoint.exists():
        state, stored = load_checkpoint(checkpoint, state)
        _check_same(stored["config"], config, checkpoint)
    first = is_first_process()
    if jax.process_count() > 1:
        # Nobody may write before all have read.
        multihost_utils.sync_global_devices("training starts")
    if first:
        text = json.dumps(config.todict(), indent=2) + "\n"
        write_atomically(folder / "config.json", text.encode())
        _truncate_record(record, int(state.update))
    weights = folder / "weights.safetensors"

    def save() -> None:
        if not first:
            return
        # Weights first: a checkpoint at the last update means that all is there.
        save_weights(weights, trainer.trained(state), _metadata(config, state))
        save_checkpoint(checkpoint, state, {"config": config.todict()})

    started = saved = time.monotonic()
    bar = tqdm(
        total=config.updates,
        initial=int(state.update),
        desc="train",
        unit="update",
        disable=True if quiet or not first else None,
    )
    with bar, record.open("a") if first else nullcontext() as stream:
        try:
            while int(state.update) < config.updates:
                following, line = trainer.update(state)
                line["seconds"] = round(time.monotonic() - started, 2)
                if stream is not None:
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
    return weights


def _metadata(config: TrainingConfig, state: TrainingState) -> dict[str, Any]:
    return {
        "horizon": config.horizon,
        "tasks": list(dict.fromkeys(config.tasks)),
        "training": config.todict(),
        "updates": int(state.update),
        "charged_evaluations": int(state.charged),
    }


def _check_same(stored: dict[str, Any], config: TrainingConfig, path: Path) -> None:
    """A checkpoint may be trained for longer, but not as something else."""
    wanted = json.loads(json.dumps(dataclasses.asdict(config)))
    # Entries that the older programme did not know had their defaults.
    default = TrainingConfig(tasks=config.tasks)
    defaults = json.loads(json.dumps(dataclasses.asdict(default)))
    before = {**defaults, **stored}
    changed = sorted(
        name for name in wanted if name != "updates" and before[name] != wanted[name]
    )
    if changed:
        raise InputError(
            f"{path} was made with another {', '.join(changed)}; restore the "
            "configuration or start in another folder"
        )


def _truncate_record(path: Path, updates: int) -> None:
    """Drop the lines that a killed run wrote after its last checkpoint."""
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)[:updates]
        write_atomically(path, b"".join(lines))
