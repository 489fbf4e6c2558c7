"""How fast everything is on this machine, in one command.

    python -m benchmarks [--quick] [--only throughput,native,...] [--dry-run]

Measures the machine's peak, then charged evaluations and learned steps per second of
every potential by size and batch beside natural JAX, jax-md, ASE and torch-sim (where
installed), the time from process start to the first result, compile time, peak memory,
and two devices against one. Prints tables; appends every measurement to
``benchmarks/records/machine-speed.jsonl``, from which ``python -m
benchmarks.speed_page`` makes ``docs/speed.md``. Run it on an idle machine: it says how
busy it was. ``--quick`` measures little, badly and in a minute, and records nothing
unless told where.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORDS = Path(__file__).parent / "records" / "machine-speed.jsonl"
SECTIONS = ("throughput", "native", "start", "process", "devices", "gpu")
NATIVE = (
    *("LJ13", "LJ38", "LJ75", "LJ147"),
    *("Au13", "Au38", "Au75", "Ag19Au19", "Ag38Au37", "Si64"),
)
PROCESSES = [
    (name, batch, rule)
    for rule in ("coordinatewise", "equivariant")
    for name, batch in (("LJ13", 128), ("LJ38", 128), ("LJ147", 128), ("Si64", 128))
] + [("LJ38", 8, "equivariant"), ("LJ38", 512, "equivariant")]


def measurements(
    sections: list[str], quick: bool, repeats: int
) -> Iterator[dict[str, Any]]:
    """One record after the other, printed as they come."""
    from benchmarks import processes
    from benchmarks.gpu import gpu
    from benchmarks.peak import peak
    from benchmarks.throughput import (
        CASES,
        QUICK_CASES,
        STEPPERS,
        lines,
        native_steps,
        throughput,
    )

    top = peak(0.01 if quick else 0.2)
    print(
        f"peak: {top['operations_per_second'] / 1e9:.0f} GFLOP/s, "
        f"{top['exponentials_per_second'] / 1e9:.2f} billion exponentials/s"
    )
    yield {"section": "peak", **{k: round(v) for k, v in top.items()}}
    if "throughput" in sections:
        print("\ncharged evaluations/s, and learned steps/s of the rules")
        heading = True
        for name, batch in QUICK_CASES if quick else CASES:
            record = throughput(name, batch, repeats, top)
            for text in list(lines([record]))[0 if heading else 1 :]:
                print(text, flush=True)
            heading = False
            yield record
    if "native" in sections:
        print("\nmachine code of this processor against scan, steps/s")
        for name in ("LJ7",) if quick else NATIVE:
            record = native_steps(name, 32 if quick else 128, repeats)
            for stepper in STEPPERS if "missing" not in record else ():
                rates = record[stepper]
                print(
                    f"{name:10}{stepper:16}{rates['scan']['median']:>14,}"
                    f"{rates['native']['median']:>14,}"
                    f"{rates['ratio']['median']:>8.2f}",
                    flush=True,
                )
            if "missing" in record:
                print(record["missing"])
            yield record
    if "start" in sections:
        options = ("--starts", "2", "--steps", "10") if quick else ()
        record = processes.first_results(options)
        print(
            f"\n{record['command']}: {record['first_seconds']:.1f} s, then "
            f"{record['second_seconds']:.1f} s; {record['uncached_seconds']:.1f} s "
            "without the cache",
            flush=True,
        )
        yield record
    if "process" in sections:
        print("\nfirst step and peak memory of one process")
        for case in [("LJ13", 8, "equivariant")] if quick else PROCESSES:
            record = processes.compile_and_memory(*case)
            print(
                f"{record['target']:10}{record['batch']:>6} "
                f"{record['architecture']:16}{record['first_step_seconds']:>8.2f} s"
                f"{record['peak_megabytes']:>8} MB, of which "
                f"{record['rollout_megabytes']} for the rollout",
                flush=True,
            )
            yield record
    if "devices" in sections:
        record = processes.devices("LJ13", 20, 2) if quick else processes.devices()
        said = record.get("missing") or (record["ratios"], record["process_ratios"])
        print(f"\ntwo devices: {said}", flush=True)
        yield record
    if "gpu" in sections:
        print("\nGPU kernels, one block per structure")
        for record in gpu(quick):
            print(json.dumps({k: v for k, v in record.items() if k != "section"}))
            yield record


def main() -> None:
    """Measure, print and record."""
    from benchmarks.machine import machine_class, versions

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--dry-run", action="store_true", help="record nothing")
    arguments = parser.parse_args()
    sections = arguments.only.split(",")
    unknown = sorted(set(sections) - set(SECTIONS))
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {','.join(SECTIONS)}")
    begun = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    about = {
        "run": begun,
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "machine": machine_class(),
        "versions": versions(),
    }
    path = arguments.output or (None if arguments.quick else RECORDS)
    repeats = 2 if arguments.quick else arguments.repeats
    for record in measurements(sections, arguments.quick, repeats):
        load = round(os.getloadavg()[0], 2)
        text = json.dumps(about | {"load_average": load} | record)
        if path is not None and not arguments.dry_run:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as stream:
                stream.write(text + "\n")


if __name__ == "__main__":
    main()
