"""Reading the lines of kind ``calls``; needs none of the searchers' packages."""

from __future__ import annotations

from typing import Any

from ase_l2h._internal.records import Lines
from benchmarks.peers.settings import METAL_HIT, METALS

__all__ = ["first_within", "is_done", "thinned"]

# What the course keeps: the last so many eV, falls of at least so much; and close to
# the target and below it all that matters.
KEPT, COARSE = 2.0, 0.05
CLOSE, FINE = 0.1, 2e-4


def thinned(course: list[tuple[int, float]], target: float) -> list[list[float]]:
    """The falls that matter, and the last one."""
    kept: list[list[float]] = []
    for k, (calls, energy) in enumerate(course):
        if energy > target + KEPT:
            continue
        grain = COARSE if energy > target + CLOSE else FINE
        # What is met is met at the call that came so close.
        met = energy <= target + METAL_HIT
        last = k == len(course) - 1
        if not kept or met or last or energy < kept[-1][1] - grain:
            kept.append([calls, round(energy, 5)])
    return kept


def first_within(line: dict[str, Any], target: float, within: float) -> int | None:
    """Calls of a search until it came so close to a target; None where it has not."""
    return next((c for c, energy in line["course"] if energy <= target + within), None)


def is_done(lines: Lines, name: str, method: str, seed: int, calls: int) -> bool:
    """Whether a search is in the record, so long at least, or met the lowest."""
    key = {"kind": "calls", "target": name, "method": method, "seed": seed}
    return any(
        first_within(line, METALS[name], METAL_HIT) is not None
        or (line["budget"] >= calls and not line["found"])
        for line in lines
        if all(line.get(k) == v for k, v in key.items())
    )
