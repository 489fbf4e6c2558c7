"""Whether energies and forces of a calculator belong together.

Forces of the wrong sign, or in another unit than the energy, let every relaxation fail
without an error. Along a short step the energy changes by what the forces say,

    E(x + d) - E(x) = (g(x) + g(x + d)) . d / 2

with the gradients g, up to the third order of d.
"""

from __future__ import annotations

import logging

import numpy as np

from ase_l2h.search.problem import Problem

__all__ = ["Agreement"]

logger = logging.getLogger(__name__)

# Longest step of an atom, in bond lengths, and least change of the energy that counts,
# in energy scales.
SHORT, NOTICEABLE = 0.1, 1e-3
# Steps that are looked at; the share that has to be right, within a factor.
ENOUGH, FEW, FACTOR = 20, 0.2, 3.0


class Agreement:
    """Looks at the first short steps of relaxations, and warns once."""

    def __init__(self) -> None:
        self._ratios: list[float] = []
        # Where a step came from, by where it led.
        self._origins: dict[bytes, tuple[np.ndarray, float, np.ndarray]] = {}

    @property
    def known(self) -> bool:
        """Whether enough steps have been seen."""
        return len(self._ratios) >= ENOUGH

    def stepped(
        self,
        before: np.ndarray,
        energies: np.ndarray,
        gradients: np.ndarray,
        after: np.ndarray,
    ) -> None:
        """Remember steps from ``before`` to ``after``, ``(3, n, batch)``."""
        if self.known:
            return
        for b in range(before.shape[2]):
            place = np.ascontiguousarray(after[..., b])
            self._origins[place.tobytes()] = (
                before[..., b],
                energies[b],
                gradients[..., b],
            )

    def measured(
        self,
        problem: Problem,
        positions: np.ndarray,
        energies: np.ndarray,
        gradients: np.ndarray,
    ) -> None:
        """Compare what was measured ``(3, n, batch)`` with where a step came from."""
        if self.known:
            return
        for b in range(positions.shape[2]):
            place = np.ascontiguousarray(positions[..., b])
            origin = self._origins.pop(place.tobytes(), None)
            if origin is None or not np.isfinite(energies[b] + origin[1]):
                continue
            moved = place - origin[0]
            change = float(energies[b] - origin[1])
            foretold = 0.5 * float(np.sum((origin[2] + gradients[..., b]) * moved))
            short = np.max(np.abs(moved)) < SHORT * problem.length
            size = max(abs(change), abs(foretold))
            counts = size > NOTICEABLE * problem.energy_unit
            if short and counts and foretold != 0:
                self._ratios.append(change / foretold)
                if self.known:
                    self._judge()
                    return

    def _judge(self) -> None:
        self._origins.clear()
        ratios = np.array(self._ratios)
        right = (ratios > 1 / FACTOR) & (ratios < FACTOR)
        if np.mean(right) < FEW:
            logger.warning(
                "energies and forces of the calculator contradict each other: along "
                "short steps the energy changes by %.2g times what the forces say; "
                "check their signs and units",
                np.median(ratios),
            )
