"""The picture of a search: a ladder of its minima with structures, and its course."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_l2h.report.figures import (
    BLUE,
    GREY,
    VERMILLION,
    draw_structure,
    new_figure,
    species_handles,
    tidy_axes,
)

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["search_figure"]

# Rungs drawn at most; more of them are one area.
LADDER = 60
# Structures drawn beside the ladder at most.
DRAWN = 5
# Energies per atom, in energy scales: what lies farther above the lowest minimum is hot
# and left out, and smaller differences fill no picture.
HOT, NARROWEST = 0.5, 0.01
SIZE = 13


def search_figure(
    *,
    title: str,
    courses: Sequence[tuple[Sequence[tuple[int, float]], int]],
    minima: Sequence[tuple[float, int]],
    reference: float | None,
    tolerance: float,
    unit: str,
    scale: float,
    structure: Callable[[int], Atoms],
) -> Figure:
    """A ladder of the distinct minima with structures along it, and the course.

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
    scale
        Energy of a bond in that unit.
    structure
        Draws the structure of minimum k.
    """
    figure = new_figure(13.0, 6.2)
    figure.suptitle(title, fontsize=SIZE + 4)
    best = structure(0)
    species = sorted(set(best.numbers.tolist()))
    narrowest, hot = NARROWEST * scale * len(best), HOT * scale * len(best)
    lowest = minima[0][0]
    shown = [pair for pair in minima[:LADDER] if pair[0] <= lowest + hot]
    chosen = _spread([energy for energy, _ in shown])
    places = [f"structure {k}" for k in range(len(chosen))]
    mosaic: list[Any] = [["falls", "ladder", place] for place in reversed(places)]
    panels = figure.subplot_mosaic(mosaic, width_ratios=(3.2, 3.2, 1.6))
    falls, ladder = panels["falls"], panels["ladder"]

    _draw_ladder(ladder, shown, len(minima), narrowest)
    ladder.set_ylabel(f"energy above the lowest ({unit})", fontsize=SIZE)
    _draw_courses(falls, courses, (lowest, shown[-1][0]), (narrowest, hot), tolerance)
    falls.set_xlabel("charged evaluations", fontsize=SIZE)
    falls.set_ylabel(f"lowest energy found ({unit})", fontsize=SIZE)
    if reference is not None:
        _draw_reference(falls, ladder, reference - lowest, lowest)
    if falls.get_legend_handles_labels()[0]:
        falls.legend(loc="best", framealpha=0.9, fontsize=SIZE - 1)
    for axes in (falls, ladder):
        tidy_axes(axes)
        axes.tick_params(labelsize=SIZE - 1)
        axes.ticklabel_format(axis="y", useOffset=False)
    for place, k in zip(places, chosen, strict=True):
        energy, count = shown[k]
        panel = panels[place]
        draw_structure(panel, best if k == 0 else structure(k), species)
        _join(ladder, panel, energy - lowest)
        times = "once" if count == 1 else f"{count} times"
        height = f"{lowest:.6g}" if k == 0 else f"+{energy - lowest:.3g}"
        label = f"{height} {unit}\n{times}"
        panel.text(
            1.04, 0.5, label, transform=panel.transAxes, va="center", fontsize=SIZE
        )
    if len(species) > 1:
        handles = species_handles(species)
        figure.legend(
            handles=handles, loc="upper right", ncols=len(species), fontsize=SIZE
        )
    return figure


def _spread(energies: Sequence[float]) -> list[int]:
    """The lowest minimum, and higher ones that lie apart on the ladder."""
    apart = (energies[-1] - energies[0]) / DRAWN
    chosen = [0]
    for k in range(1, len(energies)):
        if len(chosen) < DRAWN and energies[k] - energies[chosen[-1]] >= apart:
            chosen.append(k)
    return chosen


def _join(ladder: Axes, panel: Axes, height: float) -> None:
    """A thin line from a rung to its structure."""
    from matplotlib.patches import ConnectionPatch

    joint = ConnectionPatch(
        (1.0, height),
        (0.0, 0.5),
        ladder.get_yaxis_transform(),
        panel.transAxes,
        color=GREY,
        linewidth=1.0,
    )
    # It crosses no axes, and takes no part in their layout.
    joint.set_in_layout(False)
    ladder.figure.add_artist(joint)


def _draw_reference(falls: Axes, ladder: Axes, height: float, lowest: float) -> None:
    """The published minimum in both panels, where it lies in the picture."""
    style = {"color": VERMILLION, "linestyle": "--", "linewidth": 1.8, "zorder": 1.5}
    bottom, top = ladder.get_ylim()
    if not bottom <= height <= top:
        ladder.set_ylim(min(bottom, 1.1 * height), max(top, 1.1 * height))
    ladder.axhline(height, **style)
    bottom, top = falls.get_ylim()
    falls.set_ylim(min(bottom, lowest + 1.1 * height), top)
    falls.axhline(lowest + height, label="lowest published", **style)


def _draw_courses(
    axes: Axes,
    courses: Sequence[tuple[Sequence[tuple[int, float]], int]],
    ends: tuple[float, float],
    bounds: tuple[float, float],
    tolerance: float,
) -> None:
    """Steps from fall to fall, which begin above the picture."""
    begun = [
        (course, charged, _arrival(course, tolerance))
        for course, charged in courses
        if course
    ]
    (lowest, highest), (narrowest, hot) = ends, bounds
    # Where a search began is worth seeing, if that is no explosion.
    seen = [energy for course, *_ in begun for _, energy in (course[0], course[-1])]
    top = max([highest, *(e for e in seen if e <= lowest + hot)])
    room = max(top - lowest, narrowest)
    axes.set_ylim(lowest - 0.08 * room, lowest + 1.12 * room)
    axes.set_xscale("log")
    # The first to arrive at the lowest is drawn last.
    begun.sort(key=lambda one: (one[0][-1][1] <= lowest + tolerance, -one[2]))
    several = len(begun) > 1
    for k, (course, charged, arrival) in enumerate(begun):
        first = k == len(begun) - 1
        counts = [max(1, count) for count, _ in course]
        values = [energy for _, energy in course]
        colour, width = (BLUE, 2.4) if first else (GREY, 1.0)
        axes.plot(
            [counts[0], *counts, max(1, charged)],
            [lowest + 2 * room, *values, values[-1]],
            drawstyle="steps-post",
            color=colour,
            linewidth=width,
        )
        axes.plot(arrival, values[-1], "o", color=colour, markersize=4 + width)
    if begun:
        name = "first to the lowest" if several else "lowest so far"
        axes.plot([], [], color=BLUE, linewidth=2.4, marker="o", label=name)
        soonest = min(max(1, course[0][0]) for course, *_ in begun)
        longest = max(max(1, charged) for _, charged, _ in begun)
        axes.set_xlim(10 ** np.floor(np.log10(soonest)), 1.3 * longest)
    if several:
        axes.plot([], [], color=GREY, linewidth=1.0, marker="o", label="other searches")


def _arrival(course: Sequence[tuple[int, float]], tolerance: float) -> int:
    """Evaluations after which a search was as low as it ever came."""
    final = course[-1][1] + tolerance
    return max(1, next(count for count, energy in course if energy <= final))


def _draw_ladder(
    axes: Axes, shown: Sequence[tuple[float, int]], total: int, narrowest: float
) -> None:
    """A rung for every distinct minimum, across the panel, the lowest one thick."""
    above = np.array([energy for energy, _ in shown]) - shown[0][0]
    axes.hlines(above[1:], 0.0, 1.0, color=BLUE, linewidth=1.4)
    axes.hlines(above[:1], 0.0, 1.0, color=BLUE, linewidth=4.5)
    span = max(float(above[-1]), narrowest)
    axes.set_ylim(-0.08 * span, 1.12 * span)
    axes.set_xlim(0.0, 1.0)
    axes.set_xticks([])
    number = "1 distinct minimum" if total == 1 else f"{total} distinct minima"
    if total > len(shown):
        number = f"the lowest {len(shown)} of {number}"
    axes.set_title(number, fontsize=SIZE)
