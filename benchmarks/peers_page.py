"""What other people's searchers need, as the comparison page shows it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ase_l2h.evaluation.comparison import significant
from ase_l2h.evaluation.encounters import Encounters, Estimate
from ase_l2h.evaluation.records import Lines, read_lines

__all__ = ["RECORDS", "section", "verdicts"]

RECORDS = Path(__file__).parent / "records" / "peers.jsonl"
NAMES = {
    "ase-stock": "ASE `BasinHopping`, as it comes",
    "ase-sane": "ASE `BasinHopping`, sane settings",
    "scipy": "SciPy `basinhopping`",
    "anneal": "`anneal`, recommended",
    "ase-ga": "`ase-ga`, cut and splice",
    "ase_l2h learned": "**ours**, `learned`",
    "ase_l2h bh": "**ours**, `bh`",
    "ase_l2h hybrid": "**ours**, `hybrid`",
}
# Fewer searches than this say too little.
FEWEST = 5


def _encounters() -> tuple[Lines, list[str], dict[tuple[str, str], Estimate | None]]:
    """Searches, targets, and the mean of each method on each of these."""
    met = [line for line in read_lines(RECORDS) if line["kind"] == "encounter"]
    targets = list(dict.fromkeys(line["target"] for line in met))
    means = {
        (method, target): _mean(met, method, target)
        for method in NAMES
        for target in targets
    }
    return met, targets, means


def verdicts() -> list[str]:
    """A sentence per target: the best of ours and the best of the others."""
    _, targets, means = _encounters()
    return [_verdict(target, means) for target in targets]


def section() -> list[str]:
    """Table of means, and the verdicts."""
    met, targets, means = _encounters()
    packages = {k: v for line in met for k, v in line["versions"].items()}
    shown = ("anneal", "ase", "ase-ga", "scipy")
    out = [
        "## Other people's searchers",
        "",
        "The same potential in compiled code and the same count for all: energy and "
        "gradient at a point are one evaluation. Searches cut off count as such.",
        "",
        "| searcher | " + " | ".join(targets) + " |",
        "|---|" + "---:|" * len(targets),
    ]
    for method, name in NAMES.items():
        cells = [_cell(means[method, t], _runs(met, method, t)) for t in targets]
        out.append(f"| {name} | {' | '.join(cells)} |")
    budgets = {line["target"]: line["budget"] for line in met}
    limits = ", ".join(f"{budgets[t]:,} ({t})" for t in targets)
    return [
        *out,
        "",
        "Mean charged evaluations to the first encounter (95 %), searches that met the "
        f"target. Seeds from 2026, cut off after {limits} evaluations; a dash: fewer "
        f"than {FEWEST} searches were made. `benchmarks/peers/run.py`, "
        "`benchmarks/peers/ours.py`; "
        + ", ".join(f"{name} {packages[name]}" for name in shown)
        + ".",
        "",
        *verdicts(),
        "",
    ]


def _runs(met: Lines, method: str, target: str) -> Lines:
    return [
        line for line in met if (line["method"], line["target"]) == (method, target)
    ]


def _mean(met: Lines, method: str, target: str) -> Estimate | None:
    runs = _runs(met, method, target)
    if len(runs) < FEWEST:
        return None
    return Encounters(
        found=np.array([line["found"] for line in runs]),
        evaluations=np.array([line["evaluations"] for line in runs]),
        starts=None,
        seconds_per_evaluation=math.nan,
        compile_seconds=math.nan,
        lowest=min(line["lowest"] for line in runs),
    ).mean


def _cell(mean: Estimate | None, runs: Lines) -> str:
    if mean is None:
        return "-"
    hits = f"{sum(line['found'] for line in runs)}/{len(runs)}"
    if not math.isfinite(mean.value):
        return f"> {significant(mean.low)}, {hits}"
    low, high = significant(mean.low), significant(mean.high)
    return f"{significant(mean.value)} ({low}-{high}), {hits}"


def _verdict(target: str, means: dict[tuple[str, str], Estimate | None]) -> str:
    """The best of ours and the best of the others."""
    known = {m: e.value for (m, t), e in means.items() if t == target and e is not None}
    ours = min((m for m in known if m.startswith("ase_l2h")), key=lambda m: known[m])
    theirs = min(
        (m for m in known if not m.startswith("ase_l2h")), key=lambda m: known[m]
    )
    ratio = significant(known[theirs] / known[ours])
    return (
        f"* {target}: {NAMES[ours]} needs {significant(known[ours])} evaluations, the "
        f"best of the others, {NAMES[theirs]}, {significant(known[theirs])}: "
        f"{ratio} times as many."
    )
