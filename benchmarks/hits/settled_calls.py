"""How often a settled search is right where every evaluation is a call, and its cost.

    python -m benchmarks.hits.settled_calls [--targets Cu13,Cu38] [--searches 12]

Clusters by ASE's EMT from random starts, with the limits that everybody gets: `auto`
ends when three independent attempts have met its lowest minimum, or after 10,000 calls.
One line of ``benchmarks/records/settled-calls.jsonl`` for each seed from 2026 on, which
chose nothing and is not run again. ``python -m benchmarks.pages breadth`` makes the
page.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from ase.calculators.emt import EMT

import ase_l2h
from benchmarks import paths
from benchmarks.hits.missing import measure_missing
from benchmarks.peers.clusters import random_metal
from benchmarks.peers.settings import METAL_HIT, METALS, SEED

__all__ = ["RECORDS", "TARGETS"]

RECORDS = paths.RECORDS / "settled-calls.jsonl"
SEARCHES = 12
TARGETS = ("Cu13", "Pt13", "Al13", "Cu20", "Cu30", "Cu33", "Cu38", "Ni10Cu10")


def measured(target: str, seed: int) -> dict[str, Any]:
    """A search as a user would run it, from a random cluster."""
    atoms = random_metal(target, np.random.default_rng(seed))
    atoms.calc = EMT()
    begun = time.perf_counter()
    result = ase_l2h.search(atoms, seed=seed)
    near = result.best_energy + METAL_HIT
    course = result.searches[0].course
    return {
        "known": METALS[target],
        "stopped": result.stopped,
        "right": bool(result.best_energy <= METALS[target] + METAL_HIT),
        "calls": result.charged_evaluations,
        "first": next(calls for calls, energy in course if energy <= near),
        "lowest": result.best_energy,
        "how_sure": str(result.confidence),
        "seconds": round(time.perf_counter() - begun, 1),
        "command": "python -m benchmarks.hits.settled_calls",
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--searches", type=int, default=SEARCHES)
    arguments = parser.parse_args()
    keys = [
        {"target": target, "seed": SEED + k}
        for k in range(arguments.searches)
        for target in arguments.targets.split(",")
    ]
    measure_missing(RECORDS, keys, measured)


if __name__ == "__main__":
    main()
