"""Turn the committed records into the tables and pictures of README and docs.

python -m benchmarks.render
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from scipy.stats import binomtest, ks_2samp

mpl.use("Agg")
import matplotlib.pyplot as plt

from ase_l2h.comparison.protocol import known_minimum
from ase_l2h.search.problem import Problem
from ase_l2h.targets import named_target
from benchmarks import horizons, hull_pages
from benchmarks.results import HIT

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "records"
IMAGES = ROOT / "docs" / "images"
NAMES = {"adam": "Adam", "fire": "FIRE", "gd": "gradient descent"}
NOTES = {
    "paper-lj13": "The paper's rule, trained on one size only, by selection (GA) at a "
    "fiftieth of the paper's horizon; hits were still rising when training ended. Kept "
    "for fidelity and the study of frame dependence; other weights do better.",
    "paper-lj-ga": "The paper's rule on six sizes: `paper-lj13`, selected further "
    "(GA); hardly a mutant beat its parent by the margin.",
    "paper-lj-esmc": "The paper's rule on six sizes: `paper-lj13`, trained further by "
    "ESMC. It gains on the large sizes what it loses on LJ13: clipped at the weights' "
    "own loss, ESMC does not see that a start which hit no longer does. Made for long "
    "searches: after 50,000 steps it ends where the paper's rule does on clusters, and "
    "lower on 64 silicon atoms (Table 2 in the documentation). Training was stopped "
    "before its last update.",
    "paper-au-55": "The paper's rule on Au55 alone: `paper-lj-esmc`, trained further "
    "by ESMC at a fiftieth of the paper's horizon. Made for long searches of that "
    "size: its mean after 50,000 steps is below that of the paper's own rule.",
    "universal-all": "`universal`, trained further on 13 targets of three potentials, "
    "64 silicon atoms among them: a little better on most, worse on LJ19 and LJ26.",
    "lj-fcc": "Trained on sizes whose minimum is cut from the fcc lattice, and biased "
    "towards such structures: it is quick where that is right and blind where it is "
    "not. Use it in a portfolio with weights of another taste.",
    "lj-icosahedral": "Trained on sizes whose minima are icosahedral, and biased "
    "towards such structures. Use it in a portfolio with weights of another taste.",
    "lj-19-55": "`lj-icosahedral`, selected further (GA) on LJ19, LJ31 and LJ55, and "
    "lost on LJ31. Training was to take 120 updates; the weights of update 108 hit "
    "more from starts of seed 4242 than those of the last. By then results of the last "
    "from the starts above had been seen too, so the choice is not wholly blind.",
    "lj-31": "`lj-icosahedral`, trained further on LJ31 alone, by GA and then by ESMC, "
    "with hits as all but the only signal: a hit counts for a hundred spreads of the "
    "energies.",
    "lj-75": "`lj-icosahedral`, selected further (GA) on LJ75 alone at horizons of "
    "3,000 and 4,000 steps for the lowest mean energy. It ends deep in the wide "
    "icosahedral funnel, which is what a mean energy rewards, and misses the "
    "decahedral minimum.",
    "gupta-au-55": "`gupta-au`, selected further (GA) on Au55 alone at a horizon of "
    "6,000 steps, and of use near that horizon only: stretched far it loses what it "
    "has gained.",
    "lj": "One rule for six sizes of three kinds of order; the specialised weights are "
    "better at each.",
}
# Okabe and Ito's palette, distinct for the colour-blind.
COLOURS = {
    "default": "#0072B2",
    "best": "#56B4E9",
    "adam": "#009E73",
    "fire": "#CC79A7",
    "gd": "#999999",
}

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


def read(name: str) -> list[dict[str, Any]]:
    """Lines of a record file."""
    path = RECORDS / name
    return [json.loads(line) for line in path.read_text().splitlines()]


def manifest() -> dict[str, Any]:
    """The manifest of the released weights."""
    return json.loads((ROOT / "pretrained" / "manifest.json").read_text())


def released_as(line: dict[str, Any]) -> str | None:
    """Name of the weights if they are released as they were then, else None."""
    weights = manifest()["weights"]
    name = line["weights"]
    if name is None:
        return None
    parts = name.split("+")
    hashes = "+".join(weights.get(part, {}).get("sha256", "") for part in parts)
    return name if hashes == line["weights_sha256"] else None


def method_of(line: dict[str, Any]) -> str | None:
    """Name of the weights, or the method; None for weights no longer released."""
    return line["method"] if line["weights"] is None else released_as(line)


def lowest(lines: list[dict[str, Any]], target: str) -> float:
    """The published reference, or the lowest energy that this package has found."""
    mine = [line for line in lines if line["target"] == target]
    found = min(e for line in mine for e in line["energies"] if e is not None)
    known = known_minimum(Problem.of(target))
    return found if known is None else min(known, found)


def interval(hits: int, starts: int) -> tuple[float, float]:
    """Wilson 95 % interval of a share."""
    ci = binomtest(hits, starts).proportion_ci(0.95, method="wilson")
    return float(ci.low), float(ci.high)


def summarise(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per target and method."""
    rows = []
    for line in lines:
        if method_of(line) is None:
            continue
        best = lowest(lines, line["target"])
        energies = np.array(
            [np.inf if e is None else e for e in line["energies"]], float
        )
        hits = int(np.sum(energies < best + max(HIT * line["energy_scale"], 1e-4)))
        starts = line["n_starts"]
        low, high = interval(hits, starts)
        per_start = line["charged_evaluations"] / starts
        rows.append(
            {
                "target": line["target"],
                "method": method_of(line),
                "learned": line["weights"] is not None,
                "steps": line["n_steps"],
                "published": named_target(line["target"]).reference is not None,
                "best": best,
                "starts": starts,
                "hits": hits,
                "low": low,
                "high": high,
                "mean": float(np.mean(energies[np.isfinite(energies)])),
                "lowest": float(energies.min()),
                "per_start": per_start,
                "to_minimum": line["charged_evaluations"] / hits if hits else None,
                "seconds": line["wall_seconds"],
                "seed": line["seed"],
                "sha256": line["weights_sha256"],
                "machine": line["machine"],
            }
        )
    return rows


