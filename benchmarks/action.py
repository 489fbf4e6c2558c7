"""The action paper's functions: every method, several seeds, original and shifted.

    python -m benchmarks.action [--functions alpine1,schaffer-f7] [--dimensions 10,30]
    python -m benchmarks.action --atoms clusters    (or binary)
    python -m benchmarks.action --render

Records go to ``benchmarks/records/action.jsonl``; what is in it is not run again.
``--render`` writes tables and pictures of ``docs/action.md`` from it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from ase_l2h._internal.records import Records
from ase_l2h.report.figures import save_figure
from ase_l2h.reproduce.action.atoms import Budget as GlassBudget
from ase_l2h.reproduce.action.atoms import (
    binary_lines,
    binary_table,
    cluster_lines,
    cluster_table,
)
from ase_l2h.reproduce.action.figures import course_figure, loss_figure
from ase_l2h.reproduce.action.lines import Budget, function_lines
from ase_l2h.reproduce.action.tables import (
    COLUMNS,
    cost_table,
    function_table,
    ordering_table,
)
from benchmarks.render import replace_between

RECORDS = Path(__file__).parent / "records" / "action.jsonl"
DOCS = Path(__file__).parents[1] / "docs"
FUNCTIONS = ("schaffer-f7", "alpine1")
MEASURED = Budget((10, 30, 100), 3, 200_000, (0.05, 0.2, 1.0, 2.5, 5.0))
SEED = 2026
CLUSTERS = ("LJ13", "LJ38")
CLUSTER_BUDGET = 40_000
GLASS = GlassBudget(32, 2_000)


def render() -> None:
    """Tables and pictures of the page, from the records alone."""
    lines = Records(RECORDS).lines
    page = DOCS / "action.md"
    for name in FUNCTIONS:
        replace_between(page, name, function_table(lines, name) + f"\n\n{COLUMNS}")
        save_figure(
            course_figure(lines, name), DOCS / "images" / f"action-{name}.png", "png"
        )
    replace_between(page, "ordering", ordering_table(lines))
    replace_between(page, "cost", cost_table(lines))
    save_figure(loss_figure(lines), DOCS / "images" / "action-loss.png", "png")
    kinds = {line["record"] for line in lines}
    for kind, mark, table in (
        ("cluster", "clusters", cluster_table),
        ("binary", "binary", binary_table),
    ):
        text = table(lines) if kind in kinds else "Not in the records yet."
        replace_between(page, mark, text)
    made = sorted({line["machine"] for line in lines})
    replace_between(page, "made", f"Measured on {', '.join(made)}.")


def main() -> None:
    """Run what is missing, or render."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--dimensions", default="10,30,100")
    parser.add_argument("--seeds", type=int, default=MEASURED.seeds)
    parser.add_argument("--atoms", choices=("clusters", "binary"))
    parser.add_argument("--render", action="store_true")
    arguments = parser.parse_args()
    if arguments.render:
        render()
        return
    records = Records(RECORDS)
    with tqdm() as bar:

        def show(done: int, of: int, what: str) -> None:
            bar.total = of
            bar.set_postfix_str(what)
            bar.update(done - bar.n)

        if arguments.atoms == "clusters":
            seeds = tuple(range(SEED, SEED + arguments.seeds))
            cluster_lines(records, CLUSTERS, CLUSTER_BUDGET, seeds, show)
        elif arguments.atoms == "binary":
            binary_lines(records, GLASS, SEED, show)
        else:
            dimensions = tuple(map(int, arguments.dimensions.split(",")))
            size = MEASURED._replace(dimensions=dimensions, seeds=arguments.seeds)
            names = arguments.functions.split(",")
            function_lines(records, names, size, SEED, show)


if __name__ == "__main__":
    main()
