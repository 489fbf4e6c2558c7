"""Loops over atom pairs that store no displacement array: the fast path on a CPU.

Whole-array expressions over ``(n, n, *batch)`` pairs leave the cache. With the batch in
the vector lanes it is faster to visit the pairs in a loop, and to visit each of them
once: at offset k = 1 ... n // 2 every atom i meets atom i + k (mod n). What the partner
receives is added to a window of an array twice as long, so that nothing is gathered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from ase_l2h.potentials.base import (
    EnergyAndGradient,
    PairwisePotential,
    neighbours,
    over_neighbours,
    times_rows,
)
from ase_l2h.system import System

__all__ = [
    "LookUp",
    "PairPotential",
    "add_to_partner",
    "fold",
    "largest",
    "nearest_image_suffices",
    "of_partner",
    "over_offsets",
    "partner_look_up",
    "table_look_up",
    "twice",
    "with_slope",
]

LookUp = Callable[[Any], Array]
Sums = TypeVar("Sums")


@runtime_checkable
class Visit(Protocol[Sums]):
    """What to do with the pairs of one offset."""

    def __call__(
        self, offset: Array, displacement: Array, weight: Array, sums: Sums, /
    ) -> Sums: ...


def nearest_image_suffices(system: System) -> bool:
    """Whether each pair of atoms meets once: free, or a cell wider than the range."""
    return system.cell is None or system.images is None or len(system.images) == 1


def over_offsets(
    positions: Float[Array, "3 n *batch"],
    system: System,
    visit: Visit[Sums],
    sums: Sums,
) -> Sums:
    """Visit every pair of atoms once (nearest images in a periodic cell).

    Parameters
    ----------
    positions
        ``(3, n, *batch)``.
    system
        Supplies the cell; :func:`nearest_image_suffices` must hold.
    visit
        ``visit(k, displacement, weight, sums)``: displacement ``r_i - r_(i+k)``
        ``(3, n, *batch)``; ``weight`` is 1, or 1/2 at the offset ``n / 2`` that meets
        its pairs twice.
    sums
        What to start from.
    """
    n = positions.shape[1]
    if n < 2:
        return sums
    doubled = twice(positions, 1)
    lattice = None
    if system.cell is not None:
        cell = jnp.asarray(system.cell, positions.dtype)
        lattice = cell, jnp.linalg.inv(cell)

    def body(k: Array, carry: Sums) -> Sums:
        d = positions - of_partner(doubled, k, axis=1)
        if lattice is not None:
            cell, inverse = lattice
            d = d - times_rows(jnp.round(times_rows(d, inverse)), cell)
        weight = jnp.where(2 * k == n, 0.5, 1.0).astype(positions.dtype)
        return visit(k, d, weight, carry)

    return jax.lax.fori_loop(1, n // 2 + 1, body, sums)


def twice(values: Array, axis: int = 0) -> Array:
    """Two copies in a row, so that the partners of all atoms are one window."""
    return jnp.concatenate([values, values], axis=axis)


def of_partner(doubled: Array, k: Array, axis: int = 0) -> Array:
    """The partners' values out of an array made by :func:`twice`."""
    n = doubled.shape[axis] // 2
    return jax.lax.dynamic_slice_in_dim(doubled, k, n, axis)


def add_to_partner(doubled: Array, k: Array, values: Array, axis: int = 0) -> Array:
    """Add what the partners receive; :func:`fold` collects it in the end."""
    window = of_partner(doubled, k, axis) + values
    return jax.lax.dynamic_update_slice_in_dim(doubled, window, k, axis)


def fold(doubled: Array, axis: int = 0) -> Array:
    """Sum of the two halves."""
    first, second = jnp.split(doubled, 2, axis=axis)
    return first + second


def with_slope(function: Callable[[Array], Array], s: Array) -> tuple[Array, Array]:
    """Value and derivative of an elementwise function."""
    return jax.jvp(function, (s,), (jnp.ones_like(s),))


