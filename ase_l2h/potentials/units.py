"""Reduced units: the length and energy in which a rule sees a system.

A rule sees positions / length_scale and gradients * length_scale / energy_scale, so one
set of weights serves every element. The length is the pair's natural distance, the
energy one 8.61th of the cohesive energy per atom, because the Lennard-Jones crystal is
bound by 8.61 epsilon.
"""

from __future__ import annotations

from functools import lru_cache, singledispatch
from itertools import product
from typing import Any

import numpy as np

from ase_l2h.errors import InputError, InputTypeError
from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.stillinger_weber import StillingerWeber

__all__ = [
    "LJ_CRYSTAL_COHESION",
    "atom_scales",
    "fcc_cohesive_energy",
    "reduced_units",
    "species_units",
]

# Cohesive energy of the Lennard-Jones crystal, in epsilon per atom.
LJ_CRYSTAL_COHESION = 8.61
LJ_MINIMUM = 2 ** (1 / 6)
# Bond length of the Stillinger-Weber crystal: 2.351 angstrom for sigma = 2.0951.
SW_BOND = 2.351 / 2.0951


@lru_cache(maxsize=1)
def _fcc_shells() -> tuple[np.ndarray, np.ndarray]:
    """Radii (nearest neighbour 1) and sizes of the fcc shells within 7 neighbours."""
    reach = range(-10, 11)
    # fcc sites are the integer points of even coordinate sum; neighbours at sqrt(2).
    squares = [
        (i * i + j * j + k * k) // 2
        for i, j, k in product(reach, repeat=3)
        if (i + j + k) % 2 == 0
    ]
    shells, counts = np.unique(squares, return_counts=True)
    inside = (shells > 0) & (shells <= 49)
    return np.sqrt(shells[inside]), counts[inside].astype(float)


@lru_cache(maxsize=256)
def fcc_cohesive_energy(
    p: float, q: float, r0: float, xi: float, A: float, rc: float | None = None
) -> tuple[float, float]:
    """Cohesive energy per atom and lattice constant of one Gupta element in fcc.

    Parameters
    ----------
    p, q, r0, xi, A, rc
        As in :class:`~ase_l2h.potentials.gupta.Gupta`; without ``rc`` all shells within
        7 nearest-neighbour distances count.

    Returns
    -------
    tuple of float
        Energy (positive when bound) and the cubic lattice constant at the minimum.
    """
    radii, counts = _fcc_shells()

    def energy(nearest: np.ndarray) -> np.ndarray:
        r = nearest[:, None] * radii
        weights = counts if rc is None else counts * (r < rc)
        repulsion = np.sum(weights * A * np.exp(-p * (r / r0 - 1)), axis=1)
        moment = np.sum(weights * xi**2 * np.exp(-2 * q * (r / r0 - 1)), axis=1)
        return repulsion - np.sqrt(moment)

    low, high = 0.6 * r0, 1.3 * r0
    for _ in range(12):
        grid = np.linspace(low, high, 33)
        best = int(np.argmin(energy(grid)))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 32)]
    nearest = float(low + high) / 2
    return -float(energy(np.array([nearest]))[0]), nearest * float(np.sqrt(2))


@singledispatch
def species_units(potential: Any) -> tuple[np.ndarray, np.ndarray]:
    """Natural length and energy of every species of a potential, ``(s,)`` each.

    Another potential joins by ``species_units.register(ItsClass, function)``.

    Raises
    ------
    InputTypeError
        When the potential has no natural units.
    """
    raise InputTypeError(
        f"the reduced units of a {type(potential).__name__} are not known; set "
        "length_scale and energy_scale yourself"
    )


@species_units.register
def _(potential: LennardJones) -> tuple[np.ndarray, np.ndarray]:
    return LJ_MINIMUM * np.atleast_1d(potential.sigma), np.atleast_1d(potential.epsilon)


@species_units.register
def _(potential: BinaryLennardJones) -> tuple[np.ndarray, np.ndarray]:
    # A pure Lennard-Jones crystal is bound by 8.61 epsilon, so the unit is epsilon.
    return LJ_MINIMUM * np.diagonal(potential.sigma), np.diagonal(potential.epsilon)


@species_units.register
def _(potential: StillingerWeber) -> tuple[np.ndarray, np.ndarray]:
    length = SW_BOND * np.atleast_1d(potential.sigma)
    return length, 2 * np.atleast_1d(potential.epsilon) / LJ_CRYSTAL_COHESION


@species_units.register
def _(potential: Gupta) -> tuple[np.ndarray, np.ndarray]:
    likes = np.stack(
        [
            np.diagonal(np.asarray(table, dtype=float))
            for table in (
                potential.p,
                potential.q,
                potential.r0,
                potential.xi,
                potential.A,
            )
        ],
        axis=1,
    )
    bulk = [fcc_cohesive_energy(*row.tolist(), rc=potential.rc)[0] for row in likes]
    for symbol, row, energy in zip(potential.symbols, likes, bulk, strict=True):
        # Zero where a cut-off leaves no bond, which is told elsewhere.
        if energy < 0:
            raise InputError(
                f"the Gupta pair {symbol}-{symbol} with {tuple(row.tolist())} binds no "
                "crystal; check that the order is p, q, r0, xi, A"
            )
    return likes[:, 2], np.array(bulk) / LJ_CRYSTAL_COHESION


def reduced_units(potential: Any, species: Any) -> tuple[Any, Any]:
    """Length and energy scale of a structure under a potential.

    Alloys take the composition mean of their elements: the scales depend on what the
    atoms are and not on where they sit.

    Parameters
    ----------
    potential
        A potential known to :func:`species_units`, with concrete (not traced)
        parameters.
    species
        Species index per atom, ``(n,)`` or ``(n, *batch)``.

    Returns
    -------
    tuple
        ``(length_scale, energy_scale)``: floats, or arrays ``(*batch)`` for batched
        species.

    Raises
    ------
    InputTypeError
        When the potential has no natural units.
    InputError
        When Gupta parameters bind no crystal.
    """
    species = np.asarray(species)
    length, energy = (
        np.mean(np.asarray(unit, dtype=float)[species], axis=0)
        for unit in species_units(potential)
    )
    return (float(length), float(energy)) if species.ndim == 1 else (length, energy)


def atom_scales(potential: Any, species: Any) -> np.ndarray | None:
    """Each atom's own length and energy over those of the composition, minus one.

    Arguments as for :func:`reduced_units`; ``(2, n, *batch)``, or None where all atoms
    are alike.
    """
    species = np.asarray(species)
    if np.all(species == species.flat[0]):
        return None
    own = np.stack([np.asarray(u, float)[species] for u in species_units(potential)])
    return own / np.mean(own, axis=1, keepdims=True) - 1
