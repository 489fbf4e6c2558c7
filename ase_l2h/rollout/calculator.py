"""A potential for optimizers whose energies come from outside JAX, point by point."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h.potentials.base import EnergyAndGradient
from ase_l2h.system import System

__all__ = ["PointPotential"]


@pytree_dataclass
class PointPotential:
    """A potential known at one point only, where it has been measured."""

    value: Float[Array | np.ndarray, "*batch"]
    gradient: Float[Array | np.ndarray, "3 n *batch"]

    @property
    def cutoff(self) -> float:
        """Unknown."""
        return float("inf")

    def atom_energies(self, positions: Array, system: System) -> None:
        """Not available."""

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
