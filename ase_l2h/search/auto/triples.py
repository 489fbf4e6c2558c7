"""Vacant sites in NumPy: all triples of a chunk of structures at once.

Used without a compiler and in periodic cells, and as the reference in tests of the
machine code of ``sites.cpp``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ase_l2h.search.auto.fingerprint import BOND, nearest_images
from ase_l2h.search.auto.voxels import taken_voxels

__all__ = ["Barred", "best_moves", "best_sites"]

# In bond lengths: largest distance between the three atoms that carry a site (the
# diagonal of a square of bonded atoms and some strain); an atom nearer than this takes
# a site; sites nearer to each other than this are the same.
REACH = 1.6
TAKEN = 0.75
ALIKE = 0.35
# A shorter move leaves the atom at its own site.
STAY = 0.5
# Records examined for each wanted site: different triples of atoms record the same
# site, and a hollow site on a square has four.
RECORDS = 5
# Pairs of atoms treated together; bounds the memory.
PAIRS = 2**17
# Tells which of the places ``(3, k)`` no atom may take, ``(k,)``.
Barred = Callable[[np.ndarray], np.ndarray]


class _Chunk(NamedTuple):
    """Some structures in bond lengths: batch first, then atoms.

    ``small`` are the points around the middle of each structure, in single precision;
    ``apart`` ``(3, b, n, n)`` are the vectors between atoms, ``distance`` ``(b, n, n)``
    their lengths, infinite from an atom to itself.
    """

    points: np.ndarray
    small: np.ndarray
    apart: np.ndarray
    distance: np.ndarray
    cell: np.ndarray | None


class _Records(NamedTuple):
    """One site for each triple of atoms, if no atoms but movers block it.

    ``site`` ``(3, s)``; ``owner`` ``(s,)``; ``carriers`` ``(3, s)``; ``taken`` atoms
    block it, ``around`` atoms lie within a bond, and ``strain`` is the sum over the
    latter of the deviation of their distances from a bond.
    """

    site: np.ndarray
    owner: np.ndarray
    carriers: np.ndarray
    taken: np.ndarray
    around: np.ndarray
    strain: np.ndarray


def best_sites(
    points: np.ndarray, cell: np.ndarray | None, barred: Barred | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vacant sites ``(3, k)``, their structures and how many atoms are around.

    ``points`` ``(3, b, n)`` and ``cell`` are in bond lengths, as are the sites;
    ``barred`` marks those where no atom may be put.
    """
    empty = np.zeros(0, int)
    parts = [(np.zeros((3, 0)), empty, empty)]
    for first, chunk in _chunks(points, cell):
        none = np.zeros((chunk.points.shape[1], 0), int)
        found = _records(chunk, none)
        vacant = np.flatnonzero(found.taken == 0)
        if barred is not None:
            vacant = vacant[~barred(found.site[:, vacant])]
        site, around = found.site[:, vacant], found.around[vacant]
        best, owner = _distinct(
            site, found.owner[vacant], around, found.strain[vacant], None, chunk.cell
        )
        parts.append((site[:, best], owner + first, around[best]))
    return _joined(parts)


def best_moves(
    points: np.ndarray,
    tie: np.ndarray,
    mobile: np.ndarray,
    movers: int,
    sites: int,
    cell: np.ndarray | None,
    barred: Barred | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best sites ``(3, k)`` of the loosest atoms, their structures and the atoms.

    ``points`` ``(3, b, n)`` and ``cell`` are in bond lengths, as are the sites; ``tie``
    ``(b, n)`` decides among atoms with equally many neighbours, the lowest first; for
    ``barred`` see :func:`best_sites`.
    """
    empty = np.zeros(0, int)
    parts = [(np.zeros((3, 0)), empty, empty)]
    for first, chunk in _chunks(points, cell):
        own = tie[first : first + chunk.points.shape[1]]
        neighbours = np.count_nonzero(chunk.distance < BOND, axis=2)
        neighbours[:, ~mobile] = neighbours.shape[1]
        loose = np.lexsort((own, neighbours), axis=1)[:, :movers]
        site, place = _moves(chunk, loose, sites, barred)
        parts.append((site, place // movers + first, loose.ravel()[place]))
    return _joined(parts)


def _joined(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sites, owners, numbers = zip(*parts, strict=True)
    return (
        np.concatenate(sites, axis=1),
        np.concatenate(owners),
        np.concatenate(numbers),
    )


def _chunks(
    points: np.ndarray, cell: np.ndarray | None
) -> Iterator[tuple[int, _Chunk]]:
    """Number of the first structure, and the structures, of every chunk."""
    batch, n = points.shape[1:]
    size = max(1, PAIRS // max(1, n * n))
    for first in range(0, batch, size):
        part = points[:, first : first + size]
        # Single precision halves the memory traffic, and sites are only trial places.
        if cell is None:
            middle = (part.min(axis=2) + part.max(axis=2)) / 2
            small = (part - middle[:, :, None]).astype(np.float32)
            apart = small[:, :, None, :] - small[:, :, :, None]
        else:
            small = part.astype(np.float32)
            apart = part[:, :, None, :] - part[:, :, :, None]
            apart = nearest_images(apart, cell).astype(np.float32)
        distance = np.sqrt(_squared(apart))
        distance[:, np.arange(n), np.arange(n)] = np.inf
        yield first, _Chunk(part, small, apart, distance, cell)


def _squared(ways: np.ndarray) -> np.ndarray:
    """Squared lengths of ``(3, ...)``, summed in the same order as in ``sites.cpp``."""
    x, y, z = ways
    return x * x + y * y + z * z


def _records(chunk: _Chunk, movers: np.ndarray) -> _Records:
    """Sites of the structures that no atoms but ``movers`` ``(b, m)`` block."""
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
    # Most sites are taken by an atom. Two cheap tests leave few for an exact one.
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
    vacant[site[_squared(way) < TAKEN**2]] = False
    t, apex = t[vacant], apex[:, vacant]
    taken, around, strain = _surroundings(chunk, row[t], apex)
    owner = owner[t]
    carriers = np.stack([row[t] - owner * n, j[t], k[t]])
    site = apex + chunk.points.reshape(3, -1)[:, row[t]]
    return _Records(site, owner, carriers, taken, around, strain)


def _places(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the true entries of ``(rows, columns)``, in order."""
    # Several times faster than numpy.nonzero in two dimensions, and than numpy.divmod.
    flat = np.flatnonzero(mask)
    row = flat // mask.shape[1]
    return row, flat - row * mask.shape[1]


def _apexes(
    u: np.ndarray, v: np.ndarray, u_length: np.ndarray, v_length: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points at distance 1 from the origin, ``u`` and ``v``, ``(3, t)`` each.

    They are the first result plus and minus the second; the third tells where they
    exist.
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
    """Atoms that take a site, atoms within a bond, and the strain, ``(s,)`` each.

    A site lies at bond distance from atom ``row``, displaced by ``apex``.
    """
    n = chunk.points.shape[2]
    # Atoms within a bond of the site are within two bonds of the atom. The atom itself
    # is at distance 1: within a bond and without strain.
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
    chunk: _Chunk, movers: np.ndarray, sites: int, barred: Barred | None
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
    if barred is not None:
        open_ &= ~barred(found.site)[:, None]
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
    """The best distinct sites of each group, and their groups.

    Best first within a group, at most ``limit`` of them.
    """
    # Rounded, so that sites equal by symmetry stay in the order of the atoms.
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
    # Relative to the first of each group, so that single precision is enough.
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
