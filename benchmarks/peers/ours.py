"""Our own methods in the record of their peers, by the same count.

    python -m benchmarks.peers.ours [--targets LJ13,LJ38] [--methods bh,learned]

Runs in the project's own environment. Targets, budgets and the meaning of a line are
those of ``run.py``; run i stands for seed 2026 + i. The relaxation that confirms a
minimum in double precision is charged. Seconds are those of all runs, compilation
included, over their number.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records
from ase_l2h.comparison.running import compare
from benchmarks.peers.settings import BUDGETS, RECORDS, SEED, SEEDS, TARGETS, done

METHODS = ("bh", "learned", "auto")


def lines_of(target: str, method: str) -> list[dict[str, Any]]:
    """One line per run."""
    budget = BUDGETS[target]
    begun = time.perf_counter()
    comparison = compare(target, method, runs=SEEDS, budget=budget, seed=SEED)
    runs = comparison.encounters[target, method]
    seconds = (time.perf_counter() - begun) / SEEDS
    origin = provenance(("ase-l2h", "jax", "numpy"))
    return [
        {
            "kind": "encounter",
            "target": target,
            "target_energy": TARGETS[target],
            "method": f"ase_l2h {method}",
            "seed": SEED + run,
            "budget": budget,
            "found": bool(found),
            "evaluations": int(evaluations),
            "near": None,
            "lowest": None,
            "wall_seconds": round(seconds, 3),
            "cpu_seconds": None,
            **origin,
        }
        for run, (found, evaluations) in enumerate(
            zip(runs.found, runs.evaluations, strict=True)
        )
    ]


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--methods", default=",".join(METHODS))
    arguments = parser.parse_args()
    records = Records(RECORDS)
    for target in arguments.targets.split(","):
        for method in arguments.methods.split(","):
            finished = done(records.lines)
            if (target, f"ase_l2h {method}", SEED, BUDGETS[target]) in finished:
                continue
            lines = lines_of(target, method)
            for line in lines:
                records.append(line)
            hits = sum(line["found"] for line in lines)
            print(f"{target} {method}: {hits} of {len(lines)}", flush=True)


if __name__ == "__main__":
    main()
