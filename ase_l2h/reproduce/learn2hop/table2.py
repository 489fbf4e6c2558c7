"""Table 2: mean and lowest energies of every method on four targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ase_l2h._internal.records import Records
from ase_l2h.report.pages import markdown_table
from ase_l2h.report.statistics import wilson_interval
from ase_l2h.reproduce.learn2hop.paper import paper_numbers, paper_target
from ase_l2h.reproduce.learn2hop.searches import (
    METHOD_STYLES,
    SearchOutcome,
    SearchSpec,
    backend_note,
    full_label,
    run_searches,
)
from ase_l2h.reproduce.output import RECORDS, write_result
from ase_l2h.reproduce.registry import Progress

__all__ = ["BUDGETS", "Budget", "reproduce", "run_by_target", "searches_of"]


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
FULL = Budget(dict.fromkeys(TARGETS, 150), 50_000, ("paper-esmc",))
BUDGETS = {
    # A start of silicon costs as much as ten of the clusters.
    "quick": Budget({"LJ13": 48, "LJ75": 48, "Au55": 48, "Si64": 16}, 2000),
    "part": FULL,
    "paper": FULL,
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


def searches_of(size: Budget, target: str, seed: int) -> dict[str, SearchSpec]:
    """The searches of a target by method."""
    aim = paper_target(target)
    return {
        name: SearchSpec(
            aim, METHOD_STYLES[name], size.steps, size.starts[target], seed
        )
        for name in (*METHODS, *size.more)
    }


def run_by_target(
    records: Records, specs: Mapping[str, Mapping[str, SearchSpec]], progress: Progress
) -> dict[str, dict[str, SearchOutcome]]:
    """Outcomes by target and method; what is missing in the records is run."""
    every = [spec for methods in specs.values() for spec in methods.values()]
    outcomes = iter(run_searches(records, every, progress))
    return {
        target: {name: next(outcomes) for name in methods}
        for target, methods in specs.items()
    }


def reproduce(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """``table2`` of :mod:`ase_l2h.reproduce.registry`."""
    size = BUDGETS[budget]
    records = Records(folder / RECORDS)
    specs = {target: searches_of(size, target, seed) for target in size.starts}
    outcomes = run_by_target(records, specs, progress)
    text: list[str] = []
    rows: list[dict[str, Any]] = []
    for target, methods in outcomes.items():
        text += [_target_table(target, methods), ""]
        rows += [_row(target, name, one) for name, one in methods.items()]
    full = BUDGETS["paper"]
    left_out = (
        f"Budget '{budget}': {size.counts} starts (the paper: {full.counts}) of "
        f"{size.steps:,} steps (the paper: {full.steps:,}) and a quench, seed {seed}; "
        "every method has the same starts and steps. The paper's basin hopping makes "
        "ten quenches of a tenth of the steps each. The paper's rule was trained by GA "
        "on LJ13 only, and from there by ESMC on six Lennard-Jones sizes, both at a "
        "fiftieth of the paper's horizon; no learned rule here was trained at more "
        "than 1,000 steps; silicon is in the "
        f"2 x 5.38 angstrom cell that the paper's minimum belongs to.{backend_note()}"
    )
    title = "Table 2: energies found on four targets"
    return write_result(
        folder, "table2", title, "\n".join(text).strip(), rows, {}, left_out
    )


def _target_table(target: str, outcomes: dict[str, SearchOutcome]) -> str:
    numbers = paper_numbers()["table2"]
    lines = []
    for name, outcome in outcomes.items():
        low, high = wilson_interval(outcome.hits or 0, len(outcome.energies))
        beside = [numbers["columns"].index(column) for column in BESIDE.get(name, ())]
        of_paper = [
            " / ".join(f"{numbers[kind][target][k]:.2f}" for k in beside) or "-"
            for kind in ("mean", "min")
        ]
        lines.append(
            [
                full_label(METHOD_STYLES[name]),
                f"{outcome.mean:.2f}",
                of_paper[0],
                f"{outcome.lowest:.2f}",
                of_paper[1],
                f"{outcome.hits}/{len(outcome.energies)} ({low:.2f}-{high:.2f})",
                f"{outcome.per_start:,.0f}",
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


def _row(target: str, name: str, outcome: SearchOutcome) -> dict[str, Any]:
    numbers = paper_numbers()["table2"]
    row: dict[str, Any] = {
        "target": target,
        "method": METHOD_STYLES[name].label,
        "starts": len(outcome.energies),
        "steps": outcome.line["n_steps"],
        "mean": outcome.mean,
        "lowest": outcome.lowest,
        "hits": outcome.hits,
        "evaluations_per_start": round(outcome.per_start, 1),
    }
    for kind in ("mean", "min"):
        columns = BESIDE.get(name, ())
        values = [numbers[kind][target][numbers["columns"].index(c)] for c in columns]
        row[f"paper_{kind}"] = " / ".join(map(str, values))
    return row
