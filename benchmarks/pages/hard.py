"""The section of ``docs/auto.md`` about the dearest targets."""

from __future__ import annotations

import math

from ase_l2h._internal.records import read_lines
from ase_l2h.comparison.report import significant
from ase_l2h.report.pages import markdown_table
from benchmarks.hits import hard
from benchmarks.pages.encounters import encounters, interval

__all__ = ["hard_section"]


def hard_section() -> list[str]:
    """How many runs met each of them; nothing where none has been run."""
    if not hard.RECORDS.exists():
        return []
    rows = []
    for line in read_lines(hard.RECORDS):
        runs, goal = encounters(line), hard.GOALS[line["goal"]]
        mean = runs.mean
        rows.append(
            [
                line["goal"],
                f"{line['target_energy']:.4f}",
                f"{line['budget']:,}",
                f"{runs.hits}/{runs.found.size}",
                "-" if goal.wanted is None else str(goal.wanted),
                interval(mean)
                if math.isfinite(mean.value)
                else f"above {significant(mean.low)}",
            ]
        )
    header = [
        "target",
        "energy to meet",
        "evaluations at most",
        "met",
        "aim",
        "mean evaluations to meet it",
    ]
    return [
        "## The most expensive targets",
        "",
        "`auto` runs with its defaults; a part named after `~` is left out. Without "
        "`fragments`, no part knows a packing. Without `learned-exchanges`, the "
        "energies of exchanges are measured, not learned. The aim is the number of "
        "runs that should meet the energy (`python -m benchmarks.hits.hard`, seed "
        "2026).",
        "",
        markdown_table(header, rows),
        "",
    ]
