"""The main table: what a first encounter costs, every method on six targets.

    python -m benchmarks.hits.comparison [--targets LJ13,LJ38] [--methods learned,bh]

All runs follow from seed 2026, which nothing was tuned on. What was declared, and one
line per run, goes to the folder ``benchmarks/records/comparison/TARGET``; what is there
already is not run again, so a run may be stopped at any time and goes on with the runs
that are missing. The files ``TARGET.jsonl`` beside it are the records of release 0.1.0.
``python -m benchmarks.pages comparison`` turns them into tables and pictures.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import NamedTuple

from ase_l2h.comparison.outcome import Comparison, read_comparison
from ase_l2h.comparison.protocol import Protocol, declare
from ase_l2h.comparison.record import RECORD, ComparisonRecord
from ase_l2h.comparison.running import run_protocol
from ase_l2h.reproduce.progress import counted_progress
from benchmarks import paths

__all__ = ["METHODS", "TARGETS", "method_names", "protocol", "recorded"]

RECORDS = paths.RECORDS / "comparison"
SEED = 2026


class Declared(NamedTuple):
    """Runs, charged evaluations of a run, and the weights that suit a target best.

    Which weights these are is known from ``results.jsonl``, whose starts are others.
    ``energy`` is what was declared, where a lower minimum has come to light since;
    ``remark`` what a reader of the table has to know about what was declared.
    """

    runs: int
    budget: int
    expert: str
    energy: float | None = None
    remark: str = ""


TARGETS = {
    "LJ13": Declared(100, 1_000_000, "lj-icosahedral"),
    "LJ38": Declared(100, 1_000_000, "lj-fcc"),
    "LJ75": Declared(48, 500_000, "lj"),
    "Au55": Declared(48, 500_000, "gupta-au", -181.88948572),
    "Si64": Declared(
        48,
        30_000,
        "universal",
        remark="For silicon 100,000 evaluations a run had been declared first; for "
        "want of time that was cut after the first 15 blocks of starts of `learned`, "
        "none of which had a hit. `hybrid` is for clusters only.",
    ),
    "Ag19Au19": Declared(48, 500_000, "gupta-alloys"),
}
# The cheapest first.
METHODS = (
    "auto",
    "learned",
    "EXPERT",
    "bh",
    "adam",
    "fire",
    "gd",
    "bh-paper",
    "PAPER",
)


def method_names(target: str, methods: str) -> list[str]:
    """The methods as they are written, from names separated by commas."""
    experts = {
        "EXPERT": f"learned:{TARGETS[target].expert}",
        "PAPER": "learned:paper-lj13",
    }
    return [experts.get(method, method) for method in methods.split(",")]


def recorded(target: str) -> Comparison | None:
    """What the records have of a target: those of today, else those of 0.1.0."""
    files = RECORDS / target / RECORD, RECORDS / f"{target}.jsonl"
    parts = [read_comparison(file) for file in files if file.exists()]
    if not parts:
        return None
    comparison = _joined(*parts)
    # As a method of 0.1.0 was called.
    order = ["hybrid", *method_names(target, ",".join(METHODS))]
    known = [name for name in order if name in comparison.methods]
    others = [name for name in comparison.methods if name not in known]
    return comparison.of(methods=[*known, *others])


def _joined(present: Comparison, former: Comparison | None = None) -> Comparison:
    """Today's runs, and those of 0.1.0 of methods that have not been run again."""
    if former is None:
        return present
    missing = [name for name in former.methods if name not in present.methods]
    kept = former.of(methods=missing)
    return dataclasses.replace(
        present,
        methods=(*present.methods, *missing),
        encounters=present.encounters | kept.encounters,
        settings=present.settings | kept.settings,
        machines=tuple(sorted({*present.machines, *kept.machines})),
    )


def protocol(target: str, methods: str) -> Protocol:
    """What is declared for a target."""
    limits = TARGETS[target]
    return declare(
        target,
        method_names(target, methods),
        runs=limits.runs,
        budget=limits.budget,
        seed=SEED,
        energies={} if limits.energy is None else {target: limits.energy},
    )


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--methods", default=",".join(METHODS))
    arguments = parser.parse_args()
    with counted_progress("comparison") as show:
        for target in arguments.targets.split(","):
            record = ComparisonRecord(RECORDS / target)
            run_protocol(protocol(target, arguments.methods), record, on_progress=show)


if __name__ == "__main__":
    main()
