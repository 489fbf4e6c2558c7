"""Learn2Hop with a known potential, wherever code expects an ASE optimizer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.cluster import Icosahedron
from ase.constraints import FixAtoms, FixCartesian
from ase.io import read
from ase.io.trajectory import Trajectory
from ase.optimize import BFGS
from ase.optimize.basin import BasinHopping

from ase_l2h.ase_adapter.calculators import Gupta, LennardJones, StillingerWeber
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.targets import lennard_jones_minimum

# Wales and Doye's 13-atom icosahedron.
LJ13 = -44.326801


def block(calculator=None, seed: int = 1) -> Atoms:
    """A distorted piece of a cubic lattice, far from any good minimum of LJ13."""
    positions = 1.1 * np.argwhere(np.ones((3, 3, 2)))[:13] + 5.0
    atoms = Atoms("Ar13", positions=positions)
    atoms.rattle(0.05, rng=np.random.default_rng(seed))
    atoms.calc = LennardJones() if calculator is None else calculator
    return atoms


def icosahedron() -> Atoms:
    """LJ13's global minimum, to rounding."""
    atoms = Icosahedron("Ar", 2, latticeconstant=1.56)
    atoms.calc = LennardJones()
    BFGS(atoms, logfile=None).run(fmax=1e-9)
    return atoms


def silent(atoms: Atoms, **arguments) -> Learn2Hop:
    """A short search without a log."""
    return Learn2Hop(atoms, **({"horizon": 40, "rng": 0, "logfile": None} | arguments))


def test_a_run_ends_in_a_minimum_below_the_local_one():
    atoms = block()
    local = block()
    BFGS(local, logfile=None).run(fmax=0.01)
    search = Learn2Hop(atoms, rng=0, logfile=None)

    assert search.run(fmax=1e-3) is True

    energy, best = search.get_minimum()
    assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-12)
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-3
    assert energy < local.get_potential_energy()
    np.testing.assert_array_equal(best.positions, atoms.positions)
    assert best.get_potential_energy() == energy
    # The whole horizon and a quench, in 50 to 200 lines.
    assert search.charged_evaluations > search.horizon
    assert 50 <= search.nsteps <= 200
    # The cluster has not wandered off.
    np.testing.assert_allclose(
        atoms.positions.mean(axis=0), block().positions.mean(axis=0), atol=1e-6
    )


def test_random_starts_help_and_minima_are_distinct_and_sorted():
    """One start finds LJ13 in most cases; five independent ones as good as always."""
    atoms = block()
    search = Learn2Hop(atoms, n_starts=5, rng=3, logfile=None)
    search.run(fmax=1e-4)
    energies = [energy for energy, _ in search.minima]
    assert energies[0] == pytest.approx(LJ13, abs=1e-6)
    assert atoms.get_potential_energy() == pytest.approx(LJ13, abs=1e-6)
    assert energies == sorted(energies)
    assert np.all(np.diff(energies) > 1e-5)
    for energy, minimum in search.minima:
        assert minimum.get_potential_energy() == energy
        minimum.calc = LennardJones()
        assert minimum.get_potential_energy() == pytest.approx(energy, rel=1e-10)
        assert np.abs(minimum.get_forces()).max() < 1e-4
    assert search.charged_evaluations > 5 * search.horizon


def test_the_first_start_is_the_structure_itself():
    """One block from the global minimum the best of five starts is still it."""
    atoms = icosahedron()
    search = silent(atoms, n_starts=5, horizon=4)
    search.run(fmax=1e-4)
    assert search.get_minimum()[0] == pytest.approx(LJ13, abs=1e-6)


def test_irun_yields_before_the_first_step_and_after_each():
    atoms = block()
    search = silent(atoms)
    flags = list(search.irun(fmax=0.01))
    assert len(flags) == search.nsteps + 1 == 41
    assert flags[-1] is True
    assert not any(flags[:-1])


