"""Tables and pictures of compared methods, from their record only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_l2h._internal.files import write_atomically
from ase_l2h._internal.records import Lines
from ase_l2h.comparison.encounters import Encounters, Estimate, encounters_of
from ase_l2h.comparison.protocol import Protocol
from ase_l2h.report.figures import (
    LINES,
    PAIRED,
    new_figure,
    save_figure,
    tidy_axes,
)
from ase_l2h.report.pages import csv_text, markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "compared_rows",
    "comparison_figure",
    "comparison_markdown",
    "write_comparison",
]

Table = dict[tuple[str, str], Encounters]


def _table(protocol: Protocol, lines: Lines) -> Table:
    found = {}
    for aim in protocol.goals:
        for method in protocol.contenders:
            met = encounters_of(protocol, lines, aim, method)
            if met is not None:
                found[aim.name, method.name] = met
    return found


def compared_rows(protocol: Protocol, lines: Lines) -> list[dict[str, Any]]:
    """One row per target and method; what is not bounded is None."""
    rows = []
    for (target, name), met in _table(protocol, lines).items():
        method = next(c for c in protocol.contenders if c.name == name)
        row: dict[str, Any] = {
            "target": target,
            "method": name,
            "weights_sha256": method.sha256,
            "steps": method.steps,
            "runs": met.found.size,
            "found": met.hits,
            "budget": protocol.budget,
        }
        numbers = {
            "mean_evaluations": met.mean,
            "median_evaluations": met.quantile(0.5),
            "p90_evaluations": met.quantile(0.9),
            "mean_seconds": met.mean.times(met.seconds_per_evaluation),
        }
        for label, number in numbers.items():
            for end in ("value", "low", "high"):
                value = getattr(number, end)
                suffix = "" if end == "value" else f"_{end}"
                row[f"{label}{suffix}"] = value if math.isfinite(value) else None
        row["evaluations_per_second"] = round(1 / met.seconds_per_evaluation, 1)
        row["compile_seconds"] = met.compile_seconds
        row["lowest_energy"] = met.lowest if math.isfinite(met.lowest) else None
        rows.append(row)
    return rows


def significant(value: float) -> str:
    """Three significant digits, thousands set off: ``12,300``."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "-"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    return f"{rounded:,.{max(digits, 0)}f}"


def estimate_text(number: Estimate) -> str:
    """``1,230 (1,100-1,400)``, or ``> 1,100`` when nothing was found."""
    if not math.isfinite(number.value):
        return f"> {significant(number.low)}" if math.isfinite(number.low) else "-"
    high = significant(number.high) if math.isfinite(number.high) else "..."
    return f"{significant(number.value)} ({significant(number.low)}-{high})"


def comparison_markdown(protocol: Protocol, lines: Lines) -> str:
    """The tables, one per target, with what was declared."""
    table = _table(protocol, lines)
    out = []
    for aim in protocol.goals:
        rows = []
        for method in protocol.contenders:
            met = table.get((aim.name, method.name))
            if met is None:
                rows.append([f"`{method.name}`", "not run", *["-"] * 6])
                continue
            rows.append(
                [
                    f"`{method.name}`",
                    f"{met.hits}/{met.found.size}",
                    estimate_text(met.mean),
                    significant(met.quantile(0.5).value),
                    significant(met.quantile(0.9).value),
                    estimate_text(met.mean.times(met.seconds_per_evaluation)),
                    significant(met.compile_seconds),
                    f"{met.lowest:.6f}",
                ]
            )
        header = [
            "method",
            "found",
            "mean evaluations (95 %)",
            "median",
            "90 %",
            "mean seconds (95 %)",
            "compile seconds",
            "lowest",
        ]
        out += [f"## {aim.name}, {aim.energy:.6f}", "", markdown_table(header, rows)]
        out.append("")
    return "\n".join([*out, _declared(protocol, lines)])


