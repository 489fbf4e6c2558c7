"""Structures that are periodic in one or two directions, and clusters on slabs."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc100, fcc111
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.constraints import FixAtoms, FixCartesian, FixedPlane
from ase.optimize import BFGS

import ase_l2h
from ase_l2h.ase_adapter.calculators import Gupta, LennardJones, StillingerWeber
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.ase_adapter.problem import problem_of
from ase_l2h.errors import InputError
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.limits import Limits
from ase_l2h.search.starting import random_structures

SKEWED = [[3.1, 0, 0.4], [0.9, 3.4, 0], [0.3, 0, 3.6]]


class Followed(EMT):
    """Keeps all positions that it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def calculate(self, atoms=None, *arguments, **keywords) -> None:
        super().calculate(atoms, *arguments, **keywords)
        self.seen.append(self.atoms.get_positions())


def on_slab(count: int = 3, layers: int = 2, fixed: int | None = None) -> Atoms:
    """Copper atoms in a column above a slab, whose lower layers are fixed."""
    atoms = fcc100("Cu", (3, 3, layers), vacuum=6.0, periodic=False)
    n = len(atoms)
    top = atoms.positions[:, 2].max()
    atoms += Atoms(
        "Cu" * count, [[1.3, 1.3, top + 2.2 * (k + 1)] for k in range(count)]
    )
    atoms.set_constraint(FixAtoms(range(n if fixed is None else fixed)))
    atoms.calc = Followed()
    return atoms


def energies_and_forces(atoms: Atoms, calculator) -> tuple[float, np.ndarray]:
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_potential_energy(), atoms.get_forces(apply_constraint=False)


@pytest.mark.parametrize(
    "pbc", [(1, 1, 0), (0, 1, 1), (1, 0, 1), (1, 0, 0), (0, 0, 1)], ids=str
)
@pytest.mark.parametrize("smooth", [False, True])
def test_partly_periodic_energies_are_those_of_ase(rng, pbc, smooth):
    """More than one image of each atom within the cut-off, in a skewed cell."""
    points = rng.uniform(size=(6, 3)) @ np.array(SKEWED)
    points += rng.uniform(-8, 8, size=(6, 1)) * np.logical_not(pbc)
    atoms = Atoms("Ar6", points, cell=SKEWED, pbc=pbc)
    own = LennardJones(0.8, 0.7, rc=2.9, ro=2.1, smooth=smooth)
    other = AseLennardJones(sigma=0.8, epsilon=0.7, rc=2.9, ro=2.1, smooth=smooth)
    energy, forces = energies_and_forces(atoms, own)
    expected, expected_forces = energies_and_forces(atoms, other)
    assert energy == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(
        forces, expected_forces, rtol=1e-9, atol=1e-9 * np.abs(expected_forces).max()
    )


@pytest.mark.parametrize(
    ("atoms", "calculator"),
    [
        (fcc111("Au", (2, 2, 3), vacuum=9.0), Gupta("AgAu", rc=6.0)),
        (bulk("Si", "diamond", 5.43, cubic=True), StillingerWeber()),
    ],
)
def test_an_open_direction_is_a_vacuum_without_an_end(rng, atoms, calculator):
    atoms.rattle(0.1, rng=rng)
    closed = atoms.copy()
    closed.pbc = True
    closed.cell[2] = [0, 0, 60.0]
    atoms.pbc = [True, True, False]
    energy, forces = energies_and_forces(atoms, calculator)
    expected, expected_forces = energies_and_forces(closed, calculator)
    assert energy == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(forces, expected_forces, atol=1e-10)
    # The third vector says nothing.
    atoms.cell[2] = 0
    assert energies_and_forces(atoms, calculator)[0] == pytest.approx(energy, rel=1e-12)
    film = atoms.copy()
    film.calc = calculator
    with pytest.raises(NotImplementedError):
        film.get_stress()


def test_lattice_vectors_in_one_line_are_refused():
    atoms = Atoms("Ar2", [[0, 0, 0], [1, 0, 0]], cell=[[3, 0, 0], [6, 0, 0], [0, 0, 3]],
                  pbc=[1, 1, 0], calculator=LennardJones(rc=2.0))  # fmt: skip
    with pytest.raises(InputError, match="point in different directions"):
        atoms.get_potential_energy()


def test_every_seed_searches_elsewhere_and_fixed_atoms_stay():
    """To the bit, in every call, at the end and in every minimum."""
    first, ends = [], []
    for seed in (1, 2):
        atoms = on_slab(layers=1)
        given = atoms.get_positions()
        search = Learn2Hop(atoms, seed=seed, evaluations=60, logfile=None)
        search.run(fmax=0.05)
        calculator = atoms.calc
        assert isinstance(calculator, Followed)
        for positions in (
            *calculator.seen,
            atoms.get_positions(),
            *(minimum.get_positions() for _, minimum in search.minima),
        ):
            np.testing.assert_array_equal(positions[:9], given[:9])
        # What is drawn comes after the relaxation of the column itself.
        far = [np.abs(p[9:] - given[9:]).max() for p in calculator.seen]
        first.append(calculator.seen[int(np.argmax(np.array(far) > 2.0))])
        ends.append(atoms.get_potential_energy())
    assert np.abs(first[0] - first[1]).max() > 0.5
    # Far below what the column becomes by relaxation alone.
    atoms = on_slab(layers=1)
    BFGS(atoms, logfile=None).run(fmax=0.05, steps=200)
    assert max(ends) < atoms.get_potential_energy() - 1.0


