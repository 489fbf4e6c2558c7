"""``docs/speed.md``, its picture, and the rates in ``docs/training.md``.

Of ``machine-speed.jsonl`` the last run of each section counts; ``speed-trials.jsonl``
holds what was tried for speed, whether it was kept or not.
"""

from __future__ import annotations

import statistics
from typing import Any

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.report.figures import save_figure
from ase_l2h.report.pages import markdown_table, replace_block
from benchmarks import paths
from benchmarks.pages.speed_aims import aims
from benchmarks.pages.speed_picture import picture
from benchmarks.pages.speed_records import (
    NONE,
    RULES,
    STEP_NAMES,
    beside,
    latest,
    source,
)
from benchmarks.speed.throughput import BATCH, BATCHES, STEPPERS

__all__ = ["gpu", "native", "waiting", "write"]

# Structure-steps of the paper's protocol: 1000 updates of 80 starts, each unrolled with
# three sets of weights for 50,000 steps.
PAPER_STEPS = 1000 * 80 * 3 * 50_000


def write() -> None:
    """The generated parts of both pages."""
    sections = {
        "throughput": throughput,
        "native": native,
        "waiting": waiting,
        "gpu": gpu,
        "aims": aims,
        "trials": trials,
    }
    for name, make in sections.items():
        replace_block(paths.DOCS / "speed.md", name, make())
    replace_block(paths.DOCS / "training.md", "throughput", training())


def _table(heads: list[str], rows: list[list[Any]]) -> str:
    return markdown_table(heads, rows, numbers=False)


def throughput() -> str:
    """Evaluations and learned steps by size and batch."""
    records = latest("throughput")
    if not records:
        return NONE
    rows = []
    for record in records:
        if record["batch"] != BATCH:
            continue
        rates, steps = (
            record["evaluations_per_second"],
            record["learned_steps_per_second"],
        )
        row: list[Any] = [record["target"]]
        row.append(f"{rates['ase_l2h']['median']:,}")
        for way in ("natural", "jax-md", "torch-sim", "ase"):
            ratio = record["ratio"].get(way)
            row.append("-" if ratio is None else f"{ratio:g}")
        row.append(f"{100 * record['fraction_of_peak']['evaluations']:.1f} %")
        for rule in RULES:
            micro = 1e6 / steps[rule]["median"]
            share = 100 * record["fraction_of_peak"][rule]
            row.append(f"{micro:.2f} ({share:.0f} %)")
        rows.append(row)
    heads = ["target", "evaluations/s", "over natural", "over jax-md"]
    heads += ["over torch-sim", "over ASE", "of the peak"]
    heads += ["us per step, paper's rule (of the peak)", "equivariant (of the peak)"]
    missing = sorted({text for r in records for text in r["missing"].values()})
    top = beside("peak", records[-1])
    notes = (
        f"Peak: {top['operations_per_second'] / 1e9:.0f} GFLOP/s in a matrix product, "
        f"{top['exponentials_per_second'] / 1e9:.2f} billion fused exponentials/s. "
        f"Reasons for a dash: {'; '.join(missing)}."
    )
    save_figure(picture(records), paths.IMAGES / "speed.png", "png", dpi=130)
    image = "![Speed by size and batch](images/speed.png)"
    parts = [f"In batches of {BATCH}:", _table(heads, rows)]
    parts += [notes + " " + source(records[-1]), image, by_batch(records)]
    return "\n\n".join(parts)


def figures(value: float) -> str:
    """Three figures, all of a whole number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def by_batch(records: Lines) -> str:
    """Growth with the batch: evaluations, over natural JAX, and the default rule."""
    cells: dict[str, dict[int, str]] = {}
    for record in records:
        rate = record["evaluations_per_second"]["ase_l2h"]["median"]
        ratio = record["ratio"].get("natural")
        micro = 1e6 / record["learned_steps_per_second"]["equivariant"]["median"]
        over = "" if ratio is None else f" ({ratio:.1f}x)"
        cell = f"{figures(rate / 1e3)}{over}; {figures(micro)} us"
        cells.setdefault(record["target"], {})[record["batch"]] = cell
    rows = [
        [name, *(known.get(batch, "-") for batch in BATCHES)]
        for name, known in cells.items()
    ]
    text = (
        "By batch size. First: thousands of evaluations per second, and in brackets "
        "the ratio to natural JAX. After the semicolon: microseconds per structure of "
        "a step of the equivariant rule."
    )
    return f"{text}\n\n{_table(['target', *map(str, BATCHES)], rows)}"


def native() -> str:
    """Machine code of this processor against ``scan``."""
    records = [r for r in latest("native") if "missing" not in r]
    if not records:
        return NONE
    natural = {
        r["target"]: r["evaluations_per_second"].get("natural", {}).get("median")
        for r in latest("throughput")
        if r["batch"] == BATCH and r["run"] == records[-1]["run"]
    }
    rows = []
    for record in records:
        for stepper in STEPPERS:
            if stepper not in record:
                continue
            rates = record[stepper]
            micro = [1e6 / rates[b]["median"] for b in ("scan", "native")]
            known = natural.get(record["target"]) if stepper == "fire" else None
            rows.append(
                [
                    record["target"],
                    STEP_NAMES[stepper],
                    *(f"{value:.2f}" for value in micro),
                    rates["ratio"]["median"],
                    f"{rates['native']['median'] / known:.1f}" if known else "-",
                ]
            )
    heads = ["target", "steps of", "scan, us", "native, us", "ratio", "over natural"]
    notes = (
        "Over natural: steps of FIRE by `native`, over evaluations in natural JAX. A "
        "step of FIRE evaluates once and also moves the atoms."
    )
    return f"{_table(heads, rows)}\n\n{notes} {source(records[-1])}"


def training() -> str:
    """Rate of unrolls, and how long the paper's training would take at that rate."""
    records = [r for r in latest("native") if r["target"].startswith("LJ")]
    rows: list[list[Any]] = []
    for line in records:
        for rule in RULES:
            scan, native = (line[rule][way]["median"] for way in ("scan", "native"))
            hours = f"{PAPER_STEPS / native / 3600:.1f} hours"
            rows.append([line["target"], rule, f"{scan:,.0f}", f"{native:,.0f}", hours])
    heads = ["size", "rule", "structure-steps per second, `scan`", "`native`"]
    heads.append("the paper's 1000 updates, `native`")
    return (
        f"{_table(heads, rows)}\n\n"
        f"From the record of `{records[0]['command']}` on {records[0]['machine']}: "
        "batches of 128, single precision. The paper's protocol is 1000 updates of "
        "80 starts, each unrolled for 50,000 steps with three sets of weights."
    )


