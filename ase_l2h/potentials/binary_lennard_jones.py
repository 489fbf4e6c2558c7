"""Lennard-Jones mixtures with per-pair parameters, such as the Kob-Andersen glass.

    u_ab(r) = 4 eps_ab [(s_ab/r)^12 - (s_ab/r)^6 + c1 (r/rc_ab)^2 + c0]   for r < rc_ab

W. Kob and H. C. Andersen, Phys. Rev. E 51, 4626 (1995); the truncation with a
smooth force is by S. D. Stoddard and J. Ford, Phys. Rev. A 8, 1504 (1973). With
y = (s/rc)^6:

    truncated       c0 = 0                c1 = 0
    shifted         c0 = y - y^2          c1 = 0               u(rc) = 0
    stoddard-ford   c0 = 4 y - 7 y^2      c1 = 6 y^2 - 3 y     u(rc) = u'(rc) = 0
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._pytree import pytree_dataclass, static_field
from ase_l2h.potentials.base import PairwisePotential, neighbours, pair_parameter
from ase_l2h.system import System

__all__ = ["BinaryLennardJones", "Truncation"]

Table = Float[Array | np.ndarray, "s s"]
Truncation = Literal["truncated", "shifted", "stoddard-ford"]


@pytree_dataclass
class BinaryLennardJones(PairwisePotential):
    """Lennard-Jones energy of two (or more) species.

    Parameters
    ----------
    epsilon, sigma
        Symmetric ``(s, s)`` tables of well depths and of distances of zero energy.
    rc
        Symmetric table of cut-off distances, in the units of the positions.
    truncation
        What happens at ``rc``, see the table at the head of this module.
    """

    epsilon: Table
    sigma: Table
    rc: Table
    truncation: Truncation = static_field(default="stoddard-ford")

    @classmethod
    def kob_andersen(
        cls, truncation: Truncation = "stoddard-ford", cutoff: float = 2.5
    ) -> BinaryLennardJones:
        """The Kob-Andersen mixture, species 0 (A, 80 %) and 1 (B), in units of A-A.

        ``cutoff`` is in units of each pair's sigma.
        """
        sigma = np.array([[1.0, 0.8], [0.8, 0.88]])
        epsilon = np.array([[1.0, 1.5], [1.5, 0.5]])
        return cls(epsilon, sigma, cutoff * sigma, truncation)

    @property
    def cutoff(self) -> float:
        """The longest of the cut-off distances."""
        return float(np.max(np.asarray(self.rc)))

    def atom_energies(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> Float[Array, "n *batch"]:
        """Each atom's half of its pair energies, in the unit of ``epsilon``.

        Coincident atoms give ``+inf``, never ``nan``.
        """
        pairs = neighbours(positions, system)
        epsilon, sigma, rc = (
            jnp.asarray(table, positions.dtype)
            for table in (self.epsilon, self.sigma, self.rc)
        )
        y = (sigma / rc) ** 6
        constant, quadratic = {
            "truncated": (jnp.zeros_like(y), jnp.zeros_like(y)),
            "shifted": (y - y * y, jnp.zeros_like(y)),
            "stoddard-ford": (4 * y - 7 * y * y, (6 * y * y - 3 * y) / rc**2),
        }[self.truncation]

        def look_up(table: Array) -> Array:
            return pair_parameter(
                table, system.species, pairs.species, positions.ndim - 2
            )

        s6 = (look_up(sigma**2) / pairs.squared) ** 3
        # Factored on purpose: s6 * s6 - s6 is inf - inf = nan once s6 overflows.
        pair = s6 * (s6 - 1.0) + look_up(constant)
        inside = pairs.squared < look_up(rc**2)
        if self.truncation == "stoddard-ford":
            # The atom itself is infinitely far: keep inf out of the unused branch.
            near = jnp.where(inside, pairs.squared, 0.0)
            pair = pair + look_up(quadratic) * near
        pair = jnp.where(inside, look_up(epsilon) * pair, 0.0)
        return jnp.sum(2.0 * pair, axis=1)
