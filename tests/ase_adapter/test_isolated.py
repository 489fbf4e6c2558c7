"""Clusters and molecules in a periodic cell are searched as clusters."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.cluster import Icosahedron
from ase.constraints import FixAtoms
from own_calculators import Water

import ase_l2h
from ase_l2h.ase_adapter.isolated import all_isolated, isolated
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.ase_adapter.problem import pose
from ase_l2h.errors import InputError
from ase_l2h.search.images import images_apart
from ase_l2h.search.limits import Limits

# Of the icosahedron of copper by EMT.
ICOSAHEDRON = 9.361358
SKEWED = np.array([[16.0, 0, 0], [8, 14, 0], [-5, 4, 15]])


def cluster(edge: float | np.ndarray = 15.0, pbc: bool | tuple = True) -> Atoms:
    atoms = Atoms(Icosahedron("Cu", 2))
    atoms.set_cell(edge * np.eye(3) if np.ndim(edge) == 0 else edge)
    atoms.center()
    atoms.pbc = pbc
    return atoms


def blob(seed: int, edge: float) -> Atoms:
    """Thirteen atoms without order in a corner of their cell."""
    rng = np.random.default_rng(seed)
    sites = 2.4 * np.argwhere(np.ones((3, 3, 2)))[:13]
    atoms = Atoms("Cu13", sites + rng.normal(0, 0.2, (13, 3)), pbc=True)
    atoms.cell = edge * np.eye(3)
    atoms.wrap()
    atoms.calc = EMT()
    return atoms


@pytest.mark.parametrize(
    "atoms",
    [cluster(), cluster(12.0), cluster(pbc=(True, False, True)), cluster(SKEWED),
     cluster(1e4)],
)  # fmt: skip
def test_a_vacuum_on_every_side_makes_a_cluster(atoms):
    alone = isolated(atoms)
    assert alone is not None
    assert not alone.pbc.any()
    assert np.array_equal(alone.positions, atoms.positions)


@pytest.mark.parametrize(
    "atoms",
    [
        cluster(pbc=False),
        # Not enough vacuum for copper, or no room for random clusters.
        cluster(10.4),
        Atoms("Cu13", 0.4 * cluster().positions, cell=11.5 * np.eye(3), pbc=True),
        bulk("Cu", cubic=True),
        bulk("NaCl", "rocksalt", a=5.64) * (2, 2, 2),
        fcc111("Cu", (3, 3, 2), vacuum=10.0, periodic=True),
        Atoms("Cu", cell=20 * np.eye(3), pbc=True),
        Atoms("Cu2", [[0, 0, 0], [2.5, 0, 0]], cell=np.zeros((3, 3))),
    ],
)
def test_everything_else_is_left_alone(atoms):
    assert isolated(atoms) is None


def test_fixed_atoms_stay_in_their_cell():
    atoms = cluster()
    atoms.set_constraint(FixAtoms([0]))
    assert isolated(atoms) is None


@pytest.mark.parametrize("shift", [(0, 0, 0), (7, 1, 0), (-40, 100, 33)])
@pytest.mark.parametrize("cell", [15.0, SKEWED])
def test_atoms_across_the_border_are_brought_together(shift, cell):
    atoms = cluster(cell)
    distances = np.sort(atoms.get_all_distances().ravel())
    atoms.positions += shift
    atoms.wrap()
    alone = isolated(atoms)
    assert alone is not None
    assert np.allclose(np.sort(alone.get_all_distances().ravel()), distances)
    steps = np.linalg.solve(atoms.cell.array.T, (alone.positions - atoms.positions).T)
    assert np.allclose(steps, np.round(steps))
    # More atoms stay than move.
    assert np.mean(np.all(np.round(steps) == 0, axis=0)) > 0.2


def test_images_meet_where_a_chain_spans_the_cell():
    chain = np.zeros((3, 4, 2))
    chain[0, :, 0], chain[0, :, 1] = [0, 2, 4, 6], [0, 2, 2, 0]
    chain[1, 2:, 1] = 2
    for lattice in (10.0 * np.eye(3), 10.0 * np.eye(3)[:1]):
        assert images_apart(chain, lattice, 3.9).tolist() == [True, True]
        assert images_apart(chain, lattice, 4.1).tolist() == [False, True]


def test_what_was_a_cluster_remains_one_while_images_are_not_bonded():
    atoms = cluster(10.4)
    assert isolated(atoms) is None
    assert isolated(cluster(12.0), before=True) is not None
    long = Atoms("Cu5", [[2.4 * k, 0, 0] for k in range(5)], cell=13 * np.eye(3))
    long.pbc = True
    assert isolated(long) is None
    # 3.4 angstrom to the next image, and a bond is 2.64.
    assert isolated(long, before=True) is None
    long.cell[0, 0] = 14.0
    assert isolated(long) is None
    assert isolated(long, before=True) is not None


def test_a_result_never_touches_its_images():
    atoms = cluster(12.0)
    atoms.calc = EMT()
    problem = pose(atoms).problem
    assert problem.cell is None
    line = np.zeros((3, 13, 1))
    line[0, :, 0] = np.arange(13) * 0.9
    assert not problem.kept(line).any()
    assert problem.kept(problem.given).all()


@pytest.mark.parametrize("edge", [pytest.param(13.0, marks=pytest.mark.slow), 60.0])
def test_a_cluster_in_a_cell_is_found_as_a_free_one(edge, tmp_path):
    atoms = blob(5, edge)
    log = tmp_path / "log"
    search = Learn2Hop(atoms, evaluations=150, seed=0, logfile=log)
    assert search.run(fmax=0.01)
    assert atoms.get_potential_energy() == pytest.approx(ICOSAHEDRON, abs=1e-4)
    assert "a cluster in a periodic cell" in log.read_text()
    assert atoms.pbc.all()
    assert np.allclose(atoms.cell.array, edge * np.eye(3))
    assert np.max(atoms.get_all_distances()) < 6
    assert search.minima[0][1].pbc.all()
    # Going on does not begin anew, wherever the best structure lies.
    before = search.charged_evaluations
    search.run(fmax=0.01)
    assert search.charged_evaluations <= before + 1


@pytest.mark.parametrize("length", ["long", float("nan"), -1.0, 0.0])
def test_lengths_that_are_none_are_refused(length):
    atoms = cluster()
    atoms.calc = EMT()
    with pytest.raises(InputError, match="length_scale is"):
        pose(atoms, length_scale=length)


def test_molecules_in_a_cell_stay_whole():
    atoms = molecule("CH3CH2OH", cell=12 * np.eye(3), pbc=True)
    atoms.calc = EMT()
    assert pose(atoms).problem.molecules is not None
    with pytest.raises(InputError, match="molecules are kept whole in free clusters"):
        pose(bulk_of_ethanol(), keep_molecules=True)


def bulk_of_ethanol() -> Atoms:
    atoms = molecule("CH3CH2OH", cell=5.5 * np.eye(3), pbc=True)
    atoms.calc = EMT()
    return atoms


def test_search_takes_them_too():
    atoms = molecule("H2O")
    other = molecule("H2O")
    other.translate((0.2, 0.3, 3.0))
    atoms += other
    atoms.set_cell(14 * np.eye(3))
    atoms.pbc = True
    atoms.wrap()
    atoms.calc = Water()
    result = ase_l2h.search(atoms, seed=1, limits=Limits(evaluations=150))
    free = atoms.copy()
    alone = isolated(atoms)
    assert alone is not None
    free.positions, free.pbc = alone.positions, False
    free.calc = Water()
    expected = ase_l2h.search(free, seed=1, limits=Limits(evaluations=150))
    assert result.best_energy == pytest.approx(expected.best_energy, abs=1e-3)


def test_structures_of_a_file_are_all_clusters_or_none():
    clusters = [cluster(), cluster()]
    clusters[1].positions += 9
    clusters[1].wrap()
    whole = all_isolated(clusters)
    assert np.max(whole[1].get_all_distances()) < 6
    assert whole[1].pbc.all()
    crystals = [bulk("Cu", cubic=True)] * 2
    assert all_isolated(crystals) is crystals
    flat = Atoms("Cu13", [[1.1 * k, 0, 0] for k in range(13)], cell=15 * np.eye(3))
    flat.pbc = True
    with pytest.raises(InputError, match="structure 1 of the file touches"):
        all_isolated([cluster(), flat])