def cell(row: dict[str, Any]) -> str:
    """Hits, and charged evaluations to the minimum."""
    reach = row["to_minimum"]
    spent = "" if reach is None else f" ({reach:,.0f})"
    return f"{row['hits']}/{row['starts']}{spent}"


def cheapest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The row with the fewest evaluations to the minimum, else the lowest mean."""
    far = float("inf")
    return min(rows, key=lambda r: (r["to_minimum"] or far, r["mean"]))


def table(rows: list[dict[str, Any]], default: str) -> str:
    """Markdown: hits of every method by target."""
    header = ["target", "lowest known", "default weights", "best single weights"]
    header += list(NAMES.values())
    out = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for target in dict.fromkeys(row["target"] for row in rows):
        mine = {row["method"]: row for row in rows if row["target"] == target}
        first = mine[default]
        single = cheapest(
            [r for r in mine.values() if r["learned"] and "+" not in r["method"]]
        )
        mark = "" if first["published"] else " *"
        cells = [target, f"{first['best']:.4f}{mark}", cell(first)]
        # Among weights that never hit, none is the best.
        named = f" `{single['method']}`" if single["hits"] else ""
        cells.append(cell(single) + named)
        cells += [cell(mine[m]) if m in mine else "-" for m in NAMES]
        out.append("| " + " | ".join(cells) + " |")
    return "\n".join(out)


def replace_between(path: Path, name: str, text: str) -> None:
    """Replace what stands between a page's ``name:begin`` and ``name:end`` marks."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    page = path.read_text()
    head, rest = page.split(begin)
    _, tail = rest.split(end)
    path.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


def label(method: str, default: str) -> str:
    """A method as pages name it."""
    if method == default:
        return "default"
    return NAMES.get(method, f"`{method}`")


