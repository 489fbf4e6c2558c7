"""The table of ``docs/surfaces.md``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.report.pages import markdown_table, replace_block
from ase_l2h.report.statistics import wilson_interval
from benchmarks import paths
from benchmarks.hits.surfaces import METHODS, RECORDS, SYSTEMS

__all__ = ["table", "write"]

# In eV: relaxed by a calculator, two of one minimum agree as well as this.
SAME = 1e-3


def write() -> None:
    """The generated part of the page."""
    lines = read_lines(RECORDS)
    text = (
        f"{table(lines)}\n\nMade by `python -m benchmarks.hits.surfaces` (seeds from "
        f"{lines[0]['seed']}) on {lines[0]['machine']}."
    )
    replace_block(paths.DOCS / "surfaces.md", "surfaces", text)


def table(lines: Lines) -> str:
    """Seeds that met the lowest energy of all, and the calls that took."""
    rows = []
    for system in SYSTEMS:
        own = [line for line in lines if line["system"] == system]
        lowest = min((line["energy"] for line in own), default=np.inf)
        for method in METHODS:
            found = [line for line in own if line["method"] == method]
            if not found:
                continue
            first = [_first(line, lowest) for line in found]
            met = [count for count in first if count is not None]
            low, high = wilson_interval(len(met), len(found))
            seconds = np.median([line["seconds"] for line in found])
            rows.append(
                [
                    system,
                    f"`{method}`",
                    f"{lowest:.4f}",
                    f"{len(met)}/{len(found)} ({low:.2f}-{high:.2f})",
                    _median(first),
                    f"{np.mean([line['calls_spent'] for line in found]):,.0f}",
                    f"{seconds:.1f}",
                ]
            )
    header = ["system", "method", "lowest (eV)", "met (95 %)"]
    calls = ("calls to it: median (range)", "calls in all: mean", "seconds: median")
    return markdown_table([*header, *calls], rows)


def _median(first: list[int | None]) -> str:
    """Median and range of calls; those that never met it count as more than all."""
    counts = sorted(np.inf if count is None else count for count in first)
    middle = float(np.median(counts))
    if np.isinf(counts[0]):
        return "-"
    most = f"{met[-1]:,.0f}" if len(met) == len(counts) else "-"
    return (
        f"{'-' if np.isinf(middle) else format(middle, ',.0f')} ({met[0]:,.0f}-{most})"
    )


def _first(line: dict[str, Any], lowest: float) -> int | None:
    """Calls until a search met an energy; None where it has not."""
    return next((c for c, energy in line["course"] if energy <= lowest + SAME), None)
