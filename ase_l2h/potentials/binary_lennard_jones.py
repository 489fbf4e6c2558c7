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

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.potentials.pair_loops import LookUp, PairPotential, largest
from ase_l2h.system import System

__all__ = ["BinaryLennardJones", "Truncation"]

Table = Float[Array | np.ndarray, "s s"]
Truncation = Literal["truncated", "shifted", "stoddard-ford"]


@pytree_dataclass
class BinaryLennardJones(PairPotential):
    """Lennard-Jones energy of two (or more) species.

    Parameters
    ----------
    epsilon, sigma
        Symmetric ``(s, s)`` tables of well depths and of distances of zero energy.
    rc
        Symmetric table of cut-off distances, in the units of the positions.
    truncation
        What happens at ``rc``, see the table at the head of this module.
    symbols
        Chemical symbols of the rows; by default the place-holders argon (A) and krypton
        (B).
    """

    epsilon: Table
    sigma: Table
    rc: Table
    truncation: Truncation = static_field(default="stoddard-ford")
    symbols: tuple[str, ...] = static_field(default=("Ar", "Kr"))

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
    def cutoff(self) -> Any:
        """The longest of the cut-off distances."""
        return largest(self.rc)

    def pair_energy(self, squared: Array, look_up: LookUp, system: System) -> Array:
        """Energy of a pair in the unit of ``epsilon``; ``+inf`` at zero distance."""
        del system
        sigma, rc = jnp.asarray(self.sigma), jnp.asarray(self.rc)
        y = (sigma / rc) ** 6
        s6 = (look_up(sigma**2) / squared) ** 3
        # Factored on purpose: s6 * s6 - s6 is inf - inf = nan once s6 overflows.
        energy = s6 * (s6 - 1.0)
        inside = squared < look_up(rc**2)
        if self.truncation == "shifted":
            energy = energy + look_up(y - y * y)
        elif self.truncation == "stoddard-ford":
            # The atom itself is infinitely far: keep inf out of the unused branch.
            near = jnp.where(inside, squared, 0.0)
            quadratic = look_up((6.0 * y * y - 3.0 * y) / rc**2)
            energy = energy + look_up(4.0 * y - 7.0 * y * y) + quadratic * near
        return jnp.where(inside, 4.0 * look_up(self.epsilon) * energy, 0.0)
