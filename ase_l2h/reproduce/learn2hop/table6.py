"""Table 6: transfer between potentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ase_l2h._internal.records import Records
from ase_l2h.report.pages import markdown_table
from ase_l2h.reproduce.learn2hop import table2
from ase_l2h.reproduce.learn2hop.paper import paper_numbers, paper_target
from ase_l2h.reproduce.learn2hop.searches import (
    METHOD_STYLES,
    MethodStyle,
    SearchSpec,
    backend_note,
    full_label,
    learned_style,
    run_searches,
)
from ase_l2h.reproduce.output import RECORDS, write_result
from ase_l2h.reproduce.registry import Progress
from ase_l2h.weights.files import HISTORY, manifest

__all__ = ["reproduce"]

TARGETS = ("LJ13", "LJ75", "Si64")


def styles_and_rows() -> list[tuple[MethodStyle, str | None]]:
    """Methods, and the paper's row that belongs to each.

    Weights whose last training was on silicon stand beside the paper's; what they had
    been trained on before is in the table.
    """
    silicon = [
        name
        for name, style in manifest()["weights"].items()
        if style["role"] != HISTORY
        and all(task.startswith("Si") for task in style["stages"][-1]["tasks"])
    ]
    rows: list[tuple[MethodStyle, str | None]] = [
        (METHOD_STYLES["adam"], "Adam"),
        (METHOD_STYLES["fire"], "FIRE"),
        (METHOD_STYLES["paper"], None),
        (learned_style("lj", 0), "trained on LJ"),
        (learned_style("universal", 1), None),
    ]
    rows += [
        (learned_style(name, 2 + k), "trained on Si64")
        for k, name in enumerate(silicon)
    ]
    return rows


def reproduce(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """``table6`` of :mod:`ase_l2h.reproduce.registry`."""
    size, numbers = table2.BUDGETS[budget], paper_numbers()["table6"]
    records = Records(folder / RECORDS)
    styles = styles_and_rows()
    lines: list[list[str]] = []
    rows: list[dict[str, Any]] = []
    for number, (style, quoted) in enumerate(styles):
        specs = [
            SearchSpec(
                paper_target(target), style, size.steps, size.starts[target], seed
            )
            for target in TARGETS
        ]
        done, of = number * len(specs), len(styles) * len(specs)
        outcomes = run_searches(records, specs, progress, done, of)
        line = [full_label(style), _trained_on(style)]
        for k, (target, one) in enumerate(zip(TARGETS, outcomes, strict=True)):
            of_paper = None if quoted is None else numbers[quoted][k]
            line += [f"{one.mean:.1f}", "-" if of_paper is None else f"{of_paper:.1f}"]
            rows.append(
                {
                    "method": full_label(style),
                    "trained_on": _trained_on(style),
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
    full = table2.BUDGETS["paper"]
    left_out = (
        f"Budget '{budget}': {size.counts} starts ({full.counts}), "
        f"{size.steps:,} steps ({full.steps:,}), seed {seed}; means of all starts. "
        "Learned rules are the released weights, trained at up to 1,000 steps; all but "
        "the paper's rule are equivariant. Silicon is in the 2 x 5.38 angstrom cell."
        f"{backend_note()}"
    )
    title = "Table 6: transfer between potentials"
    text = markdown_table(header, lines)
    return write_result(folder, "table6", title, text, rows, {}, left_out)


def _trained_on(style: MethodStyle) -> str:
    if style.method != "learned":
        return "-"
    assert style.weights is not None, "rows of this table name their weights"
    return ", ".join(manifest()["weights"][style.weights]["tasks"])
