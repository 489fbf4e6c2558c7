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
import warnings
from typing import Any

import numpy as np

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records
from benchmarks.peers.ledger import Ledger, lennard_jones, searched
from benchmarks.peers.searchers import SEARCHERS, random_cluster
from benchmarks.peers.settings import BUDGETS, RECORDS, SEED, SEEDS, TARGETS, done

PACKAGES = ("anneal", "ase", "ase-ga", "numba", "numpy", "scipy")


def one(name: str, method: str, seed: int, budget: int) -> dict[str, Any]:
    """A search to its end."""
    ledger = Ledger(TARGETS[name], budget)
    told = searched(ledger, lambda: SEARCHERS[method](int(name[2:]), seed, ledger))
    return {
        "kind": "encounter",
        "target": name,
        "target_energy": TARGETS[name],
        "method": method,
        "seed": seed,
        "budget": budget,
        **told,
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
