"""Trainings that tables and figures are made of: one configuration, one line."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from ase_l2h._internal.checkpoint import PROGRESS
from ase_l2h._internal.records import Records
from ase_l2h.report.figures import read_record
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.train import train

__all__ = ["TRAININGS", "train_once", "training_folder"]

# Folder of the weights and checkpoints, beside the records.
TRAININGS = "trainings"


def training_folder(folder: Path, config: TrainingConfig) -> Path:
    """Where a training keeps its weights: a name that belongs to its configuration."""
    text = json.dumps(config.todict(), sort_keys=True)
    name = "-".join((config.architecture, config.estimator, str(config.seed)))
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return folder / TRAININGS / f"{name}-{digest}"


def train_once(
    folder: Path, records: Records, config: TrainingConfig
) -> dict[str, Any]:
    """The line of a training; it is run, or continued, if the record lacks it.

    ``updates`` holds update, meta-loss, hits and charged evaluations; the weights stay
    in :func:`training_folder`.
    """
    key = {"kind": "training", "config": json.loads(json.dumps(config.todict()))}
    place = training_folder(folder, config)

    def make() -> dict[str, Any]:
        begun = time.monotonic()
        weights = train(config, place, resume=True, quiet=True)
        kept = ("update", "loss", "charged_evaluations", "hits")
        lines = read_record(place / PROGRESS)
        return {
            "updates": [{name: line[name] for name in kept} for line in lines],
            "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            # Of the last part of a training that was interrupted.
            "wall_seconds": round(time.monotonic() - begun, 3),
        }

    return records.get(key, make)
