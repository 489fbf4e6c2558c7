"""The record of the peers as a table: mean evaluations to the target.

    python3 benchmarks/peers/summary.py

The mean of a memoryless search is all that was spent over the encounters, so searches
that were cut off count; its 95 % interval is the exact one of exponential waits cut off
after a fixed time (chi-squared with 2 h and 2 h + 2 degrees of freedom for h
encounters). Needs SciPy.
"""

from __future__ import annotations

import json
import statistics
from typing import Any

from scipy.stats import chi2
from settings import RECORDS, TARGETS

__all__ = ["mean_and_interval"]


def mean_and_interval(spent: float, hits: int) -> tuple[float, float, float]:
    """Mean wait and its 95 % interval; without an encounter only the lower end."""
    low = 2 * spent / chi2.ppf(0.975, 2 * hits + 2)
    if hits == 0:
        return float("inf"), 2 * spent / chi2.ppf(0.95, 2), float("inf")
    return spent / hits, low, 2 * spent / chi2.ppf(0.025, 2 * hits)


def main() -> None:
    """Print the table."""
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in RECORDS.read_text().splitlines()
    ]
    encounters = [line for line in lines if line["kind"] == "encounter"]
    for target in TARGETS:
        mine = [line for line in encounters if line["target"] == target]
        for method in sorted({line["method"] for line in mine}):
            runs = [line for line in mine if line["method"] == method]
            hits = sum(line["found"] for line in runs)
            spent = sum(line["evaluations"] for line in runs)
            mean, low, high = mean_and_interval(spent, hits)
            near = [line["near"] for line in runs if line["near"] is not None]
            close = "-"
            if near:
                lost = sum(line["budget"] for line in runs if line["near"] is None)
                close = f"{(sum(near) + lost) / len(near):,.0f}"
            print(
                f"{target:5} {method:11} {hits:3} of {len(runs):3}  mean {mean:9,.0f} "
                f"[{low:,.0f}, {high:,.0f}]  within 0.01: {close}"
            )
    starts = [line for line in lines if line["kind"] == "start"]
    for warm in (False, True):
        for method in dict.fromkeys(line["method"] for line in starts):
            runs = [s for s in starts if (s["method"], s["warm"]) == (method, warm)]
            if runs:
                wall = statistics.median(line["wall_seconds"] for line in runs)
                used = statistics.median(line["cpu_seconds"] for line in runs)
                print(
                    f"start{' warm' * warm}: {method}: {wall:.1f} s, {used:.1f} CPU s"
                )


if __name__ == "__main__":
    main()
