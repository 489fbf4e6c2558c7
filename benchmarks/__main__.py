"""How fast everything is on this machine, in one command.

    python -m benchmarks [--quick] [--only throughput,native,...] [--dry-run]

Measures the machine's peak, then charged evaluations and learned steps per second of
every potential by size and batch beside natural JAX, jax-md, ASE and torch-sim (where
installed), the time from process start to the first result, compile time, peak memory,
and two devices against one. Prints tables; appends every measurement to
``benchmarks/records/machine-speed.jsonl``, from which ``python -m benchmarks.pages
speed`` makes ``docs/speed.md``. Run it on an idle machine: it says how
busy it was. ``--quick`` measures little, badly and in a minute, and records nothing
unless told where.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shlex
import sys
from pathlib import Path

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records
from benchmarks import paths

RECORDS = paths.RECORDS / "machine-speed.jsonl"


def main() -> None:
    """Measure, print and record."""
    from benchmarks.speed.sections import SECTIONS, measurements

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
    about = {
        "run": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        **provenance(),
    }
    path = arguments.output or (None if arguments.quick else RECORDS)
    records = None if path is None or arguments.dry_run else Records(path)
    repeats = 2 if arguments.quick else arguments.repeats
    for record in measurements(sections, arguments.quick, repeats):
        if records is not None:
            load = round(os.getloadavg()[0], 2)
            records.append(about | {"load_average": load} | record)


if __name__ == "__main__":
    main()
