"""One table of the same starts at several numbers of steps, beside the paper's.

From ``benchmarks/records/long.jsonl``, which ``python -m benchmarks.results --steps``
writes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase_l2h

__all__ = ["HORIZONS", "table"]

HORIZONS = (1_000, 10_000, 50_000)
PAPER = Path(ase_l2h.__file__).parent / "reproduce" / "data" / "paper_learn2hop.json"


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Mean, lowest and hits of every method at every horizon.

    ``rows`` are summaries of searches, from the same starts at every horizon; the
    paper's own numbers follow the rows of a target.
    """
    found: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for row in rows:
        if row["steps"] in HORIZONS:
            methods = found.setdefault(row["target"], {})
            methods.setdefault(row["method"], {})[row["steps"]] = row
    out = [
        "| target | method | " + " | ".join(f"{h:,} steps" for h in HORIZONS) + " |",
        "|" + "---|" * (2 + len(HORIZONS)),
    ]
    for target, methods in found.items():
        for method, cells in methods.items():
            texts = [_cell(cells[h]) if h in cells else "-" for h in HORIZONS]
            out.append(f"| {target} | {method} | {' | '.join(texts)} |")
        out += _paper(target)
    return out


def _cell(row: dict[str, Any]) -> str:
    reach = row["to_minimum"]
    spent = "" if reach is None else f", {reach:,.0f} per hit"
    energies = f"{row['mean']:.2f} / {row['lowest']:.2f}"
    return f"{energies}; {row['hits']}/{row['starts']}{spent}"


def _paper(target: str) -> list[str]:
    """What the paper prints of a target at 50,000 steps."""
    published = json.loads(PAPER.read_text())["table2"]
    if target not in published["mean"]:
        return []
    skipped = " | ".join("-" for _ in HORIZONS[:-1])
    columns = zip(
        published["columns"],
        published["mean"][target],
        published["min"][target],
        strict=True,
    )
    return [
        f"| {target} | *the paper's {name}* | {skipped} | {mean} / {least} |"
        for name, mean, least in columns
    ]
