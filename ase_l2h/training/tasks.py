"""Training tasks: a target with its starts and the unit of its loss."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
from jaxtyping import Array, Float

from ase_l2h.initialise import random_starts
from ase_l2h.targets import Target, named_target
from ase_l2h.training.objective import jit_adam_reference

__all__ = ["Task", "make_task"]

REFERENCE_STARTS = 150
_jit_starts = jax.jit(random_starts, static_argnames=("count", "rotate"))


@dataclasses.dataclass(frozen=True)
class Task:
    """A target and the energies its unrolls are judged by.

    ``reference`` is the lowest energy Adam finds from 150 starts (the unit of the
    loss); ``best`` the lowest known before training: published, or Adam's.
    """

    target: Target
    reference: float
    best: float

    def starts(self, key: Array, count: int, rotate: bool) -> Float[Array, "3 n b"]:
        """Fresh random starts."""
        return _jit_starts(key, self.target.system, count=count, rotate=rotate)

    @property
    def energy_scale(self) -> float:
        """The system's energy unit."""
        return float(np.mean(np.asarray(self.target.system.energy_scale)))

    def hits(self, energy: np.ndarray, best: float) -> np.ndarray:
        """Which quenched energies lie within 1e-3 of an energy scale of the best."""
        # float32 rounding of a large cluster's energy is not a miss.
        return energy < best + 1e-3 * self.energy_scale + 2e-6 * abs(best)


def make_task(name: str, key: Array) -> Task:
    """The task of a named target, with Adam's reference computed from ``key``.

    Raises
    ------
    ValueError
        For an unknown target, and one of which Adam finds nothing bound: its energies
        could not be compared.
    """
    target = named_target(name)
    starts = _jit_starts(
        key, target.system, count=REFERENCE_STARTS, rotate=target.system.cell is None
    )
    reference = float(
        jit_adam_reference(target.potential, target.system, starts, key, horizon=2000)
    )
    if not reference < 0:
        raise ValueError(
            f"Adam finds no bound structure of {name} in {REFERENCE_STARTS} starts; "
            "train on another target"
        )
    best = target.reference if target.reference is not None else reference
    return Task(target, reference, min(best, reference))
