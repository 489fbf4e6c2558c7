"""Calls of a calculator that fail, that are kept, and that others make."""

from __future__ import annotations

import importlib.util
import os
import pickle
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import active_children, get_context

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from own_calculators import Counting, Moody, Slow, Unconverged, unmade

import ase_l2h
from ase_l2h.ase_adapter.cache import CallCache
from ase_l2h.ase_adapter.calling import Calling
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.ase_adapter.problem import problem_of, told_of
from ase_l2h.ase_adapter.remote import RemoteMeasure
from ase_l2h.errors import InputError, RunError
from ase_l2h.search.calls import CalculatorEngine
from ase_l2h.search.driver import search_problem, shared_by
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.guard import SHARE, Guard
from ase_l2h.search.limits import Limits
from ase_l2h.search.problem import Problem
from ase_l2h.system import make_system

OCTAHEDRON = 5.96242
PLAIN = ("learned-starts", "learned-hops", "hopping")


def copper(calculator, n: int = 6) -> Atoms:
    """A block of copper atoms, far from any minimum."""
    block = 2.6 * np.argwhere(np.ones((2, 2, 2)))[:n]
    return Atoms(f"Cu{n}", block, calculator=calculator)


def searched(calculator, **options):
    """Until the octahedron is found."""
    limits = Limits(evaluations=3000, target_energy=OCTAHEDRON, settled=0)
    options = {"limits": limits, "seed": 77, "without": PLAIN} | options
    return ase_l2h.search(copper(calculator), **options)


@pytest.fixture(scope="module")
def undisturbed():
    """What is found, and by how many calls, where nothing fails."""
    result = searched(EMT())
    assert result.stopped == "target"
    assert result.failed_calls == 0
    return result


@pytest.mark.parametrize("how", ["raise", "NaN", "shape"])
def test_a_failing_call_costs_little(undisturbed, how):
    Moody.calls = 0
    result = searched(Moody(how))
    assert result.stopped == "target"
    assert result.best_energy == pytest.approx(undisturbed.best_energy, abs=1e-4)
    assert result.failed_calls >= Moody.calls // 7 - 1 > 0
    assert Moody.calls < 1.5 * undisturbed.charged_evaluations


def test_where_only_the_given_structure_does_not_converge_others_are_made(caplog):
    result = searched(Unconverged())
    assert result.stopped == "target"
    assert "SCF not converged" in caplog.text
    # Before the search, in it, and at once nearby: then it is given up.
    assert result.failed_calls == 3


def test_what_fails_otherwise_for_the_given_structure_is_refused():
    class Wrong(Unconverged):
        error = KeyError

    with pytest.raises(InputError, match="fails for the structure"):
        searched(Wrong())


class Leaving(EMT):
    """Ends the process at every seventh call."""

    calls = 0

    def calculate(self, *args, **kwargs):
        Leaving.calls += 1
        if Leaving.calls % 7 == 0:
            raise SystemExit(0)
        super().calculate(*args, **kwargs)


def test_a_calculator_that_would_end_the_process_does_not(undisturbed, caplog):
    result = searched(Leaving())
    assert result.best_energy == pytest.approx(undisturbed.best_energy, abs=1e-4)
    assert result.failed_calls >= Leaving.calls // 7 - 1 > 0
    assert "the calculator called sys.exit(0)" in caplog.text


@pytest.mark.slow
def test_workers_that_do_not_begin_are_not_blamed_on_the_structure():
    with pytest.raises(RunError, match="end before they are ready"):
        searched(EMT(), workers=1, make_calculator=unmade)


def test_what_makes_calculators_is_a_function():
    with pytest.raises(InputError, match="make_calculator is 3; give a function"):
        searched(EMT(), workers=1, make_calculator=3)


class Writing(EMT):
    """A calculator that writes its input into its folder."""

    command = "none"


