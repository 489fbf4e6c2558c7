"""Fig. 5: distributions of the minima of LJ13 and LJ75, from Table 2's searches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ase_l2h._internal.records import Records
from ase_l2h.report.figures import LINES, new_figure, tidy_axes
from ase_l2h.report.pages import markdown_table
from ase_l2h.reproduce.learn2hop import table2
from ase_l2h.reproduce.learn2hop.paper import paper_numbers
from ase_l2h.reproduce.learn2hop.searches import (
    METHOD_STYLES,
    SearchOutcome,
    backend_note,
)
from ase_l2h.reproduce.output import RECORDS, write_result
from ase_l2h.reproduce.registry import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["reproduce"]

TARGETS = ("LJ13", "LJ75")


def reproduce(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """``fig5`` of :mod:`ase_l2h.reproduce.registry`."""
    size = table2.BUDGETS[budget]
    records = Records(folder / RECORDS)
    specs = {target: table2.searches_of(size, target, seed) for target in TARGETS}
    outcomes = table2.run_by_target(records, specs, progress)
    numbers = paper_numbers()["fig5"]
    of_paper = {
        "adam": numbers["lj13_hits"]["Adam"],
        "fire": numbers["lj13_hits"]["FIRE"],
        "paper": numbers["lj13_hits"]["learned"],
    }
    header = [
        "method",
        "LJ13: hits",
        "paper",
        "LJ75: lowest above the minimum",
        "within 1",
    ]
    lines = []
    for name in outcomes["LJ13"]:
        small, large = outcomes["LJ13"][name], outcomes["LJ75"][name]
        above = large.energies - large.line["reference"]
        beside = f"about {of_paper[name]}/150" if name in of_paper else "-"
        lines.append(
            [
                METHOD_STYLES[name].label,
                f"{small.hits}/{len(small.energies)}",
                beside,
                f"{above.min():.2f}",
                f"{int(np.sum(above < 1))}/{len(above)}",
            ]
        )
    rows = [
        {
            "target": target,
            "method": METHOD_STYLES[name].label,
            "start": k,
            "energy": energy,
        }
        for target, methods in outcomes.items()
        for name, one in methods.items()
        for k, energy in enumerate(one.line["energies"])
    ]
    left_out = (
        f"Budget '{budget}': {size.starts['LJ75']} starts (the paper: 150) of "
        f"{size.steps:,} steps (50,000), seed {seed}; searches as in Table 2."
        f"{backend_note()}"
    )
    title = "Fig. 5: distributions of minima"
    text = markdown_table(header, lines)
    return write_result(
        folder, "fig5", title, text, rows, {"": _figure(outcomes)}, left_out
    )


def _figure(outcomes: dict[str, dict[str, SearchOutcome]]) -> Figure:
    """Cumulative shares: six histograms on top of each other cannot be read."""
    figure = new_figure(9.6, 4.3)
    panels = figure.subplots(1, len(outcomes))
    for panel, (target, methods) in zip(panels, outcomes.items(), strict=True):
        for k, (name, one) in enumerate(methods.items()):
            above = np.sort(one.energies - one.line["reference"])
            above = np.maximum(above[np.isfinite(above)], 0.0)
            share = np.arange(1, len(above) + 1) / len(one.energies)
            # From left of the minimum, so that what all reach is seen.
            panel.step(
                np.concatenate([[-1.0], above, [1e3]]),
                np.concatenate([[0.0], share, share[-1:]]),
                where="post",
                color=METHOD_STYLES[name].colour,
                ls=LINES[k % len(LINES)],
                lw=1.6,
                label=METHOD_STYLES[name].label,
            )
        panel.set_title(target)
        panel.set_xlabel("energy above the minimum ($\\epsilon$)")
        panel.set_ylim(-0.02, 1.02)
        widest = max(
            float(np.max(one.energies[np.isfinite(one.energies)]))
            for one in methods.values()
        )
        span = widest - next(iter(methods.values())).line["reference"]
        panel.set_xlim(-0.03 * span, 1.03 * span)
        tidy_axes(panel)
    panels[0].set_ylabel("share of starts that end below")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure
