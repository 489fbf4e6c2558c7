"""Two-phase quenches: compress first, then relax.

    E'(r) = E(r) + k sum_i |r_i - r_mean|^2

A quench descends on E' until its forces are small, then on E. The pull closes holes and
rounds the cluster, so that many starts meet in compact minima that a quench on E alone
seldom finds. J. P. K. Doye, Phys. Rev. E 62, 8753 (2000); M. Locatelli and F. Schoen,
Comput. Optim. Appl. 21, 55 (2002).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h.rules.base import Observation, batch_dot, largest_norm

__all__ = ["Compression"]

Number = float | Float[Array | np.ndarray, ""]


@pytree_dataclass
class Compression:
    """The pull and when it ends; reduced units.

    It favours compact, round clusters and hinders others, so leave some stages of a
    search without it: see ``share``.

    Parameters
    ----------
    strength
        k.
    fmax
        The pull ends once no force on an atom, the pull included, exceeds this.
    share
        Share of the stages of a search that are compressed, drawn at random.
    """

    strength: Number = 40.0
    fmax: Number = 2.0
    share: Number = 1.0

    def pulled(
        self, observation: Observation, pulling: Bool[Array, "*batch"]
    ) -> tuple[Observation, Bool[Array, "*batch"]]:
        """The observation on E' where a structure is still ``pulling``, and which are.

        Those that reach ``fmax`` here see E from this point on.
        """
        centre = jnp.mean(observation.positions, axis=1, keepdims=True)
        away = observation.positions - centre
        gradient = observation.gradient + 2.0 * self.strength * away
        energy = observation.energy + self.strength * batch_dot(away, away)
        pulling = pulling & (largest_norm(gradient) >= self.fmax)
        return observation._replace(
            gradient=jnp.where(pulling, gradient, observation.gradient),
            energy=jnp.where(pulling, energy, observation.energy),
        ), pulling
