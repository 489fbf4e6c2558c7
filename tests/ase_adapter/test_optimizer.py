"""Learn2Hop with a known potential, wherever code expects an ASE optimizer."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.cluster import Icosahedron
from ase.constraints import FixAtoms, FixCartesian
from ase.io import read, write
from ase.io.trajectory import Trajectory
from ase.optimize import BFGS
from ase.optimize.basin import BasinHopping

from ase_l2h.ase_adapter.calculators import Gupta, LennardJones, StillingerWeber
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.ase_adapter.problem import problem_of
from ase_l2h.errors import RunError
from ase_l2h.search.names import DEFAULT_METHOD
from ase_l2h.search.registry import make_method
from ase_l2h.targets import lennard_jones_minimum
from ase_l2h.weights.load import load_weights

# Wales and Doye's 13-atom icosahedron.
LJ13 = -44.326801
# Rounds of `silent`.
ROUNDS = 5


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
    """Two chains of basin hopping, five rounds of 2000 steps, without a log."""
    settings = {"method": "bh", "n_starts": 2, "horizon": 2000 * ROUNDS, "seed": 0}
    return Learn2Hop(atoms, **(settings | {"logfile": None} | arguments))


def learned(atoms: Atoms, **arguments) -> Learn2Hop:
    """The learned optimizer from the structure itself: one round."""
    return Learn2Hop(atoms, **({"horizon": 40, "seed": 0, "logfile": None} | arguments))


def test_a_run_ends_in_a_minimum_below_the_local_one():
    atoms = block()
    local = block()
    BFGS(local, logfile=None).run(fmax=0.01)
    search = Learn2Hop(atoms, method="learned", seed=0, logfile=None)

    assert search.run(fmax=1e-3) is True

    energy, best = search.get_minimum()
    assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-12)
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-3
    assert energy < local.get_potential_energy()
    np.testing.assert_array_equal(best.positions, atoms.positions)
    assert best.get_potential_energy() == energy
    # The whole horizon and a relaxation.
    assert search.charged_evaluations > search.horizon
    # The cluster has not wandered off.
    np.testing.assert_allclose(
        atoms.positions.mean(axis=0), block().positions.mean(axis=0), atol=1e-6
    )


def test_without_arguments_it_is_the_default_method():
    atoms = block()
    search = Learn2Hop(atoms, evaluations=20_000, settled=0, seed=1, logfile=None)
    assert search.run(fmax=1e-3) is True
    assert search.todict()["method"] == DEFAULT_METHOD
    assert atoms.get_potential_energy() == pytest.approx(LJ13, abs=1e-6)
    assert 0.8 * 20_000 < search.charged_evaluations <= 20_000


def test_it_stops_when_the_lowest_minimum_is_settled_and_says_how_sure_it_is():
    found = []
    for settled in (1, 2):
        atoms = block()
        search = Learn2Hop(atoms, settled=settled, seed=1, logfile=None)
        assert str(search.confidence).startswith("not known: no independent attempt")
        assert search.run(fmax=1e-3) is True
        assert atoms.get_potential_energy() == pytest.approx(LJ13, abs=1e-6)
        assert search.confidence.settled
        assert search.confidence.met == settled
        found.append(search.charged_evaluations)
    assert found[0] < found[1] < 100_000
    few = Learn2Hop(block(), settled=0, evaluations=10_000, seed=1, logfile=None)
    few.run(fmax=1e-3)
    assert not few.confidence.settled


def test_parts_of_the_default_method_can_be_left_out():
    search = Learn2Hop(block(), without=["twists", "melts"], seed=1, logfile=None)
    assert search.todict()["settings"]["without"] == ["melts", "twists"]


@pytest.mark.parametrize("name", ["fire", "bh", "learned"])
def test_a_method_may_be_given_as_an_object(name: str):
    results = []
    for as_object in (False, True):
        atoms = block()
        search = silent(atoms, method=name, horizon=60)
        if as_object:
            method = make_method(name, problem_of(atoms), steps=60, starts=2)
            search = Learn2Hop(atoms, method=method, seed=0, logfile=None)
        search.run(fmax=0.01)
        results.append((atoms.get_potential_energy(), search.charged_evaluations))
    # The object does not know of the clock of a learned optimizer's weights.
    if name != "learned":
        assert results[0] == results[1]
    assert results[1][0] < -35


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
    assert search.charged_evaluations > 5 * search.horizon


def test_minima_are_minima_and_nothing_else_is_written_on_them(tmp_path: Path):
    atoms = block()
    atoms.arrays["frac_pos"] = np.ones((13, 3))
    atoms.arrays["forces"] = np.ones((13, 3))
    atoms.set_momenta(np.ones((13, 3)))
    atoms.set_tags(range(13))
    atoms.info.update({"energy": 7.0, "dft_energy": 8.0, "sample": "A"})
    search = learned(atoms, n_starts=8, horizon=10)
    search.run(fmax=1e-4)
    minima = search.minima
    assert len(minima) > 2
    for energy, minimum in minima:
        assert set(minimum.arrays) == {"numbers", "positions", "tags"}
        assert minimum.info == {"sample": "A"}
        assert minimum.get_potential_energy() == energy
        minimum.calc = LennardJones()
        assert minimum.get_potential_energy() == pytest.approx(energy, rel=1e-10)
        assert np.abs(minimum.get_forces()).max() < 1e-4
    for name in ("minima.extxyz", "minima.traj"):
        write(tmp_path / name, [minimum for _, minimum in search.minima])
        back = read(tmp_path / name, index=":")
        energies = [frame.get_potential_energy() for frame in back]
        np.testing.assert_allclose(energies, [e for e, _ in minima], rtol=1e-6)
        np.testing.assert_array_equal(back[0].get_tags(), range(13))


def test_the_first_start_is_the_structure_itself():
    """A few steps from the global minimum the best of five starts is still it."""
    atoms = icosahedron()
    search = learned(atoms, n_starts=5, horizon=4)
    search.run(fmax=1e-4)
    assert search.get_minimum()[0] == pytest.approx(LJ13, abs=1e-6)


def test_searches_side_by_side_share_the_log_and_find_more():
    atoms = block()
    search = silent(atoms, searches=3, horizon=2000)
    assert search.run(fmax=0.01) is True
    alone = silent(block(), horizon=2000)
    alone.run(fmax=0.01)
    assert search.charged_evaluations > 2.5 * alone.charged_evaluations
    assert search.get_minimum()[0] <= alone.get_minimum()[0] + 1e-9


def test_irun_yields_before_the_first_step_and_after_each():
    atoms = block()
    search = silent(atoms)
    flags = list(search.irun(fmax=0.01))
    assert len(flags) == search.nsteps + 1 == ROUNDS + 1
    assert flags[-1] is True
    assert not any(flags[:-1])


def test_observers_trajectory_and_log_are_those_of_any_ase_optimizer(tmp_path: Path):
    atoms = block()
    path, log = tmp_path / "search.traj", tmp_path / "search.log"
    calls = []
    with silent(atoms, logfile=str(log), trajectory=str(path)) as search:
        search.attach(lambda: calls.append(atoms.get_potential_energy()), interval=2)
        search.run(fmax=0.01)
    frames = read(path, index=":")
    assert len(frames) == ROUNDS + 1
    assert len(calls) == 3
    energies = [frame.get_potential_energy() for frame in frames]
    np.testing.assert_allclose(energies[::2], calls, rtol=1e-12)
    np.testing.assert_array_equal(frames[-1].positions, atoms.positions)

    lines = log.read_text().splitlines()
    columns = ["Step", "Time", "Energy", "fmax", "best", "evaluations"]
    assert lines[0].split() == columns
    falls = [line.split() for line in lines if len(line.split()) == 7]
    falls = [words for words in falls if words[1].isdigit()]
    # One for the beginning, and one for every step at which the lowest energy fell.
    steps = [int(words[1]) for words in falls]
    fell = np.flatnonzero(np.diff(np.minimum.accumulate(energies)) < -1e-5) + 1
    assert steps == [0, *fell.tolist()]
    assert 1 < len(steps) < ROUNDS + 1
    spent = [int(words[-1]) for words in falls]
    assert spent == sorted(spent)
    assert spent[-1] <= search.charged_evaluations
    for words in falls:
        assert words[0] == "Learn2Hop:"
        energy = energies[int(words[1])]
        assert float(words[3]) == pytest.approx(energy, abs=1e-6)
        assert float(words[5]) == pytest.approx(energy, abs=1e-6)
    assert lines[-1] == f"Learn2Hop: how sure: {search.confidence}"
    assert lines[-2].startswith("Learn2Hop: ")
    for fact in (f"{search.charged_evaluations:,} evaluations", "method bh", "backend"):
        assert fact in lines[-2]
    assert sum("method bh" in line for line in lines) == 1


def test_a_trajectory_knows_the_weights(tmp_path: Path):
    path = tmp_path / "search.traj"
    search = learned(block(), trajectory=str(path))
    search.run(fmax=0.01)
    with Trajectory(str(path)) as stored:
        description = stored.description
    assert description["optimizer"] == "Learn2Hop"
    assert description["weights"] == search.weights.name
    assert description["weights_sha256"] == search.weights.sha256


def test_weights_that_no_start_has_used_are_not_named():
    both = load_weights("lj+universal")
    assert isinstance(both.rule, tuple)
    one = learned(block(), weights="lj+universal")
    assert one.todict()["weights"] == one.weights.name == "lj"
    assert one.weights.sha256 == both.sha256.split("+")[0]
    two = learned(block(), weights=both, n_starts=2)
    assert two.todict()["weights"] == "lj+universal"
    # Nor is a single one anything but itself.
    alone = learned(block(), weights="lj")
    energies = []
    for search in (one, alone):
        search.run(fmax=0.01)
        energies.append(search.get_minimum()[0])
    assert energies[0] == energies[1]


def test_settings_are_json(tmp_path: Path):
    search = learned(block(), seed=None, rng=np.random.default_rng(5))
    search.run(fmax=0.01, steps=1)
    settings = json.loads(json.dumps(search.todict()))
    assert settings["seed"] == search.seed
    assert settings["method"] == "learned"
    assert settings["settings"]["steps"] == 40
    assert settings["settings"]["starts"] == 1
    assert settings["fmax"] == 0.01


def test_a_silent_log_is_silent(capsys):
    silent(block()).run(fmax=0.01, steps=2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_seeds_decide_and_the_global_generator_is_left_alone():
    def course(**seeding) -> list[float]:
        atoms = block()
        search = silent(atoms, **({"seed": None} | seeding))
        seen = []
        for _ in search.irun(fmax=0.01, steps=2):
            seen += [atoms.get_potential_energy(), *atoms.positions[0]]
        return [*seen, search.charged_evaluations]

    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = course(seed=7)
    assert first == course(seed=7) == course(rng=7)
    assert first != course(seed=8)
    drawn = [course(rng=np.random.default_rng(3)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    fresh = [silent(block(), seed=None).seed for _ in range(2)]
    assert fresh[0] != fresh[1]


def test_a_capped_run_relaxes_and_another_continues_it():
    atoms = block()
    search = silent(atoms)
    started = atoms.get_potential_energy()
    assert search.run(fmax=0.01, steps=2) is True
    capped = atoms.get_potential_energy()
    assert search.nsteps == 2
    assert capped < started
    assert search.run(fmax=0.01) is True
    assert search.nsteps == ROUNDS
    assert atoms.get_potential_energy() <= capped + 1e-10

    whole = block()
    straight = silent(whole)
    straight.run(fmax=0.01)
    # The cap has changed nothing on the way.
    assert atoms.get_potential_energy() <= whole.get_potential_energy() + 1e-10
    assert search.charged_evaluations >= straight.charged_evaluations


@pytest.mark.parametrize("steps", [2.5, 1e9])
def test_whatever_number_of_steps_the_best_ends_relaxed_in_the_atoms(steps: float):
    atoms = block()
    before = atoms.get_potential_energy()
    search = silent(atoms, seed=2)
    assert search.run(fmax=0.01, steps=steps) is True
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.01
    assert atoms.get_potential_energy() < before - 1
    assert search.get_minimum()[0] == pytest.approx(atoms.get_potential_energy())


@pytest.mark.parametrize("when", [0, 1, 3])
def test_an_observer_may_make_any_step_the_last(when: int):
    """As quacc's and other drivers do by lowering ``max_steps``."""
    atoms = block()
    before = atoms.get_potential_energy()
    search = silent(atoms)

    def lower() -> None:
        if search.nsteps == when:
            search.max_steps = when

    search.attach(lower)
    flags = list(search.irun(fmax=0.01))
    assert search.nsteps == when
    if when:
        assert flags[-1] is True
        assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.01
        assert atoms.get_potential_energy() < before - 1
    else:
        assert atoms.get_potential_energy() == before


