"""Structures that searches from the user's atoms have found, in ASE's positions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ase_l2h.ase_adapter.placement import PlacedAtoms
from ase_l2h.optimizers.base import SearchState
from ase_l2h.search.method import SearchRun
from ase_l2h.search.minima import distinct_minima
from ase_l2h.search.problem import HIT

__all__ = ["FoundStructures", "Structure", "rounding"]

# Energy scales within which two equal minima agree: relaxed by a kernel to the last
# digits, or by a calculator to the user's fmax and no further.
TOLERANCE = {"kernel": 1e-5, "calculator": 1e-2}
# Relative rounding of an energy in double precision, summed over some 10^4 pairs.
ROUNDING = 1e-12


class Structure(NamedTuple):
    """Energy and ASE positions ``(n, 3)``."""

    energy: float
    positions: np.ndarray


def rounding(energy: float) -> float:
    """How far two computations of an energy may differ."""
    return ROUNDING * abs(energy)


class FoundStructures:
    """Structures of the current run, and of relaxations beside it.

    Parameters
    ----------
    placed
        The user's atoms.

    Attributes
    ----------
    run
        The current run, None before the first.
    given
        The structure as it was before the run.
    kept
        Relaxed structures from outside the run.
    checked, saddles
        Energies with checked curvature, and energies of saddle points.
    """

    def __init__(self, placed: PlacedAtoms) -> None:
        self.placed = placed
        self.kept: list[Structure] = []
        self.restart(Structure(math.inf, placed.posed.coordinates.given))

    def restart(self, given: Structure) -> None:
        """Prepare for a new run from ``given``; kept structures stay."""
        self.run: SearchRun | None = None
        self.given = given
        self.checked: set[float] = set()
        self.saddles: set[float] = set()
        # The lowest energy of the last fall.
        self._told = math.inf

    @property
    def unit(self) -> float:
        """The unit of energies."""
        return self.placed.posed.problem.energy_unit

    @property
    def significant(self) -> float:
        """Energies that differ by more belong to different structures."""
        return TOLERANCE["kernel"] * self.unit

    @property
    def minima(self) -> list[Structure]:
        """Distinct relaxed minima of all runs, lowest first."""
        found = [] if self.run is None else self.run.result().minima
        relaxed = [
            Structure(m.energy, self._outside(m.positions.T))
            for m in found
            if m.relaxed and not self._is_saddle(m.energy)
        ]
        return self._distinct([*self.kept, *relaxed])

    @property
    def best(self) -> Structure:
        """The lowest of all structures, given, relaxed or passed on the way."""
        relaxed, passed = self.lowest_relaxed(), self.lowest_passed()
        known = [self.given] if passed is None else [self.given, passed]
        lowest = min(known, key=lambda s: s.energy)
        if relaxed is None:
            return lowest
        # A point passed on the way to a minimum is not better than the minimum.
        near = relaxed.energy <= lowest.energy + HIT * self.unit
        if near and relaxed.energy <= self.given.energy + rounding(self.given.energy):
            return relaxed
        return min(lowest, relaxed, key=lambda s: s.energy)

    def lowest_relaxed(self) -> Structure | None:
        """The lowest relaxed structure."""
        known = list(self.kept)
        for search in [] if self.run is None else self.run.searches:
            ledger = search.present
            if ledger.relaxed and ledger.positions is not None:
                known.append(Structure(ledger.energy, self._outside(ledger.positions)))
        return min(known, key=lambda s: s.energy) if known else None

    def lowest_passed(self) -> Structure | None:
        """The lowest point passed, which may be unrelaxed."""
        calculator = self.placed.posed.calculator
        if calculator is not None:
            lowest = calculator.lowest
            return lowest and Structure(lowest.energy, lowest.positions)
        places = []
        for search in [] if self.run is None else self.run.searches:
            ledger = search.present
            if ledger.seen_positions is not None:
                places.append(ledger.seen_positions)
            for state in _rollouts(search.state):
                energies = np.nan_to_num(state.best_energy, nan=np.inf)
                k = int(np.argmin(energies))
                if np.isfinite(energies[k]):
                    places.append(np.asarray(state.best_positions)[..., k])
        outside = [self._outside(place) for place in places]
        known = [Structure(self.placed.kernel_energy(p), p) for p in outside]
        return min(known, key=lambda s: s.energy) if known else None

    def fallen(self) -> float | None:
        """The lowest energy; None if it has not fallen since the last call."""
        energy = self.best.energy
        if not energy < self._told - self.significant:
            return None
        self._told = energy
        return energy

    def keep(self, energy: float, positions: np.ndarray) -> Structure:
        """Remember a relaxed structure at ``(3, n)`` of the search."""
        structure = Structure(float(energy), self._outside(positions))
        self.kept = self._distinct([*self.kept, structure])
        return structure

    def forget_saddle(self, energy: float) -> None:
        """Forget structures with this energy, which are saddle points."""
        self.saddles.add(energy)
        self.kept = [s for s in self.kept if not self._is_saddle(s.energy)]

    def _is_saddle(self, energy: float) -> bool:
        return any(abs(energy - e) <= self.significant for e in self.saddles)

    def _distinct(self, structures: Sequence[Structure]) -> list[Structure]:
        if not structures:
            return []
        distinct = distinct_minima(
            np.array([s.energy for s in structures]),
            np.stack([s.positions.T for s in structures], axis=-1),
            self.placed.posed.problem.system,
            TOLERANCE[self.placed.kind],
        )
        return [Structure(m.energy, m.positions) for m in distinct]

    def _outside(self, positions: np.ndarray) -> np.ndarray:
        return self.placed.posed.coordinates.outside(positions)

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`resume` needs, besides the run."""
        return {
            "given": list(self.given),
            "kept": [list(structure) for structure in self.kept],
            "checked": sorted(self.checked),
            "saddles": sorted(self.saddles),
            "told": self._told,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Restore a stored :meth:`state`."""
        self.given = Structure(*state["given"])
        self.kept = [Structure(*structure) for structure in state["kept"]]
        self.checked, self.saddles = set(state["checked"]), set(state["saddles"])
        self._told = state["told"]


def _rollouts(state: Any) -> Iterator[SearchState]:
    """The rollouts under way in the state of a method."""
    if isinstance(state, SearchState):
        yield state
    elif isinstance(state, dict | list | tuple):
        for part in state.values() if isinstance(state, dict) else state:
            yield from _rollouts(part)
