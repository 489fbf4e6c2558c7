"""Which structures are the same minimum."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from moved import moved
from reference_data import structures

from ase_l2h.analysis.compare import same_minimum
from ase_l2h.search.minima import distinct_minima
from ase_l2h.system import make_system

LJ = "lj_global_minima_2_150"


@pytest.fixture
def alloy() -> Atoms:
    return structures("gupta_structures")["Ag30Au30"].copy()


@pytest.mark.parametrize("mirrored", [False, True])
def test_motions_permutations_and_mirror_images_are_the_same(alloy, rng, mirrored):
    assert same_minimum(alloy, moved(alloy, rng, mirrored=mirrored))


def test_enantiomers_are_the_same(rng):
    atoms = molecule("H2O2")
    assert same_minimum(atoms, moved(atoms, rng, mirrored=True))


def test_homotops_differ(alloy, rng):
    silver, gold = (np.flatnonzero(alloy.symbols == s)[0] for s in ("Ag", "Au"))
    other = alloy.copy()
    other.numbers[[silver, gold]] = other.numbers[[gold, silver]]
    assert not same_minimum(alloy, moved(other, rng))
    # Were all atoms alike, nothing would have been exchanged.
    other.numbers[:] = alloy.numbers[:] = 79
    assert same_minimum(alloy, moved(other, rng))


def test_energies_must_agree_where_given(alloy):
    assert same_minimum(alloy, alloy, (-188.0, -188.000009))
    assert not same_minimum(alloy, alloy, (-188.0, -188.00002))
    assert same_minimum(alloy, alloy, (-188.0, -188.1), energy_tolerance=0.2)
    assert not same_minimum(alloy, alloy, (-188.0, np.nan))


def test_a_shift_of_one_atom_counts_from_a_hundredth_of_a_bond():
    """The apex of a trigonal bipyramid, against the length to its own neighbours."""
    atoms = structures(LJ)["LJ5"]
    bond = np.sort(atoms.get_all_distances()[0])[1]
    for shift, same in ((0.005, True), (0.05, False)):
        other = atoms.copy()
        other.positions[0] += shift * bond * np.array([1.0, 2.0, -1.0]) / 6**0.5
        assert same_minimum(atoms, other) is same
    other.positions[0] = atoms.positions[0] * 1.02
    assert same_minimum(atoms, other, length_scale=100.0)


def test_other_compositions_sizes_and_cells_differ():
    silicon = bulk("Si", cubic=True)
    assert not same_minimum(Atoms("AuAg"), Atoms("Au2"))
    assert not same_minimum(Atoms("Au"), Atoms("Au2"))
    assert not same_minimum(silicon, Atoms(silicon.symbols, silicon.positions))
    wider = silicon.copy()
    wider.set_cell(silicon.cell * 1.01)
    assert not same_minimum(silicon, wider)
    assert same_minimum(Atoms("Au"), Atoms("Au", [[1, 2, 3]]))


def test_crystals_are_compared_by_their_nearest_images(rng):
    """In a skewed cell, moved across its borders."""
    crystal = bulk("GaAs", "zincblende", 5.65) * (2, 2, 2)
    crystal.positions += 0.2 * rng.normal(size=(16, 3))
    other = crystal[rng.permutation(16)]
    other.positions += [3.1, 1.0, -4.0]
    other.wrap()
    assert same_minimum(crystal, other)
    other.positions[3] += [0.3, 0, 0]
    assert not same_minimum(crystal, other)


def test_a_search_counts_distinct_minima_in_the_same_way(alloy, rng):
    """One definition: the same pairs of structures, two ways."""
    silver, gold = (np.flatnonzero(alloy.symbols == s)[0] for s in ("Ag", "Au"))
    exchanged = alloy.copy()
    exchanged.positions[[silver, gold]] = exchanged.positions[[gold, silver]]
    near = alloy.copy()
    near.positions[0] += [0.01, 0, 0]
    far = alloy.copy()
    far.positions[0] += [0.1, 0, 0]
    system = make_system(
        (alloy.numbers == 79).astype(int), length_scale=2.88, energy_scale=0.4
    )
    for other, same in ((exchanged, False), (near, True), (far, False)):
        assert same_minimum(alloy, other, length_scale=2.88) is same
        positions = np.stack([alloy.positions.T, other.positions.T], axis=-1)
        found = distinct_minima(np.array([-188.0, -188.0]), positions, system)
        assert (len(found) == 1) is same
