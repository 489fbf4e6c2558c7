"""``docs/results.md`` and its picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ase_l2h._internal.records import read_lines
from ase_l2h.report.figures import new_figure, save_figure
from ase_l2h.report.pages import markdown_table, write_page
from benchmarks import paths
from benchmarks.hits.results import LONG_RECORDS
from benchmarks.pages import horizons
from benchmarks.pages.aims import aims
from benchmarks.pages.summaries import (
    NAMES,
    Row,
    label,
    long_rows,
    manifest,
    method_of,
    of_target,
    result_rows,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["long_runs", "write"]

# Okabe and Ito's palette, distinct for the colour-blind.
COLOURS = {
    "default": "#0072B2",
    "best": "#56B4E9",
    "adam": "#009E73",
    "fire": "#CC79A7",
    "gd": "#999999",
}


def write() -> None:
    """The results page and its picture."""
    rows = result_rows()
    note, table = _note(rows), hit_table(rows)
    write_page(
        paths.DOCS / "results.md",
        [
            *("# Results", "", note, "", table, ""),
            *("![Hit rates](images/hits.png)", "", "## What was aimed at", ""),
            "Aims were set before any weights were trained. The weights that suit each "
            "target best are named with hindsight. The starts are those above.",
            *("", aims(), "", "## Every number", "", every_number(rows), ""),
            *("## Other numbers of steps", "", *long_runs()),
        ],
    )
    save_figure(picture(rows), paths.IMAGES / "hits.png", "png", dpi=130)


def _note(rows: Sequence[Row]) -> str:
    """What the table shows."""
    default = manifest()["default"]
    first = next(row for row in rows if row["method"] == default)
    return (
        "A hit is a start that reaches the lowest energy known. The table has the "
        f"hits of {first['starts']} random starts (seed {first['seed']}, never used "
        "in training or to choose anything). In brackets are all charged evaluations "
        "divided by the number of hits: the cost of one hit. The learned optimizer "
        f"takes {first['steps']} steps and relaxes; Adam, FIRE and gradient descent "
        "had no fewer charged evaluations per start.\n\nThe default weights are the "
        f"portfolio `{default}`, which the starts take in turn. The best single "
        "weights are the cheapest of those released, chosen for each target with "
        "hindsight. A star marks targets without a published energy at hand; their "
        "energy is the lowest that this package has found by any method (the paper "
        "prints -181.89 for Au55). Silicon is compared with its crystal. Made by "
        f"`python -m benchmarks.hits.results` on {first['machine']}."
    )


def cell(row: Row) -> str:
    """Hits, and charged evaluations to the minimum."""
    reach = row["to_minimum"]
    spent = "" if reach is None else f" ({reach:,.0f})"
    return f"{row['hits']}/{row['starts']}{spent}"


def best_single(rows: Sequence[Row]) -> Row:
    """Of single weights those with the fewest evaluations, else the lowest mean."""
    single = [row for row in rows if row["learned"] and "+" not in row["method"]]
    far = float("inf")
    return min(single, key=lambda row: (row["to_minimum"] or far, row["mean"]))


def hit_table(rows: Sequence[Row]) -> str:
    """Hits of every method by target."""
    table = []
    for target in dict.fromkeys(row["target"] for row in rows):
        methods = {row["method"]: row for row in of_target(rows, target)}
        first = methods[manifest()["default"]]
        single = best_single(list(methods.values()))
        mark = "" if first["published"] else " *"
        # Among weights that never hit, none is the best.
        named = f" `{single['method']}`" if single["hits"] else ""
        table.append(
            [
                target,
                f"{first['best']:.4f}{mark}",
                cell(first),
                cell(single) + named,
                *(cell(methods[m]) if m in methods else "-" for m in NAMES),
            ]
        )
    header = ["target", "lowest known", "default weights", "best single weights"]
    return markdown_table([*header, *NAMES.values()], table, numbers=False)


def every_number(rows: Sequence[Row]) -> str:
    """One line per target and method."""
    table = [
        [
            row["target"],
            label(row["method"]),
            row["starts"],
            row["hits"],
            f"{row['low']:.3f}-{row['high']:.3f}",
            f"{row['mean']:.4f}",
            f"{row['lowest']:.4f}",
            f"{row['per_start']:.0f}",
            f"{row['seconds']:.1f}",
        ]
        for row in rows
    ]
    header = ["target", "method", "starts", "hits", "95 % interval", "mean energy"]
    header += ["lowest", "evaluations per start", "seconds"]
    return markdown_table(header, table, numbers=False)


def long_runs() -> list[str]:
    """Tables of runs at other numbers of steps."""
    lines = [line for line in read_lines(LONG_RECORDS) if method_of(line)]
    rows = [row | {"method": label(row["method"])} for row in long_rows()]
    rows = sorted(rows, key=lambda r: (int(re.sub(r"\D", "", r["target"])), r["steps"]))
    ran = " or ".join(f"`{name}`" for name in sorted({x["backend"] for x in lines}))
    others = [
        [
            row["target"],
            row["method"],
            row["steps"],
            row["starts"],
            row["hits"],
            f"{row['low']:.3f}-{row['high']:.3f}",
            f"{row['mean']:.4f}",
            f"{row['lowest']:.4f}",
            f"{row['to_minimum']:,.0f}" if row["to_minimum"] else "not found",
            f"{row['seconds']:.1f}",
        ]
        for row in rows
        if row["steps"] not in horizons.HORIZONS
    ]
    header = ["target", "method", "steps", "starts", "hits", "95 % interval"]
    header += ["mean energy", "lowest", "evaluations to the minimum", "seconds"]
    return [
        "A cell has mean and lowest energy, hits of all starts, and charged "
        "evaluations per hit. The clock of a learned rule is stretched to the number "
        "of steps. The paper's rows are its Table 2. "
        f"Made by `python -m benchmarks.hits.results --steps N` (backend {ran}), seed "
        f"{lines[0]['seed']}, on {lines[0]['machine']}, which other work shared.",
        "",
        horizons.table(rows),
        "",
        "Other horizons (numbers of steps), chosen with other seeds:",
        "",
        markdown_table(header, others, numbers=False),
    ]


def _series(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    """What is drawn: a row per target for the default, the best single, the others."""
    default = manifest()["default"]
    series: dict[str, dict[str, Row]] = {name: {} for name in COLOURS}
    for target in dict.fromkeys(row["target"] for row in rows):
        methods = {row["method"]: row for row in of_target(rows, target)}
        series["default"][target] = methods[default]
        series["best"][target] = best_single(list(methods.values()))
        for name in NAMES:
            if name in methods:
                series[name][target] = methods[name]
    return series


def picture(rows: Sequence[Row]) -> Figure:
    """Hit rates of the default weights, the best single ones, and the rest."""
    targets = list(dict.fromkeys(row["target"] for row in rows))
    series = _series(rows)
    names = {"default": "default weights", "best": "best single weights"} | NAMES
    figure = new_figure(12.0, 5.2)
    axes = figure.subplots()
    width = 0.8 / len(series)
    for k, (name, chosen) in enumerate(series.items()):
        places = np.array([targets.index(target) for target in chosen])
        share = np.array([row["hits"] / row["starts"] for row in chosen.values()])
        low = np.array([row["low"] for row in chosen.values()])
        high = np.array([row["high"] for row in chosen.values()])
        axes.bar(
            places + (k - (len(series) - 1) / 2) * width,
            share,
            width,
            yerr=np.clip([share - low, high - share], 0, None),
            color=COLOURS[name],
            label=names[name],
            error_kw={"lw": 0.8},
        )
    axes.set_xticks(range(len(targets)), targets, rotation=30, fontsize=12)
    axes.set_ylabel("share of starts that reach\nthe lowest minimum", fontsize=13)
    axes.set_ylim(0, 1.02)
    axes.tick_params(axis="y", labelsize=12)
    # Above the bars, which reach the top.
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
