"""The picture of ``docs/speed.md``: evaluations and steps by size and by batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ase_l2h.report.figures import new_figure
from benchmarks.pages.speed_records import STEP_NAMES
from benchmarks.speed.throughput import BATCH, FAMILIES, SIZES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["picture"]

WAYS = {
    "ase_l2h": ("this package", "#0072B2", "o"),
    "natural": ("natural JAX", "#E69F00", "s"),
    "jax-md": ("jax-md", "#009E73", "^"),
    "torch-sim": ("torch-sim", "#CC79A7", "v"),
}
LINES = {"LJ": "-", "AgAu": "--"}

Records = Sequence[dict[str, Any]]


def picture(records: Records) -> Figure:
    """Evaluations by size and by batch, microseconds of a step by size."""
    from matplotlib.ticker import NullLocator

    figure = new_figure(13, 5.0)
    sizes, batches, steps = panels = figure.subplots(1, 3)
    for family in LINES:
        targets = [FAMILIES[family](n) for n in SIZES]
        by_size = [r for r in records if r["target"] in targets and r["batch"] == BATCH]
        _draw_rates(sizes, by_size, "n_atoms", family)
        by_batch = [r for r in records if r["target"] == FAMILIES[family](38)]
        by_batch = sorted(by_batch, key=lambda record: record["batch"])
        _draw_rates(batches, by_batch, "batch", family)
    _draw_steps(steps, records)
    sizes.set_xlabel(f"atoms, batch of {BATCH}")
    batches.set_xlabel("batch, 38 atoms")
    steps.set_xlabel(f"atoms (Lennard-Jones), batch of {BATCH}")
    for panel in (sizes, batches):
        panel.set_ylabel("charged evaluations per second")
    steps.set_ylabel("microseconds per structure and step")
    for panel in (sizes, steps):
        panel.set_xticks(SIZES, labels=[str(n) for n in SIZES])
        panel.xaxis.set_minor_locator(NullLocator())
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    # Of the first two panels, above them: lines fill the panels themselves.
    figure.legend(
        *sizes.get_legend_handles_labels(),
        loc="outside upper left",
        ncols=6,
        handlelength=3.5,
        frameon=False,
        fontsize=11,
    )
    steps.legend(frameon=False, fontsize=11)
    return figure


def _draw_rates(panel: Axes, records: Records, across: str, family: str) -> None:
    """Evaluations per second of every way, over an entry of the records."""
    for way, (name, colour, marker) in WAYS.items():
        points = [
            (record[across], record["evaluations_per_second"][way]["median"])
            for record in records
            if way in record["evaluations_per_second"]
        ]
        if points:
            panel.loglog(
                *zip(*points, strict=True),
                LINES[family],
                label=f"{name}, {family}",
                color=colour,
                marker=marker,
                ms=4,
            )


def _draw_steps(panel: Axes, records: Records) -> None:
    """Microseconds of a learned step on Lennard-Jones clusters."""
    chosen = [
        r for r in records if r["target"].startswith("LJ") and r["batch"] == BATCH
    ]
    sizes = [record["n_atoms"] for record in chosen]
    for rule, colour in (("coordinatewise", "#D55E00"), ("equivariant", "#56B4E9")):
        rates = [
            record["learned_steps_per_second"][rule]["median"] for record in chosen
        ]
        micro = [1e6 / rate for rate in rates]
        panel.loglog(sizes, micro, "o-", color=colour, label=STEP_NAMES[rule])
