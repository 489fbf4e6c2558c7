"""``docs/comparison.md`` and its pictures."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ase_l2h.comparison.encounters import Encounters
from ase_l2h.comparison.outcome import Comparison
from ase_l2h.comparison.protocol import known_minimum
from ase_l2h.comparison.report import significant
from ase_l2h.report.figures import save_figure
from ase_l2h.report.pages import replace_block, write_page
from ase_l2h.search.problem import HIT, Problem
from benchmarks import paths
from benchmarks.hits import comparison
from benchmarks.pages import calls, peers

__all__ = ["write"]

Runs = dict[str, Encounters]


def write() -> None:
    """The page and its pictures: what has been run to its end."""
    calls.write_picture()
    sections = [_section(name) for name in comparison.TARGETS]
    sections = [section for section in sections if section is not None]
    verdicts = [section.verdict for section in sections]
    page = [
        "# What a first encounter costs",
        "",
        "This page compares all methods by the charged evaluations (energy and "
        "gradient of one structure) until a search first meets the lowest minimum "
        "known. `python -m benchmarks.hits.comparison` makes it; `ase-l2h compare` "
        "does the same for other targets and methods.",
        "",
        "Some methods have prior knowledge, which is not charged. `auto` and its "
        "earlier forms are given fragments of ordered packings; one of these forms "
        "is `hybrid`, the default of release 0.1.0. The learned rules were trained "
        "on some of these targets, see their cards. Methods that ran on the backend "
        "`scan`, and `hybrid`, are those of 0.1.0.",
        *("", "## Who wins where", "", *verdicts, ""),
        *(line for section in sections for line in section.lines),
        *peers.section(),
        *calls.section(),
    ]
    write_page(paths.DOCS / "comparison.md", page)
    replace_block(paths.README, "calls", calls.readme_table())


class Section(NamedTuple):
    """What the page says of a target."""

    lines: list[str]
    verdict: str


def _section(name: str) -> Section | None:
    """Table and picture of a target; None where no method was run to the end."""
    begun = comparison.recorded(name)
    if begun is None:
        return None
    shown = _finished(begun)
    if not shown.encounters:
        return None
    text, title = [str(shown), ""], name
    declared, lower = begun.targets[name], _lower_minimum(name, begun.targets[name])
    if lower is not None:
        title += f" (to {declared:.6f}, not the lowest known)"
        text += [
            f"A lower minimum, {lower:.6f}, was found after this target was declared."
        ]
        text.append("")
    if comparison.TARGETS[name].remark:
        text += [comparison.TARGETS[name].remark, ""]
    left = [
        _spent(method, runs)
        for (_, method), runs in begun.encounters.items()
        if method not in shown.methods
    ]
    if left:
        text += [f"Left out because they are unfinished: {', '.join(left)}.", ""]
    text += [f"![Success on {name}](images/compare-{name}.png)", ""]
    save_figure(shown.figure(), paths.IMAGES / f"compare-{name}.png", "png")
    methods = {method: runs for (_, method), runs in shown.encounters.items()}
    return Section(text, _verdict(title, methods))


def _lower_minimum(name: str, declared: float) -> float | None:
    """The lowest energy known, where it is below the declared one."""
    problem = Problem.of(name)
    known = known_minimum(problem)
    if known is None or known >= declared - HIT * problem.energy_unit:
        return None
    return known


def _finished(begun: Comparison) -> Comparison:
    """The methods whose runs are all there; half a sample would be biased."""
    whole = {
        method
        for (_, method), runs in begun.encounters.items()
        if runs.found.size == begun.runs
    }
    return begun.of(methods=[name for name in begun.methods if name in whole])


def _spent(name: str, runs: Encounters) -> str:
    """What the record has of a method that was begun."""
    spent = significant(int(np.sum(runs.evaluations)))
    return f"`{name}` ({runs.hits} runs met the target, in {spent} evaluations)"


def _verdict(target: str, met: Runs) -> str:
    """One sentence: the cheapest method, and how far the learned ones are from it."""
    means = {name: runs.mean for name, runs in met.items()}
    best = min(means, key=lambda name: means[name].value)
    if not math.isfinite(means[best].value):
        return f"* {target}: no method reached the target."
    least = means[best].value
    learned = [name for name in means if name.startswith("learned")]
    others = ("auto", "hybrid", *learned, "bh")
    others = [name for name in others if name in means and name != best]
    parts = []
    for name in others:
        mean = means[name]
        if math.isfinite(mean.value):
            parts.append(f"`{name}` {significant(mean.value / least)}")
        else:
            parts.append(f"`{name}` above {significant(mean.low / least)}")
    cheapest = f"`{best}` is the cheapest, {significant(least)} evaluations on average"
    multiples = f" Others need multiples of that: {', '.join(parts)}." if parts else ""
    return f"* {target}: {cheapest}.{multiples}"
