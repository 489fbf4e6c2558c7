"""A killed search continues bit for bit from its restart folder."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.mixing import SumCalculator
from ase.cluster import Icosahedron
from ase.constraints import FixAtoms
from ase.io import read
from ase.optimize.optimize import RestartError
from ase.parallel import world

from ase_l2h.ase_adapter import records
from ase_l2h.ase_adapter.calculators import LennardJones
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.errors import InputError, InputTypeError


@pytest.fixture(autouse=True)
def _every_step_is_kept(monkeypatch):
    """Not only one a second."""
    monkeypatch.setattr(records, "SAVE_SECONDS", 0.0)


def argon(**calculator) -> Atoms:
    """A distorted piece of a cubic lattice."""
    positions = 1.1 * np.argwhere(np.ones((3, 3, 2)))[:13]
    atoms = Atoms("Ar13", positions, calculator=LennardJones(**calculator))
    atoms.rattle(0.05, rng=np.random.default_rng(1))
    return atoms


def copper() -> Atoms:
    """A cluster whose calculator is asked call by call."""
    atoms = Icosahedron("Cu", 2)
    atoms.rattle(0.5, rng=np.random.default_rng(3))
    atoms.calc = EMT()
    return atoms


SETTINGS = {
    "hopping": {"method": "bh", "n_starts": 2, "horizon": 10_000},
    "learned": {"n_starts": 3, "horizon": 12},
    "auto": {"method": "auto", "evaluations": 20_000},
}


class _Killed(BaseException):
    pass


@pytest.mark.often("argon-auto-2", "argon-hopping-1")
@pytest.mark.parametrize(
    ("make", "kind", "steps"),
    [
        (argon, "hopping", 1),
        (argon, "hopping", 3),
        (argon, "auto", 2),
        (copper, "learned", 1),
        (copper, "learned", 7),
    ],
)
def test_a_fresh_process_continues_bit_for_bit(make, kind, steps, tmp_path: Path):
    """What a kill leaves behind: the folder as it was after some step."""
    path, left = tmp_path / "search", tmp_path / "left"
    settings = SETTINGS[kind] | {"logfile": None}

    whole = make()
    straight = Learn2Hop(whole, seed=11, restart=path, **settings)

    def copy() -> None:
        if straight.nsteps == steps:
            shutil.copytree(path, left)

    straight.attach(copy)
    assert straight.run(fmax=0.01) is True

    atoms = make()
    # The seed is in the folder.
    resumed = Learn2Hop(atoms, restart=left, **settings)
    assert resumed.nsteps == steps
    assert resumed.seed == 11
    assert resumed.run(fmax=0.01) is True
    assert resumed.nsteps == straight.nsteps > steps
    np.testing.assert_array_equal(atoms.positions, whole.positions)
    assert resumed.get_minimum()[0] == straight.get_minimum()[0]
    assert [e for e, _ in resumed.minima] == [e for e, _ in straight.minima]
    assert resumed.charged_evaluations == straight.charged_evaluations


def test_a_finished_search_knows_its_result(tmp_path: Path):
    settings = SETTINGS["hopping"] | {"seed": 1, "restart": tmp_path / "search"}
    first = argon()
    search = Learn2Hop(first, logfile=None, **settings)
    search.run(fmax=0.01)
    again = argon()
    finished = Learn2Hop(again, logfile=None, **settings)
    # The positions are in the folder too.
    np.testing.assert_array_equal(again.positions, first.positions)
    assert finished.run(fmax=0.01) is True
    assert finished.nsteps == search.nsteps
    assert finished.get_minimum()[0] == search.get_minimum()[0]
    assert len(finished.minima) == len(search.minima)


def test_trajectory_and_log_grow_over_a_restart(tmp_path: Path):
    settings = SETTINGS["hopping"] | {
        "seed": 1,
        "restart": str(tmp_path / "search"),
        "logfile": str(tmp_path / "search.log"),
        "trajectory": str(tmp_path / "search.traj"),
        "append_trajectory": True,
    }

    def kill() -> None:
        if search.nsteps == 2:
            raise _Killed

    search = Learn2Hop(argon(), **settings)
    search.attach(kill)
    with pytest.raises(_Killed):
        search.run(fmax=0.01)
    resumed = Learn2Hop(argon(), **settings)
    resumed.run(fmax=0.01)
    frames = read(settings["trajectory"], index=":")
    assert len(frames) == 6
    lines = Path(settings["logfile"]).read_text().splitlines()
    words = [line.split() for line in lines[1:]]
    numbers = [int(w[1]) for w in words if w[1].isdigit() and len(w) == 7]
    energies = [frame.get_potential_energy() for frame in frames]
    fell = np.flatnonzero(np.diff(np.minimum.accumulate(energies)) < -1e-5) + 1
    # A step at which the lowest energy fell has a line, before the kill and after.
    assert numbers == [0, *fell.tolist()]


def other_constraint() -> Atoms:
    atoms = argon()
    atoms.set_constraint(FixAtoms([0]))
    return atoms


def other_species() -> Atoms:
    atoms = argon()
    atoms.symbols[0] = "Ne"
    return atoms


@pytest.mark.parametrize(
    ("make", "change", "said"),
    [
        (argon, {"horizon": 11_000}, "another number of steps"),
        (argon, {"n_starts": 3}, "another width"),
        (argon, {"searches": 2}, "another number of searches"),
        (argon, {"method": "bh-paper"}, "another method"),
        (argon, {"seed": 2}, "another seed"),
        (argon, {"energy_scale": 2.0}, "another structure, potential or scale"),
        (lambda: argon(epsilon=0.5), {}, r"other parameters of .* \(epsilon\)"),
        (lambda: argon(rc=5.0), {}, r"other parameters of .* \(rc.*\)"),
        (other_constraint, {}, "other fixed coordinates"),
        (other_species, {}, "other atoms"),
        (lambda: copper(), {}, "other atoms"),
    ],
)
def test_a_folder_of_another_search_is_refused(make, change, said, tmp_path: Path):
    path, trajectory = tmp_path / "search", tmp_path / "search.traj"
    settings = SETTINGS["hopping"] | {"seed": 1, "restart": path, "logfile": None}
    search = Learn2Hop(argon(), trajectory=str(trajectory), **settings)
    search.run(fmax=0.01, steps=1)
    atoms = make()
    before = atoms.get_positions()
    content = {p.name: p.read_bytes() for p in path.iterdir()}, trajectory.read_bytes()
    with pytest.raises(RestartError, match=f"made with {said}"):
        Learn2Hop(atoms, trajectory=str(trajectory), **(settings | change))
    # Nothing is lost, and nothing has been moved.
    now = {p.name: p.read_bytes() for p in path.iterdir()}, trajectory.read_bytes()
    assert now == content
    np.testing.assert_array_equal(atoms.positions, before)


def test_unknown_calculators_are_told_apart_by_what_they_say(tmp_path: Path):
    """Nobody can look into them: the first structure is computed once more."""
    path, trajectory = tmp_path / "search", tmp_path / "search.traj"
    settings = SETTINGS["learned"] | {"seed": 1, "restart": path, "logfile": None}
    atoms = copper()
    atoms.calc = SumCalculator([EMT()])
    Learn2Hop(atoms, trajectory=str(trajectory), **settings).run(fmax=0.01, steps=2)
    kept = trajectory.read_bytes()
    other = copper()
    other.calc = SumCalculator([EMT(), EMT()])
    before = other.get_positions()
    with pytest.raises(
        RestartError, match=r"calculator gives 2\d\d\..*instead of 1\d\d"
    ):
        Learn2Hop(other, trajectory=str(trajectory), **settings)
    np.testing.assert_array_equal(other.positions, before)
    assert trajectory.read_bytes() == kept
    # The same one, made anew, is welcome.
    same = copper()
    same.calc = SumCalculator([EMT()])
    assert Learn2Hop(same, **settings).nsteps == 2


def test_fixed_atoms_that_lie_elsewhere_are_another_problem(tmp_path: Path):
    settings = {"horizon": 20, "seed": 1, "restart": tmp_path / "s", "logfile": None}
    Learn2Hop(other_constraint(), **settings).run(fmax=0.01, steps=1)
    moved = other_constraint()
    moved.positions[0] += 0.5
    with pytest.raises(RestartError, match="fixed atoms have moved"):
        Learn2Hop(moved, **settings)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b"\x00" * 40])
@pytest.mark.parametrize("name", ["run.json", "state.safetensors"])
def test_a_damaged_folder_is_refused(name: str, content: bytes, tmp_path: Path):
    path = tmp_path / "search"
    settings = {"horizon": 10, "seed": 1, "restart": path, "logfile": None}
    Learn2Hop(argon(), **settings).run(fmax=0.01, steps=1)
    (path / name).write_bytes(content)
    with pytest.raises(RestartError, match="search"):
        Learn2Hop(argon(), **settings)
    assert (path / name).read_bytes() == content


@pytest.mark.parametrize(
    ("restart", "kind", "message"),
    [
        ("no/search", InputError, "there is no"),
        ("a" * 300, InputError, "give another name"),
        ("null\0byte", InputError, "give another name"),
        ("file", RestartError, "is a file; give the name of a folder"),
        ("full", RestartError, "is not empty and holds no run"),
    ],
)
def test_names_that_cannot_be_a_folder(restart, kind, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("{}")
    Path("full").mkdir()
    Path("full", "thesis.tex").write_text("")
    with pytest.raises(kind, match=message):
        Learn2Hop(argon(), restart=restart, logfile=None)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "full"}


def test_what_is_no_name_at_all():
    search = Learn2Hop(argon(), logfile=None)
    with pytest.raises(InputTypeError, match="restart is of type int; give the name"):
        records.SearchFolder(3, search._session, {}, world)


SCRIPT = """
import os, signal, sys
import numpy as np
from ase import Atoms
from ase_l2h import Learn2Hop, LennardJones
from ase_l2h.ase_adapter import records

