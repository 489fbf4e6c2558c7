"""Learn2Hop with a calculator that nobody can look into: one call per inner step."""

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
from ase.optimize import BFGS

from ase_l2h.ase_adapter.calculators import LennardJones
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.ase_adapter.runners import CALCULATOR_QUENCH_STEPS


class CountingEMT(EMT):
    """Counts its calls and can fail at one of them."""

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__()
        self.calls = 0
        self.fail_at = fail_at

    def calculate(self, *arguments, **keywords) -> None:
        self.calls += 1
        if self.calls == self.fail_at:
            raise CalculationFailed("no convergence")
        super().calculate(*arguments, **keywords)


def copper(calculator=None, seed: int = 3, rattle: float = 0.5) -> Atoms:
    """A copper cluster of 13 atoms, shaken out of its minimum."""
    atoms = Icosahedron("Cu", 2)
    atoms.translate([3.0, 4.0, 5.0])
    atoms.rattle(rattle, rng=np.random.default_rng(seed))
    atoms.calc = CountingEMT() if calculator is None else calculator
    return atoms


def silent(atoms: Atoms, **arguments) -> Learn2Hop:
    """A short search without a log."""
    return Learn2Hop(atoms, **({"horizon": 30, "rng": 0, "logfile": None} | arguments))


def test_every_call_of_the_calculator_is_charged_and_no_other():
    atoms = copper()
    search = silent(atoms)
    assert search.run(fmax=0.02) is True
    assert search.charged_evaluations == atoms.calc.calls
    # One call per inner step, and one or two quenches.
    assert 30 + 5 < atoms.calc.calls < 30 + 2 * CALCULATOR_QUENCH_STEPS
    assert search.nsteps == 30
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.02
    assert search.get_minimum()[0] == atoms.get_potential_energy()


def test_several_starts_share_the_calculator():
    atoms = copper()
    search = silent(atoms, n_starts=3)
    for converged in search.irun(fmax=0.02):
        if not converged:
            # The atoms hold the leader at its next point, which serves the next step.
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


def test_the_default_horizon_is_a_few_hundred_calls():
    search = Learn2Hop(copper(), logfile=None)
    assert search.horizon == min(300, search.weights.horizon)
    search = Learn2Hop(copper(LennardJones(sigma=2.3)), logfile=None)
    assert search.horizon == search.weights.horizon


def test_it_says_once_what_it_does_and_in_which_units(capsys, caplog):
    caplog.set_level(logging.INFO, logger="ase_l2h")
    atoms = copper()
    search = Learn2Hop(atoms, horizon=30, rng=0, energy_scale=0.5)
    search.run(fmax=0.05, steps=2)
    search.run(fmax=0.05, steps=2)
    lines = capsys.readouterr().out.splitlines()
    notes = [line for line in lines if "no kernel" in line]
    assert len(notes) == 1
    assert lines[0] == notes[0]
    # Twice the covalent radius of copper.
    for fact in ("CountingEMT", "one call", "2.64", "0.5"):
        assert fact in notes[0]
    assert [record.getMessage() for record in caplog.records] == notes


def test_the_units_can_be_set():
    """The first displacement is a number of length scales."""
    moves = []
    for length in (2.0, 2.64):
        atoms = copper()
        before = atoms.positions.copy()
        run = silent(atoms, length_scale=length).irun(fmax=0.05)
        next(run)
        next(run)
        moves.append(np.linalg.norm(atoms.positions - before))
        run.close()
    assert abs(moves[0] - moves[1]) > 0.05


def test_it_takes_the_steps_that_a_kernel_takes():
    """Same rule, same units, in double instead of single precision.

    ``SumCalculator`` hides the Lennard-Jones calculator behind itself.
    """
    shown = []
    for calculator in (LennardJones(), SumCalculator([LennardJones()])):
        atoms = Icosahedron("Ar", 2, latticeconstant=1.56)
        atoms.rattle(0.05, rng=np.random.default_rng(1))
        atoms.calc = calculator
        search = silent(atoms, length_scale=2 ** (1 / 6), energy_scale=1.0)
        frames = []
        search.attach(lambda a=atoms, f=frames: f.append(a.positions.copy()))
        search.run(fmax=0.01, steps=6)
        shown.append(frames[:6])
    kernel, called = np.array(shown)
    assert np.abs(kernel[-1] - kernel[0]).max() > 0.1
    np.testing.assert_allclose(called, kernel, atol=2e-4)


def test_a_minimum_is_never_left_for_something_worse():
    atoms = copper(rattle=0.0)
    BFGS(atoms, logfile=None).run(fmax=1e-4)
    before = atoms.get_potential_energy()
    assert silent(atoms, horizon=5).run(fmax=0.05) is True
    assert atoms.get_potential_energy() <= before + 1e-10


def test_a_failing_calculator_leaves_the_best_structure():
    atoms = copper(CountingEMT(fail_at=12))
    before = atoms.get_potential_energy()
    search = silent(atoms)
    with pytest.raises(CalculationFailed, match="no convergence"):
        search.run(fmax=0.02)
    energy, best = search.get_minimum()
    np.testing.assert_array_equal(best.positions, atoms.positions)
    assert energy <= before
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-10)
    assert search.run(fmax=0.02) is True


def test_time_is_looked_at_after_every_call():
    atoms = copper()
    search = silent(atoms, horizon=10_000, max_seconds=1e-6)
    assert search.run(fmax=0.05) is True
    # No inner step, but the structure as it came has been relaxed.
    assert search.nsteps == 1
    assert search.charged_evaluations == atoms.calc.calls < 100


def test_a_target_that_has_been_seen_ends_the_search():
    atoms = copper()
    before = atoms.get_potential_energy()
    search = silent(atoms, target_energy=before - 0.01)
    assert search.run(fmax=0.05) is True
    assert search.nsteps < 30
    assert atoms.get_potential_energy() < before


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
