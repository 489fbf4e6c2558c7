"""What other people's searchers need, a part of ``docs/comparison.md``."""

from __future__ import annotations

import statistics

import numpy as np

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.comparison.encounters import Encounters, Estimate
from ase_l2h.comparison.report import estimate_text, significant
from ase_l2h.report.pages import markdown_table
from benchmarks.hits import gmin
from benchmarks.pages.summaries import manifest
from benchmarks.peers.settings import RECORDS

__all__ = ["section", "verdicts"]

NAMES = {
    "ase-stock": "ASE `BasinHopping`, its defaults",
    "ase-sane": "ASE `BasinHopping`, sane settings",
    "scipy": "SciPy `basinhopping`",
    "anneal": "`anneal`, recommended",
    "ase-ga": "`ase-ga`, cut and splice",
    "ase_l2h auto": "**ours**, the default (`auto`)",
    "ase_l2h learned": "**ours**, `learned`",
    "ase_l2h bh": "**ours**, `bh`",
    "ase_l2h hybrid": "**ours**, `hybrid`, default of release 0.1.0",
}
DEFAULT = "ase_l2h auto"
OURS = tuple(method for method in NAMES if method.startswith("ase_l2h"))
THEIRS = tuple(method for method in NAMES if method not in OURS)
Means = dict[tuple[str, str], Estimate | None]
# Fewer searches than this say too little.
FEWEST = 5
PUBLISHED = (
    "Some means were published and not run here. Until it first meets LJ38, GMIN "
    "needs 4,090 evaluations with inversion symmetry imposed, 59,632 with "
    "approximate symmetry found on the way, and 387,785 with neither "
    "(github.com/wales-group/examples, `LJ38/02_Calculating_MFET`, 100 runs each). "
    "The first is below our `bh` and `hybrid`, but imposed symmetry does not help on "
    "LJ75. On LJ75 `anneal`'s orbit chains found 31 of 48 in 4,000,000 evaluations "
    "each (github.com/HaoZeke/anneal, `scripts/sota_guard/lj75.tsv`).",
)


def _encounters() -> tuple[Lines, list[str], Means]:
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
    """A sentence per target on our default and the best of the others, one on ours."""
    _, targets, means = _encounters()
    return _verdicts(targets, means)


def _verdicts(targets: list[str], means: Means) -> list[str]:
    return [*(_verdict(target, means) for target in targets), "", _prior()]


def section() -> list[str]:
    """Table of means, and the verdicts."""
    met, targets, means = _encounters()
    shown = ("anneal", "ase", "ase-ga", "scipy")
    packages = {k: v for line in met for k, v in line["versions"].items()}
    rows = [
        [name, *(_cell(means[method, t], _runs(met, method, t)) for t in targets)]
        for method, name in NAMES.items()
    ]
    budgets = {line["target"]: line["budget"] for line in met}
    limits = ", ".join(f"{budgets[t]:,} ({t})" for t in targets)
    return [
        "## Other people's searchers",
        "",
        "All searchers use the same potential in compiled code and the same count: "
        "energy and gradient at a point are one evaluation. The means allow for "
        "searches that were cut off.",
        "",
        markdown_table(["searcher", *targets], rows),
        "",
        "A cell has the mean charged evaluations until the target is first met (95 % "
        "interval), and how many searches met it. Seeds are from 2026, 20 where there "
        f"was time. Searches were cut off after {limits} evaluations. A dash: fewer "
        f"than {FEWEST} searches were made. Made by `benchmarks/peers/run.py` and "
        "`benchmarks/peers/ours.py` with "
        + ", ".join(f"{name} {packages[name]}" for name in shown)
        + ".",
        "",
        *_verdicts(targets, means),
        "",
        "## Where others are better",
        "",
        "These searchers of others need fewer evaluations than one of our methods:",
        "",
        *_losses(targets, means),
        "",
        *_seconds(met, targets),
        "",
        *_starts(),
        *PUBLISHED,
        "",
        _gmin(),
        "",
    ]


def _prior() -> str:
    """What our methods know beforehand."""
    sizes, spent = _training()
    return (
        "`learned` has an advantage that these figures do not charge: its default "
        f"weights were trained on {', '.join(sizes)} and others, in "
        f"{spent:.1e} evaluations. `bh` and the others' searchers know only the number "
        "of atoms. `auto` and `hybrid` are given fragments of ordered packings, and "
        "`auto` also the default weights."
    )