def results() -> None:
    """README's table, the results page and its picture."""
    rows = summarise(read("results.jsonl"))
    default = manifest()["default"]
    first = next(row for row in rows if row["method"] == default)
    note = (
        f"Hits of {first['starts']} random starts (seed {first['seed']}, never used in "
        "training or to choose anything), and in brackets all charged evaluations over "
        "the hits: what one find costs. The learned optimizer takes "
        f"{first['steps']} steps and relaxes; Adam, FIRE and gradient descent had no "
        "fewer charged evaluations per start. The default weights are the portfolio "
        f"`{default}`, which the starts take in turn; the best single weights are the "
        "cheapest of those released, chosen for each target with hindsight. A star "
        "marks targets without a published energy at hand: the lowest that this "
        "package has found by any method (the paper prints -181.89 for Au55); silicon "
        "is held against its "
        "crystal. Made by "
        f"`python -m benchmarks.results` on {first['machine']}."
    )
    text = f"{table(rows, default)}\n\n{note}"
    replace_between(ROOT / "README.md", "results", text)

    page = ["# Results", "", note, "", table(rows, default), ""]
    page += ["![Hit rates](images/hits.png)", "", "## What was aimed at", ""]
    page += [
        "Aims were set before there were weights; the weights that serve each target "
        "best are named with hindsight. The starts are those above.",
        "",
        aims(),
        "",
        "## Every number",
        "",
    ]
    header = "target | method | starts | hits | 95 % interval | mean energy | lowest | "
    page += [
        f"| {header}evaluations per start | seconds |",
        "|" + "---|" * 9,
    ]
    for row in rows:
        page.append(
            f"| {row['target']} | {label(row['method'], default)} | {row['starts']} | "
            f"{row['hits']} | {row['low']:.3f}-{row['high']:.3f} | {row['mean']:.4f} | "
            f"{row['lowest']:.4f} | {row['per_start']:.0f} | {row['seconds']:.1f} |"
        )
    page += ["", "## Other numbers of steps", "", *long_runs(), ""]
    (ROOT / "docs" / "results.md").write_text("\n".join(page))
    picture(rows, default)


def aims() -> str:
    """What was aimed at in training, and what the released weights reach."""
    rows = summarise(read("results.jsonl")) + summarise(read("long.jsonl"))
    found = {(r["target"], r["method"], r["steps"]): r for r in rows}
    weights = manifest()["weights"]
    out = [
        "| target | what | aim, at most | reached | met | weights | steps | trained on "
        "the target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for target, what, aim, name, steps in AIMS:
        value = found[target, name, steps][what]
        # The published lowest energy is rounded.
        met = value is not None and value <= aim + 5e-3 * (what == "lowest")
        shown = "-" if value is None else f"{value:,.0f}" if aim > 0 else f"{value:.2f}"
        trained = "yes" if target in weights[name]["tasks"] else "no"
        out.append(
            f"| {target} | {MEASURES[what]} | {aim:,} | {shown} | "
            f"{'yes' if met else 'no'} | `{name}` | {steps:,} | {trained} |"
        )
    return "\n".join(out)


def picture(rows: list[dict[str, Any]], default: str) -> None:
    """Hit rates of the default weights, the best single ones, and the rest."""
    targets = list(dict.fromkeys(row["target"] for row in rows))
    series: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in COLOURS}
    for target in targets:
        mine = [row for row in rows if row["target"] == target]
        for row in mine:
            if row["method"] in NAMES:
                series[row["method"]][target] = row
        series["default"][target] = next(r for r in mine if r["method"] == default)
        single = [r for r in mine if r["learned"] and "+" not in r["method"]]
        series["best"][target] = cheapest(single)
    names = {"default": "default weights", "best": "best single weights"} | NAMES
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    width = 0.8 / len(series)
    for k, (name, mine) in enumerate(series.items()):
        xs = [i for i, t in enumerate(targets) if t in mine]
        chosen = [mine[targets[i]] for i in xs]
        share = np.array([row["hits"] / row["starts"] for row in chosen])
        low = np.array([row["low"] for row in chosen])
        high = np.array([row["high"] for row in chosen])
        axes.bar(
            np.array(xs) + (k - (len(series) - 1) / 2) * width,
            share,
            width,
            yerr=np.clip([share - low, high - share], 0, None),
            color=COLOURS[name],
            label=names[name],
            error_kw={"lw": 0.8},
        )
    axes.set_xticks(range(len(targets)), targets, rotation=30)
    axes.set_ylabel("share of starts that reach the lowest minimum")
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "hits.png", dpi=130)
    plt.close(figure)


