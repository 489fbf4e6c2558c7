"""Comparisons: every run a search, every search charged, nothing run twice."""

from __future__ import annotations

import errno
import json
import shutil

import numpy as np
import pytest

import ase_l2h
from ase_l2h.comparison import running
from ase_l2h.comparison.outcome import read_comparison
from ase_l2h.comparison.record import RECORD, ComparisonRecord
from ase_l2h.comparison.running import compare
from ase_l2h.errors import InputError, RunError
from ase_l2h.search.driver import search_problem
from ase_l2h.search.limits import Limits
from ase_l2h.search.problem import Problem
from ase_l2h.search.registry import make_method

LJ7 = -16.505384
METHODS = ("auto", "learned@100", "bh", "fire@100")


def lines_of(folder):
    return [json.loads(line) for line in (folder / RECORD).read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def compared(folder):
    """Seven atoms, which every method finds."""
    return compare("LJ7", METHODS, runs=6, budget=20_000, seed=5, folder=folder)


def test_every_method_finds_the_bipyramid_and_says_what_it_cost(compared):
    assert compared.methods == METHODS
    for met in compared.encounters.values():
        assert met.found.all()
        assert met.found.size == 6
        assert met.lowest == pytest.approx(LJ7, abs=1e-6)
        assert np.all((met.evaluations > 5) & (met.evaluations < 20_000))
        assert met.seconds_per_evaluation > 0
    # A start is charged for its steps and for the relaxation after them.
    assert np.all(compared.encounters["LJ7", "learned@100"].evaluations > 100)


def test_a_run_is_the_search_of_its_seed(compared):
    """First encounters are where a search of one's own would have stopped."""
    problem = Problem.of("LJ7")
    result = search_problem(
        problem,
        method=make_method("bh", problem, width=1),
        limits=Limits(20_000, target_energy=LJ7),
        seed=5,
        searches=6,
        stop_together=False,
    )
    # Before the lowest of all was relaxed to the last digits.
    charged = [
        next(charged for charged, energy in trace.course if energy < LJ7 + 1e-4)
        for trace in result.searches
    ]
    assert compared.encounters["LJ7", "bh"].evaluations.tolist() == charged
    assert all(
        count <= trace.charged
        for count, trace in zip(charged, result.searches, strict=True)
    )


def test_no_charge_exceeds_the_budget_and_no_hit_is_beyond_it():
    """Budgets of less than a start, and of a few steps."""
    for budget in (30, 150, 400):
        found = compare("LJ7", METHODS, runs=5, budget=budget, seed=5)
        for met in found.encounters.values():
            assert np.all(met.evaluations <= budget)
            # What was cut off had no evaluations left to go on with.
            left = budget - met.evaluations[~met.found]
            assert np.all(left <= budget)
    assert not found.encounters["LJ7", "fire@100"].found.all()


def test_the_same_run_under_a_larger_budget_finds_the_same(compared):
    """Runs that met the target before are not changed by what might have come."""
    less = compare("LJ7", "bh", runs=6, budget=400, seed=5).encounters["LJ7", "bh"]
    whole = compared.encounters["LJ7", "bh"]
    assert less.found.any()
    np.testing.assert_array_equal(
        less.evaluations[less.found], whole.evaluations[less.found]
    )


def test_the_record_has_a_line_for_every_run(compared, folder):
    declared, *runs = lines_of(folder)
    assert declared["kind"] == "protocol"
    assert (declared["runs"], declared["budget"], declared["seed"]) == (6, 20_000, 5)
    assert len(runs) == 4 * 6
    for line in runs:
        assert line["kind"] == "run"
        assert line["found"] == (line["stopped"] == "target")
        assert line["tolerance"] == pytest.approx(1e-4)
        assert line["seconds"] >= 0 <= line["compile_seconds"]
        assert line["backend"] in ("native", "scan", "cuda")
        assert line["settings"]["method"] in ("auto", "learned", "bh", "fire")
        assert line["versions"]["jax"]
    assert {line["run"] for line in runs} == set(range(6))
    assert str(read_comparison(folder)) == str(compared)


def test_what_is_in_the_record_is_not_run_again(compared, folder, monkeypatch):
    before = (folder / RECORD).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(running, "SearchRun", None)
        again = compare("LJ7", METHODS, runs=6, budget=20_000, seed=5, folder=folder)
    assert (folder / RECORD).read_bytes() == before
    assert str(again) == str(compared)


def test_a_comparison_that_was_cut_short_ends_as_if_it_had_not_been(
    compared, folder, tmp_path
):
    """A killed process has left some runs and half a line."""
    lines = (folder / RECORD).read_text().splitlines(keepends=True)
    kept = [line for k, line in enumerate(lines) if k in (0, 3, 4, 12)]
    (tmp_path / RECORD).write_text("".join(kept) + '{"kind": "run", "tar')
    again = compare("LJ7", METHODS, runs=6, budget=20_000, seed=5, folder=tmp_path)
    for key, met in compared.encounters.items():
        np.testing.assert_array_equal(again.encounters[key].found, met.found)
        np.testing.assert_array_equal(
            again.encounters[key].evaluations, met.evaluations
        )


@pytest.mark.slow
def test_runs_methods_and_budgets_can_be_added(compared, folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    count = len(lines_of(tmp_path))
    more = compare("LJ7", "bh", runs=8, budget=20_000, seed=5, folder=tmp_path)
    # Two runs and what was declared.
    assert len(lines_of(tmp_path)) == count + 3
    met = more.encounters["LJ7", "bh"]
    np.testing.assert_array_equal(
        met.evaluations[:6], compared.encounters["LJ7", "bh"].evaluations
    )
    # Another budget is another run.
    compare("LJ7", "bh", runs=2, budget=500, seed=5, folder=tmp_path)
    assert len(lines_of(tmp_path)) == count + 3 + 3


def test_an_interrupt_keeps_the_runs_that_are_done(compared, tmp_path):
    done: list[int] = []

    def note(count, total, what):
        done.append(count)

    arguments = {"runs": 6, "budget": 20_000, "seed": 5, "folder": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        compare(
            "LJ7",
            ("bh", "learned@100"),
            on_progress=note,
            interrupted=lambda: bool(done) and done[-1] >= 7,
            **arguments,
        )
    kept = len(lines_of(tmp_path)) - 1
    assert 7 <= kept < 12
    again = compare("LJ7", ("bh", "learned@100"), **arguments)
    assert len(lines_of(tmp_path)) == 13
    for name in ("bh", "learned@100"):
        np.testing.assert_array_equal(
            again.encounters["LJ7", name].evaluations,
            compared.encounters["LJ7", name].evaluations,
        )


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, monkeypatch):
    append = ComparisonRecord._append
    written = []

    def failing(self, line):
        if len(written) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(line)
        append(self, line)

    arguments = {"runs": 6, "budget": 20_000, "seed": 5, "folder": tmp_path}
    with monkeypatch.context() as patch:
        patch.setattr(ComparisonRecord, "_append", failing)
        with pytest.raises(
            RunError, match=r"No space left on device\); free some space"
        ):
            compare("LJ7", "bh", **arguments)
    assert len(lines_of(tmp_path)) == 4
    compare("LJ7", "bh", **arguments)
    assert len(lines_of(tmp_path)) == 7


def test_a_folder_that_is_deleted_meanwhile_is_one_sentence(tmp_path):
    folder = tmp_path / "folder"

    def delete(done, total, what):
        if done == 2:
            shutil.rmtree(folder, ignore_errors=True)

    with pytest.raises(RunError, match="removed meanwhile"):
        compare(
            ["LJ5", "LJ7"],
            "bh",
            runs=2,
            budget=20_000,
            folder=folder,
            on_progress=delete,
        )
    assert not folder.exists()


def test_a_folder_where_the_record_should_be_is_refused(tmp_path):
    (tmp_path / RECORD).mkdir()
    with pytest.raises(InputError, match="is not a file, and the record belongs there"):
        compare("LJ7", "bh", folder=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file; choose another folder"):
        compare("LJ7", "bh", folder=tmp_path / "file")
    with pytest.raises(InputError, match=r"(is a file|cannot).*choose another"):
        compare("LJ7", "bh", folder=tmp_path / "file" / "folder")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / RECORD).write_text("nonsense\n")
    with pytest.raises(InputError, match="is damaged"):
        compare("LJ7", "bh", folder=tmp_path / "damaged")


@pytest.mark.slow
def test_seconds_of_runs_side_by_side_add_up_to_the_time_of_all(tmp_path):
    found = compare("LJ13", "fire@200", runs=8, budget=3000, seed=2, folder=tmp_path)
    met = found.encounters["LJ13", "fire@200"]
    runs = lines_of(tmp_path)[1:]
    total = sum(line["seconds"] for line in runs)
    assert total == pytest.approx(
        met.seconds_per_evaluation * met.evaluations.sum(), rel=1e-6
    )
    # Shares follow charges within a round, and these have a single long one each.
    assert all(line["seconds"] > 0 for line in runs)


def test_the_package_compares():
    assert ase_l2h.compare is compare
