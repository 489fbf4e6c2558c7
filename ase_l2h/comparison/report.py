"""Tables and pictures of compared methods, see ``Comparison``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_l2h._internal.files import write_atomically
from ase_l2h.comparison.encounters import Encounters, Estimate
from ase_l2h.comparison.outcome import Comparison
from ase_l2h.report.pages import csv_text, markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "estimate_text",
    "figure",
    "markdown",
    "rows",
    "significant",
    "write_comparison",
]


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row per target and method; what is not bounded is None."""
    table = []
    for (target, name), met in comparison.encounters.items():
        settings = comparison.settings[target, name]
        row: dict[str, Any] = {
            "target": target,
            "method": name,
            "weights_sha256": settings.get("weights_sha256"),
            "steps": settings.get("steps"),
            "runs": met.found.size,
            "found": met.hits,
            "budget": comparison.budget,
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
        rate = met.seconds_per_evaluation
        row["evaluations_per_second"] = round(1 / rate, 1) if rate > 0 else None
        row["compile_seconds"] = met.compile_seconds
        row["lowest_energy"] = met.lowest if math.isfinite(met.lowest) else None
        row["backend"] = " and ".join(met.backends)
        table.append(row)
    return table


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


def markdown(comparison: Comparison) -> str:
    """The tables, one per target, with what was declared."""
    header = [
        "method",
        "found",
        "mean evaluations (95 %)",
        "median",
        "90 %",
        "mean seconds (95 %)",
        "compile seconds",
        "lowest",
        "backend",
    ]
    out = []
    for target, energy in comparison.targets.items():
        table = []
        for name in comparison.methods:
            met = comparison.encounters.get((target, name))
            if met is None:
                table.append([f"`{name}`", "not run", *["-"] * 7])
                continue
            table.append(
                [
                    f"`{name}`",
                    f"{met.hits}/{met.found.size}",
                    estimate_text(met.mean),
                    significant(met.quantile(0.5).value),
                    significant(met.quantile(0.9).value),
                    estimate_text(met.mean.times(met.seconds_per_evaluation)),
                    significant(met.compile_seconds),
                    f"{met.lowest:.6f}" if math.isfinite(met.lowest) else "-",
                    " and ".join(met.backends),
                ]
            )
        out += [f"## {target}, {energy:.6f}", "", markdown_table(header, table), ""]
    return "\n".join([*out, _declared(comparison)])


def _declared(comparison: Comparison) -> str:
    text = (
        f"Seed {comparison.seed}, {comparison.runs} runs per method and target, each "
        f"cut off before it exceeds {comparison.budget:,} charged evaluations, as "
        "declared before the first run. A run ends with a charged relaxation within "
        "1e-4 energy scales of the target. Means allow for runs that were cut off. "
        "Their 95 % intervals follow from the variation of the runs; with fewer than "
        "10 encounters they assume memoryless searches. `> x`: nothing was found, "
        "and the mean is above x with 97.5 % confidence. Median and 90 % quantile "
        "are Kaplan-Meier estimates. Seconds are without compilation, which has a "
        "column of its own, for runs side by side on the machine"
    )
    if not comparison.machines:
        return f"{text}."
    machines = "; ".join(comparison.machines)
    return f"{text}: {machines}, which other work may have shared."


def figure(comparison: Comparison) -> Figure:
    """Success against charged evaluations and against seconds, a row per target.

    Methods that never met the target have no curve; the panel names them.
    """
    from ase_l2h.report.figures import LINES, PAIRED, new_figure, tidy_axes

    count = len(comparison.targets)
    picture = new_figure(12.0, 4.4 * count + 0.2)
    panels = picture.subplots(count, 2, squeeze=False, sharey=True)
    for row, target in zip(panels, comparison.targets, strict=True):
        met = {
            name: comparison.encounters[target, name]
            for name in comparison.methods
            if (target, name) in comparison.encounters
        }
        drawn = [name for name in met if met[name].hits]
        for k, name in enumerate(drawn):
            look = {"color": PAIRED[k % len(PAIRED)], "ls": LINES[k % len(LINES)]}
            rate = max(met[name].seconds_per_evaluation, 1e-12)
            for panel, factor in zip(row, (1.0, rate), strict=True):
                _draw(panel, met[name], factor, look, name)
        for panel in row:
            tidy_axes(panel)
            panel.set_xscale("log")
            panel.set_ylim(-0.02, 1.02)
            panel.tick_params(labelsize=12)
        row[0].set_ylabel(f"{target}: share of runs that met it", fontsize=13)
        row[0].set_xlabel("charged evaluations of a run", fontsize=13)
        row[1].set_xlabel("seconds of a run, without compilation", fontsize=13)
        if drawn:
            row[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=12)
        never = [name for name in met if name not in drawn]
        if never:
            said = f"Never met by {', '.join(never)}."
            row[0].set_title(said, fontsize=12, loc="left", color="dimgrey")
    return picture


def _draw(
    panel: Axes, met: Encounters, factor: float, look: dict[str, Any], name: str
) -> None:
    curve = met.curve()
    # From zero at the first encounter to the end of the longest run: runs that are cut
    # off go on at the level they have reached.
    first, end = curve.evaluations[0], float(met.evaluations.max())
    times = np.concatenate([[first], curve.evaluations, [max(end, first)]]) * factor
    joined = lambda values: np.concatenate([[0.0], values, values[-1:]])
    panel.step(times, joined(curve.share), where="post", lw=2.2, label=name, **look)
    panel.fill_between(
        times,
        joined(curve.low),
        joined(curve.high),
        step="post",
        color=look["color"],
        alpha=0.12,
        lw=0,
    )


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write ``results.csv``, ``results.md`` and the curves as PNG and PDF."""
    from ase_l2h.report.figures import save_figure

    write_atomically(folder / "results.csv", csv_text(rows(comparison)))
    page = f"# Comparison\n\n{markdown(comparison)}\n"
    page += "\n![Success curves](curves.png)\n"
    write_atomically(folder / "results.md", page.encode())
    curves = figure(comparison)
    for form in ("png", "pdf"):
        save_figure(curves, folder / f"curves.{form}", form)
