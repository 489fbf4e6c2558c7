"""Motifs of published minima, of ideal shapes, and of what has no name."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.cluster import Decahedron, Icosahedron, Octahedron
from moved import moved
from reference_data import structures

from ase_l2h.analysis.bonds import bond_matrix
from ase_l2h.analysis.motif import MOTIFS, bond_signatures, motif

LJ = "lj_global_minima_2_150"


def published(n: int) -> str:
    """The motif in D. J. Wales and J. P. K. Doye, J. Phys. Chem. A 101, 5111 (1997).

    Anti-Mackay growth on the 13-atom icosahedron ends at 30 (J. A. Northby, J. Chem.
    Phys. 87, 6166 (1987)); its first second centre is that of 19 atoms. For 98: R. H.
    Leary and J. P. K. Doye, Phys. Rev. E 60, R6320 (1999).
    """
    if n < 13:
        return "other"
    if 19 <= n <= 30:
        return "polyicosahedral"
    if n in (75, 76, 77, 102, 103, 104):
        return "decahedral"
    return {38: "fcc", 98: "polydecahedral"}.get(n, "icosahedral")


def sphere(layers: str, radius: float) -> Atoms:
    """A ball cut from close-packed layers at the origin, of bond length 1."""
    shifts = {"A": (0.0, 0.0), "B": (0.5, 12**-0.5), "C": (1.0, 2 * 12**-0.5)}
    points = [
        (i + j / 2 + shifts[c][0], j * 0.75**0.5 + shifts[c][1], h * (2 / 3) ** 0.5)
        for h, c in enumerate(layers)
        for i in range(-8, 9)
        for j in range(-8, 9)
    ]
    positions = np.array(points) - [0, 0, (len(layers) // 2) * (2 / 3) ** 0.5]
    positions = positions[np.linalg.norm(positions, axis=1) < radius]
    return Atoms(f"Au{len(positions)}", positions)


@pytest.mark.slow
def test_published_minima_have_their_motifs(rng):
    wrong = {}
    for name, atoms in structures(LJ).items():
        found = motif(moved(atoms, rng, mirrored=bool(rng.integers(2)))).name
        if found != published(len(atoms)):
            wrong[name] = found
    assert wrong == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ag30Au30", "decahedral"),
        ("Cu30Au30", "icosahedral"),
        ("Pt13_r0eq1", "icosahedral"),
        ("Au3Pd3_C2v", "other"),
    ],
)
def test_alloys(name, expected, rng):
    atoms = structures("gupta_structures")[name]
    found = motif(atoms)
    assert found.name == expected
    other = motif(moved(atoms, rng, mirrored=True))
    assert other.name == expected
    assert other.five_fold_axes == found.five_fold_axes
    assert other.signatures == found.signatures
    assert sorted(other.atom_classes) == sorted(found.atom_classes)


@pytest.mark.parametrize(
    ("atoms", "expected", "axes"),
    [
        (Octahedron("Au", 4, 1), "fcc", 0),
        (Octahedron("Au", 3, 1), "fcc", 0),
        (Octahedron("Au", 7, 2), "fcc", 0),
        (Decahedron("Au", 2, 2, 2), "decahedral", 1),
        (Decahedron("Au", 2, 2, 0), "decahedral", 1),
        (Decahedron("Au", 4, 2, 1), "decahedral", 1),
        (Icosahedron("Au", 2), "icosahedral", 0),
        (Icosahedron("Au", 5), "icosahedral", 6),
        (sphere("ABCABCA", 2.4), "fcc", 0),
        (sphere("ABCACBA", 2.4), "hcp/twinned", 0),
        (sphere("ABABABA", 2.4), "hcp/twinned", 0),
    ],
    ids=[
        "truncated octahedron",
        "cuboctahedron",
        "octahedron 231",
        "Marks",
        "Ino",
        "long decahedron",
        "icosahedron 13",
        "icosahedron 309",
        "fcc ball",
        "twin",
        "hcp ball",
    ],
)
def test_ideal_shapes(atoms, expected, axes, rng):
    found = motif(moved(atoms, rng))
    assert (found.name, found.five_fold_axes) == (expected, axes)


def test_atoms_are_classified_as_in_the_mackay_icosahedron():
    """LJ147: a centre, 2 x 12 on the axes, 30 on the edges between tetrahedra."""
    found = motif(structures(LJ)["LJ147"])
    counts = {c: found.count(c) for c in ("icosahedral", "axis", "hcp", "surface")}
    assert counts == {"icosahedral": 1, "axis": 24, "hcp": 30, "surface": 92}
    assert found.five_fold_axes == 6


def test_the_marks_decahedron_has_one_axis_between_five_crystals():
    found = motif(structures(LJ)["LJ75"])
    assert (found.count("axis"), found.count("hcp"), found.count("fcc")) == (3, 10, 5)
    assert found.five_fold_axes == 1


def test_the_leary_tetrahedron_has_its_six_edges_as_axes():
    found = motif(structures(LJ)["LJ98"])
    assert found.five_fold_axes == 6
    assert found.count("icosahedral") == found.count("fcc") == 0


def test_signatures_of_the_icosahedron_and_of_the_truncated_octahedron():
    """12 radial bonds of 42; 60 bonds inside, 24 edges of squares and 60 others."""
    found = motif(structures(LJ)["LJ13"]).signatures
    assert found == {(3, 2, 2): 30 / 42, (5, 5, 5): 12 / 42}
    found = motif(structures(LJ)["LJ38"]).signatures
    assert found[4, 2, 1] == 60 / 144
    np.testing.assert_allclose(sum(found.values()), 1.0)
    assert (5, 5, 5) not in found


def test_the_third_digit_is_the_longest_chain():
    """Four bonds among the common neighbours of 0 and 1: in two pieces, 3 and 1."""
    bonded = np.zeros((8, 8), dtype=bool)
    pairs = [(0, 1), (2, 3), (3, 4), (4, 5), (6, 7)]
    pairs += [(a, b) for a in (0, 1) for b in range(2, 8)]
    for a, b in pairs:
        bonded[a, b] = bonded[b, a] = True
    assert bond_signatures(bonded)[0, 1] == (6, 4, 3)


def test_the_centre_of_a_frank_kasper_polyhedron_is_icosahedral():
    """Z14, on a disclination line: a hexagonal antiprism with two caps."""
    angles = np.arange(6) * np.pi / 3
    rings = [
        [np.cos(a + shift), np.sin(a + shift), h]
        for shift, h in ((0, 0.43), (np.pi / 6, -0.43))
        for a in angles
    ]
    atoms = Atoms("Au15", [[0, 0, 0], *rings, [0, 0, 1.05], [0, 0, -1.05]])
    assert bond_matrix(atoms)[0].sum() == 14
    found = motif(atoms)
    assert found.atom_classes[0] == "icosahedral"
    assert found.name == "icosahedral"


def test_a_piece_of_an_icosahedron_without_its_centre_is_icosahedral():
    """What lies around one face of the 561-atom icosahedron; the axes still meet."""
    atoms = Icosahedron("Au", 6)
    centred = atoms.positions - atoms.positions.mean(axis=0)
    radii = np.linalg.norm(centred, axis=1)
    vertices = centred[radii > np.max(radii) - 0.1]
    near = np.argsort(np.linalg.norm(vertices - vertices[0], axis=1))
    nearer = np.argsort(np.linalg.norm(vertices - vertices[near[1]], axis=1))
    third = next(k for k in near[2:6] if k in nearer[1:6])
    face = vertices[[0, near[1], third]].mean(axis=0)
    found = motif(atoms[centred @ face > 0.1 * face @ face])
    assert found.count("icosahedral") == 0
    assert found.five_fold_axes >= 3
    assert found.name == "icosahedral"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(55, 19, "icosahedral"), (39, 26, "icosahedral"), (26, 19, "polyicosahedral")],
)
def test_of_both_kinds_of_icosahedra_the_more_frequent_counts(first, second, expected):
    """Linked centres against atoms on axes: 2 and 12, 4 and 6, 6 and 0."""
    far = structures(LJ)[f"LJ{second}"].copy()
    far.positions += 40
    assert motif(structures(LJ)[f"LJ{first}"] + far).name == expected


def test_parallel_axes_are_polydecahedral():
    """Two decahedra far apart, side by side; one behind the other they share a line."""
    single = Decahedron("Au", 2, 3, 0)
    assert motif(single).five_fold_axes == 1
    for shift, expected in (((40, 0, 0), ("polydecahedral", 2)), ((0, 0, 40), None)):
        other = single.copy()
        other.positions += shift
        both = motif(single + other)
        assert (both.name, both.five_fold_axes) == (expected or ("decahedral", 1))


def test_order_without_a_name_is_not_amorphous():
    """A bcc rhombic dodecahedron is ordered; a quenched glass of its size is not."""
    lattice = (bulk("Fe", cubic=True) * (7, 7, 7)).positions
    centred = (
        lattice - lattice[np.argmin(np.linalg.norm(lattice - lattice.mean(0), axis=1))]
    )
    close = centred[np.linalg.norm(centred, axis=1) < 6.0]
    assert motif(Atoms(f"Fe{len(close)}", close)).name == "other"
    glass = structures("kob_andersen_binary_lj")["KA100_glass"]
    free = Atoms(glass.numbers, glass.positions)
    assert motif(free).name == "amorphous"


@pytest.mark.parametrize("n", [1, 2, 3, 12])
def test_small_clusters_have_no_inside(n):
    atoms = Atoms("Au") if n == 1 else structures(LJ)[f"LJ{n}"]
    found = motif(atoms)
    assert found.name == "other"
    assert set(found.atom_classes) == {"surface"}


def test_atoms_on_one_another_are_no_error(rng):
    atoms = Atoms("Au60", rng.normal(size=(60, 3)) * 0.05)
    assert motif(atoms).name in MOTIFS
    assert motif(Atoms("Au3", np.zeros((3, 3)))).name in MOTIFS


def test_bond_lengths_can_be_given():
    atoms = structures(LJ)["LJ38"]
    assert motif(atoms, 2 ** (1 / 6)).name == "fcc"
    # Second neighbours at 1.58 count as bonds then.
    assert motif(atoms, 1.4).name != "fcc"


def test_a_crystal_is_refused():
    with pytest.raises(ValueError, match="use space_group"):
        motif(bulk("Au"))