def test_a_finished_search_returns_at_once_and_goes_on_when_asked():
    atoms = block()
    search = silent(atoms)
    search.run(fmax=0.05)
    assert search.run(fmax=0.05) is True
    assert search.nsteps == ROUNDS
    # Tighter than what has been relaxed: one step.
    assert search.run(fmax=1e-10) is True
    assert search.nsteps == ROUNDS + 1
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-10
    # Moved atoms are a new search, which keeps what the old one has found.
    lowest, spent = search.get_minimum()[0], search.charged_evaluations
    atoms.rattle(0.3, rng=np.random.default_rng(0))
    assert search.run(fmax=0.05) is True
    assert search.nsteps == 2 * ROUNDS + 1
    assert search.get_minimum()[0] <= lowest + 1e-10
    assert atoms.get_potential_energy() <= lowest + 1e-10
    assert search.charged_evaluations > 1.5 * spent


def test_no_steps_change_nothing():
    atoms = block()
    before = atoms.positions.copy()
    search = silent(atoms)
    assert search.run(fmax=0.01, steps=0) is False
    assert search.run(fmax=1e6, steps=0) is True
    np.testing.assert_array_equal(atoms.positions, before)
    assert search.get_minimum()[0] == pytest.approx(atoms.get_potential_energy())
    assert search.charged_evaluations == 0


