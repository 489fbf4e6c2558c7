"""Point groups of clusters and space groups of crystals."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.cluster import Icosahedron
from moved import moved
from reference_data import structures

from ase_l2h.analysis.symmetry import point_group, space_group, symmetry_operations

LJ = "lj_global_minima_2_150"
# As pymatgen writes the infinite groups.
PRINTED = {"Dinftyh": "D*h"}
GOLDEN = (1 + 5**0.5) / 2


def lj(n: int) -> Atoms:
    return structures(LJ)[f"LJ{n}"].copy()


def turn(axis, fold: float) -> np.ndarray:
    """Rotation by 1/fold of a turn (Rodrigues)."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = 2 * np.pi / fold
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def mirror(normal) -> np.ndarray:
    return -turn(normal, 2)


def closure(generators) -> list[np.ndarray]:
    group = [np.eye(3)]
    for element in group:
        for generator in generators:
            product = generator @ element
            if not any(np.allclose(product, known) for known in group):
                group.append(product)
    return group


X, Z, DIAGONAL = (1, 0, 0), (0, 0, 1), (1, 1, 1)
INVERSION = -np.eye(3)
GROUPS = {
    "C1": (1, []),
    "Cs": (2, [mirror(DIAGONAL)]),
    "Ci": (2, [INVERSION]),
    "S4": (4, [mirror(Z) @ turn(Z, 4)]),
    "S6": (6, [mirror(Z) @ turn(Z, 6)]),
    "S8": (8, [mirror(Z) @ turn(Z, 8)]),
    "T": (12, [turn(Z, 2), turn(DIAGONAL, 3)]),
    "Td": (24, [turn(Z, 2), turn(DIAGONAL, 3), mirror((1, 1, 0))]),
    "Th": (24, [turn(Z, 2), turn(DIAGONAL, 3), INVERSION]),
    "O": (24, [turn(Z, 4), turn(DIAGONAL, 3)]),
    "Oh": (48, [turn(Z, 4), turn(DIAGONAL, 3), INVERSION]),
    "I": (60, [turn((0, 1, GOLDEN), 5), turn(DIAGONAL, 3)]),
    "Ih": (120, [turn((0, 1, GOLDEN), 5), turn(DIAGONAL, 3), INVERSION]),
}
for n in (2, 3, 4, 5, 6, 7):
    axis = turn(Z, n)
    GROUPS |= {
        f"C{n}": (n, [axis]),
        f"C{n}v": (2 * n, [axis, mirror(X)]),
        f"C{n}h": (2 * n, [axis, mirror(Z)]),
        f"D{n}": (2 * n, [axis, turn(X, 2)]),
        f"D{n}h": (4 * n, [axis, turn(X, 2), mirror(Z)]),
        f"D{n}d": (4 * n, [mirror(Z) @ turn(Z, 2 * n), turn(X, 2)]),
    }


@pytest.mark.parametrize("name", GROUPS)
def test_a_cluster_made_with_a_group_has_that_group(name, rng):
    """Orbits of general points are chiral, and no more symmetric than asked."""
    order, generators = GROUPS[name]
    group = closure(generators)
    assert len(group) == order
    points = np.array(
        [[3.0, 0.7, 1.9], [1.1, 2.3, 3.9], [4.1, 1.7, -2.6], [-2.9, 4.3, 0.4]]
    )
    points = points[: 4 if order <= 28 else 2]
    orbit = np.concatenate([points @ element.T for element in group])
    atoms = moved(Atoms(f"Au{len(orbit)}", orbit), rng)
    assert point_group(atoms) == name
    assert len(symmetry_operations(atoms)) == order


def test_published_clusters_have_their_groups_in_any_orientation(rng):
    """Groups printed with the energies in the Cambridge Cluster Database."""
    wrong = {}
    for name, atoms in structures(LJ).items():
        printed = atoms.info["point_group"]
        found = point_group(moved(atoms, rng, mirrored=bool(rng.integers(2))))
        if found != PRINTED.get(printed, printed):
            wrong[name] = (printed, found)
    assert len(structures(LJ)) == 149
    assert wrong == {}


@pytest.mark.parametrize("tolerance", [1e-3, 0.1])
@pytest.mark.parametrize("n", [6, 7, 13, 38, 75, 92, 98, 141])
def test_the_tolerance_matters_little_for_a_relaxed_cluster(n, tolerance):
    assert point_group(lj(n), tolerance) == lj(n).info["point_group"]


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_lengths_have_no_unit(scale, rng):
    atoms = lj(38)
    atoms.positions += 0.01 * rng.normal(size=(38, 3))
    atoms.positions *= scale
    assert point_group(atoms) == "Oh"
    assert point_group(atoms, 0.001) == "C1"


