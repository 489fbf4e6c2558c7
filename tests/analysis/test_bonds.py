"""Bonds, unlike bonds, surface and segregation of clusters."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.cluster import Icosahedron, Octahedron
from moved import moved
from reference_data import structures

from ase_l2h.analysis.bonds import (
    bond_length,
    bond_matrix,
    bonds,
    segregation,
    surface_atoms,
    unlike_bonds,
)

LJ = "lj_global_minima_2_150"
# sigma_ij 2^(1/6) of the Kob-Andersen mixture, argon being A.
KOB_ANDERSEN = {
    "Ar-Ar": 2 ** (1 / 6),
    "Ar-Kr": 0.8 * 2 ** (1 / 6),
    "Kr-Kr": 0.88 * 2 ** (1 / 6),
}


def core_shell() -> Atoms:
    """Au@Ag12, the vertices 2.8 angstrom from the centre."""
    atoms = Icosahedron("Ag", 2)
    atoms.positions -= atoms.positions.mean(axis=0)
    radii = np.linalg.norm(atoms.positions, axis=1)
    atoms.numbers[np.argmin(radii)] = 79
    atoms.positions *= 2.8 / np.max(radii)
    return atoms


@pytest.mark.parametrize(
    ("n", "contacts"),
    [(4, 6), (7, 16), (13, 42), (38, 144), (55, 234), (75, 319)],
)
def test_published_clusters_have_the_known_number_of_contacts(n, contacts):
    """Tetrahedron, bipyramid, Mackay icosahedra, truncated octahedron, Marks' 75."""
    assert bonds(structures(LJ)[f"LJ{n}"]) == contacts


def test_unlike_bonds_of_the_icosahedron():
    """The centre has 12 neighbours, a vertex the centre and five vertices."""
    atoms = core_shell()
    assert unlike_bonds(atoms) == 12
    centre = np.flatnonzero(atoms.numbers == 79)[0]
    vertex = (centre + 1) % 13
    atoms.numbers[[centre, vertex]] = atoms.numbers[[vertex, centre]]
    assert unlike_bonds(atoms) == 6
    atoms.numbers[:] = 47
    assert unlike_bonds(atoms) == 0
    assert bonds(atoms) == 42


def test_segregation_of_a_core_and_its_shell():
    mixed = segregation(core_shell())
    assert list(mixed) == ["Ag", "Au"]
    assert (mixed["Ag"].count, mixed["Au"].count) == (12, 1)
    np.testing.assert_allclose(mixed["Ag"].mean_distance, 2.8)
    np.testing.assert_allclose(mixed["Au"].mean_distance, 0.0, atol=1e-12)
    assert mixed["Ag"].surface_fraction == 1.0
    assert mixed["Au"].surface_fraction == 0.0


def test_the_surface_of_the_truncated_octahedron_is_all_but_six_atoms():
    atoms = Octahedron("Au", 4, 1)
    inside = ~surface_atoms(atoms)
    assert np.sum(inside) == 6
    radii = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1)
    assert np.max(radii[inside]) < np.min(radii[~inside])


@pytest.mark.parametrize("name", ["Ag30Au30", "Cu30Au30"])
def test_nothing_depends_on_how_the_cluster_is_seen(name, rng):
    atoms = structures("gupta_structures")[name]
    counts, order = (bonds(atoms), unlike_bonds(atoms)), segregation(atoms)
    for mirrored in (False, True):
        other = moved(atoms, rng, mirrored=mirrored)
        assert (bonds(other), unlike_bonds(other)) == counts
        np.testing.assert_allclose(bond_length(other), bond_length(atoms), rtol=1e-12)
        for symbol, values in segregation(other).items():
            assert values.surface_fraction == order[symbol].surface_fraction
            np.testing.assert_allclose(
                values.mean_distance, order[symbol].mean_distance, rtol=1e-12
            )


def test_silver_is_at_the_surface_of_silver_gold():
    """Of lower surface energy and hardly larger: published for this minimum."""
    found = segregation(structures("gupta_structures")["Ag30Au30"])
    assert found["Ag"].surface_fraction > found["Au"].surface_fraction
    assert found["Ag"].mean_distance > found["Au"].mean_distance


