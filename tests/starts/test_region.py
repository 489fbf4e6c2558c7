"""Random places of free atoms: beside the fixed ones, apart, and never the same."""

from __future__ import annotations

import numpy as np
import pytest

from ase_l2h.errors import InputError
from ase_l2h.starts.region import Box, derived_region, region_starts

LENGTH = 2.5
# A slab of three square layers and six atoms upon it, with a vacuum above.
CELL = LENGTH * np.diag([4.0, 4.0, 9.0])
LAYERS = np.array(
    [
        [x + 0.5 * (z % 2), y + 0.5 * (z % 2), 0.7 * z]
        for x in range(4)
        for y in range(4)
        for z in range(3)
    ]
)
ABOVE = np.array([[x, y, 2.2] for x in (0.5, 1.5, 2.5) for y in (0.5, 2.5)])


def slab(shift: float = 0.0, side: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Positions ``(3, 54)`` and mask; ``shift`` moves all of it along the normal."""
    free_atoms = ABOVE * [1, 1, side] + [0, 0, 0 if side > 0 else 1.4]
    points = np.concatenate([LAYERS, free_atoms])
    points[:, 2] += shift
    free = np.zeros((3, 54), bool)
    free[:, 48:] = True
    return LENGTH * points.T, free


def starts(given, free, count, rng, cell=None) -> np.ndarray:
    """Starts in the region that follows from the fixed atoms."""
    placed = free.all(axis=0)
    region = derived_region(given, placed, length=LENGTH, cell=cell)
    return region_starts(
        given, placed, count, rng, region=region, length=LENGTH, cell=cell
    )


def nearest(positions: np.ndarray, cell: np.ndarray | None) -> np.ndarray:
    """Distance of every atom to its nearest neighbour, ``(n, count)``, in bonds."""
    apart = positions[:, :, None] - positions[:, None]
    if cell is not None:
        edges = np.diag(cell)[:, None, None, None]
        apart = apart - edges * np.round(apart / edges)
    distances = np.sqrt(np.sum(apart**2, axis=0)) / LENGTH
    return np.min(distances + 9 * np.eye(len(distances))[..., None], axis=1)


@pytest.mark.parametrize("shift", [0.0, 3.0, 7.5])
@pytest.mark.parametrize("side", [1, -1])
def test_free_atoms_lie_upon_the_side_of_the_slab_where_they_were(rng, shift, side):
    """Also where the slab goes through the border of the cell."""
    given, free = slab(shift, side)
    found = starts(given, free, 30, rng, CELL)
    assert found.shape == (3, 54, 30)
    np.testing.assert_array_equal(
        found[:, :48], np.broadcast_to(given[:, :48, None], (3, 48, 30))
    )
    distances = nearest(found, CELL)[48:]
    assert distances.min() > 0.8 - 1e-9
    assert distances.max() < 1.5 + 1e-9
    surface = shift + (1.4 if side > 0 else 0.0)
    height = side * (found[2, 48:] / LENGTH - surface)
    height = height - 9 * np.round((height - 2) / 9)
    assert height.min() > 0
    assert height.max() < 3
    # Anywhere along the surface.
    counts = np.histogram(np.mod(found[0, 48:] / LENGTH, 4), bins=4, range=(0, 4))[0]
    assert counts.min() > 25


def test_free_atoms_lie_around_a_fixed_core(rng):
    core = np.array([[x, y, z] for x in range(2) for y in range(2) for z in range(2)])
    given = LENGTH * np.concatenate([core + 20.0, np.zeros((7, 3))]).T
    free = np.repeat([[False] * 8 + [True] * 7], 3, axis=0)
    found = starts(given, free, 30, rng)
    distances = nearest(found, None)[8:]
    assert distances.min() > 0.8 - 1e-9
    assert distances.max() < 1.5 + 1e-9
    offset = found[:, 8:] / LENGTH - 20.5
    # On all sides.
    assert np.all(np.abs(offset.mean(axis=(1, 2))) < 0.3)


def test_without_a_vacuum_the_free_atoms_are_anywhere_in_the_cell(rng):
    cell = LENGTH * 4 * np.eye(3)
    given = LENGTH * np.array([[0.0, 0, 0], [2, 2, 0], [2, 0, 2], [0, 2, 2], [1, 1, 1]])
    free = np.repeat([[False] * 4 + [True]], 3, axis=0)
    found = starts(given.T, free, 200, rng, cell)
    fractions = np.mod(found[:, 4] / (4 * LENGTH), 1)
    for along in fractions:
        counts = np.histogram(along, bins=2, range=(0, 1))[0]
        assert counts.min() > 60
    assert nearest(found, cell)[4].min() > 0.8


def test_atoms_that_may_only_slide_keep_their_place(rng):
    given, free = slab()
    free[2, 53] = False
    found = starts(given, free, 5, rng, CELL)
    assert np.all(found[:, 53] == given[:, 53, None])
    assert np.all(np.any(found[:, 48:53] != given[:, 48:53, None], axis=0))


def test_a_seed_gives_its_starts_again_and_another_gives_others():
    given, free = slab()
    draw = lambda seed: starts(given, free, 4, np.random.default_rng(seed), CELL)
    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.any(draw(1)[:, 48:] == draw(2)[:, 48:])


def test_fixed_atoms_are_needed(rng):
    given, free = slab()
    with pytest.raises(InputError, match="no atom is fixed"):
        starts(given, free | True, 2, rng, CELL)
    none = starts(given, free & False, 2, rng, CELL)
    np.testing.assert_array_equal(none[..., 1], given)


def test_vacant_sites_are_sought_on_the_side_of_the_atoms_only():
    """All the way up to what belongs to the other side of the slab."""
    given, free = slab()
    region = derived_region(given, free.all(axis=0), length=LENGTH, cell=CELL)
    assert region.whole is not None
    heights = LENGTH * np.array([[-0.8, 0.7, 1.5, 7.5, 8.2]])
    inside = region.whole.contains(np.stack([heights, heights, heights])[:, 0].T)
    np.testing.assert_array_equal(inside, [False, False, True, True, False])
    np.testing.assert_allclose(region.normal, [0, 0, 1], atol=1e-12)


def test_a_box_is_repeated_by_the_lattice():
    """A skewed box through the border of the cell, and images of a point."""
    cell = np.array([[4.0, 0, 0], [1.0, 4, 0], [0, 0, 6]])
    box = Box(np.array([3.0, 3.0, 1.0]), np.array([[2.0, 0, 0], [1, 2, 0], [0, 0, 1]]),
              cell)  # fmt: skip
    inside = box.points(np.array([[0.1, 0.9, 0.5], [0.9, 0.1, 0.2]]))
    outside = np.array([[2.0, 2.0, 1.5], [3.5, 3.5, 2.5]])
    for turns in ([0, 0, 0], [1, -2, 3], [-1, 1, 0]):
        shift = np.array(turns) @ cell
        assert np.all(box.contains(inside + shift))
        assert not np.any(box.contains(outside + shift))


@pytest.mark.parametrize(
    "vectors", [np.zeros((3, 3)), np.eye(3)[[0, 1, 1]], np.full((3, 3), np.nan)]
)
def test_a_region_without_volume_is_refused(vectors):
    with pytest.raises(InputError, match="the region has no volume"):
        Box(np.zeros(3), vectors)
