"""The section of ``docs/auto.md`` about what the default learns on the way."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import read_lines
from ase_l2h.comparison.encounters import Encounters
from ase_l2h.report.figures import save_figure
from ase_l2h.report.pages import markdown_table
from benchmarks import paths
from benchmarks.hits import landscapes
from benchmarks.pages.breadth_pictures import learned_ratios
from benchmarks.pages.encounters import interval

__all__ = ["Pair", "geometric_mean", "learned_section", "pairs"]

# Samples of landscapes and of their runs, from which the interval is taken.
SAMPLES = 4000
PICTURE = "learned-ratios.png"


class Pair(NamedTuple):
    """A landscape, and its runs without and with both."""

    name: str
    without: Encounters
    learning: Encounters

    @property
    def ratio(self) -> float:
        """Evaluations without over those with; of no encounters, one is counted."""
        return _mean(self.without) / _mean(self.learning)

    def interval(self) -> tuple[float, float, float]:
        """The ratio and its 95 % interval; runs are drawn anew."""
        rng = np.random.default_rng(0)
        drawn = [self.redrawn(rng) for _ in range(SAMPLES)]
        low, high = np.quantile(drawn, [0.025, 0.975])
        return self.ratio, float(low), float(high)

    def redrawn(self, rng: np.random.Generator) -> float:
        """The ratio of as many runs, drawn anew."""
        without, learning = (
            _mean(runs, rng.integers(runs.found.size, size=runs.found.size))
            for runs in (self.without, self.learning)
        )
        return without / learning


def _mean(runs: Encounters, drawn: slice | np.ndarray = slice(None)) -> float:
    hits = max(1, np.sum(runs.found[drawn]))
    return float(np.sum(runs.evaluations[drawn]) / hits)


def _met(lines: list[dict[str, Any]], energy: float) -> Encounters:
    """When the runs of some lines met an energy first."""
    found, evaluations = [], []
    for line in lines:
        bound = energy + line["tolerance"]
        for course, charged in zip(line["courses"], line["charged"], strict=True):
            falls = [n for n, e in course if e <= bound]
            found.append(bool(falls))
            evaluations.append(falls[0] if falls else charged)
    return Encounters(np.array(found), np.array(evaluations))


def pairs(side: str, rival: str = landscapes.WITHOUT) -> list[Pair]:
    """The landscapes of a side, with the runs of a rival and those with both."""
    if not landscapes.RECORDS.exists():
        return []
    blocks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in read_lines(landscapes.RECORDS):
        if line["seed"] == landscapes.SEEDS[side]:
            blocks.setdefault((line["target"], line["method"]), []).append(line)
    found = []
    for name in landscapes.LANDSCAPES:
        wanted = (landscapes.WITHOUT, rival, landscapes.WITH)
        plain, other, learning = (blocks.get((name, method), []) for method in wanted)
        if not plain or not other or not learning:
            continue
        # Met by the first block without the part: what only the runs of others have
        # met counts for nothing.
        lowest = landscapes.lowest(min(plain, key=lambda line: line["first"]))
        found.append(Pair(name, _met(other, lowest), _met(learning, lowest)))
    return found


def _runs(found: list[Pair]) -> str:
    """How often each landscape was run, with both and without."""
    learning, without = (
        " or ".join(map(str, sorted({runs.found.size for runs in every})))
        for every in ([p.learning for p in found], [p.without for p in found])
    )
    if learning == without:
        return f"{learning} runs of each"
    return f"{learning} runs of each with both and {without} without"


def geometric_mean(found: list[Pair]) -> tuple[float, float, float]:
    """Of the ratios, with its 95 % interval: landscapes and runs are drawn anew."""
    rng = np.random.default_rng(0)
    means = []
    for _ in range(SAMPLES):
        drawn = [found[k] for k in rng.integers(len(found), size=len(found))]
        means.append(np.mean([np.log(pair.redrawn(rng)) for pair in drawn]))
    value = float(np.exp(np.mean([np.log(pair.ratio) for pair in found])))
    low, high = np.exp(np.quantile(means, [0.025, 0.975]))
    return value, float(low), float(high)


def learned_section() -> list[str]:
    """Ratios by landscape; nothing where none has been run."""
    lines: list[str] = []
    for side in ("test", "development"):
        found = pairs(side)
        if not found:
            continue
        kicked = {pair.name: pair for pair in pairs(side, landscapes.KICKS)}
        kicked = kicked if len(kicked) == len(found) else {}
        kicks = ""
        if kicked:
            kicks = f"; to random kicks, {_summary(list(kicked.values()))}"
        lines += [
            f"Side '{side}', {len(found)} landscapes, {_runs(found)}. "
            "Geometric mean of the ratios to `auto` without both: "
            f"{_summary(found)}{kicks}.",
            "",
            _families(found, list(kicked.values())),
            "",
            _table(found, kicked),
            "",
            *_picture(side, found, kicked),
        ]
    if not lines:
        return []
    return [
        "## What it learns on the way",
        "",
        "Where every evaluation is a call of a calculator or of your own function, "
        "`auto` fits a potential to the minima that it has relaxed. It proposes "
        "minima of this potential (part `surrogate`, see [](search.md)), and lets the "
        "structures of other parts descend in it (`surrogate-descent`). Here `auto` "
        "runs with both and without both, with at most 3,000 evaluations a run. It "
        "also runs with random kicks instead: these displace all atoms, have the "
        "share of `surrogate`, and are relaxed like everything else.",
        "",
        "The landscapes are functions of JAX. The learned potential resembles metals "
        "by effective-medium theory (EMT) and by Sutton and Chen; it does not "
        "resemble Morse clusters and Stillinger-Weber silicon (SW). Runs meet a "
        "landscape when they reach the lowest energy that any of the first "
        f"{landscapes.RUNS} runs without both has reached. Lower energies, reached "
        "only by runs with them, do not count. The ratio is mean evaluations "
        "without both over those with them. Where one or two runs have met the "
        "energy, the mean is known only to within a factor of several; where none has, "
        "the ratio counts one.",
        "",
        "`surrogate` was chosen on EMT-Cu26, EMT-Ag13Cu13, SuttonChen-Cu25, Morse25-6, "
        "Morse25-14 and SW-Si13. Before the two sides had their present form, it was "
        "also chosen on Cu20, Ag13Cu13 and Sutton-Chen Ag31. What takes its place "
        "where it is a poor model was chosen on silicon clusters of 13, 14 and 16 "
        "atoms. `surrogate-descent`, the curvature of relaxations and the neighbours "
        "that are proposed were chosen on SuttonChen-Cu25, Morse25-6, Morse25-14, "
        "EMT-Cu26 and EMT-Cu10Pd16, and on the metals of [](comparison.md) by calls of "
        "EMT with other seeds (1 to 24). Nothing was chosen on the side 'test', which "
        "has other elements, pairs, ranges and sizes "
        "(`python -m benchmarks.hits.landscapes`).",
        "",
        *lines,
    ]


def _picture(side: str, found: list[Pair], kicked: dict[str, Pair]) -> list[str]:
    """Of the side that nothing was chosen on."""
    if side != "test":
        return []
    rows = [
        (p.name, p.interval(), kicked[p.name].interval() if p.name in kicked else None)
        for p in found
    ]
    save_figure(learned_ratios(rows), paths.IMAGES / PICTURE, "png")
    return [f"![Evaluations without what auto learns](images/{PICTURE})", ""]


def _summary(found: list[Pair]) -> str:
    worst = min(found, key=lambda pair: pair.ratio)
    return f"{_means(found)}, smallest {worst.ratio:.2g} ({worst.name})"


def _families(found: list[Pair], kicked: list[Pair]) -> str:
    """The geometric means of the families."""
    own: dict[str, list[Pair]] = {}
    for pair in found:
        own.setdefault(landscapes.LANDSCAPES[pair.name].family, []).append(pair)
    rows = []
    for family, members in own.items():
        names = {pair.name for pair in members}
        others = [pair for pair in kicked if pair.name in names]
        whole = len(others) == len(members)
        rows.append([family, len(members), _means(members)])
        rows[-1].append(_means(others) if whole else "-")
    header = ["family", "landscapes", "ratio to `auto` without both"]
    return markdown_table([*header, "ratio to random kicks"], rows)


def _means(found: list[Pair]) -> str:
    value, low, high = geometric_mean(found)
    return f"{value:.2f} ({low:.2f}-{high:.2f})"


def _table(found: list[Pair], kicked: dict[str, Pair]) -> str:
    rows = []
    for pair in found:
        row = [
            pair.name,
            landscapes.LANDSCAPES[pair.name].family,
            _hits(pair.without),
            interval(pair.without.mean),
        ]
        other = kicked.get(pair.name)
        if kicked:
            row += ["-"] if other is None else [_hits(other.without)]
            row += ["-"] if other is None else [interval(other.without.mean)]
        row += [_hits(pair.learning), interval(pair.learning.mean)]
        row += [f"{pair.ratio:.2g}"]
        if kicked:
            row += ["-" if other is None else f"{other.ratio:.2g}"]
        rows.append(row)
    header = ["landscape", "family", "met without", "mean evaluations"]
    header += ["met with kicks", "mean evaluations"] if kicked else []
    header += ["met with", "mean evaluations", "ratio"]
    header += ["ratio to kicks"] if kicked else []
    return markdown_table(header, rows)


def _hits(runs: Encounters) -> str:
    return f"{runs.hits}/{runs.found.size}"
