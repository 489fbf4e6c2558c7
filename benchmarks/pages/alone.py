"""Learned hops in ``docs/learned-rules.md``: their falls, single files, costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

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
from ase_l2h.report.pages import markdown_table, replace_block
from ase_l2h.search.problem import HIT
from benchmarks import paths
from benchmarks.hits import alone, breadth, hops
from benchmarks.hits.landscapes import LANDSCAPES, SEEDS
from benchmarks.pages.encounters import encounters
from benchmarks.pages.summaries import manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BLOCKS", "Difference", "differences", "write"]

PICTURE = "hops-alone.png"
# From which the interval of a difference of means is taken.
SAMPLES = 4000


class Difference(NamedTuple):
    """By how much a method's mean lowest energy is below that of basin hopping."""

    target: str
    bh: float
    other: float
    gain: float
    low: float
    high: float
    unit: float


def write() -> None:
    """The generated parts of the page."""
    for name, make in BLOCKS.items():
        replace_block(paths.DOCS / "learned-rules.md", name, make())
    gains = differences(alone.CHAINS, "test")
    save_figure(_picture(gains), paths.IMAGES / PICTURE, "png")


def _falls() -> str:
    """What hops do to minima that `hop` was not trained on."""
    lines = read_lines(hops.RECORDS)
    numbers = ("falls", "falls_of_deep", "mean_fall")
    rows = []
    for name, label in (
        ("shake", "random shake of all atoms"),
        ("lj", "40 steps of `lj`, trained from random starts"),
        ("hop", "40 steps of `hop`, trained from minima"),
    ):
        own = [line for line in lines if line["hop"] == name]
        means = [float(np.mean([line[number] for line in own])) for number in numbers]
        rows.append(
            [label, f"{means[0]:.1%}", f"{means[1]:.1%}", f"{means[2]:.2f}"],
        )
    count = len({line["target"] for line in lines})
    header = ["hop", "falls", "falls, lower half", "mean fall (energy scales)"]
    return (
        f"{markdown_table(header, rows)}\n\nMeans over {count} clusters that `hop` was "
        f"not trained on ({lines[0]['minima']} minima of each, left "
        f"{lines[0]['tries']} times): Lennard-Jones, Gupta metals and alloys, drawn "
        "metals. A minimum falls where the relaxed energy is lower. The lower half are "
        "the minima below the median. Made by `python -m benchmarks.hits.hops`, seed "
        f"{hops.SEED}."
    )


def differences(method: str, side: str) -> list[Difference]:
    """The landscapes of a side on which both methods were run."""
    seed, found = SEEDS[side], []
    lines = {
        (line["target"], line["method"]): line
        for line in read_lines(alone.RECORDS)
        if line["seed"] == seed and line["runs"] == alone.RUNS
    }
    rng = np.random.default_rng(0)
    for name, landscape in LANDSCAPES.items():
        plain, own = (lines.get((name, m)) for m in (alone.HOPPING, method))
        if landscape.side != side or plain is None or own is None:
            continue
        one, other = (np.array(line["energies"]) for line in (plain, own))
        drawn = _drawn_means(rng, one) - _drawn_means(rng, other)
        low, high = np.quantile(drawn, [0.025, 0.975])
        means = float(one.mean()), float(other.mean())
        gain, unit = means[0] - means[1], plain["unit"]
        found.append(Difference(name, *means, gain, float(low), float(high), unit))
    return found


