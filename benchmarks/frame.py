"""How much the results depend on the orientation of the starts.

    python -m benchmarks.frame [--targets LJ13,LJ19] [--starts 256] [--seed 777]

The same starts are searched as drawn and turned by random rotations, with a rule that
treats coordinates one by one (the paper's) and with the equivariant one. Records go to
``benchmarks/records/frame.jsonl``, with the orientation of every icosahedron found:
the largest Cartesian component of its twelve vertex directions.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from ase_l2h.search.multistart import SearchResult
from ase_l2h.targets import Target, named_target
from benchmarks.machine import machine_class, versions

RECORDS = Path(__file__).parent / "records" / "frame.jsonl"


def vertex_alignment(target: Target, result: SearchResult) -> list[float]:
    """Largest direction cosine between icosahedron vertices and the axes, per hit."""
    assert target.reference is not None, "orientations are taken of known minima"
    hits = result.energies < target.reference + 1e-4
    cosines = []
    for index in np.flatnonzero(hits):
        positions = np.asarray(result.positions[..., index]).T
        positions = positions - positions.mean(axis=0)
        radius = np.linalg.norm(positions, axis=1)
        outer = positions[radius > 0.5] / radius[radius > 0.5, None]
        cosines.append(round(float(np.abs(outer).max()), 5))
    return cosines


def main() -> None:
    """Run both rules on both kinds of starts."""
    from ase_l2h.search.multistart import search

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default="LJ13,LJ19")
    parser.add_argument("--starts", type=int, default=256)
    parser.add_argument("--seed", type=int, default=777)
    parser.add_argument("--weights", default="universal,paper-lj13")
    arguments = parser.parse_args()
    RECORDS.parent.mkdir(exist_ok=True)
    lines = []
    for name in arguments.targets.split(","):
        target = named_target(name)
        for weights in arguments.weights.split(","):
            for rotate in (False, True):
                result = search(
                    target.potential,
                    target.system,
                    weights=weights,
                    n_starts=arguments.starts,
                    seed=arguments.seed,
                    rotate=rotate,
                )
                assert result.weights is not None, "a learned search has weights"
                line = {
                    "target": name,
                    "weights": result.weights.name,
                    "weights_sha256": result.weights.sha256,
                    "architecture": result.weights.metadata["architecture"],
                    "rotated": rotate,
                    "seed": arguments.seed,
                    "n_starts": arguments.starts,
                    "n_steps": result.n_steps,
                    "reference": target.reference,
                    "energies": [round(float(e), 8) for e in result.energies],
                    "machine": machine_class(),
                    "versions": versions(),
                }
                if name == "LJ13":
                    line["alignment"] = vertex_alignment(target, result)
                lines.append(json.dumps(line))
    RECORDS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
