"""Table 3: what the groups of inputs are worth to the paper's rule."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import Records
from ase_l2h.report.pages import markdown_table
from ase_l2h.reproduce.learn2hop.paper import paper_numbers
from ase_l2h.reproduce.learn2hop.searches import (
    METHOD_STYLES,
    MethodStyle,
    SearchOutcome,
    SearchSpec,
    run_searches,
    search_line,
)
from ase_l2h.reproduce.learn2hop.trainings import train_once, training_folder
from ase_l2h.reproduce.output import RECORDS, Piece, collect, write_result
from ase_l2h.reproduce.registry import Progress
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
    "part": Budget("LJ75", GROUPS, ("esmc", "ga"), 5, 20, 300, 12, 8, 64),
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


def reproduce(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """``table3`` of :mod:`ase_l2h.reproduce.registry`."""
    size = BUDGETS[budget]
    records = Records(folder / RECORDS)
    target = named_target(size.target)
    spec = SearchSpec(target, METHOD_STYLES["adam"], size.horizon, size.evaluated, seed)
    (adam,) = run_searches(records, [spec], lambda *_: None)

    def make(config: TrainingConfig, upto: str) -> dict[str, Any]:
        train_once(folder, records, config)
        weights = str(training_folder(folder, config) / "weights.safetensors")
        trained = MethodStyle(upto, "learned", weights, "black", "o")
        return search_line(spec._replace(style=trained)) | {"kind": "ablation"}

    pieces: dict[tuple[str, str, int], Piece] = {}
    for name in itertools.product(size.upto, size.estimators, range(size.trainings)):
        upto, estimator, k = name
        config = configuration(size, estimator, upto, seed + 1 + k)
        key = {
            "kind": "ablation",
            "config": json.loads(json.dumps(config.todict())),
            "evaluated": size.evaluated,
            "evaluation_seed": seed,
        }
        what = f"{upto} {estimator} {k + 1}"
        pieces[name] = Piece(key, functools.partial(make, config, upto), what)
    lines = collect(records, list(pieces.values()), progress)
    outcomes: dict[tuple[str, str], list[SearchOutcome]] = {}
    for (upto, estimator, _), line in zip(pieces, lines, strict=True):
        outcomes.setdefault((upto, estimator), []).append(SearchOutcome(line))
    text = _table(size, adam, outcomes)
    rows = _rows(size, adam, outcomes)
    title = "Table 3: what the inputs of the paper's rule are worth"
    left_out = _left_out(budget, size, seed)
    return write_result(folder, "table3", title, text, rows, {}, left_out)


Outcomes = Mapping[tuple[str, str], Sequence[SearchOutcome]]


def _published(upto: str) -> dict[str, float]:
    """The paper's numbers with the inputs up to a group, by estimator."""
    numbers = paper_numbers()["table3"]
    return {name: numbers[name][GROUPS.index(upto)] for name in ("ESMC", "GA")}


def _table(size: Budget, adam: SearchOutcome, outcomes: Outcomes) -> str:
    """Medians of the trainings, less Adam's energies, beside the paper's."""
    rows = []
    for (upto, estimator), trained in outcomes.items():
        lowest = [one.lowest - adam.lowest for one in trained]
        mean = [one.mean - adam.mean for one in trained]
        published, number = _published(upto), GROUPS.index(upto) + 1
        rows.append(
            [
                f"({number}) up to {upto.replace('_', '-')}, {estimator.upper()}",
                f"{np.median(lowest):+.3f}",
                f"{np.median(mean):+.3f}",
                f"{min(mean):+.3f} ... {max(mean):+.3f}",
                ", ".join(str(one.hits or 0) for one in trained),
                f"{published['ESMC']:+.1f}",
                f"{published['GA']:+.1f}",
            ]
        )
    header = [
        "inputs",
        "lowest - Adam's",
        "mean - Adam's",
        "range of the mean",
        f"hits of {size.evaluated}",
        "paper, ESMC (LJ75)",
        "paper, GA (LJ75)",
    ]
    return markdown_table(header, rows) + (
        f"\n\nMedians of {size.trainings} trainings on {size.target}, energies in "
        f"epsilon. Adam with as many steps: lowest {adam.lowest:.3f}, mean "
        f"{adam.mean:.3f}, {adam.hits} hits; the paper's columns are lowest energies "
        "on LJ75."
    )


def _rows(
    size: Budget, adam: SearchOutcome, outcomes: Outcomes
) -> list[dict[str, Any]]:
    """Of the CSV file: one per training."""
    rows = []
    for (upto, estimator), trained in outcomes.items():
        published = _published(upto)
        rows += [
            {
                "inputs_up_to": upto,
                "estimator": estimator.upper(),
                "training": k,
                "lowest_minus_adam": one.lowest - adam.lowest,
                "mean_minus_adam": one.mean - adam.mean,
                "hits": one.hits or 0,
                "starts": size.evaluated,
                "paper_ESMC": published["ESMC"],
                "paper_GA": published["GA"],
            }
            for k, one in enumerate(trained)
        ]
    return rows


def _left_out(budget: str, size: Budget, seed: int) -> str:
    return (
        f"Budget '{budget}': {size.target} (the paper: LJ75), {len(size.upto)} of 8 "
        f"sets of inputs, {' and '.join(e.upper() for e in size.estimators)} (the "
        f"paper: ESMC and GA), {size.trainings} trainings (10), {size.updates} "
        f"updates (650) of {size.directions} directions and {size.starts} start(s), "
        f"horizon {size.horizon:,} (50,000), {size.evaluated} fresh starts (150), "
        f"seed {seed}. With one element the species inputs carry no information."
    )
