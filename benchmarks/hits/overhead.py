"""What a search takes beside calls of a calculator, with and without folder and cache.

    python -m benchmarks.hits.overhead

Processor time of searches of 200 calls by ASE's EMT, less that of EMT itself, for each
call; the first search of a system, which loads code, is not counted. The last system is
a campaign: 1,000 searches of 20 calls, in ten parts, with and without in turn. One line
of ``benchmarks/records/overhead.jsonl`` for each system, which is not measured again.
``python -m benchmarks.pages overhead`` makes the page.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from tqdm import tqdm

import ase_l2h
from ase_l2h._internal.records import Records
from ase_l2h.search.limits import Limits
from benchmarks import paths
from benchmarks.hits.surfaces import system_of

__all__ = ["CALLS", "PARTS", "RECORDS", "SEEDS", "SYSTEMS"]

RECORDS = paths.RECORDS / "overhead.jsonl"
SYSTEMS = ("Cu6", "Cu13", "Ni5Cu8", "Cu38", "Cu8/Cu(111)")
SEEDS, CALLS = range(2026, 2032), 200
# Searches and calls of each; into how many parts they are counted.
SMALL, SMALL_CALLS, PARTS = 1000, 20, 10
CAMPAIGN = f"Cu6, {SMALL:,} searches of {SMALL_CALLS} calls"


class Timed(EMT):
    """Notes the processor time of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self.count = 0.0, 0

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        """One call."""
        began = time.process_time()
        super().calculate(*args, **kwargs)
        self.seconds += time.process_time() - began
        self.count += 1


def _begun(system: str) -> Atoms:
    if "/" in system:
        return system_of(system)
    atoms = Atoms(system)
    atoms.positions = 2.55 * np.argwhere(np.ones((4, 4, 4)))[: len(atoms)]
    return atoms


def spent_beside(
    system: str, seed: int, kept: bool, calls: int = CALLS
) -> tuple[float, int]:
    """Seconds of a search that are not the calculator's, and its calls."""
    atoms, calculator = _begun(system), Timed()
    atoms.calc = calculator
    with tempfile.TemporaryDirectory() as folder:
        places = {"folder": f"{folder}/run", "cache": Path(folder) / "calls.extxyz"}
        began = time.process_time()
        limits = Limits(evaluations=calls)
        options: dict[str, Any] = places if kept else {}
        ase_l2h.search(atoms, seed=seed, limits=limits, **options)
        spent = time.process_time() - began
    return spent - calculator.seconds, calculator.count


def beside(system: str, seed: int, kept: bool) -> float:
    """Milliseconds per call of a search that are not the calculator's."""
    seconds, count = spent_beside(system, seed, kept)
    return 1000 * seconds / count


def campaign() -> dict[str, Any]:
    """Of many small searches: milliseconds per call in each part."""
    found: dict[bool, list[float]] = {False: [], True: []}
    spent_beside("Cu6", SEEDS[0] - 1, True, SMALL_CALLS)
    for part in tqdm(range(PARTS), unit="part", leave=False):
        sums = {False: np.zeros(2), True: np.zeros(2)}
        for k in range(SMALL // PARTS):
            for kept in (False, True) if k % 2 else (True, False):
                seed = SEEDS[0] + SMALL // PARTS * part + k
                sums[kept] += spent_beside("Cu6", seed, kept, SMALL_CALLS)
        for kept, (seconds, count) in sums.items():
            found[kept].append(round(1000 * seconds / count, 2))
    return {"plain_ms": found[False], "kept_ms": found[True]}


def measured(system: str) -> dict[str, Any]:
    """Of one system: milliseconds of each seed."""
    if system == CAMPAIGN:
        return {**campaign(), "command": "python -m benchmarks.hits.overhead"}
    beside(system, SEEDS[0] - 1, True)
    return {
        "plain_ms": [round(beside(system, seed, False), 2) for seed in SEEDS],
        "kept_ms": [round(beside(system, seed, True), 2) for seed in SEEDS],
        "command": "python -m benchmarks.hits.overhead",
    }


def main() -> None:
    """Measure what is missing."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    records = Records(RECORDS)
    for system in (bar := tqdm((*SYSTEMS, CAMPAIGN), unit="system")):
        bar.set_description(system)
        records.get({"system": system}, lambda system=system: measured(system))


if __name__ == "__main__":
    main()