def _training() -> tuple[list[str], float]:
    """Lennard-Jones sizes and charged evaluations of the default weights' training."""
    known = manifest()
    parts = [known["weights"][name] for name in known["default"].split("+")]
    tasks = {task for part in parts for task in part["tasks"]}
    spent = sum(stage["charged_evaluations"] for p in parts for stage in p["stages"])
    sizes = sorted((t for t in tasks if t.startswith("LJ")), key=lambda t: int(t[2:]))
    return sizes, spent


def _losses(targets: list[str], means: Means) -> list[str]:
    """Every searcher of others that needs fewer evaluations than one of ours."""
    out = []
    for target in targets:
        for ours in OURS:
            mean = means[ours, target]
            if mean is None:
                continue
            ahead = [
                f"{NAMES[m]} ({_apart(mean, other)})"
                for m in THEIRS
                if (other := means[m, target]) is not None and other.value < mean.value
            ]
            if ahead:
                out.append(f"* {target}, {NAMES[ours]}: {'; '.join(ahead)}.")
    return out


def _apart(worse: Estimate, better: Estimate) -> str:
    """How far one mean is above another, and whether the intervals part."""
    ratio = significant(worse.value / better.value)
    tie = worse.low <= better.high
    return f"{ratio} times fewer" + (", intervals overlap" if tie else "")


def _seconds(met: Lines, targets: list[str]) -> list[str]:
    """Wall time per encounter."""
    rows = []
    for method, name in NAMES.items():
        cells = []
        for target in targets:
            runs = _runs(met, method, target)
            hits = sum(line["found"] for line in runs)
            spent = sum(line["wall_seconds"] for line in runs)
            few = len(runs) < FEWEST or not hits
            cells.append("-" if few else significant(spent / hits))
        rows.append([name, *cells])
    return [
        "Seconds until the target is first met. Our 20 searches ran side by side; "
        "their time, with compilation, is divided among them. The others ran one after "
        "another. Other work shared the machine:",
        "",
        markdown_table(["searcher", *targets], rows),
    ]


def _starts() -> list[str]:
    """From the start of a process to LJ13."""
    lines = [line for line in read_lines(RECORDS) if line["kind"] == "start"]
    if not lines:
        return []
    parts = []
    for method in dict.fromkeys(line["method"] for line in lines):
        times = []
        for warm in (False, True):
            runs = [s for s in lines if (s["method"], s["warm"]) == (method, warm)]
            if runs:
                wall = statistics.median(line["wall_seconds"] for line in runs)
                times.append(
                    f"{wall:.1f} s {'the second' if warm else 'the first'} time"
                )
        parts.append(f"{NAMES[method]} {' and '.join(times)}")
    return [
        f"From the start of the process to LJ13's minimum: {'; '.join(parts)} "
        "(medians; `benchmarks/peers/start.py`). The first time, nothing is compiled "
        "yet.",
        "",
    ]


def _gmin() -> str:
    """Our basin hopping with GMIN's settings against GMIN's published runs."""
    record = gmin.joined(read_lines(gmin.RECORDS))
    parts = []
    for what, published in gmin.GMIN.items():
        mean, error = gmin.mean_and_error(record, what)
        apart = abs(gmin.standard_errors_apart(record, what))
        parts.append(
            f"{mean:,.0f} +- {error:,.0f} {what} (GMIN: "
            f"{published.mean:,.0f} +- {published.error:,.0f}, {apart:.1f} combined "
            "standard errors apart)"
        )
    return (
        f"Over {len(record['found'])} runs on {gmin.TARGET}, our basin hopping with "
        f"GMIN's settings needs {' and '.join(parts)}. Made by "
        "`python -m benchmarks.hits.gmin`."
    )


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
    ).mean


def _cell(mean: Estimate | None, runs: Lines) -> str:
    if mean is None:
        return "-"
    hits = f"{sum(line['found'] for line in runs)}/{len(runs)}"
    return f"{estimate_text(mean)}, {hits}"


def _verdict(target: str, means: Means) -> str:
    """Our default, not the best of ours with hindsight, and the best of the others."""
    known = {m: e for (m, t), e in means.items() if t == target and e is not None}
    theirs = min((m for m in THEIRS if m in known), key=lambda m: known[m].value)
    mean = known[DEFAULT]
    ratio = significant(known[theirs].value / mean.value)
    tie = "; the intervals overlap" if mean.high >= known[theirs].low else ""
    return (
        f"* {target}: {NAMES[DEFAULT]} needs {estimate_text(mean)} evaluations. "
        f"The best of the others ({NAMES[theirs]}) needs "
        f"{estimate_text(known[theirs])}, {ratio} times as many{tie}."
    )
