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

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.potentials.base import (
    EnergyAndGradient,
    PairwisePotential,
    automatic_energy_and_gradient,
    neighbours,
)
from ase_l2h.potentials.pair_loops import (
    add_to_partner,
    fold,
    largest,
    nearest_image_suffices,
    of_partner,
    over_offsets,
    twice,
    with_slope,
)
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
    symbols
        The element the parameters are meant for; None when they serve any.
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
    symbols: tuple[str, ...] | None = static_field(default=None)

    @property
    def cutoff(self) -> Any:
        """Range ``a * sigma``."""
        return largest(self.a) * largest(self.sigma)

    def atom_energies(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> Float[Array, "n *batch"]:
        """Half the pair energies and the three-body energy centred on each atom.

        Coincident atoms give ``+inf``, never ``nan``; the gradient is finite wherever
        the energy is, at the cut-off too.
        """
        pairs = neighbours(positions, system)
        pair = jnp.sum(self._pair(pairs.squared), axis=1)
        g = self._decay(pairs.squared)
        unit = _unit(pairs.displacements, pairs.squared)
        sums = _Sums(
            weight=jnp.sum(g, axis=1),
            squares=jnp.sum(g * g, axis=1),
            vector=jnp.sum(g * unit, axis=2),
            tensor=jnp.sum(_outer(g * unit, unit), axis=2),
        )
        return 0.5 * pair + self._three_body(sums)

    def energy_and_gradient(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> EnergyAndGradient:
        """Energy and gradient in two loops that visit each pair once.

        With T = T_i + T_j, v = v_i - v_j, S = S_i + S_j, u the unit vector from j to i
        and a prime for d/dr, the three-body gradient on atom i is

            lam eps sum_j { g' [u T u - 2 c0 v u + c0^2 S - 2 (1 - c0)^2 g] u
                            + 2 g/r [T u - (u T u) u] - 2 c0 g/r [v - (v u) u] }

        Small periodic cells, where a pair meets in several images, are differentiated
        automatically.
        """
        if not nearest_image_suffices(system):
            return automatic_energy_and_gradient(self, positions, system)

        def moments(k, displacement, weight, carry):
            mine, partners = carry
            squared = jnp.sum(displacement * displacement, axis=0)
            unit = _unit(displacement, squared)
            pair, slope = with_slope(self._pair, squared)
            g = self._decay(squared)
            push = 2.0 * slope * displacement
            share = 0.5 * pair
            g_unit = g * unit
            sums = _Sums(g, g * g, g_unit, _outer(g_unit, unit))
            sums = (share, push, sums)
            opposite = (share, -push, _Sums(g, g * g, -g_unit, sums[2].tensor))
            return (
                jax.tree.map(lambda total, x: total + weight * x, mine, sums),
                jax.tree.map(
                    lambda total, x: add_to_partner(total, k, weight * x, x.ndim - nd),
                    partners,
                    opposite,
                ),
            )

        nd = positions.ndim - 1
        zero = jnp.zeros_like(positions)
        start = (
            zero[0],
            zero,
            _Sums(zero[0], zero[0], zero, jnp.zeros((6, *zero.shape[1:]), zero.dtype)),
        )
        doubled = jax.tree.map(lambda x: twice(x, x.ndim - nd), start)
        mine, partners = over_offsets(positions, system, moments, (start, doubled))
        pair, gradient, sums = jax.tree.map(
            lambda total, x: total + fold(x, x.ndim - nd), mine, partners
        )
        everyone = jax.tree.map(lambda x: twice(x, x.ndim - nd), sums)
        c0, lam = self.cos_theta0, self.lam

        def forces(k, displacement, weight, carry):
            mine, partners = carry
            squared = jnp.sum(displacement * displacement, axis=0)
            unit = _unit(displacement, squared)
            g, slope = with_slope(self._decay, squared)
            other = jax.tree.map(lambda x: of_partner(x, k, x.ndim - nd), everyone)
            tensor = sums.tensor + other.tensor
            vector = sums.vector - other.vector
            tu = _times(tensor, unit)
            utu = jnp.sum(unit * tu, axis=0)
            vu = jnp.sum(vector * unit, axis=0)
            total = sums.weight + other.weight
            radial = utu - 2.0 * c0 * vu + c0**2 * total - 2.0 * (1.0 - c0) ** 2 * g
            inverse = jax.lax.rsqrt(jnp.where(squared > 0, squared, 1.0))
            # d/dr = 2 r d/d(r^2), and r times the unit vector is the displacement.
            push = (2.0 * slope * radial) * displacement
            turn = (2.0 * g * inverse) * ((tu - utu * unit) - c0 * (vector - vu * unit))
            push = (weight * lam * self.epsilon) * (push + turn)
            return mine + push, add_to_partner(partners, k, -push, axis=1)

        mine, partners = over_offsets(
            positions, system, forces, (gradient, twice(zero, 1))
        )
        gradient = mine + fold(partners, axis=1)
        atoms = pair + self._three_body(sums)
        return EnergyAndGradient(jnp.sum(atoms, axis=0), atoms, gradient)

    def _three_body(self, sums: _Sums) -> Array:
        """Three-body energy centred on each atom, from its neighbour sums."""
        c0 = self.cos_theta0
        diagonal, off_diagonal = sums.tensor[:3], sums.tensor[3:]
        invariants = (
            jnp.sum(diagonal**2, axis=0)
            + 2.0 * jnp.sum(off_diagonal**2, axis=0)
            - 2.0 * c0 * jnp.sum(sums.vector**2, axis=0)
            + c0**2 * sums.weight**2
            - (1.0 - c0) ** 2 * sums.squares
        )
        return jnp.asarray(0.5 * self.lam * self.epsilon * invariants)

    def _pair(self, squared: Array) -> Array:
        """Pair energy of a squared distance; ``+inf`` at zero."""
        r, gap, inside = self._reduced(squared)
        term = self.B * _inverse_power(r, self.p) - _inverse_power(r, self.q)
        energy = jnp.where(inside, self.A * self.epsilon * term * jnp.exp(-1 / gap), 0)
        return jnp.where(squared == 0, jnp.inf, energy)

    def _decay(self, squared: Array) -> Array:
        """Three-body weight g = h(gamma; r) of a squared distance; zero at zero."""
        _, gap, inside = self._reduced(squared)
        return jnp.where(inside, jnp.exp(-self.gamma / gap), 0.0)

    def _reduced(self, squared: Array) -> tuple[Array, Array, Array]:
        """Distance and distance to the cut-off in units of sigma; which are inside.

        Both branches of a ``where`` are differentiated, so pairs outside get a harmless
        distance before they meet the square root and the pole at the cut-off.
        """
        inside = (squared > 0) & (squared < (self.a * self.sigma) ** 2)
        r = jnp.sqrt(jnp.where(inside, squared, self.sigma**2)) / self.sigma
        # r may be rounded up to the cut-off itself, where exp(-1/gap) is zero.
        return r, jnp.maximum(self.a - r, jnp.finfo(squared.dtype).eps), inside


class _Sums(NamedTuple):
    """Sums over the neighbours of each atom; tensors hold xx, yy, zz, xy, yz, zx."""

    weight: Array
    squares: Array
    vector: Array
    tensor: Array


def _unit(displacement: Array, squared: Array) -> Array:
    """Unit vectors; zero for coincident atoms."""
    inverse = jax.lax.rsqrt(jnp.where(squared > 0, squared, 1.0))
    return displacement * inverse


def _outer(first: Array, second: Array) -> Array:
    """Symmetric outer product of parallel vectors, ``(6, ...)``."""
    cyclic = (1, 2, 0)
    diagonal = [first[a] * second[a] for a in range(3)]
    return jnp.stack(diagonal + [first[a] * second[cyclic[a]] for a in range(3)])


def _times(tensor: Array, vector: Array) -> Array:
    """Symmetric tensor times vector."""
    xx, yy, zz, xy, yz, zx = tensor
    x, y, z = vector
    return jnp.stack(
        [xx * x + xy * y + zx * z, xy * x + yy * y + yz * z, zx * x + yz * y + zz * z]
    )


def _inverse_power(r: Array, exponent: float | int) -> Any:
    """``r ** -exponent``, by multiplication for whole exponents."""
    whole = float(exponent).is_integer()
    return (1.0 / r) ** (int(exponent) if whole else exponent)
