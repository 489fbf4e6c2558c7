"""Random starts: no overlaps, reduced units, the same ones again."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.starts.random import (
    GROUP,
    make_starts,
    random_rotations,
    random_starts,
    spread,
    start_box,
    uniform_points,
)
from ase_l2h.system import System, make_system
from ase_l2h.targets import named_target

COUNT = 16
_draw = jax.jit(random_starts, static_argnames=("count", "rotate"))


def draw(system: System, seed: int = 0, rotate: bool = False) -> np.ndarray:
    return np.asarray(_draw(jax.random.key(seed), system, count=COUNT, rotate=rotate))


def nearest(positions: np.ndarray, cell: np.ndarray | None = None) -> np.ndarray:
    """Smallest pair distance of each structure."""
    d = np.float64(positions[:, :, None] - positions[:, None])
    if cell is not None:
        grid = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1)
        wrapped = np.linalg.solve(cell.T, d.reshape(3, -1))
        wrapped = cell.T @ (wrapped - np.round(wrapped))
        images = wrapped[:, None] + (cell.T @ grid)[..., None]
        r = np.linalg.norm(images, axis=0).min(axis=0).reshape(d.shape[1:])
    else:
        r = np.linalg.norm(d, axis=0)
    return np.min(r + 1e9 * np.eye(len(r))[..., None], axis=(0, 1))


@pytest.mark.parametrize("n", [7, 38])
def test_no_two_atoms_of_a_start_overlap(n):
    """The smallest distance is one diameter, less what stops the descent."""
    system = make_system(np.zeros(n, int), length_scale=2.6)
    positions = draw(system)
    assert positions.shape == (3, n, COUNT)
    assert positions.dtype == np.float32
    closest = nearest(positions) / 2.6
    assert np.all(closest > 0.995)
    assert np.all(closest < 1.3)


def test_a_start_fills_the_cube_and_little_more():
    """The cube holds 38 atoms at the paper's density; larger clusters keep it."""
    assert start_box(13) == start_box(38) == 3.0
    np.testing.assert_allclose(start_box(304), 6.0)
    positions = draw(make_system(np.zeros(38, int)))
    spread = np.abs(positions - positions.mean(axis=1, keepdims=True)).max(axis=(0, 1))
    assert np.all(spread > 1.2)
    assert np.all(spread < 2.5)


def test_periodic_starts_keep_their_cell():
    """A skewed cell, with the images of the atoms counted too."""
    cell = np.array([[4.0, 0, 0], [1.5, 3.8, 0], [-0.8, 1.1, 4.2]])
    system = make_system(np.zeros(12, int), cell=cell, cutoff=1.0, length_scale=1.1)
    positions = draw(system)
    assert np.all(nearest(positions, cell) > 0.99 * 1.1)
    # Spread over the whole cell, and not drawn to a centre.
    fractional = np.linalg.solve(cell.T, positions.reshape(3, -1)) % 1.0
    counts = [np.histogram(f, bins=4, range=(0, 1))[0] for f in fractional]
    expected = 12 * COUNT / 4
    assert np.all(np.abs(np.array(counts) - expected) < 5 * np.sqrt(expected))


def test_starts_scale_with_the_length():
    unit, gold = (
        draw(make_system(np.zeros(7, int), length_scale=scale)) for scale in (1.0, 2.9)
    )
    np.testing.assert_allclose(gold / 2.9, unit, atol=2e-5)


def test_starts_do_not_depend_on_the_energy_unit():
    unit, weak = (
        draw(make_system(np.zeros(7, int), energy_scale=scale)) for scale in (1.0, 0.1)
    )
    np.testing.assert_allclose(weak, unit, atol=2e-5)


def test_a_rotated_start_is_the_same_structure_turned():
    system = make_system(np.zeros(7, int))
    straight, turned = draw(system), draw(system, rotate=True)
    gram = lambda p: np.einsum("anc,amc->nmc", p, p)
    np.testing.assert_allclose(gram(turned), gram(straight), atol=1e-5)
    assert np.all(np.max(np.abs(turned - straight), axis=(0, 1)) > 0.1)


