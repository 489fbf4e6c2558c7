"""Learn2Hop with a calculator that nobody can look into: one call per evaluation."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT
from ase.calculators.mixing import SumCalculator
from ase.cluster import Icosahedron
from ase.constraints import FixAtoms, FixCartesian
from ase.io import read
from ase.optimize import BFGS

from ase_l2h.ase_adapter.calculators import LennardJones
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.errors import RunError
from ase_l2h.search.calls import ENDURED


class CountingEMT(EMT):
    """Counts its calls and can fail, in several ways, at some of them."""

    def __init__(self, fail_at=(), how: str = "raise") -> None:
        super().__init__()
        self.calls = 0
        self.fail_at = fail_at
        self.how = how

    def calculate(self, *arguments, **keywords) -> None:
        self.calls += 1
        failing = self.calls in self.fail_at
        if failing and self.how == "raise":
            raise CalculationFailed("no convergence")
        if failing and self.how == "interrupt":
            raise KeyboardInterrupt
        super().calculate(*arguments, **keywords)
        if failing and self.how == "NaN":
            self.results["energy"] = self.results["free_energy"] = np.nan
        if failing and self.how == "shape":
            self.results["forces"] = self.results["forces"][:-1]


def copper(calculator=None, seed: int = 3, rattle: float = 0.5) -> Atoms:
    """A copper cluster of 13 atoms, shaken out of its minimum."""
    atoms = Icosahedron("Cu", 2)
    atoms.translate([3.0, 4.0, 5.0])
    atoms.rattle(rattle, rng=np.random.default_rng(seed))
    atoms.calc = CountingEMT() if calculator is None else calculator
    return atoms


def silent(atoms: Atoms, **arguments) -> Learn2Hop:
    """A short search without a log."""
    return Learn2Hop(atoms, **({"horizon": 30, "seed": 0, "logfile": None} | arguments))


def test_every_call_of_the_calculator_is_charged_and_no_other():
    atoms = copper()
    search = silent(atoms)
    assert search.run(fmax=0.02) is True
    assert search.charged_evaluations == atoms.calc.calls
    # The structure itself, one call per step, a relaxation, and the curvatures.
    assert 30 + 5 < atoms.calc.calls < 200
    assert search.nsteps == 30
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.02
    assert search.get_minimum()[0] == atoms.get_potential_energy()
    assert search.charged_evaluations == atoms.calc.calls


def test_looking_at_the_atoms_on_the_way_costs_nothing():
    atoms = copper()
    search = silent(atoms, n_starts=3)
    for converged in search.irun(fmax=0.02):
        atoms.get_potential_energy()
        if not converged:
            assert atoms.calc.calls == 3 * search.nsteps + 1
    assert converged
    assert search.charged_evaluations == atoms.calc.calls
    assert atoms.calc.calls > 3 * 30
    energies = [energy for energy, _ in search.minima]
    assert energies == sorted(energies)
    assert atoms.get_potential_energy() == pytest.approx(energies[0], abs=1e-9)
    for energy, minimum in search.minima:
        minimum.calc = EMT()
        assert minimum.get_potential_energy() == pytest.approx(energy, abs=1e-9)


def test_every_frame_of_a_trajectory_has_its_energy(tmp_path):
    atoms = copper()
    search = silent(atoms, horizon=5, trajectory=str(tmp_path / "search.traj"))
    search.run(fmax=0.02)
    frames = read(tmp_path / "search.traj", index=":")
    assert len(frames) == 6
    energies = [frame.get_potential_energy() for frame in frames]
    assert energies[-1] == atoms.get_potential_energy() == min(energies)
    for frame, energy in zip(frames, energies, strict=True):
        frame.calc = EMT()
        assert frame.get_potential_energy() == pytest.approx(energy, rel=1e-12)


@pytest.mark.parametrize("evaluations", [2, 3, 50])
@pytest.mark.parametrize("searches", [1, 2])
def test_evaluations_are_never_exceeded(evaluations: int, searches: int):
    atoms = copper()
    before = EMT().get_potential_energy(atoms)
    search = silent(atoms, evaluations=evaluations, searches=searches)
    search.run(fmax=0.02)
    assert atoms.calc.calls == search.charged_evaluations <= searches * evaluations
    assert atoms.calc.calls > 0.7 * searches * evaluations - 2
    assert search.get_minimum()[0] <= before


def test_the_user_s_atoms_are_moved_between_calls_only():
    """The calculator is asked about a copy; the user's atoms show finished steps."""

    class Looking(EMT):
        def calculate(self, atoms, *arguments, **keywords):
            seen.append(np.array_equal(user.positions, shown[-1]))
            super().calculate(atoms, *arguments, **keywords)

    seen: list[bool] = []
    user = copper(Looking())
    shown = [user.get_positions()]
    search = silent(user, horizon=6)
    for _ in search.irun(fmax=0.05, steps=5):
        shown.append(user.get_positions())
    assert all(seen[:6])