@pytest.mark.parametrize(("kind", "folders"), [(EMT, 0), (Writing, 1)])
def test_only_what_writes_files_gets_a_folder(kind, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    measure = RemoteMeasure(pickle.dumps(kind()), made=True)
    energy, _ = measure(copper(None))
    assert energy == copper(EMT()).get_potential_energy()
    assert len(list(tmp_path.glob("calls-*"))) == len(list(tmp_path.iterdir()))
    assert len(list(tmp_path.iterdir())) == folders


@pytest.mark.often("die")
@pytest.mark.parametrize("how", ["hang", "die"])
def test_a_call_that_hangs_or_kills_its_process_costs_little(undisturbed, how):
    """Each process counts for itself, so that fewer calls fail; none of this one."""
    Moody.calls = 0
    result = searched(Moody(how, every=15), call_timeout=3.0)
    assert result.stopped == "target"
    assert result.best_energy == pytest.approx(undisturbed.best_energy, abs=1e-4)
    assert result.failed_calls > 0
    assert result.charged_evaluations < 1.5 * undisturbed.charged_evaluations


def test_a_broken_calculator_ends_the_search_and_all_is_kept():
    broken = EMT()
    broken.calculate = _breaking_after(broken, 12)
    result = searched(broken)
    assert result.stopped == "failed"
    assert "23 calls of the calculator in a row failed" in str(result.trouble)
    # The lowest structure of before is tried once more; its energy is known.
    assert 23 <= result.failed_calls < 40
    assert np.isfinite(result.best_energy)
    assert result.best_energy < EMT().get_potential_energy(copper(None)) - 1


@pytest.mark.parametrize("method", ["auto", "fire"])
def test_the_start_is_kept_where_all_calls_after_the_first_fail(method):
    """Also where it is not relaxed: nothing that a user has is lost."""
    broken = EMT()
    broken.calculate = _breaking_after(broken, 1)
    options = {} if method == "auto" else {"without": (), "method": method}
    result = searched(broken, **options)
    assert result.stopped == "failed"
    assert result.failed_calls == 20
    given = copper(EMT())
    assert result.best_energy == given.get_potential_energy()
    assert not result.best.relaxed
    centred = given.positions - given.positions.mean(axis=0)
    np.testing.assert_allclose(result.best.positions, centred, atol=1e-12)
    broken = EMT()
    broken.calculate = _breaking_after(broken, 1)
    search = Learn2Hop(copper(broken), seed=0, without=PLAIN, logfile=None)
    with pytest.raises(RunError, match="in a row failed"):
        search.run()
    assert search.get_minimum()[0] == given.get_potential_energy()
    np.testing.assert_array_equal(search.atoms.positions, given.positions)


def test_the_best_so_far_is_kept_where_all_further_calls_fail():
    """The lowest of all calls, however far its relaxation had come."""
    energies: list[float] = []

    class Breaking(EMT):
        def calculate(self, *arguments, **keywords):
            if len(energies) == 9:
                raise RuntimeError("the disk is full")
            super().calculate(*arguments, **keywords)
            energies.append(self.results["energy"])

    result = searched(Breaking())
    assert result.stopped == "failed"
    assert result.best_energy == pytest.approx(min(energies), abs=1e-12)
    atoms = Atoms("Cu6", result.best.positions, calculator=EMT())
    assert atoms.get_potential_energy() == pytest.approx(min(energies), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("hang", "no answer within 2 seconds"),
        ("die", "the process of this call ended"),
        ("raise", "RuntimeError: not converged"),
        ("NaN", "no finite energy and forces"),
        ("shape", r"shape \(5, 3\) where 6 atoms have \(6, 3\)"),
    ],
)
def test_the_first_call_of_all_has_the_time_limit_of_the_others(how, said):
    Moody.calls = 0
    with pytest.raises(InputError, match=said):
        searched(Moody(how, every=1), call_timeout=2.0)
    if how == "hang":
        search = Learn2Hop(copper(Moody(how, every=1)), call_timeout=2.0, logfile=None)
        with pytest.raises(InputError, match=said):
            search.run()
    # Nothing is called in this process.
    assert Moody.calls == 0


def test_forces_of_a_wrong_shape_are_named_at_once():
    Moody.calls = 0
    with pytest.raises(InputError, match=r"forces have shape \(5, 3\)"):
        searched(Moody("shape", every=1))

    class Transposed(EMT):
        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            self.results["forces"] = self.results["forces"].T

    with pytest.raises(InputError, match=r"forces have shape \(3, 6\)"):
        searched(Transposed())


