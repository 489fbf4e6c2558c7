"""Vacant sites of many structures at once, and loosely bound atoms moved to them.

After the dynamic lattice search of X. Shao, L. Cheng and W. Cai, J. Comput. Chem. 25,
1693 (2004): the sites follow from the structure itself, whatever its packing. A site
lies at bond distance from three neighbouring atoms, and is not taken by any atom.

When an atom moves away, the new sites are derived from those of the whole structure:
its own place and the sites that only it blocked become vacant, and the sites that it
carried vanish.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ase_l2h.search.auto import compiled, triples
from ase_l2h.search.auto.fingerprint import BOND, squared_distances
from ase_l2h.search.problem import Problem

__all__ = [
    "SiteMoves",
    "VacantSites",
    "barred_in",
    "gathered",
    "moves_in",
    "neighbours",
    "site_moves",
    "vacant_sites",
]


class VacantSites(NamedTuple):
    """Sites ``(3, k)`` of a batch, structure by structure, the most coordinated first.

    ``owners`` ``(k,)`` is the structure each belongs to, ``around`` ``(k,)`` the number
    of atoms within a bond of it.
    """

    positions: np.ndarray
    owners: np.ndarray
    around: np.ndarray


class SiteMoves(NamedTuple):
    """Trial structures ``(3, n, k)``, each with one atom at a vacant site.

    ``owners`` ``(k,)`` is the structure of the batch each was made of, in order, and
    ``movers`` ``(k,)`` the atom that moved.
    """

    positions: np.ndarray
    owners: np.ndarray
    movers: np.ndarray


def vacant_sites(
    positions: np.ndarray,
    length: float,
    cell: np.ndarray | None = None,
    barred: triples.Barred | None = None,
) -> VacantSites:
    """Places at bond distance from three atoms, with room for another atom.

    Parameters
    ----------
    positions
        ``(3, n, batch)``.
    length
        Of a bond.
    cell
        Lattice vectors as rows; None for clusters. Exact if every height of the cell
        exceeds 4.5 bond lengths: in a smaller cell two images of an atom may neighbour
        a site.
    barred
        Marks places ``(3, k)`` where no atom may be put; None allows all places.
    """
    points, box = _in_bonds(positions, length, cell)
    closed = _in_bond_lengths(barred, length)
    found = None
    if box is None and closed is None:
        found = compiled.best_sites(points)
    if found is None:
        found = triples.best_sites(points, box, closed)
    sites, owners, around = found
    return VacantSites(length * sites, owners, around)


def site_moves(
    positions: np.ndarray,
    length: float,
    rng: np.random.Generator | None = None,
    *,
    movers: int = 4,
    sites: int = 24,
    cell: np.ndarray | None = None,
    mobile: np.ndarray | None = None,
    barred: triples.Barred | None = None,
) -> SiteMoves:
    """Every structure with one of its loosest atoms at one of the best vacant sites.

    Parameters
    ----------
    positions
        ``(3, n, batch)``.
    length
        Of a bond.
    rng
        Decides among atoms with equally many neighbours; without it, atoms of a cluster
        that are further out count as looser.
    movers
        How many atoms of each structure are tried.
    sites
        The most sites for each of them: those with most neighbours first, then those
        whose distances to the neighbours differ least from a bond.
    cell, barred
        See :func:`vacant_sites`.
    mobile
        Atoms that may move, ``(n,)``; all when None. The other atoms still carry sites.
    """
    n, batch = positions.shape[1:]
    mobile = np.ones(n, bool) if mobile is None else mobile
    count = min(movers, int(mobile.sum()))
    points, box = _in_bonds(positions, length, cell)
    tie = np.zeros((batch, n)) if rng is None else rng.random((batch, n))
    if rng is None and box is None:
        middle = np.mean(points, axis=2, keepdims=True)
        out = np.sqrt(np.sum((points - middle) ** 2, axis=0))
        tie = -np.round(out, 3)
    if count == 0:
        return SiteMoves(np.zeros((3, n, 0)), np.zeros(0, int), np.zeros(0, int))
    closed = _in_bond_lengths(barred, length)
    found = None
    if box is None and closed is None:
        found = compiled.best_moves(points, tie, mobile, count, sites)
    if found is None:
        found = triples.best_moves(points, tie, mobile, count, sites, box, closed)
    site, owners, moved = found
    changed = np.take(positions, owners, axis=2)
    changed[:, moved, np.arange(len(moved))] = length * site
    return SiteMoves(changed, owners, moved)


def barred_in(problem: Problem) -> triples.Barred | None:
    """Where a problem allows no atom; None where it allows all places."""
    return problem.elsewhere if problem.regional else None


def moves_in(
    problem: Problem, positions: np.ndarray, *, movers: int, sites: int
) -> SiteMoves:
    """:func:`site_moves` of what a problem places, to where it allows that."""
    return site_moves(
        positions,
        problem.length,
        movers=movers,
        sites=sites,
        cell=problem.cell,
        mobile=problem.placed,
        barred=barred_in(problem),
    )


def _in_bond_lengths(
    barred: triples.Barred | None, length: float
) -> triples.Barred | None:
    return None if barred is None else lambda places: barred(length * places)


def neighbours(positions: np.ndarray, length: float) -> np.ndarray:
    """Neighbours of each atom of clusters ``(3, n, batch)``, as ``(n, batch)``."""
    reach = BOND * length
    near = squared_distances(positions) < reach * reach
    return np.count_nonzero(near, axis=2).T - 1


def gathered(
    positions: np.ndarray,
    length: float,
    mobile: np.ndarray | None = None,
    barred: triples.Barred | None = None,
) -> np.ndarray:
    """Clusters whose loosest atoms are moved to the best sites while that makes bonds.

    One atom after the other, with new sites each time; nothing is evaluated. Arguments
    as for :func:`site_moves`.
    """
    changed = np.array(positions)
    reach = (BOND * length) ** 2
    active = np.arange(changed.shape[2])
    # Every move makes a bond, and the number of bonds is bounded, so this ends.
    while active.size:
        held = changed[..., active]
        moves = site_moves(
            held, length, movers=1, sites=1, mobile=mobile, barred=barred
        )
        number = np.arange(len(moves.owners))
        bonds = []
        for whole in (held[..., moves.owners], moves.positions):
            way = whole - whole[:, moves.movers, number][:, None]
            bonds.append(np.sum(np.sum(way * way, axis=0) < reach, axis=0))
        more = bonds[1] > bonds[0]
        active = active[moves.owners[more]]
        changed[..., active] = moves.positions[..., more]
    return changed


def _in_bonds(
    positions: np.ndarray, length: float, cell: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Points ``(3, batch, n)`` and cell in bond lengths."""
    part = np.moveaxis(positions, -1, 1)
    points = np.ascontiguousarray(part, np.float64) / length
    return points, None if cell is None else np.asarray(cell, np.float64) / length
