"""A potential that is learned from the minima a search has relaxed.

Its form is the second-moment approximation of tight binding, see
:mod:`ase_l2h.potentials.gupta`: four numbers for each pair of elements. Their prior is
what the published parameter sets of the package have in common; they are then fitted to
the energies and vanishing forces of a few minima. In a periodic cell, or on a surface,
it has a smooth cut-off; only forces on atoms that may move have vanished.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from ase_l2h._internal.blas import one_thread
from ase_l2h._internal.pytree import replace
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.parameters import GUPTA_SETS
from ase_l2h.potentials.units import LJ_CRYSTAL_COHESION, fcc_cohesive_energy
from ase_l2h.search.auto.bonds import RANGE, Pairs, faded, pairs_of, range_of
from ase_l2h.search.problem import Problem
from ase_l2h.system import periodic_images

__all__ = ["Fit", "fitted", "modelled", "prior", "usable"]

# Prior standard deviation of the logarithms of a problem's units, relative to its
# crystal's.
ENERGY_UNIT, LENGTH_UNIT = 0.3, 0.03
# Additional prior standard deviation of every logarithm of a single pair.
OWN = 0.1
# Assumed errors of the energy of a structure and of a force, in reduced units.
ENERGY, FORCE = 0.1, 0.3
# Energy above the lowest, in reduced units, at which a structure has the weight 1/e.
ABOVE = 10.0
# How far a logarithm may lie from its prior mean.
FARTHEST = 1.5
# The nearest and farthest neighbour, in bond lengths, of atoms that are bound.
NEAREST, ALONE = 0.4, 2.5
# Distance that stands for infinity.
FAR = 1e3
# Second moment of an atom without neighbours.
LONELY = 1e-6
# Steps of the fit, each with a derivative by every parameter.
STEPS = 6


@lru_cache(maxsize=1)
def prior() -> tuple[np.ndarray, np.ndarray]:
    """Mean ``(4,)`` and covariance ``(4, 4)`` of the logarithms of p, q, xi and A.

    In the units of the pair, of all pairs that the package has published parameters of.
    """
    rows = set()
    for parameters in GUPTA_SETS.values():
        cohesion = {
            pair.split("-")[0]: fcc_cohesive_energy(*row)[0]
            for pair, row in parameters.pairs.items()
            if len(set(pair.split("-"))) == 1
        }
        for pair, (p, q, _, xi, a) in parameters.pairs.items():
            unit = np.mean([cohesion[end] for end in pair.split("-")])
            unit /= LJ_CRYSTAL_COHESION
            rows.add((p, q, float(xi / unit), float(a / unit)))
    logs = np.log(sorted(rows))
    mean = logs.mean(axis=0)
    energy = ENERGY_UNIT * np.array([0, 0, 1, 1])
    length = LENGTH_UNIT * np.array([0, 0, *np.exp(mean[[1, 0]])])
    covariance = np.cov(logs.T) + OWN**2 * np.eye(4)
    covariance += np.outer(energy, energy) + np.outer(length, length)
    return mean, covariance


def _tables(logs: np.ndarray, n_species: int) -> np.ndarray:
    """Of every pair of species, ``(4, s, s)``, from ``(pairs, 4)``."""
    i, j = np.triu_indices(n_species)
    tables = np.empty((4, n_species, n_species))
    tables[:, i, j] = tables[:, j, i] = np.exp(logs).T
    return tables


def _elements(problem: Problem) -> int:
    """The number of species, including those that no atom here has."""
    return int(np.max(problem.species)) + 1


def _pairs(problem: Problem, positions: np.ndarray, reach: float) -> Pairs:
    """Neighbours in structures ``(3, n, m)``, in bond lengths."""
    cell = problem.system.cell
    points = np.moveaxis(positions, -1, 0) / problem.length
    cell = None if cell is None else np.asarray(cell, float) / problem.length
    return pairs_of(points, cell, reach)


def _free(problem: Problem) -> np.ndarray:
    """Mask ``(3, n)`` of the coordinates that may move."""
    every = np.ones((3, problem.n_atoms), bool)
    return every if problem.free is None else problem.free


def usable(problem: Problem, positions: np.ndarray) -> np.ndarray:
    """Which of ``(3, n, m)`` are informative about bonds, mask ``(m,)``.

    In these no two atoms coincide, and no atom is isolated. Atoms that cannot move are
    what they are.
    """
    apart = _pairs(problem, positions, ALONE).distances
    moving = np.any(_free(problem), axis=0)
    nearest = np.min(apart[:, moving], axis=2, initial=np.inf)
    alone = np.max(nearest, axis=1, initial=0) >= ALONE
    return ~alone & (np.min(nearest, axis=1, initial=np.inf) > NEAREST)


class Fit(NamedTuple):
    """Logarithms of p, q, xi and A of every pair of species, ``(pairs, 4)``.

    ``misfit`` is the root mean square error of the energies, in reduced units; those
    of high minima count less. It is 0.02 to 0.08 for metals by other potentials, about
    0.4 for Morse clusters and above 1 for silicon.
    """

    logs: np.ndarray
    misfit: float


def fitted(problem: Problem, energies: np.ndarray, positions: np.ndarray) -> Fit:
    """The potential that fits minima best; the prior's mean where there are none.

    Parameters
    ----------
    problem
        Species and units.
    energies, positions
        Of minima, ``(m,)`` and ``(3, n, m)``; forces on their atoms are small.
    """
    kinds, count = problem.species, _elements(problem)
    mean, covariance = prior()
    if not len(energies):
        return Fit(np.tile(mean, (count * (count + 1) // 2, 1)), 0.0)
    whitened = np.linalg.inv(np.linalg.cholesky(covariance))
    pairs = _pairs(problem, positions, RANGE)
    free = _free(problem)
    moving = np.any(free, axis=0)
    free = free[:, moving]
    per_force = FORCE * (np.count_nonzero(free) / 3) ** 0.5
    # All other atoms have the same energy in all structures.
    rows = pairs.beside(moving)
    own = moving[rows]
    pair, near, nearest = pairs.kinds(kinds, rows), pairs.of(rows), pairs.of(moving)
    stretch = np.minimum(near.distances, FAR) - 1
    fade = faded(near.distances, range_of(problem))
    ends = faded(nearest.distances, range_of(problem))
    units, root = nearest.units(), np.ones((len(energies), len(kinds)))
    values = (energies - energies.mean()) / problem.energy_unit
    weight = np.exp((values.min() - values) / ABOVE) / ENERGY

    def residuals(flat: np.ndarray) -> np.ndarray:
        logs = flat.reshape(-1, 4)
        p, q, xi, a = (table[pair] for table in _tables(logs, count))
        repulsion = a * np.exp(-p * stretch)
        band = xi**2 * np.exp(-2 * q * stretch)
        moments = np.sum(fade.value * band, axis=2)
        root[:, rows] = np.sqrt(np.where(moments > 0, moments, LONELY))
        energy = np.sum(fade.value * repulsion, axis=(1, 2))
        energy -= np.sum(root[:, rows], axis=1)
        # Forces are known of atoms that may move.
        p, q, repulsion, band = (each[..., own, :] for each in (p, q, repulsion, band))
        bond = 0.5 / root[:, moving, None] + 0.5 / nearest.of_partner(root)
        slope = ends.value * (-2 * p * repulsion + 2 * q * band * bond)
        slope += ends.slope * (2 * repulsion - bond * band)
        force = np.sum(slope[:, None] * units, axis=3)[:, free]
        return np.concatenate(
            [
                weight * (energy - energy.mean() - values),
                force.ravel() / per_force,
                (whitened @ (logs - mean).T).ravel(),
            ]
        )

    start = np.tile(mean, count * (count + 1) // 2)
    bounds = (start - FARTHEST, start + FARTHEST)
    with one_thread():
        found = least_squares(residuals, start, bounds=bounds, max_nfev=STEPS)
    errors = ENERGY * found.fun[: len(values)]
    return Fit(found.x.reshape(-1, 4), float(np.sqrt(np.mean(errors**2))))


def modelled(problem: Problem, logs: np.ndarray) -> Problem:
    """The problem with the learned potential instead of its own."""
    count = _elements(problem)
    p, q, xi, a = _tables(logs, count)
    unit, reach = problem.energy_unit, range_of(problem)
    end = None if reach is None else reach * problem.length
    potential = Gupta(
        p=p,
        q=q,
        r0=np.full_like(p, problem.length),
        xi=unit * xi,
        A=unit * a,
        # It refers to elements by index only.
        symbols=tuple(f"X{k}" for k in range(count)),
        rc=end,
        smooth=end is not None,
    )
    if not problem.regional and problem.cell is None:
        return Problem(potential, problem.system, name=problem.name)
    system = problem.system
    if end is not None:
        images = periodic_images(np.asarray(system.cell), end)
        system = replace(system, images=images)
    return Problem(
        potential,
        system,
        given=problem.given[..., :1],
        name=problem.name,
        region=problem.region,
    )