def test_the_default_horizon_is_a_few_hundred_calls():
    search = Learn2Hop(copper(), method="learned", logfile=None)
    assert search.horizon == min(300, search.weights.horizon)
    calculator = LennardJones(sigma=2.3)
    search = Learn2Hop(copper(calculator), method="learned", logfile=None)
    assert search.horizon == search.weights.horizon


def test_it_says_once_what_it_does_and_in_which_units(capsys, caplog):
    caplog.set_level(logging.INFO, logger="ase_l2h.ase_adapter.log")
    atoms = copper()
    search = Learn2Hop(atoms, horizon=30, seed=0, energy_scale=0.5)
    search.run(fmax=0.05, steps=2)
    search.run(fmax=0.05, steps=2)
    lines = capsys.readouterr().out.splitlines()
    notes = [line for line in lines if "no kernel" in line]
    assert len(notes) == 1
    assert lines[0] == notes[0]
    # Twice the covalent radius of copper.
    for fact in ("CountingEMT", "one call", "30 steps", "2.64", "0.5"):
        assert fact in notes[0]
    told = [r.getMessage() for r in caplog.records if "no kernel" in r.getMessage()]
    assert [f"Learn2Hop: {text}" for text in told] == notes
    assert sum("method learned, backend calculator" in line for line in lines) == 2


def test_the_units_can_be_set():
    """The first displacement is a number of length scales."""
    moves = []
    for length in (2.0, 2.64):
        atoms = copper()
        before = atoms.positions.copy()
        run = silent(atoms, length_scale=length).irun(fmax=0.05)
        for _ in range(3):
            next(run)
        moves.append(np.linalg.norm(atoms.positions - before))
        run.close()
    assert abs(moves[0] - moves[1]) > 0.05


def test_it_finds_what_a_kernel_finds():
    """Same rule, same units, in double instead of single precision.

    ``SumCalculator`` hides the Lennard-Jones calculator behind itself.
    """
    found = []
    for calculator in (LennardJones(), SumCalculator([LennardJones()])):
        # Far from any minimum: other steps would lead to another one.
        atoms = Atoms("Ar13", 1.1 * np.argwhere(np.ones((3, 3, 2)))[:13])
        atoms.calc = calculator
        search = silent(
            atoms, length_scale=2 ** (1 / 6), energy_scale=1.0, horizon=8, seed=4
        )
        assert search.run(fmax=1e-6) is True
        found.append(search.get_minimum()[0])
    assert found[0] == pytest.approx(found[1], abs=1e-8)
    assert -43.5 < found[0] < -35


def test_a_minimum_is_never_left_for_something_worse():
    atoms = copper(rattle=0.0)
    BFGS(atoms, logfile=None).run(fmax=1e-4)
    before = atoms.get_potential_energy()
    assert silent(atoms, horizon=5).run(fmax=0.05) is True
    assert atoms.get_potential_energy() <= before + 1e-10


@pytest.mark.often("1-raise", "3-NaN", "1-shape")
@pytest.mark.parametrize("how", ["raise", "NaN", "shape"])
@pytest.mark.parametrize("n_starts", [1, 3])
def test_a_failed_call_costs_that_structure_and_no_more(how: str, n_starts: int):
    # Twice in a row: the second is the attempt nearby.
    atoms = copper(CountingEMT(fail_at=(12, 13, 14, 20), how=how))
    before = EMT().get_potential_energy(atoms)
    search = silent(atoms, n_starts=n_starts)
    assert search.run(fmax=0.02) is True
    assert atoms.get_potential_energy() < before - 1
    assert search.charged_evaluations == atoms.calc.calls
    assert len(search.minima) >= 1


def test_a_calculator_that_is_broken_ends_the_search_and_all_is_kept():
    atoms = copper(CountingEMT(fail_at=range(12, 10_000)))
    before = EMT().get_potential_energy(atoms)
    search = silent(atoms)
    with pytest.raises(RunError, match=r"\d+ calls.*in a row.*no conver"):
        search.run(fmax=0.02)
    # Its only structure is given up, sooner than a calculator counts as broken.
    assert 11 < atoms.calc.calls < ENDURED
    energy, best = search.get_minimum()
    np.testing.assert_array_equal(best.positions, atoms.positions)
    assert energy < before
    # It works again: the search goes on.
    atoms.calc.fail_at = ()
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-10)
    assert search.run(fmax=0.02) is True
    assert atoms.get_potential_energy() < energy


@pytest.mark.parametrize("lowered", [True, False])
def test_whatever_makes_a_step_the_last_hot_atoms_are_relaxed(lowered: bool):
    """An observer that lowers ``max_steps``, or a number of steps that is not whole."""
    atoms = copper()
    search = silent(atoms)

    def lower() -> None:
        if lowered and search.nsteps == 7:
            search.max_steps = 7

    search.attach(lower)
    assert search.run(fmax=0.02, steps=None if lowered else 6.5) is True
    assert search.nsteps == 7
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.02
    assert search.charged_evaluations == atoms.calc.calls
    relaxed = atoms.get_potential_energy()
    # And the search goes on from where it was.
    search.observers.clear()
    assert search.run(fmax=0.02) is True
    assert search.nsteps == 30
    assert atoms.get_potential_energy() <= relaxed + 1e-10


