"""The table of ``docs/surfaces.md``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.report.pages import markdown_table, replace_block
from ase_l2h.report.statistics import wilson_interval
from benchmarks import paths
from benchmarks.hits.surfaces import RECORDS, SURFACES

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
    for surface in SURFACES:
        own = [line for line in lines if line["surface"] == surface]
        lowest = min(line["energy"] for line in own)
        for method, calls in sorted({(line["method"], line["calls"]) for line in own}):
            kind = {"method": method, "calls": calls}
            found = [line for line in own if kind.items() <= line.items()]
            first = [_first(line, lowest) for line in found]
            met = [count for count in first if count is not None]
            low, high = wilson_interval(len(met), len(found))
            rows.append(
                [
                    surface,
                    f"`{method}`",
                    f"{lowest:.4f}",
                    f"{len(met)}/{len(found)} ({low:.2f}-{high:.2f})",
                    f"{np.median(met):,.0f} ({min(met)}-{max(met)})" if met else "-",
                    f"{np.mean([line['calls_spent'] for line in found]):,.0f}",
                    f"{calls:,}",
                ]
            )
    header = ["surface", "method", "lowest (eV)", "met (95 %)"]
    calls = ("calls to it: median (range)", "calls in all: mean", "calls at most")
    return markdown_table([*header, *calls], rows)


def _first(line: dict[str, Any], lowest: float) -> int | None:
    """Calls until a search met an energy; None where it has not."""
    return next((c for c, energy in line["course"] if energy <= lowest + SAME), None)
