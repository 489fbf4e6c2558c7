"""Pools of minima, from which hops are trained.

A search hops from structures that it holds. A pool has such structures of a task, from
shallow ones to the lowest: half of them begin as relaxed random starts, half as what
the initial rule makes of random starts. Then each hops a number of times: it is shaken,
the initial rule takes some steps, and the result is relaxed and kept where it is lower.
The numbers of hops go from none to many.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h.starts.random import compiled_starts
from ase_l2h.system import System
from ase_l2h.targets import Target
from ase_l2h.training.objective import QUENCHES, Loop, followed, with_horizon

__all__ = ["MinimaPool", "make_pool", "rattled"]

# Least and most standard deviation of a shake, in length scales.
SHAKE = (0.0, 0.4)
# Steps of the rule from random starts and in hops, and of FIRE.
LEARNED_STEPS, HOP_STEPS, QUENCH_STEPS = 600, 40, 500
# Most hops of a structure.
ROUNDS = 30
PADDED = 32


class MinimaPool(NamedTuple):
    """Relaxed structures and their energies."""

    positions: Float[np.ndarray, "3 n k"]
    energies: Float[np.ndarray, " k"]


def make_pool(
    target: Target, rule: Any, size: int, key: Array, loop: Loop
) -> MinimaPool:
    """A pool of ``size`` minima, the same for the same key.

    Parameters
    ----------
    target
        Of which.
    rule
        Makes half of the structures, from random starts.
    size
        How many; a multiple of 2.
    key
        JAX random key.
    loop
        Of the backend that steps.
    """
    potential, system = target.potential, target.system
    start_key, shake_key, rule_key = jax.random.split(key, 3)
    starts = compiled_starts(start_key, system, count=size, rotate=system.cell is None)

    def relaxed(positions: Any) -> tuple[np.ndarray, np.ndarray]:
        given = jnp.asarray(positions, jnp.float32)
        fire, steps = QUENCHES["fire"], QUENCH_STEPS
        settled = followed(fire, potential, system, given, key, steps, loop)
        settled = loop.evaluate(potential, system, settled)
        return np.array(settled.positions), np.array(settled.energy, float)

    def led(positions: Any, steps: int) -> Any:
        given, timed = jnp.asarray(positions, jnp.float32), with_horizon(rule, steps)
        return followed(
            timed, potential, system, given, rule_key, steps, loop
        ).positions

    half = size // 2
    begun = led(starts[..., :half], LEARNED_STEPS)
    positions, energies = relaxed(jnp.concatenate([begun, starts[..., half:]], -1))
    rng = np.random.default_rng(np.asarray(jax.random.key_data(shake_key)))
    rounds = np.rint(np.geomspace(1, ROUNDS + 1, half)).astype(int) - 1
    rounds = np.tile(rounds, 2)
    for number in range(ROUNDS):
        going = np.flatnonzero(rounds > number)
        # Few different shapes, each of which is compiled.
        padded = np.resize(going, -(-len(going) // PADDED) * PADDED)
        shaken = rattled(positions[..., padded], SHAKE, system, rng)
        moved, lower = relaxed(led(shaken, HOP_STEPS))
        moved, lower = moved[..., : len(going)], lower[: len(going)]
        falls = np.isfinite(lower) & (lower < energies[going])
        positions[..., going[falls]] = moved[..., falls]
        energies[going[falls]] = lower[falls]
    return MinimaPool(positions, energies)


def rattled(
    positions: np.ndarray,
    widths: tuple[float, float],
    system: System,
    rng: np.random.Generator,
) -> np.ndarray:
    """All atoms displaced by normal noise, whose width is drawn for every structure.

    The two ``widths`` are the least and the most, in length scales of the system.
    """
    length = float(np.mean(np.asarray(system.length_scale)))
    width = rng.uniform(*widths, size=positions.shape[-1]) * length
    return positions + width * rng.normal(size=positions.shape)
