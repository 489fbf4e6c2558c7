"""ES, ESMC and GA under one budget: the paper's Fig. 3 at two smaller sizes, on LJ13.

    python -m benchmarks.hits.estimators [--architecture equivariant] [--folder DIR]

Every run unrolls the same number of structures for the same number of steps in every
update: 12 directions in both senses, or 24 mutants, and the weights themselves. A line
per run goes to ``benchmarks/records/estimators.jsonl``; runs that are in the file are
not run again. Weights and checkpoints stay in the folder. ``python -m
benchmarks.pages`` draws it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ase_l2h._internal.records import Records
from ase_l2h.reproduce.learn2hop.fig3 import Budget, run_trainings
from ase_l2h.reproduce.progress import counted_progress
from benchmarks import paths

__all__ = ["RECORDS", "SEED", "SIZES"]

RECORDS = paths.RECORDS / "estimators.jsonl"
SEED = 1
# What the architectures need to make the jump at all, found with other seeds.
SIZES = {
    "equivariant": Budget("equivariant", 3, 60, 300, "fire", 100, 12, 32),
    "coordinatewise": Budget(
        "coordinatewise", 3, 100, 1000, "fire", 100, 12, 32, "native"
    ),
}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="equivariant", choices=SIZES)
    parser.add_argument("--folder", type=Path, default=Path("estimators"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    size = SIZES[arguments.architecture]
    with counted_progress("estimators") as show:
        run_trainings(arguments.folder, Records(RECORDS), size, SEED, show)


if __name__ == "__main__":
    main()