@pytest.mark.slow
def test_an_unconverged_first_call_elsewhere_is_no_mistake(caplog):
    limits = Limits(evaluations=60, settled=0)
    result = searched(Unconverged(), workers=1, limits=limits)
    assert "SCF not converged" in caplog.text
    assert result.failed_calls == 3
    assert np.isfinite(result.best_energy)


def _breaking_after(calculator, count):
    whole, calls = EMT.calculate, []

    def calculate(*arguments, **keywords):
        calls.append(None)
        if len(calls) > count:
            raise RuntimeError("the disk is full")
        whole(calculator, *arguments, **keywords)

    return calculate


def test_atoms_are_kept_apart(rng):
    radii = np.array([1.3, 1.3, 0.3, 0.3])
    system = make_system(np.array([0, 0, 1, 1]), length_scale=1.6, energy_scale=1.0)
    problem = Problem(None, system, measure=lambda x: (0.0, x), radii=radii)
    places = rng.normal(scale=0.5, size=(3, 4, 20))
    places[..., 0] = 0.0
    apart, moved = Guard(problem).kept_apart(places)
    assert moved.sum() > 15
    for k in range(20):
        for i in range(4):
            for j in range(i):
                distance = np.linalg.norm(apart[:, i, k] - apart[:, j, k])
                assert distance >= SHARE * (radii[i] + radii[j]) - 1e-9
    again, moved = Guard(problem).kept_apart(apart)
    assert again is apart
    assert not moved.any()


def test_no_call_sees_atoms_that_nearly_coincide():
    class Watching(EMT):
        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            distances = self.atoms.get_all_distances()
            closest.append(np.min(distances[np.triu_indices(6, 1)]))

    closest: list[float] = []
    limits = Limits(evaluations=150, settled=0)
    ase_l2h.search(copper(Watching()), limits=limits, seed=77, without=PLAIN[:2])
    assert len(closest) > 100
    # The measured bond is up to 7 % shorter than the sum of the covalent radii.
    assert min(closest) > 0.92 * SHARE * 2 * 1.32


def test_a_cache_spares_every_call_of_a_restart(tmp_path):
    limits = Limits(evaluations=80, settled=0)
    path = tmp_path / "calls.extxyz"
    Counting.calls = 0
    first = searched(Counting(), cache=path, limits=limits)
    made = Counting.calls
    frames = ase.io.read(path, ":")
    assert 50 < len(frames) <= made <= 81
    Counting.calls = 0
    again = searched(Counting(), cache=path, limits=limits)
    # Whether it is the same calculator is asked once.
    assert Counting.calls == 1
    assert again.best_energy == first.best_energy
    assert again.charged_evaluations == first.charged_evaluations
    assert len(ase.io.read(path, ":")) == len(frames)
    for frame in frames[::20]:
        energy, forces = frame.get_potential_energy(), frame.get_forces()
        frame.calc = EMT()
        assert energy == pytest.approx(frame.get_potential_energy(), rel=1e-12)
        np.testing.assert_allclose(forces, frame.get_forces(), atol=1e-10)
    # What goes on beyond it makes what is new.
    more = Limits(evaluations=110, settled=0)
    searched(Counting(), cache=path, limits=more)
    assert 1 < Counting.calls < 60


def test_a_cache_survives_a_killed_writer_and_refuses_what_is_foreign(tmp_path):
    path = tmp_path / "calls.extxyz"
    limits = Limits(evaluations=60, settled=0)
    searched(EMT(), cache=path, limits=limits)
    whole = path.read_bytes()
    path.write_bytes(whole + b'6\nLattice="0 0')
    cut = CallCache(path, told_of(EMT()))
    assert path.read_bytes() == whole
    with pytest.raises(InputError, match="in use by another process"):
        CallCache(path, told_of(EMT()))
    cut.close()
    path.write_bytes(whole[:-30])
    CallCache(path, told_of(EMT())).close()
    assert whole.startswith(path.read_bytes())
    assert len(path.read_bytes()) < len(whole) - 100
    with pytest.raises(InputError, match="of another calculator"):
        searched(EMT(asap_cutoff=True), cache=path, limits=limits)
    text = path.read_text()
    head, energy, rest = text.partition("energy=")
    path.write_text(f"{head}{energy}1{rest}")
    with pytest.raises(InputError, match=r"in the cache .* is 1"):
        searched(EMT(), cache=path, limits=limits)
    path.write_text("no cache\n")
    with pytest.raises(InputError, match="is not a cache of calls"):
        searched(EMT(), cache=path, limits=limits)
    with pytest.raises(InputError, match="cannot be written"):
        searched(EMT(), cache=tmp_path, limits=limits)


