"""Tables and figures of the action paper, from records of runs on its functions.

Tables 1 and 2 and figures 2 to 4 of "Discovering global minimum of high dimensional
energy landscapes", with what the paper leaves out: values reached, several seeds,
copies of the functions whose minimum is not the middle of the box, and other methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import Lines, Records, markdown_table
from ase_l2h.report.figures import (
    BLUE,
    GREY,
    VERMILLION,
    new_figure,
    tidy_axes,
)
from ase_l2h.reproduce.action.methods import COPIES, METHODS, function_line
from ase_l2h.reproduce.learn2hop.pages import RECORDS, write_exhibit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BUDGETS",
    "COLUMNS",
    "Budget",
    "cost_table",
    "course_figure",
    "function_lines",
    "function_table",
    "loss_figure",
    "ordering_table",
]

Progress = Callable[[int, int, str], Any]


class Budget(NamedTuple):
    """Dimensions, number of seeds, charged evaluations of a run, rates of Adam."""

    dimensions: tuple[int, ...]
    seeds: int
    charged: int
    rates: tuple[float, ...]


BUDGETS = {
    "quick": Budget((10,), 1, 50_000, (0.05, 0.5, 5.0)),
    "paper": Budget(
        (1000,), 3, 20_000_000, tuple(round(0.05 * k, 2) for k in range(1, 101))
    ),
}
TITLES = {"alpine1": "Alpine-1", "schaffer-f7": "Schaffer F7"}
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
# Colour and line of the network methods.
STYLES = {"action": (BLUE, "-"), "regression": (VERMILLION, "--")}
ORDER = ("action", "regression", "Adam")
COLUMNS = (
    "U is the value reached, the others are root mean square distances of a "
    "coordinate: of the lowest point, and of the nearest of all points, from the "
    "published minimum; and of the lowest point from the nearest zero, for Alpine-1 "
    "vanishes wherever sin x = -0.1. Medians, and ranges over the seeds."
)


def function_lines(
    records: Records,
    name: str,
    size: Budget,
    seed: int,
    progress: Progress,
    *,
    methods: Sequence[str] = tuple(METHODS),
    before: int = 0,
    of: int | None = None,
) -> Lines:
    """Run what is missing; the lines of one function, all methods and copies."""
    jobs = [
        (dimension, copy, method, seed + k)
        for dimension in size.dimensions
        for copy in COPIES
        for method in methods
        for k in range(size.seeds)
    ]
    lines = []
    for number, (dimension, copy, method, own) in enumerate(jobs, 1):
        key = {
            "record": "function",
            "function": name,
            "dimension": dimension,
            "copy": copy,
            "method": method,
            "seed": own,
            "budget": size.charged,
            "rates": list(size.rates) if method == "Adam" else None,
        }
        run = lambda d=dimension, c=copy, m=method, s=own: function_line(
            name, d, c, m, s, size.charged, size.rates
        )
        lines.append(records.get(key, run))
        what = f"{TITLES[name]} {dimension} {copy} {method}"
        progress(before + number, len(jobs) if of is None else of, what)
    return lines


def _select(lines: Iterable[dict[str, Any]], **wanted: Any) -> Lines:
    return [
        line
        for line in lines
        if line.get("record") == "function"
        and all(line[name] == value for name, value in wanted.items())
    ]


def _values(lines: Lines, name: str) -> list[Any]:
    return sorted({line[name] for line in lines if line.get("record") == "function"})


def _largest(lines: Lines) -> int:
    """The largest dimension of which the records know most of copies and methods."""

    def known(dimension: int) -> tuple[int, int]:
        mine = _select(lines, dimension=dimension)
        return len({(line["copy"], line["method"]) for line in mine}), dimension

    return max(_values(lines, "dimension"), key=known)


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
    mine = _select(lines, function=name)
    header = ["dimension, copy", "method", "U", "distance", "nearest point"]
    alpine = name == "alpine1"
    if alpine:
        header.append("to a zero")
    rows = []
    for dimension in _values(mine, "dimension"):
        for copy in COPIES:
            for method in METHODS:
                found = _select(mine, dimension=dimension, copy=copy, method=method)
                if not found:
                    continue
                row = [f"{dimension}, {copy}", method]
                row.append(_spread([line["energy"] for line in found]))
                for column in ("distance", "least_distance"):
                    row.append(_spread([_per_coordinate(f, column) for f in found]))
                if alpine:
                    row.append(_spread([line["to_zero"] for line in found]))
                rows.append(row)
    for method, (least, best) in PUBLISHED[name].items():
        root = PUBLISHED_DIMENSION**0.5
        row = [f"{PUBLISHED_DIMENSION}, paper", method, "-"]
        row += [f"{best / root:.3g}", f"{least / root:.3g}"]
        rows.append([*row, "-"] if alpine else row)
    return markdown_table(header, rows)


def ordering_table(lines: Lines) -> str:
    """In how many seeds action < regression < Adam, by distance and by value."""
    header = ["function", "dimension", "copy", "by distance", "by U", "seeds"]
    rows = []
    for name in _values(lines, "function"):
        for dimension in _values(lines, "dimension"):
            for copy in COPIES:
                mine = _select(lines, function=name, dimension=dimension, copy=copy)
                held = _orderings(mine)
                if held:
                    by = [str(sum(h[k] for h in held)) for k in (0, 1)]
                    row = [TITLES[name], str(dimension), copy, *by, str(len(held))]
                    rows.append(row)
    return markdown_table(header, rows)


def _orderings(lines: Lines) -> list[tuple[bool, bool]]:
    """Whether the order of the paper holds, by distance and by U, for each seed."""
    held = []
    for seed in _values(lines, "seed"):
        three = [_select(lines, seed=seed, method=method) for method in ORDER]
        if all(three):
            far, high = (
                [found[0][column] for found in three]
                for column in ("distance", "energy")
            )
            held.append((far[0] < far[1] < far[2], high[0] < high[1] < high[2]))
    return held


def cost_table(lines: Lines) -> str:
    """Processor time of 1000 charged evaluations against the dimension.

    The shortest of two or more runs of a function: the first of them compiles.
    """
    dimensions = _values(lines, "dimension")
    header = ["method", *(f"d = {d}" for d in dimensions)]
    rows = []
    for method in METHODS:
        row = [method]
        for dimension in dimensions:
            mine = _select(lines, method=method, dimension=dimension)
            costs = [
                1e6 * line["cpu_seconds"] / line["charged_evaluations"]
                for line in mine
                if len(_select(mine, function=line["function"])) > 1
            ]
            row.append(f"{min(costs):.3g}" if costs else "-")
        rows.append(row)
    return markdown_table(header, rows)


def course_figure(lines: Lines, name: str) -> Figure:
    """Value and distance of the learned minimum in the course of the runs.

    Largest dimension of the records, first seed; Figures 2 and 3 of the paper.
    """
    mine = _select(lines, function=name)
    mine = _select(mine, dimension=_largest(mine))
    mine = _select(mine, seed=min(_values(mine, "seed")))
    copies = [copy for copy in COPIES if _select(mine, copy=copy)]
    figure = new_figure(4.6 * len(copies), 5.6)
    panels = figure.subplots(2, len(copies), sharex=True, sharey="row", squeeze=False)
    for column, copy in enumerate(copies):
        top, bottom = panels[:, column]
        for method, (colour, style) in STYLES.items():
            for line in _select(mine, copy=copy, method=method):
                trace, root = line["trace"], line["dimension"] ** 0.5
                charged = np.array(trace["charged_evaluations"]) / 1000
                for panel, values in (
                    (top, np.array(trace["energy"], float)),
                    (bottom, np.array(trace["distance"], float) / root),
                ):
                    panel.plot(charged, values, color=colour, ls=style, label=method)
                turn = trace["phase"].count("samples")
                if method == "action" and 0 < turn < len(charged):
                    for panel in (top, bottom):
                        panel.axvline(charged[turn - 1], color=GREY, lw=0.8, ls=":")
        top.set_title(f"{TITLES[name]}, {copy}, d = {mine[0]['dimension']}")
        for panel in (top, bottom):
            _log_axis(panel)
        bottom.set_xlabel("charged evaluations (thousands)")
        for panel in (top, bottom):
            tidy_axes(panel)
    panels[0, 0].set_ylabel("U at the learned minimum")
    panels[1, 0].set_ylabel("distance per coordinate")
    panels[0, 0].legend(frameon=False, fontsize="small")
    return figure


def loss_figure(lines: Lines) -> Figure:
    """Loss of samples and of paths in the course of the runs, Figure 4 of the paper."""
    names = _values(lines, "function")
    figure = new_figure(4.6 * len(names), 3.4)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        mine = _select(lines, function=name, method="action")
        mine = _select(mine, dimension=_largest(mine))
        for copy, colour, style in zip(
            COPIES, (BLUE, VERMILLION), ("-", "--"), strict=True
        ):
            for k, line in enumerate(_select(mine, copy=copy)):
                trace = line["trace"]
                charged = np.array(trace["charged_evaluations"]) / 1000
                loss = np.array(trace["loss"], float)
                label = copy if k == 0 else None
                panel.plot(charged, loss, color=colour, ls=style, lw=1, label=label)
        turn = mine[0]["trace"]["phase"].count("samples")
        panel.axvline(
            mine[0]["trace"]["charged_evaluations"][turn - 1] / 1000,
            color=GREY,
            lw=0.8,
            ls=":",
        )
        panel.set_title(f"{TITLES[name]}, d = {mine[0]['dimension']}")
        panel.set_xlabel("charged evaluations (thousands)")
        _log_axis(panel)
        tidy_axes(panel)
    panels[0].set_ylabel("squared error of f, mean")
    panels[0].legend(frameon=False, fontsize="small")
    return figure


def _log_axis(panel: Axes) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())


def _sized(budget: str, dimension: int | None) -> Budget:
    size = BUDGETS[budget]
    return size if dimension is None else size._replace(dimensions=(dimension,))


def _left_out(budget: str, size: Budget, seed: int) -> str:
    dimensions = ", ".join(map(str, size.dimensions))
    return (
        f"Budget '{budget}': dimension {dimensions}, {size.charged:,} charged "
        f"evaluations a run, {len(size.rates)} rates of Adam, seeds {seed} to "
        f"{seed + size.seeds - 1}. The paper: dimension 1000, 20 hours of a V100, for "
        f"Adam 10,000 starts of 10,000 steps for each of 100 rates, one seed. {COLUMNS}"
    )


def _table(name: str, exhibit: str) -> Callable[..., str]:
    def reproduce(
        folder: Path,
        budget: str,
        seed: int,
        progress: Progress,
        dimension: int | None = None,
    ) -> str:
        size = _sized(budget, dimension)
        lines = function_lines(Records(folder / RECORDS), name, size, seed, progress)
        title = f"{TITLES[name]}: what every method reaches"
        text = function_table(lines, name) + "\n\n" + ordering_table(lines)
        return write_exhibit(
            folder,
            exhibit,
            title,
            text,
            _rows(lines),
            {},
            _left_out(budget, size, seed),
        )

    reproduce.__doc__ = (
        f"The exhibit ``{exhibit}``, see :mod:`ase_l2h.reproduce.registry`."
    )
    return reproduce


def _course(name: str, exhibit: str) -> Callable[..., str]:
    def reproduce(
        folder: Path,
        budget: str,
        seed: int,
        progress: Progress,
        dimension: int | None = None,
    ) -> str:
        size = _sized(budget, dimension)._replace(seeds=1)
        records = Records(folder / RECORDS)
        lines = function_lines(
            records, name, size, seed, progress, methods=tuple(STYLES)
        )
        title = f"{TITLES[name]}: the learned minimum in the course of a run"
        return write_exhibit(
            folder,
            exhibit,
            title,
            function_table(lines, name),
            _rows(lines),
            {"": course_figure(lines, name)},
            _left_out(budget, size, seed),
        )

    reproduce.__doc__ = (
        f"The exhibit ``{exhibit}``, see :mod:`ase_l2h.reproduce.registry`."
    )
    return reproduce


def _rows(lines: Lines) -> list[dict[str, Any]]:
    """Of the CSV file: everything but courses and provenance."""
    hidden = ("trace", "machine", "versions", "rates", "record")
    return [{k: v for k, v in line.items() if k not in hidden} for line in lines]


table1 = _table("schaffer-f7", "action-table1")
table2 = _table("alpine1", "action-table2")
fig2 = _course("alpine1", "action-fig2")
fig3 = _course("schaffer-f7", "action-fig3")


def fig4(
    folder: Path,
    budget: str,
    seed: int,
    progress: Progress,
    dimension: int | None = None,
) -> str:
    """The exhibit ``action-fig4``, see :mod:`ase_l2h.reproduce.registry`."""
    size = _sized(budget, dimension)._replace(seeds=1)
    records, lines = Records(folder / RECORDS), []
    jobs = len(size.dimensions) * len(COPIES)
    for k, name in enumerate(TITLES):
        lines += function_lines(
            records,
            name,
            size,
            seed,
            progress,
            methods=("action",),
            before=k * jobs,
            of=jobs * len(TITLES),
        )
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
    last = [
        [TITLES[f["function"]], f["copy"], str(f["dimension"]), *_ends(f["trace"])]
        for f in lines
    ]
    header = ["function", "copy", "dimension", "samples, last", "paths, first", "last"]
    return write_exhibit(
        folder,
        "action-fig4",
        "Loss along the paths in the course of a run",
        markdown_table(header, last),
        rows,
        {"": loss_figure(lines)},
        _left_out(budget, size, seed),
    )


def _ends(trace: dict[str, Any]) -> list[str]:
    turn = trace["phase"].count("samples")
    losses = trace["loss"]
    return [f"{value:.3g}" for value in (losses[turn - 1], losses[turn], losses[-1])]
