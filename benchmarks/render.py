"""Turn the committed records into the tables and pictures of README and docs.

python -m benchmarks.render
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from scipy.stats import binomtest, ks_2samp

mpl.use("Agg")
import matplotlib.pyplot as plt

from ase_l2h.targets import named_target
from benchmarks.results import HIT

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "records"
IMAGES = ROOT / "docs" / "images"
NAMES = {
    "equivariant": "learned (equivariant)",
    "coordinatewise": "learned (paper's rule)",
    "adam": "Adam",
    "fire": "FIRE",
    "gd": "gradient descent",
}
# Okabe and Ito's palette, distinct for the colour-blind.
NOTES = {
    "paper-lj13": "Training ended in the transition to finding the minimum from "
    "almost every start that the paper shows. The file is kept for fidelity and the "
    "study of frame dependence, not for use.",
}
COLOURS = {
    "equivariant": "#0072B2",
    "coordinatewise": "#E69F00",
    "adam": "#009E73",
    "fire": "#CC79A7",
    "gd": "#999999",
}


def read(name: str) -> list[dict[str, Any]]:
    """Lines of a record file."""
    path = RECORDS / name
    return [json.loads(line) for line in path.read_text().splitlines()]


def method_of(line: dict[str, Any]) -> str:
    """Method, or architecture for the learned one."""
    return line.get("architecture") or line["method"]


def lowest(lines: list[dict[str, Any]], target: str) -> float:
    """The published reference, or the lowest energy any method found."""
    mine = [line for line in lines if line["target"] == target]
    found = min(e for line in mine for e in line["energies"] if e is not None)
    reference = named_target(target).reference
    return found if reference is None else min(reference, found)


def interval(hits: int, starts: int) -> tuple[float, float]:
    """Wilson 95 % interval of a share."""
    ci = binomtest(hits, starts).proportion_ci(0.95, method="wilson")
    return float(ci.low), float(ci.high)


def summarise(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per target and method."""
    rows = []
    for line in lines:
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


def table(rows: list[dict[str, Any]], methods: list[str]) -> str:
    """Markdown: hits of every method by target."""
    header = ["target", "lowest known", "evaluations per start"]
    header += [NAMES[m] for m in methods] + ["evaluations to the minimum"]
    out = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for target in dict.fromkeys(row["target"] for row in rows):
        mine = {row["method"]: row for row in rows if row["target"] == target}
        first = mine[methods[0]]
        mark = "" if first["published"] else " *"
        cells = [target, f"{first['best']:.4f}{mark}", f"{first['per_start']:.0f}"]
        for method in methods:
            row = mine.get(method)
            cells.append("-" if row is None else f"{row['hits']}/{row['starts']}")
        reach = first["to_minimum"]
        cells.append("not found" if reach is None else f"{reach:.0f}")
        out.append("| " + " | ".join(cells) + " |")
    return "\n".join(out)


