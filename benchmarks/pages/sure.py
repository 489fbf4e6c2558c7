"""How often a settled search is right, a part of ``docs/auto.md``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ase_l2h._internal.records import read_lines
from ase_l2h.comparison.report import significant
from ase_l2h.report.pages import markdown_table
from benchmarks.hits import breadth, settled, settled_calls

__all__ = ["section"]


def section() -> list[str]:
    """Compiled potentials, and calls of a calculator."""
    return [*_settled(), *_settled_calls()]


def _settled() -> list[str]:
    """How often `settled` was right."""
    lines = read_lines(settled.RECORDS) if settled.RECORDS.exists() else []
    if not lines:
        return []
    usual = [line for line in lines if line["target"] not in settled.MISLEADING]
    misleading = [line for line in lines if line["target"] in settled.MISLEADING]
    right, total = (sum(part) for part in zip(*map(_right, usual), strict=True))
    every, all_in_all = (sum(part) for part in zip(*map(_right, lines), strict=True))
    done = {line["target"] for line in lines}
    left = [target for target in settled.TARGETS if target not in done]
    missing = f" Not run to the end: {', '.join(left)}." if left else ""
    misled = [
        "{} ({} of {} were right)".format(line["target"], *_right(line))
        for line in misleading
    ]
    warning = (
        " A settled search is not a proof: if one minimum is easy to find and the "
        "lowest is not, all attempts may end in the easy one. The last rows were "
        f"chosen because that happens there: {', '.join(misled)}. With them, {every} "
        f"of {all_in_all} were right ({100 * every / all_in_all:.1f} %)."
    )
    header = [
        *("target", "settled", "right", "mean evaluations"),
        "divided by evaluations to the lowest",
    ]
    return [
        "## Settled is a statement that can be checked",
        "",
        "A search is settled, and ends, when three independent attempts have met its "
        f"lowest minimum. Of {total} settled searches of {len(usual)} targets, {right} "
        f"({100 * right / total:.1f} %) had the lowest minimum known "
        f"(`python -m benchmarks.hits.settled`, seeds from {breadth.SEED} on)."
        f"{missing}{warning if misled else ''}",
        "",
        markdown_table(header, [_settled_row(line) for line in (*usual, *misleading)]),
        "",
    ]


def _settled_calls() -> list[str]:
    """The same where every evaluation is a call of a calculator."""
    lines = read_lines(settled_calls.RECORDS) if settled_calls.RECORDS.exists() else []
    ended = [line for line in lines if line["stopped"] == "settled"]
    if not ended:
        return []
    right = sum(line["right"] for line in ended)
    machines = ", ".join(sorted({line["machine"] for line in lines}))
    rows = []
    for target in settled_calls.TARGETS:
        runs = [line for line in lines if line["target"] == target]
        sure = [line for line in runs if line["stopped"] == "settled"]
        if not sure:
            continue
        calls, first, seconds = (
            float(np.mean([line[what] for line in sure]))
            for what in ("calls", "first", "seconds")
        )
        rows.append(
            [
                target,
                f"{len(sure)}/{len(runs)}",
                f"{sum(line['right'] for line in sure)}/{len(sure)}",
                significant(calls),
                f"{calls / first:.1f}",
                significant(seconds),
            ]
        )
    return [
        "With a calculator, here ASE's EMT from random starts, attempts are shorter. "
        f"Of {len(ended)} settled searches, {right} "
        f"({100 * right / len(ended):.1f} %) "
        "had the lowest minimum known (`python -m benchmarks.hits.settled_calls`, "
        f"seeds from {breadth.SEED} on, {machines}):",
        "",
        markdown_table(
            [
                *("cluster", "settled", "right", "mean calls"),
                *("divided by calls to the lowest", "mean seconds"),
            ],
            rows,
        ),
        "",
    ]


def _ended(line: Any) -> list[int]:
    """Which of a target's searches ended because they were settled."""
    return [k for k, reason in enumerate(line["stopped"]) if reason == "settled"]


def _right(line: Any) -> tuple[int, int]:
    """How many of a target's settled searches were right, and how many there were."""
    ended = _ended(line)
    return sum(line["right"][k] for k in ended), len(ended)


def _settled_row(line: Any) -> list[str]:
    ended = _ended(line)
    mean = float(np.mean([line["evaluations"][k] for k in ended] or [math.nan]))
    first = float(np.mean([line["first"][k] for k in ended] or [math.nan]))
    return [
        line["target"],
        f"{len(ended)}/{len(line['stopped'])}",
        "{}/{}".format(*_right(line)),
        significant(mean),
        f"{mean / first:.1f}",
    ]
