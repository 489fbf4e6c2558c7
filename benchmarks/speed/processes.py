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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import paths

__all__ = ["compile_and_memory", "devices", "first_results"]

PROGRAM = "from ase_l2h.cli.main import cli; cli()"
SEARCH = ("search", "LJ13", "--json", "--quiet")

# What one process compiles, and the most memory it ever held.
ROLLOUT = """
import json, pathlib, resource, sys, time
import jax, numpy as np
from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.rules.learned import RULES
from ase_l2h.rollout import Rollout
from ase_l2h.starts.random import make_starts
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
    RuleOptimizer(rule), target.potential, target.system, starts, jax.random.key(1)
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

# Steps per second, a line for each line of standard input; each chunk's thread stays
# on the core of its device.
PINNED = """
import json, os, pathlib, sys, time
cores, devices, steps = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
os.sched_setaffinity(0, cores)
import jax
jax.config.update("jax_num_cpu_devices", devices)
import numpy as np
from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.rules.learned import RULES
from ase_l2h.rollout import Rollout
from ase_l2h.starts.random import make_starts
from ase_l2h.targets import named_target
target = named_target(sys.argv[4])
starts = make_starts(target.system, 0, 0, 128).astype(np.float32)
rule = RULES["equivariant"]
rule = rule.create(jax.random.key(0), rule.features_type())

run = Rollout(
    RuleOptimizer(rule), target.potential, target.system, starts, jax.random.key(1),
    device=jax.local_devices()[:devices],
)
run.advance(steps)
# XLA works on threads of its own: one per core, and each stays on its core from now on.
tasks = list(pathlib.Path("/proc/self/task").iterdir())
workers = [t.name for t in tasks if "XLAEigen" in (t / "comm").read_text()]
for core, worker in zip(cores, workers, strict=True):
    os.sched_setaffinity(int(worker), [core])
print("ready", flush=True)
for _ in sys.stdin:
    begun = time.perf_counter()
    run.advance(steps)
    print(128 * steps / (time.perf_counter() - begun), flush=True)
"""

# Hashes per second of a core, likewise: arithmetic in registers, no memory, no JAX, so
# about what two cores of this host have to give at the time.
ARITHMETIC = """
import hashlib, json, os, sys, time
os.sched_setaffinity(0, json.loads(sys.argv[1]))
count = int(sys.argv[2])
print("ready", flush=True)
for _ in sys.stdin:
    begun = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"", b"", count)
    print(count / (time.perf_counter() - begun), flush=True)
"""
HASHES = 1_500_000


def _environment(**variables: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("JAX_")} | variables


def _run(arguments: list[str], **variables: str) -> str:
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=paths.ROOT,
        env=_environment(**variables),
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
    printed = _run(["-c", ROLLOUT, name, str(batch), architecture])
    facts = json.loads(printed.splitlines()[-1])
    return {
        "section": "process",
        "target": name,
        "batch": batch,
        "architecture": architecture,
        "first_step_seconds": round(facts["first_step_seconds"], 3),
        "peak_megabytes": round(facts["peak_bytes"] / 1e6),
        "rollout_megabytes": round((facts["peak_bytes"] - facts["before_bytes"]) / 1e6),
    }


@contextmanager
def _worker(program: str, *arguments: Any) -> Iterator[Callable[[], float]]:
    """A process that works when it is called; each call gives its rate."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=paths.ROOT,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked, said = process.stdin, process.stdout
        assert asked is not None
        assert said is not None

        def line() -> str:
            words = said.readline()
            if not words:
                raise RuntimeError("the process with pinned devices ended early")
            return words

        def rate() -> float:
            asked.write("\n")
            asked.flush()
            return float(line())

        line()
        yield rate


def devices(name: str = "LJ38", steps: int = 1000, rounds: int = 21) -> dict[str, Any]:
    """Two CPU devices, each on a core of its own, against one on one core.

    Three processes take turns: one on either core alone, one with a device on each,
    and then the first two at once; and two that only hash, alone and at once. What
    others do on the same host changes within seconds, so that only neighbouring turns
    compare; a round's ratio is what both cores give, by the slower one's time, over the
    mean of either alone. Where threads cannot be pinned, or there is one core, it says
    so.
    """
    if not hasattr(os, "sched_getaffinity"):
        return {"section": "devices", "missing": "threads cannot be pinned here"}
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return {"section": "devices", "missing": "this process has one core only"}
    with ExitStack() as open_:
        first, second, both = (
            open_.enter_context(_worker(PINNED, chosen, len(chosen), steps, name))
            for chosen in (*([core] for core in cores), cores)
        )
        hashing = [
            open_.enter_context(_worker(ARITHMETIC, [core], HASHES)) for core in cores
        ]
        turns, hashes = [], []
        with ThreadPoolExecutor(2) as pool:

            def at_once(*workers: Callable[[], float]) -> float:
                return 2 * min(pool.map(lambda work: work(), workers))

            for _ in range(rounds):
                alone = [work() for work in (first, second, both)]
                turns.append((*alone, at_once(first, second)))
                hashes.append((hashing[0](), hashing[1](), at_once(*hashing)))
    return {
        "section": "devices",
        "target": name,
        "batch": 128,
        "architecture": "equivariant",
        "one_steps_per_second": round(
            statistics.median((one + other) / 2 for one, other, *_ in turns)
        ),
        "two_steps_per_second": round(statistics.median(turn[2] for turn in turns)),
        "ratios": _gains(turns, 2),
        "process_ratios": _gains(turns, 3),
        "host_ratios": _gains(hashes, 2),
    }


def _gains(turns: list[tuple[float, ...]], way: int) -> list[float]:
    """Of every turn, a way's rate over the mean of the first two, sorted."""
    return sorted(round(2 * turn[way] / (turn[0] + turn[1]), 2) for turn in turns)
