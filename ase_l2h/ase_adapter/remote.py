"""Calls of a calculator in other processes, which import neither JAX nor a search."""

from __future__ import annotations

import dataclasses
import os
import pickle
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from ase_l2h._internal.workers import CallFailed
from ase_l2h.ase_adapter.naming import WRITING

__all__ = ["FirstMade", "RemoteMeasure", "WrongForces", "energy_of", "evaluated"]


class WrongForces(ValueError):
    """Forces that are not three numbers for each atom."""


def energy_of(atoms: Atoms) -> float:
    """The energy that belongs to the forces, as ASE's optimizers choose it.

    They look twice, and each time compare the atoms with those of the last call, which
    takes as long as a call of a cheap calculator.
    """
    try:
        return float(atoms.get_potential_energy(force_consistent=True))
    except PropertyNotImplementedError:
        return float(atoms.get_potential_energy())


def evaluated(atoms: Atoms) -> tuple[float, np.ndarray]:
    """Energy and gradient ``(n, 3)`` of atoms by their calculator.

    The calculator's cache is cleared after a bad result, or it would return it again.

    Raises
    ------
    WrongForces
        For forces of another shape.
    CallFailed
        Where the calculator would end the process.
    """
    sound = False
    try:
        # Forces first: many calculators then give the energy without another call.
        forces = np.array(atoms.get_forces(apply_constraint=False), dtype=float)
        if forces.shape != (len(atoms), 3):
            raise WrongForces(
                f"its forces have shape {forces.shape} where {len(atoms)} atoms have "
                f"{(len(atoms), 3)}"
            )
        for constraint in atoms.constraints:
            constraint.adjust_forces(atoms, forces)
        gradient = -forces
        energy = energy_of(atoms)
        sound = bool(np.isfinite(energy) and np.all(np.isfinite(gradient)))
    except SystemExit as end:
        raise CallFailed(f"the calculator called sys.exit({end.code})") from end
    finally:
        reset = getattr(atoms.calc, "reset", None)
        if not sound and callable(reset):
            reset()
    return energy, gradient


# Calculators of this thread, by the pickle they were made from.
_made = threading.local()


@dataclasses.dataclass(frozen=True)
class RemoteMeasure:
    """Energy and gradient of atoms, in another process or thread.

    Parameters
    ----------
    pickle
        Of a calculator where ``made``, else of what makes one.
    made
        See there.
    """

    pickle: bytes
    made: bool

    def calculator(self) -> Any:
        """The calculator of this thread; one that writes files gets its own folder."""
        known = _made.__dict__.setdefault("calculators", {})
        if self.pickle not in known:
            found = pickle.loads(self.pickle)
            calculator = found if self.made else found()
            # All of ASE's have a folder, which they create even if they write nothing.
            folder = getattr(calculator, "directory", None)
            writes = any(hasattr(calculator, name) for name in WRITING)
            if writes and isinstance(folder, str | Path):
                own = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
                calculator.directory = type(folder)(Path(folder) / f"calls-{own}")
            known[self.pickle] = calculator
        return known[self.pickle]

    def __call__(self, atoms: Atoms) -> tuple[float, np.ndarray]:
        """Energy and gradient ``(n, 3)``."""
        atoms.calc = self.calculator()
        return evaluated(atoms)


@dataclasses.dataclass(frozen=True)
class FirstMade:
    """As ``RemoteMeasure``, with the calculator made before the first call."""

    measure: RemoteMeasure

    def __call__(self, number: int) -> RemoteMeasure:
        """What measures, in worker ``number``."""
        self.measure.calculator()
        return self.measure
