"""How much the results depend on the orientation of the starts.

    python -m benchmarks.hits.frame [--targets LJ13,LJ19] [--starts 256] [--seed 777]

The same starts are searched as drawn and turned by random rotations, with a rule that
treats coordinates one by one (the paper's) and with the equivariant one. Records go to
``benchmarks/records/frame.jsonl``, with the orientation of every icosahedron found:
the largest Cartesian component of its twelve vertex directions. What is in the file
with the same settings is not run again.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from typing import Any

from ase_l2h._internal.records import Records
from ase_l2h.reproduce.learn2hop.behaviour import vertex_cosines
from ase_l2h.reproduce.searching import run_search
from ase_l2h.targets import named_target
from ase_l2h.weights.load import load_weights
from benchmarks import paths

__all__ = ["RECORDS"]

RECORDS = paths.RECORDS / "frame.jsonl"


def measured(
    name: str, weights: str, rotate: bool, starts: int, seed: int
) -> dict[str, Any]:
    """One search, without its key and provenance."""
    target, loaded = named_target(name), load_weights(weights)
    result = run_search(
        target.potential,
        target.system,
        weights=weights,
        starts=starts,
        seed=seed,
        rotate=rotate,
    )
    line = {
        "weights": loaded.name,
        "architecture": loaded.metadata["architecture"],
        "n_steps": result.n_steps,
        "reference": target.reference,
        "energies": [round(float(e), 8) for e in result.energies],
    }
    if name == "LJ13":
        cosines = vertex_cosines(target, result.energies, result.positions)
        line["alignment"] = cosines
    return line


def main() -> None:
    """Run both rules on both kinds of starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default="LJ13,LJ19")
    parser.add_argument("--starts", type=int, default=256)
    parser.add_argument("--seed", type=int, default=777)
    parser.add_argument("--weights", default="universal,paper-lj13")
    arguments = parser.parse_args()
    records = Records(RECORDS)
    for name, weights, rotate in itertools.product(
        arguments.targets.split(","), arguments.weights.split(","), (False, True)
    ):
        key = {
            "target": name,
            "weights_sha256": load_weights(weights).sha256,
            "rotated": rotate,
            "seed": arguments.seed,
            "n_starts": arguments.starts,
        }
        case = (name, weights, rotate, arguments.starts, arguments.seed)
        records.get(key, functools.partial(measured, *case))


if __name__ == "__main__":
    main()
