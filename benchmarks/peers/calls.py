"""Calls of EMT to the lowest minimum, of other people's searchers and of ours.

    PEERS/bin/python -m benchmarks.peers.calls [--targets Cu13,Cu38] [--methods anneal]

From the repository, in the environment of ``run.py``; ``--methods agox`` in that of
``requirements-agox.txt``, and ``--methods learn2hop`` in one of ours that has numba
besides. All begin with the same random clusters. Every line of
``benchmarks/records/peers.jsonl`` of kind ``calls`` is one search from one seed until
its first point within 2.5 meV of the lowest energy known, or until its calls are spent.
``course`` has the points that were lower than those before, in the last electronvolts:
should a lower minimum come to light, a search that had not met the old one need not be
run again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records
from benchmarks.peers.clusters import random_metal
from benchmarks.peers.emt import compiled_emt
from benchmarks.peers.ledger import Ledger, LedgerCalculator, searched
from benchmarks.peers.metals import SEARCHERS
from benchmarks.peers.reading import is_done, thinned
from benchmarks.peers.settings import (
    CALLS,
    METAL_HIT,
    METAL_NEAR,
    METAL_SEEDS,
    METALS,
    RECORDS,
    SEED,
)

__all__ = ["one"]

PACKAGES = ("agox", "anneal", "ase", "ase-ga", "ase-l2h", "jax", "numba", "numpy")


def one(name: str, method: str, seed: int, calls: int) -> dict[str, Any]:
    """A search to its end."""
    target = METALS[name]
    ledger = Ledger(target, calls, compiled_emt(name), hit=METAL_HIT, near=METAL_NEAR)
    atoms = random_metal(name, np.random.default_rng(seed))
    atoms.calc = LedgerCalculator(ledger)
    with _scratch_folder():
        told = searched(ledger, lambda: SEARCHERS[method](atoms, seed))
    return {
        "kind": "calls",
        "target": name,
        "target_energy": target,
        "method": method,
        "seed": seed,
        "budget": calls,
        **told,
        "course": thinned(ledger.course, target),
        **provenance(PACKAGES),
    }


@contextlib.contextmanager
def _scratch_folder() -> Iterator[None]:
    """Searchers write files where they are, and tell everybody what they do."""
    shared = "/dev/shm"
    before = os.getcwd()
    with (
        tempfile.TemporaryDirectory(dir=shared if os.path.isdir(shared) else None) as f,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        os.chdir(f)
        try:
            yield
        finally:
            os.chdir(before)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(METALS))
    parser.add_argument("--methods", default=",".join(SEARCHERS))
    parser.add_argument("--seeds", type=int, default=METAL_SEEDS)
    parser.add_argument("--calls", type=int, default=CALLS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    records = Records(RECORDS)
    for method in arguments.methods.split(","):
        for name in arguments.targets.split(","):
            for seed in range(SEED, SEED + arguments.seeds):
                if is_done(records.lines, name, method, seed, arguments.calls):
                    continue
                line = records.append(one(name, method, seed, arguments.calls))
                shown = ("found", "evaluations", "near", "lowest", "wall_seconds")
                print(name, method, seed, *(line[k] for k in shown), flush=True)


if __name__ == "__main__":
    main()