def long_runs() -> list[str]:
    """Tables of runs at other numbers of steps."""
    lines = [line for line in read("long.jsonl") if method_of(line)]
    default = manifest()["default"]
    rows = [row | {"method": label(row["method"], default)} for row in summarise(lines)]
    rows = sorted(rows, key=lambda r: (int(re.sub(r"\D", "", r["target"])), r["steps"]))
    ran = " or ".join(f"`{name}`" for name in sorted({x["backend"] for x in lines}))
    source = (
        f"seed {lines[0]['seed']}, on {lines[0]['machine']}, which other work shared"
    )
    out = [
        "Mean and lowest energy; hits of all starts, and charged evaluations per hit. "
        "A rule's clock is stretched to the horizon. The paper's rows are its Table 2. "
        f"Made by `python -m benchmarks.results --steps N` (backend {ran}), {source}.",
        "",
        *horizons.table(rows),
        "",
        "Other horizons, chosen with other seeds:",
        "",
        "| target | method | steps | starts | hits | 95 % interval | mean energy | "
        "lowest | evaluations to the minimum | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row["steps"] in horizons.HORIZONS:
            continue
        reach = row["to_minimum"]
        out.append(
            f"| {row['target']} | {row['method']} | {row['steps']} | "
            f"{row['starts']} | {row['hits']} | {row['low']:.3f}-{row['high']:.3f} | "
            f"{row['mean']:.4f} | {row['lowest']:.4f} | "
            f"{'not found' if reach is None else f'{reach:,.0f}'} | "
            f"{row['seconds']:.1f} |"
        )
    return out


def frame() -> None:
    """The page on frame dependence and its picture."""
    lines = read("frame.jsonl")
    rows = [
        "| target | rule | hits as drawn | hits rotated | p (Kolmogorov-Smirnov) |",
        "|---|---|---|---|---|",
    ]
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    column = 0
    for plain, turned in zip(lines[::2], lines[1::2], strict=True):
        counts = []
        for line in (plain, turned):
            hits = int(np.sum(np.array(line["energies"]) < line["reference"] + 1e-4))
            low, high = interval(hits, line["n_starts"])
            counts.append(f"{hits}/{line['n_starts']} ({low:.2f}-{high:.2f})")
        p = ks_2samp(plain["energies"], turned["energies"]).pvalue
        rule = f"`{plain['weights']}`"
        rows.append(
            f"| {plain['target']} | {rule} | {counts[0]} | {counts[1]} | {p:.2g} |"
        )
        if "alignment" in plain and column < 2:
            panel = panels[column]
            column += 1
            bins = np.linspace(0.85, 1.0, 31)
            for line, label, colour in (
                (plain, "starts as drawn", "#0072B2"),
                (turned, "starts rotated", "#E69F00"),
            ):
                panel.hist(
                    line["alignment"],
                    bins,
                    density=True,
                    histtype="step",
                    lw=1.6,
                    color=colour,
                    label=label,
                )
            panel.hist(
                random_alignment(),
                bins,
                density=True,
                color="#cccccc",
                label="random orientation",
                zorder=0,
            )
            panel.set_title(f"{rule}, {plain['target']}")
            panel.set_xlabel("largest |cos| between a vertex and an axis")
            panel.set_ylabel("density")
            panel.spines[["top", "right"]].set_visible(False)
            panel.legend(frameon=False, fontsize=8)
    figure.savefig(IMAGES / "frame.png", dpi=130)
    plt.close(figure)
    text = (
        "\n".join(rows)
        + "\n\n![Orientation of the icosahedra found](images/frame.png)\n\nMade by "
        f"`python -m benchmarks.frame` (seed {lines[0]['seed']}) on "
        f"{lines[0]['machine']}."
    )
    replace_between(ROOT / "docs" / "frame-dependence.md", "frame", text)


def estimators() -> None:
    """The comparison of estimators: table, and the paper's Fig. 3."""
    lines = read("estimators.jsonl")
    architectures = list(dict.fromkeys(line["architecture"] for line in lines))
    figure, panels = plt.subplots(
        2, len(architectures), figsize=(4.6 * len(architectures), 5.6), squeeze=False
    )
    styles = {"es": ("#999999", ":"), "esmc": ("#0072B2", "-"), "ga": ("#D55E00", "--")}
    rows = [
        "| rule | estimator | seeds | update from which half of the starts hit | hits, "
        "mean of the last 10 updates |",
        "|---|---|---|---|---|",
    ]
    for column, architecture in enumerate(architectures):
        for name, (colour, style) in styles.items():
            runs = [
                line
                for line in lines
                if (line["architecture"], line["estimator"]) == (architecture, name)
            ]
            jumps, ends = [], []
            for k, run in enumerate(runs):
                hits = np.array([u["hits"] for u in run["updates"]])
                smooth = np.convolve(hits, np.ones(5) / 5, mode="valid")
                above = np.flatnonzero(smooth >= 0.5)
                jumps.append(str(above[0] + 5) if above.size else "never")
                ends.append(float(hits[-10:].mean()))
                numbers = [u["update"] for u in run["updates"]]
                losses = [u["loss"] for u in run["updates"]]
                label = name.upper() if k == 0 else None
                look = {"color": colour, "linestyle": style, "lw": 1.4, "label": label}
                panels[0, column].plot(numbers, losses, **look)
                panels[1, column].plot(numbers[4:], 100 * smooth, **look)
            if runs:
                rows.append(
                    f"| {architecture} | {name.upper()} | {len(runs)} | "
                    f"{', '.join(jumps)} | "
                    f"{', '.join(f'{100 * e:.0f} %' for e in ends)} |"
                )
        panels[0, column].set_title(f"{architecture}, LJ13")
        panels[0, column].set_ylabel("meta-loss")
        panels[1, column].set_ylabel("starts that hit (%),\nmean of 5 updates")
        panels[1, column].set_xlabel("update")
        panels[0, column].legend(frameon=False)
        for panel in panels[:, column]:
            panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(IMAGES / "estimators.png", dpi=130)
    plt.close(figure)
    config = lines[0]["config"]
    unrolled = {line["architecture"]: line["config"]["horizon"] for line in lines}
    instead = " and ".join(f"{steps} ({rule})" for rule, steps in unrolled.items())
    text = "\n".join(
        [
            *rows,
            "",
            "![Meta-loss and hits of ES, ESMC and GA](images/estimators.png)",
            "",
            "The paper's Fig. 3 in small: the same number of unrolls per update for "
            f"all ({config['directions']} directions with two arms, or twice as many "
            f"mutants, {config['starts']} starts), horizons {instead} instead of "
            "50,000. Made by `python -m benchmarks.estimators --architecture RULE` "
            f"(seeds {', '.join(sorted({str(line['seed']) for line in lines}))}) on "
            f"{lines[0]['machine']}, which other work shared.",
        ]
    )
    replace_between(ROOT / "docs" / "training.md", "estimators", text)


def hulls() -> None:
    """What README and docs say of nanoalloy hulls."""
    page = ROOT / "docs" / "hull.md"
    shown = hull_pages.shown()
    record = hull_pages.SHOWN.relative_to(ROOT)
    replace_between(ROOT / "README.md", "hull", f"{shown} [Record]({record}).")
    replace_between(page, "shown", shown)
    replace_between(page, "untrained", hull_pages.shown(hull_pages.UNTRAINED))
    if hull_pages.RECORDS.exists():
        replace_between(page, "measured", hull_pages.measured())
    if hull_pages.METHODS.exists():
        replace_between(page, "methods", hull_pages.methods())


def cards() -> None:
    """One card per released weight file, measured numbers from the records."""
    rows = summarise(read("results.jsonl"))
    horizon_rows = [
        row
        for row in summarise(read("long.jsonl"))
        if row["steps"] in horizons.HORIZONS
    ]
    for name, entry in manifest()["weights"].items():
        sha = entry["sha256"]
        mine = [r for r in rows if r["sha256"] == sha]
        text = [f"# `{name}`", ""]
        text += [
            f"Architecture `{entry['architecture']}`, horizon {entry['horizon']} "
            f"steps, licence {entry['licence']}, released after commit "
            f"{entry['commit']}.",
            "",
            f"SHA-256 `{entry['sha256']}`, {entry['bytes']} bytes.",
            "",
            "## Training",
            "",
            "| stage | tasks | updates | horizon | seed | charged evaluations | "
            "seconds |",
            "|---|---|---|---|---|---|---|",
        ]
        for number, stage in enumerate(entry["stages"], 1):
            text.append(
                f"| {number} | {', '.join(stage['tasks'])} | {stage['updates']} | "
                f"{stage['horizon']} | {stage['seed']} | "
                f"{stage['charged_evaluations']:.3g} | {stage['seconds']:.0f} |"
            )
        text += [
            "",
            f"Configurations and records of the stages: [{name}/]({name}). The times "
            "were taken on two cores that other work shared.",
            "",
            "## Measured",
            "",
            "| target | trained on | hits | 95 % interval | mean energy | lowest | "
            "evaluations to the minimum |",
            "|---|---|---|---|---|---|---|",
        ]
        trained = set(entry["tasks"])
        for row in mine:
            reach = row["to_minimum"]
            text.append(
                f"| {row['target']} | {'yes' if row['target'] in trained else 'no'} | "
                f"{row['hits']}/{row['starts']} | {row['low']:.3f}-{row['high']:.3f} | "
                f"{row['mean']:.4f} | {row['lowest']:.4f} | "
                f"{'not found' if reach is None else f'{reach:.0f}'} |"
            )
        longer = [row for row in horizon_rows if row["sha256"] == sha]
        if longer:
            text += ["", *horizons.table([r | {"method": f"`{name}`"} for r in longer])]
        missed = [row["target"] for row in mine if not row["hits"]]
        text += [
            "",
            "Fresh starts with a seed that training never saw; a target without a "
            "published energy is held against the lowest that this package has found.",
            "",
            "## Known failures",
            "",
        ]
        text.append(
            f"Never reached the lowest known minimum of {', '.join(missed)}."
            if missed
            else "None among the targets above."
        )
        if name in NOTES:
            text.append(NOTES[name])
        text.append("The first table is of the horizon above.")
        (ROOT / "pretrained" / f"{name}.md").write_text("\n".join(text) + "\n")


def random_alignment(count: int = 20000) -> np.ndarray:
    """Largest direction cosine of an icosahedron's vertices in a random orientation."""
    from scipy.spatial.transform import Rotation

    golden = (1 + 5**0.5) / 2
    vertices = np.array(
        [v for a in (1, -1) for v in ((0, a, golden), (a, golden, 0), (golden, 0, a))]
    )
    vertices = vertices / np.linalg.norm(vertices[0])
    turned = Rotation.random(count, rng=np.random.default_rng(0)).as_matrix()
    return np.abs(np.einsum("rab,vb->rva", turned, vertices)).max(axis=(1, 2))


if __name__ == "__main__":
    results()
    frame()
    estimators()
    hulls()
    cards()
