"""Loosely bound atoms moved to the best vacant sites of a cluster's surface.

After the dynamic lattice search of X. Shao, L. Cheng and W. Cai, J. Comput. Chem. 25,
1693 (2004): the sites are those of the structure as it is, of whatever packing, and the
moves are tried at fixed positions before a few are relaxed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ase_l2h.search.population.evaluator import Candidate, Change, Decorator

__all__ = ["rearranged", "vacant_sites"]

# In bond lengths: how far the three atoms that carry a site may lie apart (the diagonal
# of a square of bonded atoms and some strain), how near an atom makes a site taken, and
# sites that are nearer than that to each other count once.
REACH = 1.6
TAKEN = 0.75
ALIKE = 0.35
# Atoms that are moved, and sites that are tried.
MOVERS = 4
SITES = 96


def vacant_sites(positions: np.ndarray, length: float) -> np.ndarray:
    """Places at the distance of a bond from three atoms, with room for another.

    Parameters
    ----------
    positions
        ``(3, n)``.
    length
        Of a bond.

    Returns
    -------
    numpy.ndarray
        ``(3, k)``, those with most atoms around them first.
    """
    points = positions.T / length
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    near = np.triu(distances < REACH, 1)
    triples = np.argwhere(near[:, :, None] & near[:, None, :] & near[None])
    a, b, c = (points[triples[:, k]] for k in range(3))
    sites = _apexes(a, b - a, c - a)
    apart = np.linalg.norm(sites[:, None] - points[None], axis=-1)
    sites, apart = (x[apart.min(axis=1) > TAKEN] for x in (sites, apart))
    around = np.sum(apart < 1.25, axis=1)
    # The more atoms touch a site, the more it binds; then the nearer they are to a
    # bond's length on average.
    strain = np.sort(np.abs(apart - 1), axis=1)[:, :3].mean(axis=1)
    order = np.lexsort((np.round(strain, 6), -around))
    sites = sites[order]
    alike = np.linalg.norm(sites[:, None] - sites[None], axis=-1) < ALIKE
    first = np.ones(len(sites), dtype=bool)
    for k in range(len(sites)):
        if first[k]:
            first[k + 1 :] &= ~alike[k, k + 1 :]
    return length * sites[first].T


def _apexes(origin: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Points at distance 1 from ``origin``, ``origin + u`` and ``origin + v``."""
    normal = np.cross(u, v)
    square = np.sum(normal**2, axis=1, keepdims=True)
    u2, v2 = (np.sum(x**2, axis=1, keepdims=True) for x in (u, v))
    sound = square[:, 0] > 1e-6
    square = np.where(sound[:, None], square, 1.0)
    centre = np.cross(u2 * v - v2 * u, normal) / (2 * square)
    height2 = 1 - np.sum(centre**2, axis=1)
    sound &= height2 > 0
    up = normal * np.sqrt(np.maximum(height2[:, None], 0) / square)
    foot = origin + centre
    return np.concatenate([(foot + up)[sound], (foot - up)[sound]])


def rearranged(
    decorator: Decorator,
    candidates: Sequence[Candidate],
    *,
    trials: int = 4,
    sweeps: int = 12,
) -> list[Candidate]:
    """Move loose atoms to vacant sites while that lowers the energy.

    Every sweep takes the energies of moving each of the atoms with the fewest
    neighbours to each vacant site, at fixed positions, and relaxes the ``trials`` best
    of these; the lowest is taken if it lies below.
    """
    return decorator.improve(
        candidates,
        lambda structures: [_moves(decorator, structure) for structure in structures],
        trials=trials,
        sweeps=sweeps,
    )


def _moves(decorator: Decorator, structure: Candidate) -> list[Change]:
    """The structure with one loose atom at a vacant site."""
    length = decorator.units(structure.composition())[0]
    positions = structure.positions
    apart = np.linalg.norm(positions[:, :, None] - positions[:, None, :], axis=0)
    # The distance to the middle decides among atoms with as many neighbours.
    middle = np.linalg.norm(positions - positions.mean(axis=1, keepdims=True), axis=0)
    neighbours = np.sum(apart < 1.25 * length, axis=0)
    loose = np.lexsort((-np.round(middle / length, 3), neighbours))[:MOVERS]
    moved: list[Change] = []
    for atom in loose:
        rest = np.delete(positions, atom, axis=1)
        for site in vacant_sites(rest, length).T[: SITES // MOVERS]:
            if np.linalg.norm(site - positions[:, atom]) > 0.5 * length:
                places = positions.copy()
                places[:, atom] = site
                moved.append((structure.species, places))
    return moved
