"""What a user waits for and what it takes: starts, compilation, memory, two devices.

Every number here belongs to a process of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["compile_and_memory", "devices", "first_results"]

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "from ase_l2h.cli.main import cli; cli()"
SEARCH = ("search", "LJ13", "--json", "--quiet")

# What one process compiles, and the most memory it ever held.
ROLLOUT = """
import json, pathlib, resource, sys, time
import jax, numpy as np
from ase_l2h.optimizers import Descent
from ase_l2h.optimizers.learned import RULES
from ase_l2h.rollout import Rollout
from ase_l2h.search import make_starts
from ase_l2h.targets import named_target
name, batch, architecture = sys.argv[1], int(sys.argv[2]), sys.argv[3]
target = named_target(name)
starts = make_starts(target.system, 0, 0, batch).astype(np.float32)
rule = RULES[architecture]
rule = rule.create(jax.random.key(0), rule.features_type())

def peak_bytes():
    # Where there is /proc: getrusage begins with what the parent process held.
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        words = status.read_text().split()
        return 1024 * int(words[words.index("VmHWM:") + 1])
    unit = 1024 if sys.platform != "darwin" else 1
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak_bytes()
begun = time.perf_counter()
run = Rollout(
    Descent(rule), target.potential, target.system, starts, jax.random.key(1)
)
run.advance(1)
compiled = time.perf_counter() - begun
run.advance(20)
print(json.dumps({
    "first_step_seconds": compiled,
    "peak_bytes": peak_bytes(),
    "before_bytes": before,
}))
"""

# Steps per second; each chunk's thread stays on the core of its device.
PINNED = """
import json, os, sys, threading, time
cores, devices, steps = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
os.sched_setaffinity(0, cores)
import jax
jax.config.update("jax_num_cpu_devices", devices)
import numpy as np
from ase_l2h.optimizers import Descent
from ase_l2h.optimizers.learned import RULES
from ase_l2h.rollout import Rollout
from ase_l2h.search import make_starts
from ase_l2h.targets import named_target
target = named_target(sys.argv[4])
starts = make_starts(target.system, 0, 0, 128).astype(np.float32)
rule = RULES["equivariant"]
rule = rule.create(jax.random.key(0), rule.features_type())

class Pinned(Rollout):
    def _map(self, task):
        def pinned(c):
            core = cores[c % len(self.devices)]
            os.sched_setaffinity(threading.get_native_id(), [core])
            return task(c)
        super()._map(pinned)

run = Pinned(
    Descent(rule), target.potential, target.system, starts, jax.random.key(1),
    device=jax.local_devices()[:devices],
)
run.advance(steps)
rates = []
for _ in range(5):
    begun = time.perf_counter()
    run.advance(steps)
    rates.append(128 * steps / (time.perf_counter() - begun))
print(json.dumps(rates))
"""


def _run(arguments: list[str], **variables: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(result.stderr[-2000:])
    return result.stdout


def first_results(options: tuple[str, ...] = ()) -> dict[str, Any]:
    """Seconds from process start to the result of ``ase-l2h search LJ13``.

    With nothing compiled, with everything compiled in an earlier run (the median of
    three), and with the cache switched off.
    """
    with tempfile.TemporaryDirectory() as folder:

        def seconds(where: str) -> float:
            said = _run(["-c", PROGRAM, *SEARCH, *options], ASE_L2H_COMPILED=where)
            return json.loads(said)["wall_seconds"]

        first = seconds(folder)
        again = [seconds(folder) for _ in range(3)]
        size = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
        return {
            "section": "start",
            "command": "ase-l2h " + " ".join((*SEARCH, *options)),
            "first_seconds": first,
            "second_seconds": round(statistics.median(again), 3),
            "uncached_seconds": seconds("off"),
            "cache_bytes": size,
        }


def compile_and_memory(name: str, batch: int, architecture: str) -> dict[str, Any]:
    """Seconds to the first step (tracing and compiling), and the peak memory."""
    said = _run(["-c", ROLLOUT, name, str(batch), architecture])
    found = json.loads(said.splitlines()[-1])
    return {
        "section": "process",
        "target": name,
        "batch": batch,
        "architecture": architecture,
        "first_step_seconds": round(found["first_step_seconds"], 3),
        "peak_megabytes": round(found["peak_bytes"] / 1e6),
        "rollout_megabytes": round((found["peak_bytes"] - found["before_bytes"]) / 1e6),
    }


def devices(name: str = "LJ38", steps: int = 200, repeats: int = 7) -> dict[str, Any]:
    """Two CPU devices, each on a core of its own, against one on one core.

    Where threads cannot be pinned, or there is one core, it says so.
    """
    if not hasattr(os, "sched_getaffinity"):
        return {"section": "devices", "missing": "threads cannot be pinned here"}
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return {"section": "devices", "missing": "this process has one core only"}

    def rates(chosen: list[int]) -> list[float]:
        arguments = [json.dumps(chosen), str(len(chosen)), str(steps), name]
        return json.loads(_run(["-c", PINNED, *arguments]).splitlines()[-1])

    # In turns: what other machines of the same host do meanwhile shows in the range.
    pairs = [
        [statistics.median(rates(cores[:n])) for n in (1, 2)] for _ in range(repeats)
    ]
    alone, both = (statistics.median(way) for way in zip(*pairs, strict=True))
    return {
        "section": "devices",
        "target": name,
        "batch": 128,
        "architecture": "equivariant",
        "one_steps_per_second": round(alone),
        "two_steps_per_second": round(both),
        "ratios": sorted(round(two / one, 2) for one, two in pairs),
    }
