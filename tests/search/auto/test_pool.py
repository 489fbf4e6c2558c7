"""A pool keeps the lowest distinct structures of every motif class."""

from __future__ import annotations

import numpy as np
import pytest
from ase.cluster import Decahedron, Icosahedron, Octahedron

from ase_l2h.search.auto.fingerprint import fingerprints
from ase_l2h.search.auto.pool import Pool

SQRT2 = 2**0.5
N = 30
PIECES = [
    Icosahedron("Au", 3, latticeconstant=SQRT2).positions,
    Decahedron("Au", 3, 3, 0, latticeconstant=SQRT2).positions,
    Octahedron("Au", 4, latticeconstant=SQRT2).positions,
]


def piece(kind: int, rng: np.random.Generator) -> np.ndarray:
    """Atoms of a packing around a random point, ``(3, 30)``."""
    points = PIECES[kind] - PIECES[kind].mean(axis=0)
    offset = points - rng.uniform(-0.8, 0.8, size=3)
    return points[np.argsort(np.sum(offset**2, axis=1))[:N]].T


def candidates(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    positions = np.stack([piece(k % 3, rng) for k in range(count)], axis=-1)
    return rng.normal(size=count), positions


class OneByOne:
    """The same rules, one candidate after the other, in lists."""

    def __init__(self, size: int, same: float, per_shape: int, window: float) -> None:
        self.size, self.same = size, same
        self.per_shape, self.window = per_shape, window
        self.entries: list[tuple[float, int, tuple[int, ...]]] = []

    def add(self, energy: float, positions: np.ndarray) -> None:
        if any(abs(energy - e) < self.same for e, *_ in self.entries):
            return
        marks = fingerprints(positions[..., None], 1.0)
        self.entries.append((energy, int(marks.motif[0]), (*marks.shape[0].tolist(),)))
        self.entries.sort()
        self._trim(2, self.per_shape)
        self._trim(1, self.size)
        lowest = {m: e for e, m, _ in reversed(self.entries)}
        limit = self.entries[0][0] + self.window
        self.entries = [x for x in self.entries if lowest[x[1]] <= limit]

    def _trim(self, part: int, count: int) -> None:
        kept = []
        for entry in self.entries:
            if sum(other[part] == entry[part] for other in kept) < count:
                kept.append(entry)
        self.entries = kept


@pytest.mark.parametrize("window", [1.5, np.inf])
@pytest.mark.parametrize("batch", [1, 7, 60])
def test_a_pool_keeps_what_adding_one_by_one_keeps(rng, window, batch):
    """In batches of any size, in the order of energy within each."""
    energies, positions = candidates(rng, 60)
    # A geometry many times, with its elements elsewhere, say.
    positions[..., 15:30] = positions[..., 10:11]
    energies[15:30] -= 2.0
    # Some once more, now and later.
    energies[[9, 33, 58]] = energies[[4, 2, 57]] + 1e-6
    positions[..., [9, 33, 58]] = positions[..., [4, 2, 57]]
    pool = Pool(3, 1e-5, 1.0, per_shape=2, window=window)
    slow = OneByOne(3, 1e-5, 2, window)
    for first in range(0, 60, batch):
        part = slice(first, first + batch)
        lowest = pool.energy
        added = pool.add_many(energies[part], positions[..., part])
        assert added.lowest_fell == (pool.energy < lowest - 1e-5)
        for k in first + np.argsort(energies[part]):
            slow.add(float(energies[k]), positions[..., k])
        new = energies[part][added.entered]
        assert np.all(np.isin(new, pool.energies))
    assert pool.energies.tolist() == [e for e, *_ in slow.entries]
    assert pool.motifs.tolist() == [m for _, m, _ in slow.entries]
    assert [tuple(s) for s in pool.shapes.T.tolist()] == [s for *_, s in slow.entries]
    assert len(np.unique(pool.motifs)) > 1
    for energy, place in zip(pool.energies, pool.positions.T, strict=True):
        source = int(np.flatnonzero(energies == energy)[0])
        np.testing.assert_array_equal(place.T, positions[..., source])


def test_one_energy_is_one_structure_and_the_first_to_come_stays(rng):
    energies, positions = candidates(rng, 3)
    energies = np.array([-1.0, -1.0005, -2.0])
    pool = Pool(4, 1e-3, 1.0)
    assert pool.add_many(energies[:1], positions[..., :1]).lowest_fell
    added = pool.add_many(energies[1:2], positions[..., 1:2])
    assert added.entered.tolist() == [False]
    assert not added.lowest_fell
    assert pool.add_many(energies, positions).entered.tolist() == [False, False, True]
    assert pool.energies.tolist() == [-2.0, -1.0]


def test_energies_that_are_not_finite_stay_out(rng):
    energies, positions = candidates(rng, 4)
    energies[1:] = np.inf, np.nan, -np.inf
    pool = Pool(4, 1e-3, 1.0)
    added = pool.add_many(energies, positions)
    assert added.entered.tolist() == [True, False, False, False]
    assert not pool.add_many(energies[1:], positions[..., 1:]).entered.any()
    assert pool.wants(energies, positions).tolist() == [False] * 4
    assert pool.shortlist(energies[1:], positions[..., 1:], 3).size == 0


def test_what_a_pool_wants_is_what_enters_alone(rng):
    energies, positions = candidates(rng, 60)
    # Geometries that are full come again, too.
    positions[..., 50:] = positions[..., :10]
    pool = Pool(3, 0.02, 1.0, window=1.5)
    pool.add_many(energies[:30], positions[..., :30])
    assert np.sum(pool.energies > pool.energy + 1.5) > 0
    wanted = pool.wants(energies[30:], positions[..., 30:])
    assert 0 < wanted.sum() < 30
    for k in range(30):
        again = Pool(3, 0.02, 1.0, window=1.5)
        again.from_arrays(pool.to_arrays())
        one = slice(30 + k, 31 + k)
        entered = again.add_many(energies[one], positions[..., one]).entered
        inside = energies[30 + k] < pool.energy + 1.5
        assert (entered[0] and inside) == wanted[k]


def test_one_length_serves_every_fingerprint(rng):
    """Structures with bonds of 2.7, of a pool that knows this length alone."""
    energies, positions = candidates(rng, 30)
    small, large = Pool(2, 1e-6, 1.0), Pool(2, 1e-6, 2.7)
    small.add_many(energies[:15], positions[..., :15])
    large.add_many(energies[:15], 2.7 * positions[..., :15])
    np.testing.assert_array_equal(small.motifs, large.motifs)
    np.testing.assert_array_equal(
        small.wants(energies[15:], positions[..., 15:]),
        large.wants(energies[15:], 2.7 * positions[..., 15:]),
    )


def test_a_shortlist_begins_with_the_lowest_of_every_motif_class(rng):
    energies, positions = candidates(rng, 40)
    pool = Pool(4, 2e-5, 1.0, window=2.0)
    index = pool.shortlist(energies, positions, 40)
    assert np.all(energies[index] <= energies.min() + 2.0)
    motifs = fingerprints(positions[..., index], 1.0).motif
    classes = len(np.unique(motifs))
    assert classes > 1
    assert len(np.unique(motifs[:classes])) == classes
    for part in (slice(0, classes), slice(classes, None)):
        assert np.all(np.diff(energies[index][part]) > 0)
    # Each is the lowest of its class.
    assert all(
        energies[i] == energies[index][motifs == m].min()
        for i, m in zip(index[:classes], motifs[:classes], strict=True)
    )
    np.testing.assert_array_equal(pool.shortlist(energies, positions, 3), index[:3])
    # What is there already, or nearly so, is no news.
    pool.add_many(energies, positions)
    known = np.isin(energies, pool.energies)
    again = pool.shortlist(energies + 5e-4, positions, 40)
    assert not np.any(known[again])


def test_a_shortlist_of_what_is_wanted(rng):
    energies, positions = candidates(rng, 40)
    pool = Pool(2, 2e-5, 1.0)
    pool.add_many(energies[:20], positions[..., :20])
    wanted = pool.wants(energies[20:], positions[..., 20:])
    index = pool.shortlist(energies[20:], positions[..., 20:], 40, wanted=True)
    assert 0 < len(index) < 20
    assert np.all(wanted[index])


def test_a_pool_goes_through_a_checkpoint_exactly(rng):
    energies, positions = candidates(rng, 20)
    pool = Pool(3, 1e-3, 1.0)
    pool.add_many(energies[:10], positions[..., :10])
    arrays = {name: array.copy() for name, array in pool.to_arrays().items()}
    again = Pool(3, 1e-3, 1.0)
    again.from_arrays(arrays)
    for one in (pool, again):
        one.add_many(energies[10:], positions[..., 10:])
    for name, array in pool.to_arrays().items():
        np.testing.assert_array_equal(array, again.to_arrays()[name], strict=True)
    empty = Pool(3, 1e-3, 1.0, n_atoms=N)
    assert empty.energy == np.inf
    assert len(empty) == 0
    assert empty.to_arrays()["positions"].shape == (3, N, 0)
    assert not empty.add_many(np.zeros(0), np.zeros((3, N, 0))).lowest_fell
