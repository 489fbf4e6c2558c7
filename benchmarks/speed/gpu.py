"""The kernels of a GPU: one block, a full batch, the paper's training; basin hopping.

Aims: 30 % of the single-precision peak; 240 structures times 50,000 steps of the
paper's rule in 0.2, 0.5 and 1 s at N = 13, 38 and 75; 1000 updates of its mixed
training in less than 12 minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ase_l2h.rollout.kernels import cuda
from ase_l2h.starts.random import make_starts
from ase_l2h.targets import named_target
from benchmarks.speed.peak import PAIR_OPERATIONS, network_operations
from benchmarks.speed.runners import ARCHITECTURES, stepping

__all__ = ["gpu"]

SIZES = (13, 38, 75)
# Starts of an update with three sets of weights; steps of the paper.
BATCH, STEPS = 240, 50_000
# The paper's mixed training: 80 starts an update over six sizes, three arms.
TRAINING = {13: 40, 19: 40, 31: 40, 38: 40, 55: 40, 75: 40}
UPDATES = 1000


def gpu(quick: bool = False, backend: str = "cuda") -> Iterator[dict[str, Any]]:
    """Records of every size and rule; of what is missing where nothing can run."""
    reason = cuda.unavailable() if backend == "cuda" else None
    if reason is not None:
        yield {"section": "gpu", "missing": reason}
        return
    top = matmul_peak(512 if quick else 8192)
    steps = 20 if quick else STEPS
    for architecture in ARCHITECTURES:
        update = 0.0
        for n in (7,) if quick else sorted({*SIZES, *TRAINING}):
            batch = 4 if quick else BATCH
            record = one(n, architecture, batch, steps, backend)
            work = network_operations(architecture, n)
            work += PAIR_OPERATIONS["LJ"] * n * (n - 1) / 2
            rate = batch * steps / record["seconds"]
            record["fraction_of_peak"] = round(rate * work / top, 4)
            record["matmul_operations_per_second"] = round(top)
            update += record["seconds"] * TRAINING.get(n, 0) / batch
            yield record
        yield {
            "section": "gpu-training",
            "architecture": architecture,
            "updates": UPDATES,
            # Sizes one after another, unrolls only: what an update takes at most.
            "estimated_seconds": round(UPDATES * update * STEPS / steps, 1),
        }
    for n in (7,) if quick else SIZES:
        yield one(n, "bh", 4 if quick else BATCH, steps, backend)


def matmul_peak(side: int) -> float:
    """Operations per second of a product in true single precision."""
    a = jnp.ones((side, side), jnp.float32)
    product = jax.jit(lambda x: jnp.matmul(x, x, precision="highest"))
    product(a).block_until_ready()
    begun = time.perf_counter()
    for _ in range(5):
        a = product(a * 1e-4)
    a.block_until_ready()
    return 5 * 2.0 * side**3 / (time.perf_counter() - begun)


def one(
    n: int, architecture: str, batch: int, steps: int, backend: str
) -> dict[str, Any]:
    """Compile time, microseconds per step of one block, seconds of a full batch."""
    target = named_target(f"LJ{n}")
    seconds = {}
    for count in (1, batch):
        starts = make_starts(target.system, 0, 0, count).astype(np.float32)
        run = stepping(target, starts, architecture, backend)
        begun = time.perf_counter()
        run.advance(2)
        seconds[f"compile-{count}"] = time.perf_counter() - begun
        begun = time.perf_counter()
        run.advance(steps)
        run.gather("energy")
        seconds[str(count)] = time.perf_counter() - begun
    return {
        "section": "gpu",
        "n_atoms": n,
        "architecture": architecture,
        "batch": batch,
        "steps": steps,
        "backend": backend,
        "device": jax.devices()[0].device_kind,
        "compile_seconds": round(seconds["compile-1"], 2),
        "block_microseconds_per_step": round(1e6 * seconds["1"] / steps, 3),
        "seconds": round(seconds[str(batch)], 4),
    }
