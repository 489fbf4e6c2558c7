"""Copper clusters on frozen slabs by EMT: which seeds meet the lowest energy of all.

    python -m benchmarks.hits.surfaces [--surfaces Cu5/Cu(100),...] [--calls 10000]

Slabs of three layers, periodic in two directions, and a block of atoms above them;
`auto` with calls of ASE's EMT, which ends when it has settled. One line of
``benchmarks/records/surfaces.jsonl`` for each seed from 2026 on, which is not run
again. ``python -m benchmarks.pages surfaces`` makes the page.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import fcc100, fcc111
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from tqdm import tqdm

import ase_l2h
from ase_l2h._internal.records import Records
from ase_l2h.search.limits import Limits
from benchmarks import paths

__all__ = ["CALLS", "RECORDS", "SEEDS", "SURFACES", "on_slab"]

RECORDS = paths.RECORDS / "surfaces.jsonl"
SEED, SEEDS = 2026, 20
SIZE = (4, 4, 3)
FACES = {"Cu(100)": fcc100, "Cu(111)": fcc111}
# Calls of each search at most; 10,000 are the default of the package.
CALLS = 1000
SURFACES = ("Cu5/Cu(100)", "Cu5/Cu(111)", "Cu8/Cu(100)", "Cu8/Cu(111)")


def on_slab(surface: str) -> Atoms:
    """A block of atoms above a frozen slab, such as ``Cu5/Cu(100)``."""
    cluster, face = surface.split("/")
    atoms = FACES[face]("Cu", SIZE, vacuum=8.0, periodic=False)
    atoms.set_constraint(FixAtoms(range(len(atoms))))
    above = 2.6 * np.argwhere(np.ones((3, 3, 2)))[: int(cluster[2:])]
    above += [1.5, 1.5, atoms.positions[:, 2].max() + 2.0]
    atoms += Atoms("Cu" * len(above), positions=above)
    atoms.calc = EMT()
    return atoms


def measured(surface: str, method: str, seed: int, calls: int) -> dict[str, Any]:
    """One search."""
    began = time.perf_counter()
    limits = Limits(evaluations=calls)
    result = ase_l2h.search(on_slab(surface), method=method, limits=limits, seed=seed)
    return {
        "energy": result.best_energy,
        "calls_spent": result.charged_evaluations,
        "stopped": result.stopped,
        "course": [list(point) for point in result.searches[0].course],
        "seconds": round(time.perf_counter() - began, 2),
        "command": f"python -m benchmarks.hits.surfaces --calls {calls}",
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surfaces", default=",".join(SURFACES))
    parser.add_argument("--method", default="auto")
    parser.add_argument("--calls", type=int, default=CALLS)
    arguments = parser.parse_args()
    records = Records(RECORDS)
    wanted = [
        (surface, seed)
        for surface in arguments.surfaces.split(",")
        for seed in range(SEED, SEED + SEEDS)
    ]
    for surface, seed in (bar := tqdm(wanted, unit="search")):
        bar.set_description(f"{surface} {arguments.method}")
        key = {
            "surface": surface,
            "method": arguments.method,
            "seed": seed,
            "calls": arguments.calls,
        }
        records.get(key, lambda key=key: measured(**key))


if __name__ == "__main__":
    main()