def test_one_and_two_workers_find_the_same():
    limits = Limits(evaluations=80, settled=0)
    found = [
        searched(EMT(), workers=n, searches=3, limits=limits, width=2) for n in (1, 2)
    ]
    assert found[0].best_energy == found[1].best_energy
    for one, other in zip(found[0].searches, found[1].searches, strict=True):
        assert one == other
    assert not active_children()


def test_a_search_becomes_several_that_keep_workers_busy():
    # As many as workers, three at least; together they spend what one would.
    assert shared_by(4, None, "auto", 1000) == (4, 250)
    assert shared_by(2, None, "auto", None) == (3, 3333)
    assert shared_by(8, None, "auto", 250) == (2, 125)
    assert shared_by(8, None, "auto", 150) == (1, 150)
    assert shared_by(8, None, "auto", None, bounded=True) == (8, None)
    # What is asked for is done.
    assert shared_by(4, 1, "auto", 1000) == (1, 1000)
    for workers, method in ((None, "auto"), (1, "auto"), (4, "bh")):
        assert shared_by(workers, None, method, None) == (1, None)
    search = Learn2Hop(copper(EMT(), 8), workers=4, evaluations=900, logfile=None)
    assert (search.searches, search._session.limits.evaluations) == (4, 225)


@pytest.mark.slow
def test_several_searches_settle_in_a_fraction_of_the_time(benchmark_module):
    virtual = benchmark_module("hits.workers").VirtualWorkers
    one, three = virtual(1), virtual(3)
    problem = problem_of(copper(EMT(), 8))
    alone = search_problem(problem, seed=1, calls=one)
    together = search_problem(problem, seed=1, calls=three, searches=3)
    for result in (alone, together):
        assert result.stopped == "settled"
        assert result.confidence.met >= 3
    assert together.best_energy == pytest.approx(alone.best_energy, abs=1e-4)
    assert three.clock < 0.6 * one.clock


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "least"),
    [
        (2, 1.8),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((1, 1.0), (4, 3.5))),
    ],
)
def test_workers_have_something_to_do(benchmark_module, workers, least):
    """Twice as many searches as workers keep them busy, whatever the machine does."""
    calls = benchmark_module("hits.workers").VirtualWorkers(workers)
    search_problem(
        problem_of(copper(EMT(), 8)),
        limits=Limits(evaluations=250, settled=0),
        searches=max(4, 2 * workers),
        seed=1,
        calls=calls,
    )
    assert calls.made / calls.clock >= least


@pytest.mark.slow
def test_workers_that_are_killed_at_random_cost_nothing_but_calls():
    limits = Limits(evaluations=150, settled=0)
    stopped, killed = threading.Event(), []

    def kill() -> None:
        rng = np.random.default_rng(3)
        while not stopped.wait(2.5):
            children = active_children()
            if children:
                killed.append(None)
                os.kill(children[int(rng.integers(len(children)))].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = searched(Slow(), workers=2, searches=2, limits=limits)
    finally:
        stopped.set()
        killer.join()
    assert result.stopped == "evaluations"
    assert result.best_energy < EMT().get_potential_energy(copper(None)) - 1
    assert killed
    assert result.failed_calls <= len(killed)


def test_any_executor_makes_calls():
    limits = Limits(evaluations=60, settled=0)
    here = searched(EMT(), limits=limits)
    with ThreadPoolExecutor(2) as executor:
        threads = searched(EMT(), executor=executor, limits=limits)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        processes = searched(EMT(), executor=executor, limits=limits)
    assert here.best_energy == threads.best_energy == processes.best_energy


@pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="Dask is not installed"
)
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_makes_calls():
    from distributed import Client, LocalCluster

    limits = Limits(evaluations=60, settled=0)
    here = searched(EMT(), limits=limits)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        result = searched(EMT(), executor=client.get_executor(), limits=limits)
    assert result.best_energy == here.best_energy


