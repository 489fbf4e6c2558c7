"""What was aimed at in training, and what the released weights reach."""

from __future__ import annotations

from ase_l2h.report.pages import markdown_table
from benchmarks.pages.summaries import long_rows, manifest, result_rows

__all__ = ["aims"]

# Aims of the training, set before there were weights: what of 150 starts is at most the
# number, for these weights after this many steps. Which serve best is known afterwards.
AIMS = (
    ("LJ13", "to_minimum", 500, "lj-icosahedral", 300),
    ("LJ19", "to_minimum", 1_500, "lj-19-55", 600),
    ("LJ26", "to_minimum", 1_500, "lj-19-55", 600),
    ("LJ31", "to_minimum", 10_000, "lj-31", 600),
    ("LJ38", "to_minimum", 5_000, "lj-fcc", 600),
    ("LJ55", "to_minimum", 10_000, "lj-19-55", 600),
    ("LJ75", "mean", -391, "lj-75", 10_000),
    ("LJ75", "lowest", -397.49, "universal", 10_000),
    ("Au55", "mean", -181.61, "paper-au-55", 50_000),
    ("Si64", "mean", -261.81, "paper-lj13", 10_000),
)
MEASURES = {
    "to_minimum": "evaluations to the minimum",
    "mean": "mean energy",
    "lowest": "lowest energy",
}


def aims() -> str:
    """The table of aims."""
    rows = result_rows() + long_rows()
    reached = {(row["target"], row["method"], row["steps"]): row for row in rows}
    weights = manifest()["weights"]
    table = []
    for target, what, aim, name, steps in AIMS:
        value = reached[target, name, steps][what]
        # The published lowest energy is rounded.
        met = value is not None and value <= aim + 5e-3 * (what == "lowest")
        shown = "-" if value is None else f"{value:,.0f}" if aim > 0 else f"{value:.2f}"
        table.append(
            [
                target,
                MEASURES[what],
                f"{aim:,}",
                shown,
                "yes" if met else "no",
                f"`{name}`",
                f"{steps:,}",
                "yes" if target in weights[name]["tasks"] else "no",
            ]
        )
    header = ["target", "what", "aim, at most", "reached", "met", "weights", "steps"]
    return markdown_table([*header, "trained on the target"], table, numbers=False)
