"""One file of weights by itself against basin hopping, where it was not trained.

    python -m benchmarks.hits.alone [--side test] [--targets EMT-Ni29]

Landscapes, sides and seeds are those of :mod:`benchmarks.hits.landscapes`. Both methods
have the same evaluations; what counts is the lowest energy that a run has met by then.
The weights were chosen on the side ``development`` and were trained on Lennard-Jones
clusters only. A line of ``benchmarks/records/alone.jsonl`` for each landscape and
method; lines that are in the file are not run again.
"""

from __future__ import annotations

import argparse
import functools
from typing import Any

from tqdm import tqdm

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records
from ase_l2h.comparison.protocol import method_spec
from ase_l2h.search.driver import engine_for
from ase_l2h.search.limits import Limits
from ase_l2h.search.method import SearchRun, run
from ase_l2h.search.problem import HIT
from benchmarks import paths
from benchmarks.hits.landscapes import LANDSCAPES, SEEDS, posed

__all__ = ["HOPPING", "LEARNED", "RECORDS", "RUNS", "measured"]

RECORDS = paths.RECORDS / "alone.jsonl"
LEARNED, HOPPING = "learned:lj-icosahedral", "bh"
RUNS = 24


def measured(
    target: str, method: str, seed: int, runs: int, budget: int
) -> dict[str, Any]:
    """The lowest energy of each run when its evaluations are spent."""
    problem = posed(target)
    made = method_spec(method).make(problem)
    search = SearchRun(
        made,
        [problem] * runs,
        [(seed, number) for number in range(runs)],
        Limits(budget),
        engine_for(problem),
        stop_together=False,
    )
    run(search)
    if search.stopped == "interrupted":
        raise KeyboardInterrupt
    traces = search.result(seed=seed).searches
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
    parser.add_argument("--side", choices=list(SEEDS), default="test")
    parser.add_argument("--targets", default="")
    arguments = parser.parse_args()
    names = arguments.targets.split(",") if arguments.targets else list(LANDSCAPES)
    wanted = [name for name in names if LANDSCAPES[name].side == arguments.side]
    records = Records(RECORDS)
    for target in (bar := tqdm(wanted, unit="landscape")):
        for method in (HOPPING, LEARNED):
            bar.set_description(f"{target} {method}")
            key = {
                "target": target,
                "method": method,
                "seed": SEEDS[arguments.side],
                "runs": RUNS,
                "budget": LANDSCAPES[target].budget,
            }
            records.get(key, functools.partial(measured, **key))


if __name__ == "__main__":
    main()