def table_look_up(
    first: Int[Array, "..."], second: Int[Array, "..."], like: Array
) -> LookUp:
    """Looks ``(s, s)`` tables up for the species pairs (``first``, ``second``).

    The two species arrays broadcast; the result gets the dtype of ``like`` and trailing
    axes until it broadcasts against ``like``.
    """

    def look_up(table: Any) -> Array:
        table = jnp.asarray(table, like.dtype)
        size = table.shape[0]
        if size == 1:
            return table[0, 0]
        shape = jnp.broadcast_shapes(first.shape, second.shape)
        if len(shape) < like.ndim:
            values = table[first, second]
            return values.reshape(values.shape + (1,) * (like.ndim - len(shape)))
        if size > 4:
            return table[first, second]
        # Selections stay in the vector lanes; a gather per structure does not.
        rows = [_select(second, list(table[i])) for i in range(size)]
        return _select(first, rows)

    return look_up


def _select(index: Array, values: list[Array]) -> Array:
    chosen = values[0]
    for i, value in enumerate(values[1:], start=1):
        chosen = jnp.where(index == i, value, chosen)
    return chosen


def partner_look_up(system: System, k: Array, like: Array) -> LookUp:
    """:func:`table_look_up` for each atom and its partner at offset ``k``."""
    species = jnp.asarray(system.species)
    return table_look_up(species, of_partner(twice(species), k), like)


def largest(values: Any) -> Any:
    """The largest of some parameters: a float, or a tracer where they are traced.

    Type checks at run time read ``cutoff`` inside transformations too, where no float
    can be had.
    """
    if isinstance(values, Tracer):
        return jnp.max(values)
    return float(np.max(np.asarray(values)))


class PairPotential(PairwisePotential):
    """Mixin: a sum over pairs of a function of the squared distance.

    A subclass defines :meth:`pair_energy`; energies, gradients and the fast path follow
    from it.
    """

    def pair_energy(self, squared: Array, look_up: LookUp, system: System) -> Array:
        """Energy of a pair as an elementwise function of its squared distance."""
        raise TypeError(f"{type(self).__name__} must define pair_energy")

    def atom_energies(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> Float[Array, "n *batch"]:
        """Each atom's half of its pair energies.

        Coincident atoms give what :meth:`pair_energy` gives at zero, ``+inf`` for
        the singular potentials and never ``nan``.
        """
        pairs = neighbours(positions, system)
        species = jnp.asarray(system.species)
        look_up = table_look_up(species[:, None], pairs.species[None], pairs.squared)
        pair = self.pair_energy(pairs.squared, look_up, system)
        return 0.5 * jnp.sum(pair, axis=1)

    def energy_and_gradient(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> EnergyAndGradient:
        """Energy and gradient in one loop that visits each pair once.

        In small periodic cells, where a pair meets in several images, every atom visits
        all images of every other.
        """
        if not nearest_image_suffices(system):
            return self._of_all_images(positions, system)

        def visit(k, displacement, weight, sums):
            atoms, gradient, partner_atoms, partner_gradient = sums
            squared = jnp.sum(displacement * displacement, axis=0)
            look_up = partner_look_up(system, k, squared)
            pair, slope = with_slope(
                lambda s: self.pair_energy(s, look_up, system), squared
            )
            half = 0.5 * weight * pair
            push = 2.0 * weight * slope * displacement
            return (
                atoms + half,
                gradient + push,
                add_to_partner(partner_atoms, k, half),
                add_to_partner(partner_gradient, k, -push, axis=1),
            )

        zero = jnp.zeros_like(positions)
        zeros = twice(zero, 1)
        atoms, gradient, partner_atoms, partner_gradient = over_offsets(
            positions, system, visit, (zero[0], zero, zeros[0], zeros)
        )
        atoms = atoms + fold(partner_atoms)
        gradient = gradient + fold(partner_gradient, axis=1)
        return EnergyAndGradient(jnp.sum(atoms, axis=0), atoms, gradient)

    def _of_all_images(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> EnergyAndGradient:
        species = jnp.asarray(system.species)

        def add(displacement, squared, j, sums):
            atoms, gradient = sums
            other = jax.lax.dynamic_index_in_dim(species, j, 0)
            look_up = table_look_up(species[:, None], other[:, None], squared)
            pair, slope = with_slope(
                lambda s: self.pair_energy(s, look_up, system), squared
            )
            # An atom feels a pair twice by half its slope: as this and as the other.
            return atoms + 0.5 * pair, gradient + 2.0 * slope * displacement

        zero = jnp.zeros_like(positions)
        atoms, gradient = over_neighbours(positions, system, add, (zero[0], zero))
        return EnergyAndGradient(jnp.sum(atoms, axis=0), atoms, gradient)
