"""Clusters as points of 3n - 6 coordinates, without translations and rotations.

Atom 0 is the origin, atom 1 lies on the x axis, atom 2 in the xy plane. The coordinates
are x of atom 1, x and y of atom 2, and all of the others. Every structure has such a
representation. Its permutations and reflections are different points, so a function
with one minimum must choose among them.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.errors import InputError
from ase_l2h.optimizers.basin_hopping.moves import packed_radius
from ase_l2h.potentials.base import Potential
from ase_l2h.system import System

__all__ = ["ClusterLandscape", "cluster_landscape"]


@pytree_dataclass
class ClusterLandscape:
    """A potential as a landscape of the coordinates that no rigid motion changes.

    Its value is ``u = E / energy_scale`` where that is negative and ``log(1 + u)``
    elsewhere: the minima are the same, and what is left of a random structure's energy,
    which may be 1e12, can be regressed on.

    Parameters
    ----------
    potential, system
        A free cluster of three or more atoms.
    dimension
        3n - 6.
    bound
        Half the edge of the box of random points, in the units of the positions.
    """

    potential: Any
    system: System
    dimension: int = static_field(default=3)
    bound: float = static_field(default=1.0)

    def positions(self, points: Float[Array, "d *batch"]) -> Float[Array, "3 n *batch"]:
        """The structures of points."""
        nothing = jnp.zeros_like(points[:1])
        first = jnp.concatenate([nothing, nothing, nothing])
        second = jnp.concatenate([points[:1], nothing, nothing])
        third = jnp.concatenate([points[1:3], nothing])
        others = points[3:].reshape((-1, 3, *points.shape[1:]))
        head = jnp.stack([first, second, third])
        return jnp.moveaxis(jnp.concatenate([head, others]), 0, 1)

    def energy(self, points: Float[Array, "d *batch"]) -> Float[Array, "*batch"]:
        """Its value, see above; ``+inf`` where atoms coincide."""
        energy = self.potential.energy(self.positions(points), self.system)
        reduced = energy / jnp.asarray(self.system.energy_scale, energy.dtype)
        above = jnp.log1p(jnp.maximum(reduced, 0.0))
        return jnp.where(reduced < 0, reduced, above)


def cluster_landscape(potential: Potential, system: System) -> ClusterLandscape:
    """The landscape of a free cluster, in a box that holds it from any of its atoms.

    Raises
    ------
    InputError
        For crystals, fixed atoms, and fewer than three atoms.
    """
    if not system.recentred:
        raise InputError(
            "rigid motions can be removed only from free clusters; leave out the "
            "cell and fixed atoms"
        )
    n = system.n_atoms
    if n < 3:
        raise InputError(f"the cluster has {n} atoms; give 3 or more")
    length = float(np.mean(np.asarray(system.length_scale)))
    # The diameter of a compact cluster, because atom 0 may lie on its surface.
    bound = math.ceil(20 * packed_radius(n) * length) / 10
    return ClusterLandscape(potential, system, 3 * n - 6, bound)
