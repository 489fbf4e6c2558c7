"""Figures 2 to 4 of the action paper, from records of runs on its functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ase_l2h._internal.records import Lines
from ase_l2h.report.figures import BLUE, GREY, PAIRED, VERMILLION, new_figure, tidy_axes
from ase_l2h.reproduce.action.lines import (
    TITLES,
    largest_dimension,
    select,
    values_of,
)
from ase_l2h.reproduce.action.methods import COPIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STYLES", "course_figure", "loss_figure"]

# Colour and line of the network methods.
STYLES = {
    "action": (BLUE, "-"),
    "regression": (VERMILLION, "--"),
    "shrinking boxes": (PAIRED[2], "-."),
}


def course_figure(lines: Lines, name: str) -> Figure:
    """Value and distance of the learned minimum in the course of the runs.

    Largest dimension of the records and budget, first seed; Figures 2 and 3 of the
    paper.
    """
    lines = [line for style in STYLES for line in select(lines, method=style)]
    lines = select(lines, function=name)
    lines = select(lines, dimension=max(values_of(lines, "dimension")))
    lines = select(lines, budget=max(values_of(lines, "budget")))
    lines = select(lines, seed=min(values_of(lines, "seed")))
    copies = [copy for copy in COPIES if select(lines, copy=copy)]
    figure = new_figure(4.6 * len(copies), 5.6)
    panels = figure.subplots(2, len(copies), sharex=True, sharey="row", squeeze=False)
    for column, copy in enumerate(copies):
        top, bottom = panels[:, column]
        for method, (colour, style) in STYLES.items():
            for line in select(lines, copy=copy, method=method):
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
        top.set_title(f"{TITLES[name]}, {copy}, d = {lines[0]['dimension']}")
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
    names = values_of(lines, "function")
    figure = new_figure(4.6 * len(names), 3.4)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        runs = select(lines, function=name, method="action")
        runs = select(runs, dimension=largest_dimension(runs))
        runs = select(runs, budget=max(values_of(runs, "budget")))
        for copy, colour, style in zip(
            COPIES, (BLUE, VERMILLION), ("-", "--"), strict=True
        ):
            for k, line in enumerate(select(runs, copy=copy)):
                trace = line["trace"]
                charged = np.array(trace["charged_evaluations"]) / 1000
                loss = np.array(trace["loss"], float)
                label = copy if k == 0 else None
                panel.plot(charged, loss, color=colour, ls=style, lw=1, label=label)
        turn = runs[0]["trace"]["phase"].count("samples")
        panel.axvline(
            runs[0]["trace"]["charged_evaluations"][turn - 1] / 1000,
            color=GREY,
            lw=0.8,
            ls=":",
        )
        panel.set_title(f"{TITLES[name]}, d = {runs[0]['dimension']}")
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
