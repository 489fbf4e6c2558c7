"""Fig. 3: ES, ESMC and GA on LJ13, each with the same number of unrolls per update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import Records, markdown_table
from ase_l2h.report.figures import BLUE, GREY, VERMILLION, new_figure, tidy_axes
from ase_l2h.reproduce.learn2hop.pages import RECORDS, write_exhibit
from ase_l2h.reproduce.learn2hop.trainings import train_once
from ase_l2h.training.config import TrainingConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BUDGETS", "Budget", "configuration", "reproduce"]

ESTIMATORS = ("es", "esmc", "ga")
LOOKS = {"es": (GREY, ":"), "esmc": (BLUE, "-"), "ga": (VERMILLION, "--")}
# Updates that a number of hits is the mean of.
SMOOTH = 5


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


BUDGETS = {
    "quick": Budget("equivariant", 1, 40, 300, "fire", 100, 12, 32),
    # As many unrolls per update as in the paper: 80 starts, three sets of weights.
    "paper": Budget("coordinatewise", 3, 900, 50_000, "gd", 500, 12, 8),
}


def configuration(size: Budget, estimator: str, seed: int) -> TrainingConfig:
    """One training; GA has twice the directions, as it takes each in one sense only."""
    ga = estimator == "ga"
    return TrainingConfig(
        tasks=("LJ13",),
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
    )


def reproduce(
    folder: Path, budget: str, seed: int, progress: Callable[[int, int, str], Any]
) -> str:
    """The exhibit ``fig3``, see :mod:`ase_l2h.reproduce.registry`."""
    size = BUDGETS[budget]
    records = Records(folder / RECORDS)
    plan = [(name, k) for k in range(size.trainings) for name in ESTIMATORS]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ESTIMATORS}
    for number, (name, k) in enumerate(plan):
        progress(number, len(plan), name)
        config = configuration(size, name, seed + k)
        runs[name].append(train_once(folder, records, config))
    progress(len(plan), len(plan), "")
    rows = [
        {"estimator": name, "training": k, **update, "hits": update["hits"]["LJ13"]}
        for name in ESTIMATORS
        for k, run in enumerate(runs[name])
        for update in run["updates"]
    ]
    header = [
        "estimator",
        "trainings",
        "update from which half of the starts hit",
        "hits, last 10 updates",
        "meta-loss, last 10 updates",
    ]
    table = [
        [
            name.upper(),
            len(runs[name]),
            ", ".join(_jump(run) for run in runs[name]),
            ", ".join(f"{100 * _last(run, 'hits'):.0f} %" for run in runs[name]),
            ", ".join(f"{_last(run, 'loss'):.4f}" for run in runs[name]),
        ]
        for name in ESTIMATORS
    ]
    left_out = (
        f"Budget '{budget}': {size.trainings} training(s) of each on LJ13 with the "
        f"{size.architecture} rule, {size.updates} updates (the paper: 900), horizon "
        f"{size.horizon:,} (the paper: 50,000), {size.directions} directions in both "
        f"senses or {2 * size.directions} mutants, {size.starts} shared starts, seed "
        f"{seed}."
    )
    return write_exhibit(
        folder,
        "fig3",
        "Fig. 3: ES, ESMC and GA",
        markdown_table(header, table),
        rows,
        {"": _figure(runs)},
        left_out,
    )


def _hits(run: dict[str, Any]) -> np.ndarray:
    return np.array([update["hits"]["LJ13"] for update in run["updates"]])


def _smooth(hits: np.ndarray) -> np.ndarray:
    """Means of up to five updates, one for every update."""
    sums = np.concatenate([[0.0], np.cumsum(hits)])
    ends = np.arange(1, len(sums))
    begins = np.maximum(0, ends - SMOOTH)
    return (sums[ends] - sums[begins]) / (ends - begins)


def _jump(run: dict[str, Any]) -> str:
    above = np.flatnonzero(_smooth(_hits(run)) >= 0.5)
    return str(above[0] + 1) if above.size else "never"


def _last(run: dict[str, Any], name: str) -> float:
    values = _hits(run) if name == "hits" else [u[name] for u in run["updates"]]
    return float(np.mean(values[-10:]))


def _figure(runs: Mapping[str, Sequence[dict[str, Any]]]) -> Figure:
    figure = new_figure(6.4, 5.6)
    losses, hits = figure.subplots(2, 1, sharex=True)
    for name, mine in runs.items():
        colour, style = LOOKS[name]
        for k, run in enumerate(mine):
            label = name.upper() if k == 0 else None
            look = {"color": colour, "ls": style, "lw": 1.5, "label": label}
            updates = [u["update"] for u in run["updates"]]
            losses.plot(updates, [u["loss"] for u in run["updates"]], **look)
            hits.plot(updates, 100 * _smooth(_hits(run)), **look)
    losses.set_ylabel("meta-loss")
    losses.legend(frameon=False)
    hits.set_ylabel(f"starts that hit (%),\nmean of up to {SMOOTH} updates")
    hits.set_xlabel("update")
    hits.set_ylim(-3, 103)
    for panel in (losses, hits):
        tidy_axes(panel)
    return figure
