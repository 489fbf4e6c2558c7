"""A crude potential for packing molecules without calls of the calculator.

Springs hold atoms that are one or two bonds apart; all other pairs have charges and a
12-6 term. A bond transfers charge according to the difference in electronegativity of
its atoms, as in water models such as SPC (H. J. C. Berendsen et al., in Intermolecular
Forces, 1981, p. 331). Its structures are only starting points for relaxations.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
from scipy.optimize import minimize

__all__ = ["Contacts"]

# Coulomb's constant in eV angstrom, the depth of the 12-6 term in eV, and the stiffness
# of springs in eV / angstrom^2.
COULOMB, DEPTH, SPRING = 14.4, 0.006, 60.0
# Most steps of a relaxation, and the largest slope at its end.
STEPS, SLOPE = 300, 0.02
# Pairs nearer than this, in angstrom, are treated as being at this distance.
CORE = 0.6


@dataclasses.dataclass(frozen=True, eq=False)
class Contacts:
    """Energies in eV of positions in angstrom.

    Parameters
    ----------
    bonds
        Pairs of bonded atoms ``(k, 2)``.
    charges
        Charges of the atoms, ``(n,)``.
    sizes
        Distance at which the 12-6 term of two like atoms vanishes, ``(n,)``.
    unit
        One angstrom in the unit of the positions.
    """

    bonds: np.ndarray
    charges: np.ndarray
    sizes: np.ndarray
    unit: float = 1.0

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs ``(2, k)`` with springs, and all others."""
        n = len(self.charges)
        near = np.eye(n, dtype=bool)
        near[tuple(self.bonds.T)] = near[tuple(self.bonds.T[::-1])] = True
        held = np.triu((near.astype(int) @ near.astype(int)) > 0, 1)
        others = np.triu(~held, 1)
        return np.array(np.nonzero(held)), np.array(np.nonzero(others))

    def relaxed(self, positions: np.ndarray, lengths: np.ndarray) -> tuple:
        """Positions ``(3, n)`` relaxed, and their energy.

        The springs have their lengths from the structure ``lengths`` ``(3, n)``.
        """
        (i, j), (k, m) = self._pairs
        vectors = (lengths[:, i] - lengths[:, j]) / self.unit
        natural = np.linalg.norm(vectors, axis=0)
        product = COULOMB * self.charges[k] * self.charges[m]
        size6 = ((self.sizes[k] + self.sizes[m]) / 2) ** 6
        n = positions.shape[1]

        def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
            place = flat.reshape(3, n)
            springs = place[:, i] - place[:, j]
            length = np.linalg.norm(springs, axis=0)
            stretch = length - natural
            apart = place[:, k] - place[:, m]
            distance = np.maximum(np.linalg.norm(apart, axis=0), CORE)
            power = size6 / distance**6
            value = SPRING / 2 * np.sum(stretch**2) + np.sum(
                4 * DEPTH * (power**2 - power) + product / distance
            )
            slope = -24 * DEPTH * (2 * power**2 - power) - product / distance
            pull = SPRING * stretch / np.maximum(length, 1e-9) * springs
            push = slope / distance**2 * apart
            gradient = np.zeros((3, n))
            for axis in range(3):
                for first, second, part in ((i, j, pull[axis]), (k, m, push[axis])):
                    gradient[axis] += np.bincount(first, part, n)
                    gradient[axis] -= np.bincount(second, part, n)
            return float(value), gradient.ravel()

        found = minimize(
            energy,
            (positions / self.unit).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": STEPS, "gtol": SLOPE},
        )
        return self.unit * found.x.reshape(3, n), float(found.fun)
