"""Point groups and space groups as orbits of symmetry-equivalent positions.

A *site* is a kind of place in a group: the centre, an axis, a plane or a general
position. Any vector ``y``, projected on the site, has the orbit ``rotations @ y +
translations``; so an orbit follows its ``y`` and keeps its size.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from itertools import product
from typing import NamedTuple

import numpy as np

__all__ = ["Group", "Site", "SpaceGroups", "point_groups", "space_groups"]

TOLERANCE = 1e-6
GOLDEN = (1 + 5**0.5) / 2
# Cyclic and dihedral groups have axes of at most this order.
MOST_FOLD = 6
HALL_NUMBERS = 530
# Most lines and planes considered in a space group.
MOST_SITES = 60


class Site(NamedTuple):
    """A kind of place; ``dimension`` 0 is a point, 1 a line, 2 a plane, 3 anywhere.

    ``rotations`` ``(size, 3, 3)`` and ``translations`` ``(size, 3)`` make its orbit,
    the place itself first; the projection is part of the rotations. About ``capacity``
    times r to the power of ``dimension`` orbits fit into a ball of radius r.
    """

    dimension: int
    rotations: np.ndarray
    translations: np.ndarray
    capacity: float

    @property
    def size(self) -> int:
        """Number of positions of an orbit."""
        return len(self.rotations)


class Group(NamedTuple):
    """A name, and the group's sites, including the general one."""

    name: str
    sites: tuple[Site, ...]


