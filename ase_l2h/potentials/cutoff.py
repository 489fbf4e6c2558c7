"""The smooth cut-off that potentials share.

    w = (rc^2 - r^2)^2 (rc^2 + 2 r^2 - 3 ro^2) / (rc^2 - ro^2)^3,    ro < r < rc

w falls from one at ``ro`` to zero at ``rc``, both with zero slope. S. D. Stoddard and
J. Ford, Phys. Rev. A 8, 1504 (1973); the same in ``ase.calculators.lj``.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

__all__ = ["smoothly_cut"]


def smoothly_cut(value: Array, squared: Array, rc: float, ro: float) -> Array:
    """``value`` times w; zero beyond ``rc``.

    Parameters
    ----------
    value
        Pair terms, any shape.
    squared
        Squared distances, the same shape; an atom itself may be infinitely far.
    rc, ro
        End and onset of the cut-off, the unit of the distances.
    """
    rc2, ro2 = rc**2, ro**2
    # Infinity must not reach the branch that is not used: its gradient would be nan.
    near = jnp.where(squared < rc2, squared, rc2)
    switch = (rc2 - near) ** 2 * (rc2 + 2 * near - 3 * ro2)
    switch = jnp.where(near < ro2, 1.0, switch / (rc2 - ro2) ** 3)
    return jnp.where(squared < rc2, value * switch, 0.0)
