"""Figs. 4 and 8: mean and lowest energies of Lennard-Jones clusters against size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import Records, markdown_table
from ase_l2h.report.figures import GREY, new_figure, tidy_axes
from ase_l2h.reproduce.learn2hop.pages import RECORDS, write_exhibit
from ase_l2h.reproduce.learn2hop.searches import (
    LINEUP,
    Entry,
    Found,
    Job,
    labelled,
    learned_entry,
    ran_on,
    run_jobs,
)
from ase_l2h.targets import named_target
from ase_l2h.weights.load import manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BUDGETS", "Budget", "fig4", "fig8"]

Progress = Callable[[int, int, str], Any]
Table = dict[tuple[str, int], Found]


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
    "paper": Budget(tuple(range(13, 101)), tuple(range(13, 101)), 150, 50_000),
}


def trained_sizes(entry: Entry) -> set[int]:
    """Sizes of Lennard-Jones clusters that an entry's weights were trained on."""
    released = manifest()
    names = (entry.weights or released["default"]).split("+")
    tasks = {task for name in names for task in released["weights"][name]["tasks"]}
    return {int(task[2:]) for task in tasks if task.startswith("LJ")}


def fig4(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """The exhibit ``fig4``, see :mod:`ase_l2h.reproduce.registry`."""
    size = BUDGETS[budget]
    entries = [LINEUP["adam"], LINEUP["fire"], LINEUP["default"]]
    table = _search(folder, entries, size.sizes, size, seed, progress)
    trained = trained_sizes(LINEUP["default"])
    text = _markdown(entries, size.sizes, table, set(size.sizes) - trained)
    text += (
        "\n\nSizes with * were not trained on by any of the default weights. "
        "Lowest energies are above the published minimum by what is printed."
    )
    return write_exhibit(
        folder,
        "fig4",
        "Fig. 4: energies against the number of atoms",
        text,
        _rows(entries, size.sizes, table),
        {"": _figure(entries, size.sizes, table, {LINEUP["default"].label: trained})},
        f"{_left_out(budget, size, size.sizes, seed)} The default weights are a "
        f"portfolio of equivariant rules, not the paper's rule.{ran_on()}",
    )


def fig8(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """The exhibit ``fig8``: released weights that were trained on different sets."""
    size = BUDGETS[budget]
    entries = [LINEUP["adam"], LINEUP["fire"], *_training_sets()]
    table = _search(folder, entries, size.few_sizes, size, seed, progress)
    trained = {e.label: trained_sizes(e) for e in entries if e.method == "learned"}
    text = _markdown(entries, size.few_sizes, table, set()) + "\n\n"
    text += "\n".join(
        f"* {label}: trained on LJ {', '.join(map(str, sorted(sizes)))}; "
        f"rule: {_architecture(label, entries)}"
        for label, sizes in trained.items()
    )
    return write_exhibit(
        folder,
        "fig8",
        "Fig. 8: training sets",
        text,
        _rows(entries, size.few_sizes, table),
        {"": _figure(entries, size.few_sizes, table, trained)},
        f"{_left_out(budget, size, size.few_sizes, seed)} The sets are those of the "
        f"released weights.{ran_on()}",
    )


def _training_sets() -> list[Entry]:
    """Every released set of the paper's rule, and one equivariant on the six sizes."""
    released = manifest()["weights"]
    names = [n for n, e in released.items() if e["architecture"] == "coordinatewise"]
    return [learned_entry(name, k) for k, name in enumerate([*names, "lj"])]


def _architecture(label: str, entries: Sequence[Entry]) -> str:
    weights = next(e.weights for e in entries if e.label == label)
    return manifest()["weights"][weights]["architecture"]


def _search(
    folder: Path,
    entries: Sequence[Entry],
    sizes: Sequence[int],
    budget: Budget,
    seed: int,
    progress: Progress,
) -> Table:
    records = Records(folder / RECORDS)
    keys = [(entry, n) for n in sizes for entry in entries]
    jobs = [
        Job(named_target(f"LJ{n}"), entry, budget.steps, budget.starts, seed)
        for entry, n in keys
    ]
    found = run_jobs(records, jobs, progress)
    return {(e.label, n): one for (e, n), one in zip(keys, found, strict=True)}


def _left_out(budget: str, size: Budget, sizes: Sequence[int], seed: int) -> str:
    own = BUDGETS["paper"]
    return (
        f"Budget '{budget}': {len(sizes)} sizes (the paper: {own.sizes[0]} to "
        f"{own.sizes[-1]}), {size.starts} starts ({own.starts}), {size.steps:,} steps "
        f"({own.steps:,}), seed {seed}."
    )


def _reference(found: Found) -> float:
    reference = found.line["reference"]
    assert reference is not None, "all these clusters have published minima"
    return reference


def _markdown(
    entries: Sequence[Entry], sizes: Sequence[int], table: Table, starred: set[int]
) -> str:
    header = ["N", "minimum"]
    for entry in entries:
        header += [f"{entry.label}: mean", "lowest", "hits"]
    lines = []
    for n in sizes:
        reference = _reference(table[entries[0].label, n])
        line = [f"{n}{'*' if n in starred else ''}", f"{reference:.3f}"]
        for entry in entries:
            found = table[entry.label, n]
            line += [
                f"{found.mean:.2f}",
                f"+{max(0.0, found.lowest - reference):.3f}",
                f"{found.hits}/{len(found.energies)}",
            ]
        lines.append(line)
    return markdown_table(header, lines)


def _rows(
    entries: Sequence[Entry], sizes: Sequence[int], table: Table
) -> list[dict[str, Any]]:
    return [
        {
            "n_atoms": n,
            "method": labelled(entry),
            "trained": entry.method == "learned" and n in trained_sizes(entry),
            "minimum": _reference(table[entry.label, n]),
            "mean": table[entry.label, n].mean,
            "lowest": table[entry.label, n].lowest,
            "hits": table[entry.label, n].hits,
            "starts": len(table[entry.label, n].energies),
            "evaluations_per_start": round(table[entry.label, n].per_start, 1),
        }
        for n in sizes
        for entry in entries
    ]


def _figure(
    entries: Sequence[Entry],
    sizes: Sequence[int],
    table: Table,
    trained: dict[str, set[int]],
) -> Figure:
    """Above the published minima: energies themselves would hide every difference."""
    figure = new_figure(8.4, 6.2)
    means, lowest = figure.subplots(2, 1, sharex=True)
    for entry in entries:
        mine = [table[entry.label, n] for n in sizes]
        above = np.array([[f.mean, f.lowest] for f in mine])
        above -= np.array([[_reference(f)] for f in mine])
        known = trained.get(entry.label, set(sizes))
        look = {"color": entry.colour, "marker": entry.marker, "lw": 1.2, "ms": 6}
        for panel, values in zip((means, lowest), above.T, strict=True):
            # Hollow where the size was not trained on.
            panel.plot(
                sizes,
                np.maximum(values, 0),
                label=entry.label.replace("`", ""),
                fillstyle="none",
                **look,
            )
            inside = [k for k, n in enumerate(sizes) if n in known]
            if entry.label in trained and inside:
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
