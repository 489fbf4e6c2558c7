"""Changes of structures that are held: what each touches, and what it leaves alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111
from ase.calculators.emt import EMT
from ase.cluster import Icosahedron
from ase.constraints import FixAtoms

from ase_l2h.ase_adapter.problem import problem_of
from ase_l2h.search.auto import changes
from ase_l2h.search.problem import Problem

N, BATCH = 38, 60
# Alloys are needed to swap, and a surface to slide.
CHANGES = {
    name: getattr(changes, name)
    for name in changes.__all__
    if name not in ("swapped", "slid")
}


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture(scope="module")
def cluster() -> Problem:
    return Problem.of(f"LJ{N}")


@pytest.fixture(scope="module")
def alloy() -> Problem:
    return Problem.of("Ag19Au19")


@pytest.fixture(scope="module")
def held(cluster) -> np.ndarray:
    """Pieces of an icosahedron, each shaken a little."""
    place = Icosahedron("Ar", 3, latticeconstant=np.sqrt(2)).positions[:N].T
    noise = 0.02 * np.random.default_rng(1).normal(size=(3, N, BATCH))
    return cluster.length * (place[..., None] + noise)


def moved(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which atoms are elsewhere, ``(n, batch)``."""
    return np.any(before != after, axis=0)


def distances(positions: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[:, :, None] - positions[:, None], axis=0)


@pytest.mark.parametrize("name", [*CHANGES, "swapped"])
def test_something_changes_and_the_structures_that_were_held_do_not(
    name, rng, held, alloy
):
    before = held * alloy.length / held.std()
    kept = before.copy()
    after = getattr(changes, name)(before, alloy, rng)
    np.testing.assert_array_equal(before, kept)
    assert after.shape == before.shape
    assert np.all(np.isfinite(after))
    assert np.all(moved(before, after).any(axis=0))


@pytest.mark.parametrize("name", [*CHANGES, "swapped"])
def test_fixed_coordinates_stay_where_they_were(name, rng, held, alloy):
    """Atoms that are fixed, and one that moves along two directions only."""
    free = np.ones((3, N), bool)
    free[:, [0, 7, 20]] = False
    free[2, 5] = False
    # The first of a batch says where: all of them have their fixed atoms there.
    start = np.where(free[..., None], held, held[..., :1])
    system = dataclasses.replace(alloy.system, free=free)
    fixed = dataclasses.replace(alloy, system=system, given=start[..., :1])
    after = getattr(changes, name)(start, fixed, rng)
    np.testing.assert_array_equal(after[~free], start[~free])
    assert moved(start, after).any()


def test_a_shake_displaces_every_atom_a_little(rng, held, cluster):
    after = changes.shaken(held, cluster, rng)
    assert moved(held, after).all()
    spread = np.std(after - held, axis=(0, 1)) / cluster.length
    low, high = changes.SHAKE
    assert np.all((spread > 0.8 * low) & (spread < 1.2 * high))
    assert np.ptp(spread) > 0.1


def test_a_melt_displaces_one_side_far(rng, held, cluster):
    after = changes.melted(held, cluster, rng)
    chosen = moved(held, after)
    counts = chosen.sum(axis=0)
    assert counts.min() >= 2
    assert counts.max() <= changes.MELT[1] * N + 1
    assert len(set(counts.tolist())) > 5
    for k in range(BATCH):
        here = held[..., k] - held[..., k].mean(axis=1, keepdims=True)
        melt, rest = here[:, chosen[:, k]], here[:, ~chosen[:, k]]
        # A plane divides them: along the direction that tells them best apart.
        assert separable(melt, rest)


