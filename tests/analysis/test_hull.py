"""Excess energies, hulls and second differences, also of degenerate sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from ase_l2h.analysis.hull import (
    composition_hull,
    excess_energies,
    second_differences,
)

# Four atoms, A_m B_(4-m); excess by hand with E(4) = -8, E(0) = -12.
COUNTS = [0, 1, 2, 3, 4]
ENERGIES = [-12.0, -12.0, -10.5, -10.0, -8.0]
EXCESS = [0.0, -1.0, -0.5, -1.0, 0.0]


def test_excess_is_measured_from_the_pure_clusters_of_the_same_size():
    hull = composition_hull(COUNTS, ENERGIES, 4)
    np.testing.assert_allclose(hull.excess, EXCESS, atol=1e-14)
    np.testing.assert_allclose(hull.excess_per_atom, np.array(EXCESS) / 4, atol=1e-14)
    np.testing.assert_allclose(excess_energies(COUNTS, ENERGIES, 4), hull.excess)


def test_vertices_and_heights_above_them():
    hull = composition_hull(COUNTS, ENERGIES, 4)
    assert hull.on_hull.tolist() == [True, True, False, True, True]
    np.testing.assert_allclose(hull.above_hull, [0, 0, 0.5, 0, 0], atol=1e-14)


def test_second_differences_have_two_neighbours():
    expected = [np.nan, 1.5, -1.0, 1.5, np.nan]
    np.testing.assert_allclose(second_differences(COUNTS, ENERGIES, 4), expected)
    # Without m = 2 only none is left.
    without = second_differences([0, 1, 3, 4], [-12.0, -12.0, -10.0, -8.0], 4)
    assert np.all(np.isnan(without))


def test_the_order_of_the_structures_is_kept(rng):
    order = rng.permutation(5)
    hull = composition_hull(np.array(COUNTS)[order], np.array(ENERGIES)[order], 4)
    np.testing.assert_allclose(hull.excess, np.array(EXCESS)[order], atol=1e-14)
    assert hull.n_a[hull.vertices].tolist() == [0, 1, 3, 4]
    in_order = composition_hull(COUNTS, ENERGIES, 4).second_difference
    np.testing.assert_allclose(hull.second_difference, in_order[order])


@pytest.mark.parametrize("seed", range(8))
def test_hulls_agree_with_scipy(seed):
    """Sizes at which points lie close together, and excess of either sign."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 80))
    counts = np.unique(np.r_[0, n, rng.integers(0, n + 1, n)])
    energies = (
        rng.normal(size=len(counts)) - 3.1 * counts + 0.02 * (counts - n / 2) ** 2
    )
    hull = composition_hull(counts, energies, n)
    points = np.stack([counts, energies], axis=1)
    facets = ConvexHull(points)
    lower = np.unique(facets.simplices[facets.equations[:, 1] < 0])
    assert hull.vertices.tolist() == sorted(lower.tolist())
    line = np.interp(counts, counts[lower], energies[lower])
    np.testing.assert_allclose(hull.above_hull, energies - line, atol=1e-10)


def test_a_term_linear_in_composition_changes_neither_excess_nor_hull(rng):
    counts = np.arange(39)
    energies = rng.normal(size=39)
    hull = composition_hull(counts, energies, 38)
    tilted = composition_hull(counts, energies + 2.7 * counts - 130.0, 38)
    np.testing.assert_allclose(tilted.excess, hull.excess, atol=1e-11)
    np.testing.assert_array_equal(tilted.on_hull, hull.on_hull)


@pytest.mark.parametrize(
    "excess",
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.3, 0.1, 0.0], [0.0, 1e-13, -1e-13, 0.0]],
    ids=["ideal", "positive", "rounding"],
)
def test_without_negative_excess_only_the_pure_clusters_are_vertices(excess):
    energies = np.array([-40.0, -37.0, -34.0, -31.0]) + excess
    hull = composition_hull([0, 1, 2, 3], energies, 3)
    assert hull.on_hull.tolist() == [True, False, False, True]
    np.testing.assert_allclose(hull.above_hull, np.maximum(excess, 0), atol=1e-12)
    assert np.all(hull.above_hull >= 0)


def test_all_energies_zero():
    hull = composition_hull([0, 1, 2], [0.0, 0.0, 0.0], 2)
    assert hull.on_hull.tolist() == [True, False, True]
    np.testing.assert_array_equal(hull.excess, 0.0)


def test_one_composition_has_no_excess_and_is_a_vertex():
    hull = composition_hull([5], [-40.0], 13)
    assert np.isnan(hull.excess).all()
    assert np.isnan(hull.second_difference).all()
    assert hull.on_hull.tolist() == [True]
    assert hull.above_hull.tolist() == [0.0]


def test_only_the_pure_clusters():
    hull = composition_hull([13, 0], [-31.0, -43.0], 13)
    assert hull.excess.tolist() == [0.0, 0.0]
    assert hull.vertices.tolist() == [1, 0]


def test_pure_clusters_can_be_given_apart():
    known = composition_hull(COUNTS, ENERGIES, 4)
    hull = composition_hull(COUNTS[1:4], ENERGIES[1:4], 4, pure=(-8.0, -12.0))
    np.testing.assert_allclose(hull.excess, known.excess[1:4])
    np.testing.assert_allclose(hull.second_difference, known.second_difference[1:4])
    assert hull.on_hull.tolist() == [True, False, True]
    # A lower one among the structures counts instead.
    lower = composition_hull(
        [*COUNTS[1:4], 4], [*ENERGIES[1:4], -9.0], 4, (-8.0, -12.0)
    )
    np.testing.assert_allclose(lower.excess[0], -0.75)
    assert lower.on_hull[3]


def test_of_several_structures_of_one_composition_the_lowest_counts():
    counts, energies = [2, 0, 2, 4, 2], [-2.0, 0.0, -1.0, 0.0, -2.0]
    hull = composition_hull(counts, energies, 4)
    assert hull.on_hull.tolist() == [True, True, False, True, False]
    np.testing.assert_allclose(hull.above_hull, [0, 0, 1, 0, 0])
    np.testing.assert_allclose(hull.excess, energies)


def test_missing_compositions_are_bridged():
    hull = composition_hull([0, 6, 10], [0.0, -3.0, 0.0], 10)
    assert hull.on_hull.all()
    assert np.isnan(hull.second_difference).all()


@pytest.mark.parametrize(
    ("counts", "energies", "n", "sentence"),
    [
        ([], [], 4, "at least one composition"),
        ([0, 1], [0.0], 4, "give one energy for each"),
        ([0, 5], [0.0, 0.0], 4, "from 0 to 4"),
        ([-1], [0.0], 4, "from 0 to 4"),
        ([1.5], [0.0], 4, "whole numbers"),
        ([1], [np.inf], 4, "leave out compositions"),
        ([0], [0.0], 0, "give at least 1"),
    ],
)
def test_impossible_sets_are_refused(counts, energies, n, sentence):
    with pytest.raises(ValueError, match=sentence):
        composition_hull(np.array(counts), np.array(energies), n)
