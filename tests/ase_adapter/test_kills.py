"""SIGKILL at any moment of a search, and of Learn2Hop, changes nothing in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
KILLS = 20

# Everything is kept after every round. The last line has all bits of the result.
BEGIN = """
import hashlib, sys
import numpy as np
from ase import Atoms
import ase_l2h
from ase_l2h import Learn2Hop, LennardJones, Limits
from ase_l2h.ase_adapter import records
from ase_l2h.search import method

records.SAVE_SECONDS = method.CHECKPOINT_SECONDS = 0.0
bits = lambda array: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
print("go", flush=True)
"""
SEARCH = """
few = Limits(evaluations=25_000, settled=0)
found = ase_l2h.search("LJ38", seed=3, searches=2, limits=few, folder=sys.argv[1])
print([(repr(m.energy), m.count, m.first, m.checked, bits(m.positions))
       for m in found.minima],
      [(s.charged, s.stopped, s.course) for s in found.searches], found.confidence)
"""
OPTIMIZER = """
block = 1.1 * np.argwhere(np.ones((4, 4, 3)))[:38]
atoms = Atoms("Ar38", block, calculator=LennardJones())
search = Learn2Hop(atoms, evaluations=50_000, settled=0, seed=3, restart=sys.argv[1],
                   logfile=None)
converged = search.run(fmax=0.001)
print(converged, bits(atoms.positions), search.nsteps, search.charged_evaluations,
      [(repr(energy), bits(m.positions)) for energy, m in search.minima],
      search.confidence)
"""


def start(script: str, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", BEGIN + script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begun(process: subprocess.Popen) -> float:
    """When the work of a program begins."""
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    return time.monotonic()


@pytest.mark.parametrize(
    "script", [SEARCH, OPTIMIZER], ids=["search", "Learn2Hop(restart=...)"]
)
def test_twenty_kills_at_random_moments_change_nothing(script, tmp_path):
    rng = np.random.default_rng(99)
    # The first compiles; the second says how long one takes.
    for name in ("first", "whole"):
        process = start(script, tmp_path / name)
        moment = begun(process)
        whole, errors = process.communicate()
        assert process.returncode == 0, errors
    duration = time.monotonic() - moment
    kills, lengths, folder = 0, set(), tmp_path / "killed-0"
    for attempt in range(200):
        process = start(script, folder)
        deadline = begun(process) + rng.uniform(0, 0.4 * duration)
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        if process.returncode == 0:
            assert output == whole
            folder = tmp_path / f"killed-{attempt + 1}"
            continue
        assert process.returncode == -signal.SIGKILL, errors
        kills += 1
        state = folder / "state.safetensors"
        lengths.add(state.stat().st_size if state.exists() else 0)
        if kills == KILLS:
            break
    assert kills == KILLS
    # At different stages.
    assert len(lengths) > 2
    process = start(script, folder)
    begun(process)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert output == whole


# A task of a campaign: every second search, each in a folder of its own.
CAMPAIGN = """
import time
from pathlib import Path
from ase.calculators.emt import EMT

class Slow(EMT):
    def calculate(self, *arguments, **keywords):
        time.sleep(0.02)
        super().calculate(*arguments, **keywords)

kept, task = Path(sys.argv[1]), int(sys.argv[2])
block = 2.55 * np.argwhere(np.ones((2, 2, 2)))[:5]
for number in range(task, SEARCHES, 2):
    kept.mkdir(exist_ok=True)
    folder = kept / str(number)
    found = ase_l2h.search(
        Atoms("Cu5", block, calculator=Slow()), seed=number, folder=folder,
        limits=Limits(evaluations=120, settled=0), cache=f"{folder}.extxyz",
        without=("learned-starts", "learned-hops", "hopping", "surrogate"))
    print(number, repr(found.best_energy), bits(found.best.positions),
          found.searches[0].charged, flush=True)
"""
SEARCHES = 8


def task(folder: Path, number: int) -> subprocess.Popen:
    script = BEGIN + CAMPAIGN.replace("SEARCHES", str(SEARCHES))
    return subprocess.Popen(
        [sys.executable, "-u", "-c", script, str(folder), str(number)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def frames(folder: Path) -> int:
    return sum(path.read_text().count("Lattice") for path in folder.glob("*.extxyz"))


def test_tasks_of_a_campaign_that_are_killed_at_random_lose_nothing(tmp_path):
    whole: list[str] = []
    for number in range(2):
        process = task(tmp_path / "whole", number)
        begun(process)
        told, errors = process.communicate()
        assert process.returncode == 0, errors
        whole += told.splitlines()
    assert len(whole) == SEARCHES
    rng, folder, kills = np.random.default_rng(7), tmp_path / "killed", 0
    ended: dict[int, list[str]] = {}
    for _ in range(60):
        pair = {k: task(folder, k) for k in range(2) if k not in ended}
        for process in pair.values():
            begun(process)
        # The first rounds compile; later ones are killed sooner after they begin.
        moments = {k: time.monotonic() + rng.uniform(1, 8) for k in pair}
        for k, process in pair.items():
            try:
                wait = max(0.0, moments[k] - time.monotonic()) if kills < 10 else 600
                told, errors = process.communicate(timeout=wait)
                assert process.returncode == 0, errors
                ended[k] = told.splitlines()
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
                kills += 1
        if len(ended) == 2:
            break
    assert kills >= 5
    assert sorted(ended[0] + ended[1]) == sorted(whole)
    # What a cache holds is not asked for again.
    assert frames(folder) == frames(tmp_path / "whole")
