"""One table of the same starts at several numbers of steps, beside the paper's.

From ``benchmarks/records/long.jsonl``, which ``python -m benchmarks.hits.results
--steps`` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ase_l2h.report.pages import markdown_table
from ase_l2h.reproduce.learn2hop.paper import paper_numbers

__all__ = ["HORIZONS", "table"]

HORIZONS = (1_000, 10_000, 50_000)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Mean, lowest and hits of every method at every horizon.

    ``rows`` are summaries of searches, from the same starts at every horizon; the
    paper's own numbers follow the rows of a target.
    """
    targets: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for row in rows:
        if row["steps"] in HORIZONS:
            methods = targets.setdefault(row["target"], {})
            methods.setdefault(row["method"], {})[row["steps"]] = row
    lines: list[list[Any]] = []
    for target, methods in targets.items():
        for method, cells in methods.items():
            texts = [_cell(cells[h]) if h in cells else "-" for h in HORIZONS]
            lines.append([target, method, *texts])
        lines += _paper(target)
    header = ["target", "method", *(f"{horizon:,} steps" for horizon in HORIZONS)]
    return markdown_table(header, lines, numbers=False)


def _cell(row: dict[str, Any]) -> str:
    reach = row["to_minimum"]
    spent = "" if reach is None else f", {reach:,.0f} per hit"
    energies = f"{row['mean']:.2f} / {row['lowest']:.2f}"
    return f"{energies}; {row['hits']}/{row['starts']}{spent}"


def _paper(target: str) -> list[list[Any]]:
    """What the paper prints of a target at 50,000 steps."""
    published = paper_numbers()["table2"]
    if target not in published["mean"]:
        return []
    skipped = ["-"] * (len(HORIZONS) - 1)
    columns = zip(
        published["columns"],
        published["mean"][target],
        published["min"][target],
        strict=True,
    )
    return [
        [target, f"*the paper's {name}*", *skipped, f"{mean} / {least}"]
        for name, mean, least in columns
    ]
