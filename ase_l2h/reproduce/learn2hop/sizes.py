"""Figs. 4 and 8: mean and lowest energies of Lennard-Jones clusters against size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import Records
from ase_l2h.report.figures import GREY, new_figure, tidy_axes
from ase_l2h.report.pages import markdown_table
from ase_l2h.reproduce.learn2hop.searches import (
    METHOD_STYLES,
    MethodStyle,
    SearchOutcome,
    SearchSpec,
    backend_note,
    full_label,
    learned_style,
    run_searches,
)
from ase_l2h.reproduce.output import RECORDS, write_result
from ase_l2h.reproduce.registry import Progress
from ase_l2h.targets import named_target
from ase_l2h.weights.files import HISTORY, manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BUDGETS", "Budget", "fig4", "fig8"]

Table = dict[tuple[str, int], SearchOutcome]


class Budget(NamedTuple):
    """Sizes of Fig. 4, sizes of Fig. 8, starts, steps (None: the weights' horizon)."""

    sizes: tuple[int, ...]
    few_sizes: tuple[int, ...]
    starts: int
    steps: int


BUDGETS = {
    "quick": Budget(
        (13, 19, 26, 31, 38, 46, 55, 65, 75, 100), (13, 26, 38, 55, 75), 32, 1000
    ),
    "part": Budget(
        (13, 19, 22, 26, 31, 34, 38, 42, 46, 50, 55, 65, 75, 100),
        (13, 26, 38, 55, 75),
        150,
        50_000,
    ),
    "paper": Budget(tuple(range(13, 101)), tuple(range(13, 101)), 150, 50_000),
}


def _tasks(style: MethodStyle) -> set[str]:
    """What a method's weights were trained on."""
    released = manifest()
    names = (style.weights or released["default"]).split("+")
    return {task for name in names for task in released["weights"][name]["tasks"]}


def trained_sizes(style: MethodStyle) -> set[int]:
    """Sizes of Lennard-Jones clusters that a method's weights were trained on."""
    return {int(task[2:]) for task in _tasks(style) if task.startswith("LJ")}


def _trained_on(style: MethodStyle) -> str:
    """All of it in words."""
    sizes = ", ".join(map(str, sorted(trained_sizes(style))))
    others = sorted(task for task in _tasks(style) if not task.startswith("LJ"))
    return ", ".join([f"LJ {sizes}", *others])


def fig4(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """``fig4`` of :mod:`ase_l2h.reproduce.registry`."""
    size = BUDGETS[budget]
    styles = [METHOD_STYLES["adam"], METHOD_STYLES["fire"], METHOD_STYLES["default"]]
    table = _search(folder, styles, size.sizes, size, seed, progress)
    trained = trained_sizes(METHOD_STYLES["default"])
    text = _markdown(styles, size.sizes, table, set(size.sizes) - trained)
    text += (
        "\n\nNone of the default weights was trained on sizes with *. Lowest "
        "energies are given relative to the published minimum."
    )
    return write_result(
        folder,
        "fig4",
        "Fig. 4: energies against the number of atoms",
        text,
        _rows(styles, size.sizes, table),
        {
            "": _figure(
                styles, size.sizes, table, {METHOD_STYLES["default"].label: trained}
            )
        },
        f"{_left_out(budget, size, size.sizes, seed)} The default weights are a "
        f"portfolio of equivariant rules, not the paper's rule.{backend_note()}",
    )


def fig8(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """``fig8``: released weights that were trained on different sets."""
    size = BUDGETS[budget]
    styles = [METHOD_STYLES["adam"], METHOD_STYLES["fire"], *_training_sets()]
    table = _search(folder, styles, size.few_sizes, size, seed, progress)
    trained = {e.label: trained_sizes(e) for e in styles if e.method == "learned"}
    text = _markdown(styles, size.few_sizes, table, set()) + "\n\n"
    text += "\n".join(
        f"* {style.label}: trained on {_trained_on(style)}; "
        f"rule: {manifest()['weights'][style.weights]['architecture']}"
        for style in styles
        if style.method == "learned"
    )
    return write_result(
        folder,
        "fig8",
        "Fig. 8: training sets",
        text,
        _rows(styles, size.few_sizes, table),
        {"": _figure(styles, size.few_sizes, table, trained)},
        f"{_left_out(budget, size, size.few_sizes, seed)} The sets are those of the "
        f"released weights.{backend_note()}",
    )


def _training_sets() -> list[MethodStyle]:
    """Every installed set of the paper's rule, and one equivariant on the six sizes."""
    names = [
        name
        for name, entry in manifest()["weights"].items()
        if entry["architecture"] == "coordinatewise" and entry["role"] != HISTORY
    ]
    return [learned_style(name, k) for k, name in enumerate([*names, "lj"])]


def _search(
    folder: Path,
    styles: Sequence[MethodStyle],
    sizes: Sequence[int],
    budget: Budget,
    seed: int,
    progress: Progress,
) -> Table:
    records = Records(folder / RECORDS)
    keys = [(style, n) for n in sizes for style in styles]
    specs = [
        SearchSpec(named_target(f"LJ{n}"), style, budget.steps, budget.starts, seed)
        for style, n in keys
    ]
    outcomes = run_searches(records, specs, progress)
    return {(e.label, n): one for (e, n), one in zip(keys, outcomes, strict=True)}


def _left_out(budget: str, size: Budget, sizes: Sequence[int], seed: int) -> str:
    full = BUDGETS["paper"]
    return (
        f"Budget '{budget}': {len(sizes)} sizes (the paper: {full.sizes[0]} to "
        f"{full.sizes[-1]}), {size.starts} starts ({full.starts}), "
        f"{size.steps:,} steps ({full.steps:,}), seed {seed}."
    )


def _reference(outcome: SearchOutcome) -> float:
    reference = outcome.line["reference"]
    assert reference is not None, "all these clusters have published minima"
    return reference


def _markdown(
    styles: Sequence[MethodStyle], sizes: Sequence[int], table: Table, starred: set[int]
) -> str:
    header = ["N", "minimum"]
    for style in styles:
        header += [f"{style.label}: mean", "lowest", "hits"]
    lines = []
    for n in sizes:
        reference = _reference(table[styles[0].label, n])
        line = [f"{n}{'*' if n in starred else ''}", f"{reference:.3f}"]
        for style in styles:
            outcome = table[style.label, n]
            line += [
                f"{outcome.mean:.2f}",
                f"+{max(0.0, outcome.lowest - reference):.3f}",
                f"{outcome.hits}/{len(outcome.energies)}",
            ]
        lines.append(line)
    return markdown_table(header, lines)


def _rows(
    styles: Sequence[MethodStyle], sizes: Sequence[int], table: Table
) -> list[dict[str, Any]]:
    return [
        {
            "n_atoms": n,
            "method": full_label(style),
            "trained": style.method == "learned" and n in trained_sizes(style),
            "minimum": _reference(table[style.label, n]),
            "mean": table[style.label, n].mean,
            "lowest": table[style.label, n].lowest,
            "hits": table[style.label, n].hits,
            "starts": len(table[style.label, n].energies),
            "evaluations_per_start": round(table[style.label, n].per_start, 1),
        }
        for n in sizes
        for style in styles
    ]


def _figure(
    styles: Sequence[MethodStyle],
    sizes: Sequence[int],
    table: Table,
    trained: dict[str, set[int]],
) -> Figure:
    """Above the published minima: energies themselves would hide every difference."""
    figure = new_figure(8.4, 6.2)
    means, lowest = figure.subplots(2, 1, sharex=True)
    for style in styles:
        outcomes = [table[style.label, n] for n in sizes]
        above = np.array([[f.mean, f.lowest] for f in outcomes])
        above -= np.array([[_reference(f)] for f in outcomes])
        known = trained.get(style.label, set(sizes))
        look = {"color": style.colour, "marker": style.marker, "lw": 1.2, "ms": 6}
        for panel, values in zip((means, lowest), above.T, strict=True):
            # Hollow where the size was not trained on.
            panel.plot(
                sizes,
                np.maximum(values, 0),
                label=style.label.replace("`", ""),
                fillstyle="none",
                **look,
            )
            inside = [k for k, n in enumerate(sizes) if n in known]
            if style.label in trained and inside:
                panel.plot(
                    np.array(sizes)[inside],
                    np.maximum(values[inside], 0),
                    ls="none",
                    **{k: v for k, v in look.items() if k != "lw"},
                )
    for n in sorted(set.union(set(), *trained.values()) & set(sizes)):
        for panel in (means, lowest):
            panel.axvline(n, color=GREY, lw=0.6, ls=":")
    means.set_ylabel("mean energy\nabove the minimum ($\\epsilon$)")
    lowest.set_ylabel("lowest energy\nabove the minimum ($\\epsilon$)")
    lowest.set_xlabel("number of atoms (hollow: a learned rule was not trained on it)")
    means.legend(frameon=False, fontsize="small")
    for panel in (means, lowest):
        tidy_axes(panel)
        panel.set_ylim(bottom=-0.02 * panel.get_ylim()[1])
    return figure
