"""Lennard-Jones 12-6 clusters, without cutoff or with ASE's two cut-off forms.

    u(r) = 4 eps [(sigma/r)^12 - (sigma/r)^6],    E = sum_{i<j} u(r_ij)

Reference minima: D. J. Wales and J. P. K. Doye, J. Phys. Chem. A 101, 5111 (1997).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.potentials.base import EnergyAndGradient, over_neighbours
from ase_l2h.potentials.cutoff import smoothly_cut
from ase_l2h.potentials.pair_loops import LookUp, PairPotential
from ase_l2h.system import System

__all__ = ["LennardJones"]

# Of the cut-off, where a smooth one begins: as in ``ase.calculators.lj``.
ONSET = 0.66


@pytree_dataclass
class LennardJones(PairPotential):
    """Single-species Lennard-Jones energy.

    Parameters
    ----------
    epsilon
        Well depth; sets the energy unit.
    sigma
        Distance at which the pair energy vanishes; the pair minimum is at
        ``2 ** (1 / 6) * sigma``.
    rc
        Cut-off distance; None (the default) sums all pairs, as the published minima do.
    ro
        Onset of the smooth cut-off; only used with ``smooth``.
    smooth
        False: every pair within ``rc`` is shifted by ``-u(rc)``. True: ``u`` is
        switched off between ``ro`` and ``rc`` (:mod:`ase_l2h.potentials.cutoff`). Both
        as in ``ase.calculators.lj``.
    """

    epsilon: float | Float[Array | np.ndarray, ""] = 1.0
    sigma: float | Float[Array | np.ndarray, ""] = 1.0
    rc: float | None = static_field(default=None)
    ro: float | None = static_field(default=None)
    smooth: bool = static_field(default=False)

    @property
    def cutoff(self) -> float:
        """The cut-off distance, ``inf`` when there is none."""
        return float("inf") if self.rc is None else self.rc

    @property
    def onset(self) -> float:
        """Where a smooth cut-off begins, ``inf`` when there is none."""
        if self.rc is None:
            return float("inf")
        return ONSET * self.rc if self.ro is None else self.ro

    def pair_energy(self, squared: Array, look_up: LookUp, system: System) -> Array:
        """Energy of a pair in the unit of ``epsilon``.

        Coincident atoms give ``+inf``, never ``nan``, so a search can reject the step
        with one comparison.
        """
        del look_up, system
        s6 = (self.sigma**2 / squared) ** 3
        # Factored on purpose: s6 * s6 - s6 is inf - inf = nan once s6 overflows.
        pair = s6 * (s6 - 1.0)
        if self.rc is not None:
            rc2 = self.rc**2
            if self.smooth:
                pair = smoothly_cut(jnp.asarray(pair), squared, self.rc, self.onset)
            else:
                shift = (self.sigma**2 / rc2) ** 3
                pair = jnp.where(squared <= rc2, pair - shift * (shift - 1.0), 0.0)
        return jnp.asarray(4.0 * self.epsilon * pair)

    def energy_and_gradient(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> EnergyAndGradient:
        """Energy and gradient in one pass over the neighbours, no pair array stored.

        In units of sigma, with s6 = r^-6,

            E_i = 2 eps sum_j s6 (s6 - 1)
            dE/dx_i = (48 eps / sigma) sum_j (1/2 - s6) s6 / r^2 (x_i - x_j)

        For uncut clusters only; the cut forms take the general pair loop.
        """
        if self.rc is not None or system.cell is not None:
            return super().energy_and_gradient(positions, system)

        def add(displacement, squared, _, sums):
            # XLA evaluates the factor of the gradient once per component, so it is kept
            # short: parameters are multiplied in at the end.
            atoms, gradient = sums
            inverse = 1.0 / squared
            s6 = inverse * inverse * inverse
            atoms = atoms + s6 * (s6 - 1.0)
            return atoms, gradient + ((0.5 - s6) * (s6 * inverse)) * displacement

        zero = jnp.zeros_like(positions)
        reduced = positions / self.sigma
        atoms, gradient = over_neighbours(reduced, system, add, (zero[0], zero))
        atoms = jnp.asarray((2.0 * self.epsilon) * atoms)
        gradient = jnp.asarray((48.0 * self.epsilon / self.sigma) * gradient)
        return EnergyAndGradient(jnp.sum(atoms, axis=0), atoms, gradient)
