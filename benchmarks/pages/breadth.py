"""``docs/auto.md``: one default against the cheapest method of every target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import read_lines
from ase_l2h.comparison.encounters import Encounters, Estimate
from ase_l2h.comparison.report import significant
from ase_l2h.report.figures import save_figure
from ase_l2h.report.pages import markdown_table, write_page
from benchmarks import paths
from benchmarks.hits import breadth, comparison, sizes
from benchmarks.pages import breadth_pictures, sure
from benchmarks.pages.encounters import encounters, interval
from benchmarks.pages.hard import hard_section
from benchmarks.pages.learned import learned_section

__all__ = ["write"]

Line = dict[str, Any]


# Targets of the first table.
SHOWN = ("LJ38", "LJ75", "Au55", "Ag19Au19", "Si64")


class Row(NamedTuple):
    """A target: the default, and what was cheapest among all else."""

    target: str
    side: str
    hits: str
    mean: Estimate
    other: str
    least: float

    @property
    def ratio(self) -> float:
        """The default's mean over that of the cheapest."""
        return self.mean.value / self.least


def write() -> None:
    """The page and its pictures, from what has been recorded."""
    rows = compared()
    lines = [
        "# How good the default is",
        "",
        "`auto` is the default method. It makes structures in many ways, and the ways "
        "that have found most get the next evaluations (see [](search.md)). This page "
        "compares it with the cheapest other method of each target. That method is "
        "chosen with hindsight; learned optimizers take part with the weights that "
        "suit the target best. The numbers are charged evaluations (energy and "
        "gradient of one structure) until a search first meets the lowest minimum "
        "known. Nothing was tuned on their seed, 2026.",
        "",
        "The targets have two sides, 'development' and 'test'. The shares of the "
        "parts of `auto`, and its few numbers, were chosen on "
        f"{breadth.DEVELOPED_ON}. Apart from these, nothing was chosen on the side "
        "'test'.",
        "",
        "## At a glance",
        "",
        summary(rows),
        "",
        *_breadth(rows),
        *_ablations(),
        *_sizes(),
        *hard_section(),
        *learned_section(),
        *sure.section(),
    ]
    write_page(paths.DOCS / "auto.md", lines)


def summary(rows: Sequence[Row]) -> str:
    """The default beside the plain methods, on a few targets."""
    lines = {
        (line["target"], line["method"]): encounters(line)
        for line in read_lines(breadth.RECORDS)
        if line["runs"] >= 48
    }
    known = {row.target: row for row in rows}
    table = []
    for target in SHOWN:
        if target not in known:
            continue
        auto = lines[target, "auto"]
        seconds = auto.mean.value * auto.seconds_per_evaluation
        cells = [_mean(lines.get((target, name))) for name in ("auto", "bh", "learned")]
        table.append([target, *cells, f"{seconds:.2g}"])
    header = ["target", "`auto`", "basin hopping, `bh`", "`learned`", "`auto`, seconds"]
    ratios = f"{geometric_mean(rows):.2f}"
    return (
        f"{markdown_table(header, table)}\n\n"
        f"In the geometric mean over {len(rows)} targets, `auto` needs {ratios} times "
        "the evaluations of the cheapest other method."
    )


def _mean(runs: Encounters | None) -> str:
    if runs is None:
        return "-"
    mean = runs.mean
    if math.isfinite(mean.value):
        return significant(mean.value)
    return f"above {significant(mean.low)}"


def compared() -> list[Row]:
    """The targets of which the default has been measured."""
    rows = []
    lines = [line for line in read_lines(breadth.RECORDS) if line["runs"] >= 48]
    for target, declared in breadth.TARGETS.items():
        own = [line for line in lines if line["target"] == target]
        mine = [line for line in own if line["method"] == "auto"]
        if not mine:
            continue
        runs = encounters(mine[-1])
        others = {
            line["method"]: encounters(line).mean.value
            for line in own
            if not line["method"].startswith("auto")
        }
        for name, mean in _former(target).items():
            others[name] = min(mean, others.get(name, math.inf))
        other = min(others, key=lambda name: others[name], default="")
        rows.append(
            Row(
                target,
                declared.side,
                f"{runs.hits}/{runs.found.size}",
                runs.mean,
                other,
                others.get(other, math.inf),
            )
        )
    return rows


def _former(target: str) -> dict[str, float]:
    """Means that release 0.1.0 was measured with, here and in its own record."""
    found = {
        f"{line['method']} (0.1.0)": float(line["mean_evaluations"])
        for line in read_lines(breadth.FORMER)
        if line["target"] == target
    }
    recorded = comparison.recorded(target) if target in comparison.TARGETS else None
    if recorded is not None:
        for (_, method), runs in recorded.encounters.items():
            if not method.startswith(("auto", "population")):
                found[f"{method} (0.1.0)"] = runs.mean.value
    return found