def test_random_rotations_are_rotations_and_uniform():
    """Over SO(3) every entry has mean 0 and mean square 1/3; 5 standard errors."""
    turns = np.asarray(random_rotations(jax.random.key(2), 4000), np.float64)
    product = np.einsum("abk,cbk->ack", turns, turns)
    np.testing.assert_allclose(product, np.eye(3)[..., None] + 0 * product, atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(np.moveaxis(turns, -1, 0)), 1, atol=1e-5)
    error = 1 / np.sqrt(3 * 4000)
    assert np.max(np.abs(turns.mean(axis=-1))) < 5 * error
    # The variance of the square of an entry is 1/5 - 1/9.
    error = np.sqrt((1 / 5 - 1 / 9) / 4000)
    assert np.max(np.abs((turns**2).mean(axis=-1) - 1 / 3)) < 5 * error


def test_a_seed_gives_its_starts_again_and_another_gives_others():
    system = make_system(np.zeros(7, int))
    np.testing.assert_array_equal(draw(system, seed=4), draw(system, seed=4))
    assert not np.any(draw(system, seed=4) == draw(system, seed=5))


def test_a_start_does_not_depend_on_how_many_are_asked_for():
    system = make_system(np.zeros(7, int))
    many = make_starts(system, seed=9, first=0, count=GROUP + 8)
    assert many.shape == (3, 7, GROUP + 8)
    for first, count in ((0, 1), (5, 3), (GROUP - 2, 4), (GROUP + 1, 7)):
        part = make_starts(system, seed=9, first=first, count=count)
        np.testing.assert_array_equal(part, many[..., first : first + count])


def test_own_starts_come_first_and_leave_the_others_alone(rng):
    system = make_system(np.zeros(7, int))
    own = rng.normal(size=(3, 7, 3))
    drawn = make_starts(system, seed=9, first=0, count=6)
    mixed = make_starts(system, seed=9, first=0, count=6, given=own)
    np.testing.assert_array_equal(mixed[..., :3], own)
    np.testing.assert_array_equal(mixed[..., 3:], drawn[..., 3:])
    later = make_starts(system, seed=9, first=2, count=2, given=own)
    np.testing.assert_array_equal(later[..., 0], own[..., 2])
    np.testing.assert_array_equal(later[..., 1], drawn[..., 3])


def test_fixed_atoms_need_starts_of_their_own(rng):
    system = make_system(np.zeros(7, int), free=np.ones((3, 7), bool))
    with pytest.raises(ValueError, match="give starts of your own"):
        random_starts(jax.random.key(0), system, 2)
    own = rng.normal(size=(3, 7, 2))
    given = make_starts(system, seed=0, first=0, count=2, given=own)
    np.testing.assert_array_equal(given, own)
    with pytest.raises(ValueError, match="give starts of your own"):
        make_starts(system, seed=0, first=0, count=3, given=own)


def test_a_traced_caller_may_draw_starts():
    """Training does: nothing in it needs concrete numbers."""
    shape = jax.eval_shape(
        lambda key, length: random_starts(
            key, System(jnp.zeros(5, jnp.int32), length_scale=length), 4, rotate=True
        ),
        jax.random.key(0),
        jnp.float32(1.5),
    )
    assert shape.shape == (3, 5, 4)


@pytest.mark.parametrize("name", ["LJ13", "Ag3Au4", "Si8"])
def test_spreading_leaves_no_overlap_and_does_not_depend_on_the_batch(name):
    target = named_target(name)
    system = target.system
    points = uniform_points(system, 20, np.random.default_rng(8))
    apart = spread(system, points)
    length = float(np.asarray(system.length_scale))
    first, second = np.triu_indices(target.n_atoms, 1)
    difference = apart[:, first] - apart[:, second]
    if system.cell is not None:
        cell = np.asarray(system.cell)
        turns = np.round(np.einsum("anc,ak->knc", difference, np.linalg.inv(cell)))
        difference = difference - np.einsum("knc,ka->anc", turns, cell)
    assert np.min(np.linalg.norm(difference, axis=0)) > 0.99 * length
    alone = spread(system, points[..., 7:8])
    np.testing.assert_array_equal(alone[..., 0], apart[..., 7])
