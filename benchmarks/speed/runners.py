"""Runners that repeat evaluations or steps of a search, and a watch for them.

Runners that are compared take turns, so that whatever else the machine does hits them
alike. A step of a learned rule includes its evaluation.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.potentials.base import energy_and_gradient
from ase_l2h.rollout import Rollout
from ase_l2h.rollout.scan import COMPILER_OPTIONS
from ase_l2h.rules import Fire
from ase_l2h.rules.learned import RULES
from ase_l2h.search.registry import strong_basin_hopping
from ase_l2h.targets import Target

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
    optimizer: Any = RuleOptimizer(Fire())
    if stepper == "bh":
        optimizer = strong_basin_hopping(target.system)
    elif stepper != "fire":
        rule = RULES[stepper]
        optimizer = RuleOptimizer(rule.create(jax.random.key(0), rule.features_type()))
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
        # A call costs something, too: few steps would make a fast way look slow. The
        # shortest of three calls counts: what delays one must not leave few.
        count, seconds = 8, 0.0
        while seconds < SECONDS / 2:
            calls = []
            for _ in range(3):
                begun = time.perf_counter()
                run(count)
                calls.append(time.perf_counter() - begun)
            seconds = min(calls)
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
