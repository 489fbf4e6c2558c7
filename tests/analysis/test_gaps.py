"""Separate parts of a cluster."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from ase.cluster import Icosahedron

from ase_l2h.analysis.gaps import widest_gap

CLUSTER = Icosahedron("Cu", 3).positions


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_a_stray_atom_is_found_in_any_unit(scale):
    # On the line through the centre and a vertex, 20 A beyond that.
    vertex = CLUSTER[np.argmax(np.linalg.norm(CLUSTER, axis=1))]
    outward = vertex / np.linalg.norm(vertex)
    points = np.vstack([CLUSTER, vertex + 20 * outward]) * scale
    assert widest_gap(points) == pytest.approx(20 * scale)


def test_two_clusters_are_two_parts():
    apart = np.vstack([CLUSTER, CLUSTER + np.array([40, 0, 0])])
    between = 40 - np.ptp(CLUSTER[:, 0])
    assert widest_gap(apart) == pytest.approx(between, rel=0.1)


@pytest.mark.parametrize(
    "points",
    [
        CLUSTER,
        molecule("CH3CH2OH").positions,
        # A chain, and one with a link of twice the length.
        np.outer(np.arange(9), [1.1, 0, 0]),
        np.outer([0, 1, 2, 4, 5, 6], [1.1, 0, 0]),
        # Fewer than four, in one place, and not finite.
        np.outer([0, 1, 90], [1, 0, 0]),
        np.zeros((5, 3)),
        np.full((5, 3), np.nan),
    ],
)
def test_what_hangs_together_has_no_gap(points):
    assert widest_gap(points) is None
