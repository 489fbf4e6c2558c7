"""From the start of a process to LJ13: what a user waits for.

    python3 -m benchmarks.peers.start PEERS/bin/python .venv/bin/ase-l2h [--repeats 5]

Ours is one command; the other is a script of ASE's BasinHopping with the settings of
``searchers.py`` and the compiled potential of ``ledger.py``. Every repeat has another
seed. Appends to ``benchmarks/records/peers.jsonl``, lines of kind ``start``. Without
``--warm`` compiled code from earlier runs is not used.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

from ase_l2h._internal.machine import machine_class
from ase_l2h._internal.records import Records
from benchmarks import paths
from benchmarks.peers.settings import RECORDS, SEED, TARGETS

SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from benchmarks.peers.ledger import Finished, Ledger
from benchmarks.peers.searchers import ase_sane
ledger = Ledger({target}, 10**7)
try:
    ase_sane(13, {seed}, ledger)
except Finished:
    pass
assert ledger.found
"""


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall and processor seconds of a program that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(wall, 3), round(used, 3)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python", help="of the peers' environment")
    parser.add_argument("ours", help="the command ase-l2h")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--warm", action="store_true")
    arguments = parser.parse_args()
    target = TARGETS["LJ13"]
    aim = ["--target-energy", str(target), "--starts", "8", "--quiet"]
    records = Records(RECORDS)
    with tempfile.TemporaryDirectory() as cache:
        environment = dict(os.environ)
        if not arguments.warm:
            environment |= {"ASE_L2H_COMPILED": "off", "NUMBA_CACHE_DIR": cache}
        for seed in range(SEED, SEED + arguments.repeats):
            script = SCRIPT.format(folder=str(paths.ROOT), target=target, seed=seed)
            search = [arguments.ours, "search", "LJ13", "--seed", str(seed), *aim]
            commands = {
                "ase_l2h learned": search,
                "ase_l2h bh": [*search, "--method", "bh"],
                "ase-sane": [arguments.python, "-c", script],
            }
            for method, command in commands.items():
                wall, used = timed(command, environment)
                line = {
                    "kind": "start",
                    "target": "LJ13",
                    "method": method,
                    "seed": seed,
                    "warm": arguments.warm,
                    "wall_seconds": wall,
                    "cpu_seconds": used,
                    "load": round(os.getloadavg()[0], 1),
                    "machine": machine_class(),
                }
                records.append(line)
                print(method, wall, used, flush=True)


if __name__ == "__main__":
    sys.exit(main())
