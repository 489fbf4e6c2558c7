"""Table 2: mean and lowest energies of every method on four targets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ase_l2h._internal.records import Records, markdown_table
from ase_l2h.report.statistics import wilson_interval
from ase_l2h.reproduce.learn2hop.pages import RECORDS, write_exhibit
from ase_l2h.reproduce.learn2hop.paper import paper_numbers, paper_target
from ase_l2h.reproduce.learn2hop.searches import (
    LINEUP,
    Entry,
    Found,
    Job,
    labelled,
    ran_on,
    run_jobs,
)

__all__ = ["BUDGETS", "Budget", "jobs_of", "reproduce"]


class Budget(NamedTuple):
    """Starts of each target, steps of a start, and methods beside the usual ones."""

    starts: dict[str, int]
    steps: int
    more: tuple[str, ...] = ()

    @property
    def counts(self) -> str:
        """The numbers of starts in words."""
        usual = max(self.starts.values())
        fewer = {name: n for name, n in self.starts.items() if n < usual}
        return "; ".join([str(usual), *(f"{name}: {n}" for name, n in fewer.items())])


TARGETS = ("LJ13", "LJ75", "Au55", "Si64")
BUDGETS = {
    # A start of silicon costs as much as ten of the clusters.
    "quick": Budget({"LJ13": 48, "LJ75": 48, "Au55": 48, "Si64": 16}, 2000),
    "paper": Budget(dict.fromkeys(TARGETS, 150), 50_000, ("paper-esmc",)),
}
METHODS = ("adam", "fire", "bh-paper", "bh", "paper", "default")
# Which of the paper's columns stand beside which method.
BESIDE = {
    "adam": ("Adam",),
    "fire": ("FIRE",),
    "bh-paper": ("basin hopping",),
    "paper": ("ESMC", "GA"),
    "paper-esmc": ("ESMC",),
}


def jobs_of(size: Budget, target: str, seed: int) -> dict[str, Job]:
    """The searches of a target by method."""
    aim = paper_target(target)
    return {
        name: Job(aim, LINEUP[name], size.steps, size.starts[target], seed)
        for name in (*METHODS, *size.more)
    }


def reproduce(
    folder: Path, budget: str, seed: int, progress: Callable[[int, int, str], Any]
) -> str:
    """The exhibit ``table2``, see :mod:`ase_l2h.reproduce.registry`."""
    size = BUDGETS[budget]
    records = Records(folder / RECORDS)
    searches = {target: jobs_of(size, target, seed) for target in size.starts}
    of = sum(map(len, searches.values()))
    text: list[str] = []
    rows: list[dict[str, Any]] = []
    for target, jobs in searches.items():
        done = len(rows)
        found = run_jobs(records, list(jobs.values()), progress, done, of)
        mine = dict(zip(jobs, found, strict=True))
        text += [_target_table(target, mine), ""]
        rows += [_row(target, name, LINEUP[name], one) for name, one in mine.items()]
    own = BUDGETS["paper"]
    left_out = (
        f"Budget '{budget}': {size.counts} starts (the paper: {own.counts}) of "
        f"{size.steps:,} steps (the paper: {own.steps:,}) and a quench, seed {seed}; "
        "every method has the same starts and steps. The paper's basin hopping makes "
        "ten quenches of a tenth of the steps each. The paper's rule was trained by GA "
        "on LJ13 only, and from there by ESMC on six Lennard-Jones sizes, both at a "
        "fiftieth of the paper's horizon; no learned rule here was trained at more "
        "than 1,000 steps; silicon is in the "
        f"2 x 5.38 angstrom cell that the paper's minimum belongs to.{ran_on()}"
    )
    title = "Table 2: energies found on four targets"
    return write_exhibit(
        folder, "table2", title, "\n".join(text).strip(), rows, {}, left_out
    )


def _target_table(target: str, mine: dict[str, Found]) -> str:
    numbers = paper_numbers()["table2"]
    lines = []
    for name, found in mine.items():
        low, high = wilson_interval(found.hits or 0, len(found.energies))
        beside = [numbers["columns"].index(column) for column in BESIDE.get(name, ())]
        of_paper = [
            " / ".join(f"{numbers[kind][target][k]:.2f}" for k in beside) or "-"
            for kind in ("mean", "min")
        ]
        lines.append(
            [
                labelled(LINEUP[name]),
                f"{found.mean:.2f}",
                of_paper[0],
                f"{found.lowest:.2f}",
                of_paper[1],
                f"{found.hits}/{len(found.energies)} ({low:.2f}-{high:.2f})",
                f"{found.per_start:,.0f}",
            ]
        )
    header = [
        "method",
        "mean",
        "paper's mean",
        "lowest",
        "paper's lowest",
        "hits (95 %)",
        "evaluations per start",
    ]
    minimum = numbers["minima"][target]
    return f"## {target}, minimum {minimum}\n\n{markdown_table(header, lines)}"


def _row(target: str, name: str, entry: Entry, found: Found) -> dict[str, Any]:
    numbers = paper_numbers()["table2"]
    row: dict[str, Any] = {
        "target": target,
        "method": entry.label,
        "starts": len(found.energies),
        "steps": found.line["n_steps"],
        "mean": found.mean,
        "lowest": found.lowest,
        "hits": found.hits,
        "evaluations_per_start": round(found.per_start, 1),
    }
    for kind in ("mean", "min"):
        columns = BESIDE.get(name, ())
        values = [numbers[kind][target][numbers["columns"].index(c)] for c in columns]
        row[f"paper_{kind}"] = " / ".join(map(str, values))
    return row