records.SAVE_SECONDS = 0.0
restart, die_at = sys.argv[1], int(sys.argv[2])
atoms = Atoms("Ar13", 1.1 * np.argwhere(np.ones((3, 3, 2)))[:13])
atoms.calc = LennardJones()
search = Learn2Hop(
    atoms, method="bh", n_starts=2, horizon=12000, seed=5, restart=restart, logfile=None
)

def die():
    if search.nsteps == die_at:
        os.kill(os.getpid(), signal.SIGKILL)

search.attach(die)
assert search.run(fmax=0.01)
np.save(restart + ".npy", atoms.positions)
print(repr(search.get_minimum()[0]), search.charged_evaluations, search.nsteps)
"""


@pytest.mark.slow
def test_kill_9_and_a_fresh_process_give_what_an_unkilled_one_gives(tmp_path: Path):
    def start(name: str, die_at: int) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / name), str(die_at)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    whole = start("whole", -1)
    assert whole.returncode == 0, whole.stderr
    for die_at in (2, 4):
        killed = start("killed", die_at)
        assert killed.returncode == -signal.SIGKILL
    resumed = start("killed", -1)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == whole.stdout
    np.testing.assert_array_equal(
        np.load(tmp_path / "killed.npy"), np.load(tmp_path / "whole.npy")
    )
