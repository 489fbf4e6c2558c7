"""Vacant sites of many structures at once, and loosely bound atoms moved to them.

After the dynamic lattice search of X. Shao, L. Cheng and W. Cai, J. Comput. Chem. 25,
1693 (2004): the sites are those of the structure as it is, of whatever packing. A site
lies at the distance of a bond from three atoms near each other, and no atom takes it.

The sites that are left when an atom moves away are derived from those of the whole
structure: its own place and what only it blocks become vacant, what it carried is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ase_l2h.search.auto.fingerprint import BOND, nearest_images
from ase_l2h.search.auto.voxels import taken_voxels

__all__ = [
    "SiteMoves",
    "VacantSites",
    "site_moves",
    "vacant_sites",
]

# In bond lengths: how far the three atoms that carry a site may lie apart (the diagonal
# of a square of bonded atoms and some strain), how near an atom makes a site taken, and
# sites that are nearer than that to each other count once.
REACH = 1.6
TAKEN = 0.75
ALIKE = 0.35
# A move to a place nearer than this is none.
STAY = 0.5
# Records of one site, by different triples of atoms, that are looked at for each site
# that is wanted: four carry the hollow of a square.
RECORDS = 5
# Pairs of atoms that are looked at together: bounds the memory.
PAIRS = 2**17


class VacantSites(NamedTuple):
    """Sites ``(3, k)`` of a batch, structure by structure, those that bind most first.

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


class _Chunk(NamedTuple):
    """Some structures in bond lengths: batch first, then atoms.

    ``small`` are the points around a middle of each structure, in single precision,
    ``apart`` ``(3, b, n, n)`` is the way from one atom to another, ``distance``
    ``(b, n, n)`` its length, infinite from an atom to itself.
    """

    points: np.ndarray
    small: np.ndarray
    apart: np.ndarray
    distance: np.ndarray
    cell: np.ndarray | None


class _Records(NamedTuple):
    """A site for each triple that carries one which only movers may block.

    ``site`` ``(3, s)``; ``owner`` ``(s,)``; ``carriers`` ``(3, s)``; ``taken`` how many
    atoms block it, ``around`` how many lie within a bond, and ``strain`` the sum over
    these of how much their distances differ from a bond.
    """

    site: np.ndarray
    owner: np.ndarray
    carriers: np.ndarray
    taken: np.ndarray
    around: np.ndarray
    strain: np.ndarray


def vacant_sites(
    positions: np.ndarray, length: float, cell: np.ndarray | None = None
) -> VacantSites:
    """Places at the distance of a bond from three atoms, with room for another.

    Parameters
    ----------
    positions
        ``(3, n, batch)``.
    length
        Of a bond.
    cell
        Lattice vectors as rows; None for clusters. Exact where every height of the cell
        exceeds 4.5 bond lengths: otherwise an atom may be two neighbours of a site.
    """
    parts = [VacantSites(np.zeros((3, 0)), np.zeros(0, int), np.zeros(0, int))]
    for first, chunk in _chunks(positions, length, cell):
        none = np.zeros((chunk.points.shape[1], 0), int)
        found = _records(chunk, none)
        vacant = np.flatnonzero(found.taken == 0)
        site, around = found.site[:, vacant], found.around[vacant]
        best, owner = _distinct(
            site, found.owner[vacant], around, found.strain[vacant], None, chunk.cell
        )
        parts.append(VacantSites(length * site[:, best], owner + first, around[best]))
    sites, owners, around = zip(*parts, strict=True)
    return VacantSites(
        np.concatenate(sites, axis=1), np.concatenate(owners), np.concatenate(around)
    )


