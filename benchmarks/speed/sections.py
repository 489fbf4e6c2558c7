"""The sections of the speed record: each yields its records and prints them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks.speed import processes
from benchmarks.speed.gpu import gpu
from benchmarks.speed.peak import peak
from benchmarks.speed.throughput import (
    CASES,
    QUICK_CASES,
    STEPPERS,
    lines,
    native_steps,
    throughput,
)

__all__ = ["SECTIONS", "Effort", "measurements"]

Record = dict[str, Any]

NATIVE = (
    *("LJ13", "LJ38", "LJ75", "LJ147"),
    *("Au13", "Au38", "Au75", "Ag19Au19", "Ag38Au37", "Si64"),
)
PROCESSES = [
    (name, batch, rule)
    for rule in ("coordinatewise", "equivariant")
    for name, batch in (("LJ13", 128), ("LJ38", 128), ("LJ147", 128), ("Si64", 128))
] + [("LJ38", 8, "equivariant"), ("LJ38", 512, "equivariant")]


class Effort(NamedTuple):
    """How much is measured, how often, and the peak that shares are taken of."""

    quick: bool
    repeats: int
    peak: dict[str, float]


def measurements(names: list[str], quick: bool, repeats: int) -> Iterator[Record]:
    """Records of the sections that are named, after one of the peak."""
    top = peak(0.01 if quick else 0.2)
    print(
        f"peak: {top['operations_per_second'] / 1e9:.0f} GFLOP/s, "
        f"{top['exponentials_per_second'] / 1e9:.2f} billion exponentials/s"
    )
    yield {"section": "peak", **{k: round(v) for k, v in top.items()}}
    effort = Effort(quick, repeats, top)
    for name, section in SECTIONS.items():
        if name in names:
            yield from section(effort)


def _throughput(effort: Effort) -> Iterator[Record]:
    print("\ncharged evaluations/s, and learned steps/s of the rules")
    heading = True
    for name, batch in QUICK_CASES if effort.quick else CASES:
        record = throughput(name, batch, effort.repeats, effort.peak)
        for text in list(lines([record]))[0 if heading else 1 :]:
            print(text, flush=True)
        heading = False
        yield record


def _native(effort: Effort) -> Iterator[Record]:
    print("\nmachine code of this processor against scan, steps/s")
    for name in ("LJ7",) if effort.quick else NATIVE:
        record = native_steps(name, 32 if effort.quick else 128, effort.repeats)
        for stepper in STEPPERS if "missing" not in record else ():
            rates = record[stepper]
            print(
                f"{name:10}{stepper:16}{rates['scan']['median']:>14,}"
                f"{rates['native']['median']:>14,}{rates['ratio']['median']:>8.2f}",
                flush=True,
            )
        if "missing" in record:
            print(record["missing"])
        yield record


def _start(effort: Effort) -> Iterator[Record]:
    options = ("--starts", "2", "--steps", "10") if effort.quick else ()
    record = processes.first_results(options)
    print(
        f"\n{record['command']}: {record['first_seconds']:.1f} s, then "
        f"{record['second_seconds']:.1f} s; {record['uncached_seconds']:.1f} s "
        "without the cache",
        flush=True,
    )
    yield record


def _process(effort: Effort) -> Iterator[Record]:
    print("\nfirst step and peak memory of one process")
    for case in [("LJ13", 8, "equivariant")] if effort.quick else PROCESSES:
        record = processes.compile_and_memory(*case)
        print(
            f"{record['target']:10}{record['batch']:>6} "
            f"{record['architecture']:16}{record['first_step_seconds']:>8.2f} s"
            f"{record['peak_megabytes']:>8} MB, of which "
            f"{record['rollout_megabytes']} for the rollout",
            flush=True,
        )
        yield record


def _devices(effort: Effort) -> Iterator[Record]:
    record = processes.devices("LJ13", 20, 2) if effort.quick else processes.devices()
    text = record.get("missing") or (record["ratios"], record["process_ratios"])
    print(f"\ntwo devices: {text}", flush=True)
    yield record


def _gpu(effort: Effort) -> Iterator[Record]:
    print("\nGPU kernels, one block per structure")
    for record in gpu(effort.quick):
        print(json.dumps({k: v for k, v in record.items() if k != "section"}))
        yield record


SECTIONS: dict[str, Callable[[Effort], Iterator[Record]]] = {
    "throughput": _throughput,
    "native": _native,
    "start": _start,
    "process": _process,
    "devices": _devices,
    "gpu": _gpu,
}
