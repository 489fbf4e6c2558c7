"""Fig. 3: ES, ESMC and GA on LJ13, each with the same number of unrolls per update.

The benchmark of estimators (``benchmarks/hits/estimators.py``) is made of the same
trainings, at other sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import Lines, Records
from ase_l2h.report.figures import BLUE, GREY, VERMILLION, new_figure, tidy_axes
from ase_l2h.report.pages import markdown_table
from ase_l2h.report.statistics import running_mean
from ase_l2h.reproduce.learn2hop.trainings import train_once
from ase_l2h.reproduce.output import RECORDS, write_result
from ase_l2h.reproduce.registry import Progress
from ase_l2h.training.config import TrainingConfig

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BUDGETS",
    "ESTIMATORS",
    "Budget",
    "configuration",
    "draw_trainings",
    "half_hit",
    "last_hits",
    "reproduce",
    "run_trainings",
]

TARGET = "LJ13"
ESTIMATORS = ("es", "esmc", "ga")
STYLES = {"es": (GREY, ":"), "esmc": (BLUE, "-"), "ga": (VERMILLION, "--")}
# Updates that a share of hits is the mean of, and those at the end that are told of.
SMOOTH, LAST = 5, 10

Trainings = Mapping[str, Sequence[dict[str, Any]]]


class Budget(NamedTuple):
    """Rule, trainings of each estimator, and their schedule."""

    architecture: str
    trainings: int
    updates: int
    horizon: int
    quench: str
    quench_steps: int
    directions: int
    starts: int
    backend: str = "scan"


BUDGETS = {
    "quick": Budget("equivariant", 1, 40, 300, "fire", 100, 12, 32),
    "part": Budget("equivariant", 3, 150, 300, "fire", 100, 12, 32),
    # As many unrolls per update as in the paper: 80 starts, three sets of weights.
    "paper": Budget("coordinatewise", 3, 900, 50_000, "gd", 500, 12, 8),
}


def configuration(size: Budget, estimator: str, seed: int) -> TrainingConfig:
    """One training; GA has twice the directions, as it takes each in one sense only."""
    ga = estimator == "ga"
    return TrainingConfig(
        tasks=(TARGET,),
        estimator=estimator,
        architecture=size.architecture,
        seed=seed,
        updates=size.updates,
        horizon=size.horizon,
        quench=size.quench,
        quench_steps=size.quench_steps,
        directions=size.directions * (2 if ga else 1),
        deal=not ga,
        starts=size.starts,
        learning_rate=0.02,
        backend=size.backend,
    )


def run_trainings(
    folder: Path, records: Records, size: Budget, seed: int, progress: Progress
) -> dict[str, Lines]:
    """The trainings of every estimator, with seeds from ``seed`` on."""
    plan = [(name, k) for k in range(size.trainings) for name in ESTIMATORS]
    trainings: dict[str, Lines] = {name: [] for name in ESTIMATORS}
    for number, (name, k) in enumerate(plan):
        progress(number, len(plan), f"{name} seed {seed + k}")
        config = configuration(size, name, seed + k)
        trainings[name].append(train_once(folder, records, config))
    progress(len(plan), len(plan), "")
    return trainings


def reproduce(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """``fig3`` of :mod:`ase_l2h.reproduce.registry`."""
    size = BUDGETS[budget]
    records = Records(folder / RECORDS)
    trainings = run_trainings(folder, records, size, seed, progress)
    rows = [
        {"estimator": name, "training": k, **update, "hits": update["hits"][TARGET]}
        for name, lines in trainings.items()
        for k, line in enumerate(lines)
        for update in line["updates"]
    ]
    header = [
        "estimator",
        "trainings",
        "update from which half of the starts hit",
        f"hits, last {LAST} updates",
        f"meta-loss, last {LAST} updates",
    ]
    table = [
        [
            name.upper(),
            len(lines),
            ", ".join(map(half_hit, lines)),
            ", ".join(map(last_hits, lines)),
            ", ".join(f"{_last([u['loss'] for u in x['updates']]):.4f}" for x in lines),
        ]
        for name, lines in trainings.items()
    ]
    left_out = (
        f"Budget '{budget}': {size.trainings} training(s) with each estimator on "
        f"{TARGET} with the {size.architecture} rule, {size.updates} updates (the "
        f"paper: 900), horizon {size.horizon:,} (the paper: 50,000), "
        f"{size.directions} antithetic pairs or {2 * size.directions} mutants, "
        f"{size.starts} shared starts, seed {seed}."
    )
    title, text = "Fig. 3: ES, ESMC and GA", markdown_table(header, table)
    figures = {"": _figure(trainings)}
    return write_result(folder, "fig3", title, text, rows, figures, left_out)


def hit_rates(training: dict[str, Any]) -> np.ndarray:
    """Share of the starts that hit, for every update."""
    return np.array([update["hits"][TARGET] for update in training["updates"]])


def half_hit(training: dict[str, Any]) -> str:
    """First update at which half of the starts hit, on average over five updates."""
    smooth = running_mean(hit_rates(training), SMOOTH)[SMOOTH - 1 :]
    # Running sums round.
    above = np.flatnonzero(smooth >= 0.5 - 1e-9)
    return str(above[0] + SMOOTH) if above.size else "never"


def last_hits(training: dict[str, Any]) -> str:
    """Share of hits in the last updates, in per cent."""
    return f"{100 * _last(hit_rates(training)):.0f} %"


def _last(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values[-LAST:]))


def draw_trainings(losses: Axes, hits: Axes, trainings: Trainings) -> None:
    """Meta-loss above, smoothed shares of hits below, a line per training."""
    for name, lines in trainings.items():
        colour, style = STYLES[name]
        for k, line in enumerate(lines):
            label = name.upper() if k == 0 else None
            look = {"color": colour, "ls": style, "lw": 1.5, "label": label}
            updates = [u["update"] for u in line["updates"]]
            losses.plot(updates, [u["loss"] for u in line["updates"]], **look)
            hits.plot(updates, 100 * running_mean(hit_rates(line), SMOOTH), **look)
    losses.set_ylabel("meta-loss")
    losses.legend(frameon=False)
    hits.set_ylabel(f"starts that hit (%),\nmean of up to {SMOOTH} updates")
    hits.set_xlabel("update")
    hits.set_ylim(-3, 103)
    for axes in (losses, hits):
        tidy_axes(axes)


def _figure(trainings: Trainings) -> Figure:
    figure = new_figure(6.4, 5.6)
    losses, hits = figure.subplots(2, 1, sharex=True)
    draw_trainings(losses, hits, trainings)
    return figure
