"""``docs/frame-dependence.md``: its table and its picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import ks_2samp

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.report.figures import new_figure, save_figure
from ase_l2h.report.pages import markdown_table, replace_block
from ase_l2h.report.statistics import wilson_interval
from ase_l2h.reproduce.learn2hop.behaviour import random_cosines
from benchmarks import paths
from benchmarks.hits.frame import RECORDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["write"]


def write() -> None:
    """The generated part of the page."""
    lines = read_lines(RECORDS)
    save_figure(picture(lines), paths.IMAGES / "frame.png", "png", dpi=130)
    text = (
        f"{table(lines)}\n\n![Orientation of the icosahedra found](images/frame.png)"
        f"\n\nMade by `python -m benchmarks.hits.frame` (seed {lines[0]['seed']}) on "
        f"{lines[0]['machine']}."
    )
    replace_block(paths.DOCS / "frame-dependence.md", "frame", text)


def pairs(lines: Lines) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Searches from starts as drawn, each with that from the same starts rotated."""
    return zip(lines[::2], lines[1::2], strict=True)


def table(lines: Lines) -> str:
    """Hits, and whether the energies are distributed alike."""
    rows = []
    for plain, turned in pairs(lines):
        # A result of scipy's own kind, whose fields are not declared.
        compared: Any = ks_2samp(plain["energies"], turned["energies"])
        rows.append(
            [
                plain["target"],
                f"`{plain['weights']}`",
                _hits(plain),
                _hits(turned),
                f"{compared.pvalue:.2g}",
            ]
        )
    header = ["target", "rule", "hits as drawn", "hits rotated"]
    header.append("p (Kolmogorov-Smirnov)")
    return markdown_table(header, rows, numbers=False)


def _hits(line: dict[str, Any]) -> str:
    hits = int(np.sum(np.array(line["energies"]) < line["reference"] + 1e-4))
    low, high = wilson_interval(hits, line["n_starts"])
    return f"{hits}/{line['n_starts']} ({low:.2f}-{high:.2f})"


def picture(lines: Lines) -> Figure:
    """Alignments of the icosahedra, a panel per rule."""
    figure = new_figure(11, 4.4)
    shown = [pair for pair in pairs(lines) if "alignment" in pair[0]][:2]
    for panel, (plain, turned) in zip(figure.subplots(1, 2), shown, strict=True):
        _draw(panel, plain, turned)
    return figure


def _draw(panel: Axes, plain: dict[str, Any], turned: dict[str, Any]) -> None:
    bins = np.linspace(0.85, 1.0, 31)
    for line, label, colour in (
        (plain, "starts as drawn", "#0072B2"),
        (turned, "starts rotated", "#E69F00"),
    ):
        panel.hist(
            line["alignment"],
            bins,
            density=True,
            histtype="step",
            lw=1.6,
            color=colour,
            label=label,
        )
    panel.hist(
        random_cosines(),
        bins,
        density=True,
        color="#cccccc",
        label="random orientation",
        zorder=0,
    )
    panel.set_title(f"{plain['weights']}, {plain['target']}", fontsize=14)
    panel.set_xlabel("largest |cos| between a vertex and an axis")
    panel.set_ylabel("density")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=11)
