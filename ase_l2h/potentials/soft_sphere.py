"""Soft spheres, which push overlapping atoms of a random start apart.

    E = sum_{i<j} epsilon/2 (1 - r_ij/sigma)^2   for r_ij < sigma, zero beyond

The paper that introduced it here (Merchant et al., ICML 2021, Eq. 8) prints the
threshold as 0.1; with this energy it must be ``sigma`` or the force jumps.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h.potentials.pair_loops import LookUp, PairPotential, largest
from ase_l2h.system import System

__all__ = ["SoftSphere"]


@pytree_dataclass
class SoftSphere(PairPotential):
    """Purely repulsive harmonic spheres.

    Parameters
    ----------
    sigma
        Diameter in the units of the positions, a scalar or ``(*batch)``; None takes the
        system's ``length_scale``.
    epsilon
        Energy unit; the dimensionless 1 by default.
    """

    sigma: Any = None
    epsilon: Any = 1.0

    @property
    def cutoff(self) -> Any:
        """The diameter; ``inf`` while it is left to the system."""
        return float("inf") if self.sigma is None else largest(self.sigma)

    def pair_energy(self, squared: Array, look_up: LookUp, system: System) -> Array:
        """Energy of a pair in the unit of ``epsilon``.

        Coincident atoms cost ``epsilon / 2`` and, having no direction, feel no force.
        """
        del look_up
        sigma = system.length_scale if self.sigma is None else self.sigma
        sigma = jnp.asarray(sigma, squared.dtype)
        # sqrt has no derivative at zero; 1e-30 is far below any distance squared.
        r = jnp.sqrt(jnp.maximum(squared, 1e-30))
        overlap = jnp.maximum(1.0 - r / sigma, 0.0)
        return 0.5 * jnp.asarray(self.epsilon, squared.dtype) * overlap * overlap
