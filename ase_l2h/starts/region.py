"""Random places for atoms beside fixed ones, such as above a frozen slab.

The region is given, or derived from the fixed atoms. In a cell with a vacuum, or along
a direction that is not periodic, it is a layer on the surface of the slab, on the side
where the free atoms were. In a cell without a vacuum it is the whole cell; without a
cell it is a ball around the fixed atoms, large enough for the free ones. If nothing is
fixed, it is the volume that a film or a wire of so many atoms fills.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ase_l2h.errors import InputError

__all__ = ["Ball", "Box", "Region", "derived_region", "region_starts", "room"]

# In bond lengths: least distance between atoms, largest distance of an atom from its
# nearest neighbour, and least thickness of a layer.
NEAREST, FARTHEST = 0.8, 1.5
THINNEST = 1.0
# Volume of the region per atom, relative to close packing, so that places can be found.
LOOSENESS = 2.5
# An empty part of the cell thicker than this (bond lengths) is a vacuum; atoms within
# the second distance of its other side belong to that side.
VACUUM, OTHER_SIDE = 2.5, 1.2
# Random places tried for an atom.
TRIALS = 48


@dataclasses.dataclass(frozen=True, eq=False)
class Ball:
    """Points within ``radius`` of ``middle`` ``(3,)``."""

    middle: np.ndarray
    radius: float

    def points(self, chance: np.ndarray) -> np.ndarray:
        """From numbers between 0 and 1 ``(..., 3)`` to points, uniform."""
        z, turn = 2 * chance[..., 0] - 1, 2 * np.pi * chance[..., 1]
        flat = np.sqrt(1 - z * z)
        way = np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=-1)
        return self.middle + self.radius * np.cbrt(chance[..., 2:]) * way

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which of ``(..., 3)`` lie inside."""
        return np.sum((points - self.middle) ** 2, axis=-1) <= self.radius**2


