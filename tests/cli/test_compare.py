"""``ase-l2h compare``: records first, tables and pictures from them."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import ase.io
import pytest

ARGUMENTS = (
    *("compare", "LJ5", "--methods", "adam@300,bh", "--runs", 6),
    *("--budget", "2e4", "--seed", 3),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def compared(run, folder):
    result = run(*ARGUMENTS, "--out", folder, "--quiet")
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.slow
def test_every_method_finds_five_atoms(compared, folder):
    with (folder / "results.csv").open() as stream:
        rows = {row["method"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {"adam@300", "bh"}
    for row in rows.values():
        assert (row["runs"], row["found"]) == ("6", "6")
        mean = float(row["mean_evaluations"])
        assert float(row["mean_evaluations_low"]) < mean
        assert mean < float(row["mean_evaluations_high"])
        # The cluster database: two tetrahedra that share a face.
        assert float(row["lowest_energy"]) == pytest.approx(-9.103852, abs=1e-6)
        assert row["backend"] in ("native", "scan", "cuda")
    # A run of Adam is charged for all its steps and the relaxation.
    assert float(rows["adam@300"]["mean_evaluations"]) > 300
    assert "| `bh` | 6/6 |" in compared.stdout
    assert "Seed 3, 6 runs" in (folder / "results.md").read_text()


def test_the_record_says_what_was_declared_and_run(compared, folder):
    lines = [json.loads(x) for x in (folder / "records.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["protocol", *["run"] * 12]
    assert (lines[0]["runs"], lines[0]["budget"], lines[0]["seed"]) == (6, 20_000, 3)
    for line in lines[1:]:
        assert line["settings"]["method"] in ("adam", "bh")
        assert line["versions"]["jax"]
        assert line["evaluations"] <= 20_000


def test_pictures_are_drawn(compared, folder):
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "curves.pdf").read_bytes().startswith(b"%PDF")


def test_a_second_run_reads_the_record_only(run, compared, folder):
    before = (folder / "records.jsonl").read_bytes()
    table = (folder / "results.csv").read_bytes()
    result = run(*ARGUMENTS, "--out", folder, "--json")
    assert result.exit_code == 0, result.output
    assert {row["method"] for row in json.loads(result.stdout)} == {"adam@300", "bh"}
    assert (folder / "records.jsonl").read_bytes() == before
    assert (folder / "results.csv").read_bytes() == table


def test_it_says_which_parameters_and_which_frame_are_taken(run, tmp_path, lj7):
    """As ``search`` does."""
    file = tmp_path / "two.xyz"
    ase.io.write(file, [lj7, lj7])
    budget = ("--methods", "fire@5", "--runs", 1, "--budget", 50)
    options = ("--out", tmp_path / "out", *budget)
    copper = run("compare", "Cu4", "--energy", "Cu4=-99", *options)
    assert copper.exit_code == 0, copper.output
    assert "Note: Gupta set CuAu" in copper.stderr
    frames = run(
        *("compare", file, "--potential", "lj", "--energy", f"{file}=-16.5", *options)
    )
    assert frames.exit_code == 0, frames.output
    assert "holds several structures, and the last" in frames.stderr
    quiet = run("compare", "Cu4", "--energy", "Cu4=-99", *options, "--quiet")
    assert "Note: " not in quiet.stderr


def test_a_structure_file_tells_which_atoms(run, tmp_path, lj7, monkeypatch):
    """Where they lie is nothing that a run begins with: it would have found them."""
    monkeypatch.chdir(tmp_path)
    ase.io.write("seven=argon.xyz", lj7)
    result = run(
        *("compare", "seven=argon.xyz", "--potential", "lj", "--methods", "bh"),
        *("--energy", "seven=argon.xyz=-16.505384", "--runs", 3, "--json"),
    )
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert (row["target"], row["found"]) == ("seven=argon.xyz", 3)
    assert row["lowest_energy"] == pytest.approx(-16.505384, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["LJ5", "--methods", "newton"], "no method named 'newton'"),
        (["LJ5", "--methods", "auto,bh@7"], "runs until its budget"),
        (["LJ5", "--methods", "auto~genetic"], "no part named 'genetic'"),
        (["LJ5", "--methods", "bh~swaps"], "only auto has parts that can be left out"),
        (["LJ5", "LJ5"], "LJ5 is given twice"),
        (["Au9"], "Au9 has no published minimum"),
        (["LJ5", "--energy", "LJ6=-12"], "'LJ6' is not one of the targets"),
        (["LJ5", "--energy", "LJ5=low"], "'low' is not a number"),
        (["LJ5", "--energy", "LJ5"], "write TARGET=ENERGY"),
        (["LJ5", "--budget", "1.5"], "is not a valid integer"),
        (["LJ5", "--runs", "0"], "0 runs are asked for"),
        (["LJ5", "--seeds", "0"], "0 runs are asked for"),
        (["LJ5", "--methods", ","], "nothing is compared"),
        (["LJ5", "--weights", "nowhere"], "nowhere"),
        (["LJ5", "--backend", "fast"], "no backend named 'fast'"),
        (["LJ5", "--device", "abacus"], "abacus"),
        (["LJ5", "--potential", "sw"], "leave --potential out"),
        (["nowhere.xyz"], "there is no structure file 'nowhere.xyz'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    refused, tmp_path, arguments, message
):
    out = tmp_path / "out"
    assert message in refused("compare", *arguments, "--out", out)
    assert not out.exists()


def test_a_file_without_a_known_minimum_asks_for_one(refused, tmp_path, lj7):
    """Seven atoms of gold; of argon the file would have one."""
    lj7.symbols[:] = "Au"
    ase.io.write(tmp_path / "a.xyz", lj7)
    said = refused("compare", tmp_path / "a.xyz", "--out", tmp_path / "out")
    assert "a.xyz=ENERGY" in said


def test_a_folder_that_cannot_be_is_refused(refused, tmp_path):
    (tmp_path / "file").touch()
    few = ("compare", "LJ5", "--methods", "bh", "--out")
    assert "choose another" in refused(*few, tmp_path / "file")
    assert "choose another" in refused(*few, tmp_path / "file" / "out")
    (tmp_path / "out" / "records.jsonl").mkdir(parents=True)
    assert "the record belongs there" in refused(*few, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.compiler
def test_runs_of_another_backend_are_kept_apart(run, tmp_path):
    """What was asked for without a backend is no answer to a question about one."""
    few = ("compare", "LJ5", "--methods", "fire@200,bh", "--runs", 2)
    asked = []
    for options in ((), ("--backend", "scan"), ("--backend", "scan")):
        result = run(*few, *options, "--out", tmp_path, "--quiet")
        assert result.exit_code == 0, result.output
        lines = (tmp_path / "records.jsonl").read_text().splitlines()
        runs = [x for x in map(json.loads, lines) if x["kind"] == "run"]
        asked.append([(x["method"], x["backend"]) for x in runs])
    assert sorted(asked[0]) == [("bh", "native")] * 2 + [("fire@200", "native")] * 2
    assert asked[1] == asked[2]
    added = asked[1][4:]
    assert sorted(added) == [("bh", "scan")] * 2 + [("fire@200", "scan")] * 2
    assert "| scan |" in result.stdout


# In one process: tests/comparison/test_running.py.
@pytest.mark.slow
def test_an_interrupted_comparison_keeps_what_is_done(tmp_path, compiled):
    """One signal, exit code 130, and the runs until then."""
    program = [sys.executable, "-c", "from ase_l2h.cli.main import cli; cli()"]
    never = ["--energy", "LJ13=-50", "--energy", "LJ7=-16.505384", "--methods", "bh"]
    words = ["compare", "LJ7", "LJ13", *never, "--runs", "4", "--budget", "1e9"]
    record = tmp_path / "out" / "records.jsonl"
    process = subprocess.Popen(
        [*program, *words, "--out", str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"ASE_L2H_CACHE": str(compiled)},
        text=True,
    )
    try:
        waited = time.monotonic()
        # A declaration and four runs of the first target; the second has no end.
        while not record.exists() or len(record.read_text().splitlines()) < 5:
            assert process.poll() is None
            assert time.monotonic() - waited < 200
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert "the same command continues in" in err
    assert "Traceback" not in err
    assert len(record.read_text().splitlines()) == 5
