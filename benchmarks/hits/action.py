"""The action paper's functions: every method, several seeds, original and shifted.

    python -m benchmarks.hits.action [--functions alpine1,schaffer-f7] [--dimensions 10]
        [--budget 1000000] [--methods Adam/regression] [--seeds 1]
    python -m benchmarks.hits.action --atoms clusters    (or binary)

Records go to ``benchmarks/records/action.jsonl``; what is in it is not run again.
``python -m benchmarks.pages action`` writes tables and pictures of ``docs/action.md``
from it.
"""

from __future__ import annotations

import argparse

from ase_l2h._internal.records import Records
from ase_l2h.reproduce.action.atoms import Budget as GlassBudget
from ase_l2h.reproduce.action.atoms import binary_lines, cluster_lines
from ase_l2h.reproduce.action.lines import Budget, function_lines
from ase_l2h.reproduce.action.methods import METHODS
from ase_l2h.reproduce.progress import counted_progress
from benchmarks import paths

__all__ = ["FUNCTIONS", "RECORDS"]

RECORDS = paths.RECORDS / "action.jsonl"
FUNCTIONS = ("schaffer-f7", "alpine1")
MEASURED = Budget((10, 30, 100), 3, 200_000, (0.05, 0.2, 1.0, 2.5, 5.0))
SEED = 2026
CLUSTERS = ("LJ13", "LJ38")
CLUSTER_BUDGET = 40_000
GLASS = GlassBudget(32, 2_000)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--dimensions", default="10,30,100")
    parser.add_argument("--seeds", type=int, default=MEASURED.seeds)
    parser.add_argument("--budget", type=int, default=MEASURED.charged)
    parser.add_argument("--methods", default="/".join(METHODS), help="divided by /")
    parser.add_argument("--atoms", choices=("clusters", "binary"))
    arguments = parser.parse_args()
    records = Records(RECORDS)
    with counted_progress("action") as show:
        if arguments.atoms == "clusters":
            seeds = tuple(range(SEED, SEED + arguments.seeds))
            cluster_lines(records, CLUSTERS, CLUSTER_BUDGET, seeds, show)
        elif arguments.atoms == "binary":
            binary_lines(records, GLASS, SEED, show)
        else:
            dimensions = tuple(map(int, arguments.dimensions.split(",")))
            size = MEASURED._replace(
                dimensions=dimensions, seeds=arguments.seeds, charged=arguments.budget
            )
            names = arguments.functions.split(",")
            methods = arguments.methods.split("/")
            function_lines(records, names, size, SEED, show, methods=methods)


if __name__ == "__main__":
    main()