@pytest.mark.parametrize("steps", [0, 1, 3, None])
@pytest.mark.parametrize("method", [silent, learned])
def test_the_global_minimum_is_never_left_for_something_worse(method, steps):
    atoms = icosahedron()
    before = atoms.get_potential_energy()
    assert method(atoms).run(fmax=1e-4, steps=steps) is True
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
        if search.nsteps == 2:
            raise kind

    search.attach(look)
    with pytest.raises(kind):
        search.run(fmax=0.01)
    after = atoms.get_potential_energy()
    assert after <= min(seen) + 1e-6
    assert after <= before + 1e-11
    assert search.get_minimum()[0] == pytest.approx(after, rel=1e-12)
    assert len(search.minima) > 0
    # And it can go on.
    search.observers.clear()
    search.run(fmax=0.01)
    assert search.nsteps == ROUNDS
    assert atoms.get_potential_energy() <= after + 1e-10


class Interrupting:
    """Basin hopping at whose third round somebody presses Ctrl-C."""

    name = "interrupted"

    def __init__(self, method) -> None:
        self.method, self.rounds = method, 0
        self.refuse, self.init = method.refuse, method.init
        self.finished, self.minima = method.finished, method.minima
        self.describe, self.attempts = method.describe, method.attempts

    def advance(self, state, evaluator):
        self.rounds += 1
        if self.rounds == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return self.method.advance(state, evaluator)


