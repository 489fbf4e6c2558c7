"""What a hop does to a minimum: random, or of rules trained for it or not.

    python -m benchmarks.hits.hops

Pools of minima (:mod:`ase_l2h.training.pools`) of sizes, metals and drawn landscapes
that `hop` was not trained on. Every minimum is left four times, by a random shake of
all atoms or by a little noise and 40 steps of a rule, and then relaxed. It falls where
the energy ends lower by a fiftieth of an energy scale. A line of
``benchmarks/records/hops.jsonl`` for each target and kind of hop.
"""

from __future__ import annotations

import argparse
import functools
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records
from ase_l2h.targets import Target, named_target
from ase_l2h.training.drawn import Drawn, drawn_targets
from ase_l2h.training.objective import LOOPS, unroll, with_horizon
from ase_l2h.training.pools import MinimaPool, make_pool, rattled
from ase_l2h.training.trainer import LEAST_FALL
from ase_l2h.weights.load import load_weights
from benchmarks import paths

__all__ = ["HOPS", "RECORDS", "TARGETS", "measured"]

RECORDS = paths.RECORDS / "hops.jsonl"
SEED = 2026
NAMED = ("LJ27", "LJ41", "LJ55", "LJ62", "Au38", "Cu40", "Pt34", "Ag20Pt18")
DRAWN = drawn_targets(Drawn(4, (25, 55), 2), SEED)
TARGETS = (*NAMED, *DRAWN)
MINIMA, TRIES, QUENCH = 256, 4, 400
LOOP = LOOPS["native"]


class Hop(NamedTuple):
    """Weights, None of a random shake; steps; least and most noise in length scales."""

    weights: str | None
    steps: int
    noise: tuple[float, float]


HOPS = {
    "shake": Hop(None, 0, (0.15, 0.45)),
    "lj": Hop("lj", 40, (0.02, 0.15)),
    "hop": Hop("hop", 40, (0.02, 0.15)),
}


@cache
def pool(name: str) -> tuple[Target, MinimaPool]:
    """A target, and minima from which a search might hop."""
    target = DRAWN.get(name) or named_target(name)
    rule = load_weights("lj").rule
    return target, make_pool(target, rule, MINIMA, jax.random.key(SEED), LOOP)


def measured(target: str, hop: str, seed: int) -> dict[str, Any]:
    """Which minima fell, and by how much, in energy scales."""
    posed, held = pool(target)
    kind, system = HOPS[hop], posed.system
    unit = float(np.mean(np.asarray(system.energy_scale)))
    rule = with_horizon(load_weights(kind.weights or "lj").rule, max(kind.steps, 1))
    rng = np.random.default_rng(seed)
    falls, charged = [], 0
    for number in range(TRIES):
        noisy = rattled(held.positions, kind.noise, system, rng)
        starts, key = jnp.asarray(noisy, jnp.float32), jax.random.key(number)
        ended = unroll(
            rule, posed.potential, system, starts, key, kind.steps, QUENCH, loop=LOOP
        )
        energy = np.nan_to_num(np.asarray(ended.energy, float), nan=0.0, posinf=0.0)
        falls.append(np.maximum((held.energies - energy) / unit - LEAST_FALL, 0.0))
        charged += int(np.sum(np.asarray(ended.evaluations)))
    fallen = np.stack(falls)
    deep = held.energies <= np.median(held.energies)
    return {
        "minima": MINIMA,
        "tries": TRIES,
        "falls": round(float(np.mean(fallen > 0)), 4),
        "falls_of_deep": round(float(np.mean(fallen[:, deep] > 0)), 4),
        "mean_fall": round(float(np.mean(fallen)), 4),
        "evaluations": round(charged / fallen.size, 1),
        **provenance(),
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    records = Records(RECORDS)
    for target in (bar := tqdm(TARGETS, unit="target")):
        for hop in HOPS:
            bar.set_description(f"{target} {hop}")
            key = {"target": target, "hop": hop, "seed": SEED}
            records.get(key, functools.partial(measured, **key))


if __name__ == "__main__":
    main()