def starts_of(problem, count: int, seed: int = 4) -> np.ndarray:
    """Random structures ``(3, n, count)``; placing them takes no evaluation."""

    def refused(request):
        raise AssertionError(request)

    evaluator = Evaluator(problem, refused)
    rng = np.random.default_rng(seed)
    return random_structures(evaluator, rng, count, spread=False)


def test_a_region_says_where_atoms_are_put_and_which():
    """Of the free layer of a slab, atoms begin where they are."""
    atoms = on_slab(layers=3, fixed=18)
    top = atoms.positions[18:27, 2].max()
    problem = problem_of(atoms, region=(top + 0.5, top + 7.0))
    np.testing.assert_array_equal(np.flatnonzero(problem.placed), [27, 28, 29])
    found = starts_of(problem, 40)
    centre = atoms.positions.mean(axis=0)
    np.testing.assert_array_equal(
        found[:, :27], np.repeat(problem.given[:, :27], 40, axis=2)
    )
    heights = found[2, 27:] + centre[2] - top
    assert heights.min() >= 0.5
    assert heights.max() <= 7.0
    assert np.ptp(found[0, 27:]) > 5
    # Without it all that is free is put anew.
    assert np.count_nonzero(problem_of(atoms).placed) == 12


def test_a_region_may_be_a_box():
    atoms = on_slab()
    corner = np.array([0.0, 0.0, atoms.positions[:18, 2].max()])
    box = (corner, np.diag([2.6, 2.6, 7.0]))
    problem = problem_of(atoms, region=box)
    found = starts_of(problem, 30) + atoms.positions.mean(axis=0)[:, None, None]
    inside = found[:, 18:] - corner[:, None, None]
    assert inside.min() >= 0
    assert np.all(inside[:2] <= 2.6)
    assert problem_of(atoms).fingerprint() != problem.fingerprint()
    sites = np.array([[1.3, 1.3, 2.0], [4.0, 1.3, 2.0], [9.0, 1.3, 2.0]]).T
    sites += corner[:, None] - atoms.positions.mean(axis=0)[:, None]
    # The third is an image of one that is inside.
    edge = float(atoms.cell.lengths()[0])
    sites[0, 2] = sites[0, 0] + edge
    np.testing.assert_array_equal(problem.elsewhere(sites), [False, True, False])


@pytest.mark.parametrize(
    ("region", "sentence"),
    [
        ("above", "region takes two heights"),
        ((1.0, 2.0, 3.0), "region takes two heights"),
        ((5.0, 3.0), "from 5.0 to 3.0 is empty"),
        ((50.0, 60.0), "no free atom lies in the region"),
        (((0, 0, 0), np.zeros((3, 3))), "the region has no volume"),
    ],
)
def test_regions_that_are_none_are_refused(region, sentence):
    with pytest.raises(InputError, match=sentence):
        Learn2Hop(on_slab(), region=region)


def test_free_clusters_have_no_region():
    atoms = Atoms("Ar4", 1.1 * np.eye(4, 3), calculator=LennardJones())
    with pytest.raises(InputError, match="a free cluster has no fixed place"):
        problem_of(atoms, region=((0, 0, 0), np.eye(3)))
    with pytest.raises(InputError, match="give a corner and three vectors"):
        problem_of(atoms, region=(0.0, 3.0))
    with pytest.raises(InputError, match="region and keep_molecules are for Atoms"):
        ase_l2h.search("LJ7", region=(0.0, 3.0))


def test_atoms_that_slide_are_put_elsewhere_in_their_plane():
    """Where none is free altogether."""
    atoms = on_slab()
    atoms.set_constraint([FixAtoms(range(18)), FixedPlane([18, 19, 20], (0, 0, 1))])
    problem = problem_of(atoms)
    found = starts_of(problem, 10)
    np.testing.assert_array_equal(
        found[2, 18:], np.repeat(problem.given[2, 18:], 10, axis=1)
    )
    assert np.ptp(found[0, 18:]) > 4
    atoms.set_constraint([FixAtoms(range(18)), FixCartesian([18], (0, 0, 1))])
    assert np.flatnonzero(problem_of(atoms).placed).tolist() == [19, 20]


@pytest.mark.often("auto")
@pytest.mark.parametrize("method", ["auto", "bh"])
def test_kernels_search_films_and_surfaces(method):
    """Kernel and calculator agree at the end, or the run is refused."""
    atoms = on_slab()
    atoms.calc = Gupta("CuAu", rc=6.0)
    given = atoms.get_positions()
    options = {"n_starts": 2, "horizon": 300} if method == "bh" else {}
    search = Learn2Hop(
        atoms, method=method, seed=0, evaluations=600, logfile=None, **options
    )
    assert search.run(fmax=0.01)
    np.testing.assert_array_equal(atoms.positions[:18], given[:18])
    assert atoms.get_potential_energy() == pytest.approx(search.minima[0][0], abs=1e-8)
    assert np.ptp(atoms.positions[18:, 2]) < 1.0


@pytest.mark.slow
def test_a_wire_of_free_atoms_begins_anywhere_about_its_axis():
    atoms = Atoms(
        "Ar8", [[0.4 * (k % 2), 0, 1.1 * k] for k in range(8)],
        cell=[0, 0, 8.8], pbc=[0, 0, 1], calculator=LennardJones(rc=3.0),
    )  # fmt: skip
    result = ase_l2h.search(atoms, limits=Limits(evaluations=1500), seed=1)
    start = atoms.get_potential_energy()
    assert result.best_energy < start - 3
