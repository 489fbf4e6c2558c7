"""Random clusters of metals, from which all searchers begin."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, reference_states

__all__ = ["bond", "random_metal"]

# Nearest neighbours in lattice constants: all of these metals are fcc.
FCC = 2**-0.5
# No two atoms of a random cluster are nearer, in bonds: forces would be beyond any step
# control.
CLOSEST = 0.62


def bond(symbols: str) -> float:
    """Nearest neighbours' distance in the metal, of alloys the mean (A)."""
    lengths = [
        FCC * reference_states[atomic_numbers[symbol]]["a"]
        for symbol in Atoms(symbols).get_chemical_symbols()
    ]
    return float(np.mean(lengths))


def random_metal(symbols: str, rng: np.random.Generator) -> Atoms:
    """Random places in a ball at about the density of the solid."""
    n, length = len(Atoms(symbols)), bond(symbols)
    radius = length * ((3 * n / (4 * np.pi * np.sqrt(2))) ** (1 / 3) + 0.3)
    places: list[np.ndarray] = []
    while len(places) < n:
        place = rng.uniform(-radius, radius, 3)
        if np.linalg.norm(place) < radius and all(
            np.linalg.norm(place - other) > CLOSEST * length for other in places
        ):
            places.append(place)
    return Atoms(symbols, np.array(places))
