"""Calculators that tests name on the command line, and that misbehave."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.calculators.emt import EMT

__all__ = [
    "Counting",
    "Moody",
    "Slow",
    "StressOnly",
    "Stretched",
    "Unconverged",
    "Water",
    "leaving",
    "number",
    "scaled",
    "unmade",
]


class Counting(EMT):
    """EMT that counts its calls, all of them together."""

    calls: ClassVar[int] = 0

    def calculate(self, *arguments: Any, **keywords: Any) -> None:
        type(self).calls += 1
        super().calculate(*arguments, **keywords)


class Stretched(Calculator):
    """EMT in other units of energy."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale=scale)

    def calculate(
        self,
        atoms: Any = None,
        properties: Any = None,
        system_changes: Any = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        inner = self.atoms.copy()
        inner.calc = EMT()
        scale = self.parameters["scale"]
        self.results = {
            "energy": scale * inner.get_potential_energy(),
            "forces": scale * np.asarray(inner.get_forces()),
        }


class StressOnly(Calculator):
    """What no search can use."""

    implemented_properties: ClassVar[list[str]] = ["energy", "stress"]


def scaled(scale: float = 1.0) -> Stretched:
    """A function that returns a calculator."""
    return Stretched(scale)


def number() -> int:
    """No calculator at all."""
    return 3


class Moody(Counting):
    """EMT that fails at every 7th call of this process, in one of several ways."""

    calls: ClassVar[int] = 0

    def __init__(self, how: str = "raise", every: int = 7) -> None:
        super().__init__()
        self.how, self.every = how, every

    def calculate(self, *arguments: Any, **keywords: Any) -> None:
        super().calculate(*arguments, **keywords)
        if type(self).calls % self.every:
            return
        if self.how == "raise":
            self.reset()
            raise RuntimeError("not converged")
        if self.how == "hang":
            time.sleep(3600)
        if self.how == "die":
            os._exit(3)
        if self.how == "NaN":
            self.results["energy"] = self.results["free_energy"] = np.nan
        if self.how == "shape":
            self.results["forces"] = self.results["forces"][:-1]


class Slow(EMT):
    """EMT that takes its time."""

    def calculate(self, *arguments: Any, **keywords: Any) -> None:
        time.sleep(0.05)
        super().calculate(*arguments, **keywords)


class Unconverged(EMT):
    """Does not converge for the structure that it is given first."""

    error: type[Exception] = CalculationFailed
    first: np.ndarray | None = None

    def calculate(self, atoms=None, *args, **kwargs):
        if self.first is None:
            self.first = atoms.positions.copy()
        if np.abs(atoms.positions - self.first).max() < 0.1:
            raise self.error("SCF not converged")
        super().calculate(atoms, *args, **kwargs)


class Water(Calculator):
    """Flexible three-point water, atoms in the order O, H, H."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]
    stiffness, charge, depth, size = 40.0, 0.417, 0.0066, 3.15

    def calculate(
        self,
        atoms: Any = None,
        properties: Any = None,
        system_changes: Any = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        place = self.atoms.positions
        n = len(place)
        i, j = np.triu_indices(n, 1)
        apart = place[i] - place[j]
        distance = np.linalg.norm(apart, axis=1)
        oxygen = np.arange(n) % 3 == 0
        charges = np.where(oxygen, -2, 1) * self.charge
        same = i // 3 == j // 3
        natural = np.where(oxygen[i], 0.957, 1.514)
        stretch = np.where(same, distance - natural, 0.0)
        power = np.where(~same & oxygen[i] & oxygen[j], (self.size / distance) ** 6, 0)
        coulomb = np.where(same, 0.0, 14.4 * charges[i] * charges[j] / distance)
        energy = self.stiffness / 2 * stretch**2 + coulomb
        energy += 4 * self.depth * (power**2 - power)
        slope = self.stiffness * stretch - coulomb / distance
        slope -= 24 * self.depth * (2 * power**2 - power) / distance
        pull = (slope / distance)[:, None] * apart
        forces = np.zeros((n, 3))
        np.add.at(forces, i, -pull)
        np.add.at(forces, j, pull)
        self.results = {"energy": float(energy.sum()), "forces": forces}


def leaving(number: int) -> Callable[[int], None]:
    """What a worker calls with an exit code: it ends its process."""
    return leave


def leave(code: int) -> None:
    """End the process, at once where the code is negative."""
    if code < 0:
        os._exit(-code)
    sys.exit(code)


def unmade() -> None:
    """Makes no calculator, and ends the worker."""
    raise SystemExit(1)
