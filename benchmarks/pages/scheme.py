"""The picture of ``docs/search.md``: how the default method searches."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from ase_l2h.report.figures import BLUE, VERMILLION, new_figure, save_figure
from ase_l2h.search.names import PARTS
from benchmarks import paths

__all__ = ["write"]

GREEN, INK = "#009E73", "#222222"
SOURCES = ("uniform", "symmetric", "fragments", "learned-starts")
DESCENTS = ("site-descent", "exchange-descent", "learned-exchanges")


def write() -> None:
    """The picture."""
    save_figure(picture(), paths.IMAGES / "how-it-works.png", "png")


def picture() -> Figure:
    """Sources and improvers make structures; what pays gets the next evaluations."""
    improvers = [
        part for part in PARTS if part not in (*SOURCES, *DESCENTS, "neighbours")
    ]
    figure = new_figure(13.0, 6.0)
    axes = figure.subplots()
    axes.set_xlim(0, 13)
    axes.set_ylim(0, 6)
    axes.set_axis_off()
    _box(axes, (0.1, 3.3, 3.1, 2.4), "Sources", SOURCES, BLUE)
    half = (len(improvers) + 1) // 2
    pairs = [
        ", ".join(improvers[k : k + 2]) for k in range(0, 2 * half, 2) if improvers[k:]
    ]
    _box(axes, (0.1, 0.2, 3.1, 2.6), "Improvers", pairs, BLUE)
    relax = ("relax roughly", "move loose atoms", "exchange unlike atoms", "relax well")
    _box(axes, (4.4, 2.0, 2.7, 2.2), "Descend", relax, GREEN)
    pool = ("distinct minima,", "the best of every packing")
    _box(axes, (8.0, 2.2, 2.6, 1.8), "Held", pool, GREEN)
    done = ("3 independent", "attempts met", "the lowest", "minimum")
    _box(axes, (11.1, 2.0, 1.85, 2.2), "Settled", done, VERMILLION)
    _arrow(axes, (3.25, 4.5), (4.35, 3.6))
    _arrow(axes, (3.25, 1.5), (4.35, 2.6))
    _arrow(axes, (7.15, 3.1), (7.95, 3.1))
    _arrow(axes, (10.65, 3.1), (11.05, 3.1))
    _arrow(axes, (9.4, 2.15), (3.25, 0.8), bend=-0.25)
    axes.text(6.6, 0.25, "held structures are changed", fontsize=13, color=INK)
    _arrow(axes, (9.4, 4.05), (3.25, 5.2), bend=0.25)
    text = "what has paid gets the next evaluations"
    axes.text(5.6, 5.75, text, fontsize=13, color=INK)
    return figure


def _box(
    axes: Axes,
    place: tuple[float, float, float, float],
    title: str,
    lines: tuple[str, ...] | list[str],
    colour: str,
) -> None:
    x, y, width, height = place
    box = FancyBboxPatch(
        (x, y),
        width,
        height,
        boxstyle="round,pad=0.02,rounding_size=0.12",
        facecolor="white",
        edgecolor=colour,
        linewidth=2.5,
    )
    axes.add_patch(box)
    top = y + height - 0.12
    middle = x + width / 2
    style = {"ha": "center", "va": "top", "color": INK}
    axes.text(middle, top, title, fontsize=16, weight="bold", **style)
    axes.text(
        middle, top - 0.5, "\n".join(lines), fontsize=13, linespacing=1.4, **style
    )


def _arrow(
    axes: Axes,
    begin: tuple[float, float],
    end: tuple[float, float],
    bend: float = 0.0,
) -> None:
    arrow = FancyArrowPatch(
        begin,
        end,
        arrowstyle="-|>",
        mutation_scale=20,
        linewidth=2.0,
        color=INK,
        connectionstyle=f"arc3,rad={bend}",
    )
    axes.add_patch(arrow)
