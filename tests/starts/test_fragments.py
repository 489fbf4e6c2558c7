"""Ordered packings from their definitions, and what is cut out of them."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from ase.cluster import Decahedron, Icosahedron

from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.rollout.quench import quench
from ase_l2h.starts.fragments import (
    DEFAULT_PACKINGS,
    PACKINGS,
    SHIFT,
    cut,
    fragments,
    packing,
)
from ase_l2h.system import make_system

SQRT2 = 2**0.5
SIGMA_BOND = 2 ** (1 / 6)
CENTRE = np.zeros((1, 3))


def distances(points: np.ndarray) -> np.ndarray:
    """Sorted distances of the pairs of ``(n, 3)``, which turning does not change."""
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    return np.sort(apart[np.triu_indices(len(points), 1)])


def lowest_energy(positions: np.ndarray) -> float:
    """Of Lennard-Jones clusters relaxed from bonds of length 1."""
    with jax.enable_x64(True):
        system = make_system(np.zeros(positions.shape[1], int), length_scale=SIGMA_BOND)
        relaxed = quench(LennardJones(), system, SIGMA_BOND * positions, fmax=1e-5)
    return float(np.min(relaxed.energy))


@pytest.mark.parametrize("name", PACKINGS)
def test_bonds_have_length_one_on_average(name):
    points = packing(name, 100)
    inner = points[np.argsort(np.sum(points**2, axis=1))[:60]]
    apart = np.linalg.norm(inner[:, None] - points, axis=-1)
    bonds = apart[(apart > 1e-6) & (apart < 1.25)]
    assert bonds.mean() == pytest.approx(1, abs=0.01)
    assert bonds.min() > 0.86
    assert np.sum(apart < 1e-6) == 60


@pytest.mark.parametrize(
    ("name", "coordinations"),
    [
        ("fcc", {12}),
        ("hcp", {12}),
        ("twin", {12}),
        ("icosahedron", {12}),
        ("decahedron", {12}),
        ("bcc", {14}),
        # Frank and Kasper's polyhedra of tetrahedral close packing.
        ("a15", {12, 14}),
        ("laves", {12, 16}),
    ],
)
def test_every_atom_inside_has_its_neighbours(name, coordinations):
    points = packing(name, 100)
    inner = points[np.argsort(np.sum(points**2, axis=1))[:60]]
    near = np.sum(np.linalg.norm(inner[:, None] - points, axis=-1) < 1.25, axis=1) - 1
    assert set(near.tolist()) == coordinations


@pytest.mark.parametrize("shells", [2, 3, 4])
def test_the_middle_of_the_icosahedral_packing_is_a_mackay_icosahedron(shells):
    """13, 55 and 147 atoms, but for the length of a bond as ASE builds them."""
    expected = Icosahedron("Au", shells, latticeconstant=SQRT2).positions
    points = packing("icosahedron", len(expected))
    found = cut(points, len(expected), CENTRE, np.ones(1))[..., 0].T
    ratio = distances(found)[0] / distances(expected)[0]
    np.testing.assert_allclose(distances(found), ratio * distances(expected))
    # A little off the middle it is still that.
    off = cut(points, len(expected), CENTRE + 0.02, np.array([0.98]))[..., 0].T
    np.testing.assert_allclose(distances(off), distances(found))


def test_the_decahedral_packing_is_five_wedges_around_an_axis():
    """A pentagonal bipyramid in its middle, as ASE builds it, but for the strain."""
    points = packing("decahedron", 100)
    bipyramid = Decahedron("Au", 3, 3, 0, latticeconstant=SQRT2).positions
    apart = np.linalg.norm(points[:, :2], axis=1) / (3**0.5 / 2)
    # Pentagons grow by one bond for each half bond towards the middle.
    pentagons = np.max(
        [
            points[:, :2] @ [np.cos(a), np.sin(a)] / (3**0.5 / 2 * np.cos(np.pi / 5))
            for a in 2 * np.pi / 5 * (np.arange(5) + 0.5)
        ],
        axis=0,
    )
    inside = (pentagons < 2.01) & (pentagons / 2 + np.abs(points[:, 2]) < 2.01)
    assert np.sum(inside) == len(bipyramid) == 55
    np.testing.assert_allclose(np.diff(np.sort(points[apart < 1e-6][:, 2])), 1)
    turn = 2 * np.pi / 5
    matrix = np.array(
        [
            [np.cos(turn), -np.sin(turn), 0],
            [np.sin(turn), np.cos(turn), 0],
            [0, 0, 1],
        ]
    )
    turned = points @ matrix.T
    near = np.linalg.norm(turned[:, None] - points, axis=-1).min(axis=1)
    np.testing.assert_allclose(near, 0, atol=1e-9)
    assert distances(points)[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "n_atoms", "energy"),
    [
        ("icosahedron", 13, -44.326801),
        ("icosahedron", 55, -279.248470),
        ("fcc", 38, -173.928427),
        # The decahedron of Marks.
        ("decahedron", 75, -397.492331),
    ],
)
def test_packings_contain_published_minima_of_lennard_jones(name, n_atoms, energy):
    """Cambridge Cluster Database; which centre and shape is left to a coarse grid."""
    heights = np.array([0.0, 0.0, 0.0, 0.5, 0.7])
    stretches = np.array([0.85, 1.0, 1.15, 1.0, 1.0])
    centres = np.zeros((5, 3))
    centres[:, 2] = heights
    pieces = cut(packing(name, n_atoms), n_atoms, centres, stretches)
    assert lowest_energy(pieces) == pytest.approx(energy, abs=2e-6)


@pytest.mark.parametrize("n_atoms", [1, 2, 13, 75, 300])
def test_fragments_are_pieces_without_overlaps(n_atoms):
    found = fragments(n_atoms, 12, np.random.default_rng(3), tuple(PACKINGS))
    assert found.shape == (3, n_atoms, 12)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-9)
    for piece in np.moveaxis(found, -1, 0) if n_atoms > 1 else ():
        assert distances(piece.T)[0] > 0.86
        assert distances(piece.T)[0] < 1.05
    again = fragments(n_atoms, 12, np.random.default_rng(3), tuple(PACKINGS))
    np.testing.assert_array_equal(found, again)


def test_fragments_differ(rng):
    found = fragments(38, 40, rng)
    shapes = {
        tuple(np.round(distances(piece.T), 6)) for piece in found.T.swapaxes(1, 2)
    }
    assert len(shapes) > 25


@pytest.mark.parametrize("name", DEFAULT_PACKINGS)
@pytest.mark.parametrize("n_atoms", [5, 40])
def test_a_packing_is_large_enough_for_its_fragments(name, n_atoms):
    """What is cut at the far end, in the most stretched shape, meets no border."""
    corners = SHIFT * np.array([[1.0, 1, 1], [-1, -1, -1], [0, 0, 1], [1, 1, 0]])
    small, large = packing(name, n_atoms), packing(name, 8 * n_atoms)
    for stretch in (0.75, 1.35):
        stretches = np.full(4, stretch)
        pieces = [cut(p, n_atoms, corners, stretches) for p in (small, large)]
        for k in range(4):
            np.testing.assert_allclose(*(distances(p[..., k].T) for p in pieces))
