"""Stillinger-Weber potential of tetrahedral semiconductors, without triples.

    E = sum_{i<j} A eps [B (s/r)^p - (s/r)^q] h(1; r)
        + sum_i sum_{j<k} lam eps (cos theta_jik - c0)^2 h(gamma; r_ij) h(gamma; r_ik)

with h(gamma; r) = exp[gamma s / (r - a s)] for r < a s and zero beyond.
F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985).

The three-body sum of an atom needs only sums over its neighbours. With
g_j = h(gamma; r_j), u_j the unit vector to neighbour j, T = sum g u u^T, v = sum g u
and S = sum g, expanding the square gives exactly

    E3 = lam eps / 2 (|T|^2 - 2 c0 |v|^2 + c0^2 S^2 - (1 - c0)^2 sum g^2)
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._pytree import pytree_dataclass, static_field
from ase_l2h.potentials.base import PairwisePotential, neighbours
from ase_l2h.system import System

__all__ = ["StillingerWeber"]

Scalar = float | Float[Array | np.ndarray, ""]


@pytree_dataclass
class StillingerWeber(PairwisePotential):
    """Stillinger-Weber energy of one species; the defaults are silicon.

    Parameters
    ----------
    epsilon
        Energy unit, in eV for the default; the perfect crystal has -2 epsilon per atom.
    sigma
        Length unit, in angstrom for the default.
    A, B
        Strength of the pair term and of its repulsion, dimensionless.
    lam, gamma
        Strength and decay of the three-body term, dimensionless.
    a
        Cut-off in units of ``sigma``.
    cos_theta0
        Cosine of the ideal angle.
    p, q
        Exponents of the pair term; integers avoid a logarithm per pair.
    """

    epsilon: Scalar = 2.1683
    sigma: Scalar = 2.0951
    A: Scalar = 7.049556277
    B: Scalar = 0.6022245584
    lam: Scalar = 21.0
    gamma: Scalar = 1.2
    a: Scalar = 1.8
    cos_theta0: Scalar = -1.0 / 3.0
    p: float | int = static_field(default=4)
    q: float | int = static_field(default=0)

    @property
    def cutoff(self) -> float:
        """Range ``a * sigma``."""
        return float(self.a) * float(self.sigma)

    def atom_energies(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> Float[Array, "n *batch"]:
        """Half the pair energies and the three-body energy centred on each atom.

        Coincident atoms give ``+inf``, never ``nan``; the gradient is finite wherever
        the energy is, at the cut-off too.
        """
        epsilon, sigma, A, B, lam, gamma, a, c0 = (
            jnp.asarray(value, positions.dtype)
            for value in (
                self.epsilon,
                self.sigma,
                self.A,
                self.B,
                self.lam,
                self.gamma,
                self.a,
                self.cos_theta0,
            )
        )
        pairs = neighbours(positions, system)
        coincident = pairs.squared == 0
        inside = (pairs.squared < (a * sigma) ** 2) & ~coincident
        # Both branches of a where are differentiated, so the masked pairs get a
        # harmless distance before the square root and the pole at the cut-off.
        r = jnp.sqrt(jnp.where(inside, pairs.squared, sigma**2)) / sigma
        # At the cut-off exactly (r rounded up to it) the exponent would be +-1/0.
        gap = jnp.maximum(a - r, jnp.finfo(positions.dtype).eps)
        decay = jnp.exp(-1.0 / gap)
        pair = (B * _inverse_power(r, self.p) - _inverse_power(r, self.q)) * decay
        pair = jnp.where(inside, pair, jnp.where(coincident, jnp.inf, 0.0))

        g = jnp.where(inside, jnp.exp(-gamma / gap), 0.0)
        unit = pairs.displacements / (r * sigma)
        weighted = g * unit
        invariants = (
            c0**2 * jnp.sum(g, axis=1) ** 2
            - (1.0 - c0) ** 2 * jnp.sum(g * g, axis=1)
            - 2.0 * c0 * jnp.sum(jnp.sum(weighted, axis=2) ** 2, axis=0)
        )
        for row in range(3):
            for column in range(row + 1):
                element = jnp.sum(weighted[row] * unit[column], axis=1)
                twice = 1.0 if row == column else 2.0
                invariants = invariants + twice * element**2
        return epsilon * (0.5 * A * jnp.sum(pair, axis=1) + 0.5 * lam * invariants)


def _inverse_power(r: Array, exponent: float | int) -> Any:
    """``r ** -exponent``, by multiplication for whole exponents."""
    whole = float(exponent).is_integer()
    return (1.0 / r) ** (int(exponent) if whole else exponent)