def test_ctrl_c_in_a_round_leaves_relaxed_minima(capfd):
    atoms = block()
    problem = problem_of(atoms)
    method = Interrupting(make_method("bh", problem, steps=10_000, starts=2))
    search = Learn2Hop(atoms, method=method, seed=0, logfile=None)
    with pytest.raises(KeyboardInterrupt):
        search.run(fmax=0.01)
    assert search.nsteps == 2
    assert "stopping after this evaluation" in capfd.readouterr().err
    assert len(search.minima) > 0
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-4
    assert atoms.get_potential_energy() == pytest.approx(search.minima[0][0])
    # What the round was is done again, and the end is that of an undisturbed search.
    assert search.run(fmax=0.01) is True
    calm = silent(block())
    calm.run(fmax=0.01)
    assert search.get_minimum()[0] == pytest.approx(calm.get_minimum()[0], abs=1e-9)
    assert search.nsteps == calm.nsteps


def test_leaving_the_loop_leaves_the_best_structure():
    atoms = block()
    search = silent(atoms)
    seen = []
    for _ in search.irun(fmax=0.01):
        seen.append(atoms.get_potential_energy())
        if search.nsteps == 2:
            break
    assert atoms.get_potential_energy() <= min(seen) + 1e-6
    energy, best = search.get_minimum()
    np.testing.assert_array_equal(best.positions, atoms.positions)
    assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)