def waiting() -> str:
    """Starts, compile times, memory, devices."""
    starts, processes, devices = latest("start"), latest("process"), latest("devices")
    if not (starts and processes):
        return NONE
    start = starts[-1]
    text = (
        f"`{start['command']}` took {start['first_seconds']:.1f} s from the start of "
        f"the process the first time, {start['second_seconds']:.1f} s the second time, "
        f"and {start['uncached_seconds']:.1f} s with the cache switched off; the cache "
        f"held {start['cache_bytes'] / 1e6:.1f} MB."
    )
    rows = [
        [
            r["target"],
            r["batch"],
            STEP_NAMES[r["architecture"]],
            f"{r['first_step_seconds']:.1f}",
            r["peak_megabytes"],
            r["rollout_megabytes"],
        ]
        for r in processes
    ]
    heads = ["target", "batch", "rule", "first step, s", "peak memory, MB"]
    heads += ["the rollout's part of it, MB"]
    parts = [text, _table(heads, rows), source(processes[-1])]
    if devices and "missing" not in devices[-1]:
        two = devices[-1]
        ways = [
            f"{statistics.median(ratios):.2f} times ({ratios[0]} to {ratios[-1]})"
            for ratios in (two["ratios"], two["process_ratios"], two["host_ratios"])
        ]
        parts.append(
            "Two CPU devices, each on its own core, are compared with one device on "
            f"one core. They take {ways[0]} the steps per second in one process, and "
            f"{ways[1]} in two processes. The same two cores compute {ways[2]} the "
            "hashes per second of one. Hashes use registers only, so this is about "
            f"the most that the host can give. Medians of {len(two['ratios'])} "
            f"rounds, {two['target']}, batch {two['batch']}. {source(two)}"
        )
    return "\n\n".join(parts)


def gpu() -> str:
    """The kernels of a GPU."""
    records = [r for r in latest("gpu") if "missing" not in r]
    if not records:
        return (
            "This has not run on a GPU so far, so no number is claimed. The tests "
            "without a GPU are listed above; `python -m benchmarks --only gpu` "
            "measures."
        )
    rows = [
        [
            r["n_atoms"],
            STEP_NAMES[r["architecture"]],
            r["block_microseconds_per_step"],
            r["seconds"],
            f"{100 * r['fraction_of_peak']:.0f} %" if "fraction_of_peak" in r else "-",
            r["compile_seconds"],
        ]
        for r in records
    ]
    first = records[0]
    heads = ["atoms", "rule", "us per step of one block"]
    heads += [f"s for {first['batch']} x {first['steps']:,} steps"]
    heads += ["of the fp32 peak", "compile, s"]
    whole = [
        f"{r['updates']} updates of the paper's mixed training with the "
        f"{STEP_NAMES[r['architecture']]}: {r['estimated_seconds'] / 60:.1f} minutes."
        for r in latest("gpu-training")
    ]
    where = f"{first['device']}. {source(first)}"
    return "\n\n".join([_table(heads, rows), *whole, where])


def trials() -> str:
    """What was tried, in processor time of one core."""
    rows = [
        [
            r["change"],
            r["case"],
            f"{r['before']:g} {r['unit']}",
            f"{r['after']:g} {r['unit']}",
            "kept" if r["kept"] else "not kept",
        ]
        for r in read_lines(paths.RECORDS / "speed-trials.jsonl")
    ]
    return _table(["change", "case", "before", "after", ""], rows)
