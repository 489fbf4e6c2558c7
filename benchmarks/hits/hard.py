"""The dearest targets: how many runs meet each within a number of evaluations.

    python -m benchmarks.hits.hard [--goals LJ75~fragments,Ag30Au30]

Runs from seed 2026, which nothing was tuned on; a line of
``benchmarks/records/hard.jsonl`` for each, which is not run again. LJ75 is searched
without fragments too: nothing then knows a packing; the alloys also with exchanges
that are measured, not learned. ``python -m benchmarks.pages breadth`` makes the page.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records
from ase_l2h.comparison.running import compare
from benchmarks import paths
from benchmarks.hits.breadth import SEED

__all__ = ["GOALS", "RECORDS", "Goal"]

RECORDS = paths.RECORDS / "hard.jsonl"


class Goal(NamedTuple):
    """Runs, evaluations of each, how many should meet the target, and its energy.

    ``wanted`` is None where a goal is there to be compared with. Without an energy it
    is the lowest minimum that the package knows; ``without`` are parts of `auto` that
    are left out.
    """

    target: str
    runs: int
    budget: int
    wanted: int | None
    energy: float | None = None
    without: tuple[str, ...] = ()


# Energies (eV) of alloys: Du et al., R. Soc. Open Sci. 6, 190342 (2019), a little above
# what they print; what lies lower counts as well.
GOALS = {
    "Ag30Au30": Goal("Ag30Au30", 48, 600_000, 40, -188.3738),
    "Cu30Au30": Goal("Cu30Au30", 48, 300_000, 40, -199.3468),
    "Si64": Goal("Si64", 48, 200_000, 40),
    "LJ75~fragments": Goal("LJ75", 48, 4_000_000, 40, None, ("fragments",)),
    **{
        name: Goal(name, 24, 500_000, 22)
        for name in ("LJ76", "LJ77", "LJ102", "LJ103", "LJ104")
    },
    "LJ98": Goal("LJ98", 24, 1_000_000, 20),
}
GOALS |= {
    f"{name}~learned-exchanges": GOALS[name]._replace(
        wanted=None, without=("learned-exchanges",)
    )
    for name in ("Ag30Au30", "Cu30Au30")
}


def measured(name: str, seed: int) -> dict[str, Any]:
    """The runs of a goal."""
    goal = GOALS[name]
    method = "~".join(["auto", *goal.without])
    comparison = compare(
        goal.target,
        method,
        runs=goal.runs,
        budget=goal.budget,
        seed=seed,
        energies=None if goal.energy is None else {goal.target: goal.energy},
    )
    found = comparison.encounters[(goal.target, method)]
    return {
        "method": method,
        "target_energy": comparison.targets[goal.target],
        "found": np.asarray(found.found).tolist(),
        "evaluations": np.asarray(found.evaluations).tolist(),
        "lowest": found.lowest,
        "seconds_per_evaluation": found.seconds_per_evaluation,
        "command": "python -m benchmarks.hits.hard",
        **provenance(),
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--goals", default=",".join(GOALS))
    arguments = parser.parse_args()
    records = Records(RECORDS)
    for name in tqdm(arguments.goals.split(","), unit="goal"):
        goal = GOALS[name]
        key = {
            "goal": name,
            "target": goal.target,
            "seed": SEED,
            "runs": goal.runs,
            "budget": goal.budget,
        }
        line = records.get(key, lambda name=name: measured(name, SEED))
        hits = sum(line["found"])
        wanted = "" if goal.wanted is None else f", wanted {goal.wanted}"
        print(f"{name}: {hits} of {goal.runs}{wanted}", flush=True)


if __name__ == "__main__":
    main()