def _declared(protocol: Protocol, lines: Lines) -> str:
    machines = {
        f"{line['machine']} ({line['device']})" for line in lines if "device" in line
    }
    return (
        f"Seed {protocol.seed}, {protocol.runs} runs per method and target, each cut "
        f"off after {protocol.budget:,} charged evaluations; declared before the first "
        "of them. A run ends with a charged quench within 1e-4 energy scales of the "
        "target. Means count runs that were cut off as such and have exact 95 % "
        "intervals; `> x`: nothing was found, and the mean is above x with 97.5 % "
        "confidence. Median and 90 % are Kaplan and Meier's. Seconds are those of the "
        "machine with runs side by side, without compilation, which is given apart: "
        f"{'; '.join(sorted(machines))}, which other work may have shared."
        + _backend(protocol)
    )


def _backend(protocol: Protocol) -> str:
    """Which methods the backend that was named ran."""
    named = [f"`{c.name}`" for c in protocol.contenders if protocol.asked_for(c)]
    if not named:
        return ""
    return f" The backend `{protocol.backend}` ran {', '.join(named)}."


def comparison_figure(protocol: Protocol, lines: Lines) -> Figure:
    """Success against charged evaluations and against seconds, a row per target."""
    table = _table(protocol, lines)
    figure = new_figure(9.6, 3.3 * len(protocol.goals) + 0.3)
    panels = figure.subplots(len(protocol.goals), 2, squeeze=False, sharey=True)
    for row, aim in zip(panels, protocol.goals, strict=True):
        for k, method in enumerate(protocol.contenders):
            met = table.get((aim.name, method.name))
            if met is None:
                continue
            look = {"color": PAIRED[k % len(PAIRED)], "ls": LINES[k % len(LINES)]}
            curve = met.curve()
            rate = met.seconds_per_evaluation
            # Runs that are cut off go on at the level they have reached.
            end = max(float(met.evaluations.max()), 1.0)
            for panel, factor in zip(row, (1.0, rate), strict=True):
                _draw(panel, curve, end, factor, look, method.name)
        for panel in row:
            tidy_axes(panel)
            panel.set_xscale("log")
            panel.set_ylim(-0.02, 1.02)
        row[0].set_title(aim.name)
        row[1].set_title(aim.name)
        row[0].set_ylabel("share of runs with a hit")
    panels[-1][0].set_xlabel("charged evaluations of a run")
    panels[-1][1].set_xlabel("seconds of a run, without compilation")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _draw(
    panel: Axes, curve: Any, end: float, factor: float, look: dict[str, Any], name: str
) -> None:
    if not curve.evaluations.size:
        panel.plot(np.array([end / 100, end]) * factor, [0, 0], label=name, **look)
        return
    first = curve.evaluations[0]
    # From zero at the first encounter to the end of the longest run.
    times = np.concatenate([[first], curve.evaluations, [max(end, first)]]) * factor
    joined = lambda values: np.concatenate([[0.0], values, values[-1:]])
    panel.step(times, joined(curve.share), where="post", lw=1.6, label=name, **look)
    panel.fill_between(
        times,
        joined(curve.low),
        joined(curve.high),
        step="post",
        color=look["color"],
        alpha=0.15,
        lw=0,
    )


def write_comparison(
    folder: Path, protocol: Protocol, lines: Lines
) -> Sequence[dict[str, Any]]:
    """Write ``results.csv``, ``results.md`` and the curves as PNG and PDF."""
    rows = compared_rows(protocol, lines)
    write_atomically(folder / "results.csv", csv_text(rows))
    page = f"# Comparison\n\n{comparison_markdown(protocol, lines)}\n"
    page += "\n![Success curves](curves.png)\n"
    write_atomically(folder / "results.md", page.encode())
    figure = comparison_figure(protocol, lines)
    for form in ("png", "pdf"):
        save_figure(figure, folder / f"curves.{form}", form)
    return rows
