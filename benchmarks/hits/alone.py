"""One file of weights by itself against basin hopping, where it was not trained.

    python -m benchmarks.hits.alone [--side test] [--targets EMT-Ni29]
    python -m benchmarks.hits.alone --side paper

Landscapes, sides and seeds are those of :mod:`benchmarks.hits.landscapes`. All methods
have the same evaluations; what counts is the lowest energy that a run has met by then.
`hop` was trained on Lennard-Jones clusters and drawn metals, `lj-icosahedral` on
Lennard-Jones clusters. How `hop` is used, in chains, was chosen on the side
``development``. The side ``paper`` has the paper's comparison: 150 runs of 50,000
evaluations, here with the default too. A line of ``benchmarks/records/alone.jsonl`` for
each target and method; lines that are in the file are not run again.
"""

from __future__ import annotations

import argparse
import functools
from typing import Any, NamedTuple

from tqdm import tqdm

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records
from ase_l2h.comparison.protocol import method_spec
from ase_l2h.search.limits import Limits
from ase_l2h.search.names import DEFAULT_METHOD
from ase_l2h.search.problem import HIT, Problem
from ase_l2h.search.registry import make_method
from benchmarks import paths
from benchmarks.hits.landscapes import LANDSCAPES, SEEDS, posed, searched

__all__ = ["CHAINS", "HOPPING", "LEARNED", "RECORDS", "measured", "runs_of"]

RECORDS = paths.RECORDS / "alone.jsonl"
LEARNED, CHAINS, HOPPING = "learned:lj-icosahedral", "hops", "bh"
RUNS = 24
# Alone, a chain of basin hopping that begins badly spends all evaluations of a run; of
# 1, 4 and 8 side by side, these ended lowest on the side 'development'.
CHAINS_OF_HOPPING = 8
# The larger clusters of the paper's Table 2, and an alloy; runs, evaluations.
PAPER = ("LJ75", "Au55", "Ag19Au19")
PAPER_RUNS, PAPER_BUDGET = 150, 50_000
SIDES = (*SEEDS, "paper")


class Run(NamedTuple):
    """What each method does on a target."""

    target: str
    seed: int
    runs: int
    budget: int


def runs_of(side: str) -> list[Run]:
    """The runs of a side."""
    if side == "paper":
        seed = SEEDS["test"]
        return [Run(name, seed, PAPER_RUNS, PAPER_BUDGET) for name in PAPER]
    return [
        Run(name, SEEDS[side], RUNS, landscape.budget)
        for name, landscape in LANDSCAPES.items()
        if landscape.side == side
    ]


def measured(
    target: str, method: str, seed: int, runs: int, budget: int
) -> dict[str, Any]:
    """The lowest energy of each run when its evaluations are spent."""
    problem = Problem.of(target) if target in PAPER else posed(target)
    if method == HOPPING and target not in PAPER:
        made = make_method(method, problem, width=CHAINS_OF_HOPPING)
    else:
        made = method_spec(method).make(problem)
    seeds = [(seed, number) for number in range(runs)]
    traces = searched(problem, made, seeds, Limits(budget)).searches
    return {
        "energies": [round(trace.energy, 8) for trace in traces],
        "charged": [trace.charged for trace in traces],
        "tolerance": HIT * problem.energy_unit,
        "unit": problem.energy_unit,
        "settings": made.describe(),
        **provenance(),
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=SIDES, default="test")
    parser.add_argument("--targets", default="")
    arguments = parser.parse_args()
    chosen = arguments.targets.split(",") if arguments.targets else None
    methods = [HOPPING, LEARNED, CHAINS]
    methods += [DEFAULT_METHOD] if arguments.side == "paper" else []
    records = Records(RECORDS)
    for run_of in (bar := tqdm(runs_of(arguments.side), unit="target")):
        if chosen is not None and run_of.target not in chosen:
            continue
        for method in methods:
            bar.set_description(f"{run_of.target} {method}")
            key = {"method": method, **run_of._asdict()}
            records.get(key, functools.partial(measured, **key))


if __name__ == "__main__":
    main()
