"""Tables of the action paper, from records of runs on its functions.

Tables 1 and 2 of "Discovering global minimum of high dimensional energy landscapes",
with what the paper leaves out: values reached, several seeds, copies of the functions
whose minimum is not the middle of the box, and other methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_l2h._internal.records import Lines
from ase_l2h.report.pages import markdown_table
from ase_l2h.reproduce.action.lines import TITLES, select, values_of
from ase_l2h.reproduce.action.methods import COPIES, METHODS

__all__ = [
    "COLUMNS",
    "cost_table",
    "function_table",
    "ordering_table",
    "paths_table",
]

# In 1000 dimensions, one seed; least distance of all points, and distance of the point
# of lowest energy; Table 1 (Schaffer F7) and Table 2 (Alpine-1).
PUBLISHED = {
    "schaffer-f7": {
        "action": (102.4842, 102.4842),
        "regression": (495.8499, 495.8499),
        "Adam": (1744.2198, 1701.7724),
    },
    "alpine1": {
        "action": (113.8799, 113.8799),
        "regression": (533.1343, 545.4366),
        "Adam": (482.7661, 1006.0282),
    },
}
PUBLISHED_DIMENSION = 1000
ORDER = ("action", "regression", "Adam")
COLUMNS = (
    "U is the value reached. The other columns are root mean square distances per "
    "coordinate: of the lowest point and of the nearest of all points from the "
    "published minimum, and of the lowest point from the nearest zero (Alpine-1 "
    "vanishes wherever sin x = -0.1). Numbers are medians, and ranges over the seeds."
)


def _spread(values: Sequence[float]) -> str:
    """Median, with the range where there are several."""
    middle = f"{np.median(values):.3g}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.3g} to {max(values):.3g})"


def _per_coordinate(line: dict[str, Any], name: str = "distance") -> float:
    return line[name] / line["dimension"] ** 0.5


def function_table(lines: Lines, name: str) -> str:
    """What every method reaches on a function, beside the published numbers."""
    lines = select(lines, function=name)
    header = ["dimension, copy", "evaluations", "method"]
    header += ["U", "distance", "nearest point"]
    alpine = name == "alpine1"
    if alpine:
        header.append("to a zero")
    rows = []
    for dimension, budget, copy in _cases(lines):
        for method in METHODS:
            runs = select(
                lines, dimension=dimension, budget=budget, copy=copy, method=method
            )
            if not runs:
                continue
            row = [f"{dimension}, {copy}", f"{budget:,}", method]
            row.append(_spread([line["energy"] for line in runs]))
            for column in ("distance", "least_distance"):
                row.append(_spread([_per_coordinate(f, column) for f in runs]))
            if alpine:
                row.append(_spread([line["to_zero"] for line in runs]))
            rows.append(row)
    for method, (least, best) in PUBLISHED[name].items():
        root = PUBLISHED_DIMENSION**0.5
        row = [f"{PUBLISHED_DIMENSION}, paper", "-", method, "-"]
        row += [f"{best / root:.3g}", f"{least / root:.3g}"]
        rows.append([*row, "-"] if alpine else row)
    return markdown_table(header, rows)


def _cases(lines: Lines) -> list[tuple[int, int, str]]:
    """Dimensions, budgets and copies that occur, in this order."""
    found = {(f["dimension"], f["budget"], COPIES.index(f["copy"])) for f in lines}
    return [(d, budget, COPIES[k]) for d, budget, k in sorted(found)]


def ordering_table(lines: Lines) -> str:
    """In how many seeds action < regression < Adam, by distance and by value."""
    header = ["function", "dimension", "evaluations", "copy", "by distance", "by U"]
    rows = []
    for name in values_of(lines, "function"):
        cases = select(lines, function=name)
        for dimension, budget, copy in _cases(cases):
            runs = select(cases, dimension=dimension, budget=budget, copy=copy)
            orders = _orderings(runs)
            if orders:
                by = [str(sum(order[k] for order in orders)) for k in (0, 1)]
                row = [TITLES[name], str(dimension), f"{budget:,}", copy, *by]
                rows.append([*row, str(len(orders))])
    return markdown_table([*header, "seeds"], rows)


def paths_table(lines: Lines) -> str:
    """Distance of regression in units of that of action: what paths add.

    Median over the seeds of each, at the largest budget that both have.
    """
    dimensions = values_of(lines, "dimension")
    header = ["function, copy", *(f"d = {d}" for d in dimensions)]
    rows = []
    for name in values_of(lines, "function"):
        for copy in COPIES:
            row = [f"{TITLES[name]}, {copy}"]
            for dimension in dimensions:
                runs = select(lines, function=name, copy=copy, dimension=dimension)
                row.append(_gain(runs))
            rows.append(row)
    return markdown_table(header, rows)


def _gain(lines: Lines) -> str:
    budgets = [
        {line["budget"] for line in select(lines, method=method)}
        for method in ("action", "regression")
    ]
    both = budgets[0] & budgets[1]
    if not both:
        return "-"
    lines = select(lines, budget=max(both))
    action, regression = (
        np.median([line["distance"] for line in select(lines, method=method)])
        for method in ("action", "regression")
    )
    return f"{regression / action:.2f}"


def _orderings(lines: Lines) -> list[tuple[bool, bool]]:
    """Whether the order of the paper holds, by distance and by U, for each seed."""
    orders = []
    for seed in values_of(lines, "seed"):
        runs = [select(lines, seed=seed, method=method) for method in ORDER]
        if all(runs):
            far, high = (
                [lines_of_method[0][column] for lines_of_method in runs]
                for column in ("distance", "energy")
            )
            orders.append((far[0] < far[1] < far[2], high[0] < high[1] < high[2]))
    return orders


def cost_table(lines: Lines) -> str:
    """Processor time of 1000 charged evaluations against the dimension.

    The shortest of two or more runs of a function: the first of them compiles.
    """
    dimensions = values_of(lines, "dimension")
    header = ["method", *(f"d = {d}" for d in dimensions)]
    rows = []
    for method in METHODS:
        row = [method]
        for dimension in dimensions:
            runs = select(lines, method=method, dimension=dimension)
            costs = [
                1e6 * line["cpu_seconds"] / line["charged_evaluations"]
                for line in runs
                if len(select(runs, function=line["function"])) > 1
            ]
            row.append(f"{min(costs):.3g}" if costs else "-")
        rows.append(row)
    return markdown_table(header, rows)
