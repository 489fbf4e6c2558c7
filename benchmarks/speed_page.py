"""Turn the speed records into ``docs/speed.md``, its picture, and rates of training.

    python -m benchmarks.speed_page

Of ``machine-speed.jsonl`` the last run of each section counts; ``speed-trials.jsonl``
holds what was tried for speed, whether it was kept or not.
"""

from __future__ import annotations

import json
import statistics
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullLocator

from benchmarks.render import IMAGES, RECORDS, ROOT, replace_between
from benchmarks.throughput import BATCH, BATCHES, FAMILIES, SIZES, STEPPERS

PAGE = ROOT / "docs" / "speed.md"
TRAINING = ROOT / "docs" / "training.md"
NONE = "Not measured yet: `python -m benchmarks` makes the record."
WAYS = {
    "ase_l2h": ("this package", "#0072B2", "o"),
    "natural": ("natural JAX", "#E69F00", "s"),
    "jax-md": ("jax-md", "#009E73", "^"),
    "torch-sim": ("torch-sim", "#CC79A7", "v"),
}
# Structure-steps of the paper's protocol: 1000 updates of 80 starts, each unrolled with
# three sets of weights for 50,000 steps.
PAPER_STEPS = 1000 * 80 * 3 * 50_000
# Microseconds per structure and step of the paper's rule: `scan`, `native`.
STEP_AIMS = {"LJ13": (3, 2), "LJ38": (10, 6), "LJ75": (25, 15)}
OVER_NATURAL = (
    *("LJ13", "LJ38", "LJ75", "Au13", "Au38", "Au75"),
    *("Ag19Au19", "Ag38Au37"),
)
STEP_NAMES = {
    "coordinatewise": "paper's rule",
    "equivariant": "equivariant rule",
    "fire": "FIRE",
    "bh": "basin hopping",
}


def lines(name: str) -> list[dict[str, Any]]:
    """Lines of a record, none where it does not exist."""
    path = RECORDS / name
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def latest(section: str) -> list[dict[str, Any]]:
    """The last run that has a section."""
    mine = [r for r in lines("machine-speed.jsonl") if r["section"] == section]
    return [r for r in mine if r["run"] == mine[-1]["run"]] if mine else []


def beside(section: str, record: dict[str, Any]) -> dict[str, Any]:
    """The last line of a section that was taken in the run of a record."""
    mine = [r for r in lines("machine-speed.jsonl") if r["section"] == section]
    return [r for r in mine if r["run"] == record["run"]][-1]


def table(heads: list[str], rows: list[list[Any]]) -> str:
    """Markdown."""
    out = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(out + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def source(record: dict[str, Any]) -> str:
    """Where and how a record was taken."""
    kept = record["versions"]
    named = [
        f"{name} {kept[name]}"
        for name in ("jax", "jax-md", "torch-sim-atomistic")
        if name in kept
    ]
    return (
        f"Made by `{record['command']}` on {record['machine']} (load average "
        f"{record['load_average']}), {', '.join(named)}, {record['run'][:10]}."
    )


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
        for rule in ("coordinatewise", "equivariant"):
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
        f"A dash: {'; '.join(missing)}."
    )
    picture(records)
    image = "![Speed by size and batch](images/speed.png)"
    parts = [f"In batches of {BATCH}:", table(heads, rows)]
    parts += [notes + " " + source(records[-1]), image, by_batch(records)]
    return "\n\n".join(parts)


