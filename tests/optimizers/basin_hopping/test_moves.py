"""Moves: where atoms go, which atoms, and what stays as it is."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_data import structures

from ase_l2h.optimizers import Moves
from ase_l2h.optimizers.basin_hopping.moves import (
    contain,
    kick,
    packed_radius,
    random_ball,
    random_structure,
    surface_move,
    swap_move,
    touching,
)
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.system import make_system

KEY = jax.random.key(4)
D0 = 2 ** (1 / 6)


@pytest.fixture
def icosahedron() -> jax.Array:
    """LJ13 in reduced units, centred, ``(3, 13)``."""
    positions = structures("lj_global_minima_2_150")["LJ13"].positions.T / D0
    return jnp.asarray(positions - positions.mean(axis=1, keepdims=True), jnp.float32)


def lj_atom_energies(reduced: jax.Array) -> jax.Array:
    """Energy of every atom of a cluster in reduced units."""
    system = make_system(np.zeros(reduced.shape[1], int), length_scale=D0)
    return LennardJones().atom_energies(jnp.float32(D0) * reduced, system)


def nearest(positions: np.ndarray, atom: int) -> float:
    """Distance from an atom to its nearest neighbour."""
    others = np.delete(positions, atom, axis=1)
    return float(np.min(np.linalg.norm(others - positions[:, [atom]], axis=0)))


@pytest.mark.parametrize(
    ("form", "variance", "largest"),
    [("cube", 1 / 3, math.sqrt(3)), ("ball", 1 / 5, 1.0), ("gaussian", 1.0, np.inf)],
)
def test_kicks_have_the_size_that_is_asked_for(form, variance, largest):
    """Variance of a coordinate over size squared; four standard errors."""
    count, size = 20_000, 0.7
    moved = np.asarray(kick(KEY, jnp.ones((3, count), jnp.float32), size, form)) - 1
    np.testing.assert_allclose(moved.mean(axis=1), 0, atol=4 * size / count**0.5)
    spread = np.square(moved / size).mean(axis=1)
    np.testing.assert_allclose(spread, variance, atol=4 * 1.5 / count**0.5)
    length = np.linalg.norm(moved, axis=0) / size
    assert length.max() <= largest * (1 + 1e-5)
    if form == "cube":
        assert np.abs(moved).max() <= size * (1 + 1e-5)


def test_the_ball_is_filled_evenly():
    """The volume inside the radius of a point is uniform between 0 and 1."""
    volume = np.linalg.norm(random_ball(KEY, 4000, jnp.dtype("float32")), axis=0) ** 3
    quantiles = np.quantile(volume, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(quantiles, [0.1, 0.5, 0.9], atol=4 * 0.5 / 4000**0.5)


def test_a_packed_ball_holds_its_atoms():
    """Sphere of the volume that n atoms of an fcc crystal take, distance 1 apart."""
    for n in (13, 38, 1000):
        volume = 4 / 3 * math.pi * packed_radius(n) ** 3
        np.testing.assert_allclose(volume / n, 1 / math.sqrt(2), rtol=1e-12)


@pytest.mark.parametrize(
    ("direction", "distance"),
    [
        ([0, 0, 1], 1.5),  # head on
        ([1, 0, 0], math.sqrt(0.75)),  # 0.5 beside
        ([0, 0, -1], 0.5),  # from the other side
    ],
)
def test_a_place_on_the_surface_touches(direction, distance):
    one = jnp.asarray([[0.0], [0.0], [0.5]])
    reach = touching(jnp.asarray(direction, jnp.float32), one, jnp.ones(1, bool))
    np.testing.assert_allclose(reach, distance, rtol=1e-6)


def test_a_way_past_all_atoms_ends_at_the_outermost():
    far = jnp.asarray([[3.0, 0.2], [0.0, 4.0], [0.0, 0.0]])
    up = jnp.asarray([0.0, 0.0, 1.0])
    np.testing.assert_allclose(
        touching(up, far, jnp.asarray([True, True])), math.hypot(0.2, 4.0), rtol=1e-6
    )
    # An atom that is left out is neither touched nor counted.
    np.testing.assert_allclose(
        touching(up, far, jnp.asarray([True, False])), 3.0, rtol=1e-6
    )


def test_the_weakest_bound_atom_moves_to_the_surface(icosahedron):
    """An adatom on the icosahedron; the others keep their places to the last bit."""
    centroid = jnp.asarray([[5.0], [-1.0], [0.3]])
    vertex = icosahedron[:, jnp.argmax(jnp.linalg.norm(icosahedron, axis=0))]
    cluster = jnp.concatenate([icosahedron, 2.1 * vertex[:, None]], axis=1)
    energies = lj_atom_energies(cluster)
    assert int(np.argmax(energies)) == 13
    for seed in range(3):
        moved = np.asarray(
            surface_move(jax.random.key(seed), cluster + centroid, energies, 0.5)
        )
        np.testing.assert_allclose(
            moved[:, :13], cluster[:, :13] + centroid, rtol=0, atol=1e-6
        )
        assert np.linalg.norm(moved[:, 13] - cluster[:, 13] - centroid[:, 0]) > 1e-2
        # It touches an atom and overlaps with none.
        np.testing.assert_allclose(nearest(moved, 13), 1.0, atol=1e-5)


def test_atoms_bound_well_enough_stay(icosahedron):
    """All surface atoms of LJ13 have the same energy, 0.47 of the central atom's."""
    energies = lj_atom_energies(icosahedron)
    ratio = float(np.max(energies) / np.min(energies))
    stay = surface_move(KEY, icosahedron, energies, ratio - 0.01)
    np.testing.assert_allclose(stay, icosahedron, atol=1e-6)
    moved = np.asarray(surface_move(KEY, icosahedron, energies, ratio + 0.01))
    displaced = np.linalg.norm(moved - icosahedron, axis=0) > 1e-3
    assert displaced.sum() == 1


