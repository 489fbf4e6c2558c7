"""Table 3: what the groups of inputs are worth to the paper's rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import Records, markdown_table
from ase_l2h.reproduce.learn2hop.pages import RECORDS, write_exhibit
from ase_l2h.reproduce.learn2hop.paper import paper_numbers
from ase_l2h.reproduce.learn2hop.searches import (
    LINEUP,
    Entry,
    Found,
    Job,
    run_jobs,
    searched,
)
from ase_l2h.reproduce.learn2hop.trainings import train_once, training_folder
from ase_l2h.targets import named_target
from ase_l2h.training.config import TrainingConfig

__all__ = ["BUDGETS", "GROUPS", "Budget", "configuration", "reproduce"]

# In the order in which the paper adds them.
GROUPS = (
    "gradients",
    "positions",
    "decays",
    "adam_like",
    "singular",
    "species",
    "step",
    "radial",
)


class Budget(NamedTuple):
    """Target, sets of inputs by their last group, trainings, schedule, fresh starts."""

    target: str
    upto: tuple[str, ...]
    estimators: tuple[str, ...]
    trainings: int
    updates: int
    horizon: int
    directions: int
    starts: int
    evaluated: int


BUDGETS = {
    "quick": Budget(
        "LJ13",
        ("gradients", "decays", "step", "radial"),
        ("ga",),
        3,
        20,
        300,
        12,
        16,
        64,
    ),
    "paper": Budget("LJ75", GROUPS, ("esmc", "ga"), 10, 650, 50_000, 80, 1, 150),
}


def configuration(size: Budget, estimator: str, upto: str, seed: int) -> TrainingConfig:
    """A training with the groups of inputs up to ``upto``."""
    last = GROUPS.index(upto)
    ga = estimator == "ga"
    return TrainingConfig(
        tasks=(size.target,),
        estimator=estimator,
        architecture="coordinatewise",
        features={group: k <= last for k, group in enumerate(GROUPS)},
        seed=seed,
        updates=size.updates,
        horizon=size.horizon,
        quench_steps=100,
        directions=size.directions,
        deal=not ga,
        starts=size.starts,
        learning_rate=0.02,
    )


def reproduce(
    folder: Path, budget: str, seed: int, progress: Callable[[int, int, str], Any]
) -> str:
    """The exhibit ``table3``, see :mod:`ase_l2h.reproduce.registry`."""
    size = BUDGETS[budget]
    records = Records(folder / RECORDS)
    aim = named_target(size.target)
    plan = [
        (upto, estimator, k)
        for upto in size.upto
        for estimator in size.estimators
        for k in range(size.trainings)
    ]
    steps = size.horizon
    silent = lambda *_: None
    (adam,) = run_jobs(
        records, [Job(aim, LINEUP["adam"], steps, size.evaluated, seed)], silent
    )
    found: dict[tuple[str, str], list[Found]] = {}
    for number, (upto, estimator, k) in enumerate(plan):
        progress(number, len(plan), f"{upto} {estimator} {k + 1}")
        config = configuration(size, estimator, upto, seed + 1 + k)
        key = {
            "kind": "ablation",
            "config": json.loads(json.dumps(config.todict())),
            "evaluated": size.evaluated,
            "evaluation_seed": seed,
        }

        def make(config: TrainingConfig = config, upto: str = upto) -> dict[str, Any]:
            train_once(folder, records, config)
            weights = str(training_folder(folder, config) / "weights.safetensors")
            entry = Entry(upto, "learned", weights, "black", "o")
            job = Job(aim, entry, steps, size.evaluated, seed)
            return searched(job) | {"kind": "ablation"}

        one = Found(records.get(key, make))
        found.setdefault((upto, estimator), []).append(one)
    progress(len(plan), len(plan), "")
    return _write(folder, budget, seed, adam, found)


def _write(
    folder: Path,
    budget: str,
    seed: int,
    adam: Found,
    found: dict[tuple[str, str], list[Found]],
) -> str:
    size, numbers = BUDGETS[budget], paper_numbers()["table3"]
    rows, lines = [], []
    for (upto, estimator), mine in found.items():
        lowest = [one.lowest - adam.lowest for one in mine]
        mean = [one.mean - adam.mean for one in mine]
        hits = [one.hits or 0 for one in mine]
        name = "GA" if estimator == "ga" else "ESMC"
        of_paper = {k: numbers[k][GROUPS.index(upto)] for k in ("ESMC", "GA")}
        number = GROUPS.index(upto) + 1
        lines.append(
            [
                f"({number}) up to {upto.replace('_', '-')}, {name}",
                f"{np.median(lowest):+.3f}",
                f"{np.median(mean):+.3f}",
                f"{min(mean):+.3f} ... {max(mean):+.3f}",
                ", ".join(map(str, hits)),
                f"{of_paper['ESMC']:+.1f}",
                f"{of_paper['GA']:+.1f}",
            ]
        )
        rows += [
            {
                "inputs_up_to": upto,
                "estimator": name,
                "training": k,
                "lowest_minus_adam": lowest[k],
                "mean_minus_adam": mean[k],
                "hits": hits[k],
                "starts": size.evaluated,
                "paper_ESMC": of_paper["ESMC"],
                "paper_GA": of_paper["GA"],
            }
            for k in range(len(mine))
        ]
    header = [
        "inputs",
        "lowest - Adam's",
        "mean - Adam's",
        "range of the mean",
        f"hits of {size.evaluated}",
        "paper, ESMC (LJ75)",
        "paper, GA (LJ75)",
    ]
    text = markdown_table(header, lines) + (
        f"\n\nMedians of {size.trainings} trainings on {size.target}, energies in "
        f"epsilon. Adam with as many steps: lowest {adam.lowest:.3f}, mean "
        f"{adam.mean:.3f}, {adam.hits} hits; the paper's columns are lowest energies "
        "on LJ75."
    )
    left_out = (
        f"Budget '{budget}': {size.target} (the paper: LJ75), {len(size.upto)} of 8 "
        f"sets of inputs, {' and '.join(e.upper() for e in size.estimators)} "
        f"(the paper: ESMC and GA), {size.trainings} trainings (10), "
        f"{size.updates} updates (650) of {size.directions} directions and "
        f"{size.starts} start(s), horizon {size.horizon:,} (50,000), "
        f"{size.evaluated} fresh starts (150), seed {seed}. "
        "With one element the species say nothing."
    )
    title = "Table 3: what the inputs of the paper's rule are worth"
    return write_exhibit(folder, "table3", title, text, rows, {}, left_out)
