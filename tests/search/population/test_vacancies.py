"""Vacant sites of a cluster's surface, and atoms that move there."""

from __future__ import annotations

import numpy as np
import pytest
from ase.cluster import Icosahedron, Octahedron
from scipy.spatial.transform import Rotation

from ase_l2h.search.hull.system import hull_system
from ase_l2h.search.population.evaluator import Candidate, Decorator
from ase_l2h.search.population.vacancies import rearranged, vacant_sites

SQRT2 = 2**0.5
OCTAHEDRON = Octahedron("Au", 4, 1, latticeconstant=SQRT2).positions
ICOSAHEDRON = Icosahedron("Au", 2, latticeconstant=SQRT2).positions


@pytest.mark.parametrize(
    ("positions", "count"),
    [
        # Eight hexagons of seven atoms with six hollows each, six squares with one.
        (OCTAHEDRON, 8 * 6 + 6),
        # One over each face.
        (ICOSAHEDRON, 20),
    ],
    ids=["truncated octahedron", "icosahedron"],
)
@pytest.mark.parametrize("length", [1.0, 2.9])
def test_the_sites_are_the_hollows_of_the_faces(positions, count, length):
    turned = Rotation.random(rng=np.random.default_rng(1)).apply(length * positions)
    sites = vacant_sites(turned.T, length)
    assert sites.shape == (3, count)
    apart = np.linalg.norm(sites.T[:, None] - turned[None], axis=-1) / length
    # The icosahedron's surface bonds are five per cent longer than those of its centre.
    assert np.all(np.sort(apart, axis=1)[:, :3] < 1.0 + 1e-6)
    assert apart.min() > 0.75


def test_the_sites_with_most_neighbours_come_first():
    sites = vacant_sites(OCTAHEDRON.T, 1.0)
    apart = np.linalg.norm(sites.T[:, None] - OCTAHEDRON[None], axis=-1)
    touching = np.sum(apart < 1.25, axis=1)
    assert touching[:6].tolist() == [4] * 6
    assert touching[6:].max() == 3


def test_three_atoms_in_a_row_carry_no_site():
    row = np.array([[0.0, 0, 0], [0.8, 0, 0], [1.6, 0, 0]])
    assert vacant_sites(row.T, 1.0).shape == (3, 0)


def test_an_atom_off_its_place_goes_back():
    """A vertex of the truncated octahedron put on one of its faces."""
    system = hull_system("AgAu", 38)
    decorator = Decorator(system.potential, 38)
    length = decorator.units(0)[0]
    species = np.zeros(38, int)
    perfect = OCTAHEDRON.T * length
    defect = perfect.copy()
    middle = perfect.mean(axis=1)
    vertex = int(np.argmax(np.linalg.norm(perfect.T - middle, axis=1)))
    sites = vacant_sites(perfect, length)
    far = np.linalg.norm(sites.T - perfect[:, vertex], axis=1)
    defect[:, vertex] = sites[:, int(np.argmax(far))]
    good, bad = decorator.relax(
        np.stack([species, species], axis=1), np.stack([perfect, defect], axis=-1)
    )
    assert bad.energy > good.energy + 0.1
    before = decorator.charged[0]
    (found,) = rearranged(decorator, [bad])
    assert found.energy == pytest.approx(good.energy, abs=1e-4)
    assert decorator.charged[0] > before
    # What is at its best is handed back as it was.
    assert rearranged(decorator, [good])[0] is good
    assert rearranged(decorator, []) == []
    single = Candidate(0.0, np.zeros(1, int), np.zeros((3, 1)))
    assert vacant_sites(single.positions, length).shape == (3, 0)
