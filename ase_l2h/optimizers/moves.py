"""Moves of basin hopping: one structure ``(3, n)`` in reduced units at a time.

Kicks of all atoms and the angular move of weakly bound atoms follow D. J. Wales and
J. P. K. Doye, J. Phys. Chem. A 101, 5111 (1997), and Wales's program GMIN; exchanging
unlike atoms is the usual move for alloys. Lengths are in units of the length scale, the
distance of nearest neighbours.
"""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

__all__ = [
    "KICKS",
    "Kick",
    "contain",
    "kick",
    "packed_radius",
    "random_ball",
    "surface_move",
    "swap_move",
    "touching",
]

Kick = Literal["cube", "ball", "gaussian"]
KICKS: tuple[Kick, ...] = ("cube", "ball", "gaussian")
Scalar = Float[Array, ""]


def packed_radius(n_atoms: int) -> float:
    """Radius of a ball that ``n_atoms`` close-packed atoms fill.

    Each takes the volume ``1 / sqrt(2)``: ``(3 n / (4 pi sqrt(2)))^(1/3)``.
    """
    return (3.0 * n_atoms / (4.0 * math.pi * math.sqrt(2.0))) ** (1.0 / 3.0)


def kick(
    key: Array, positions: Float[Array, "3 n"], size: Scalar, form: Kick
) -> Float[Array, "3 n"]:
    """Displace every atom at random.

    Parameters
    ----------
    key
        JAX random key.
    positions
        ``(3, n)``.
    size
        Half the edge of the cube (GMIN's step), radius of the ball, or standard
        deviation of each coordinate.
    form
        ``"cube"``, ``"ball"`` (both uniform) or ``"gaussian"``.
    """
    shape, dtype = positions.shape, positions.dtype
    if form == "cube":
        return positions + size * jax.random.uniform(key, shape, dtype, -1.0, 1.0)
    if form == "gaussian":
        return positions + size * jax.random.normal(key, shape, dtype)
    return positions + size * random_ball(key, shape[1], dtype)


def random_ball(key: Array, count: int, dtype: jnp.dtype) -> Float[Array, "3 count"]:
    """Points uniform in the unit ball."""
    way, far = jax.random.split(key)
    radius = jax.random.uniform(far, (count,), dtype) ** (1.0 / 3.0)
    return radius * _directions(way, count, dtype)


def _directions(key: Array, count: int, dtype: jnp.dtype) -> Float[Array, "3 count"]:
    vector = jax.random.normal(key, (3, count), dtype)
    return vector / jnp.sqrt(jnp.sum(vector * vector, axis=0) + 1e-30)


def touching(
    direction: Float[Array, "3"],
    positions: Float[Array, "3 n"],
    others: Bool[Array, " n"],
) -> Scalar:
    """How far from the origin an atom in ``direction`` touches the first of ``others``.

    Coming in from far away: the largest t with ``|t u - r_j| = 1`` for an atom j; where
    the way passes all of them, their largest distance from the origin.
    """
    along = direction @ positions
    squared = jnp.sum(positions * positions, axis=0)
    aside = squared - along * along
    reach = along + jnp.sqrt(jnp.maximum(1.0 - aside, 0.0))
    reach = jnp.max(jnp.where(others & (aside < 1.0), reach, -jnp.inf))
    outermost = jnp.sqrt(jnp.max(jnp.where(others, squared, 0.0)))
    return jnp.where(jnp.isfinite(reach), reach, outermost)


def surface_move(
    key: Array,
    positions: Float[Array, "3 n"],
    atom_energies: Float[Array, " n"],
    threshold: Scalar,
    count: int = 1,
) -> Float[Array, "3 n"]:
    """Put the most weakly bound atoms on random places of the surface.

    Up to ``count`` atoms, the weakest first, move if their energy is above
    ``threshold`` times the lowest (GMIN's angular move has count 1). A place is where
    an atom coming in from a random direction towards the centroid touches the cluster.

    Parameters
    ----------
    key
        JAX random key.
    positions
        ``(3, n)``; the places belong to these.
    atom_energies
        ``(n,)``, of the minimum that is left.
    threshold
        Between 0 and 1; at 1, ``count`` atoms always move.
    count
        Largest number of atoms.
    """
    centroid = jnp.mean(positions, axis=1, keepdims=True)
    centred = positions - centroid
    directions = _directions(key, count, positions.dtype)
    lowest = jnp.min(atom_energies)
    atoms = jnp.arange(positions.shape[1])
    strength = atom_energies
    for k in range(count):
        weakest = jnp.argmax(strength)
        moves = (atoms == weakest) & (strength > threshold * lowest)
        direction = directions[:, k]
        place = direction * touching(direction, centred, atoms != weakest)
        centred = jnp.where(moves, place[:, None], centred)
        strength = jnp.where(atoms == weakest, -jnp.inf, strength)
    return centred + centroid


def swap_move(
    key: Array,
    positions: Float[Array, "3 n"],
    species: Int[Array, " n"],
    movable: Bool[Array, " n"] | None = None,
) -> Float[Array, "3 n"]:
    """Exchange the places of two unlike atoms; all pairs are equally likely.

    Nothing moves where there is no such pair.

    Parameters
    ----------
    key
        JAX random key.
    positions, species
        ``(3, n)`` and ``(n,)``.
    movable
        Atoms that may take part, ``(n,)``; all when None.
    """
    unlike = species[:, None] != species[None]
    if movable is not None:
        unlike = unlike & movable[:, None] & movable[None]
    score = jax.random.uniform(key, unlike.shape, positions.dtype, 0.5, 1.0)
    n = positions.shape[1]
    pair = jnp.argmax(jnp.where(unlike, score, 0.0))
    first, second = pair // n, pair % n
    order = jnp.arange(n)
    swapped = jnp.where(
        order == first, second, jnp.where(order == second, first, order)
    )
    return jnp.where(jnp.any(unlike), positions[:, swapped], positions)


def contain(
    positions: Float[Array, "3 n *batch"], radius: Scalar | float
) -> tuple[Float[Array, "3 n *batch"], Bool[Array, "*batch"]]:
    """Pull atoms beyond ``radius`` back towards the origin, to ``radius - 1``.

    Also tells which structures had such atoms. The origin is the centroid.
    """
    squared = jnp.sum(positions * positions, axis=0)
    outside = squared > radius * radius
    factor = (radius - 1.0) / jnp.sqrt(jnp.where(outside, squared, 1.0))
    pulled = jnp.where(outside, factor, 1.0) * positions
    return pulled, jnp.any(outside, axis=0)