def geometric_mean(rows: Sequence[Row]) -> float:
    """Of the ratios of all targets where another method met the target."""
    ratios = [row.ratio for row in rows if math.isfinite(row.least)]
    return math.exp(float(np.mean(np.log(ratios)))) if ratios else math.nan


def _breadth(rows: Sequence[Row]) -> list[str]:
    table = markdown_table(
        ["target", "side", "met", "`auto`", "cheapest other", "its mean", "ratio"],
        [
            [
                row.target,
                row.side,
                row.hits,
                interval(row.mean),
                f"`{row.other}`" if row.other else "-",
                significant(row.least) if math.isfinite(row.least) else "none",
                f"{row.ratio:.2f}" if math.isfinite(row.least) else "-",
            ]
            for row in rows
        ],
    )
    sides = [
        f"{side} {geometric_mean([row for row in rows if row.side == side]):.2f}"
        for side in ("development", "test")
    ]
    worst = max(
        (row for row in rows if math.isfinite(row.least)), key=lambda row: row.ratio
    )
    save_figure(
        breadth_pictures.ratios(
            [(r.target, r.side, r.ratio) for r in rows if math.isfinite(r.least)]
        ),
        paths.IMAGES / "auto-ratios.png",
        "png",
    )
    return [
        "## Never far from the cheapest",
        "",
        "The ratio is the mean of `auto` over that of the cheapest other method. The "
        f"geometric mean of the ratios is {geometric_mean(rows):.2f} "
        f"({', '.join(sides)}); the largest is {worst.ratio:.2f}, for {worst.target}. "
        "In brackets are 95 % intervals.",
        "",
        table,
        "",
        "Made by `python -m benchmarks.hits.breadth`, with at most 500,000 evaluations "
        "for a run of `auto`, 200,000 of `bh` and `hops`, and 50,000 of the learned "
        "optimizers. "
        "Means marked 0.1.0 were measured with that release: 12 runs each, cut off at "
        "150,000 evaluations, and the runs of [](comparison.md).",
        "",
        "![Ratios](images/auto-ratios.png)",
        "",
    ]


def _ablations() -> list[str]:
    """What a part is worth: the mean without it over that with all."""
    lines = read_lines(breadth.RECORDS)
    cut = [line for line in lines if line["method"].startswith("auto~")]
    if not cut:
        return []
    targets = list(dict.fromkeys(line["target"] for line in cut))
    names = list(dict.fromkeys(line["method"] for line in cut))
    means = {
        (line["target"], line["method"]): encounters(line).mean.value for line in lines
    }
    rows = [
        [
            target,
            *(
                f"{means[(target, name)] / means[(target, 'auto')]:.2f}"
                if math.isfinite(means.get((target, name), math.nan))
                else "-"
                for name in names
            ),
        ]
        for target in targets
    ]
    return [
        "## What each part is worth",
        "",
        "Mean evaluations without a part, divided by those with all parts. With 24 "
        "runs, ratios between 0.7 and 1.4 say little "
        "(`python -m benchmarks.hits.breadth --runs 24 --methods auto~fragments,...`).",
        "",
        markdown_table(["target", *(f"`{name}`" for name in names)], rows),
        "",
    ]


def _sizes() -> list[str]:
    """All published sizes."""
    if not sizes.RECORDS.exists():
        return []
    lines = {int(line["target"][2:]): line for line in read_lines(sizes.RECORDS)}
    if not lines:
        return []
    means = {n: encounters(line) for n, line in sorted(lines.items())}
    save_figure(breadth_pictures.by_size(means), paths.IMAGES / "auto-sizes.png", "png")
    all_met = [n for n, runs in means.items() if runs.hits == runs.found.size]
    some = [n for n, runs in means.items() if 0 < runs.hits < runs.found.size]
    none = [n for n, runs in means.items() if runs.hits == 0]
    missing = [n for n in sizes.SIZES if n not in means]
    said = [
        f"All {sizes.RUNS} runs met the published minimum at {len(all_met)} of "
        f"{len(means)} sizes"
    ]
    if some:
        said.append(f"some runs did at {_listed(some)}")
    if none:
        said.append(f"no run did at {_listed(none)}")
    text = ", ".join(said) + "."
    if missing:
        text += f" Not run to the end: {_listed(missing)}."
    seconds = sum(
        float(np.sum(line["evaluations"])) * (line["seconds_per_evaluation"] or 0.0)
        for line in lines.values()
    )
    return [
        "## Every published Lennard-Jones size",
        "",
        f"{text} These runs look for the published energy, and end there; searches "
        "that do not know it are in the last section. No structure or packing is "
        "stored for a size. A run had at most "
        f"{sizes.BUDGET:,} evaluations; all runs together took {seconds / 60:.0f} "
        f"minutes on {_machine(lines.values())} (`python -m benchmarks.hits.sizes`).",
        "",
        "![Evaluations by size](images/auto-sizes.png)",
        "",
    ]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(f"LJ{number}" for number in numbers)


def _machine(lines: Any) -> str:
    return ", ".join(sorted({line["machine"] for line in lines if line.get("machine")}))
