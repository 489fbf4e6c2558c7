"""Molecules that are given stay whole, unless somebody asks for anything else."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.optimize import LBFGS
from own_calculators import Water

import ase_l2h
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.ase_adapter.problem import pose, problem_of
from ase_l2h.errors import InputError
from ase_l2h.search.auto.surrogate import learnable
from ase_l2h.search.limits import Limits
from ase_l2h.search.molecules import packed
from ase_l2h.search.problem import Problem

needs_xtb = pytest.mark.skipif(
    importlib.util.find_spec("tblite") is None, reason="tblite is not installed"
)


def several(name: str, count: int, calculator=None) -> Atoms:
    """Molecules in a row, each turned by another angle."""
    atoms = Atoms()
    for k in range(count):
        one = molecule(name)
        one.rotate(50 * k, (1, 1, 0))
        one.translate(((3.2 if len(one) < 4 else 6.5) * k, 0.3 * k, 0))
        atoms += one
    atoms.calc = Water() if calculator is None else calculator
    return atoms


def blob(symbols: str) -> Atoms:
    rng = np.random.default_rng(4)
    n = len(Atoms(symbols))
    atoms = Atoms(symbols, 1.1 * n ** (1 / 3) * rng.uniform(size=(n, 3)))
    atoms.calc = EMT()
    return atoms


def problem(atoms: Atoms, **options) -> Problem:
    return pose(atoms, **options).problem


@pytest.mark.parametrize(
    ("atoms", "count"),
    [
        (several("H2O", 6), 6),
        (several("CH3CH2OH", 1), 1),
        (several("N2", 3), 3),
        (several("CH3CH2OH", 2) + Atoms("Ar", [(0, 9, 0)]), 3),
        # No molecules: atoms that bond to any other, or a single inorganic one.
        (several("H2O", 1), None),
        (several("Si2H6", 2), None),
        (blob("C2H6O"), None),
        (Atoms("C4", 1.3 * np.eye(4)[:, :3]), None),
        (Atoms("Cu4", 2.4 * np.eye(4)[:, :3]), None),
    ],
    ids=lambda value: str(getattr(value, "symbols", value)),
)
def test_what_counts_as_molecules(atoms, count):
    atoms.calc = EMT()
    found = problem(atoms).molecules
    assert (None if found is None else len(found.groups)) == count
    assert problem(atoms, keep_molecules=False).molecules is None


def test_bonds_that_turn_are_single_and_in_no_ring():
    hinges = problem(several("CH3CH2OH", 1)).molecules.hinges
    symbols = molecule("CH3CH2OH").symbols
    turned = sorted(sorted(symbols[list(side)]) for _, _, side in hinges)
    # Of C-C the methyl, of C-O the hydroxyl group.
    assert turned == [["C", "H", "H", "H"], ["H", "O"]]
    assert problem(several("C6H6", 1)).molecules.hinges == []


def test_lost_and_new_bonds_are_seen():
    atoms = several("H2O", 2)
    kept = problem(atoms).kept
    place = atoms.positions.T
    torn, joined = place.copy(), place.copy()
    torn[:, 1] += 1.0
    joined[:, 1] = joined[:, 3] + 0.5
    assert kept(np.stack([place, torn, joined], axis=-1)).tolist() == [1, 0, 0]


@pytest.mark.slow
def test_starts_are_whole_and_molecules_touch(rng):
    atoms = several("CH3CH2OH", 3, EMT())
    posed = problem(atoms)
    starts = packed(posed, rng, 20)
    assert posed.kept(starts).all()
    groups = posed.molecules.groups
    for k in range(20):
        place = starts[..., k]
        apart = np.linalg.norm(place[:, :, None] - place[:, None, :], axis=0)
        for group in groups:
            others = np.setdiff1d(np.arange(len(atoms)), group)
            assert 1.2 < apart[np.ix_(group, others)].min() < 3.5
    assert np.ptp(starts, axis=-1).max() > 1.0


@pytest.fixture(scope="module")
def quenched():
    """The lowest of ten random packings of three molecules, and the calls they took."""
    posed, energies, calls = problem(several("H2O", 3)), [], 0
    for seed in range(10):
        start = packed(posed, np.random.default_rng(seed), 1)[..., 0].T
        atoms = Atoms("OH2OH2OH2", start, calculator=Water())
        relaxation = LBFGS(atoms, logfile=None)
        relaxation.run(fmax=0.01, steps=500)
        energies.append(atoms.get_potential_energy())
        calls += relaxation.nsteps
    return min(energies), calls


@pytest.mark.slow
def test_three_molecules_are_placed_and_kept_whole(quenched):
    lowest, calls = quenched
    limits = Limits(evaluations=350, settled=0)
    result = ase_l2h.search(several("H2O", 3), limits=limits, seed=1)
    assert result.best_energy < lowest + 1e-3
    assert result.charged_evaluations < calls
    places = np.stack([m.positions.T for m in result.minima], axis=-1)
    assert result.problem.kept(places).all()
    assert len(result.minima) > 1


def test_no_potential_of_single_atoms_is_learned():
    assert not learnable(problem(several("H2O", 3)))


def test_learn2hop_keeps_them_too():
    atoms = several("H2O", 2)
    search = Learn2Hop(atoms, evaluations=150, seed=0, logfile=None)
    search.run(fmax=0.02)
    assert problem(several("H2O", 2)).kept(atoms.positions.T[..., None])[0]
    assert all(search._session._problem.molecules.groups[0] == [0, 1, 2])
    broken = Learn2Hop(atoms, keep_molecules=False, logfile=None)
    assert broken._session.placed.posed.problem.molecules is None


@pytest.mark.parametrize("method", ["bh", "learned"])
def test_what_moves_single_atoms_is_refused(method):
    with pytest.raises(InputError, match="would break the molecules"):
        ase_l2h.search(several("H2O", 2), method=method)


def test_other_methods_begin_with_whole_molecules():
    limits = Limits(evaluations=300)
    result = ase_l2h.search(several("H2O", 2), method="fire", steps=100, limits=limits)
    assert np.isfinite(result.best_energy)
    places = np.stack([m.positions.T for m in result.minima], axis=-1)
    assert result.problem.kept(places).all()


def test_what_cannot_be_kept_is_refused():
    with pytest.raises(InputError, match="no two atoms"):
        problem_of(far(), keep_molecules=True)
    cell = several("H2O", 2)
    cell.cell, cell.pbc = (9, 9, 9), True
    fixed = several("H2O", 2)
    fixed.set_constraint(FixAtoms([0]))
    for atoms in (cell, fixed):
        assert problem(atoms).molecules is None
        with pytest.raises(InputError, match="in free clusters without fixed atoms"):
            problem(atoms, keep_molecules=True)
    kernel = far(ase_l2h.LennardJones())
    with pytest.raises(InputError, match="runs in a kernel"):
        problem(kernel, keep_molecules=True)
    with pytest.raises(InputError, match="are for Atoms"):
        ase_l2h.search("LJ7", keep_molecules=True)


def far(calculator=None) -> Atoms:
    calculator = EMT() if calculator is None else calculator
    return Atoms("Cu2", [(0, 0, 0), (4, 0, 0)], calculator=calculator)


@pytest.mark.slow
@needs_xtb
def test_ethanol_stays_ethanol_by_xtb():
    from tblite.ase import TBLite

    atoms = molecule("CH3CH2OH", calculator=TBLite(method="GFN2-xTB", verbosity=0))
    limits = Limits(evaluations=250, settled=0)
    result = ase_l2h.search(atoms, limits=limits, seed=0)
    places = np.stack([m.positions.T for m in result.minima], axis=-1)
    assert result.problem.kept(places).all()
    # Two torsions of the hydroxyl group.
    assert len(result.minima) > 1
    assert result.best_energy == pytest.approx(-310.0557, abs=1e-3)
