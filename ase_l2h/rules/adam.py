"""Adam: D. P. Kingma and J. Ba, ICLR 2015 (arXiv:1412.6980), through optax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h.rules.base import Observation
from ase_l2h.system import System

__all__ = ["Adam"]


@pytree_dataclass
class Adam:
    """Bias-corrected first moment over the root of the second, reduced units.

    Parameters
    ----------
    rate
        Learning rate; the paper's grid is 0.01, 0.005, 0.001.
    b1, b2, eps
        Decay of the first and second moment, and the denominator's offset.
    """

    rate: float | Float[Array | np.ndarray, ""] = 0.01
    b1: float | Float[Array | np.ndarray, ""] = 0.9
    b2: float | Float[Array | np.ndarray, ""] = 0.999
    eps: float | Float[Array | np.ndarray, ""] = 1e-8

    def _transformation(self) -> optax.GradientTransformation:
        # optax's annotations know scalars as Python numbers and JAX arrays only.
        parameters: Any = (self.rate, self.b1, self.b2, self.eps)
        return optax.adam(*parameters)

    def init(self, system: System, positions: Float[Array, "3 n *batch"]) -> Any:
        """Zero moments, and a count of steps for every structure.

        So one structure of a batch can start anew.
        """
        state = self._transformation().init(positions)
        batch = positions.shape[2:]
        return jax.tree.map(
            lambda leaf: leaf if leaf.ndim else jnp.broadcast_to(leaf, batch), state
        )

    def update(
        self, key: Array, observation: Observation, state: Any
    ) -> tuple[Float[Array, "3 n *batch"], Any]:
        """Adam's displacement."""
        displacement: Any
        # optax raises a decay to an integer power, which strict promotion forbids.
        with jax.numpy_dtype_promotion("standard"):
            displacement, state = self._transformation().update(
                observation.gradient, state
            )
        return displacement, state
