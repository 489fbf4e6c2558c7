"""The picture of a search: its course, what it found, and the best structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ase_l2h.report.figures import (
    BLUE,
    GREY,
    VERMILLION,
    draw_structure,
    new_figure,
    tidy_axes,
)

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["search_figure"]

# Rungs drawn at most; more of them are one area.
LADDER = 60
# Structures farther above the minima than this share of the lowest energy are hot, and
# smaller differences than this share fill no picture.
HOT, NARROWEST = 0.1, 0.01


def search_figure(
    *,
    title: str,
    courses: Sequence[tuple[Sequence[tuple[int, float]], int]],
    minima: Sequence[tuple[float, int]],
    reference: float | None,
    tolerance: float,
    unit: str,
    best: Atoms,
) -> Figure:
    """The course of every search, a ladder of the distinct minima, the best structure.

    Parameters
    ----------
    title
        Heading.
    courses
        Of every search: its falls, pairs of charged evaluations and lowest energy, and
        all that it was charged.
    minima
        Energy and count of every distinct minimum, lowest first; at least one.
    reference, tolerance
        Energy of the published minimum, or None, and what counts as the same.
    unit
        Name of the energy unit.
    best
        The structure to draw.
    """
    figure = new_figure(12.0, 4.8)
    figure.suptitle(title, fontsize="x-large")
    falls, ladder, picture = figure.subplots(1, 3, width_ratios=(3.0, 2.0, 2.6))
    lowest = minima[0][0]
    _draw_courses(falls, courses, minima, reference, tolerance)
    falls.set_xlabel("charged evaluations", fontsize="large")
    falls.set_ylabel(f"lowest energy ({unit})", fontsize="large")
    _draw_ladder(ladder, minima, reference, tolerance)
    ladder.set_ylabel(f"energy above the lowest ({unit})", fontsize="large")
    ladder.set_xlabel("times found", fontsize="large")
    for axes in (falls, ladder):
        tidy_axes(axes)
        axes.ticklabel_format(axis="y", useOffset=False)
    draw_structure(picture, best)
    picture.set_title(f"best: {lowest:.6f} {unit}", fontsize="large")
    return figure


def _draw_courses(
    axes: Axes,
    courses: Sequence[tuple[Sequence[tuple[int, float]], int]],
    minima: Sequence[tuple[float, int]],
    reference: float | None,
    tolerance: float,
) -> None:
    """Steps from fall to fall, which begin above the picture."""
    begun = [
        (course, charged, _arrival(course, tolerance))
        for course, charged in courses
        if course
    ]
    lowest = minima[0][0]
    floor = lowest if reference is None else min(lowest, reference)
    top = max([course[-1][1] for course, *_ in begun] + [e for e, _ in minima[:LADDER]])
    # Where a search began is worth seeing, if that is no explosion.
    firsts = [course[0][1] for course, *_ in begun]
    top = max([top, *(e for e in firsts if e < top + HOT * abs(lowest))])
    room = max(top - floor, NARROWEST * abs(lowest))
    axes.set_ylim(floor - 0.08 * room, floor + 1.12 * room)
    axes.set_xscale("log")
    # The first to arrive at the lowest is drawn last.
    begun.sort(key=lambda one: (one[0][-1][1] <= lowest + tolerance, -one[2]))
    several = len(begun) > 1
    for k, (course, charged, arrival) in enumerate(begun):
        first = k == len(begun) - 1
        counts = [max(1, count) for count, _ in course]
        values = [energy for _, energy in course]
        colour, width = (BLUE, 2.2) if first else (GREY, 1.0)
        axes.plot(
            [counts[0], *counts, max(1, charged)],
            [floor + 2 * room, *values, values[-1]],
            drawstyle="steps-post",
            color=colour,
            linewidth=width,
        )
        axes.plot(arrival, values[-1], "o", color=colour, markersize=3 + width)
    name = "the search" if not several else "the first to reach the lowest"
    axes.plot([], [], color=BLUE, linewidth=2.2, marker="o", label=name)
    if several:
        axes.plot([], [], color=GREY, linewidth=1.0, marker="o", label="other searches")
    if reference is not None:
        style = {"color": VERMILLION, "linestyle": "--", "linewidth": 1.2}
        axes.axhline(reference, label="published minimum", zorder=1.5, **style)
    if begun:
        soonest = min(max(1, course[0][0]) for course, *_ in begun)
        longest = max(max(1, charged) for _, charged, _ in begun)
        axes.set_xlim(10 ** np.floor(np.log10(soonest)), 1.3 * longest)
    axes.legend(loc="best", framealpha=0.9)


def _arrival(course: Sequence[tuple[int, float]], tolerance: float) -> int:
    """Evaluations after which a search was as low as it ever came."""
    final = course[-1][1] + tolerance
    return max(1, next(count for count, energy in course if energy <= final))


def _draw_ladder(
    axes: Axes,
    minima: Sequence[tuple[float, int]],
    reference: float | None,
    tolerance: float,
) -> None:
    """A rung for every distinct minimum, as wide as it was often found."""
    lowest = minima[0][0]
    shown = minima[:LADDER]
    above = np.array([energy - lowest for energy, _ in shown])
    counts = np.array([count for _, count in shown])
    same = reference is not None and abs(lowest - reference) <= tolerance
    axes.set_xscale("log")
    left = 0.6
    axes.hlines(above[1:], left, counts[1:], color=BLUE, linewidth=1.6)
    colour = VERMILLION if same else BLUE
    axes.hlines(above[:1], left, counts[:1], color=colour, linewidth=4.5)
    span = max(float(above[-1]), NARROWEST * abs(lowest))
    axes.set_ylim(-0.08 * span, 1.12 * span)
    most = max(4, int(counts.max()))
    ticks = [m * 10**k for k in range(9) for m in ((1, 2, 5) if most < 100 else (1,))]
    axes.set_xlim(left, 1.5 * most)
    axes.set_xticks([tick for tick in ticks if tick < 1.5 * most])
    axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:g}")
    number = f"{len(minima)} minima" if len(minima) > 1 else "1 minimum"
    if len(minima) > len(shown):
        number = f"lowest {len(shown)} of {number}"
    axes.set_title(number, fontsize="large")