def _drawn_means(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    chosen = rng.integers(len(values), size=(SAMPLES, len(values)))
    return values[chosen].mean(axis=1)


def _alone() -> str:
    """One file of weights against basin hopping."""
    text = []
    for side in ("test", "development"):
        chains, starts = (differences(m, side) for m in (alone.CHAINS, alone.LEARNED))
        text += [
            f"Side '{side}', {len(chains)} landscapes: {_verdict('hops', chains)}; "
            f"{_verdict('learned:lj-icosahedral', starts)}."
        ]
        if side == "test":
            rows = [
                [
                    one.target,
                    LANDSCAPES[one.target].family,
                    f"{one.bh:.3f}",
                    f"{other.other:.3f}",
                    f"{one.other:.3f}",
                    f"{one.gain:+.3f} ({one.low:+.3f} to {one.high:+.3f})",
                ]
                for one, other in zip(chains, starts, strict=True)
            ]
            header = ["landscape", "family", "`bh`", "`learned:lj-icosahedral`"]
            header += ["`hops`", "`hops` below `bh`"]
            text += [markdown_table(header, rows)]
            text += [f"![How far hops end below basin hopping](images/{PICTURE})"]
    text += [
        "Mean lowest energies of 24 runs after 3,000 evaluations, in eV or, of Morse, "
        "in pair energies; in brackets 95 % intervals. "
        f"`bh` has {alone.CHAINS_OF_HOPPING} chains side by side, which is its best on "
        "the side 'development'; how `hops` uses its weights was chosen there, too, "
        "with seed 77. Made by `python -m "
        "benchmarks.hits.alone` and the same with `--side development`."
    ]
    return "\n\n".join(text)


def _verdict(method: str, found: list[Difference]) -> str:
    # What both have met differs in the last digits.
    lower = [one for one in found if one.gain > HIT * one.unit]
    sure = [one for one in lower if one.low > 0]
    lost = [one.target for one in found if one.high < 0]
    higher = f", surely higher on {', '.join(lost)}" if lost else ""
    return (
        f"`{method}` ends lower than `bh` on {len(lower)}, surely so (95 %) on "
        f"{len(sure)}{higher}"
    )


def _picture(found: list[Difference]) -> Figure:
    """Gains in energy scales, which all landscapes have in common."""
    ordered = sorted(found, key=lambda one: one.gain / one.unit)
    figure = new_figure(9.0, 0.33 * len(ordered) + 1.4)
    axes = figure.subplots()
    for place, one in enumerate(ordered):
        sure = one.low > 0 or one.high < 0
        colour = (BLUE if one.gain > 0 else VERMILLION) if sure else GREY
        ends = np.array([one.low, one.high]) / one.unit
        axes.plot(ends, [place] * 2, color=GREY, linewidth=2, zorder=1)
        axes.plot(one.gain / one.unit, place, "o", color=colour, markersize=10)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(ordered)), [one.target for one in ordered])
    axes.tick_params(labelsize=12)
    axes.set_xlabel(
        "how far hops end below basin hopping (energy scales; grey: not sure)",
        fontsize=13,
    )
    tidy_axes(axes)
    return figure


def _long() -> str:
    """The paper's number of runs and evaluations."""
    lines = [
        line for line in read_lines(alone.RECORDS) if line["target"] in alone.PAPER
    ]
    methods = (alone.HOPPING, alone.LEARNED, alone.CHAINS, "auto")
    rows = [
        [name, *(_mean_and_lowest(lines, name, method) for method in methods)]
        for name in alone.PAPER
    ]
    header = ["target", *(f"`{method}`" for method in methods)]
    return (
        f"{markdown_table(header, rows)}\n\nMean / lowest energy of "
        f"{alone.PAPER_RUNS} runs of {alone.PAPER_BUDGET:,} evaluations, as many as in "
        "Table 2 of the paper; `bh` is basin hopping with all known improvements. "
        "`auto` knows ordered packings. Made by `python -m benchmarks.hits.alone "
        f"--side paper`, seed {SEEDS['test']}."
    )


def _mean_and_lowest(lines: Lines, target: str, method: str) -> str:
    for line in lines:
        if (line["target"], line["method"]) == (target, method):
            energies = line["energies"]
            return f"{np.mean(energies):.2f} / {np.min(energies):.2f}"
    return "-"


def _cost() -> str:
    """Evaluations and hours of training, and the searches that save as many."""
    weights = manifest()["weights"]
    means: dict[tuple[str, str], float] = {}
    for line in read_lines(breadth.RECORDS):
        means[line["target"], line["method"]] = encounters(line).mean.value
    rows: list[list[Any]] = []
    for name in sorted(weights):
        saved = _saves(means, name)
        if weights[name]["role"] != "default" and not saved:
            continue
        stages = weights[name]["stages"]
        cost = sum(stage["charged_evaluations"] for stage in stages)
        hours = sum(stage["seconds"] for stage in stages) / 3600
        best = max(saved, key=lambda target: saved[target], default="")
        repaid = significant(cost / saved[best]) if best else "-"
        rows.append([f"`{name}`", f"{cost:.2g}", f"{hours:.1f}", best or "-"])
        rows[-1] += [significant(saved[best]) if best else "-", repaid]
    header = ["weights", "evaluations of training", "hours", "saves most on"]
    header += ["evaluations saved in a search", "repaid after searches"]
    return (
        f"{markdown_table(header, rows)}\n\nTraining with all its stages, on two cores "
        "that other work shared. Saved is the mean of `bh` to the lowest minimum less "
        "that of the weights by themselves, on the targets of [](auto.md) where both "
        "were run and the weights are cheaper. What `auto` learns on the way costs no "
        "training."
    )


def _saves(means: dict[tuple[str, str], float], name: str) -> dict[str, float]:
    """Evaluations that weights by themselves save against basin hopping, by target."""
    method = alone.CHAINS if name == "hop" else f"learned:{name}"
    saved = {
        target: means[target, alone.HOPPING] - mean
        for (target, own), mean in means.items()
        if own == method and (target, alone.HOPPING) in means
    }
    return {target: gain for target, gain in saved.items() if 0 < gain < math.inf}


BLOCKS = {"hops": _falls, "alone": _alone, "long": _long, "cost": _cost}