def figures(value: float) -> str:
    """Three figures, all of a whole number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def by_batch(records: list[dict[str, Any]]) -> str:
    """Growth with the batch: evaluations, over natural JAX, and the default rule."""
    cells: dict[str, dict[int, str]] = {}
    for record in records:
        rate = record["evaluations_per_second"]["ase_l2h"]["median"]
        ratio = record["ratio"].get("natural")
        micro = 1e6 / record["learned_steps_per_second"]["equivariant"]["median"]
        over = "" if ratio is None else f" ({ratio:.1f}x)"
        text = f"{figures(rate / 1e3)}{over}; {figures(micro)} us"
        cells.setdefault(record["target"], {})[record["batch"]] = text
    rows = [
        [name, *(mine.get(batch, "-") for batch in BATCHES)]
        for name, mine in cells.items()
    ]
    said = (
        "By the batch: thousand evaluations per second (over natural JAX); "
        "microseconds of a step of the equivariant rule per structure."
    )
    return f"{said}\n\n{table(['target', *map(str, BATCHES)], rows)}"


def picture(records: list[dict[str, Any]]) -> None:
    """Evaluations by size and by batch, microseconds of a step by size."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 4.1), layout="constrained")
    families = {"LJ": "-", "AgAu": "--"}
    for family, style in families.items():
        chosen = {FAMILIES[family](n): n for n in SIZES}
        mine = [r for r in records if r["target"] in chosen and r["batch"] == BATCH]
        for way, (name, colour, marker) in WAYS.items():
            points = [
                (r["n_atoms"], r["evaluations_per_second"][way]["median"])
                for r in mine
                if way in r["evaluations_per_second"]
            ]
            if points:
                label = f"{name}, {family}"
                look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 4}
                panels[0].loglog(*zip(*points, strict=True), style, label=label, **look)
    panels[0].set_xlabel(f"atoms, batch of {BATCH}")
    for family, style in families.items():
        mine = sorted(
            (r for r in records if r["target"] == FAMILIES[family](38)),
            key=lambda r: r["batch"],
        )
        for way, (_, colour, marker) in WAYS.items():
            points = [
                (r["batch"], r["evaluations_per_second"][way]["median"])
                for r in mine
                if way in r["evaluations_per_second"]
            ]
            if points:
                look = {"color": colour, "marker": marker, "ms": 4}
                panels[1].loglog(*zip(*points, strict=True), style, **look)
    panels[1].set_xlabel("batch, 38 atoms")
    mine = [r for r in records if r["target"].startswith("LJ") and r["batch"] == BATCH]
    for rule, colour in (("coordinatewise", "#D55E00"), ("equivariant", "#56B4E9")):
        micro = [1e6 / r["learned_steps_per_second"][rule]["median"] for r in mine]
        sizes = [r["n_atoms"] for r in mine]
        panels[2].loglog(sizes, micro, "o-", color=colour, label=STEP_NAMES[rule])
    panels[2].set_xlabel(f"atoms (Lennard-Jones), batch of {BATCH}")
    for panel in panels[:2]:
        panel.set_ylabel("charged evaluations per second")
    panels[2].set_ylabel("microseconds per structure and step")
    for panel in (panels[0], panels[2]):
        panel.set_xticks(SIZES, labels=[str(n) for n in SIZES])
        panel.xaxis.set_minor_locator(NullLocator())
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    # Of the first two panels, above them: lines fill the panels themselves.
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper left",
        ncols=6,
        handlelength=3.5,
        frameon=False,
        fontsize=8,
    )
    panels[2].legend(frameon=False, fontsize=8)
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "speed.png", dpi=130)
    plt.close(figure)


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
    heads = ["target", "steps of", "scan, us", "native, us", "ratio", "natural"]
    notes = (
        "Natural: steps of FIRE, of which each evaluates once and moves, against "
        "evaluations alone in natural JAX."
    )
    return f"{table(heads, rows)}\n\n{notes} {source(records[-1])}"


