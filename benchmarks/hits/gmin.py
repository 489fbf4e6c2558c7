"""Basin hopping against Wales's GMIN on LJ38: the same settings, the same cost.

    python -m benchmarks.hits.gmin [--chains 100] [--seed 38]

The Wales group publishes, with its input, the first encounters of 100 runs of GMIN from
random starts: 2824.70 quenches and 387,784.64 evaluations on average, with standard
deviations 3092.98 and 427,516.22 (github.com/wales-group/examples,
``LJ38/02_Calculating_MFET``, input without symmetry). Our basin hopping gets that
input's settings; the mean number of quenches must agree within three combined standard
errors. 25 chains at a time are a line of ``benchmarks/records/gmin.jsonl``; lines that
are in the file are not run again.

What differs from GMIN: known minima are told apart by their energies, not by the
distance of the structures; the threshold of the angular move stays where it begins
while the step adapts; quenches end by the largest force on an atom, not by its root
mean square, and those that go low are made tighter in place of a final quench.
"""

from __future__ import annotations

import argparse
import functools
import math
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ase_l2h._internal.records import Records
from ase_l2h.comparison.first_encounter import first_encounters, mean_wait
from ase_l2h.optimizers import BasinHopping, Moves, Restarts
from ase_l2h.rules import Lbfgs
from ase_l2h.search.problem import Problem
from benchmarks import paths

RECORDS = paths.RECORDS / "gmin.jsonl"
TARGET = "LJ38"
D0 = 2 ** (1 / 6)
PART = 25
# Chains that need more, one in a million by the published mean, count as censored.
MAX_EVALUATIONS = 6_000_000


class Published(NamedTuple):
    """Mean and standard deviation over so many runs of GMIN."""

    mean: float
    deviation: float
    runs: int = 100

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.deviation / math.sqrt(self.runs)


GMIN = {
    "quenches": Published(2824.70, 3092.98),
    "evaluations": Published(387_784.64, 427_516.22),
}


def gmin_basin_hopping() -> BasinHopping:
    """The published input, in reduced units.

    ``STEP 0.40 0.51``, ``TEMPERATURE 1.0``, ``NEWRESTART 40``, ``AVOID 4.0 20 F``,
    ``SLOPPYCONV 5.0D-3``, ``MAXIT 600``, ``EDIFF 0.003``; L-BFGS with 4 updates and
    steps up to 0.4; acceptance 0.5; container 4.33 (these from GMIN's output). Lengths
    there are in sigma.
    """
    return BasinHopping(
        quench=Lbfgs(max_step=0.1, memory=4),
        moves=Moves(size=0.40 / D0, surface=0.51, container=2.0),
        temperature=1.0,
        acceptance=0.5,
        restarts=Restarts(stall=40, same=0.003, n_known=20),
        max_quench=600,
    )


def mean_and_error(record: dict[str, Any], name: str) -> tuple[float, float]:
    """Mean count until an encounter and its standard error, cut-off chains included.

    With all chains at the target these are the sample's; otherwise those of exponential
    waits, see :func:`~ase_l2h.comparison.first_encounter.mean_wait`.
    """
    counts, found = np.array(record[name]), np.array(record["found"], bool)
    if found.all():
        return float(counts.mean()), float(counts.std(ddof=1) / math.sqrt(len(counts)))
    return mean_wait(found, counts)


def joined(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Chains of all lines in one record."""
    names = ("found", "quenches", "evaluations")
    return {name: [v for line in lines for v in line[name]] for name in names}


def standard_errors_apart(record: dict[str, Any], name: str) -> float:
    """Our mean less GMIN's, over the combined standard error."""
    mean, error = mean_and_error(record, name)
    return (mean - GMIN[name].mean) / math.hypot(error, GMIN[name].error)


def chains(first: int, seed: int) -> dict[str, Any]:
    """Chains from number ``first`` on, each to its encounter."""
    problem = Problem.of(TARGET)
    energy = problem.reference
    assert energy is not None  # published for 2 to 150 atoms
    with tqdm(total=PART, desc=f"chains from {first}") as bar:
        result = first_encounters(
            problem,
            gmin_basin_hopping(),
            energy,
            chains=PART,
            first=first,
            max_evaluations=MAX_EVALUATIONS,
            seed=seed,
            progress=bar.update,
        )
    return {
        "target_energy": energy,
        "max_evaluations": MAX_EVALUATIONS,
        "found": result.found.tolist(),
        "quenches": result.quenches.tolist(),
        "evaluations": result.evaluations.tolist(),
        "wall_seconds": round(result.wall_seconds, 1),
    }


def main() -> None:
    """Run what is missing and say how far the means are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", type=int, default=100)
    parser.add_argument("--seed", type=int, default=38)
    arguments = parser.parse_args()
    records, lines = Records(RECORDS), []
    for first in range(0, arguments.chains, PART):
        key = {"target": TARGET, "seed": arguments.seed, "first": first}
        run = functools.partial(chains, first, arguments.seed)
        lines.append(records.get(key, run))
    record = joined(lines)
    print(f"{sum(record['found'])} of {len(record['found'])} chains found {TARGET}")
    for name, published in GMIN.items():
        mean, error = mean_and_error(record, name)
        apart = standard_errors_apart(record, name)
        print(
            f"{name}: {mean:,.0f} ± {error:,.0f}, GMIN {published.mean:,.0f} ± "
            f"{published.error:,.0f}: {apart:+.1f} combined standard errors apart"
        )


if __name__ == "__main__":
    main()
