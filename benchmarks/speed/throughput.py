"""Charged evaluations and learned steps per second, beside natural JAX and the peers.

All runners of one line take turns, so ratios are those of one moment of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ase_l2h.rollout.batch import chunk_shape
from ase_l2h.rollout.kernels import native
from ase_l2h.starts.random import make_starts
from ase_l2h.targets import Target, named_target
from benchmarks.speed.natural import kind, natural_energy, natural_loop
from benchmarks.speed.other_codes import ase_rate, jax_md_energy, torch_sim_runner
from benchmarks.speed.peak import fractions
from benchmarks.speed.runners import (
    ARCHITECTURES,
    RATE,
    kernel_runner,
    learned_runner,
    measure,
)

__all__ = [
    "BATCHES",
    "CASES",
    "QUICK_CASES",
    "STEPPERS",
    "lines",
    "native_steps",
    "throughput",
]

# What steps are counted of: a step of FIRE is an evaluation and hardly more, one of
# basin hopping an evaluation, one of L-BFGS and a share of a hop.
STEPPERS = (*ARCHITECTURES, "fire", "bh")

SIZES = (13, 38, 75, 147)
BATCHES = (1, 8, 32, 128, 512)
BATCH = 128
FAMILIES: dict[str, Callable[[int], str]] = {
    "LJ": lambda n: f"LJ{n}",
    "Au": lambda n: f"Au{n}",
    "AgAu": lambda n: f"Ag{n - n // 2}Au{n // 2}",
}
SILICON = ("Si8", "Si64")
# Growth with N and with the batch.
CASES = [
    (target, batch)
    for target in (*(name(n) for name in FAMILIES.values() for n in SIZES), *SILICON)
    for batch in BATCHES
]
QUICK_CASES = [("LJ13", 8), ("Ag4Au3", 8), ("Si8", 4)]
# jax-md's triples of 64 atoms and their gradient fill gigabytes in larger batches.
TRIPLES = 16


def runners(
    target: Target, starts: np.ndarray
) -> tuple[dict[str, Callable[[int], Any]], dict[str, str]]:
    """Ways to evaluate the batch, and why others are missing."""
    chunks, _ = chunk_shape(starts.shape[-1])
    ways = {"ase_l2h": kernel_runner(target, starts, chunks)}
    missing = {}
    energy = natural_energy(target)
    if energy is None:
        missing["natural"] = "jax-md stands for the natural form"
    else:
        ways["natural"] = natural_loop(energy, starts, RATE)
    peer = jax_md_energy(target)
    if peer is None:
        missing["jax-md"] = "jax-md has no Gupta potential for several elements"
    elif kind(target) == "SW" and starts.shape[-1] > TRIPLES and target.n_atoms > 8:
        missing["jax-md"] = f"its triples fill the memory beyond a batch of {TRIPLES}"
    else:
        ways["jax-md"] = natural_loop(peer, starts, RATE)
    torch = torch_sim_runner(target, starts)
    if isinstance(torch, str):
        missing["torch-sim"] = torch
    else:
        ways["torch-sim"] = torch
    return ways, missing


def throughput(
    name: str, batch: int, repeats: int, top: dict[str, float]
) -> dict[str, Any]:
    """The record of one target and batch."""
    target = named_target(name)
    starts = make_starts(target.system, 0, 0, batch).astype(np.float32)
    ways, missing = runners(target, starts)
    expected = ways["ase_l2h"](1)
    for way, run in ways.items():
        # Cells of jax-md are the nearest image only: too few for eight atoms.
        if not (way == "jax-md" and name == "Si8"):
            np.testing.assert_allclose(run(1), expected, rtol=1e-3, err_msg=way)
    rates = measure(ways, batch, repeats)
    steps = measure(
        {a: learned_runner(target, starts, a) for a in ARCHITECTURES}, batch, 3
    )
    rate = rates["ase_l2h"]["median"]
    record: dict[str, Any] = {
        "section": "throughput",
        "target": name,
        "n_atoms": target.n_atoms,
        "batch": batch,
        "chunks": list(chunk_shape(batch)),
        "evaluations_per_second": rates,
        "missing": missing,
        "ratio": {
            way: round(rate / rates[way]["median"], 2) for way in rates if way in ways
        },
        "learned_steps_per_second": steps,
        "fraction_of_peak": fractions(
            target, rate, {a: step["median"] for a, step in steps.items()}, top
        ),
    }
    if kind(target) == "LJ":
        alone = ase_rate(starts, seconds=min(1.0, 0.2 * repeats))
        record["ase"] = alone
        record["ratio"]["ase"] = round(rate / alone["evaluations_per_second"], 1)
    return record


def native_steps(name: str, batch: int, repeats: int) -> dict[str, Any]:
    """Steps per second of the machine code of this processor, beside ``scan``."""
    target = named_target(name)
    starts = make_starts(target.system, 0, 0, batch).astype(np.float32)
    record: dict[str, Any] = {
        "section": "native",
        "target": name,
        "n_atoms": target.n_atoms,
        "batch": batch,
    }
    if native.compiler() is None:
        return record | {"missing": "there is no C++ compiler here"}
    for stepper in STEPPERS:
        ways = {
            backend: learned_runner(target, starts, stepper, backend)
            for backend in ("scan", "native")
        }
        rates = measure(ways, batch, repeats)
        ratios = {
            kind: round(rates["native"][kind] / rates["scan"][kind], 2)
            for kind in ("median", "per_cpu_second")
        }
        record[stepper] = rates | {"ratio": ratios}
    return record


def lines(records: list[dict[str, Any]]) -> Iterator[str]:
    """The printed table: medians."""
    names = ("ase_l2h", "natural", "jax-md", "torch-sim")
    heads = [*names, "ASE", *ARCHITECTURES]
    yield f"{'':10}{'batch':>6}" + "".join(f"{h:>16}" for h in heads)
    for record in records:
        rates, steps = (
            record["evaluations_per_second"],
            record["learned_steps_per_second"],
        )
        cells = [rates[n]["median"] if n in rates else None for n in names]
        cells.append(record.get("ase", {}).get("evaluations_per_second"))
        cells += [steps[a]["median"] for a in ARCHITECTURES]
        text = "".join(f"{'-' if c is None else f'{c:,.0f}':>16}" for c in cells)
        yield f"{record['target']:10}{record['batch']:>6}{text}"
