"""What this machine can do at most, measured in the same run as everything else.

Two loops that do nothing but arithmetic: a single-precision matrix product, as many
multiply-adds as the vector units take, and a fused exponential over an array that stays
in the cache. Fractions of the peak are counted with the operations below, those that
the formula needs: each pair of atoms once, no padding, no recomputation.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ase_l2h.rollout.scan import COMPILER_OPTIONS
from ase_l2h.targets import Target
from benchmarks.speed.natural import kind

__all__ = ["fractions", "peak"]

# Additions and multiplications per pair and evaluation, energy and gradient: distance
# 8, force on both atoms 9, and the pair function with its derivative. Stillinger-Weber
# counts the pairs inside its cut-off only, with the three-body sums of both atoms.
PAIR_OPERATIONS = {"LJ": 28, "Gupta": 30, "SW": 150}
PAIR_EXPONENTIALS = {"LJ": 0, "Gupta": 2, "SW": 2}
# Atoms of silicon that an atom sees.
SILICON_NEIGHBOURS = 4
SIDE = 1024
ROW = 16384


def _median_rate(run: Callable[[], Any], work: float, seconds: float) -> float:
    """Work per second: the median of five measurements."""
    run()
    begun = time.perf_counter()
    run()
    repeats = max(1, round(seconds / (time.perf_counter() - begun)))
    rates = []
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(repeats):
            run()
        rates.append(repeats * work / (time.perf_counter() - begun))
    return statistics.median(rates)


def peak(seconds: float = 0.2) -> dict[str, float]:
    """Operations and exponentials per second on all cores, single precision."""
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.normal(size=(SIDE, SIDE)), jnp.float32) for _ in range(2))
    product = jax.jit(lambda x, y: jnp.sum(x @ y))
    operations = _median_rate(
        lambda: product(a, b).block_until_ready(), 2.0 * SIDE**3, seconds
    )
    turns = 200

    def exponentials(x: Any) -> Any:
        # Each feeds the next, so that none can be left out.
        return jax.lax.fori_loop(0, turns, lambda _, y: jnp.exp(-y), x)

    loop = jax.jit(exponentials, compiler_options=COMPILER_OPTIONS)
    row = jnp.asarray(rng.uniform(size=ROW), jnp.float32)
    workers = os.cpu_count() or 1 if jax.default_backend() == "cpu" else 1
    with ThreadPoolExecutor(workers) as pool:

        def all_cores() -> None:
            list(pool.map(lambda _: loop(row).block_until_ready(), range(workers)))

        rate = _median_rate(all_cores, float(workers * turns * ROW), seconds)
    return {"operations_per_second": operations, "exponentials_per_second": rate}


def fractions(
    target: Target, evaluations: float, steps: dict[str, float], top: dict[str, float]
) -> dict[str, float]:
    """Shares of the peak that evaluations and learned steps per second amount to.

    ``evaluations`` is the larger of the shares of operations and exponentials.
    """
    n = target.n_atoms
    pairs = n * SILICON_NEIGHBOURS / 2 if kind(target) == "SW" else n * (n - 1) / 2
    operations = PAIR_OPERATIONS[kind(target)] * pairs
    exponentials = PAIR_EXPONENTIALS[kind(target)] * pairs
    share = {
        "evaluations": max(
            evaluations * operations / top["operations_per_second"],
            evaluations * exponentials / top["exponentials_per_second"],
        )
    }
    for rule, rate in steps.items():
        work = operations + network_operations(rule, n)
        share[rule] = rate * work / top["operations_per_second"]
    return {name: round(value, 4) for name, value in share.items()}


def network_operations(architecture: str, n_atoms: int) -> float:
    """Of an untrained rule's network and step, inputs multiplied as seldom as can be.

    The paper's rule calls its network per coordinate; its radial inputs belong to the
    atom, sines and size to the structure.
    """
    from ase_l2h.rules.learned import RULES

    features = RULES[architecture].features_type()
    hidden = 32
    if architecture == "coordinatewise":
        coordinate, radial = 2 * features.n_coordinate, 2 * features.n_radial
        calls = 3 * n_atoms * (coordinate * hidden + hidden * hidden + 2 * hidden)
        return 2.0 * (calls + n_atoms * radial * hidden)
    outputs = 2 * len(features.vectors)
    shared = 4 + 11
    inputs = features.n_inputs - shared
    return 2.0 * n_atoms * (inputs * hidden + hidden * hidden + outputs * hidden)
