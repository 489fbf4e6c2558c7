"""The same cluster, seen otherwise."""

from __future__ import annotations

import numpy as np
from ase import Atoms

__all__ = ["moved"]


def moved(atoms: Atoms, rng: np.random.Generator, *, mirrored: bool = False) -> Atoms:
    """A free cluster turned, shifted, its atoms in another order, perhaps mirrored."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn)) * (-1 if mirrored else 1)
    order = rng.permutation(len(atoms))
    positions = atoms.positions @ turn.T + rng.normal(size=3)
    return Atoms(numbers=atoms.numbers[order], positions=positions[order])
