"""Pictures of ``docs/auto.md``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ase_l2h.comparison.encounters import Encounters
from ase_l2h.report.figures import BLUE, GREY, VERMILLION, new_figure, tidy_axes

__all__ = ["by_size", "learned_ratios", "ratios"]

# A ratio and its 95 % interval.
Ratio = tuple[float, float, float]


def ratios(rows: Sequence[tuple[str, str, float]]) -> Figure:
    """Evaluations of the default over those of the cheapest other method."""
    figure = new_figure(9.0, 0.3 * len(rows) + 1.2)
    axes = figure.subplots()
    for place, (_, side, ratio) in enumerate(rows):
        test = side == "test"
        axes.plot([1.0, ratio], [place, place], color=GREY, linewidth=1.5, zorder=1)
        axes.plot(
            ratio,
            place,
            marker="o" if test else "s",
            color=BLUE if test else VERMILLION,
            markersize=7,
            linestyle="none",
        )
    for label, marker, colour in (
        ("test", "o", BLUE),
        ("development", "s", VERMILLION),
    ):
        axes.plot([], [], marker, color=colour, markersize=7, label=label)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_xlabel(
        "evaluations of auto over those of the target's cheapest other method",
        fontsize=13,
    )
    axes.tick_params(labelsize=12)
    axes.legend(loc="upper left", frameon=False, fontsize=12)
    tidy_axes(axes)
    return figure


def learned_ratios(rows: Sequence[tuple[str, Ratio, Ratio | None]]) -> Figure:
    """How many times the evaluations are needed without what the default learns.

    Parameters
    ----------
    rows
        Landscape, ratio to the default without it, and to the one with random kicks
        instead, where that has been measured; each with its 95 % interval.
    """
    ordered = sorted(rows, key=lambda row: row[1])
    figure = new_figure(9.0, 0.38 * len(ordered) + 1.8)
    axes = figure.subplots()
    styles = (
        ("learns nothing", "o", BLUE, 0.16),
        ("random kicks instead", "D", VERMILLION, -0.16),
    )
    for place, (_, *values) in enumerate(ordered):
        for ratio, (_, marker, colour, shift) in zip(values, styles, strict=True):
            if ratio is None:
                continue
            value, low, high = ratio
            y = place + shift
            axes.plot([low, high], [y, y], color=colour, linewidth=1.5, alpha=0.6)
            axes.plot(value, y, marker, color=colour, markersize=7)
    for label, marker, colour, _ in styles:
        axes.plot([], [], marker, color=colour, markersize=7, label=label)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(ordered)), [name for name, *_ in ordered])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_title("What learning on the way saves (95 % intervals)", fontsize=14)
    axes.set_xlabel(
        "times the evaluations that auto needs to the same energy", fontsize=13
    )
    axes.tick_params(labelsize=12)
    axes.legend(loc="lower right", frameon=False, fontsize=12)
    tidy_axes(axes)
    return figure


def by_size(means: Mapping[int, Encounters]) -> Figure:
    """Mean evaluations to the first encounter, by number of atoms."""
    figure = new_figure(9.0, 4.8)
    axes = figure.subplots()
    met = {n: runs for n, runs in means.items() if runs.hits}
    whole = [n for n, runs in met.items() if runs.hits == runs.found.size]
    part = [n for n in met if n not in whole]
    none = [n for n in means if n not in met]
    value = lambda sizes: [met[n].mean.value for n in sizes]
    spent = [float(np.sum(means[n].evaluations)) for n in none]
    for sizes, heights, marker, colour, label in (
        (whole, value(whole), "o", BLUE, "met in all runs"),
        (part, value(part), "s", VERMILLION, "met in some"),
        (none, spent, "x", "black", "met in none: evaluations of all"),
    ):
        if sizes:
            axes.plot(sizes, heights, marker, color=colour, markersize=5, label=label)
    axes.set_yscale("log")
    axes.set_title("Evaluations of auto to the lowest published minimum", fontsize=14)
    axes.set_xlabel("number of Lennard-Jones atoms", fontsize=13)
    axes.set_ylabel("mean evaluations to the lowest\npublished minimum", fontsize=13)
    axes.tick_params(labelsize=12)
    axes.legend(loc="upper left", frameon=False, fontsize=12)
    tidy_axes(axes)
    # Sizes whose lowest minimum is no icosahedron, which most searches miss.
    for n in (38, 75, 98, 102):
        if n in met:
            at = (n, met[n].mean.value)
            axes.annotate(
                f"LJ{n}",
                at,
                (0, -26),
                textcoords="offset points",
                ha="center",
                fontsize=11,
                arrowprops={"arrowstyle": "-", "color": GREY},
            )
    return figure