def test_several_atoms_move_weakest_first(icosahedron):
    energies = jnp.asarray([-5.0, -1.0, -4.0, -2.0, -3.0] + [-5.0] * 8)
    for count in (1, 2, 3):
        moved = np.asarray(surface_move(KEY, icosahedron, energies, 1.0, count))
        displaced = np.linalg.norm(moved - icosahedron, axis=0) > 1e-3
        assert np.flatnonzero(displaced).tolist() == sorted([1, 3, 4][:count])
    # The threshold holds for each of them: -2.4 is above half of -5, -3 is not.
    moved = np.asarray(surface_move(KEY, icosahedron, energies, 0.5, 3))
    displaced = np.linalg.norm(moved - icosahedron, axis=0) > 1e-3
    assert np.flatnonzero(displaced).tolist() == [1, 3]


SPECIES = jnp.asarray([0, 0, 1, 1, 1])


def swapped_pairs(
    count: int, movable: jax.Array | None = None
) -> list[tuple[int, ...]]:
    """Numbers of the atoms that exchanged their places, in ``count`` swaps."""
    positions = jnp.arange(15, dtype=jnp.float32).reshape(3, 5)
    swap = jax.vmap(lambda key: swap_move(key, positions, SPECIES, movable))
    pairs = []
    for moved in np.asarray(swap(jax.random.split(KEY, count))):
        changed = np.flatnonzero(np.any(moved != positions, axis=0))
        np.testing.assert_array_equal(moved[:, changed], positions[:, changed[::-1]])
        pairs.append(tuple(changed.tolist()))
    return pairs


def test_a_swap_exchanges_two_unlike_atoms_all_pairs_alike():
    """Positions are exchanged, species stay: the composition cannot change."""
    pairs = swapped_pairs(300)
    unlike = list(itertools.product((0, 1), (2, 3, 4)))
    assert set(pairs) == set(unlike)
    counts = np.array([pairs.count(pair) for pair in unlike])
    expected = len(pairs) / len(unlike)
    assert np.sum((counts - expected) ** 2) / expected < 20.5  # chi^2_5, p = 0.001


def test_a_swap_leaves_fixed_atoms_and_pure_clusters():
    movable = jnp.asarray([False, True, True, True, False])
    assert set(swapped_pairs(20, movable)) == {(1, 2), (1, 3)}
    like = jnp.asarray([True, True, False, False, False])
    assert set(swapped_pairs(5, like)) == {()}


def test_the_container_pulls_back_what_left_it():
    positions = jnp.asarray([[1.0, 5.0, 0.0], [2.0, 0.0, -9.0], [0.5, 0.0, 0.0]])
    inside = np.asarray(contain(positions, 4.0))
    np.testing.assert_allclose(inside[:, 0], positions[:, 0])
    np.testing.assert_allclose(inside[:, 1], [3, 0, 0], atol=1e-6)
    np.testing.assert_allclose(inside[:, 2], [0, -3, 0], atol=1e-6)


def test_proposals_of_free_clusters_are_centred_and_contained(icosahedron):
    system = make_system(np.zeros(13, int))
    moves = Moves(size=6.0, container=1.0)
    radius = packed_radius(13) + 1.0
    np.testing.assert_allclose(moves.radius(system), radius)
    moved = moves.propose(
        KEY, icosahedron, jnp.float32(6.0), None, system.species, system
    )
    assert np.linalg.norm(moved, axis=0).max() <= radius
    loose = Moves(size=6.0, container=None)
    moved = loose.propose(
        KEY, icosahedron, jnp.float32(6.0), None, system.species, system
    )
    np.testing.assert_allclose(np.mean(moved, axis=1), 0, atol=1e-5)
    assert np.linalg.norm(moved, axis=0).max() > radius


def test_fixed_coordinates_stay_in_place(icosahedron, rng):
    """Single coordinates too; beside them nothing is centred, contained or moved."""
    free = rng.random((3, 13)) < 0.5
    free[:, 0] = False
    system = make_system(np.arange(13) % 2, free=free)
    moves = Moves(size=0.3, surface=1.0, swap=0.5, container=0.1)
    assert moves.radius(system) is None
    assert not moves.needs_atom_energies(system)
    start = icosahedron + 7.0
    for key in jax.random.split(KEY, 4):
        moved = np.asarray(
            moves.propose(key, start, jnp.float32(0.3), None, system.species, system)
        )
        np.testing.assert_array_equal(moved[~free], np.asarray(start)[~free])
        assert np.any(moved[free] != np.asarray(start)[free])


def test_random_structures_fill_a_ball_or_the_cell():
    like = jnp.zeros((3, 200), jnp.float32)
    radii = np.linalg.norm(random_structure(KEY, like, None), axis=0)
    assert 0.95 * packed_radius(200) < radii.max() <= packed_radius(200)
    cell = jnp.asarray([[2.0, 0.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.5, 4.0]])
    inside = np.linalg.solve(np.asarray(cell).T, random_structure(KEY, like, cell))
    assert -1e-6 < inside.min() < 0.05
    assert 0.95 < inside.max() < 1 + 1e-6


def test_an_unknown_kick_is_refused():
    moves = Moves()
    # Past the type checker, which users of the package do not have.
    object.__setattr__(moves, "kick", "sphere")
    with pytest.raises(ValueError, match=r"no kick named 'sphere'; choose one of cube"):
        moves.__post_init__()