def test_observers_trajectory_and_log_are_those_of_any_ase_optimizer(tmp_path: Path):
    atoms = block()
    path, log = tmp_path / "search.traj", tmp_path / "search.log"
    calls = []
    with Learn2Hop(
        atoms, horizon=40, rng=0, logfile=str(log), trajectory=str(path)
    ) as search:
        search.attach(lambda: calls.append(atoms.get_potential_energy()), interval=4)
        search.run(fmax=0.01)
    frames = read(path, index=":")
    assert len(frames) == 41
    assert len(calls) == 11
    energies = [frame.get_potential_energy() for frame in frames]
    np.testing.assert_allclose(energies[::4], calls, rtol=1e-12)
    np.testing.assert_array_equal(frames[-1].positions, atoms.positions)
    # A search is not a descent.
    assert np.any(np.diff(energies) > 0)

    lines = log.read_text().splitlines()
    assert len(lines) == 42
    assert lines[0].split() == ["Step", "Time", "Energy", "fmax", "best"]
    best = []
    for number, line in enumerate(lines[1:]):
        name, step, _, energy, fmax, lowest = line.split()
        assert (name, int(step)) == ("Learn2Hop:", number)
        assert float(energy) == pytest.approx(energies[number], abs=1e-6)
        assert float(fmax) >= 0
        best.append(float(lowest))
    assert best == sorted(best, reverse=True)
    assert np.all(np.array(best) <= np.minimum.accumulate(energies) + 1e-5)

    with Trajectory(str(path)) as stored:
        description = stored.description
    assert description["optimizer"] == "Learn2Hop"
    assert description["weights"] == search.weights.name
    assert description["weights_sha256"] == search.weights.sha256


def test_settings_are_json(tmp_path: Path):
    search = silent(block(), rng=np.random.default_rng(5), restart=tmp_path / "r.json")
    search.run(fmax=0.01, steps=1)
    settings = json.loads(json.dumps(search.todict()))
    assert settings["seed"] == search.seed
    assert settings["horizon"] == 40
    assert settings["n_starts"] == 1
    assert settings["fmax"] == 0.01


