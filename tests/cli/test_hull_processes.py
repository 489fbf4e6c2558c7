"""``ase-l2h hull`` on several processes, and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from hull_processes import (
    assert_same_folder,
    contents,
    finish,
    free_address,
    kept,
    start,
)

PLAIN = ("--without", "learned-starts,learned-hops")
TWO = ("hull", "AgAu", "--n", 5, *PLAIN, "--seed", 4, "--quiet")
THIRTEEN = ("hull", "AgAu", "--n", 13, "--budget", 12_000, "--seed", 4, "--quiet")


def start_two(
    compiled: Path, folder: Path, *more: tuple, wait: bool = False
) -> list[subprocess.Popen]:
    """Two processes on this machine; ``more`` are the arguments of each."""
    address = free_address()
    return [
        start(
            compiled,
            *(*TWO, "--out", folder, *more[p]),
            *("--distributed", "--coordinator", f"{address},2,{p}"),
            wait=wait,
        )
        for p in range(2)
    ]


# Ten seconds; test_hull.py shares compositions among processes of one machine.
@pytest.mark.slow
def test_two_processes_find_what_one_finds(run, tmp_path, compiled):
    """One folder, one table; each process has relaxed about half."""
    budget = ("--budget", 3000)
    two, one = tmp_path / "two", tmp_path / "one"
    processes = start_two(compiled, two, (*budget, "--json"), (*budget, "--json"))
    (code, printed, errors), (other, silence, more) = map(finish, processes)
    assert (code, other) == (0, 0), errors[-3000:] + more[-3000:]
    # Neither JAX's transport nor the second process speaks on standard output.
    assert silence == ""
    found = json.loads(printed)
    assert json.loads((two / "hull.json").read_text()) == found
    result = run(*TWO, *budget, "--out", one, "--json")
    assert result.exit_code == 0, result.stderr
    alone = json.loads(result.stdout)
    assert found["rounds"] == alone["rounds"] > 1
    energies = [[row["energy_eV"] for row in f["rows"]] for f in (found, alone)]
    np.testing.assert_allclose(*energies, rtol=0, atol=1e-6)
    charged = "charged_evaluations_by_n_A"
    assert found[charged] == alone[charged]
    assert_same_folder(two, one)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", [[0], [1], [0, 1]])
def test_ctrl_c_at_one_process_ends_both(run, tmp_path, compiled, which):
    """And one process alone goes on to the same end."""
    budget = ("--budget", 3000)
    folder = tmp_path / "hull"
    processes = start_two(compiled, folder, budget, budget)
    kept(processes[which[0]])
    for p in which:
        processes[p].send_signal(signal.SIGINT)
    outcomes = [finish(process) for process in processes]
    for code, _, errors in outcomes:
        assert code == 130, errors[-3000:]
        assert f"interrupted; the same command continues in {folder}" in errors
    assert "ended: interrupted" in outcomes[0][1]
    assert outcomes[1][1] == ""
    for place in (folder, tmp_path / "one"):
        assert run(*TWO, *budget, "--out", place).exit_code == 0
    assert_same_folder(folder, tmp_path / "one")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_processes_that_are_asked_for_different_things_refuse(tmp_path, compiled):
    folder = tmp_path / "hull"
    processes = start_two(compiled, folder, (), ("--budget", 300))
    for code, stdout, errors in map(finish, processes):
        assert (code, stdout) == (2, ""), errors[-3000:]
        assert "Error: the processes were started with different arguments" in errors
    assert not folder.exists()
    folder.write_text("mine")
    for code, stdout, errors in map(finish, start_two(compiled, folder, (), ())):
        assert (code, stdout) == (2, ""), errors[-3000:]
        assert f"Error: {folder} is a file" in errors


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_process_ends_the_other(tmp_path, compiled, lost):
    """Killed: the other one does not wait forever."""
    budget = ("--budget", 3_000_000)
    processes = start_two(compiled, tmp_path / "hull", budget, budget)
    kept(processes[lost])
    processes[lost].kill()
    begun = time.monotonic()
    code, _, _ = finish(processes[1 - lost])
    assert code != 0
    assert time.monotonic() - begun < 120
    assert finish(processes[lost])[0] == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_at_random_moments_change_nothing(tmp_path, compiled):
    """Wherever SIGKILL falls: in imports, compilation, rounds, files, pictures."""
    rng = np.random.default_rng(99)
    whole = tmp_path / "whole"
    # The first run compiles; the second says how long one takes.
    assert finish(start(compiled, *THIRTEEN, "--out", tmp_path / "first"))[0] == 0
    begun = time.monotonic()
    process = start(compiled, *THIRTEEN, "--out", whole)
    kept(process, "go")
    imported = time.monotonic() - begun
    assert finish(process)[0] == 0
    duration = time.monotonic() - begun - imported
    assert_same_folder(tmp_path / "first", whole)
    folder, kills, seen = tmp_path / "killed-0", 0, set()
    for attempt in range(200):
        process = start(compiled, *THIRTEEN, "--out", folder)
        if rng.uniform() < 0.9:
            kept(process, "go")
        deadline = time.monotonic() + rng.uniform(0, 0.6 * duration)
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        code, _, errors = finish(process)
        assert code in (0, -signal.SIGKILL), errors[-3000:]
        if code == 0:
            assert_same_folder(folder, whole)
            folder = tmp_path / f"killed-{attempt + 1}"
            continue
        kills += 1
        seen.add(len(contents(folder)) if folder.exists() else 0)
        if kills == 20:
            break
    assert kills == 20
    # Killed at different stages, not always in the imports.
    assert len(seen) > 1
    assert finish(start(compiled, *THIRTEEN, "--out", folder))[0] == 0
    assert_same_folder(folder, whole)