def site_moves(
    positions: np.ndarray,
    length: float,
    rng: np.random.Generator | None = None,
    *,
    movers: int = 4,
    sites: int = 24,
    cell: np.ndarray | None = None,
    free: np.ndarray | None = None,
) -> SiteMoves:
    """Every structure with one of its loosest atoms at one of the best vacant sites.

    Parameters
    ----------
    positions
        ``(3, n, batch)``.
    length
        Of a bond.
    rng
        Decides among atoms with as many neighbours; without it, those of a cluster that
        are further out are looser.
    movers
        How many atoms of each structure are tried.
    sites
        How many sites at most for each of them: those with most atoms around them
        first, then those whose distances to these differ least from a bond.
    cell
        See :func:`vacant_sites`.
    free
        Coordinates that may move, ``(3, n)``. Fixed atoms do not move, and carry sites.
    """
    n, batch = positions.shape[1:]
    mobile = np.ones(n, bool) if free is None else np.all(free, axis=0)
    count = min(movers, int(mobile.sum()))
    empty = np.zeros(0, int)
    parts = [(np.zeros((3, 0)), empty, empty)]
    chance = None if rng is None else rng.random((batch, n))
    for first, chunk in _chunks(positions, length, cell) if count else ():
        size = chunk.points.shape[1]
        drawn = None if chance is None else chance[first : first + size]
        loose = _loosest(chunk, mobile, drawn)[:, :count]
        site, place = _moves(chunk, loose, sites)
        parts.append((length * site, place // count + first, loose.ravel()[place]))
    site, owners, moved = (
        np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)
    )
    changed = np.take(positions, owners, axis=2)
    changed[:, moved, np.arange(len(moved))] = site
    return SiteMoves(changed, owners, moved)


def _chunks(
    positions: np.ndarray, length: float, cell: np.ndarray | None
) -> Iterator[tuple[int, _Chunk]]:
    """Number of the first structure, and the structures, of every chunk."""
    n, batch = positions.shape[1:]
    size = max(1, PAIRS // max(1, n * n))
    box = None if cell is None else np.asarray(cell, np.float64) / length
    for first in range(0, batch, size):
        part = np.moveaxis(positions[..., first : first + size], -1, 1)
        points = np.ascontiguousarray(part, np.float64) / length
        # Single precision halves the memory to go through, and sites are but trials.
        if box is None:
            middle = (points.min(axis=2) + points.max(axis=2)) / 2
            small = (points - middle[:, :, None]).astype(np.float32)
            apart = small[:, :, None, :] - small[:, :, :, None]
        else:
            small = points.astype(np.float32)
            apart = points[:, :, None, :] - points[:, :, :, None]
            apart = nearest_images(apart, box).astype(np.float32)
        squared = np.einsum("kbij,kbij->bij", apart, apart)
        distance = np.sqrt(squared, out=squared)
        distance[:, np.arange(n), np.arange(n)] = np.inf
        yield first, _Chunk(points, small, apart, distance, box)


def _loosest(
    chunk: _Chunk, mobile: np.ndarray, chance: np.ndarray | None
) -> np.ndarray:
    """Atoms with the fewest neighbours first, ``(b, n)``; fixed ones last."""
    neighbours = np.count_nonzero(chunk.distance < BOND, axis=2)
    neighbours[:, ~mobile] = neighbours.shape[1]
    tie = np.zeros(neighbours.shape)
    if chance is not None:
        tie = chance
    elif chunk.cell is None:
        middle = np.mean(chunk.points, axis=2, keepdims=True)
        out = np.sqrt(np.sum((chunk.points - middle) ** 2, axis=0))
        tie = -np.round(out, 3)
    return np.lexsort((tie, neighbours), axis=1)


def _records(chunk: _Chunk, movers: np.ndarray) -> _Records:
    """Sites of the structures that nothing blocks but ``movers`` ``(b, m)``."""
    b, n = chunk.points.shape[1:]
    apart, distance = chunk.apart.reshape(3, -1), chunk.distance.ravel()
    near = chunk.distance < REACH
    rows = near.reshape(-1, n)
    # Pairs of near atoms, then triples: rows are atoms of the chunk, j < k atoms.
    row, j = _places((near & np.triu(np.ones((n, n), bool))).reshape(-1, n))
    common = rows[row] & rows[row - row % n + j]
    of_pair, k = _places(common & (np.arange(n) > j[:, None]))
    row, j = row[of_pair], j[of_pair]
    first, second = row * n + j, row * n + k
    third = first - row % n * n - j + j * n + k
    foot, up, sound = _apexes(
        apart[:, first], apart[:, second], distance[first], distance[second]
    )
    blocks = np.ones((b, n), bool)
    blocks[np.arange(b)[:, None], movers] = False
    # Most are taken by an atom. Two cheap tests leave few for a closer look.
    owner = row // n
    base = foot + chunk.small.reshape(3, -1)[:, row]
    taken = taken_voxels(chunk.small, chunk.cell, blocks, TAKEN)
    above = np.flatnonzero(sound & ~taken(owner, base + up))
    below = np.flatnonzero(sound & ~taken(owner, base - up))
    t = np.concatenate([above, below])
    apex = foot[:, t]
    apex[:, : len(above)] += up[:, above]
    apex[:, len(above) :] -= up[:, below]
    shared = common[of_pair[t]] & rows[third[t] // n] & blocks[owner[t]]
    site, atom = _places(shared)
    way = apart[:, row[t[site]] * n + atom] - apex[:, site]
    vacant = np.ones(len(t), bool)
    vacant[site[np.einsum("ks,ks->s", way, way) < TAKEN**2]] = False
    t, apex = t[vacant], apex[:, vacant]
    taken, around, strain = _surroundings(chunk, row[t], apex)
    owner = owner[t]
    carriers = np.stack([row[t] - owner * n, j[t], k[t]])
    site = apex + chunk.points.reshape(3, -1)[:, row[t]]
    return _Records(site, owner, carriers, taken, around, strain)


def _places(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what is true in ``(rows, columns)``, in order."""
    # Several times faster than numpy.nonzero in two dimensions, and than numpy.divmod.
    flat = np.flatnonzero(mask)
    row = flat // mask.shape[1]
    return row, flat - row * mask.shape[1]


def _apexes(
    u: np.ndarray, v: np.ndarray, u_length: np.ndarray, v_length: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points at distance 1 from the origin, ``u`` and ``v``, ``(3, t)`` each.

    They are the first result plus and minus the second, where the third is true.
    """
    u2, v2 = u_length * u_length, v_length * v_length
    uv = u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
    square = u2 * v2 - uv * uv
    sound = square > 1e-4
    square[~sound] = 1.0
    along_u = v2 * (u2 - uv) / (2 * square)
    along_v = u2 * (v2 - uv) / (2 * square)
    height2 = 1 - (along_u * u2 + along_v * v2) / 2
    sound &= height2 > 0
    rise = np.sqrt(np.maximum(height2, 0) / square)
    up = np.stack(
        [
            (u[1] * v[2] - u[2] * v[1]) * rise,
            (u[2] * v[0] - u[0] * v[2]) * rise,
            (u[0] * v[1] - u[1] * v[0]) * rise,
        ]
    )
    return along_u * u + along_v * v, up, sound


def _surroundings(
    chunk: _Chunk, row: np.ndarray, apex: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms that take a site, atoms within a bond and their strain, ``(s,)`` each.

    A site lies at the distance of a bond from atom ``row``, at ``apex`` from it.
    """
    n = chunk.points.shape[2]
    # What is within a bond of the site is within one more of the atom. The atom itself
    # is at distance 1, within a bond and without strain.
    rows, inverse = np.unique(row, return_inverse=True)
    line, atom = _places(chunk.distance.reshape(-1, n)[rows] < 1 + BOND)
    counts = np.bincount(line, minlength=len(rows))
    place = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = int(counts.max(initial=0))
    slot, source = line * width + place, rows[line] * n + atom
    squared = np.zeros((len(row), width), np.float32)
    for along, toward in zip(chunk.apart.reshape(3, -1), apex, strict=True):
        ways = np.full((len(rows), width), np.inf, np.float32)
        ways.ravel()[slot] = along[source]
        difference = ways[inverse]
        difference -= toward[:, None]
        difference *= difference
        squared += difference
    taken = np.count_nonzero(squared < TAKEN**2, axis=1)
    which, column = _places(squared < BOND**2)
    strain = np.abs(np.sqrt(squared[which, column]) - 1)
    around = 1 + np.bincount(which, minlength=len(row))
    return taken, around, np.bincount(which, strain, minlength=len(row))


def _moves(
    chunk: _Chunk, movers: np.ndarray, sites: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best sites of every mover, ``(3, k)``, and which of ``movers`` ``(k,)``."""
    found = _records(chunk, movers)
    n = chunk.points.shape[2]
    mover = movers[found.owner]
    points = chunk.points.reshape(3, -1)
    way = points[:, found.owner[:, None] * n + mover] - found.site[:, :, None]
    if chunk.cell is not None:
        way = nearest_images(way, chunk.cell)
    far = np.sqrt(np.sum(way * way, axis=0))
    carried = np.any(found.carriers[:, :, None] == mover, axis=0)
    open_ = ~carried & (found.taken[:, None] == (far < TAKEN)) & (far > STAY)
    record, which = np.nonzero(open_)
    distance = far[record, which]
    touching = distance < BOND
    around = found.around[record] - touching
    strain = found.strain[record] - touching * np.abs(distance - 1)
    group = found.owner[record] * movers.shape[1] + which
    best, place = _distinct(
        found.site[:, record], group, around, strain, sites, chunk.cell
    )
    return found.site[:, record[best]], place


def _distinct(
    site: np.ndarray,
    group: np.ndarray,
    around: np.ndarray,
    strain: np.ndarray,
    limit: int | None,
    cell: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The best sites of each group that are unlike each other, and their groups.

    Best first within a group, at most ``limit`` of them.
    """
    # Rounded: sites that are alike by symmetry stay in the order of the atoms.
    order = np.lexsort((np.round(strain / around, 4), -around, group))
    groups, start, counts = np.unique(
        group[order], return_index=True, return_counts=True
    )
    if not len(groups):
        return np.zeros(0, int), np.zeros(0, int)
    most = int(counts.max())
    width = most if limit is None else min(most, RECORDS * limit)
    column = np.arange(width)
    left = column < counts[:, None]
    record = order[np.minimum(start[:, None] + column, len(order) - 1)]
    # From the first of each group, so that single precision will do.
    places = site[:, record]
    places = (places - places[:, :, :1]).astype(np.float32)
    rows = np.arange(len(groups))
    chosen: list[np.ndarray] = []
    valid: list[np.ndarray] = []
    while left.any() and (limit is None or len(chosen) < limit):
        first = left.argmax(axis=1)
        valid.append(left[rows, first])
        chosen.append(record[rows, first])
        way = places - places[:, rows, first][:, :, None]
        if cell is not None:
            way = nearest_images(way, cell)
        way *= way
        left &= way[0] + way[1] + way[2] >= ALIKE**2
    kept = np.stack(valid, axis=1)
    return np.stack(chosen, axis=1)[kept], np.repeat(groups, kept.sum(axis=1))
