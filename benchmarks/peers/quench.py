"""ASE's L-BFGS with its defaults, step for step, without what Python takes for a step.

J. Nocedal, Math. Comput. 35, 773 (1980). From the same structure it asks for the same
points as :class:`ase.optimize.LBFGS`; beside a potential of microseconds ASE's own
would be most of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from ase import Atoms

__all__ = ["Quench"]

# ASE's defaults: steps that are remembered, first curvature (eV/A^2), longest step (A).
MEMORY, CURVATURE, LONGEST = 100, 70.0, 0.2


@numba.njit(cache=True)
def _direction(
    gradient: np.ndarray, moves: np.ndarray, changes: np.ndarray, inverse: np.ndarray
) -> np.ndarray:
    """Minus the inverse Hessian's action on a gradient, oldest move first."""
    count = len(inverse)
    shares = np.empty(count)
    left = gradient.copy()
    for k in range(count - 1, -1, -1):
        shares[k] = inverse[k] * np.dot(moves[k], left)
        left -= shares[k] * changes[k]
    out = left / CURVATURE
    for k in range(count):
        out += (shares[k] - inverse[k] * np.dot(changes[k], out)) * moves[k]
    return -out


class Quench:
    """What ASE's searchers ask of a local optimizer.

    Parameters
    ----------
    atoms
        To be relaxed, or what ASE's optimizers wrap them in.
    logfile
        Not written.
    """

    def __init__(self, atoms: Any, logfile: Any = None) -> None:
        self.atoms: Atoms = getattr(atoms, "atoms", atoms)
        self.nsteps = 0
        self._observer: Callable[[], Any] | None = None

    def __enter__(self) -> Quench:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def attach(self, function: Callable, interval: int = 1, **options: Any) -> None:
        """A function to call after every step."""
        self._observer = lambda: function(**options)

    def get_number_of_steps(self) -> int:
        """Steps made."""
        return self.nsteps

    def run(self, fmax: float, steps: int) -> bool:
        """Relax until no force is above ``fmax``, in so many steps at most."""
        place = self.atoms.get_positions()
        gradient = -self.atoms.get_forces()
        moves = np.empty((steps, place.size))
        changes = np.empty((steps, place.size))
        inverse = np.empty(steps)
        for step in range(steps):
            if self._observer is not None:
                self._observer()
            if np.sqrt(np.sum(gradient**2, axis=1).max()) < fmax:
                return True
            known = slice(max(0, step - MEMORY), step)
            move = _direction(
                gradient.ravel(), moves[known], changes[known], inverse[known]
            ).reshape(place.shape)
            longest = np.sqrt(np.sum(move**2, axis=1).max())
            move *= min(1.0, LONGEST / longest)
            place = place + move
            self.atoms.set_positions(place)
            self.nsteps = step + 1
            before, gradient = gradient, -self.atoms.get_forces()
            moves[step], changes[step] = move.ravel(), (gradient - before).ravel()
            inverse[step] = 1.0 / np.dot(moves[step], changes[step])
        return False
