"""Symmetric random starts: orbits of a random group until all atoms are placed.

The group is a point group for clusters, a space group for periodic cells, of the cell
itself or of one that is repeated in it. Orbits are at random in general and special
positions, and are spread as soft spheres without losing their symmetry. A small rattle
then keeps a quench from ending at a saddle point.

Random symmetric structures: C. J. Pickard and R. J. Needs, J. Phys.: Condens. Matter
23, 053201 (2011); A. R. Oganov, A. O. Lyakhov and M. Valle, Acc. Chem. Res. 44, 227
(2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from ase_l2h.errors import InputError
from ase_l2h.starts.groups import Group, Site, point_groups, space_groups

__all__ = ["symmetric_starts"]

# Tries with groups and orbits before a structure is made without symmetry.
TRIES = 40
# Soft spheres: step for an overlap of one diameter, most steps, and tolerated overlap.
RATE, STEPS, OVERLAP = 0.2, 60, 0.02
# Longest step, so that crowded atoms are not thrown out.
LONGEST = 0.1
# Structures with a deeper overlap are drawn again, at most this many times.
DEEPEST, ROUNDS = 0.4, 4
# Smaller distances count as this, so that no weight is infinite.
LEAST = 0.01
# Pairs of a representative and an atom treated together.
PAIRS = 2**18


class _Plan(NamedTuple):
    """Atoms ``rotations[k] @ y[orbit[k]] + translations[k]`` of one structure.

    ``first`` are the representatives of the orbits; moving them changes ``y``.
    """

    rotations: np.ndarray
    translations: np.ndarray
    orbit: np.ndarray
    first: np.ndarray


def symmetric_starts(
    n_atoms: int,
    count: int,
    rng: np.random.Generator,
    species_counts: Sequence[int] | None = None,
    *,
    cell: np.ndarray | None = None,
    rattle: float = 0.02,
) -> np.ndarray:
    """Random structures with a symmetry, ``(3, n, count)``, in bond lengths.

    Parameters
    ----------
    n_atoms, count
        Atoms of each, and how many.
    rng
        Everything follows from it.
    species_counts
        Atoms of each element, in their order. Orbits are of one element where a group
        allows that; otherwise the elements are placed at random.
    cell
        Lattice vectors as rows, in bond lengths; None for clusters.
    rattle
        Standard deviation of the noise added to every coordinate at the end.

    Raises
    ------
    InputError
        When ``species_counts`` do not add up to ``n_atoms``.
    """
    counts = [n_atoms] if species_counts is None else [int(c) for c in species_counts]
    if sum(counts) != n_atoms or min(counts, default=0) < 0:
        raise InputError(
            f"the numbers of atoms of each element {counts} do not add up to "
            f"{n_atoms}; give as many"
        )
    found = np.empty((3, n_atoms, count))
    if n_atoms == 0 or count == 0:
        return found
    if cell is not None:
        cell = np.asarray(cell, np.float64)
    missing = np.arange(count)
    for _ in range(ROUNDS):
        plans = [_plan(n_atoms, counts, rng, cell) for _ in missing]
        made, deepest = _spread_all(plans, rng.random((len(plans), n_atoms, 3)), cell)
        for k, plan in enumerate(plans):
            if len(counts) > 1 and _mixed(plan, counts):
                made[..., k] = made[:, rng.permutation(n_atoms), k]
        found[..., missing] = made
        # Symmetry may hold atoms too near each other; such starts are drawn again.
        missing = missing[deepest > DEEPEST]
        if not len(missing):
            break
    return found + rng.normal(scale=rattle, size=found.shape)


def _spread_all(
    plans: Sequence[_Plan], chance: np.ndarray, cell: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Apply :func:`_spread` to batches with similar numbers of orbits."""
    n_atoms = chance.shape[1]
    made, deepest = np.empty((3, n_atoms, len(plans))), np.empty(len(plans))
    orbits = np.array([len(plan.first) for plan in plans])
    order = np.argsort(orbits, kind="stable")
    while len(order):
        ordered = orbits[order]
        together = ordered <= 1.5 * ordered[0] + 1
        together &= np.arange(1, len(order) + 1) * ordered * n_atoms <= PAIRS
        size = max(1, int(np.sum(together)))
        part, order = order[:size], order[size:]
        positions, overlap = _spread([plans[k] for k in part], chance[part], cell)
        made[..., part], deepest[part] = positions, overlap
    return made, deepest


def _mixed(plan: _Plan, counts: Sequence[int]) -> bool:
    """Whether an orbit has atoms of two elements."""
    edges = np.cumsum(counts)[:-1]
    edges = edges[(edges > 0) & (edges < len(plan.orbit))]
    return bool(np.any(plan.orbit[edges] == plan.orbit[edges - 1]))


