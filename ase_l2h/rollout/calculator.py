"""A rollout whose energies and gradients are measured outside JAX, point by point.

For calculators that nobody can look into: the optimizer is the same, its state is the
same, only the evaluation is a call of a Python function. In double precision, because
here a step costs nothing beside the call.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h.errors import InputError
from ase_l2h.optimizers.base import Optimizer, SearchState
from ase_l2h.potentials.base import EnergyAndGradient
from ase_l2h.rollout.scan import initialise_state
from ase_l2h.system import System

__all__ = ["CalculatorRollout", "PointPotential"]


@pytree_dataclass
class PointPotential:
    """A potential that knows one point only: what has been measured there."""

    value: Float[Array | np.ndarray, "*batch"]
    gradient: Float[Array | np.ndarray, "3 n *batch"]

    @property
    def cutoff(self) -> float:
        """Unknown."""
        return float("inf")

    def atom_energies(self, positions: Array, system: System) -> None:
        """Nobody has told."""

    def energy(self, positions: Array, system: System) -> Array:
        """The measured energy."""
        return jnp.asarray(self.value)

    def energy_and_gradient(
        self, positions: Array, system: System
    ) -> EnergyAndGradient:
        """The measured energy and gradient."""
        return EnergyAndGradient(
            jnp.asarray(self.value), None, jnp.asarray(self.gradient)
        )


_initialise = jax.jit(initialise_state)


@jax.jit
def _step(
    optimizer: Any, measured: PointPotential, system: System, state: Any, key: Array
) -> SearchState:
    return optimizer.step(key, state, system, measured)


class CalculatorRollout:
    """A batch of searches, one call of ``measure`` per step and structure.

    Looks like :class:`~ase_l2h.rollout.batch.Rollout`.

    Parameters
    ----------
    optimizer, system
        What steps.
    positions
        ``(3, n, batch)``.
    key
        JAX random key; step t uses ``fold_in(key, t)``.
    measure
        Positions ``(3, n)`` to energy and gradient ``(3, n)``, in float64. An exception
        it raises passes through and leaves the state as it was before the step.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        system: System,
        positions: np.ndarray,
        key: Array,
        measure: Callable[[np.ndarray], tuple[float, np.ndarray]],
    ) -> None:
        positions = np.asarray(positions, dtype=np.float64)
        self.optimizer, self.system, self.measure = optimizer, system, measure
        self.count = positions.shape[2]
        self.steps = 0
        self._key = key
        nothing = PointPotential(np.zeros(self.count), np.zeros_like(positions))
        with jax.enable_x64(True):
            start = jnp.asarray(positions)
            self._state = _initialise(optimizer, nothing, system, start, key)

    def advance(
        self, n_steps: int, expired: Callable[[], bool] = lambda: False
    ) -> None:
        """Take ``n_steps`` steps, fewer once all have converged or time is up."""
        for _ in range(n_steps):
            active = np.flatnonzero(self.gather("active"))
            if active.size == 0 or expired():
                return
            positions = self.gather("positions")
            energies = np.zeros(self.count)
            gradients = np.zeros_like(positions)
            # The leader first: who looks at the search between two blocks looks at
            # it, and has its result already.
            leader = int(np.argmin(self.gather("best_energy")))
            for b in sorted(active.tolist(), key=lambda b: b != leader):
                energies[b], gradients[..., b] = self.measure(positions[..., b])
            with jax.enable_x64(True):
                key = jax.random.fold_in(self._key, self.steps)
                measured = PointPotential(energies, gradients)
                self._state = _step(
                    self.optimizer, measured, self.system, self._state, key
                )
            self.steps += 1

    def gather(self, field: str) -> np.ndarray:
        """As :meth:`ase_l2h.rollout.batch.Rollout.gather`."""
        return np.asarray(attrgetter(field)(self._state))

    def leaves(self) -> list[np.ndarray]:
        """All arrays of the state, to be stored and given to :meth:`restore`."""
        return [np.asarray(leaf) for leaf in jax.tree.leaves(self._state)]

    def restore(self, leaves: list[np.ndarray], steps: int) -> None:
        """Continue from stored :meth:`leaves` after ``steps`` steps, bit for bit.

        Raises
        ------
        InputError
            When the arrays belong to another run.
        """
        present, structure = jax.tree.flatten(self._state)
        shapes = [(leaf.shape, leaf.dtype) for leaf in present]
        if shapes != [(leaf.shape, leaf.dtype) for leaf in leaves]:
            raise InputError(
                "the stored state belongs to another structure, weights or number of "
                "starts; start anew"
            )
        with jax.enable_x64(True):
            arrays = [jnp.asarray(leaf) for leaf in leaves]
        self._state = jax.tree.unflatten(structure, arrays)
        self.steps = steps