def test_a_target_ends_the_search_early():
    atoms = block()
    search = silent(atoms, target_energy=-40.0)
    assert search.run(fmax=0.01) is True
    assert atoms.get_potential_energy() <= -40.0
    whole = silent(block(), target_energy=-45.0)
    whole.run(fmax=0.01)
    assert search.charged_evaluations < whole.charged_evaluations / 2
    # An unreachable one does not.
    assert whole.nsteps == ROUNDS


def test_time_ends_the_search_early_and_another_run_continues_it():
    atoms = block()
    search = silent(atoms, n_starts=None, horizon=None, max_seconds=0.3)
    assert search.run(fmax=0.01) is True
    reached, spent = search.nsteps, search.charged_evaluations
    assert reached > 0
    assert search.run(fmax=0.01) is True
    assert search.nsteps > reached
    assert search.charged_evaluations > spent


@pytest.mark.parametrize("searches", [1, 3])
@pytest.mark.parametrize("evaluations", [1, 7, 2500])
def test_evaluations_are_never_exceeded(evaluations: int, searches: int):
    atoms = block()
    before = atoms.get_potential_energy()
    search = silent(
        atoms, n_starts=None, horizon=None, evaluations=evaluations, searches=searches
    )
    search.run(fmax=0.01)
    # A search of 32 chains cannot begin with seven evaluations.
    assert search.charged_evaluations <= evaluations * searches
    assert atoms.get_potential_energy() <= before + 1e-11


@pytest.mark.parametrize("positions", [np.arange(3) * 1.1, np.arange(3) * 1.0])
@pytest.mark.parametrize("method", ["learned", "fire", "bh"])
def test_a_chain_of_three_atoms_becomes_a_triangle(method: str, positions):
    """Every rule that knows no direction but the gradient keeps it a chain."""
    atoms = Atoms("Ar3", calculator=LennardJones())
    atoms.positions[:, 0] = positions
    search = silent(atoms, method=method, n_starts=1, horizon=50)
    assert search.run(fmax=1e-4) is True
    assert atoms.get_potential_energy() == pytest.approx(-3.0, abs=1e-6)
    assert [energy for energy, _ in search.minima] == pytest.approx([-3.0])


def test_ase_lennard_jones_takes_the_kernel_with_its_own_cutoff():
    atoms = block(AseLennardJones(sigma=1.0, epsilon=1.0, rc=2.2))
    search = learned(atoms)
    search.run(fmax=0.01)
    assert search.todict()["backend"] in ("native", "scan")
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
    with pytest.raises(RunError, match=r"the kernel's.*SumCalculator"):
        silent(atoms).run(fmax=0.01)
    np.testing.assert_array_equal(atoms.positions, before)


def test_a_calculator_changed_during_a_run_is_told_from_a_wrong_one():
    atoms = block()
    search = silent(atoms)

    def change() -> None:
        if search.nsteps == 1:
            atoms.calc.set(epsilon=0.5)

    search.attach(change)
    with pytest.raises(RunError, match=r"have been changed during.*call run\(\) again"):
        search.run(fmax=0.01)
    search.observers.clear()
    assert search.run(fmax=0.01) is True
    # Nothing is left of the old potential.
    assert search.minima[0][0] == pytest.approx(LJ13 / 2, abs=1)


