"""Algorithm 1: it finds minima that can be found, resumes to the bit, survives NaN."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.landscapes.minimise import ActionSettings, minimise

SETTINGS = ActionSettings(
    budget=30_000,
    batch=64,
    paths=16,
    path_steps=16,
    looks=20,
    learning_rate=2e-2,
    layers=1,
    width=8,
    seed=3,
)


@pytree_dataclass
class Bowl:
    """``|x - m|^2`` with holes: no value on one side of a plane."""

    centre: Any
    hole: Any = np.inf
    dimension: int = static_field(default=3)
    bound: float = static_field(default=10.0)

    def energy(self, points):
        column = jnp.asarray(self.centre).reshape((-1,) + (1,) * (points.ndim - 1))
        value = jnp.sum((points - column) ** 2, axis=0)
        return jnp.where(points[0] > self.hole, jnp.nan, value)


BOWL = Bowl(np.array([4.0, -6.0, 1.0], np.float32))


@pytest.fixture(scope="module")
def result():
    return minimise(BOWL, SETTINGS, quiet=True)


def test_the_minimum_of_a_bowl_is_found(result):
    np.testing.assert_allclose(result.point, BOWL.centre, atol=0.4)
    # The mean of the bowl over the box is 153.
    assert result.energy < 0.3
    assert result.energy == min(line["energy"] for line in result.records)
    np.testing.assert_allclose(
        result.energy, BOWL.energy(jnp.asarray(result.point)), rtol=1e-5
    )


def test_both_phases_keep_to_the_budget(result):
    """Every look at the learned minimum is charged too."""
    phases = [line["phase"] for line in result.records]
    assert phases == sorted(phases, reverse=True)
    warm = [line for line in result.records if line["phase"] == "samples"]
    assert 15_000 <= warm[-1]["charged_evaluations"] < 15_000 + 64 + 2
    spent = result.charged_evaluations
    assert 30_000 <= spent < 30_000 + 16 * 16 + 2
    assert spent == result.records[-1]["charged_evaluations"]


def test_the_learned_minimum_is_stationary(result):
    """In the network's units, in which f has unit spread over the box."""
    assert all(line["slope"] < 1e-5 for line in result.records)


@pytest.mark.slow
def test_a_stopped_run_ends_in_the_same_bits(result, tmp_path, monkeypatch):
    seen = 0

    def stop(point):
        nonlocal seen
        seen += 1
        if seen == 8:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        minimise(BOWL, SETTINGS, folder=tmp_path, measure=stop, quiet=True)
    lines = (tmp_path / "progress.jsonl").read_text().splitlines()
    assert len(lines) == 7
    found = minimise(BOWL, SETTINGS, folder=tmp_path, quiet=True)
    assert found.records == result.records
    assert found.point.tobytes() == result.point.tobytes()
    again = minimise(BOWL, SETTINGS, folder=tmp_path, quiet=True)
    assert again.records == result.records


RUN = """
import sys
from pathlib import Path
from ase_l2h.landscapes import minimise as module
from ase_l2h.landscapes.minimise import ActionSettings, minimise
from ase_l2h.potentials.analytic import SchafferF7
module.CHECKPOINT_SECONDS = 0.05
found = minimise(
    SchafferF7(5),
    ActionSettings(
        budget=1_000_000, batch=64, paths=16, path_steps=16, looks=400, layers=1,
        width=8, seed=3,
    ),
    folder=Path(sys.argv[1]),
    quiet=True,
)
print(found.point.tobytes().hex(), found.energy, len(found.records))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_moments_it_ends_in_the_same_bits(tmp_path, rng):
    """SIGKILL, each time some looks further on than the time before."""
    unkilled = ended(tmp_path / "whole").communicate()[0]
    folder = tmp_path / "killed"
    record = folder / "progress.jsonl"
    kills = 0
    for _ in range(20):
        run = ended(folder)
        before = lines_in(record)
        while run.poll() is None and lines_in(record) == before:
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.2)))
        kills += run.poll() is None
        run.kill()
        run.communicate()
    assert kills >= 10
    assert ended(folder).communicate()[0] == unkilled
    assert (folder / "progress.jsonl").read_bytes() == (
        tmp_path / "whole" / "progress.jsonl"
    ).read_bytes()


def ended(folder):
    """A process that runs, or continues, the minimisation in a folder."""
    command = [sys.executable, "-c", RUN, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def lines_in(path):
    return len(path.read_bytes().splitlines()) if path.exists() else 0


@pytest.mark.slow
def test_the_first_minimum_is_random_or_the_one_that_is_given(tmp_path):
    """One update moves it by about the learning rate, in units of the bound."""
    few = dataclasses.replace(SETTINGS, budget=66, looks=66, learning_rate=1e-6)
    firsts = [
        minimise(BOWL, dataclasses.replace(few, seed=k), quiet=True).minimum
        for k in range(4)
    ]
    assert np.min([np.ptp(first) for first in np.transpose(firsts)]) > 2
    given = np.array([1.0, -2.0, 3.0], np.float32)
    found = minimise(BOWL, few, first=given, folder=tmp_path, quiet=True)
    np.testing.assert_allclose(found.minimum, given, atol=1e-2)
    with pytest.raises(ValueError, match="another first point; use the same again"):
        minimise(BOWL, few, folder=tmp_path, quiet=True)


def test_a_run_of_something_else_is_not_continued(tmp_path):
    small = dataclasses.replace(SETTINGS, budget=200)
    minimise(BOWL, small, folder=tmp_path, quiet=True)
    with pytest.raises(
        ValueError, match=r"another seed; use the same again, or choose"
    ):
        minimise(BOWL, dataclasses.replace(small, seed=4), folder=tmp_path, quiet=True)
    moved = dataclasses.replace(BOWL, centre=-BOWL.centre)
    with pytest.raises(ValueError, match=r"another landscape; use the same again"):
        minimise(moved, small, folder=tmp_path, quiet=True)


def test_points_without_a_value_are_left_out():
    """A third of the box is NaN: the weights stay finite and the minimum is found."""
    bowl = dataclasses.replace(BOWL, hole=6.0)
    found = minimise(bowl, SETTINGS, quiet=True)
    np.testing.assert_allclose(found.point, BOWL.centre, atol=0.5)
    assert np.isfinite([line["loss"] for line in found.records]).all()


def test_a_function_without_any_value_spoils_nothing():
    nowhere = dataclasses.replace(BOWL, hole=-np.inf)
    found = minimise(nowhere, dataclasses.replace(SETTINGS, budget=2000), quiet=True)
    assert found.energy == np.inf
    assert np.all(np.abs(found.point) <= 10)


def test_measurements_join_the_records():
    small = dataclasses.replace(SETTINGS, budget=300)
    measure = lambda point: {"norm": float(np.linalg.norm(point))}
    found = minimise(BOWL, small, measure=measure, quiet=True)
    assert all(0 < line["norm"] < 20 for line in found.records)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mu": 3.0, "nu": 0.3}, "mu = 3.0 and nu = 0.3; give 0 < mu < nu"),
        ({"budget": 64}, "the budget is 64 evaluations; give more than one batch"),
        ({"warm": 1.5}, "warm is 1.5; give a share from 0 to 1"),
        ({"paths": 0}, "paths is 0; give at least 1"),
        ({"clip": -0.5}, "clip is -0.5; give a number above 0"),
        ({"seed": -1}, "the seed is -1; give a number from 0"),
        ({"power": 0.0}, "power is 0.0; give a number above 0"),
        ({"width": 0}, "width 0; give at least 1"),
    ],
)
def test_impossible_settings_are_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(SETTINGS, **changes)
