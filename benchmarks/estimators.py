"""ES, ESMC and GA under one budget: the paper's Fig. 3, on LJ13.

    python -m benchmarks.estimators [--architecture equivariant] [--seeds 1,2,3]

Every run unrolls the same number of structures for the same number of steps in every
update: 12 directions in both senses, or 24 mutants, and the weights themselves. A line
per update goes to ``benchmarks/records/estimators.jsonl``; runs that are in the file
are not run again. ``python -m benchmarks.render`` draws it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ase_l2h.targets import named_target
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.tasks import make_task
from ase_l2h.training.trainer import Trainer
from benchmarks.machine import machine_class, versions

RECORDS = Path(__file__).parent / "records" / "estimators.jsonl"
ESTIMATORS = ("es", "esmc", "ga")
# What the architectures need to make the jump at all, found with other seeds.
RECIPES: dict[str, dict[str, Any]] = {
    "equivariant": {"horizon": 300, "updates": 60},
    "coordinatewise": {"horizon": 1000, "updates": 100, "backend": "native"},
}


def configuration(architecture: str, estimator: str, seed: int) -> TrainingConfig:
    """One run of the comparison."""
    mutants: dict[str, Any] = {"directions": 12}
    if estimator == "ga":
        mutants = {"directions": 24, "deal": False}
    return TrainingConfig(
        tasks=("LJ13",),
        estimator=estimator,
        architecture=architecture,
        seed=seed,
        starts=32,
        learning_rate=0.02,
        quench_steps=100,
        **RECIPES[architecture] | mutants,
    )


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="equivariant", choices=RECIPES)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--estimators", default=",".join(ESTIMATORS))
    arguments = parser.parse_args()
    RECORDS.parent.mkdir(exist_ok=True)
    known = RECORDS.read_text().splitlines() if RECORDS.exists() else []
    done = {
        (line["architecture"], line["estimator"], line["seed"])
        for line in map(json.loads, known)
    }
    task = make_task(named_target("LJ13"))
    for seed in map(int, arguments.seeds.split(",")):
        for estimator in arguments.estimators.split(","):
            if (arguments.architecture, estimator, seed) in done:
                continue
            config = configuration(arguments.architecture, estimator, seed)
            trainer = Trainer(config, {"LJ13": task})
            state, lines = trainer.initial, []
            for _ in tqdm(range(config.updates), desc=f"{estimator} seed {seed}"):
                state, line = trainer.update(state)
                kept = ("update", "loss", "charged_evaluations")
                lines.append(
                    {k: line[k] for k in kept} | {"hits": line["hits"]["LJ13"]}
                )
            record = {
                "architecture": config.architecture,
                "estimator": estimator,
                "seed": seed,
                "config": config.todict(),
                "reference": task.reference,
                "updates": lines,
                "machine": machine_class(),
                "versions": versions(),
            }
            with RECORDS.open("a") as stream:
                stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
