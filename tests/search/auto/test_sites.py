"""Vacant sites of many structures, and atoms that move there."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from ase.cluster import Decahedron, Icosahedron, Octahedron
from scipy.spatial.transform import Rotation

from ase_l2h.rollout.kernels.native import compiler
from ase_l2h.search.auto import compiled
from ase_l2h.search.auto.sites import gathered, neighbours, site_moves, vacant_sites
from ase_l2h.search.auto.voxels import taken_voxels

SQRT2 = 2**0.5


@pytest.fixture(autouse=True, params=["machine code", "NumPy"])
def both(request, monkeypatch):
    """Both ways to find sites; without a compiler, NumPy twice."""
    if request.param == "NumPy":
        monkeypatch.setattr(compiled, "_function", lambda: None)


OCTAHEDRON = Octahedron("Au", 4, 1, latticeconstant=SQRT2).positions
ICOSAHEDRON = Icosahedron("Au", 2, latticeconstant=SQRT2).positions


def shaken_pieces(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
    """Strained pieces of two packings, ``(3, n, count)``: no sites that are alike."""
    pieces = [
        Icosahedron("Au", 4, latticeconstant=SQRT2).positions,
        Decahedron("Au", 4, 4, 0, latticeconstant=SQRT2).positions,
    ]
    batch = []
    for k in range(count):
        piece = pieces[k % 2] - pieces[k % 2].mean(axis=0)
        offset = piece - rng.uniform(-0.8, 0.8, size=3)
        piece = piece[np.argsort(np.sum(offset**2, axis=1))[:n]]
        batch.append(piece.T + rng.normal(scale=0.03, size=(3, n)))
    return np.stack(batch, axis=-1)


def apexes(points: np.ndarray) -> np.ndarray:
    """All places at distance 1 from three of ``(n, 3)`` that are taken by none."""
    found = []
    near = np.linalg.norm(points[:, None] - points[None], axis=-1) < 1.6
    for i, j, k in product(range(len(points)), repeat=3):
        if not (i < j < k and near[i, j] and near[i, k] and near[j, k]):
            continue
        u, v = points[j] - points[i], points[k] - points[i]
        normal = np.cross(u, v)
        # The foot lies in the plane, as far from one atom as from the others.
        foot = np.linalg.solve([u, v, normal], [u @ u / 2, v @ v / 2, 0])
        height = 1 - foot @ foot
        if height <= 0:
            continue
        rise = normal * np.sqrt(height) / np.linalg.norm(normal)
        for site in (points[i] + foot + rise, points[i] + foot - rise):
            if np.linalg.norm(points - site, axis=1).min() > 0.75:
                found.append(site)
    return np.array(found)


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
    far = turned + length * np.array([40.0, -7, 3])
    found = vacant_sites(np.stack([turned.T, far.T], axis=-1), length)
    assert np.bincount(found.owners).tolist() == [count, count]
    for k, points in enumerate((turned, far)):
        sites = found.positions[:, found.owners == k].T
        apart = np.linalg.norm(sites[:, None] - points[None], axis=-1) / length
        # The icosahedron's surface bonds are five per cent longer than the others.
        assert np.all(np.sort(apart, axis=1)[:, :3] < 1.0 + 1e-5)
        assert apart.min() > 0.75


def test_the_sites_are_all_there_are(rng):
    """Every place of a slow search has a site alike, and every site is such a place."""
    positions = shaken_pieces(rng, 30, 4)
    found = vacant_sites(positions, 1.0)
    for k in range(4):
        sites = found.positions[:, found.owners == k].T
        apart = np.linalg.norm(apexes(positions[..., k].T)[:, None] - sites, axis=-1)
        assert apart.min(axis=1).max() < 0.35
        assert apart.min(axis=0).max() < 1e-5
        between = np.linalg.norm(sites[:, None] - sites, axis=-1)
        assert np.min(between + np.eye(len(sites))) > 0.35 - 1e-5


def test_the_sites_with_most_neighbours_come_first(rng):
    found = vacant_sites(OCTAHEDRON.T[..., None], 1.0)
    assert found.around[:6].tolist() == [4] * 6
    assert found.around[6:].tolist() == [3] * 48
    positions = shaken_pieces(rng, 40, 2)
    found = vacant_sites(positions, 1.0)
    for k in range(2):
        of_k = found.owners == k
        apart = np.linalg.norm(
            found.positions[:, of_k, None] - positions[:, None, :, k], axis=0
        )
        bonded = apart < 1.25
        np.testing.assert_array_equal(bonded.sum(axis=1), found.around[of_k])
        strain = np.sum(np.abs(apart - 1) * bonded, axis=1) / bonded.sum(axis=1)
        order = np.lexsort((strain, -found.around[of_k]))
        assert np.all(np.diff(found.around[of_k]) <= 0)
        np.testing.assert_allclose(strain, strain[order], atol=2e-4)


@pytest.mark.parametrize("length", [1.0, 2.6])
def test_moves_go_to_the_sites_of_the_structure_without_the_atom(rng, length):
    """What is derived from the sites of the whole structure, computed anew."""
    positions = length * shaken_pieces(rng, 38, 6)
    moves = site_moves(positions, length, movers=3, sites=9)
    assert moves.positions.shape == (3, 38, len(moves.owners))
    assert np.all(np.diff(moves.owners) >= 0)
    for k in range(6):
        start = positions[..., k]
        apart = np.linalg.norm(start[:, :, None] - start[:, None], axis=0)
        bonds = np.sum(apart < 1.25 * length, axis=1) - 1
        loose = np.unique(moves.movers[moves.owners == k])
        assert len(loose) == 3
        assert bonds[loose].max() <= np.delete(bonds, loose).min()
        for atom in loose:
            mine = (moves.owners == k) & (moves.movers == atom)
            changed = moves.positions[:, :, mine]
            rest = np.delete(start, atom, axis=1)
            np.testing.assert_array_equal(
                np.delete(changed, atom, axis=1),
                np.broadcast_to(rest[..., None], (3, 37, mine.sum())),
            )
            sites = vacant_sites(rest[..., None], length).positions
            far = np.linalg.norm(sites - start[:, atom, None], axis=0) > 0.5 * length
            np.testing.assert_allclose(
                changed[:, atom], sites[:, far][:, :9], atol=1e-4 * length
            )


def test_a_structure_has_the_same_moves_whatever_else_is_in_the_batch(rng, monkeypatch):
    positions = shaken_pieces(rng, 30, 5)
    together = site_moves(positions, 1.0)
    alone = site_moves(positions[..., 2:3], 1.0)
    mine = together.owners == 2
    np.testing.assert_array_equal(together.positions[..., mine], alone.positions)
    monkeypatch.setattr("ase_l2h.search.auto.triples.PAIRS", 2 * 30**2)
    chunks = site_moves(positions, 1.0)
    np.testing.assert_array_equal(chunks.positions, together.positions)
    np.testing.assert_array_equal(chunks.owners, together.owners)


def test_a_generator_decides_among_atoms_with_as_many_neighbours():
    """All twelve atoms of the surface of an icosahedron are as loose."""
    positions = ICOSAHEDRON.T[..., None]
    draw = lambda seed: site_moves(positions, 1.0, np.random.default_rng(seed))
    np.testing.assert_array_equal(draw(3).positions, draw(3).positions)
    drawn = [frozenset(draw(seed).movers.tolist()) for seed in range(6)]
    assert len(set(drawn)) > 3
    assert not any(0 in movers for movers in drawn)


def test_fixed_atoms_carry_sites_and_stay():
    """An atom on a frozen square layer goes to the other hollows."""
    grid = np.array([[x, y, 0.0] for x in range(4) for y in range(4)])
    adatom = np.array([[0.5, 0.5, 0.5**0.5]])
    positions = np.concatenate([grid, adatom]).T
    mobile = np.arange(17) == 16
    moves = site_moves(positions[..., None], 1.0, mobile=mobile)
    assert set(moves.movers.tolist()) == {16}
    # Nine hollows on either side, the atom's own is none.
    assert len(moves.owners) == 17
    assert np.all(np.abs(np.abs(moves.positions[2, 16]) - 0.5**0.5) < 1e-5)
    none = site_moves(positions[..., None], 1.0, mobile=mobile & False)
    assert none.owners.shape == (0,)
    below = lambda places: places[2] < 0.5
    for barred in (None, below):
        sites = vacant_sites(positions[..., None], 1.0, barred=barred).positions
        moves = site_moves(positions[..., None], 1.0, mobile=mobile, sites=99,
                           barred=barred)  # fmt: skip
        for places in (sites, moves.positions[:, 16]):
            assert np.any(below(places)) == (barred is None)
            assert np.any(~below(places))


def test_in_a_cell_sites_are_found_across_the_border():
    """A vacancy in a crystal, wherever it lies, is the site with twelve neighbours."""
    primitive = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / SQRT2
    cell = 6 * primitive
    points = np.array(list(product(range(6), repeat=3))) @ primitive
    for vacancy in (0, 100):
        rest = np.delete(points, vacancy, axis=0)
        found = vacant_sites(2.5 * rest.T[..., None], 2.5, 2.5 * cell)
        assert found.around.tolist() == [12]
        way = np.linalg.solve(cell.T, found.positions[:, 0] / 2.5 - points[vacancy])
        np.testing.assert_allclose(way, np.round(way), atol=1e-5)
        moves = site_moves(2.5 * rest.T[..., None], 2.5, cell=2.5 * cell)
        # Next to the vacancy atoms have eleven neighbours, and each may fill it.
        assert len(moves.owners) == 4


def test_where_three_atoms_carry_none_there_is_no_site():
    row = np.array([[0.0, 0, 0], [0.8, 0, 0], [1.6, 0, 0]])
    assert vacant_sites(row.T[..., None], 1.0).positions.shape == (3, 0)
    single = np.zeros((3, 1, 2))
    assert site_moves(single, 1.0).positions.shape == (3, 1, 0)
    assert site_moves(np.zeros((3, 5, 0)), 1.0).owners.shape == (0,)


def without_machine_code(monkeypatch, function, *arguments, **options):
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "_function", lambda: None)
        return function(*arguments, **options)


@pytest.mark.skipif(compiler() is None, reason="needs a compiler")
@pytest.mark.parametrize("n", [1, 3, 5, 13, 38, 100])
@pytest.mark.parametrize("noise", [0.0, 0.03, 0.5])
def test_machine_code_finds_the_same_to_the_bit(n, noise, rng, monkeypatch):
    positions = shaken_pieces(rng, n, 4) + rng.normal(scale=noise, size=(3, n, 4))
    for function, options in (
        (vacant_sites, {}),
        (site_moves, {"movers": 1, "sites": 4}),
        (site_moves, {"movers": 4, "sites": 24}),
        (site_moves, {"mobile": np.arange(n) > n // 3}),
    ):
        found = function(2.7 * positions, 2.7, **options)
        expected = without_machine_code(
            monkeypatch, function, 2.7 * positions, 2.7, **options
        )
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_neighbours_are_counted_as_atom_by_atom(rng):
    positions = 1.7 * shaken_pieces(rng, 19, 3)
    counted = neighbours(positions, 1.7)
    for k in range(3):
        far = np.linalg.norm(positions[..., k, None] - positions[:, None, :, k], axis=0)
        assert counted[:, k].tolist() == ((far < 1.25 * 1.7).sum(axis=0) - 1).tolist()


def test_an_atom_on_top_goes_to_where_the_icosahedron_lacks_one():
    whole = ICOSAHEDRON - ICOSAHEDRON.mean(axis=0)
    lacking = np.delete(whole, 5, axis=0)
    face = lacking[np.argsort(np.linalg.norm(lacking + whole[5], axis=1))[:3]]
    middle = face.mean(axis=0)
    on_top = middle * (1 + 0.75 / np.linalg.norm(middle))
    start = np.concatenate([lacking, on_top[None]]).T[..., None]
    complete = gathered(start, 1.0)[..., 0].T
    assert np.min(np.linalg.norm(complete - whole[5], axis=1)) < 0.1
    assert neighbours(complete.T[..., None], 1.0).sum() == 2 * 42


def test_gathering_makes_bonds_and_leaves_alone_what_has_no_better_site(rng):
    pieces = shaken_pieces(rng, 31, 6)
    after = gathered(pieces, 1.0)
    gained = neighbours(after, 1.0).sum(axis=0) - neighbours(pieces, 1.0).sum(axis=0)
    moved = np.any(after != pieces, axis=(0, 1))
    assert moved.any()
    # What an atom gains, others may lose by strain: not much.
    assert np.all(gained[moved] > -2)
    assert gained.sum() > 0
    whole = (ICOSAHEDRON - ICOSAHEDRON.mean(axis=0)).T[..., None]
    assert np.array_equal(gathered(whole, 1.0), whole)


def test_atoms_that_stay_and_places_that_are_barred_take_no_part(rng):
    pieces = shaken_pieces(rng, 31, 4)
    stay = np.zeros(31, bool)
    assert np.array_equal(gathered(pieces, 1.0, stay), pieces)
    nowhere = lambda sites: np.ones(sites.shape[1], bool)
    assert np.array_equal(gathered(pieces, 1.0, None, nowhere), pieces)


def test_in_a_wide_cell_the_sites_are_those_of_a_narrower_one(rng):
    """A table of all its voxels would take gigabytes."""
    points = Icosahedron("Cu", 2).positions[:12].T[..., None] / 2.55 + 5
    found = [
        np.sort(vacant_sites(points, 1.0, edge * np.eye(3)).positions, axis=1)
        for edge in (20.0, 400.0)
    ]
    assert found[0].shape[1] > 10
    np.testing.assert_allclose(*found, atol=1e-4)
    moves = [
        site_moves(points, 1.0, cell=edge * np.eye(3)).positions
        for edge in (20.0, 400.0)
    ]
    np.testing.assert_allclose(*moves, atol=1e-4)


def test_many_wide_clusters_have_a_table(rng):
    """The voxels of all together are more than a wide cell may have."""
    points = rng.uniform(-12, 12, size=(3, 40, 20)).transpose(0, 2, 1)
    blocks = np.ones((40, 20), bool)
    taken = taken_voxels(points.transpose(0, 2, 1), None, blocks, 0.9)
    owners = np.arange(40)
    assert taken(owners, points[:, 0]).mean() > 0.9
    assert not taken(owners, points[:, 0] + 40).any()