def test_ctrl_c_in_a_call_is_noticed_at_once():
    atoms = copper(CountingEMT(fail_at=(12,), how="interrupt"))
    before = EMT().get_potential_energy(atoms)
    search = silent(atoms)
    with pytest.raises(KeyboardInterrupt):
        search.run(fmax=0.02)
    assert atoms.calc.calls == 12
    energy, best = search.get_minimum()
    np.testing.assert_array_equal(best.positions, atoms.positions)
    assert energy <= before
    assert search.run(fmax=0.02) is True
    assert search.nsteps == 30


def test_time_is_looked_at_after_every_call():
    atoms = copper()
    search = silent(atoms, horizon=10_000, max_seconds=1e-6)
    before = atoms.get_potential_energy()
    assert search.run(fmax=0.05) is True
    assert search.nsteps == 1
    assert search.charged_evaluations == atoms.calc.calls < 100
    assert atoms.get_potential_energy() < before


def test_a_target_ends_the_search():
    atoms = copper()
    search = silent(atoms, n_starts=3, target_energy=11.0)
    assert search.run(fmax=0.05) is True
    assert atoms.get_potential_energy() < 11.0


def test_constraints_hold_exactly():
    atoms = copper()
    constraints = [FixAtoms([0, 1]), FixCartesian([2], mask=[False, False, True])]
    atoms.set_constraint(constraints)
    before = atoms.positions.copy()
    search = silent(atoms, horizon=15)
    moved = []
    search.attach(lambda: moved.append(atoms.positions - before))
    assert search.run(fmax=0.02) is True
    for difference in moved:
        assert np.all(difference[[0, 1]] == 0.0)
        assert difference[2, 2] == 0.0
    assert np.linalg.norm(moved[-1][2]) > 0.01
    assert search.charged_evaluations == atoms.calc.calls


def test_a_periodic_crystal_heals():
    """Without recentring, and with the images of the cell in the rule's features."""
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.calc = EMT()
    crystal = atoms.get_potential_energy()
    atoms.rattle(0.1, rng=np.random.default_rng(1))
    assert silent(atoms, horizon=6).run(fmax=0.02) is True
    assert atoms.get_potential_energy() == pytest.approx(crystal, abs=1e-2)


def test_the_calculator_may_be_replaced_between_runs():
    atoms = copper()
    search = silent(atoms, horizon=10)
    search.run(fmax=0.05)
    atoms.calc = SumCalculator([EMT(), EMT()])
    search.run(fmax=0.05)
    assert search.nsteps == 20
    assert search.get_minimum()[0] == pytest.approx(atoms.get_potential_energy())
    assert all(energy > 15 for energy, _ in search.minima)


def test_a_flat_cluster_does_not_stay_flat():
    """Six atoms in a plane, to machine precision: all forces lie in it."""
    hexagon = [[np.cos(a), np.sin(a), 0] for a in np.pi / 3 * np.arange(6)]
    atoms = Atoms("Cu7", 2.4 * np.array([[0, 0, 0], *hexagon]), calculator=EMT())
    flat = atoms.copy()
    flat.calc = EMT()
    BFGS(flat, logfile=None).run(fmax=0.01)
    assert np.ptp(flat.positions[:, 2]) < 1e-9
    search = silent(atoms, horizon=1)
    assert search.run(fmax=0.01) is True
    assert atoms.get_potential_energy() < flat.get_potential_energy() - 0.1
    # One direction has become many: no plane holds the atoms.
    _, spread, _ = np.linalg.svd(atoms.positions - atoms.positions.mean(axis=0))
    assert spread[-1] > 0.5


def test_atoms_that_coincide_are_moved_apart_before_the_first_call(caplog):
    """No call sees them so, and the search ends as ever."""
    shortest = []

    class Watched(EMT):
        def calculate(self, atoms: Any, *arguments: Any) -> None:
            distances = atoms.get_all_distances()
            shortest.append(np.min(distances + 9 * np.eye(len(atoms))))
            super().calculate(atoms, *arguments)

    atoms = Atoms("Cu4", 2.5 * np.eye(4)[:, :3], calculator=Watched())
    atoms.positions[3] = atoms.positions[0]
    search = Learn2Hop(atoms, seed=0, evaluations=60, logfile=None)
    search.run(fmax=0.05)
    assert "atoms 0 and 3 overlap (0 apart)" in caplog.text
    assert min(shortest) > 0.4
    # A tetrahedron.
    bonds = atoms.get_all_distances()[np.triu_indices(4, 1)]
    np.testing.assert_allclose(bonds, bonds.mean(), atol=0.05)