def _plan(
    n_atoms: int,
    counts: Sequence[int],
    rng: np.random.Generator,
    cell: np.ndarray | None,
) -> _Plan:
    """Random orbits of a group that add up to each element, or to all atoms."""
    for number in range(2 * TRIES):
        wanted = list(counts) if number < TRIES else [n_atoms]
        repeats = np.ones(3, int)
        if cell is None:
            groups = point_groups()
            group = groups[int(rng.integers(len(groups)))]
            room = (3 * n_atoms / (4 * np.pi * 2**0.5)) ** (1 / 3)
        else:
            repeats = _repeats(wanted, rng)
            group = space_groups(cell / repeats[:, None]).draw(rng)
            room = (n_atoms / np.prod(repeats)) ** (1 / 3)
        parts = [c // int(np.prod(repeats)) for c in wanted]
        chosen = _filled(group, parts, room, rng)
        if chosen is not None:
            return _assembled(chosen, repeats, cell)
    general = Site(3, np.eye(3)[None], np.zeros((1, 3)), np.inf)
    return _assembled([general] * n_atoms, np.ones(3, int), cell)


def _repeats(counts: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Repeats of a smaller cell along each vector, 1 or 2."""
    possible = [
        repeats
        for repeats in product((1, 2), repeat=3)
        if all(c % np.prod(repeats) == 0 for c in counts)
    ]
    return np.array(possible[int(rng.integers(len(possible)))])


@lru_cache(maxsize=4096)
def _unlimited_sums(sizes: tuple[int, ...], most: int) -> frozenset[int]:
    """Numbers up to ``most`` that are sums of ``sizes``, each used repeatedly."""
    found = {0}
    for size in sizes:
        for number in range(size, most + 1):
            if number - size in found:
                found.add(number)
    return frozenset(found)


@lru_cache(maxsize=4096)
def _single_sums(sizes: tuple[int, ...], most: int) -> frozenset[int]:
    """Numbers up to ``most`` that are sums of ``sizes``, each used at most once."""
    found = {0}
    for size in sizes:
        found |= {number + size for number in found if number + size <= most}
    return frozenset(found)


def _filled(
    group: Group, counts: Sequence[int], room: float, rng: np.random.Generator
) -> list[Site] | None:
    """Sites whose orbits add up to the atoms of each element; None if there are none.

    Special positions take a random part of the orbits that fit.
    """
    sites, most = group.sites, max(counts)
    sizes = [site.size for site in sites]
    points = [site.dimension == 0 for site in sites]
    repeated = tuple(sorted({k for k, p in zip(sizes, points, strict=True) if not p}))
    sums = _unlimited_sums(repeated, most)
    left = _left(sites, room, most, rng)
    chosen: list[Site] = []
    for count in counts:
        missing = count
        while missing:
            single = [k for k, p in enumerate(points) if p and left[k]]

            def completes(k: int, missing: int = missing, single=single) -> bool:
                """Whether other sites can supply the atoms missing after site k."""
                others = tuple(sorted(sizes[other] for other in single if other != k))
                rest = missing - sizes[k]
                return any(rest - n in sums for n in _single_sums(others, most))

            possible = [
                k
                for k, size in enumerate(sizes)
                if size <= missing and (left[k] > 0 or not points[k]) and completes(k)
            ]
            # A site is overfilled only if nothing else adds up.
            possible = [k for k in possible if left[k] > 0] or possible
            if not possible:
                return None
            kinds = sorted({(sites[k].dimension, sizes[k]) for k in possible})
            kind = kinds[int(rng.integers(len(kinds)))]
            alike = [k for k in possible if (sites[k].dimension, sizes[k]) == kind]
            k = alike[int(rng.integers(len(alike)))]
            left[k] -= 1
            missing -= sizes[k]
            chosen.append(sites[k])
    return chosen


def _left(
    sites: Sequence[Site], room: float, most: int, rng: np.random.Generator
) -> list[int]:
    """The number of orbits each site may hold: random, up to its capacity."""
    chance = rng.random(len(sites)).tolist()
    left = []
    for site, part in zip(sites, chance, strict=True):
        if site.dimension in (0, 3):
            left.append(1 if site.dimension == 0 else most)
        else:
            full = max(1, round(site.capacity * room**site.dimension))
            left.append(int(part * (full + 1)))
    return left


def _assembled(
    chosen: Sequence[Site], repeats: np.ndarray, cell: np.ndarray | None
) -> _Plan:
    """The orbits of all sites, in the whole cell."""
    copies = np.zeros((1, 3))
    if cell is not None:
        steps = np.array(list(product(*(range(r) for r in repeats))), float)
        copies = steps @ (cell / repeats[:, None])
    rotations = np.concatenate(
        [np.repeat(site.rotations, len(copies), axis=0) for site in chosen]
    )
    translations = np.concatenate(
        [(s.translations[:, None] + copies).reshape(-1, 3) for s in chosen]
    )
    sizes = np.array([site.size * len(copies) for site in chosen])
    orbit = np.repeat(np.arange(len(chosen)), sizes)
    return _Plan(rotations, translations, orbit, np.cumsum(sizes) - sizes)


def _spread(
    plans: Sequence[_Plan], chance: np.ndarray, cell: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions ``(3, n, batch)``: random orbits, then soft spheres of diameter 1.

    ``chance`` ``(batch, n, 3)`` is uniform between 0 and 1. Also returns the deepest
    remaining overlap of each, ``(batch,)``.
    """
    batch, n = chance.shape[:2]
    most = max(len(plan.first) for plan in plans)
    rotations = np.stack([plan.rotations for plan in plans])
    translations = np.stack([plan.translations for plan in plans])
    orbit = np.stack([plan.orbit for plan in plans])
    first = np.zeros((batch, most), int)
    real = np.zeros((batch, most, 1))
    for k, plan in enumerate(plans):
        first[k, : len(plan.first)] = plan.first
        real[k, : len(plan.first)] = 1
    rows = np.arange(batch)[:, None]
    # The first operation of an orbit is the projection on its site, so this moves along
    # the site only.
    projectors = rotations[rows, first]
    free = _random_points(chance[:, :most], n, cell)
    for step in range(STEPS + 1):
        atoms = _applied(rotations, free[rows, orbit]) + translations
        push, deepest = _pushes(atoms, first, cell)
        if step == STEPS or deepest.max() < OVERLAP:
            break
        move = RATE * real * _applied(projectors, push)
        far = np.linalg.norm(move, axis=2, keepdims=True)
        free = free + move * np.minimum(1, LONGEST / np.maximum(far, LONGEST))
    return np.moveaxis(atoms, -1, 0).swapaxes(1, 2), deepest


def _applied(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Products of ``(..., 3, 3)`` and ``(..., 3)``."""
    x, y, z = (matrices[..., k] * vectors[..., k : k + 1] for k in range(3))
    return x + y + z


def _random_points(
    chance: np.ndarray, n_atoms: int, cell: np.ndarray | None
) -> np.ndarray:
    """Points uniform in a ball that the atoms fill, or in the cell: ``(b, m, 3)``."""
    if cell is not None:
        return chance @ cell
    z, turn = 2 * chance[..., 0] - 1, 2 * np.pi * chance[..., 1]
    flat = np.sqrt(1 - z * z)
    direction = np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=-1)
    ball = (3 * n_atoms / (4 * np.pi * 2**0.5)) ** (1 / 3)
    return ball * np.cbrt(chance[..., 2:]) * direction


def _pushes(
    atoms: np.ndarray, first: np.ndarray, cell: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Pushes ``(b, m, 3)`` on some atoms of ``(b, n, 3)``, summed over overlaps.

    The atoms are ``first`` ``(b, m)``. Also returns the deepest overlap of each
    structure.
    """
    rows = np.arange(len(atoms))[:, None]
    way = None
    if cell is None:
        atoms = atoms.astype(np.float32)
        some = atoms[rows, first]
        squared = -2 * some @ np.swapaxes(atoms, 1, 2)
        squared += np.sum(some * some, axis=2)[..., None]
        squared += np.sum(atoms * atoms, axis=2)[:, None]
    else:
        some = atoms[rows, first]
        scaled = np.moveaxis(atoms @ np.linalg.inv(cell), -1, 0).astype(np.float32)
        turns = scaled[:, rows, first][..., None] - scaled[:, :, None]
        turns -= np.round(turns)
        way = np.tensordot(cell.T.astype(np.float32), turns, axes=1)
        squared = way[0] ** 2 + way[1] ** 2 + way[2] ** 2
    squared[rows, np.arange(first.shape[1]), first] = 1.0
    np.clip(squared, LEAST**2, 1.0, out=squared)
    distance = np.sqrt(squared)
    overlap = 1 - distance
    weight = overlap / distance
    deepest = overlap.max(axis=(1, 2))
    if way is not None:
        return np.moveaxis(np.sum(weight * way, axis=-1), 0, -1), deepest
    return some * weight.sum(axis=2)[..., None] - weight @ atoms, deepest