def _turn(axis: Sequence[int | float], fold: int) -> np.ndarray:
    """Rotation by 1/fold of a turn around an axis."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = 2 * np.pi / fold
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _distinct(arrays: np.ndarray) -> np.ndarray:
    """Indices of the first of equal entries along the first axis, in order."""
    if not len(arrays):
        return np.zeros(0, int)
    flat = np.round(arrays.reshape(len(arrays), -1), 6) + 0.0
    _, first = np.unique(flat, axis=0, return_index=True)
    return np.sort(first)


def _closed(generators: Sequence[np.ndarray]) -> np.ndarray:
    """All products of some matrices, ``(g, 3, 3)``, the identity first."""
    found = np.eye(3)[None]
    while True:
        more = np.einsum("iab,jbc->ijac", found, np.array(generators)).reshape(-1, 3, 3)
        together = np.concatenate([found, more])
        together = together[_distinct(together)]
        if len(together) == len(found):
            return found
        found = together


def _point_group_generators() -> dict[str, list[np.ndarray]]:
    """By Schoenflies symbol; all groups but the trivial one, none twice."""
    inversion, across = -np.eye(3), np.diag([1.0, 1, -1])
    upright, half = np.diag([1.0, -1, 1]), _turn([1, 0, 0], 2)
    made = {"Ci": [inversion], "Cs": [across]}
    for n in range(2, MOST_FOLD + 1):
        turn, improper = _turn([0, 0, 1], n), across @ _turn([0, 0, 1], 2 * n)
        made |= {
            f"C{n}": [turn],
            f"C{n}v": [turn, upright],
            f"C{n}h": [turn, across],
            f"D{n}": [turn, half],
            f"D{n}h": [turn, half, across],
            f"D{n}d": [improper, half],
            f"S{2 * n}": [improper],
        }
    third, quarter = _turn([1, 1, 1], 3), _turn([0, 0, 1], 4)
    fifth, two = _turn([0, 1, GOLDEN], 5), _turn([0, 0, 1], 2)
    return made | {
        "T": [third, two],
        "Td": [third, across @ quarter],
        "Th": [third, two, inversion],
        "O": [third, quarter],
        "Oh": [third, quarter, inversion],
        "I": [third, fifth],
        "Ih": [third, fifth, inversion],
    }


@lru_cache(maxsize=1)
def point_groups() -> tuple[Group, ...]:
    """The point groups with axes up to the sixth order, but the trivial one."""
    made = _point_group_generators().items()
    return tuple(Group(name, _point_sites(_closed(group))) for name, group in made)


def _point_sites(operations: np.ndarray) -> tuple[Site, ...]:
    """Centre, axes, planes and general position; one of each set of equivalent ones."""
    spaces = [np.eye(3), operations.mean(axis=0)]
    for operation in operations:
        powers = _closed([operation])
        spaces.append(powers.mean(axis=0))
    sites, seen = [], np.zeros((0, 3, 3))
    for space in np.array(spaces)[_distinct(np.array(spaces))]:
        if np.any(np.all(np.abs(seen - space) < TOLERANCE, axis=(1, 2))):
            continue
        alike = operations @ space @ np.swapaxes(operations, 1, 2)
        alike = alike[_distinct(alike)]
        seen = np.concatenate([seen, alike])
        images = operations @ space
        images = images[_distinct(images)]
        dimension = round(float(np.trace(space)))
        # Atoms of unit diameter in a ball of radius 1, along a diameter or in a plane
        # through the centre; an orbit fills ``len(images)`` of these places.
        room = [1.0, 2.0, np.pi * 2 / 3**0.5, np.inf][dimension]
        capacity = room * len(alike) / len(images)
        sites.append(Site(dimension, images, np.zeros((len(images), 3)), capacity))
    return tuple(sites)


@lru_cache(maxsize=1)
def _database() -> tuple[tuple[str, int, np.ndarray, np.ndarray], ...]:
    """Name, number, rotations and translations of all settings of all space groups."""
    # Imported here, because only crystals need it.
    spglib = import_module("spglib")
    found = []
    for hall in range(2, HALL_NUMBERS + 1):
        # spglib 2.7 and 2.8 warn about future errors even when nothing failed.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            kind = spglib.get_spacegroup_type(hall)
            operations = spglib.get_symmetry_from_database(hall)
        found.append(
            (
                f"{kind.international_short} ({hall})",
                int(kind.number),
                np.asarray(operations["rotations"], float),
                np.asarray(operations["translations"], float),
            )
        )
    return tuple(found)


class SpaceGroups:
    """The space groups that a cell admits: those whose operations keep its metric.

    Parameters
    ----------
    cell
        Lattice vectors as rows.
    """

    def __init__(self, cell: np.ndarray) -> None:
        self.cell = cell
        metric = cell @ cell.T
        size = np.abs(metric).max()
        self.numbers: dict[int, list[int]] = {}
        self._made: dict[int, Group] = {}
        for index, (_, number, rotations, _) in enumerate(_database()):
            turned = np.swapaxes(rotations, 1, 2) @ metric @ rotations
            if np.all(np.abs(turned - metric) < TOLERANCE * size):
                self.numbers.setdefault(number, []).append(index)

    def draw(self, rng: np.random.Generator) -> Group:
        """A group at random, and one of its settings."""
        kinds = list(self.numbers.values())
        settings = kinds[int(rng.integers(len(kinds)))]
        index = settings[int(rng.integers(len(settings)))]
        if index not in self._made:
            to_cell, from_cell = self.cell.T, np.linalg.inv(self.cell.T)
            sites = tuple(
                site._replace(
                    rotations=to_cell @ site.rotations @ from_cell,
                    translations=site.translations @ self.cell,
                )
                for site in _space_sites(index)
            )
            self._made[index] = Group(_database()[index][0], sites)
        return self._made[index]


@lru_cache(maxsize=32)
def _space_groups(cell: tuple[float, ...]) -> SpaceGroups:
    return SpaceGroups(np.reshape(cell, (3, 3)))


def space_groups(cell: np.ndarray) -> SpaceGroups:
    """Those of a cell (lattice vectors as rows), made once."""
    return _space_groups(tuple(np.round(cell, 9).ravel().tolist()))


@lru_cache(maxsize=HALL_NUMBERS)
def _space_sites(index: int) -> tuple[Site, ...]:
    """Sites of a space group of the database, fractional."""
    _, _, rotations, translations = _database()[index]
    projectors, offsets = _fixed_spaces(rotations, translations)
    # Points where axes meet.
    lines = np.flatnonzero(np.isclose(np.trace(projectors, axis1=1, axis2=2), 1))
    points = _crossings(projectors[lines], offsets[lines])
    projectors = np.concatenate(
        [np.eye(3)[None], projectors, np.zeros((len(points), 3, 3))]
    )
    offsets = np.concatenate([np.zeros((1, 3)), offsets, points])
    # A general point of each space, and its orbit.
    generic = projectors @ np.array([0.1234, 0.3719, 0.2871]) + offsets
    images = np.einsum("gab,mb->mga", rotations, generic) + translations
    sites, seen = [], []
    for projector, offset, orbit in zip(projectors, offsets, images, strict=True):
        dimension = round(float(np.trace(projector)))
        folded = np.round(np.mod(orbit + TOLERANCE / 2, 1), 4) % 1
        first = _distinct(folded)
        if dimension < 3:
            places = np.sort(folded[first] @ [1.0, 1e5, 1e10])
            if any(len(p) == len(places) and np.all(p == places) for p in seen):
                continue
            seen.append(places)
        turns = rotations[first] @ projector
        moves = rotations[first] @ offset + translations[first]
        capacity = [1.0, 1.0, 1.0, np.inf][dimension]
        sites.append(Site(dimension, turns, moves, capacity))
    return tuple(sites)


def _fixed_spaces(
    rotations: np.ndarray, translations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fixed spaces of single operations: projectors and offsets, fractional."""
    shifts = np.array(list(product((-1.0, 0, 1), repeat=3)))
    projectors, offsets = [], []
    for rotation, translation in zip(rotations[1:], translations[1:], strict=True):
        powers = [np.eye(3)]
        while not np.allclose(powers[-1] @ rotation, np.eye(3)):
            powers.append(powers[-1] @ rotation)
        space = np.mean(powers, axis=0)
        moves = translation + shifts
        # Screws and glides have no fixed points.
        moves = moves[np.all(np.abs(moves @ space.T) < TOLERANCE, axis=1)]
        # A fixed point: the mean of the origin's images under the operation's powers.
        sums = np.cumsum([np.zeros((3, 3)), *powers[:-1]], axis=0)
        middle = moves @ np.mean(sums, axis=0).T
        middle = middle[np.all((middle > -TOLERANCE) & (middle < 1), axis=1)]
        projectors.append(np.repeat(space[None], len(middle), axis=0))
        offsets.append(middle)
    if not projectors:
        return np.zeros((0, 3, 3)), np.zeros((0, 3))
    spaces, places = np.concatenate(projectors), np.concatenate(offsets)
    together = np.concatenate([spaces.reshape(-1, 9), places], axis=1)
    first = _distinct(together)
    if len(first) > MOST_SITES:
        # Thinned evenly, so that points, lines and planes of all directions remain.
        traces = np.trace(spaces[first], axis1=1, axis2=2)
        points = first[traces < 0.5]
        rest = first[traces > 0.5]
        first = np.concatenate([points, rest[:: -(-len(rest) // MOST_SITES)]])
    return spaces[first], places[first]


def _crossings(projectors: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Common points of two lines, ``(k, 3)``, fractional."""
    count = len(projectors)
    if count < 2:
        return np.zeros((0, 3))
    a, b = np.triu_indices(count, 1)
    # Least squares: the point whose distances from both lines vanish.
    away = np.eye(3) - projectors
    normal = np.swapaxes(away, 1, 2) @ away
    right = np.einsum("kab,kb->ka", normal, offsets)
    both = normal[a] + normal[b]
    sound = np.abs(np.linalg.det(both)) > 1e-3
    a, b, both = a[sound], b[sound], both[sound]
    points = np.linalg.solve(both, (right[a] + right[b])[..., None])[..., 0]
    miss = np.abs(np.einsum("kab,kb->ka", away[a], points - offsets[a]))
    miss += np.abs(np.einsum("kab,kb->ka", away[b], points - offsets[b]))
    points = np.mod(points[np.all(miss < TOLERANCE, axis=1)] + TOLERANCE, 1) - TOLERANCE
    return points[_distinct(points)] if len(points) else points