def aims() -> str:
    """What was aimed at, and what the records above have."""
    rates = {r["target"]: r for r in latest("throughput") if r["batch"] == BATCH}
    steps = {r["target"]: r for r in latest("native") if "missing" not in r}
    rows: list[list[str]] = []

    def add(what: str, aim: float, reached: float | None, *, least: bool) -> None:
        if reached is None:
            return
        met = reached >= aim if least else reached <= aim
        bound = "at least" if least else "at most"
        rows.append(
            [what, f"{bound} {aim:g}", f"{reached:.3g}", "yes" if met else "no"]
        )

    for name, (scan, compiled) in STEP_AIMS.items():
        if name not in steps:
            continue
        for way, aim in (("scan", scan), ("native", compiled)):
            micro = 1e6 / steps[name]["coordinatewise"][way]["median"]
            add(f"{name}: paper's rule, `{way}`, us", aim, micro, least=False)
        half = 1e6 / steps[name]["equivariant"]["scan"]["median"]
        add(f"{name}: equivariant rule, `scan`, us", scan / 2, half, least=False)
    for name in OVER_NATURAL:
        if name in rates:
            ratio = rates[name]["ratio"].get("natural")
            add(f"{name}: evaluations, `scan` over natural JAX", 8, ratio, least=True)
    for name in OVER_NATURAL:
        if name in steps and name in rates:
            natural = rates[name]["evaluations_per_second"]["natural"]["median"]
            ratio = steps[name]["fire"]["native"]["median"] / natural
            what = f"{name}: FIRE steps, `native` over evaluations in natural JAX"
            add(what, 8, ratio, least=True)
    if "LJ38" in rates:
        million = rates["LJ38"]["evaluations_per_second"]["ase_l2h"]["median"] / 1e6
        add("LJ38: million evaluations/s", 1, million, least=True)
    for record in latest("start")[-1:]:
        add("second start, s", 3, record["second_seconds"], least=False)
    for record in latest("devices")[-1:]:
        if "missing" not in record:
            for key, where in (("ratios", "one process"), ("process_ratios", "two")):
                ratio = statistics.median(record[key])
                add(f"two pinned devices, {where}", 1.8, ratio, least=True)
            # Not an aim of the package: what a loop in registers gets.
            host = statistics.median(record["host_ratios"])
            rows.append(["two pinned hash loops", "-", f"{host:.3g}", "-"])
    heads = [f"batch of {BATCH}, two cores", "aim", "reached", "met"]
    return table(heads, rows)


def training() -> str:
    """Rate of unrolls, and how long the paper's training would take at that rate."""
    records = [r for r in latest("native") if r["target"].startswith("LJ")]
    rows = [
        "| size | rule | structure-steps per second, `scan` | `native` | the paper's "
        "1000 updates, `native` |",
        "|---|---|---|---|---|",
    ]
    for line in records:
        for rule in ("coordinatewise", "equivariant"):
            scan, native = (line[rule][way]["median"] for way in ("scan", "native"))
            hours = PAPER_STEPS / native / 3600
            rows.append(
                f"| {line['target']} | {rule} | {scan:,.0f} | {native:,.0f} | "
                f"{hours:.1f} hours |"
            )
    return "\n".join(
        [
            *rows,
            "",
            f"From the record of `{records[0]['command']}` on {records[0]['machine']}: "
            "batches of 128, single precision. The paper's protocol is 1000 updates of "
            "80 starts, each unrolled for 50,000 steps with three sets of weights.",
        ]
    )


def waiting() -> str:
    """Starts, compile times, memory, devices."""
    starts, processes, devices = latest("start"), latest("process"), latest("devices")
    if not (starts and processes):
        return NONE
    start = starts[-1]
    said = (
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
    heads += ["of it the rollout, MB"]
    parts = [said, table(heads, rows), source(processes[-1])]
    if devices and "missing" not in devices[-1]:
        two = devices[-1]
        ways = [
            f"{statistics.median(ratios):.2f} times ({ratios[0]} to {ratios[-1]})"
            for ratios in (two["ratios"], two["process_ratios"], two["host_ratios"])
        ]
        parts.append(
            "Two CPU devices, each on a core of its own, against one on one core: in "
            f"one process {ways[0]} the steps per second, in a process each {ways[1]}. "
            f"The same cores computed {ways[2]} the hashes per second, which takes "
            "registers only and is about what the host has to give. Medians of "
            f"{len(two['ratios'])} rounds, {two['target']}, batch "
            f"{two['batch']}. {source(two)}"
        )
    return "\n\n".join(parts)


def gpu() -> str:
    """The kernels of a GPU."""
    records = [r for r in latest("gpu") if "missing" not in r]
    if not records:
        return (
            "Never run on a GPU so far: no number is claimed. What is tested without "
            "one is listed above; `python -m benchmarks --only gpu` measures."
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
    return "\n\n".join([table(heads, rows), *whole, where])


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
        for r in lines("speed-trials.jsonl")
    ]
    return table(["change", "case", "before", "after", ""], rows)


def main() -> None:
    """Write the page."""
    sections = {
        "throughput": throughput,
        "native": native,
        "waiting": waiting,
        "gpu": gpu,
        "aims": aims,
        "trials": trials,
    }
    for name, make in sections.items():
        replace_between(PAGE, name, make())
    replace_between(TRAINING, "throughput", training())


if __name__ == "__main__":
    main()
