"""First encounters of other people's searchers, through one function and one ledger.

    python3 -m venv PEERS && PEERS/bin/pip install -r benchmarks/peers/requirements.txt
    PEERS/bin/python -m benchmarks.peers.run [--targets LJ13,LJ38] [--methods anneal]

From the repository, in an environment of its own. Every line of
``benchmarks/records/peers.jsonl`` is one search from one seed until its first point
within 1e-4 of the published minimum, or until the budget is spent (``found`` false: the
wait is longer than ``evaluations``). Lines that are in the file are not run again.
``near`` is the evaluation within 0.01: searchers that relax loosely come no closer.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records
from benchmarks.peers.ledger import Finished, Ledger, lennard_jones
from benchmarks.peers.searchers import SEARCHERS, random_cluster
from benchmarks.peers.settings import BUDGETS, RECORDS, SEED, SEEDS, TARGETS, done

PACKAGES = ("anneal", "ase", "ase-ga", "numba", "numpy", "scipy")


def one(name: str, method: str, seed: int, budget: int) -> dict[str, Any]:
    """A search to its end."""
    ledger = Ledger(TARGETS[name], budget)
    begun = time.perf_counter(), time.process_time()
    try:
        SEARCHERS[method](int(name[2:]), seed, ledger)
    except BaseException as error:
        # anneal wraps what its callbacks raise.
        over = ledger.found or ledger.evaluations >= ledger.budget
        if isinstance(error, KeyboardInterrupt) or not (
            isinstance(error, Finished) or over
        ):
            raise
    return {
        "kind": "encounter",
        "target": name,
        "target_energy": TARGETS[name],
        "method": method,
        "seed": seed,
        "budget": budget,
        "found": ledger.found,
        "evaluations": ledger.evaluations,
        "near": ledger.near,
        "lowest": round(float(ledger.lowest), 6),
        "wall_seconds": round(time.perf_counter() - begun[0], 3),
        "cpu_seconds": round(time.process_time() - begun[1], 3),
        **provenance(PACKAGES),
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--methods", default=",".join(SEARCHERS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    lennard_jones(random_cluster(4, np.random.default_rng(0)))  # compile it now
    records = Records(RECORDS)
    finished = done(records.lines)
    for target in arguments.targets.split(","):
        for method in arguments.methods.split(","):
            for seed in range(SEED, SEED + arguments.seeds):
                if (target, method, seed, BUDGETS[target]) in finished:
                    continue
                line = records.append(one(target, method, seed, BUDGETS[target]))
                shown = (line[k] for k in ("found", "evaluations", "near", "lowest"))
                print(target, method, seed, *shown, flush=True)


if __name__ == "__main__":
    main()
