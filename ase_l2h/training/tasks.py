"""Training tasks: a target with its starts and the unit of its loss."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h.errors import InputError
from ase_l2h.starts.random import compiled_starts
from ase_l2h.targets import Target
from ase_l2h.training.objective import jit_adam_reference
from ase_l2h.training.pools import MinimaPool, rattled

__all__ = ["Task", "adam_best", "make_task"]

REFERENCE_STARTS = 150
REFERENCE_HORIZON = 2000
# One seed for all runs: the unit of a task's loss is then always the same.
REFERENCE_SEED = 0


@dataclasses.dataclass(frozen=True)
class Task:
    """A target and the energies its unrolls are judged by.

    ``reference`` is the lowest energy Adam finds from 150 starts (the unit of the
    loss); ``best`` the lowest known before training: published, or Adam's. With a pool
    the reference is the lowest energy in it.
    """

    target: Target
    reference: float
    best: float
    pool: MinimaPool | None = None

    def held(
        self, key: Array, count: int, rattle: tuple[float, ...]
    ) -> tuple[Float[Array, "3 n b"], np.ndarray]:
        """Structures of the pool with noise, and their energies without it."""
        assert self.pool is not None
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        chosen = rng.integers(len(self.pool.energies), size=count)
        positions = self.pool.positions[..., chosen]
        widths, system = (rattle[0], rattle[1]), self.target.system
        noisy = rattled(positions, widths, system, rng)
        return jnp.asarray(noisy, jnp.float32), self.pool.energies[chosen]

    def starts(self, key: Array, count: int, rotate: bool) -> Float[Array, "3 n b"]:
        """Fresh random starts."""
        return compiled_starts(key, self.target.system, count=count, rotate=rotate)

    @property
    def energy_scale(self) -> float:
        """The system's energy unit."""
        return float(np.mean(np.asarray(self.target.system.energy_scale)))

    def hits(self, energy: np.ndarray, best: float) -> np.ndarray:
        """Which quenched energies lie within 1e-3 of an energy scale of the best."""
        # Allows for float32 rounding of a large cluster's energy.
        return energy < best + 1e-3 * self.energy_scale + 2e-6 * abs(best)


def adam_best(target: Target) -> float:
    """The lowest energy Adam finds from 150 starts of a fixed seed in 2000 steps.

    Raises
    ------
    InputError
        When it finds nothing bound: the energies could not be compared.
    """
    key = jax.random.key(REFERENCE_SEED)
    starts = compiled_starts(
        key, target.system, count=REFERENCE_STARTS, rotate=target.system.cell is None
    )
    reference = float(
        jit_adam_reference(
            target.potential, target.system, starts, key, horizon=REFERENCE_HORIZON
        )
    )
    if not reference < 0:
        raise InputError(
            f"Adam finds no bound structure of {target.name} in {REFERENCE_STARTS} "
            "starts; train on another target"
        )
    return reference


def make_task(
    target: Target, reference: float | None = None, pool: MinimaPool | None = None
) -> Task:
    """The task of a target; Adam's ``reference`` is computed where it is not given.

    Raises
    ------
    InputError
        See :func:`adam_best`; also for a pool in which nothing is bound.
    """
    if pool is not None:
        reference = float(np.min(pool.energies))
        if not np.all(pool.energies < 0):
            raise InputError(
                f"the pool of {target.name} has structures that are not bound; train "
                "on another target"
            )
    if reference is None:
        reference = adam_best(target)
    best = target.reference if target.reference is not None else reference
    return Task(target, reference, min(best, reference), pool)
