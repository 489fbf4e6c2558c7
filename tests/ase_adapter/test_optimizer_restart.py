"""A killed search continues bit for bit from its restart file."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.cluster import Icosahedron
from ase.io import read
from ase.optimize.optimize import RestartError

from ase_l2h.ase_adapter.calculators import LennardJones
from ase_l2h.ase_adapter.optimizer import Learn2Hop


def argon() -> Atoms:
    """A distorted piece of a cubic lattice."""
    positions = 1.1 * np.argwhere(np.ones((3, 3, 2)))[:13]
    atoms = Atoms("Ar13", positions, calculator=LennardJones())
    atoms.rattle(0.05, rng=np.random.default_rng(1))
    return atoms


def copper() -> Atoms:
    """A cluster whose calculator is asked call by call."""
    atoms = Icosahedron("Cu", 2)
    atoms.rattle(0.5, rng=np.random.default_rng(3))
    atoms.calc = EMT()
    return atoms


class _Killed(BaseException):
    pass


@pytest.mark.parametrize(("make", "n_starts"), [(argon, 1), (argon, 5), (copper, 1)])
@pytest.mark.parametrize("steps", [1, 13])
def test_a_fresh_process_continues_bit_for_bit(make, n_starts, steps, tmp_path: Path):
    """What a kill leaves behind: the file as it was after some step."""
    path, left = tmp_path / "search.json", tmp_path / "left.json"
    settings = {"horizon": 30, "n_starts": n_starts, "logfile": None}

    whole = make()
    straight = Learn2Hop(whole, rng=11, restart=path, **settings)

    def copy() -> None:
        if straight.nsteps == steps:
            shutil.copy(path, left)

    straight.attach(copy)
    assert straight.run(fmax=0.01) is True

    atoms = make()
    # The seed is in the file.
    resumed = Learn2Hop(atoms, restart=left, **settings)
    assert resumed.nsteps == steps
    assert resumed.seed == 11
    assert resumed.run(fmax=0.01) is True
    assert resumed.nsteps == straight.nsteps == 30
    np.testing.assert_array_equal(atoms.positions, whole.positions)
    assert resumed.get_minimum()[0] == straight.get_minimum()[0]
    assert [e for e, _ in resumed.minima] == [e for e, _ in straight.minima]
    assert resumed.charged_evaluations == straight.charged_evaluations
    assert json.loads(left.read_text()) == json.loads(path.read_text())


def test_a_finished_search_knows_its_result(tmp_path: Path):
    path = tmp_path / "search.json"
    settings = {"horizon": 10, "rng": 1, "restart": path, "logfile": None}
    first = argon()
    search = Learn2Hop(first, **settings)
    search.run(fmax=0.01)
    again = argon()
    finished = Learn2Hop(again, **settings)
    # The positions are in the file too.
    np.testing.assert_array_equal(again.positions, first.positions)
    assert finished.run(fmax=0.01) is True
    assert finished.nsteps == 10
    assert finished.get_minimum()[0] == search.get_minimum()[0]
    assert len(finished.minima) == len(search.minima)


def test_trajectory_and_log_grow_over_a_restart(tmp_path: Path):
    settings = {
        "horizon": 10,
        "rng": 1,
        "restart": str(tmp_path / "search.json"),
        "logfile": str(tmp_path / "search.log"),
        "trajectory": str(tmp_path / "search.traj"),
        "append_trajectory": True,
    }

    def kill() -> None:
        if search.nsteps == 4:
            raise _Killed

    search = Learn2Hop(argon(), **settings)
    search.attach(kill)
    with pytest.raises(_Killed):
        search.run(fmax=0.01)
    resumed = Learn2Hop(argon(), **settings)
    resumed.run(fmax=0.01)
    frames = read(settings["trajectory"], index=":")
    assert len(frames) == 11
    lines = Path(settings["logfile"]).read_text().splitlines()
    numbers = [line.split()[1] for line in lines[1:]]
    assert numbers == [str(k) for k in range(11)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"horizon": 11}, "horizon"),
        ({"n_starts": 2}, "n_starts"),
        ({"rng": 2}, "seed"),
    ],
)
def test_a_file_of_another_search_is_refused(change, field, tmp_path: Path):
    path, trajectory = tmp_path / "search.json", tmp_path / "search.traj"
    settings = {"horizon": 10, "rng": 1, "restart": path, "logfile": None}
    search = Learn2Hop(argon(), trajectory=str(trajectory), **settings)
    search.run(fmax=0.01, steps=1)
    atoms = argon()
    content = path.read_bytes(), trajectory.read_bytes()
    with pytest.raises(RestartError, match=f"another search, with other {field}; use"):
        Learn2Hop(atoms, trajectory=str(trajectory), **(settings | change))
    # Nothing is lost.
    assert (path.read_bytes(), trajectory.read_bytes()) == content
    np.testing.assert_array_equal(atoms.positions, argon().positions)


def test_a_file_of_another_structure_is_refused(tmp_path: Path):
    path = tmp_path / "search.json"
    Learn2Hop(argon(), restart=path, horizon=10, logfile=None).run(steps=0)
    other = argon()
    other.symbols[0] = "Ne"
    with pytest.raises(RestartError, match="other numbers"):
        Learn2Hop(other, restart=path, horizon=10, logfile=None)


@pytest.mark.parametrize("content", ["", '{"format": "ase_l2h', "[]", '{"a": 1}'])
def test_a_damaged_file_is_refused(content: str, tmp_path: Path):
    path = tmp_path / "search.json"
    path.write_text(content)
    with pytest.raises(RestartError, match=r"search\.json"):
        Learn2Hop(argon(), restart=path, logfile=None)
    assert path.read_text() == content


def test_a_folder_that_does_not_exist_is_noticed_at_once(tmp_path: Path):
    with pytest.raises(ValueError, match="its folder does not exist; create"):
        Learn2Hop(argon(), restart=tmp_path / "no" / "search.json", logfile=None)


SCRIPT = """
import os, signal, sys
import numpy as np
from ase import Atoms
from ase_l2h import Learn2Hop, LennardJones

restart, die_at = sys.argv[1], int(sys.argv[2])
atoms = Atoms("Ar13", 1.1 * np.argwhere(np.ones((3, 3, 2)))[:13])
atoms.calc = LennardJones()
search = Learn2Hop(
    atoms, horizon=400, n_starts=3, rng=5, restart=restart, logfile=None
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
    for die_at in (37, 80):
        killed = start("killed", die_at)
        assert killed.returncode == -signal.SIGKILL
    resumed = start("killed", -1)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == whole.stdout
    np.testing.assert_array_equal(
        np.load(tmp_path / "killed.npy"), np.load(tmp_path / "whole.npy")
    )
