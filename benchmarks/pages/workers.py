"""The table of workers in ``docs/calculators.md``."""

from __future__ import annotations

import numpy as np

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.comparison.report import significant
from ase_l2h.report.pages import markdown_table, replace_block
from benchmarks import paths
from benchmarks.hits.workers import RECORDS, TARGETS, WORKERS

__all__ = ["table", "write"]


def write() -> None:
    """The generated part of the page."""
    lines = read_lines(RECORDS)
    seeds = sorted({line["seed"] for line in lines})
    settled = [line for line in lines if line["stopped"] == "settled"]
    right = sum(line["right"] for line in settled)
    text = (
        f"{table(lines)}\n\nMean calls of EMT until a search is settled, and mean time "
        f"in units of one call, of {len(seeds)} random starts (seeds from {seeds[0]}). "
        f"Of {len(lines)} searches, {len(settled)} were settled, {right} of them at "
        f"the lowest minimum known. Made by `{lines[0]['command']}`; the workers are "
        "virtual, so that calls alone take time."
    )
    replace_block(paths.DOCS / "calculators.md", "workers", text)


def table(lines: Lines) -> str:
    """A row for each number of workers."""
    rows = []
    for workers in WORKERS:
        row = [str(workers)]
        for target in TARGETS:
            runs = [
                line
                for line in lines
                if line["target"] == target and line["workers"] == workers
            ]
            row += [
                significant(float(np.mean([run[what] for run in runs])))
                for what in ("calls", "time")
            ]
        rows.append(row)
    header = ["workers"]
    for target in TARGETS:
        header += [f"{target}: calls", "time"]
    return markdown_table(header, rows)
