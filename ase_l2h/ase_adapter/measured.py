"""A user's calculator as a function of positions, with counting and caching."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from ase import Atoms

from ase_l2h._internal.workers import names, told
from ase_l2h.ase_adapter.cache import CallCache
from ase_l2h.ase_adapter.remote import WrongForces, evaluated
from ase_l2h.errors import InputError, RunError
from ase_l2h.search.calls import unconverged

__all__ = [
    "CentredCoordinates",
    "CountingCalculator",
    "Evaluate",
    "Measured",
    "StartFailed",
    "first_measured",
]


@dataclasses.dataclass(frozen=True)
class CentredCoordinates:
    """Converts between ASE's positions and those of a search, centred on the origin.

    Small coordinates are exact enough in single precision; the way back restores the
    user's centroid, and fixed coordinates bit for bit.

    Parameters
    ----------
    given
        ``(n, 3)`` where the search begins, as ASE has it.
    free
        Mask ``(3, n)`` of movable coordinates; None when all may move.
    """

    given: np.ndarray
    free: np.ndarray | None = None

    @property
    def centre(self) -> np.ndarray:
        """Where the origin of a search lies in ASE's coordinates, ``(3,)``."""
        return np.mean(self.given, axis=0)

    def inside(self, positions: np.ndarray) -> np.ndarray:
        """``(n, 3)`` of ASE to ``(3, n)`` of a search."""
        return np.ascontiguousarray((positions - self.centre).T)

    def outside(self, positions: np.ndarray) -> np.ndarray:
        """``(3, n)`` of a search to ``(n, 3)`` of ASE."""
        moved = np.asarray(positions, dtype=float).T + self.centre
        if self.free is not None:
            moved = np.where(self.free.T, moved, self.given)
        # The conversion may change the last digit, and then a calculator's cached
        # result is lost.
        rounding = 1e-14 * (1 + np.max(np.abs(self.given)))
        same = np.max(np.abs(moved - self.given)) < rounding
        return self.given.copy() if same else moved


# From atoms to energy and gradient (n, 3).
Evaluate = Callable[[Atoms], tuple[float, np.ndarray]]


class StartFailed(InputError):
    """A calculation that did not converge for the structure a search begins with."""


class Measured(NamedTuple):
    """What a calculator gave: positions and gradient ``(n, 3)``."""

    positions: np.ndarray
    energy: float
    gradient: np.ndarray

    @property
    def sound(self) -> bool:
        """Whether energy and gradient are finite and of the right shape."""
        return (
            self.gradient.shape == self.positions.shape
            and bool(np.isfinite(self.energy))
            and bool(np.all(np.isfinite(self.gradient)))
        )


