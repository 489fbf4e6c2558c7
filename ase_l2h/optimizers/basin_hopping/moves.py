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
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.errors import InputError
from ase_l2h.system import System

__all__ = [
    "KICKS",
    "Kick",
    "Moves",
    "contain",
    "kick",
    "packed_radius",
    "random_ball",
    "random_structure",
    "surface_move",
    "swap_move",
    "touching",
]

Kick = Literal["cube", "ball", "gaussian"]
KICKS: tuple[Kick, ...] = ("cube", "ball", "gaussian")
Scalar = Float[Array, ""]
Number = float | Float[Array | np.ndarray, ""]


def packed_radius(n_atoms: int) -> float:
    """Radius of a ball that ``n_atoms`` close-packed atoms fill.

    Each takes the volume ``1 / sqrt(2)``: ``(3 n / (4 pi sqrt(2)))^(1/3)``.
    """
    return (3.0 * n_atoms / (4.0 * math.pi * math.sqrt(2.0))) ** (1.0 / 3.0)


def kick(
    key: Array, positions: Float[Array, "3 n"], size: Number, form: Kick
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
    threshold: Number,
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


def contain(positions: Float[Array, "3 n"], radius: Number) -> Float[Array, "3 n"]:
    """Pull atoms beyond ``radius`` towards the origin, to ``radius - 1``."""
    squared = jnp.sum(positions * positions, axis=0)
    outside = squared > radius * radius
    factor = (radius - 1.0) / jnp.sqrt(jnp.where(outside, squared, 1.0))
    return jnp.where(outside, factor, 1.0) * positions


@pytree_dataclass
class Moves:
    """What a hop does to a minimum; lengths in reduced units.

    An option that is None is left out of the compiled program.

    Parameters
    ----------
    size
        Of the kick of all atoms, see :func:`kick`.
    kick
        ``"cube"``, ``"ball"`` or ``"gaussian"``.
    surface
        The atom bound most weakly then goes to a random place of the surface, if its
        energy is above ``surface`` times the lowest, see :func:`surface_move`. Free
        clusters without fixed atoms only.
    surface_atoms
        Up to so many atoms, the weakest first.
    swap
        Probability that a hop exchanges two unlike atoms, without a kick.
    container
        Atoms further from the centroid than ``packed_radius(n) + container`` are pulled
        back. Free clusters without fixed atoms only.
    """

    size: Number = 0.36
    surface: Number | None = None
    swap: Number | None = None
    container: Number | None = 2.0
    kick: Kick = static_field(default="cube")
    surface_atoms: int = static_field(default=1)

    def __post_init__(self) -> None:
        """Refuse what cannot be read.

        Raises
        ------
        InputError
            For an unknown kick.
        """
        if self.kick not in KICKS:
            raise InputError(
                f"no kick named '{self.kick}'; choose one of {', '.join(KICKS)}"
            )

    def needs_atom_energies(self, system: System) -> bool:
        """Whether a move looks at the energies of single atoms."""
        return self.surface is not None and system.recentred

    def radius(self, system: System) -> Number | None:
        """Radius of the container, None where there is none."""
        if self.container is None or not system.recentred:
            return None
        return packed_radius(system.n_atoms) + self.container

    def propose(
        self,
        key: Array,
        positions: Float[Array, "3 n"],
        size: Scalar,
        atom_energies: Float[Array, " n"] | None,
        species: Int[Array, " n"],
        system: System,
    ) -> Float[Array, "3 n"]:
        """A random neighbour of a minimum.

        Parameters
        ----------
        key
            JAX random key.
        positions
            The minimum ``(3, n)``, reduced units.
        size
            Of the kick, instead of the first one.
        atom_energies
            ``(n,)``; may be None where no move needs them.
        species
            ``(n,)``.
        system
            Fixed coordinates (they stay), cell.
        """
        kicking, placing, choosing, swapping = jax.random.split(key, 4)
        proposed = kick(kicking, positions, size, self.kick)
        wanted = self.needs_atom_energies(system)
        if wanted and self.surface is not None and atom_energies is not None:
            proposed = surface_move(
                placing, proposed, atom_energies, self.surface, self.surface_atoms
            )
        if self.swap is not None:
            movable = None if system.free is None else jnp.all(system.free, axis=0)
            swapped = swap_move(swapping, positions, species, movable)
            chosen = jax.random.uniform(choosing, (), positions.dtype) < self.swap
            proposed = jnp.where(chosen, swapped, proposed)
        if system.free is not None:
            proposed = jnp.where(jnp.asarray(system.free), proposed, positions)
        return self.contained(proposed, system)

    def contained(
        self, positions: Float[Array, "3 n"], system: System
    ) -> Float[Array, "3 n"]:
        """Free clusters: around the origin, and inside the container."""
        if not system.recentred:
            return positions
        centred = positions - jnp.mean(positions, axis=1, keepdims=True)
        radius = self.radius(system)
        return centred if radius is None else contain(centred, radius)


def random_structure(
    key: Array, like: Float[Array, "3 n"], cell: Float[Array, "3 3"] | None
) -> Float[Array, "3 n"]:
    """Random points: in a ball of :func:`packed_radius`, or in the cell.

    Parameters
    ----------
    key
        JAX random key.
    like
        Gives size and dtype.
    cell
        Lattice vectors as rows in reduced units, None for a cluster.
    """
    n, dtype = like.shape[1], like.dtype
    if cell is None:
        return packed_radius(n) * random_ball(key, n, dtype)
    return jnp.asarray(cell, dtype).T @ jax.random.uniform(key, (3, n), dtype)