def replace_between(path: Path, name: str, text: str) -> None:
    """Replace what stands between a page's ``name:begin`` and ``name:end`` marks."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    page = path.read_text()
    head, rest = page.split(begin)
    _, tail = rest.split(end)
    path.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


def results() -> None:
    """README's table, the results page and its picture."""
    lines = read("results.jsonl")
    rows = summarise(lines)
    present = {row["method"] for row in rows}
    methods = [m for m in NAMES if m in present]
    first = rows[0]
    note = (
        f"Hits of {first['starts']} random starts (seed {first['seed']}, never used in "
        "training), every method given at least the charged evaluations per start of "
        "the first learned column; *evaluations to the minimum* are all charged "
        "evaluations of that column over its hits. A star marks targets without a "
        "published energy at hand: the lowest found by any method here (the paper "
        "prints -181.89 for Au55); silicon is held against its crystal. Made by "
        f"`python -m benchmarks.results` on {first['machine']}."
    )
    text = f"{table(rows, methods)}\n\n{note}"
    replace_between(ROOT / "README.md", "results", text)

    page = ["# Results", "", note, "", table(rows, methods), ""]
    page += ["![Hit rates](images/hits.png)", "", "## Every number", ""]
    header = "target | method | starts | hits | 95 % interval | mean energy | lowest | "
    page += [
        f"| {header}evaluations per start | seconds |",
        "|" + "---|" * 9,
    ]
    for row in rows:
        page.append(
            f"| {row['target']} | {NAMES[row['method']]} | {row['starts']} | "
            f"{row['hits']} | {row['low']:.3f}-{row['high']:.3f} | {row['mean']:.4f} | "
            f"{row['lowest']:.4f} | {row['per_start']:.0f} | {row['seconds']:.1f} |"
        )
    page += ["", "## Longer runs", "", *long_runs(), ""]
    page += ["## Speed", "", *speed(), ""]
    (ROOT / "docs" / "results.md").write_text("\n".join(page))

    targets = list(dict.fromkeys(row["target"] for row in rows))
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    width = 0.8 / len(methods)
    for k, method in enumerate(methods):
        mine = {row["target"]: row for row in rows if row["method"] == method}
        xs = [i for i, t in enumerate(targets) if t in mine]
        share = np.array(
            [mine[targets[i]]["hits"] / mine[targets[i]]["starts"] for i in xs]
        )
        low = np.array([mine[targets[i]]["low"] for i in xs])
        high = np.array([mine[targets[i]]["high"] for i in xs])
        axes.bar(
            np.array(xs) + (k - (len(methods) - 1) / 2) * width,
            share,
            width,
            yerr=np.clip([share - low, high - share], 0, None),
            color=COLOURS[method],
            label=NAMES[method],
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
    """Table of the default weights at other numbers of steps."""
    lines = read("long.jsonl")
    rows = summarise(lines)
    out = [
        "| target | steps | starts | hits | 95 % interval | lowest | "
        "evaluations to the minimum | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line, row in zip(lines, rows, strict=True):
        reach = row["to_minimum"]
        out.append(
            f"| {row['target']} | {line['n_steps']} | {row['starts']} | "
            f"{row['hits']} | {row['low']:.3f}-{row['high']:.3f} | "
            f"{row['lowest']:.4f} | "
            f"{'not found' if reach is None else f'{reach:.0f}'} | "
            f"{row['seconds']:.1f} |"
        )
    out += [
        "",
        f"Made by `python -m benchmarks.results --steps ...`, seed {lines[0]['seed']}, "
        f"on {lines[0]['machine']}, which other work shared.",
    ]
    return out


def speed() -> list[str]:
    """Table of the speed record: medians, batch of 128, single precision."""
    lines = read("speed.jsonl")
    out = [
        "| target | natural `vmap`, evaluations/s | this kernel | ratio | "
        "steps/s, paper's rule | steps/s, equivariant |",
        "|---|---|---|---|---|---|",
    ]
    for line in lines:
        evaluations = line["evaluations_per_second"]
        steps = line["learned_steps_per_second"]
        out.append(
            f"| {line['target']} | {evaluations['natural']['median']:,.0f} | "
            f"{evaluations['chunks']['median']:,.0f} | {line['ratio_median']:.1f} | "
            f"{steps['coordinatewise']['median']:,.0f} | "
            f"{steps['equivariant']['median']:,.0f} |"
        )
    out += [
        "",
        "Energy and gradient of a batch of 128 in single precision, medians, against "
        f"`jax.vmap` over `(n, 3)` in the same run. Made by `{lines[0]['command']}` on "
        f"{lines[0]['machine']}.",
    ]
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
        rule = NAMES[plain["architecture"]]
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


def cards() -> None:
    """One card per released weight file, measured numbers from the records."""
    manifest = json.loads((ROOT / "pretrained" / "manifest.json").read_text())
    rows = summarise(read("results.jsonl"))
    for name, entry in manifest["weights"].items():
        mine = [r for r in rows if r["sha256"] == entry["sha256"]]
        text = [f"# `{name}`", ""]
        text += [
            f"Architecture `{entry['architecture']}`, horizon {entry['horizon']} "
            f"steps, licence {entry['licence']}, trained at commit {entry['commit']}.",
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
        missed = [row["target"] for row in mine if not row["hits"]]
        text += [
            "",
            "Fresh starts with a seed that training never saw; a target without a "
            "published energy is held against the lowest energy that any method found.",
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
        text.append(
            "Measured at the horizon above; docs/results.md has longer runs of the "
            "default weights."
        )
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
    cards()
