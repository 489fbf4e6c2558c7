"""Fingerprints of batches against counting bond by bond."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from ase.cluster import Decahedron, Icosahedron, Octahedron

from ase_l2h.search.auto.fingerprint import (
    MOTIF_BINS,
    fingerprints,
    nearest_images,
)

SQRT2 = 2**0.5


def counted(
    points: np.ndarray, length: float, cell: np.ndarray | None = None
) -> tuple[int, list[int]]:
    """Motif class and coordination histogram of ``(n, 3)``, one bond after another."""
    shifts = np.zeros((1, 3))
    if cell is not None:
        shifts = np.array(list(product((-1, 0, 1), repeat=3))) @ cell
    bonds: list[set[int]] = [set() for _ in points]
    for i, j in combinations(range(len(points)), 2):
        way = points[j] + shifts - points[i]
        if np.sqrt((way**2).sum(axis=1)).min() < 1.25 * length:
            bonds[i].add(j)
            bonds[j].add(i)
    fivefold = sum(
        len(bonds[i] & bonds[j]) == 5 for i in range(len(points)) for j in bonds[i]
    )
    histogram = [0] * 16
    for near in bonds:
        histogram[min(len(near), 15)] += 1
    return sum(fivefold // 2 >= least for least in MOTIF_BINS), histogram


def random_batch(rng: np.random.Generator) -> np.ndarray:
    """Shaken pieces of three packings, and some dense ones, ``(3, 30, 12)``."""
    pieces = [
        Icosahedron("Au", 3, latticeconstant=SQRT2).positions,
        Decahedron("Au", 3, 3, 0, latticeconstant=SQRT2).positions,
        Octahedron("Au", 4, latticeconstant=SQRT2).positions,
    ]
    batch = []
    for k in range(12):
        middle = rng.uniform(-0.8, 0.8, size=3)
        piece = pieces[k % 3] - pieces[k % 3].mean(axis=0)
        nearest = np.argsort(np.sum((piece - middle) ** 2, axis=1))[:30]
        crowded = 0.75 if k >= 9 else 1.0
        batch.append(crowded * piece[nearest].T + rng.normal(scale=0.08, size=(3, 30)))
    return np.stack(batch, axis=-1)


@pytest.mark.parametrize("length", [1.0, 2.6])
def test_a_batch_is_counted_as_bond_by_bond(rng, length, monkeypatch):
    """Also in chunks of five structures."""
    monkeypatch.setattr("ase_l2h.search.auto.fingerprint.PAIRS", 5 * 30**2)
    positions = length * random_batch(rng)
    found = fingerprints(positions, length)
    assert found.motif.shape == (12,)
    assert found.shape.shape == (12, 16)
    for k in range(12):
        motif, shape = counted(positions[..., k].T, length)
        assert found.motif[k] == motif
        assert found.shape[k].tolist() == shape
    assert len(set(found.motif.tolist())) > 2
    assert found.shape[:, 15].any()


def test_packings_have_the_classes_of_their_fivefold_bonds():
    """None in close packing; ten or twelve from the centre of an icosahedron of 13."""
    icosahedron = Icosahedron("Au", 2, latticeconstant=SQRT2).positions.T
    assert fingerprints(icosahedron[..., None], 1.0).motif.tolist() == [2]
    octahedron = Octahedron("Au", 4, 1, latticeconstant=SQRT2).positions.T
    assert fingerprints(octahedron[..., None], 1.0).motif.tolist() == [0]
    decahedron = Decahedron("Au", 3, 3, 0, latticeconstant=SQRT2).positions.T
    assert fingerprints(decahedron[..., None], 1.0).motif.tolist() == [1]


def test_in_a_cell_the_nearest_images_are_bonded(rng):
    """A skewed cell, in which an fcc crystal has twelve neighbours everywhere."""
    primitive = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / SQRT2
    grid = np.array(list(product(range(4), repeat=3)))
    points, cell = grid @ primitive, 4 * primitive
    # Whole cells away, atom by atom, everything stays.
    points = points + rng.integers(-2, 3, size=points.shape) @ cell
    found = fingerprints(points.T[..., None], 1.0, cell)
    assert found.shape[0].tolist() == [0] * 12 + [64] + [0] * 3
    shaken = points + rng.normal(scale=0.08, size=points.shape)
    found = fingerprints(shaken.T[..., None], 1.0, cell)
    motif, shape = counted((grid @ primitive) + (shaken - points), 1.0, cell)
    assert found.motif[0] == motif
    assert found.shape[0].tolist() == shape


def test_nearest_images_are_exact_within_half_the_smallest_height(rng):
    cell = np.array([[4.0, 0, 0], [1.5, 3.8, 0], [-0.8, 1.1, 4.2]])
    height = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
    short = rng.normal(size=(3, 200))
    short *= rng.uniform(0, height / 2, size=200) / np.linalg.norm(short, axis=0)
    away = cell.T @ rng.integers(-3, 4, size=short.shape)
    np.testing.assert_allclose(nearest_images(short + away, cell), short, atol=1e-12)


def test_empty_batches_and_positions_that_are_not_finite():
    assert fingerprints(np.zeros((3, 7, 0)), 1.0).shape.shape == (0, 16)
    broken = np.full((3, 7, 1), np.nan)
    found = fingerprints(broken, 1.0)
    assert found.motif.tolist() == [0]
    assert found.shape[0, 0] == 7