def test_learn2hop_keeps_and_shares_its_calls(tmp_path):
    path = tmp_path / "calls.extxyz"
    energies = []
    for _ in range(2):
        atoms = copper(EMT())
        search = Learn2Hop(
            atoms, seed=0, evaluations=60, without=PLAIN, logfile=None, cache=path,
            workers=1,
        )  # fmt: skip
        search.run(fmax=0.05)
        energies.append((search.get_minimum()[0], search.charged_evaluations))
        del search
    assert energies[0] == energies[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, "workers"),
        ({"workers": 1, "executor": ThreadPoolExecutor(1)}, "give only one"),
        ({"executor": 3}, "concurrent.futures.Executor"),
        ({"call_timeout": 0}, "seconds above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        searched(EMT(), **options)
    with pytest.raises(InputError, match="runs in a kernel"):
        searched(ase_l2h.LennardJones(), workers=2)
    with pytest.raises(InputError, match="are for Atoms"):
        ase_l2h.search("LJ7", cache="calls.extxyz")


def test_a_calculator_that_has_been_used_is_sent_all_the_same():
    """EMT then holds functions that no other process takes."""
    atoms = copper(EMT(asap_cutoff=True))
    known = atoms.get_potential_energy()
    with pytest.raises(AttributeError, match="pickle"):
        pickle.dumps(atoms.calc)
    with Calling(workers=1).opened(atoms.calc) as (_, calls):
        energy, _ = calls.evaluate(copper(None))
    assert energy == pytest.approx(known, abs=1e-12)


def test_ctrl_c_at_a_terminal_does_not_reach_the_workers():
    with Calling(workers=1).opened(EMT()) as (_, calls):
        calls.workers.submit(-1, copper(None))
        (process,) = active_children()
        # While it starts, and when it has answered.
        os.kill(process.pid, signal.SIGINT)
        _, (energy, _) = calls.workers.next()
        assert energy == pytest.approx(copper(EMT()).get_potential_energy())
        os.kill(process.pid, signal.SIGINT)
        assert calls.evaluate(copper(None))[0] == energy
        assert process.is_alive()


def test_a_calculator_that_cannot_be_sent_says_what_to_do():
    class Own(EMT):
        lock = None

    own, changed = Own(), EMT()
    own.lock = threading.Lock()
    changed.calculate = lambda *_: None
    for calculator in (own, changed):
        with pytest.raises(InputError, match="give make_calculator"):
            searched(calculator, workers=1)
    limits = Limits(evaluations=20, settled=0)
    result = searched(calculator, workers=1, make_calculator=EMT, limits=limits)
    assert np.isfinite(result.best_energy)


def test_a_structure_is_given_up_after_two_points_in_a_row_that_fail():
    """Its lowest point is kept, and does not count as relaxed."""
    asked: list[float] = []

    def failing(positions: np.ndarray) -> tuple[float, np.ndarray]:
        asked.append(float(np.linalg.norm(positions)))
        if len(asked) > 5:
            raise RuntimeError("no convergence")
        return asked[-1], positions / asked[-1]

    system = make_system(np.zeros(4, int))
    problem = Problem(None, system, measure=failing)
    engine = CalculatorEngine()
    evaluator = Evaluator(problem, lambda request: engine.execute([request])[0])
    start = np.random.default_rng(0).normal(size=(3, 4, 1))
    start *= 1.5 / np.linalg.norm(start)
    relaxed = evaluator.relax(start)
    assert relaxed.energy[0] == pytest.approx(min(asked[:5]))
    assert relaxed.energy[0] < 1.4
    assert not relaxed.converged[0]
    # Each of two points: the call, the same again, and one nearby.
    assert engine.failures == len(asked) - 5 == 6
