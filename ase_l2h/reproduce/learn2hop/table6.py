"""Table 6: transfer between potentials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ase_l2h._internal.records import Records, markdown_table
from ase_l2h.reproduce.learn2hop import table2
from ase_l2h.reproduce.learn2hop.pages import RECORDS, write_exhibit
from ase_l2h.reproduce.learn2hop.paper import paper_numbers, paper_target
from ase_l2h.reproduce.learn2hop.searches import (
    LINEUP,
    Entry,
    Job,
    labelled,
    learned_entry,
    ran_on,
    run_jobs,
)
from ase_l2h.weights.load import manifest

__all__ = ["reproduce"]

TARGETS = ("LJ13", "LJ75", "Si64")


def entries_and_paper() -> list[tuple[Entry, str | None]]:
    """Methods, and the paper's row that belongs to each.

    Weights whose last training was on silicon stand beside the paper's; what they had
    been trained on before is in the table.
    """
    silicon = [
        name
        for name, entry in manifest()["weights"].items()
        if all(task.startswith("Si") for task in entry["stages"][-1]["tasks"])
    ]
    rows: list[tuple[Entry, str | None]] = [
        (LINEUP["adam"], "Adam"),
        (LINEUP["fire"], "FIRE"),
        (LINEUP["paper"], None),
        (learned_entry("lj", 0), "trained on LJ"),
        (learned_entry("universal", 1), None),
    ]
    rows += [
        (learned_entry(name, 2 + k), "trained on Si64")
        for k, name in enumerate(silicon)
    ]
    return rows


def reproduce(
    folder: Path, budget: str, seed: int, progress: Callable[[int, int, str], Any]
) -> str:
    """The exhibit ``table6``, see :mod:`ase_l2h.reproduce.registry`."""
    size, numbers = table2.BUDGETS[budget], paper_numbers()["table6"]
    records = Records(folder / RECORDS)
    entries = entries_and_paper()
    lines: list[list[str]] = []
    rows: list[dict[str, Any]] = []
    for number, (entry, quoted) in enumerate(entries):
        jobs = [
            Job(paper_target(target), entry, size.steps, size.starts[target], seed)
            for target in TARGETS
        ]
        found = run_jobs(
            records, jobs, progress, number * len(jobs), len(entries) * len(jobs)
        )
        line = [labelled(entry), _trained_on(entry)]
        for k, (target, one) in enumerate(zip(TARGETS, found, strict=True)):
            of_paper = None if quoted is None else numbers[quoted][k]
            line += [f"{one.mean:.1f}", "-" if of_paper is None else f"{of_paper:.1f}"]
            rows.append(
                {
                    "method": labelled(entry),
                    "trained_on": _trained_on(entry),
                    "target": target,
                    "mean": one.mean,
                    "lowest": one.lowest,
                    "starts": len(one.energies),
                    "steps": one.line["n_steps"],
                    "paper_row": quoted,
                    "paper_mean": of_paper,
                }
            )
        lines.append(line)
    header = ["method", "trained on"]
    for target in TARGETS:
        header += [f"{target}: mean", "paper"]
    own = table2.BUDGETS["paper"]
    left_out = (
        f"Budget '{budget}': {size.counts} starts ({own.counts}), {size.steps:,} steps "
        f"({own.steps:,}), seed {seed}; means of all starts. Learned rules are the "
        "released weights, trained at up to 1,000 steps; all but the paper's rule are "
        f"equivariant. Silicon is in the 2 x 5.38 angstrom cell.{ran_on()}"
    )
    title = "Table 6: transfer between potentials"
    text = markdown_table(header, lines)
    return write_exhibit(folder, "table6", title, text, rows, {}, left_out)


def _trained_on(entry: Entry) -> str:
    if entry.method != "learned":
        return "-"
    assert entry.weights is not None, "rows of this table name their weights"
    return ", ".join(manifest()["weights"][entry.weights]["tasks"])
