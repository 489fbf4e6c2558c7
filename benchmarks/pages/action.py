"""``docs/action.md``: tables and pictures of the action paper's functions."""

from __future__ import annotations

from ase_l2h._internal.records import read_lines
from ase_l2h.report.figures import save_figure
from ase_l2h.report.pages import replace_block
from ase_l2h.reproduce.action.atoms import binary_table, cluster_table
from ase_l2h.reproduce.action.figures import course_figure, loss_figure
from ase_l2h.reproduce.action.tables import (
    COLUMNS,
    cost_table,
    function_table,
    ordering_table,
    paths_table,
)
from benchmarks import paths
from benchmarks.hits.action import FUNCTIONS, RECORDS

__all__ = ["write"]


def write() -> None:
    """Tables and pictures of the page, from the records alone."""
    lines = read_lines(RECORDS)
    page = paths.DOCS / "action.md"
    for name in FUNCTIONS:
        replace_block(page, name, function_table(lines, name) + f"\n\n{COLUMNS}")
        save_figure(
            course_figure(lines, name), paths.IMAGES / f"action-{name}.png", "png"
        )
    replace_block(page, "ordering", ordering_table(lines))
    replace_block(page, "paths", paths_table(lines))
    replace_block(page, "cost", cost_table(lines))
    save_figure(loss_figure(lines), paths.IMAGES / "action-loss.png", "png")
    kinds = {line["record"] for line in lines}
    for kind, mark, table in (
        ("cluster", "clusters", cluster_table),
        ("binary", "binary", binary_table),
    ):
        text = table(lines) if kind in kinds else "Not in the records yet."
        replace_block(page, mark, text)
    made = sorted({line["machine"] for line in lines})
    replace_block(page, "made", f"Measured on {', '.join(made)}.")
