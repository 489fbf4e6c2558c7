"""Gradient descent with a capped step: the paper's final descent, and the starts'."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h.rules.base import Observation
from ase_l2h.system import System

__all__ = ["GradientDescent"]


@pytree_dataclass
class GradientDescent:
    """Displacement ``-rate * gradient``, each coordinate clipped at ``max_step``.

    Parameters
    ----------
    rate
        Step size in reduced units; the paper uses 0.001 after the learned steps.
    max_step
        Largest displacement of a coordinate, reduced units.
    """

    rate: float | Float[Array | np.ndarray, ""] = 0.001
    max_step: float | Float[Array | np.ndarray, ""] = 0.05

    def init(self, system: System, positions: Float[Array, "3 n *batch"]) -> None:
        """Gradient descent has no memory."""
        return None

    def update(
        self, key: Array, observation: Observation, state: None
    ) -> tuple[Float[Array, "3 n *batch"], None]:
        """Downhill, clipped."""
        step = -self.rate * observation.gradient
        return jnp.clip(step, -self.max_step, self.max_step), None