@dataclasses.dataclass(frozen=True, eq=False)
class Box:
    """A parallelepiped, repeated by a lattice.

    Parameters
    ----------
    corner
        ``(3,)``.
    vectors
        Edges from there as rows, ``(3, 3)``.
    cell
        Lattice vectors as rows; None where nothing is periodic.

    Raises
    ------
    InputError
        When it has no volume.
    """

    corner: np.ndarray
    vectors: np.ndarray
    cell: np.ndarray | None = None

    def __post_init__(self) -> None:
        shapes = np.shape(self.corner) == (3,) and np.shape(self.vectors) == (3, 3)
        sizes = np.linalg.norm(self.vectors, axis=1) if shapes else np.zeros(3)
        if not shapes or not (
            np.all(np.isfinite(self.corner))
            and np.all(np.isfinite(sizes))
            and abs(np.linalg.det(self.vectors)) > 1e-9 * np.prod(sizes) > 0
        ):
            raise InputError(
                "the region has no volume; give a lower and a higher height, or a "
                "corner and three vectors that span a volume"
            )

    def points(self, chance: np.ndarray) -> np.ndarray:
        """From numbers between 0 and 1 ``(..., 3)`` to points, uniform."""
        return self.corner + chance @ self.vectors

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which of ``(..., 3)``, or images of them, lie inside."""
        away = np.asarray(points, np.float64) - self.corner
        inverse = np.linalg.inv(self.vectors)
        shifts = np.zeros((1, 3))
        if self.cell is not None:
            away -= np.floor(away @ np.linalg.inv(self.cell)) @ self.cell
            # The edges may not lie along the lattice, so an image may be inside.
            turns = np.stack(np.meshgrid(*[[0, -1, 1]] * 3), axis=-1).reshape(-1, 3)
            shifts = turns @ self.cell
        inside = np.zeros(away.shape[:-1], bool)
        for shift in shifts:
            along = (away + shift) @ inverse
            inside |= np.all((along >= -1e-9) & (along <= 1 + 1e-9), axis=-1)
        return inside


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """Where atoms are placed.

    Parameters
    ----------
    drawn
        Where atoms are placed at random.
    whole
        Where vacant sites are allowed; None: anywhere.
    normal
        Unit vector ``(3,)`` pointing away from the surface; None without a surface.
    """

    drawn: Box | Ball
    whole: Box | Ball | None = None
    normal: np.ndarray | None = None


def room(n_atoms: int, box: np.ndarray) -> float:
    """Thickness that so many atoms need along open directions, in bond lengths.

    ``box`` has the lattice vectors of the periodic directions as rows, one or two.
    """
    measure = float(np.sqrt(np.linalg.det(box @ box.T)))
    volume = LOOSENESS * n_atoms / 2**0.5
    return THINNEST + (volume / measure) ** (1 / (3 - len(box)))


def derived_region(
    given: np.ndarray,
    placed: np.ndarray,
    *,
    length: float,
    cell: np.ndarray | None,
    periodic: tuple[bool, bool, bool] = (True, True, True),
) -> Region:
    """Where the atoms ``placed`` have room beside the others.

    Parameters
    ----------
    given
        Positions ``(3, n)``; the atoms to be placed decide the side of a slab.
    placed
        Mask ``(n,)``.
    length
        Of a bond.
    cell
        Lattice vectors as rows; None where nothing is periodic.
    periodic
        Which of them are translations; the others end beyond all atoms.

    Raises
    ------
    InputError
        When every atom is placed and the structure is periodic in all directions or in
        none: then there is nothing to place them beside.
    """
    fixed, moving = given[:, ~placed].T, given[:, placed].T
    if len(fixed):
        if cell is None:
            return Region(_ball(fixed, len(moving), length))
        return _layer(fixed, moving, np.asarray(cell, np.float64), length)
    if cell is None or all(periodic):
        raise InputError("no atom is fixed; use random starts, which need no region")
    along = np.asarray(periodic)
    vectors = np.array(cell, np.float64)
    thick = length * room(len(moving), vectors[along] / length)
    rows = vectors[~along]
    vectors[~along] = thick * rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return Region(Box(moving.mean(axis=0) - vectors.sum(axis=0) / 2, vectors, cell))


def _ball(fixed: np.ndarray, count: int, length: float) -> Ball:
    """A ball around the fixed atoms, with room for all others."""
    middle = fixed.mean(axis=0)
    inner = float(np.max(np.linalg.norm(fixed - middle, axis=1)))
    volume = 4 * np.pi / 3 * inner**3 + length**3 * LOOSENESS * count / 2**0.5
    outer = (3 * volume / (4 * np.pi)) ** (1 / 3)
    return Ball(middle, max(outer, inner + THINNEST * length))


def _layer(
    fixed: np.ndarray, moving: np.ndarray, cell: np.ndarray, length: float
) -> Region:
    """A layer on the surface of a slab, or the cell if there is no vacuum."""
    inverse = np.linalg.inv(cell)
    heights = 1 / np.linalg.norm(inverse, axis=0)
    ordered = np.sort(np.mod(fixed @ inverse, 1), axis=0)
    gaps = np.diff(ordered, axis=0, append=ordered[:1] + 1)
    axis = int(np.argmax(gaps.max(axis=0) * heights))
    below = int(np.argmax(gaps[:, axis]))
    gap = float(gaps[below, axis])
    if gap * heights[axis] < VACUUM * length:
        return Region(Box(np.zeros(3), cell, cell))
    surface = float(ordered[below, axis])
    flat = np.delete(cell, axis, axis=0) / length
    thickness = min(length * room(len(moving), flat) / heights[axis], gap)
    reach = max(thickness, gap - OTHER_SIDE * length / heights[axis])
    # The position of the free atoms in the vacuum decides the side.
    along = np.mod((moving @ inverse)[:, axis] - surface, 1)
    upper = len(along) == 0 or bool(np.mean(along) <= gap / 2)

    def box(size: float) -> Box:
        vectors = np.array(cell)
        vectors[axis] *= size
        return Box((surface if upper else surface + gap - size) * cell[axis],
                   vectors, cell)  # fmt: skip

    normal = inverse[:, axis] * heights[axis] * (1 if upper else -1)
    return Region(box(thickness), box(reach), normal)


def region_starts(
    given: np.ndarray,
    placed: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    region: Region,
    length: float,
    cell: np.ndarray | None = None,
) -> np.ndarray:
    """Structures some of whose atoms are at random places, ``(3, n, count)``.

    They are placed one after the other, where no atom is within 0.8 bonds and one is
    within 1.5; if no such place was drawn, at the one farthest from all atoms.

    Parameters
    ----------
    given
        Positions ``(3, n)`` of the atoms that stay.
    placed
        Mask ``(n,)`` of the atoms that are placed.
    count
        How many.
    rng
        Everything follows from it.
    region
        Where.
    length
        Of a bond.
    cell
        Lattice vectors as rows; None where nothing is periodic.
    """
    given = np.asarray(given, np.float64)
    found = np.repeat(given[..., None], count, axis=2)
    if not np.any(placed) or count == 0:
        return found
    atoms = np.repeat(given[:, ~placed].T[None], count, axis=0)
    kept = atoms.shape[1]
    for _ in range(int(np.count_nonzero(placed))):
        places = region.drawn.points(rng.random((count, TRIALS, 3)))
        chosen = _chosen(places, atoms, length, cell)
        atoms = np.concatenate([atoms, chosen[:, None]], axis=1)
    found[:, placed] = np.moveaxis(atoms[:, kept:], 0, -1).swapaxes(0, 1)
    return found


def _chosen(
    places: np.ndarray, atoms: np.ndarray, length: float, cell: np.ndarray | None
) -> np.ndarray:
    """The first suitable one of ``(count, trials, 3)``, or the most distant one."""
    if atoms.shape[1] == 0:
        return places[:, 0]
    way = places[:, :, None] - atoms[:, None]
    if cell is not None:
        way -= np.round(way @ np.linalg.inv(cell)) @ cell
    nearest = np.sqrt(np.min(np.sum(way * way, axis=3), axis=2)) / length
    suits = (nearest >= NEAREST) & (nearest <= FARTHEST)
    # If none is suitable, too far from all others is better than too near.
    index = np.argmax(np.where(suits, np.inf, nearest), axis=1)
    return places[np.arange(len(places)), index]