def test_fitted_lengths_find_the_bonds_of_atoms_of_unequal_size():
    """Copper and gold differ by 12 percent; their bulk neighbours are known."""
    atoms = structures("gupta_structures")["Cu30Au30"]
    known = {"Cu-Cu": 2.556, "Cu-Au": 2.72, "Au-Au": 2.884}
    np.testing.assert_array_equal(bond_matrix(atoms), bond_matrix(atoms, known))
    # In either order of the pair, and unlike one length for all.
    swapped = {"Au-Cu" if pair == "Cu-Au" else pair: r for pair, r in known.items()}
    np.testing.assert_array_equal(bond_matrix(atoms, swapped), bond_matrix(atoms))
    assert bonds(atoms, 2.1) < bonds(atoms)


def test_small_and_large_spheres_in_contact_are_bonded_by_their_own_lengths():
    """Rock salt with an edge of 1.6: chlorine touches chlorine, sodium no sodium."""
    block = bulk("NaCl", "rocksalt", 3.2, cubic=True) * (2, 2, 2)
    atoms = Atoms(block.symbols, block.positions)
    lengths = {"Na-Na": 1.2, "Cl-Na": 1.6, "Cl-Cl": 2.0}
    # 4 x 4 x 4 points of a simple cubic lattice: 3 * 4 * 4 * 3 nearest pairs.
    assert bonds(atoms, lengths) == unlike_bonds(atoms, lengths) + bonds(
        atoms[atoms.symbols == "Cl"], lengths
    )
    assert unlike_bonds(atoms, lengths) == 144
    assert bonds(atoms[atoms.symbols == "Na"], lengths) == 0


def test_every_species_has_its_own_fitted_length():
    """Two icosahedra far apart: 42 bonds each, of 4 and of 2.4 angstrom."""
    small, large = Icosahedron("Ni", 2), Icosahedron("Au", 2)
    for atoms, length in ((small, 2.4), (large, 4.0)):
        atoms.positions *= length / bond_length(atoms)
    large.positions += 100
    assert (bonds(small + large), unlike_bonds(small + large)) == (84, 0)


def test_given_lengths_decide_pair_by_pair():
    glass = structures("kob_andersen_binary_lj")["KA100_glass"]
    atoms = Atoms(glass.symbols, glass.positions)
    distances = atoms.get_all_distances()
    symbols = atoms.get_chemical_symbols()
    expected = {
        (i, j)
        for i in range(100)
        for j in range(i + 1, 100)
        if distances[i, j]
        < KOB_ANDERSEN["-".join(sorted((symbols[i], symbols[j])))] * (1 + 2**0.5) / 2
    }
    found = np.argwhere(np.triu(bond_matrix(atoms, KOB_ANDERSEN)))
    assert set(map(tuple, found.tolist())) == expected
    # One length for all counts small atoms that are not in contact.
    one = np.argwhere(np.triu(bond_matrix(atoms, 2 ** (1 / 6))))
    assert set(map(tuple, one.tolist())) > expected


def test_few_atoms():
    assert bonds(Atoms("Au")) == 0
    assert bond_length(Atoms("Au")) == 1.0
    dimer = Atoms("AuAg", [[0, 0, 0], [0, 0, 2.5]])
    assert (bonds(dimer), unlike_bonds(dimer)) == (1, 1)
    np.testing.assert_allclose(bond_length(dimer), 2.5)
    # The third atom evaporated.
    gone = Atoms("Au3", [[0, 0, 0], [0, 0, 2.5], [0, 0, 40]])
    assert bonds(gone) == 1


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: bonds(bulk("Au")), "set pbc to False"),
        (lambda: bonds(Atoms()), "no atoms"),
        (lambda: bonds(core_shell(), {"Ag-Ag": 2.9, "Au-Au": 2.9}), "Ag-Au"),
        (lambda: bonds(core_shell(), -1.0), "give positive lengths"),
        (lambda: bonds(core_shell(), np.nan), "give positive lengths"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
