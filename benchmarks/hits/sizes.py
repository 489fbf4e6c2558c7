"""Every published Lennard-Jones size, by one configuration: `auto` with nothing chosen.

    python -m benchmarks.hits.sizes [--from 3] [--to 150]

Three runs of each size, from seed 2026, which nothing was tuned on, with at most two
million charged evaluations. A line of ``benchmarks/records/sizes.jsonl`` for each size;
lines that are in the file are not run again. ``python -m benchmarks.pages breadth``
makes the page.
"""

from __future__ import annotations

import argparse

from tqdm import tqdm

from ase_l2h._internal.records import Records
from benchmarks import paths
from benchmarks.hits.breadth import SEED, measured

__all__ = ["BUDGET", "RECORDS", "RUNS", "SIZES"]

RECORDS = paths.RECORDS / "sizes.jsonl"
SIZES = range(3, 151)
RUNS, BUDGET = 3, 2_000_000


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="first", type=int, default=SIZES.start)
    parser.add_argument("--to", dest="last", type=int, default=SIZES.stop - 1)
    arguments = parser.parse_args()
    records = Records(RECORDS)
    for n_atoms in tqdm(range(arguments.first, arguments.last + 1), unit="size"):
        key = {
            "target": f"LJ{n_atoms}",
            "method": "auto",
            "seed": SEED,
            "runs": RUNS,
            "budget": BUDGET,
        }
        records.get(key, lambda key=key: measured(**key))


if __name__ == "__main__":
    main()