def test_a_calculator_replaced_during_a_run_ends_it_with_the_best(caplog):
    """Also one that does not know the elements; the log has no traceback."""
    atoms = block()
    search = silent(atoms)

    def change() -> None:
        if search.nsteps == 1:
            atoms.calc = EMT()

    search.attach(change)
    with pytest.raises(RunError, match="calculator or its parameters have been chan"):
        search.run(fmax=0.01)
    assert "Traceback" not in caplog.text
    atoms.calc = LennardJones()
    assert atoms.get_potential_energy() < block().get_potential_energy() - 1


def test_parameters_changed_between_runs_are_another_search():
    atoms = block()
    search = silent(atoms)
    search.run(fmax=0.01)
    atoms.calc.set(epsilon=0.5)
    search.run(fmax=0.01)
    assert search.nsteps == 2 * ROUNDS
    assert all(energy > -23 for energy, _ in search.minima)


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
        assert np.all(minimum.positions[[0, 4]] == before[[0, 4]])


@pytest.mark.parametrize("n_starts", [1, 3])
def test_with_fixed_atoms_every_seed_is_another_search(n_starts: int):
    found = []
    for seed in (1, 2, 3):
        atoms = block()
        atoms.set_constraint(FixAtoms([0, 1]))
        search = learned(atoms, seed=seed, n_starts=n_starts, horizon=200)
        search.run(fmax=1e-3)
        found.append((atoms.get_potential_energy(), search.charged_evaluations))
        np.testing.assert_array_equal(atoms.positions[:2], block().positions[:2])
    assert len(set(found)) == 3


def test_periodic_silicon_relaxes_in_its_cell():
    from ase.build import bulk

    atoms = bulk("Si", "diamond", a=5.431, cubic=True)
    atoms.calc = StillingerWeber()
    crystal = atoms.get_potential_energy()
    atoms.rattle(0.3, rng=np.random.default_rng(2))
    cell = atoms.cell.copy()
    search = learned(atoms, horizon=10)
    assert search.run(fmax=0.01) is True
    assert crystal - 1e-6 <= atoms.get_potential_energy()
    np.testing.assert_array_equal(atoms.cell, cell)


@pytest.mark.slow
def test_an_alloy_keeps_its_species():
    atoms = Icosahedron("Ag", 2)
    atoms.symbols[0] = "Au"
    atoms.rattle(0.2, rng=np.random.default_rng(4))
    atoms.calc = Gupta("AgAu")
    before = atoms.get_potential_energy()
    learned(atoms, horizon=20).run(fmax=0.01)
    assert atoms.get_potential_energy() < before
    assert atoms.get_chemical_formula() == "Ag12Au"


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_copies_are_refused_with_what_to_do_instead(take):
    search = silent(block())
    with pytest.raises(TypeError, match="give it a restart folder"):
        take(search)


class Short(Learn2Hop):
    """BasinHopping passes an optimizer class no arguments."""

    def __init__(self, atoms, **keywords):
        super().__init__(atoms, horizon=5, seed=0, **keywords)


def test_basin_hopping_uses_it_as_its_local_optimizer(tmp_path: Path, monkeypatch):
    # ASE draws from the global generator, which nobody has seeded.
    monkeypatch.setattr(np.random, "uniform", np.random.default_rng(3).uniform)
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
    """What quacc does: own trajectory, restart, irun, converged, todict."""
    atoms = block()
    path = tmp_path / "opt.traj"
    with (
        Trajectory(str(path), "w", atoms=atoms) as trajectory,
        silent(
            atoms,
            trajectory=trajectory,
            restart=str(tmp_path / "opt.json"),
            logfile=str(tmp_path / "opt.log"),
        ) as search,
    ):
        for _ in search.irun(fmax=0.01, steps=1000):
            pass
        assert search.converged(search.optimizable.get_gradient())
    assert len(read(path, index=":")) == search.get_number_of_steps() + 1
    assert search.todict()["max_steps"] == 1000


def test_published_minimum_is_the_one_used_here():
    assert lennard_jones_minimum(13) == LJ13
