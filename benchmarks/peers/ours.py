"""Our basin hopping in the record of its peers, by the same count.

    python benchmarks/peers/ours.py [--targets LJ13,LJ38]

Runs in the project's own environment. Targets, budgets and the meaning of a line are
those of ``run.py``; chain i of a batch stands for seed 2026 + i. The quench that
confirms a minimum in double precision is charged. Seconds are the batch's, compilation
included, over the chains.
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version

from settings import BUDGETS, RECORDS, SEED, SEEDS, TARGETS, done

from ase_l2h.evaluation.first_encounter import first_encounters
from ase_l2h.methods import strong_basin_hopping
from ase_l2h.targets import named_target

METHOD = "ase_l2h bh"


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(TARGETS))
    arguments = parser.parse_args()
    known = RECORDS.read_text().splitlines() if RECORDS.exists() else []
    finished = done([json.loads(line) for line in known])
    for name in arguments.targets.split(","):
        budget = BUDGETS[name]
        if (name, METHOD, SEED, budget) in finished:
            continue
        target = named_target(name)
        result = first_encounters(
            target.potential,
            target.system,
            strong_basin_hopping(target.system),
            TARGETS[name],
            chains=SEEDS,
            max_evaluations=budget,
            seed=SEED,
        )
        lines = [
            {
                "kind": "encounter",
                "target": name,
                "target_energy": TARGETS[name],
                "method": METHOD,
                "seed": SEED + chain,
                "budget": budget,
                # A chain stops a little after its budget.
                "found": bool(result.found[chain]) and evaluations <= budget,
                "evaluations": min(evaluations, budget),
                "near": None,
                "lowest": round(float(result.energies[chain]), 6),
                "wall_seconds": round(result.wall_seconds / SEEDS, 3),
                "cpu_seconds": None,
                "machine": platform.machine(),
                "versions": {n: version(n) for n in ("ase-l2h", "jax", "numpy")},
            }
            for chain, evaluations in enumerate(result.evaluations.tolist())
        ]
        with RECORDS.open("a") as stream:
            stream.writelines(json.dumps(line) + "\n" for line in lines)
        print(name, result.mean(result.evaluations), flush=True)


if __name__ == "__main__":
    main()
