"""Random places for the free atoms beside fixed ones, such as above a frozen slab.

The region is derived from the fixed atoms. In a cell with a vacuum it is a layer upon
the surface of the slab, on that side of it where the free atoms were; in a cell without
one it is the whole cell; and without a cell a ball around the fixed atoms, thick enough
for the free ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ase_l2h.errors import InputError

__all__ = ["region_starts"]

# In bond lengths: how near atoms may come to each other, how far from all others one
# may be, and the least thickness of a layer.
NEAREST, FARTHEST = 0.8, 1.5
THINNEST = 1.0
# Volume that the region has for an atom, in close packing: places are to be found.
LOOSENESS = 2.5
# An empty part of the cell that is thicker than this is a vacuum.
VACUUM = 2.5
# Places that are drawn for an atom.
TRIALS = 48

# From numbers between 0 and 1 ``(..., 3)`` to points.
Region = Callable[[np.ndarray], np.ndarray]


def region_starts(
    given: np.ndarray,
    free: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    length: float,
    cell: np.ndarray | None = None,
) -> np.ndarray:
    """Structures whose free atoms are at random places, ``(3, n, count)``.

    They are placed one after the other, where no atom is within 0.8 bonds and one is
    within 1.5, or else as far from all others as any place that was drawn.

    Parameters
    ----------
    given
        Positions ``(3, n)``: of fixed atoms, which stay, and of the free ones, which
        tell the side of a slab.
    free
        Coordinates that may move, ``(3, n)``. Atoms of which only some may move keep
        their place, as do fixed ones.
    count
        How many.
    rng
        Everything follows from it.
    length
        Of a bond.
    cell
        Lattice vectors as rows; None where nothing is periodic.

    Raises
    ------
    InputError
        When no atom is fixed: then there is nothing to place the others beside.
    """
    given = np.asarray(given, np.float64)
    movable = np.all(free, axis=0)
    if np.all(movable):
        raise InputError("no atom is fixed; use random starts, which need no region")
    found = np.repeat(given[..., None], count, axis=2)
    if not np.any(movable) or count == 0:
        return found
    fixed, moving = given[:, ~movable].T / length, given[:, movable].T / length
    box = None if cell is None else np.asarray(cell, np.float64) / length
    region = _ball(fixed, moving) if box is None else _layer(fixed, moving, box)
    atoms = np.repeat(fixed[None], count, axis=0)
    for _ in range(len(moving)):
        places = region(rng.random((count, TRIALS, 3)))
        atoms = np.concatenate([atoms, _chosen(places, atoms, box)[:, None]], axis=1)
    placed = atoms[:, len(fixed) :]
    found[:, movable] = length * np.moveaxis(placed, 0, -1).swapaxes(0, 1)
    return found


def _chosen(
    places: np.ndarray, atoms: np.ndarray, box: np.ndarray | None
) -> np.ndarray:
    """The first of ``(count, trials, 3)`` that suits, or the loneliest one."""
    way = places[:, :, None] - atoms[:, None]
    if box is not None:
        way -= np.round(way @ np.linalg.inv(box)) @ box
    nearest = np.sqrt(np.min(np.sum(way * way, axis=3), axis=2))
    suits = (nearest >= NEAREST) & (nearest <= FARTHEST)
    # Without any, one that is too far from all others is better than one too near.
    index = np.argmax(np.where(suits, np.inf, nearest), axis=1)
    return places[np.arange(len(places)), index]


def _ball(fixed: np.ndarray, moving: np.ndarray) -> Region:
    """Around the fixed atoms, with room for all others beside their own."""
    middle = fixed.mean(axis=0)
    inner = np.max(np.linalg.norm(fixed - middle, axis=1))
    volume = 4 * np.pi / 3 * inner**3 + LOOSENESS * len(moving) / 2**0.5
    outer = max((3 * volume / (4 * np.pi)) ** (1 / 3), inner + THINNEST)

    def points(chance: np.ndarray) -> np.ndarray:
        z, turn = 2 * chance[..., 0] - 1, 2 * np.pi * chance[..., 1]
        flat = np.sqrt(1 - z * z)
        way = np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=-1)
        return middle + outer * np.cbrt(chance[..., 2:]) * way

    return points


def _layer(fixed: np.ndarray, moving: np.ndarray, box: np.ndarray) -> Region:
    """Upon the surface of a slab, or the cell if there is no vacuum."""
    heights = 1 / np.linalg.norm(np.linalg.inv(box), axis=0)
    scaled = np.mod(fixed @ np.linalg.inv(box), 1)
    ordered = np.sort(scaled, axis=0)
    gaps = np.diff(ordered, axis=0, append=ordered[:1] + 1)
    axis = int(np.argmax(gaps.max(axis=0) * heights))
    below = int(np.argmax(gaps[:, axis]))
    gap = float(gaps[below, axis])
    if gap * heights[axis] < VACUUM:
        return lambda chance: chance @ box
    surface = float(ordered[below, axis])
    area = abs(np.linalg.det(box)) / heights[axis]
    thickness = THINNEST + LOOSENESS * len(moving) / 2**0.5 / area
    thickness = min(thickness / heights[axis], gap)
    # How far along the vacuum the free atoms are tells the side.
    along = np.mod((moving @ np.linalg.inv(box))[:, axis] - surface, 1)
    first = surface if np.mean(along) <= gap / 2 else surface + gap - thickness

    def points(chance: np.ndarray) -> np.ndarray:
        fractions = np.array(chance)
        fractions[..., axis] = first + thickness * chance[..., axis]
        return fractions @ box

    return points
