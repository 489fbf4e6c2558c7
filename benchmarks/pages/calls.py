"""Calls of EMT to the lowest minimum, a part of ``docs/comparison.md``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.comparison.report import significant
from ase_l2h.report.figures import (
    BLUE,
    GREY,
    VERMILLION,
    new_figure,
    save_figure,
    tidy_axes,
)
from ase_l2h.report.pages import markdown_table
from benchmarks import paths
from benchmarks.hits import settled_calls
from benchmarks.peers.reading import first_within
from benchmarks.peers.settings import (
    CALLS,
    FMAX,
    METAL_HIT,
    METALS,
    RECORDS,
    SANE,
    SEED,
    TUNED,
)

__all__ = [
    "Median",
    "course_figure",
    "median_of",
    "readme_table",
    "section",
    "write_picture",
]

OURS = "learn2hop"
NAMES = {
    OURS: "**ours**, `Learn2Hop(atoms)`",
    "tuned-hopping": "basin hopping, tuned",
    "ase-tuned": "ASE `BasinHopping`, tuned",
    "ase-hopping": "ASE `BasinHopping`, small steps",
    "minima-hopping": "ASE `MinimaHopping`",
    "ase-ga": "`ase-ga`, cut and splice",
    "agox": "AGOX, basin hopping",
    "anneal": "`anneal`, its ASE interface",
}
PICTURED = "Cu38"
# Of README's table: clusters of one size each, an alloy, and searchers.
README_METALS = ("Cu13", "Cu20", "Cu38", "Ni10Cu10")
README_ROWS = {
    OURS: "**`Learn2Hop(atoms)`**",
    "anneal": "`anneal`",
    "ase-ga": "`ase-ga`",
    "agox": "AGOX, basin hopping",
    "ase-hopping": "ASE `BasinHopping`",
}
# Line by line: label, colour of Okabe and Ito, style.
CURVES = {
    OURS: ("Learn2Hop", VERMILLION, "-"),
    "tuned-hopping": ("basin hopping, tuned", BLUE, "--"),
    "ase-hopping": ("ASE BasinHopping", "#000000", "-."),
    "minima-hopping": ("ASE MinimaHopping", "#009E73", ":"),
}
RESAMPLED = 10_000
# Fewer settled searches than this have no median in README.
FEWEST_SETTLED = 10
# Labels stand so far apart (eV).
LABEL = 0.1


class Median(NamedTuple):
    """Calls by which half of the searches had met the lowest, and its 95 % interval.

    Infinite where they were cut off before; ``cut`` says after how many at least.
    """

    value: float
    low: float
    high: float
    hits: int
    searches: int
    cut: int

    def text(self) -> str:
        """``1,230 (1,100-1,400), 23/24``, or ``> 10,000, 3/24``."""
        met = f"{self.hits}/{self.searches}"
        if not math.isfinite(self.value):
            return f"> {self.cut:,}, {met}"
        high = _calls(self.high) if math.isfinite(self.high) else "..."
        return f"{_calls(self.value)} ({_calls(self.low)}-{high}), {met}"

    def brief(self) -> str:
        """``1,230``, or ``over 10,000``."""
        cut = f"over {self.cut:,}"
        return _calls(self.value) if math.isfinite(self.value) else cut


def _calls(count: float) -> str:
    """Three digits at most; a median of calls is a whole number."""
    return significant(count).removesuffix(".0")


def median_of(lines: Lines, target: float) -> Median | None:
    """Of the searches of a method, by a bootstrap; None where there are none."""
    if not lines:
        return None
    first = [first_within(line, target, METAL_HIT) for line in lines]
    calls = np.array([math.inf if count is None else count for count in first], float)
    drawn = np.random.default_rng(0).choice(calls, (RESAMPLED, calls.size))
    # Half of the searches had met it: of two in the middle the later one, which may
    # never have.
    middle = calls.size // 2
    medians = np.sort(np.sort(drawn, axis=1)[:, middle])
    low, high = medians[int(0.025 * RESAMPLED)], medians[int(0.975 * RESAMPLED) - 1]
    return Median(
        float(np.sort(calls)[middle]),
        float(low),
        float(high),
        int(np.sum(np.isfinite(calls))),
        calls.size,
        min(line["budget"] for line in lines),
    )


def readme_table() -> str:
    """A few of the medians, and what is not charged."""
    lines = [line for line in read_lines(RECORDS) if line["kind"] == "calls"]
    rows = []
    for method, label in README_ROWS.items():
        found = [
            median_of(_of(lines, method, name), METALS[name]) for name in README_METALS
        ]
        rows.append([label, *("-" if m is None else m.brief() for m in found)])
        if method == OURS:
            rows.append(["the same, until it is sure and stops", *_settled()])
    table = markdown_table(["searcher", *README_METALS], rows)
    searches = len(_of(lines, OURS, PICTURED))
    return (
        f"{table}\n\nEMT; random starts; {searches} seeds from {SEED}, which chose "
        "nothing; Cu20, Cu38 and Ni10Cu10 with other seeds were developed on. Not "
        "charged: what the package knows of ordered packings and of published metal "
        "potentials."
    )


def _settled() -> list[str]:
    """Median calls of ours until it is settled."""
    known = settled_calls.RECORDS
    lines = read_lines(known) if known.exists() else []
    cells = []
    for name in README_METALS:
        runs = [line for line in lines if line["target"] == name]
        calls = [
            line["calls"] if line["stopped"] == "settled" else math.inf for line in runs
        ]
        median = statistics.median(calls) if len(calls) >= FEWEST_SETTLED else math.nan
        cells.append(significant(median) if math.isfinite(median) else "-")
    return cells


def section() -> list[str]:
    """Table of medians, and who is how far ahead."""
    lines = [line for line in read_lines(RECORDS) if line["kind"] == "calls"]
    medians = {
        (method, name): median_of(_of(lines, method, name), energy)
        for method in NAMES
        for name, energy in METALS.items()
    }
    methods = [m for m in NAMES if any(medians[m, name] for name in METALS)]
    rows = [
        [f"{name}, {METALS[name]:.4f}", *(_text(medians[m, name]) for m in methods)]
        for name in METALS
    ]
    table = markdown_table(["cluster, lowest (eV)", *(NAMES[m] for m in methods)], rows)
    return [
        "## By calls of a calculator",
        "",
        "The calculator is ASE's EMT, on which nothing was trained. As with a user's "
        "own calculator, every call at new positions counts. All searchers begin "
        f"with the same random clusters (seeds from {SEED}) and relax to {FMAX} "
        "eV/A; ours runs with its defaults. No settings were chosen on these seeds, "
        "but ours was developed with other seeds of the same clusters. Ours has "
        "fragments of ordered packings and weights trained on other potentials; "
        "these are not charged.",
        "",
        table,
        "",
        f"A cell has the median calls to the first point within {1000 * METAL_HIT:g} "
        "meV of the lowest energy known (95 % interval by bootstrap), and how many "
        "searches met it. Searches that were cut off count as later than all others. "
        f"*Tuned* means steps of {TUNED.dr:g} A in each coordinate at "
        f"{TUNED.temperature:g} eV with L-BFGS; *small steps* are {SANE.dr:g} A at "
        f"{SANE.temperature:g} eV. Tuned basin hopping continues from minima, ASE's "
        "from the displaced structures. `ase-ga`, AGOX and `MinimaHopping` run as in "
        "their documentation. Made by `python -m benchmarks.peers.calls` "
        f"({_versions(lines)}); settings in `benchmarks/peers/settings.py`.",
        "",
        "Calls of the others, compared with ours:",
        "",
        *_verdicts(medians, methods),
        "",
        f"![Lowest energy of {PICTURED} by calls](images/calls-{PICTURED}.png)",
        "",
        "Lines are medians over the seeds, bands the middle half of the searches.",
        "",
    ]


def write_picture() -> None:
    """The picture of the section."""
    lines = [line for line in read_lines(RECORDS) if line["kind"] == "calls"]
    path = paths.IMAGES / f"calls-{PICTURED}.png"
    save_figure(course_figure(lines, PICTURED), path, "png")


def course_figure(lines: Lines, name: str) -> Figure:
    """Median over the seeds of the lowest energy so far, above the lowest known."""
    figure = new_figure(8.5, 4.8)
    axes = figure.subplots()
    counts = np.unique(np.geomspace(10, CALLS, 250).astype(int))
    ends = {}
    for method, (_, colour, style) in CURVES.items():
        runs = _of(lines, method, name)
        if not runs:
            continue
        above = np.array([_course(line, counts) for line in runs]) - METALS[name]
        low, middle, high = np.quantile(
            above, (0.25, 0.5, 0.75), axis=0, method="inverted_cdf"
        )
        reach = counts <= min(line["budget"] for line in runs)
        shown = np.isfinite(middle) & reach
        x = counts[shown]
        axes.plot(x, middle[shown], style, color=colour, linewidth=2.5)
        axes.fill_between(x, low[shown], high[shown], color=colour, alpha=0.12)
        ends[method] = middle[shown][-1]
    height = -math.inf
    for method in sorted(ends, key=lambda method: ends[method]):
        label, colour, _ = CURVES[method]
        height = max(ends[method], height + LABEL)
        axes.text(counts[-1] * 1.05, height, label, color=colour, fontsize=13)
    axes.axhline(0.0, color=GREY, linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.set_xlim(counts[0], counts[-1])
    axes.set_ylim(-0.05, 1.5)
    axes.set_title(_message(lines, name), fontsize=14)
    axes.set_xlabel("calls of EMT", fontsize=13)
    axes.set_ylabel("lowest energy so far,\nabove the lowest known (eV)", fontsize=13)
    axes.tick_params(labelsize=12)
    tidy_axes(axes)
    return figure


def _message(lines: Lines, name: str) -> str:
    """What the picture is there to say."""
    ours = median_of(_of(lines, OURS, name), METALS[name])
    if ours is None or not math.isfinite(ours.value):
        return f"{name}: the median search, and the middle half of all"
    calls = _calls(ours.value)
    return f"{name}: Learn2Hop's median search is at the lowest after {calls} calls"


def _course(line: dict, counts: np.ndarray) -> np.ndarray:
    """Lowest energy after so many calls; infinite before it is in the record."""
    course = np.array(line["course"], float).reshape(-1, 2)
    place = np.searchsorted(course[:, 0], counts, side="right") - 1
    return np.where(place < 0, np.inf, course[np.maximum(place, 0), 1])


def _of(lines: Lines, method: str, name: str) -> Lines:
    """One line a seed: of two, that of more calls."""
    best: dict[int, dict] = {}
    for line in lines:
        if (line["method"], line["target"]) == (method, name):
            known = best.get(line["seed"])
            if known is None or line["budget"] >= known["budget"]:
                best[line["seed"]] = line
    return list(best.values())


def _text(median: Median | None) -> str:
    return "-" if median is None else median.text()


def _versions(lines: Lines) -> str:
    parts = []
    for name in ("agox", "anneal", "ase", "ase-ga"):
        known = {line["versions"].get(name) for line in lines} - {None}
        if known:
            parts.append(f"{name} {' and '.join(sorted(known))}")
    return ", ".join(parts)


def _verdicts(
    medians: dict[tuple[str, str], Median | None], methods: Sequence[str]
) -> list[str]:
    """Of each cluster: by how much the best of the others needs more."""
    out = []
    for name in METALS:
        ours = medians[OURS, name]
        others = {
            m: median
            for m in methods
            if m != OURS and (median := medians[m, name]) is not None
        }
        if ours is None or not others:
            continue
        best = min(others, key=lambda m: (others[m].value, -others[m].hits))
        out.append(f"* {name}: {_verdict(ours, others[best], NAMES[best])}")
    return out


def _verdict(ours: Median, best: Median, name: str) -> str:
    if not math.isfinite(ours.value):
        met = f"{ours.hits} of {ours.searches} searches"
        return (
            f"ours meets it in {met}, the best of the others ({name}) in {best.hits}."
        )
    if not math.isfinite(best.value):
        ratio = significant(best.cut / ours.value)
        return (
            "no other meets it in half of its searches; the best needs above "
            f"{ratio} times as many."
        )
    ratio = significant(best.value / ours.value)
    tie = ours.high >= best.low and best.high >= ours.low
    return f"the best of the others ({name}) needs {ratio} times as many" + (
        "; the intervals overlap." if tie else "."
    )