def test_a_silent_log_is_silent(capsys):
    silent(block()).run(fmax=0.01, steps=2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_seeds_decide_and_the_global_generator_is_left_alone():
    def energies(rng) -> list[float]:
        atoms = block()
        search = silent(atoms, n_starts=5, rng=rng)
        return [atoms.get_potential_energy() for _ in search.irun(fmax=0.01)]

    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = energies(7)
    assert first == energies(7)
    assert first != energies(8)
    assert energies(np.random.default_rng(3)) == energies(np.random.default_rng(3))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert silent(block(), rng=None).seed != silent(block(), rng=None).seed


def test_a_capped_run_relaxes_and_another_continues_it():
    atoms = block()
    search = silent(atoms)
    started = atoms.get_potential_energy()
    assert search.run(fmax=0.01, steps=15) is True
    capped = atoms.get_potential_energy()
    assert search.nsteps == 15
    assert capped < started
    assert search.run(fmax=0.01) is True
    assert search.nsteps == 40
    assert atoms.get_potential_energy() <= capped + 1e-10

    whole = block()
    straight = silent(whole)
    straight.run(fmax=0.01)
    # The cap has relaxed once more, and changed nothing on the way.
    assert atoms.get_potential_energy() <= whole.get_potential_energy() + 1e-10
    assert search.charged_evaluations > straight.charged_evaluations


def test_a_finished_search_returns_at_once_and_goes_on_when_asked():
    atoms = block()
    search = silent(atoms)
    search.run(fmax=0.05)
    assert search.run(fmax=0.05) is True
    assert search.nsteps == 40
    # Tighter than the quench: one step of relaxation.
    assert search.run(fmax=1e-9) is True
    assert search.nsteps == 41
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-9
    # Moved atoms are a new search, which keeps what the old one has found.
    lowest = search.get_minimum()[0]
    atoms.rattle(0.3, rng=np.random.default_rng(0))
    assert search.run(fmax=0.05) is True
    assert search.nsteps == 81
    assert search.get_minimum()[0] <= lowest + 1e-10
    assert atoms.get_potential_energy() <= lowest + 1e-10


def test_no_steps_change_nothing():
    atoms = block()
    before = atoms.positions.copy()
    search = silent(atoms)
    assert search.run(fmax=0.01, steps=0) is False
    assert search.run(fmax=1e6, steps=0) is True
    np.testing.assert_array_equal(atoms.positions, before)
    assert search.get_minimum()[0] == pytest.approx(atoms.get_potential_energy())


@pytest.mark.parametrize("steps", [0, 1, 7, None])
def test_the_global_minimum_is_never_left_for_something_worse(steps):
    atoms = icosahedron()
    before = atoms.get_potential_energy()
    assert silent(atoms).run(fmax=1e-4, steps=steps) is True
    assert atoms.get_potential_energy() <= before + 1e-11


class _Stop(Exception):
    pass


@pytest.mark.parametrize("kind", [_Stop, KeyboardInterrupt])
@pytest.mark.parametrize("start", [block, icosahedron])
def test_an_interrupt_leaves_the_best_structure(start, kind):
    atoms = start()
    before = atoms.get_potential_energy()
    search = silent(atoms)
    seen = []

    def look() -> None:
        seen.append(atoms.get_potential_energy())
        if search.nsteps == 12:
            raise kind

    search.attach(look)
    with pytest.raises(kind):
        search.run(fmax=0.01)
    after = atoms.get_potential_energy()
    assert after <= min(seen) + 1e-6
    assert after <= before + 1e-11
    assert search.get_minimum()[0] == pytest.approx(after, rel=1e-12)
    # And it can go on.
    search.observers.clear()
    search.run(fmax=0.01)
    assert search.nsteps == 40
    assert atoms.get_potential_energy() <= after + 1e-10


def test_leaving_the_loop_leaves_the_best_structure():
    atoms = block()
    search = silent(atoms)
    seen = []
    for _ in search.irun(fmax=0.01):
        seen.append(atoms.get_potential_energy())
        if search.nsteps == 9:
            break
    assert atoms.get_potential_energy() <= min(seen) + 1e-6
    energy, best = search.get_minimum()
    np.testing.assert_array_equal(best.positions, atoms.positions)
    assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)


def test_a_target_ends_the_search_early():
    atoms = block()
    search = Learn2Hop(atoms, rng=0, horizon=4000, target_energy=-40.0, logfile=None)
    assert search.run(fmax=0.01) is True
    assert atoms.get_potential_energy() <= -40.0
    assert search.nsteps < 100
    # An unreachable one does not.
    search = silent(block(), target_energy=-45.0)
    search.run(fmax=0.01)
    assert search.nsteps == 40


def test_time_ends_the_search_early_and_another_run_continues_it():
    atoms = block()
    search = Learn2Hop(atoms, rng=0, horizon=10**7, max_seconds=0.2, logfile=None)
    search.block = 5
    assert search.run(fmax=0.01, steps=100_000) is True
    reached = search.nsteps
    assert 0 < reached < 100_000
    assert search.run(fmax=0.01, steps=100_000) is True
    assert search.nsteps > reached


def test_ase_lennard_jones_takes_the_kernel_with_its_own_cutoff():
    atoms = block(AseLennardJones(sigma=1.0, epsilon=1.0, rc=2.2))
    search = silent(atoms)
    search.run(fmax=0.01)
    assert search.todict()["backend"] == "scan"
    cut = atoms.get_potential_energy()
    atoms.calc = LennardJones()
    assert atoms.get_potential_energy() < cut - 1.0


