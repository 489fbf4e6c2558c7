"""Systems: image lists against brute force, validation, parts of a batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ase_l2h.system import System, make_system, periodic_images, take_batch

CELLS = {
    "cube": 3.0 * np.eye(3),
    "slab": np.diag([2.0, 2.5, 9.0]),
    "hexagonal": np.array([[2.5, 0, 0], [-1.25, 2.165, 0], [0, 0, 4.1]]),
    "skewed": np.array([[1.6, 0, 0], [1.3, 1.2, 0], [-0.9, 1.0, 1.4]]),
    "left-handed": np.array([[0, 2.0, 0.3], [2.2, 0, 0], [0.4, 0, 2.6]]),
}


def near(cell: np.ndarray, point: np.ndarray, cutoff: float) -> int:
    """How many images of a point lie within the cutoff of the origin, brute force."""
    grid = np.arange(-12, 13)
    triples = np.stack(np.meshgrid(grid, grid, grid), axis=-1).reshape(-1, 3)
    return int(np.sum(np.linalg.norm(point + triples @ cell, axis=1) < cutoff))


@pytest.mark.parametrize("cutoff", [1.2, 2.9, 4.4])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_image_lists_miss_no_neighbour(cell, cutoff, rng):
    images = periodic_images(cell, cutoff)
    assert np.all(images[0] == 0)
    assert len(np.unique(np.round(images, 9), axis=0)) == len(images)
    for fractional in rng.uniform(-3, 3, size=(40, 3)):
        point = fractional @ cell
        wrapped = point - np.round(fractional) @ cell
        found = np.sum(np.linalg.norm(wrapped + images, axis=1) < cutoff)
        assert found == near(cell, point, cutoff)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-2.0, 2.0), min_size=9, max_size=9),
    st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3),
    st.floats(0.3, 3.0),
)
def test_image_lists_miss_no_neighbour_in_any_cell(entries, fractional, cutoff):
    cell = np.array(entries).reshape(3, 3) + 2.5 * np.eye(3)
    assume(abs(np.linalg.det(cell)) > 0.5)
    # Within the reach of the brute force: twelve images to either side.
    assume(np.min(1 / np.linalg.norm(np.linalg.inv(cell), axis=0)) > 0.3)
    point = np.array(fractional) @ cell
    images = periodic_images(cell, cutoff)
    found = np.sum(np.linalg.norm(point + images, axis=1) < cutoff - 1e-9)
    assert found <= near(cell, point, cutoff)
    assert near(cell, point, cutoff - 2e-9) <= found


def test_a_wide_cell_needs_no_images():
    """Up to half the distance of its faces, the wrapped image is the only one."""
    cell = CELLS["hexagonal"]
    height = 2.165
    assert len(periodic_images(cell, height / 2)) == 1
    assert len(periodic_images(cell, 1.001 * height / 2)) > 1


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (np.eye(2), "three finite lattice vectors"),
        (np.diag([1, 1, np.nan]), "three finite lattice vectors"),
        (np.diag([3.0, 3.0, 0.0]), "lie in a plane"),
        (np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 1e-12]]), "lie in a plane"),
        (np.zeros((3, 3)), "lie in a plane"),
        (np.diag([30.0, 30.0, 1e200]), "1e[+]200 long, more than 1,000 bonds"),
        (np.diag([30.0, 30.0, 1e-4]), "too small or too flat.*repeat it"),
        (0.1 * np.eye(3), "too small or too flat.*repeat it"),
    ],
)
def test_impossible_cells_are_refused(cell, message):
    with pytest.raises(ValueError, match=message):
        make_system([0, 0], cell=cell, cutoff=2.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"species": []}, "at least one atom"),
        ({"species": 3}, "at least one atom"),
        ({"species": [0.0, 1.0]}, "integers from 0"),
        ({"species": [0, -1]}, "integers from 0"),
        ({"free": np.ones((2, 3), bool)}, r"it must be \(3, 2\)"),
        ({"length_scale": 0.0}, "length_scale is 0.0"),
        ({"energy_scale": np.array([1.0, np.nan])}, "energy_scale is"),
        ({"cell": np.eye(3)}, "finite cutoff"),
        ({"cell": np.eye(3), "cutoff": np.inf}, "finite cutoff"),
    ],
)
def test_impossible_systems_are_refused(arguments, message):
    given = {"species": np.array([0, 1])} | arguments
    given["species"] = np.array(given["species"])
    with pytest.raises(ValueError, match=message):
        make_system(**given)


def test_feature_images_reach_further_than_those_of_the_potential():
    system = make_system([0, 0], cell=6 * np.eye(3), cutoff=3.0, length_scale=2.4)
    assert np.asarray(system.images).shape == (1, 3)
    # 2.5 length scales are 6: one cell further in every direction.
    assert np.asarray(system.feature_images).shape == (27, 3)


def test_a_part_of_a_batch_takes_its_own_species_and_scales():
    species = np.arange(6).reshape(2, 3) % 2
    system = make_system(species, length_scale=np.array([1.0, 2, 3]), energy_scale=0.5)
    part = take_batch(system, np.array([2, 0]))
    np.testing.assert_array_equal(part.species, species[:, [2, 0]])
    assert part.length_scale.tolist() == [3.0, 1.0]
    assert part.energy_scale == 0.5
    shared = make_system([0, 1], length_scale=1.5)
    assert take_batch(shared, np.array([4])).species is shared.species


def test_a_system_is_a_pytree_and_casts_its_numbers_only():
    system = make_system([0, 1], cell=4 * np.eye(3), cutoff=1.0)
    leaves, structure = jax.tree.flatten(system)
    assert isinstance(jax.tree.unflatten(structure, leaves), System)
    half = system.astype(jnp.bfloat16)
    assert half.cell.dtype == half.length_scale.dtype == jnp.bfloat16
    assert half.species.dtype == system.species.dtype


def test_only_free_clusters_are_recentred():
    assert make_system([0, 0]).recentred
    assert not make_system([0, 0], free=np.ones((3, 2), bool)).recentred
    assert not make_system([0, 0], cell=4 * np.eye(3), cutoff=1.0).recentred
