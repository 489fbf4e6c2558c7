"""Point groups and space groups: orders, orbits and special positions."""

from __future__ import annotations

import numpy as np
import pytest
import spglib

from ase_l2h.starts.groups import Group, SpaceGroups, point_groups, space_groups

# What spglib 2.7 and 2.8 announce, although nothing failed.
pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR:DeprecationWarning")

POINT_GROUPS = {group.name: group for group in point_groups()}


def orbits(group: Group, dimension: int) -> list[int]:
    return sorted(s.size for s in group.sites if s.dimension == dimension)


def operations(group: Group) -> np.ndarray:
    """Those of a point group are what makes the orbits in general position."""
    (general,) = (site for site in group.sites if site.dimension == 3)
    return general.rotations


@pytest.mark.parametrize(
    ("name", "order"),
    [("Ci", 2), ("Cs", 2), ("C5", 5), ("C4v", 8), ("C3h", 6), ("D6", 12), ("D5h", 20),
     ("D4d", 16), ("S4", 4), ("S10", 10), ("T", 12), ("Td", 24), ("Th", 24), ("O", 24),
     ("Oh", 48), ("I", 60), ("Ih", 120)],
)  # fmt: skip
def test_point_groups_have_their_orders(name, order):
    group = operations(POINT_GROUPS[name])
    assert len(group) == order
    np.testing.assert_allclose(
        group @ np.swapaxes(group, 1, 2), np.broadcast_to(np.eye(3), group.shape),
        atol=1e-9,
    )  # fmt: skip
    proper = np.sum(np.linalg.det(group) > 0)
    assert proper in (order, order // 2)


def test_no_point_group_comes_twice():
    """Groups of one order are told apart by the traces of their operations."""
    kinds = set()
    for group in POINT_GROUPS.values():
        rotations = operations(group)
        traces = np.trace(rotations, axis1=1, axis2=2)
        characters = np.stack([np.linalg.det(rotations), traces], axis=1)
        kinds.add(tuple(np.sort(np.round(characters @ [10, 1], 4))))
    assert len(kinds) == len(POINT_GROUPS) == 44


@pytest.mark.parametrize(
    ("name", "points", "lines", "planes"),
    [
        ("Ih", [1], [12, 20, 30], [60]),
        ("I", [1], [12, 20, 30], []),
        ("Oh", [1], [6, 8, 12], [24, 24]),
        ("Td", [1], [4, 6], [12]),
        ("D5h", [1], [2, 5], [10, 10]),
        ("C5v", [], [1], [5]),
        ("C2v", [], [1], [2, 2]),
        ("S4", [1], [2], []),
        ("Cs", [], [], [1]),
    ],
)
def test_special_positions_of_point_groups(name, points, lines, planes):
    group = POINT_GROUPS[name]
    assert [orbits(group, d) for d in range(3)] == [points, lines, planes]


@pytest.mark.parametrize("group", POINT_GROUPS.values(), ids=POINT_GROUPS)
def test_a_group_maps_its_orbits_onto_themselves(rng, group):
    for site in group.sites:
        orbit = site.rotations @ rng.normal(size=3) + site.translations
        apart = np.linalg.norm(orbit[:, None] - orbit, axis=-1)
        assert np.min(apart + np.eye(len(orbit))) > 1e-3
        images = np.einsum("gab,kb->gka", operations(group), orbit)
        away = np.linalg.norm(images[:, :, None] - orbit, axis=-1).min(axis=2)
        assert away.max() < 1e-9


@pytest.mark.parametrize(
    ("number", "points", "lines"),
    [
        # International Tables A.
        (2, [1] * 8, set()),
        (16, [1] * 8, {2}),
        (216, [4] * 4, {16, 24}),
        (225, [4, 4, 8, 24], {24, 32, 48}),
        (227, [8, 8, 16, 16], {32, 48, 96}),
        (230, [16, 16, 24, 24], {32, 48}),
    ],
)
def test_special_positions_of_space_groups(number, points, lines):
    groups = SpaceGroups(3.1 * np.eye(3))
    groups.numbers = {number: groups.numbers[number][:1]}
    group = groups.draw(np.random.default_rng(0))
    assert orbits(group, 0) == points
    assert set(orbits(group, 1)) == lines


@pytest.mark.parametrize(
    "cell",
    [
        3.1 * np.eye(3),
        np.diag([2.0, 2.0, 3.0]),
        np.array([[2.0, 0, 0], [-1, 3**0.5, 0], [0, 0, 3.3]]),
        np.array([[4.0, 0, 0], [1.5, 3.8, 0], [-0.8, 1.1, 4.2]]),
    ],
    ids=["cubic", "tetragonal", "hexagonal", "triclinic"],
)
def test_space_groups_of_a_cell_map_its_crystals_onto_themselves(rng, cell):
    """The symmetry that spglib finds is at least that of the group."""
    groups = space_groups(cell)
    for _ in range(12):
        group = groups.draw(rng)
        site = max(group.sites, key=lambda s: s.dimension)
        orbit = site.rotations @ rng.normal(size=3) + site.translations
        fractional = orbit @ np.linalg.inv(cell)
        found = spglib.get_symmetry_dataset(
            (cell, fractional, np.ones(len(orbit))), symprec=1e-4
        )
        assert len(found.rotations) >= site.size
        for special in group.sites[1::7]:
            orbit = special.rotations @ rng.normal(size=3) + special.translations
            apart = (orbit[:, None] - orbit) @ np.linalg.inv(cell)
            apart = np.linalg.norm((apart - np.round(apart)) @ cell, axis=-1)
            assert np.min(apart + np.eye(len(orbit))) > 1e-4


def test_a_cell_admits_what_keeps_its_metric():
    numbers = lambda cell: set(space_groups(np.array(cell)).numbers)
    assert {227, 225, 166} <= numbers(3.1 * np.eye(3))
    # Hexagonal axes are not at right angles.
    assert 194 not in numbers(3.1 * np.eye(3))
    assert 194 in numbers([[2.0, 0, 0], [-1, 3**0.5, 0], [0, 0, 3.3]])
    assert numbers([[4.0, 0, 0], [1.5, 3.8, 0], [-0.8, 1.1, 4.2]]) == {2}