def separable(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether a plane lies between two sets of points, by the perceptron."""
    points = np.concatenate([first, -second], axis=1)
    offsets = np.concatenate([np.ones(first.shape[1]), -np.ones(second.shape[1])])
    rows = np.concatenate([points, offsets[None]])
    normal = np.zeros(4)
    for _ in range(20_000):
        worst = int(np.argmin(normal @ rows))
        if normal @ rows[:, worst] > 0:
            return True
        normal += rows[:, worst]
    return False


def test_a_twist_keeps_every_distance_on_either_side(rng, held, cluster):
    after = changes.twisted(held, cluster, rng)
    turned = moved(held, after)
    shares = turned.mean(axis=0)
    assert np.all((shares > 0.15) & (shares < 0.85))
    before, now = distances(held), distances(after)
    same = turned[:, None] == turned[None, :]
    np.testing.assert_allclose(now[same], before[same], atol=1e-9)
    across = np.abs(now - before) * ~same
    assert np.all(across.max(axis=(0, 1)) > 0.1 * cluster.length)


def test_a_cluster_slides_along_its_surface_as_a_whole(rng):
    slab = fcc111("Cu", (3, 3, 2), vacuum=6.0, periodic=False)
    top = slab.positions[:, 2].max()
    slab.set_constraint(FixAtoms(range(len(slab))))
    block = [[1, 1, top + 2], [3.5, 1, top + 2.1], [1, 3.5, top + 2.2], [2, 2, top + 4]]
    slab += Atoms("Cu4", positions=block)
    slab.calc = EMT()
    problem = problem_of(slab)
    before = np.repeat(problem.given[..., :1], BATCH, axis=2)
    after = changes.slid(before, problem, rng)
    np.testing.assert_array_equal(after[:, :-4], before[:, :-4])
    inside = distances(after[:, -4:])
    np.testing.assert_allclose(inside, distances(before[:, -4:]), atol=1e-9)
    shift = (after - before)[:, -4:].mean(axis=1) / problem.length
    np.testing.assert_allclose(shift[2], changes.LIFT)
    low, high = changes.SLIDE
    along = np.linalg.norm(shift[:2], axis=0)
    assert np.all((along > low - 1e-9) & (along < high + 1e-9))
    # Some are only shifted, the others turned, too.
    same = np.ptp((after - before)[:, -4:], axis=1).max(axis=0) < 1e-9
    assert 0 < np.sum(same) < BATCH


def test_moves_put_one_to_three_of_the_loosest_outside(rng, held, cluster):
    after = changes.moved_outside(held, cluster, rng)
    chosen = moved(held, after)
    counts = chosen.sum(axis=0)
    assert set(counts.tolist()) == {1, 2, 3}
    near = np.sum(distances(held) < changes.BOND * cluster.length, axis=1)
    centre = held.mean(axis=1, keepdims=True)
    radius = np.linalg.norm(held - centre, axis=0).max(axis=0)
    for k in range(BATCH):
        assert near[chosen[:, k], k].max() <= near[~chosen[:, k], k].min()
    there = np.linalg.norm(after - centre, axis=0)
    np.testing.assert_allclose(
        there[chosen], np.broadcast_to(radius, there.shape)[chosen]
    )


def test_shuffled_atoms_lie_at_vacant_sites(rng, held, cluster):
    after = changes.shuffled(held, cluster, rng)
    chosen = moved(held, after)
    counts = chosen.sum(axis=0)
    assert counts.min() >= 1
    assert counts.max() <= 1 + N // changes.SHUFFLED
    assert len(set(counts.tolist())) > 2
    sites = changes.vacant_sites(held, cluster.length, cluster.cell)
    for k in range(BATCH):
        vacant = sites.positions[:, sites.owners == k]
        gap = np.linalg.norm(
            after[:, chosen[:, k], k][..., None] - vacant[:, None], axis=0
        )
        assert np.all(gap.min(axis=1) == 0)


def test_swaps_exchange_unlike_atoms_and_leave_the_places(rng, held, alloy):
    after = changes.swapped(held, alloy, rng)
    species = np.asarray(alloy.species)
    for k in range(BATCH):
        np.testing.assert_array_equal(
            np.sort(after[..., k], axis=1), np.sort(held[..., k], axis=1)
        )
        counts = np.bincount(species[moved(held, after)[:, k]], minlength=2)
        # One atom may take part in several, one after the other.
        assert min(counts) >= 1
        assert max(counts) <= changes.SWAPS
