"""Tables 1 and 2 and figures 2 to 4 of the action paper, from records."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase_l2h._internal.records import Lines, Records
from ase_l2h.report.pages import markdown_table
from ase_l2h.reproduce.action.figures import STYLES, course_figure, loss_figure
from ase_l2h.reproduce.action.lines import BUDGETS, TITLES, Budget, function_lines
from ase_l2h.reproduce.action.methods import METHODS
from ase_l2h.reproduce.action.tables import COLUMNS, function_table, ordering_table
from ase_l2h.reproduce.output import RECORDS, csv_rows, write_result
from ase_l2h.reproduce.registry import Progress

__all__ = ["fig2", "fig3", "fig4", "table1", "table2"]


def _reproduce_table(
    function: str,
    name: str,
    folder: Path,
    budget: str,
    seed: int,
    progress: Progress,
    dimension: int | None = None,
) -> str:
    """What every method reaches on a function."""
    size = _sized(budget, dimension)
    lines = _lines(folder, [function], size, seed, progress)
    return write_result(
        folder,
        name,
        f"{TITLES[function]}: what every method reaches",
        f"{function_table(lines, function)}\n\n{ordering_table(lines)}",
        csv_rows(lines),
        {},
        _left_out(budget, size, seed),
    )


def _reproduce_course(
    function: str,
    name: str,
    folder: Path,
    budget: str,
    seed: int,
    progress: Progress,
    dimension: int | None = None,
) -> str:
    """The learned minimum of a function in the course of one run."""
    size = _sized(budget, dimension)._replace(seeds=1)
    lines = _lines(folder, [function], size, seed, progress, tuple(STYLES))
    return write_result(
        folder,
        name,
        f"{TITLES[function]}: the learned minimum in the course of a run",
        function_table(lines, function),
        csv_rows(lines),
        {"": course_figure(lines, function)},
        _left_out(budget, size, seed),
    )


table1 = functools.partial(_reproduce_table, "schaffer-f7", "action-table1")
table2 = functools.partial(_reproduce_table, "alpine1", "action-table2")
fig2 = functools.partial(_reproduce_course, "alpine1", "action-fig2")
fig3 = functools.partial(_reproduce_course, "schaffer-f7", "action-fig3")


def fig4(
    folder: Path,
    budget: str,
    seed: int,
    progress: Progress,
    dimension: int | None = None,
) -> str:
    """``action-fig4`` of :mod:`ase_l2h.reproduce.registry`."""
    size = _sized(budget, dimension)._replace(seeds=1)
    lines = _lines(folder, tuple(TITLES), size, seed, progress, ("action",))
    rows = [
        {
            "function": line["function"],
            "copy": line["copy"],
            "dimension": line["dimension"],
            "charged_evaluations": charged,
            "loss": loss,
        }
        for line in lines
        for charged, loss in zip(
            line["trace"]["charged_evaluations"], line["trace"]["loss"], strict=True
        )
    ]
    table = [
        [TITLES[f["function"]], f["copy"], str(f["dimension"]), *_ends(f["trace"])]
        for f in lines
    ]
    header = ["function", "copy", "dimension", "samples, last", "paths, first", "last"]
    return write_result(
        folder,
        "action-fig4",
        "Loss along the paths in the course of a run",
        markdown_table(header, table),
        rows,
        {"": loss_figure(lines)},
        _left_out(budget, size, seed),
    )


def _ends(trace: dict[str, Any]) -> list[str]:
    """Loss of the last samples, and of the first and the last paths."""
    turn = trace["phase"].count("samples")
    losses = trace["loss"]
    return [f"{value:.3g}" for value in (losses[turn - 1], losses[turn], losses[-1])]


def _sized(budget: str, dimension: int | None) -> Budget:
    size = BUDGETS[budget]
    return size if dimension is None else size._replace(dimensions=(dimension,))


def _lines(
    folder: Path,
    functions: Sequence[str],
    size: Budget,
    seed: int,
    progress: Progress,
    methods: Sequence[str] = tuple(METHODS),
) -> Lines:
    records = Records(folder / RECORDS)
    return function_lines(records, functions, size, seed, progress, methods=methods)


def _left_out(budget: str, size: Budget, seed: int) -> str:
    dimensions = ", ".join(map(str, size.dimensions))
    return (
        f"Budget '{budget}': dimension {dimensions}, {size.charged:,} charged "
        f"evaluations a run, {len(size.rates)} rates of Adam, seeds {seed} to "
        f"{seed + size.seeds - 1}. The paper: dimension 1000, 20 hours of a V100, for "
        f"Adam 10,000 starts of 10,000 steps for each of 100 rates, one seed. {COLUMNS}"
    )
