"""The table and the picture of ``docs/surfaces.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.report.figures import BLUE, VERMILLION, new_figure, save_figure, tidy_axes
from ase_l2h.report.pages import markdown_table, replace_block
from ase_l2h.report.statistics import wilson_interval
from benchmarks import paths
from benchmarks.hits.surfaces import CALLS, METHODS, RECORDS, SYSTEMS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["picture", "table", "write"]

# In eV: relaxed by a calculator, two of one minimum agree as well as this.
SAME = 1e-3
PICTURE = "surfaces-calls.png"
LABELS = {
    "auto": ("default", BLUE, 0.17),
    "auto~surrogate": ("without the learned potential", VERMILLION, -0.17),
}


def write() -> None:
    """The generated part of the page."""
    lines = read_lines(RECORDS)
    save_figure(picture(lines), paths.IMAGES / PICTURE, "png")
    text = (
        f"![Calls until each search met the lowest energy](images/{PICTURE})\n\n"
        f"{table(lines)}\n\nEach search had {CALLS} calls; a few are kept for the last "
        f"relaxation. Made by `python -m benchmarks.hits.surfaces` (seeds from "
        f"{lines[0]['seed']}) on {lines[0]['machine']}; other work shared the machine, "
        "so seconds are upper bounds."
    )
    replace_block(paths.DOCS / "surfaces.md", "surfaces", text)


def picture(lines: Lines) -> Figure:
    """A dot for each search at the calls that it took, and their medians."""
    figure = new_figure(8, 4.6)
    axes = figure.add_subplot()
    tidy_axes(axes)
    systems = [name for name in SYSTEMS if any(x["system"] == name for x in lines)]
    beyond = 1.35 * CALLS
    rng = np.random.default_rng(0)
    for method, (label, colour, side) in LABELS.items():
        for row, system in enumerate(systems):
            first = _encounters(lines, system, method)
            counts = np.minimum(first, beyond)
            height = -row + side + 0.05 * rng.uniform(-1, 1, len(counts))
            axes.plot(counts, height, "o", color=colour, alpha=0.45, markersize=5)
            middle = min(float(np.median(first)), beyond)
            axes.plot(middle, -row + side, "|", color=colour, ms=17, mew=3)
        axes.plot([], [], "o", color=colour, label=label)
    axes.axvline(1.12 * CALLS, color="0.5", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(10, 1.55 * CALLS)
    ticks = [10, 20, 50, 100, 200]
    axes.set_xticks([*ticks, beyond], [*map(str, ticks), "not met"])
    axes.minorticks_off()
    axes.set_yticks(-np.arange(len(systems)), systems)
    axes.tick_params(labelsize=12)
    axes.set_xlabel("calls of EMT until the lowest energy was met", fontsize=13)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=12)
    return figure


def _encounters(lines: Lines, system: str, method: str) -> np.ndarray:
    """Calls until each search met the lowest of all; ``inf`` where it has not."""
    own = [line for line in lines if line["system"] == system]
    lowest = min(line["energy"] for line in own)
    first = [_first(line, lowest) for line in own if line["method"] == method]
    return np.array([np.inf if count is None else count for count in first])


def table(lines: Lines) -> str:
    """Seeds that met the lowest energy of all, and the calls that took."""
    rows = []
    for system in SYSTEMS:
        own = [line for line in lines if line["system"] == system]
        if not own:
            continue
        lowest = min(line["energy"] for line in own)
        for method in METHODS:
            found = [line for line in own if line["method"] == method]
            first = _encounters(lines, system, method)
            if not found:
                continue
            met = np.isfinite(first)
            low, high = wilson_interval(int(met.sum()), len(found))
            seconds = np.median([line["seconds"] for line in found])
            rows.append(
                [
                    system,
                    f"`{method}`",
                    f"{lowest:.4f}",
                    f"{met.sum()}/{len(found)} ({low:.2f}-{high:.2f})",
                    _median(first),
                    f"{seconds:.1f}",
                ]
            )
    header = ["system", "method", "lowest (eV)", "met (95 %)"]
    calls = ("calls to it: median (range)", "seconds of a search: median")
    return markdown_table([*header, *calls], rows)


def _median(first: np.ndarray) -> str:
    """Median and range of calls; those that never met it count as more than all."""
    if not np.isfinite(first).any():
        return "-"
    values = float(np.median(first)), float(first.min()), float(first.max())
    told = (f"{x:,.0f}" if np.isfinite(x) else "not met" for x in values)
    middle, least, most = told
    return f"{middle} ({least} to {most})"


def _first(line: dict[str, Any], lowest: float) -> int | None:
    """Calls until a search met an energy; None where it has not."""
    return next((c for c, energy in line["course"] if energy <= lowest + SAME), None)
