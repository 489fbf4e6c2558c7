"""Evaluations and learned steps per second, beside the natural ``vmap`` of the energy.

    python -m benchmarks.speed [--sizes 13,38,75] [--batch 128] [--repeats 21]

Energy and gradient of a batch in single precision, three ways, each inside a compiled
loop as searches run them:

* natural: ``jax.vmap(jax.value_and_grad(energy))`` over positions ``(n, 3)``, the way
  one writes it in JAX;
* kernel: this package's, the whole batch as one array;
* chunks: this package's, cut as :class:`ase_l2h.rollout.Rollout` cuts it, the chunks
  side by side in threads.

The three take turns, so that whatever else the machine does hits them alike. A step of
a learned rule includes its evaluation. Every measurement is appended to
``benchmarks/records/speed.jsonl``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ase_l2h.methods import strong_basin_hopping
from ase_l2h.optimizers import Descent, Fire
from ase_l2h.optimizers.learned import RULES
from ase_l2h.potentials.base import energy_and_gradient
from ase_l2h.rollout import Rollout
from ase_l2h.rollout.api import chunk_shape
from ase_l2h.rollout.scan import COMPILER_OPTIONS
from ase_l2h.search import make_starts
from ase_l2h.targets import Target, named_target
from benchmarks.machine import machine_class, versions
from benchmarks.natural import natural_energy, natural_loop

RECORDS = Path(__file__).parent / "records" / "speed.jsonl"
FAMILIES = ("LJ", "Au")
# Rules whose steps are counted.
ARCHITECTURES = ("coordinatewise", "equivariant")
# Steps of chains before they are measured: by then they hop at different times.
APART = 400
# Long enough to drown the cost of a call.
SECONDS = 0.1
# So small that positions stay what they are, yet no evaluation can be left out.
RATE = 1e-7


@partial(jax.jit, compiler_options=COMPILER_OPTIONS)
def _loop(
    potential: Any, system: Any, positions: Array, count: int
) -> tuple[Array, Array]:
    def body(_: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        value = energy_and_gradient(potential, carry[0], system)
        return carry[0] - RATE * value.gradient, value.energy

    zero = jnp.zeros(positions.shape[2:], positions.dtype)
    return jax.lax.fori_loop(0, count, body, (positions, zero))


def kernel_runner(
    target: Target, starts: np.ndarray, chunks: int
) -> Callable[[int], Any]:
    """Loops over the kernel, ``chunks`` parts of the batch in as many threads."""
    parts = [jnp.asarray(part) for part in np.array_split(starts, chunks, axis=-1)]
    pool = ThreadPoolExecutor(min(chunks, os.cpu_count() or 1))

    def one(part: Array, count: int) -> np.ndarray:
        out = _loop(target.potential, target.system, part, count)
        return np.asarray(jax.block_until_ready(out)[1])

    def run(count: int) -> np.ndarray:
        if chunks == 1:
            return one(parts[0], count)
        return np.concatenate(list(pool.map(lambda part: one(part, count), parts)))

    return run


def stepping(
    target: Target, starts: np.ndarray, stepper: str, backend: str = "auto"
) -> Rollout:
    """A rollout of an untrained rule of an architecture, FIRE or basin hopping."""
    optimizer: Any = Descent(Fire())
    if stepper == "bh":
        optimizer = strong_basin_hopping(target.system)
    elif stepper != "fire":
        rule = RULES[stepper]
        optimizer = Descent(rule.create(jax.random.key(0), rule.features_type()))
    search = (optimizer, target.potential, target.system, starts)
    return Rollout(*search, jax.random.key(1), backend=backend)


def learned_runner(
    target: Target, starts: np.ndarray, stepper: str, backend: str = "auto"
) -> Callable[[int], Any]:
    """The steps of :func:`stepping`; chains are out of phase by then."""
    run = stepping(target, starts, stepper, backend)
    if stepper == "bh":
        run.advance(APART)
    return run.advance


def measure(
    runners: dict[str, Callable[[int], Any]], batch: int, repeats: int
) -> dict[str, dict[str, float]]:
    """Structures per second of every runner, in turns: best, median and worst.

    ``per_cpu_second`` (median) counts the seconds that this process was given, on all
    cores together: what else the machine does hardly changes it.
    """
    counts: dict[str, int] = {}
    rates: dict[str, list[float]] = {name: [] for name in runners}
    shares: dict[str, list[float]] = {name: [] for name in runners}
    for name, run in runners.items():
        run(2)
        # A call costs something, too: few steps would make a fast way look slow.
        count, seconds = 8, 0.0
        while seconds < SECONDS / 2:
            begun = time.perf_counter()
            run(count)
            seconds = time.perf_counter() - begun
            counts[name] = max(8, round(count * SECONDS / max(seconds, SECONDS / 20)))
            count = counts[name]
    for _ in range(repeats):
        for name, run in runners.items():
            begun, given = time.perf_counter(), time.process_time()
            run(counts[name])
            seconds, given = time.perf_counter() - begun, time.process_time() - given
            rates[name].append(counts[name] * batch / seconds)
            shares[name].append(counts[name] * batch / given)
    return {
        name: {
            "best": round(max(values)),
            "median": round(statistics.median(values)),
            "worst": round(min(values)),
            "per_cpu_second": round(statistics.median(shares[name])),
        }
        for name, values in rates.items()
    }


def speed(name: str, batch: int, repeats: int) -> dict[str, Any]:
    """The record of one target."""
    target = named_target(name)
    starts = make_starts(target.system, 0, 0, batch)
    chunks, _ = chunk_shape(batch)
    energy = natural_energy(target)
    assert energy is not None, "only Lennard-Jones and Gupta have a natural form"
    evaluations = {
        "natural": natural_loop(energy, starts, RATE),
        "kernel": kernel_runner(target, starts, 1),
        "chunks": kernel_runner(target, starts, chunks),
    }
    expected = evaluations["natural"](1)
    for run in evaluations.values():
        np.testing.assert_allclose(run(1), expected, rtol=2e-4)
    rates = measure(evaluations, batch, repeats)

    def ratio(kind: str) -> float:
        return round(rates["chunks"][kind] / rates["natural"][kind], 2)

    steps = {a: learned_runner(target, starts, a) for a in ARCHITECTURES}
    return {
        "target": name,
        "n_atoms": target.n_atoms,
        "batch": batch,
        "chunks": chunks,
        "dtype": str(starts.dtype),
        "evaluations_per_second": rates,
        "ratio_median": ratio("median"),
        "ratio_best": ratio("best"),
        "ratio_per_cpu_second": ratio("per_cpu_second"),
        "learned_steps_per_second": measure(steps, batch, repeats),
        "repeats": repeats,
        "load_average": round(os.getloadavg()[0], 2),
        "machine": machine_class(),
        "device": jax.devices()[0].device_kind,
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": "python -m benchmarks.speed " + shlex.join(sys.argv[1:]),
    }


def line(record: dict[str, Any]) -> str:
    """One row of the printed table: medians."""
    rates, steps = record["evaluations_per_second"], record["learned_steps_per_second"]
    columns = [rates[name]["median"] for name in ("natural", "kernel", "chunks")]
    columns += [steps[name]["median"] for name in ARCHITECTURES]
    text = "".join(f"{value:>14,}" for value in columns)
    ratios = [record[f"ratio_{kind}"] for kind in ("median", "per_cpu_second")]
    return f"{record['target']:6}{text}" + "".join(f"{r:>8.2f}" for r in ratios)


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="13,38,75")
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--dry-run", action="store_true", help="record nothing")
    arguments = parser.parse_args()
    names = ("natural", "kernel", "chunks", *ARCHITECTURES)
    heads = "".join(f"{name:>14.14}" for name in names)
    print(f"{'':6}{heads}{'ratio':>8}{'by CPU':>8}")
    for family in arguments.families.split(","):
        for size in arguments.sizes.split(","):
            record = speed(f"{family}{size}", arguments.batch, arguments.repeats)
            print(line(record), flush=True)
            if not arguments.dry_run:
                RECORDS.parent.mkdir(exist_ok=True)
                with RECORDS.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
