"""Gupta (second-moment tight-binding) potential of metals and their alloys.

    E = sum_i { sum_j A exp[-p (r/r0 - 1)] - sqrt( sum_j xi^2 exp[-2 q (r/r0 - 1)] ) }

with j != i in both sums and every parameter looked up for the pair of species (i, j).
R. P. Gupta, Phys. Rev. B 23, 6265 (1981); F. Cleri and V. Rosato, Phys. Rev. B 48, 22
(1993).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass, replace, static_field
from ase_l2h.errors import InputError
from ase_l2h.potentials.base import (
    EnergyAndGradient,
    PairwisePotential,
    automatic_energy_and_gradient,
    neighbours,
)
from ase_l2h.potentials.cutoff import smoothly_cut
from ase_l2h.potentials.elements import by_atomic_number
from ase_l2h.potentials.pair_loops import (
    LookUp,
    add_to_partner,
    fold,
    nearest_image_suffices,
    of_partner,
    over_offsets,
    partner_look_up,
    table_look_up,
    twice,
    with_slope,
)
from ase_l2h.system import System

__all__ = ["ONSET", "Gupta"]

Table = Float[Array | np.ndarray, "s s"]
# Of the cut-off, where a smooth one begins: at usual distances second neighbours count
# in full.
ONSET = 0.8
_FIELDS = ("p", "q", "r0", "xi", "A")


@pytree_dataclass
class Gupta(PairwisePotential):
    """Gupta energy of any number of species.

    Each table is symmetric and ``(s, s)``; its rows follow ``symbols``. A system's
    species index counts in that order, which is why :meth:`restricted_to` exists: the
    species present in a structure take the slots 0, 1, ... in ascending atomic number.

    Parameters
    ----------
    p, q
        Decay of the repulsion and of the hopping integral, dimensionless.
    r0
        Nearest-neighbour distance of the pair, the length unit (usually angstrom).
    xi, A
        Strength of the band term and of the repulsion, the energy unit (usually eV).
    symbols
        Chemical symbols of the rows, in ascending atomic number.
    rc
        Cut-off distance; None (the default) sums all pairs, as the published cluster
        minima do.
    ro
        Onset of the smooth cut-off, ``0.8 rc`` when None; only used with ``smooth``.
    smooth
        False: both pair terms end at ``rc``, so the energy jumps when a pair passes it.
        True: they are switched off between ``ro`` and ``rc``
        (:mod:`ase_l2h.potentials.cutoff`).
    """

    p: Table
    q: Table
    r0: Table
    xi: Table
    A: Table
    symbols: tuple[str, ...] = static_field()
    rc: float | None = static_field(default=None)
    ro: float | None = static_field(default=None)
    smooth: bool = static_field(default=False)

    @classmethod
    def from_pairs(
        cls,
        pairs: Mapping[str, Any],
        *,
        rc: float | None = None,
        ro: float | None = None,
        smooth: bool = False,
    ) -> Gupta:
        """Build the tables from one row per pair of species.

        Parameters
        ----------
        pairs
            ``{"Ag-Au": (p, q, r0, xi, A), ...}`` with every like and unlike pair once.
        rc, ro, smooth
            The cut-off, see the class.

        Raises
        ------
        InputError
            When a pair is missing, given twice, unreadable or not five finite positive
            numbers.
        """
        rows: dict[frozenset[str], tuple[float, ...]] = {}
        for name, values in pairs.items():
            ends = name.split("-")
            if len(ends) != 2:
                raise InputError(
                    f"cannot read the Gupta pair {name!r}; write it as in 'Ag-Au'"
                )
            try:
                numbers = np.asarray(values, dtype=float)
            except (TypeError, ValueError):
                numbers = np.empty(0)
            if numbers.shape != (5,) or not np.all(
                np.isfinite(numbers) & (numbers > 0)
            ):
                raise InputError(
                    f"the Gupta pair {name} needs five positive numbers "
                    f"(p, q, r0, xi, A), got {values!r}"
                )
            if frozenset(ends) in rows:
                raise InputError(f"the Gupta pair {name} is given twice; keep one row")
            rows[frozenset(ends)] = tuple(numbers)
        symbols = by_atomic_number(s for pair in rows for s in pair)
        tables = np.empty((5, len(symbols), len(symbols)))
        for i, first in enumerate(symbols):
            for j, second in enumerate(symbols):
                if frozenset((first, second)) not in rows:
                    raise InputError(
                        f"the Gupta parameters lack the pair {first}-{second}; add it"
                    )
                tables[:, i, j] = rows[frozenset((first, second))]
        fields: dict[str, Any] = dict(zip(_FIELDS, tables, strict=True))
        return cls(**fields, symbols=symbols, rc=rc, ro=ro, smooth=smooth)

    def restricted_to(self, symbols: Iterable[str]) -> Gupta:
        """The same potential with only the species of ``symbols``.

        Raises
        ------
        InputError
            When a species has no parameters.
        """
        present = by_atomic_number(symbols)
        missing = [s for s in present if s not in self.symbols]
        if missing:
            raise InputError(
                f"no Gupta parameters for {', '.join(missing)}; this set covers "
                f"{', '.join(self.symbols)}"
            )
        rows = np.array([self.symbols.index(s) for s in present], dtype=int)
        tables = {f: getattr(self, f)[np.ix_(rows, rows)] for f in _FIELDS}
        return replace(self, **tables, symbols=present)

    @property
    def cutoff(self) -> float:
        """The cut-off distance, ``inf`` when there is none."""
        return float("inf") if self.rc is None else self.rc

    @property
    def onset(self) -> float:
        """Where a smooth cut-off begins, ``inf`` when there is none."""
        if self.rc is None or not self.smooth:
            return float("inf")
        return ONSET * self.rc if self.ro is None else self.ro

    def atom_energies(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> Float[Array, "n *batch"]:
        """Repulsion minus band energy of each atom, in the unit of ``xi`` and ``A``.

        Finite everywhere: coincident atoms give the large value of the formula at
        ``r = 0`` with no force between them, separated atoms zero energy and gradient.
        """
        pairs = neighbours(positions, system)
        species = jnp.asarray(system.species)
        look_up = table_look_up(species[:, None], pairs.species[None], pairs.squared)
        repulsion = jnp.sum(self._repulsion(pairs.squared, look_up), axis=1)
        second_moment = jnp.sum(self._hopping(pairs.squared, look_up), axis=1)
        # The square root of an isolated atom: zero, with zero derivative.
        bonded = second_moment > 0
        band = jnp.where(bonded, jnp.sqrt(jnp.where(bonded, second_moment, 1.0)), 0.0)
        return repulsion - band

    def energy_and_gradient(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> EnergyAndGradient:
        """Energy and gradient in two loops that visit each pair once.

        With s = r^2 and b_i the second moment of atom i, the pair terms enter the
        gradient through their derivatives df/ds, which the first loop keeps:

            dE/dx_i = sum_j [4 repel' - (b_i^-1/2 + b_j^-1/2) hop'] (x_i - x_j)

        Small periodic cells, where a pair meets in several images, are differentiated
        automatically.
        """
        if not nearest_image_suffices(system):
            return automatic_energy_and_gradient(self, positions, system)

        def densities(k, displacement, weight, sums):
            repulsion, moment, partner_repulsion, partner_moment, kept = sums
            squared = jnp.sum(displacement * displacement, axis=0)
            look_up = partner_look_up(system, k, squared)
            repel, repel_slope = with_slope(
                lambda s: weight * self._repulsion(s, look_up), squared
            )
            hop, hop_slope = with_slope(
                lambda s: weight * self._hopping(s, look_up), squared
            )
            slopes = (4.0 * repel_slope, hop_slope)
            return (
                repulsion + repel,
                moment + hop,
                add_to_partner(partner_repulsion, k, repel),
                add_to_partner(partner_moment, k, hop),
                tuple(
                    jax.lax.dynamic_update_index_in_dim(rows, row, k - 1, 0)
                    for rows, row in zip(kept, slopes, strict=True)
                ),
            )

        zero = jnp.zeros_like(positions)
        zeros = twice(zero, 1)
        rows = jnp.zeros((positions.shape[1] // 2, *zero.shape[1:]), zero.dtype)
        repulsion, moment, partner_repulsion, partner_moment, kept = over_offsets(
            positions,
            system,
            densities,
            (zero[0], zero[0], zeros[0], zeros[0], (rows, rows)),
        )
        repulsion = repulsion + fold(partner_repulsion)
        moment = moment + fold(partner_moment)
        bonded = moment > 0
        root = jnp.sqrt(jnp.where(bonded, moment, 1.0))
        inverse_root = jnp.where(bonded, 1.0 / root, 0.0)
        inverse_roots = twice(inverse_root)

        def forces(k, displacement, _, sums):
            gradient, partner_gradient = sums
            repel, hop = (
                jax.lax.dynamic_index_in_dim(rows, k - 1, keepdims=False)
                for rows in kept
            )
            embedding = inverse_root + of_partner(inverse_roots, k)
            push = (repel - embedding * hop) * displacement
            return gradient + push, add_to_partner(partner_gradient, k, -push, axis=1)

        gradient, partner_gradient = over_offsets(
            positions, system, forces, (zero, zeros)
        )
        gradient = gradient + fold(partner_gradient, axis=1)
        atoms = repulsion - jnp.where(bonded, root, 0.0)
        return EnergyAndGradient(jnp.sum(atoms, axis=0), atoms, gradient)

    def _repulsion(self, squared: Array, look_up: LookUp) -> Array:
        """A exp[-p (r/r0 - 1)], written (A e^p) exp[-(p/r0) r]: one multiply less."""
        strength = self.A * np.e**self.p
        return self._decay(squared, look_up(strength), look_up(self.p / self.r0))

    def _hopping(self, squared: Array, look_up: LookUp) -> Array:
        """Squared hopping integral xi^2 exp[-2 q (r/r0 - 1)]."""
        strength = self.xi**2 * np.e ** (2.0 * self.q)
        return self._decay(squared, look_up(strength), look_up(2 * self.q / self.r0))

    def _decay(self, squared: Array, strength: Array, rate: Array) -> Array:
        # sqrt has no derivative at zero; 1e-30 is far below any distance squared.
        r = jnp.sqrt(jnp.maximum(squared, 1e-30))
        value = strength * jnp.exp(-rate * r)
        if self.rc is None:
            return value
        if self.smooth:
            return smoothly_cut(value, squared, self.rc, self.onset)
        return jnp.where(r < self.rc, value, 0.0)
