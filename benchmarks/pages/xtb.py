"""The table of ``docs/calculators.md`` about GFN2-xTB."""

from __future__ import annotations

import numpy as np

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.report.pages import markdown_table, replace_block
from benchmarks import paths
from benchmarks.hits.xtb import CALLS, FMAX, RECORDS, STARTS, SYSTEMS

__all__ = ["table", "write"]

# In eV: what is this much higher has another energy.
SAME = 2e-3
NAMES = {"water": "(H2O)6"}


def write() -> None:
    """The generated part of the page."""
    lines = read_lines(RECORDS)
    first = lines[0]
    seeds = sorted({line["seed"] for line in lines})
    text = (
        f"{table(lines)}\n\nEnergies are above the lowest that either found, in eV, "
        f"for seeds {seeds[0]} to {seeds[-1]}. `auto` had at most {CALLS:,} calls; "
        f"L-BFGS relaxed {STARTS} random starts to {FMAX} eV/angstrom. What was found "
        "was computed once more by a new calculator. *Again* is the same search with "
        "the cache of its calls: the new calls that it made. Made by "
        f"`{first['command']}` on {first['machine']}."
    )
    replace_block(paths.DOCS / "calculators.md", "xtb", text)


def table(lines: Lines) -> str:
    """Energies and calls of both, and what a repeated search costs."""
    rows = []
    for system in SYSTEMS:
        own = [line for line in lines if line["system"] == system]
        if not own:
            continue
        ends = [(line["energy"], line["lbfgs_energy"]) for line in own]
        lowest = min(e for pair in ends for e in pair if e is not None)
        rows.append(
            [
                NAMES.get(system, system),
                _above([energy for energy, _ in ends], lowest),
                _above([energy for _, energy in ends], lowest),
                _mean([line["charged"] for line in own]),
                _mean([line["lbfgs_calls"] for line in own]),
                _mean([line["failed"] for line in own]),
                f"{max(line['again_calls'] for line in own)}",
            ]
        )
    head = ["", "`auto`", "L-BFGS", "calls", "of L-BFGS", "that failed", "again"]
    return markdown_table(head, rows)


def _above(energies: list[float | None], lowest: float) -> str:
    """How far above the lowest each seed ended."""
    return ", ".join(
        "-" if e is None else f"{e - lowest:.3f}" if e > lowest + SAME else "0"
        for e in energies
    )


def _mean(counts: list[int]) -> str:
    return f"{np.mean(counts):,.0f}"