@pytest.mark.parametrize("tolerance", [1e-12, 0.3, 1.0, 1e9])
@pytest.mark.parametrize("n", [6, 13, 16, 38])
def test_no_tolerance_is_an_error(n, tolerance):
    """Each atom has its own image, however far from it."""
    found = symmetry_operations(lj(n), tolerance)
    if n != 16:
        assert len(found) in (1, {6: 48, 13: 120, 38: 48}[n])
    np.testing.assert_allclose(
        np.einsum("kij,klj->kil", found, found),
        np.broadcast_to(np.eye(3), found.shape),
        atol=1e-12,
    )


def test_coincident_atoms_are_no_error():
    pair = Atoms("Au4", [[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert point_group(pair) == "C1"


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("H2O", "C2v"),
        ("NH3", "C3v"),
        ("CH4", "Td"),
        ("C2H4", "D2h"),
        ("C6H6", "D6h"),
        ("C2H6", "D3d"),
        ("C3H4_D2d", "D2d"),
        ("H2O2", "C2"),
        ("C2H2", "D*h"),
        ("N2", "D*h"),
        ("CO", "C*v"),
    ],
)
def test_molecules(name, group, rng):
    assert point_group(moved(molecule(name), rng)) == group


def test_one_atom():
    assert point_group(Atoms("Au")) == "Kh"


@pytest.mark.parametrize(
    ("silver", "group"),
    [
        ([0], "Ih"),
        ([1], "C5v"),
        ([1, 2], "C2v"),
        ([1, 3], "C2v"),
        ([1, 4], "D5d"),
        ([1, 2, 5], "C3v"),
        ([0, 1], "C5v"),
    ],
    ids=["centre", "vertex", "edge", "meta", "axis", "face", "centre and vertex"],
)
def test_homotops_of_the_icosahedron(silver, group, rng):
    """Silver at the centre (0) or at vertices, of which 1 is bonded to 2 and 5."""
    vertices = np.array(
        [
            [0, 1, GOLDEN],
            [0, -1, GOLDEN],
            [0, 1, -GOLDEN],
            [0, -1, -GOLDEN],
            [GOLDEN, 0, 1],
        ]
    )
    rest = [
        np.roll([0, s, t * GOLDEN], k)
        for k in range(3)
        for s in (-1, 1)
        for t in (-1, 1)
    ]
    others = [v for v in rest if np.min(np.linalg.norm(vertices - v, axis=1)) > 0.1]
    positions = np.vstack([np.zeros(3), vertices, others])
    numbers = np.full(13, 79)
    numbers[silver] = 47
    atoms = Atoms(numbers=numbers, positions=positions)
    assert len(atoms) == 13
    assert point_group(moved(atoms, rng)) == group


def test_pymatgen_agrees_on_homotops(rng):
    """An independent implementation, at the tolerance where it is exact."""
    from pymatgen.core import Molecule
    from pymatgen.symmetry.analyzer import PointGroupAnalyzer

    groups = set()
    for n in (13, 38):
        for k in range(12):
            atoms = lj(n)
            radii = np.linalg.norm(atoms.positions - atoms.positions.mean(0), axis=1)
            shells = np.unique(np.round(radii, 3))
            chosen = np.abs(radii - rng.choice(shells)) < 1e-2
            if k % 2:
                chosen = rng.permutation(n) < rng.integers(1, 4)
            atoms.numbers[:] = np.where(chosen, 47, 79)
            atoms = moved(atoms, rng)
            found = point_group(atoms, 0.01)
            judged = PointGroupAnalyzer(
                Molecule(atoms.get_chemical_symbols(), atoms.positions),
                tolerance=0.01,
                eigen_tolerance=1e-4,
            ).sch_symbol
            assert found == judged
            groups.add(found)
    assert len(groups) >= 4


def test_an_exchange_of_unlike_atoms_lowers_the_group(rng):
    """An icosahedral shell of copper around a gold core."""
    atoms = Icosahedron("Cu", 3)
    inner = np.linalg.norm(atoms.positions - atoms.positions.mean(0), axis=1) < 3
    atoms.numbers[inner] = 79
    assert point_group(moved(atoms, rng)) == "Ih"
    a, b = np.flatnonzero(inner)[0], np.flatnonzero(~inner)[0]
    atoms.numbers[[a, b]] = atoms.numbers[[b, a]]
    assert point_group(moved(atoms, rng)) in ("C1", "Cs", "C2v", "C5v", "C3v")


def test_an_accidental_spherical_top_is_seen_through(rng):
    """Equal moments of inertia without symmetry, where axes cannot be guessed."""
    positions = rng.normal(size=(20, 3)) * 3
    positions -= positions.mean(axis=0)
    spread, axes = np.linalg.eigh(positions.T @ positions)
    atoms = Atoms("Au20", positions @ axes / np.sqrt(spread) * 10)
    np.testing.assert_allclose(np.ptp(atoms.get_moments_of_inertia()), 0, atol=1e-6)
    assert point_group(atoms) == "C1"


def test_noise_below_the_tolerance_is_forgiven_and_above_it_is_not(rng):
    for n, group in ((13, "Ih"), (38, "Oh"), (75, "D5h")):
        atoms = lj(n)
        noise = rng.uniform(-1, 1, (n, 3))
        atoms.positions += 0.005 * noise
        assert point_group(atoms) == group
        atoms.positions += 0.2 * noise
        assert point_group(atoms) == "C1"


@pytest.mark.parametrize("seed", range(20))
def test_what_is_almost_symmetric_still_gets_a_group(seed):
    """Noise as large as the tolerance lets in some of the mappings only."""
    rng = np.random.default_rng(seed)
    atoms = lj(38)
    atoms.positions += 0.045 * rng.normal(size=(38, 3))
    operations = symmetry_operations(atoms, 0.16)
    products = np.einsum("aij,bjk->abik", operations, operations)
    apart = products[:, :, None] - operations
    nearest = np.min(np.linalg.norm(apart, axis=(-2, -1)), axis=-1)
    assert np.max(nearest) < 0.3
    assert 48 % len(operations) == 0
    assert point_group(atoms, 0.16)[0] in "CDSTO"


def test_the_geometry_can_be_judged_apart_from_the_species():
    atoms = lj(38)
    atoms.numbers[0] = 79
    assert len(symmetry_operations(atoms)) < 48
    assert len(symmetry_operations(atoms, alike=True)) == 48


def test_a_flat_cluster_counts_its_own_plane():
    ring = [[np.cos(a), np.sin(a), 0] for a in np.arange(5) * 2 * np.pi / 5]
    assert len(symmetry_operations(Atoms("Au5", ring))) == 20
    assert point_group(Atoms("Au5", ring)) == "D5h"


@pytest.mark.parametrize(
    ("crystal", "symbol"),
    [
        (bulk("Si", cubic=True), "Fd-3m"),
        (bulk("Si"), "Fd-3m"),
        (bulk("Au") * (2, 1, 1), "Fm-3m"),
        (bulk("Ti"), "P6_3/mmc"),
        (bulk("NaCl", "rocksalt", 5.6), "Fm-3m"),
        (bulk("GaAs", "zincblende", 5.65), "F-43m"),
    ],
    ids=["Si8", "Si2", "Au2", "Ti", "NaCl", "GaAs"],
)
def test_space_groups(crystal, symbol, rng):
    crystal = crystal.copy()
    crystal.rotate(37, (1, 2, 3), rotate_cell=True)
    crystal.positions += rng.normal(size=3)
    crystal.positions += 1e-4 * rng.normal(size=crystal.positions.shape)
    assert space_group(crystal) == symbol


def test_a_disordered_crystal_is_p1(rng):
    crystal = bulk("Si", cubic=True)
    crystal.positions += 0.3 * rng.normal(size=(8, 3))
    assert space_group(crystal) == "P1"


def test_what_spglib_fails_on_is_p1():
    both = Atoms("Si2", np.zeros((2, 3)), cell=np.eye(3) * 5, pbc=True)
    assert space_group(both) == "P1"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: point_group(bulk("Si")), "use space_group"),
        (lambda: point_group(Atoms()), "no atoms"),
        (lambda: point_group(Atoms("Au2", [[0, 0, 0], [0, 0, np.nan]])), "repair"),
        (lambda: point_group(lj(13), 0.0), "give a positive number"),
        (lambda: point_group(lj(2), np.nan), "give a positive number"),
        (lambda: symmetry_operations(lj(2)), "lie on a line"),
        (lambda: space_group(lj(13)), "use point_group"),
        (lambda: space_group(Atoms("Si", pbc=True)), "its cell has no volume"),
        (lambda: space_group(bulk("Si"), -1.0), "give a positive number"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