def test_a_calculator_that_is_not_what_it_claims_is_caught():
    class Shifted(LennardJones):
        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            self.results["energy"] += 0.01
            self.results["free_energy"] += 0.01

    atoms = block(Shifted())
    before = atoms.positions.copy()
    with pytest.raises(RuntimeError, match=r"the kernel's.*SumCalculator"):
        silent(atoms).run(fmax=0.01)
    np.testing.assert_array_equal(atoms.positions, before)


def test_constraints_hold_exactly():
    atoms = block()
    constraints = [FixAtoms([0, 4]), FixCartesian([7], mask=[True, False, True])]
    atoms.set_constraint(constraints)
    before = atoms.positions.copy()
    search = silent(atoms)
    moved = []
    search.attach(lambda: moved.append(atoms.positions - before))
    assert search.run(fmax=1e-3) is True
    for difference in moved:
        assert np.all(difference[[0, 4]] == 0.0)
        assert np.all(difference[7, [0, 2]] == 0.0)
    assert np.linalg.norm(moved[-1][7]) > 0.01
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-3
    for _, minimum in search.minima:
        assert len(minimum.constraints) == 2


def test_periodic_silicon_relaxes_in_its_cell():
    from ase.build import bulk

    atoms = bulk("Si", "diamond", a=5.431, cubic=True)
    atoms.calc = StillingerWeber()
    crystal = atoms.get_potential_energy()
    atoms.rattle(0.3, rng=np.random.default_rng(2))
    cell = atoms.cell.copy()
    search = silent(atoms, horizon=10)
    assert search.run(fmax=0.01) is True
    assert crystal - 1e-6 <= atoms.get_potential_energy()
    np.testing.assert_array_equal(atoms.cell, cell)


def test_an_alloy_keeps_its_species():
    atoms = Icosahedron("Ag", 2)
    atoms.symbols[0] = "Au"
    atoms.rattle(0.2, rng=np.random.default_rng(4))
    atoms.calc = Gupta("AgAu")
    before = atoms.get_potential_energy()
    silent(atoms, horizon=20).run(fmax=0.01)
    assert atoms.get_potential_energy() < before
    assert atoms.get_chemical_formula() == "Ag12Au"


class Short(Learn2Hop):
    """BasinHopping passes an optimizer class no arguments."""

    def __init__(self, atoms, **keywords):
        super().__init__(atoms, horizon=5, **keywords)


def test_basin_hopping_uses_it_as_its_local_optimizer(tmp_path: Path):
    atoms = block()
    hopping = BasinHopping(
        atoms,
        temperature=1.0,
        optimizer=Short,
        fmax=0.01,
        dr=0.3,
        logfile=None,
        optimizer_logfile=None,
        trajectory=str(tmp_path / "lowest.traj"),
        local_minima_trajectory=str(tmp_path / "minima.traj"),
    )
    with hopping:
        hopping.run(2)
    energy, best = hopping.get_minimum()
    best.calc = LennardJones()
    assert best.get_potential_energy() == pytest.approx(energy, rel=1e-10)
    assert np.linalg.norm(best.get_forces(), axis=1).max() < 0.01
    assert len(read(tmp_path / "minima.traj", index=":")) == 3


def test_a_workflow_that_runs_any_optimizer_class_runs_this_one(tmp_path: Path):
    """What quacc does: own trajectory, restart file, irun, converged, todict."""
    atoms = block()
    path = tmp_path / "opt.traj"
    with (
        Trajectory(str(path), "w", atoms=atoms) as trajectory,
        Learn2Hop(
            atoms,
            trajectory=trajectory,
            restart=str(tmp_path / "opt.json"),
            logfile=str(tmp_path / "opt.log"),
            horizon=40,
        ) as search,
    ):
        for _ in search.irun(fmax=0.01, steps=1000):
            pass
        assert search.converged(search.optimizable.get_gradient())
    assert len(read(path, index=":")) == search.get_number_of_steps() + 1 == 41
    assert search.todict()["max_steps"] == 1000


def test_published_minimum_is_the_one_used_here():
    assert lennard_jones_minimum(13) == LJ13