class CountingCalculator:
    """A user's calculator as a function of positions, every call counted.

    It moves a copy of the atoms, which shares their calculator. So the last result of
    the calculator is valid for the user's atoms once they have the same positions.

    Parameters
    ----------
    atoms
        The structure with its calculator; never moved.
    coordinates
        Between ASE's positions and those of the search.
    cache
        Calls that need not be repeated; None without a cache.
    evaluate
        Makes a call elsewhere; the calculator of ``atoms`` does when None.

    Attributes
    ----------
    calls
        Calls of the calculator, with failed ones and those taken from the cache.
    spared
        Those.
    last, lowest
        The last successful call, and the one with the lowest energy.
    """

    def __init__(
        self,
        atoms: Atoms,
        coordinates: CentredCoordinates,
        cache: CallCache | None = None,
        evaluate: Evaluate | None = None,
    ) -> None:
        self.coordinates, self.cache = coordinates, cache
        self._evaluate = evaluated if evaluate is None else evaluate
        self.spared = 0
        self.symbols = atoms.get_chemical_symbols()
        self.calls = 0
        self.last: Measured | None = None
        self.lowest: Measured | None = None
        self._view = atoms.copy()
        self._view.calc = atoms.calc
        # Positions of the last call, successful or not.
        self._asked: np.ndarray | None = None

    def measure(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy and gradient ``(3, n)`` at ``(3, n)`` of the search."""
        measured = self.at(self.coordinates.outside(positions))
        return measured.energy, measured.gradient.T

    __call__ = measure

    def known(self, positions: np.ndarray) -> tuple[float, np.ndarray] | None:
        """The result of :meth:`measure` if it needs no call, else None."""
        place = self.coordinates.outside(positions)
        measured = self._remembered(place) or self._cached(place)
        return None if measured is None else (measured.energy, measured.gradient.T)

    def asked(self, positions: np.ndarray) -> Atoms:
        """Begin a call made elsewhere: returns the atoms, without calculator."""
        self.calls += 1
        atoms = self._view.copy()
        atoms.set_positions(self.coordinates.outside(positions), apply_constraint=False)
        return atoms

    def told(
        self, positions: np.ndarray, answer: tuple[float, np.ndarray]
    ) -> tuple[float, np.ndarray]:
        """Take the result of such a call: energy and gradient ``(n, 3)``."""
        energy, gradient = answer
        place = self.coordinates.outside(positions)
        measured = self._noted(Measured(place, energy, gradient))
        return measured.energy, measured.gradient.T

    def at(self, positions: np.ndarray) -> Measured:
        """Energy and gradient at ``(n, 3)`` of ASE; no call if they are known."""
        return self._remembered(positions) or self.call(positions)

    def _remembered(self, positions: np.ndarray) -> Measured | None:
        for known in (self.last, self.lowest):
            if known is not None and np.array_equal(known.positions, positions):
                return known
        return None

    def _cached(self, positions: np.ndarray) -> Measured | None:
        """The result in the cache, which counts as a call."""
        if self.cache is None:
            return None
        found = self.cache.find(self._view, positions)
        if found is None:
            return None
        self.calls += 1
        self.spared += 1
        return self._noted(Measured(np.array(positions), *found), new=False)

    def call(self, positions: np.ndarray) -> Measured:
        """As ``at``, but calls unless the last call was at these positions."""
        known = self.last
        asked = self._asked is not None and np.array_equal(self._asked, positions)
        if asked and known is not None and np.array_equal(known.positions, positions):
            return known
        cached = self._cached(positions)
        if cached is not None:
            return cached
        self._asked = np.array(positions)
        self.calls += 1
        # Fixed atoms have not moved, and ASE's own adjustment would round the others.
        self._view.set_positions(positions, apply_constraint=False)
        return self._noted(Measured(self._asked, *self._evaluate(self._view)))

    def _noted(self, measured: Measured, new: bool = True) -> Measured:
        if measured.sound:
            self.last = measured
            if self.lowest is None or measured.energy < self.lowest.energy:
                self.lowest = measured
            if new and self.cache is not None:
                self.cache.add(self._view, *measured)
        return measured


def first_measured(calculator: CountingCalculator, positions: np.ndarray) -> Measured:
    """The calculator's result for the structure that a search begins with.

    Raises
    ------
    StartFailed
        When the calculation does not converge, as the calculator says.
    InputError
        When it fails, for example because it does not know an element, when it takes
        too long, or when energy or forces are not finite.
    """
    try:
        measured = calculator.at(positions)
    except TimeoutError as error:
        raise InputError(
            f"the first call of the calculator ended without a result ({error}); check "
            "that it works for the structure, or allow a call more time"
        ) from error
    except (InputError, RunError):
        # Errors of the cache, and of processes that do not begin.
        raise
    except Exception as error:
        said = told(error)
        if WrongForces.__name__ in names(error):
            raise InputError(
                f"the calculator cannot be used in a search ({said}); let it give "
                "three forces for each atom"
            ) from error
        elements = ", ".join(dict.fromkeys(calculator.symbols))
        raise (StartFailed if unconverged(error) else InputError)(
            f"the calculator fails for the structure ({said}); check that it knows "
            f"{elements} and gives energies and forces, and start from a sensible "
            "structure"
        ) from error
    if not measured.sound:
        raise InputError(
            "the calculator gives no finite energy and forces for the structure; "
            "start from a sensible one"
        )
    return measured
