"""``ase-l2h compare``: records first, tables and pictures from them."""

from __future__ import annotations

import csv
import json

import pytest

ARGUMENTS = (
    *("compare", "LJ5", "--methods", "adam@300,bh", "--seeds", 6),
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


def test_every_method_finds_five_atoms(compared, folder):
    with (folder / "results.csv").open() as stream:
        rows = {row["method"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {"adam@300", "bh"}
    for row in rows.values():
        assert (row["runs"], row["found"]) == ("6", "6")
        mean = float(row["mean_evaluations"])
        # Where every start hits, the mean is what a start costs at least.
        assert float(row["mean_evaluations_low"]) <= mean
        assert mean < float(row["mean_evaluations_high"])
        # The cluster database: two tetrahedra that share a face.
        assert float(row["lowest_energy"]) == pytest.approx(-9.103852, abs=1e-6)
    # A run of Adam is charged for all its steps and the quench.
    assert float(rows["adam@300"]["mean_evaluations"]) > 300
    assert "| `bh` | 6/6 |" in compared.stdout
    assert "Seed 3, 6 runs" in (folder / "results.md").read_text()


def test_the_record_says_what_was_declared_and_run(compared, folder):
    lines = [json.loads(x) for x in (folder / "records.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["protocol", "starts", "chains"]
    assert (lines[0]["runs"], lines[0]["budget"], lines[0]["seed"]) == (6, 20_000, 3)
    for line in lines[1:]:
        assert line["tolerance"] == pytest.approx(1e-4)
        assert 0 <= line["compile_seconds"] <= line["wall_seconds"]
        assert line["versions"]["jax"]
        assert line["settings"].startswith(("RuleOptimizer(", "BasinHopping("))
        assert len(line["found"]) == len(line["evaluations"]) == len(line["energies"])


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["LJ5", "--methods", "newton"], "no method named 'newton'"),
        (["LJ5", "LJ5"], "LJ5 is given twice"),
        (["Au9"], "Au9 has no published minimum"),
        (["LJ5", "--energy", "LJ6=-12"], "'LJ6' is none of the targets"),
        (["LJ5", "--energy", "LJ5=low"], "'low' is no number"),
        (["LJ5", "--budget", "1.5"], "is not a whole number"),
        (["LJ5", "--seeds", "0"], "0 runs are asked for"),
        (["LJ5", "--methods", ","], "nothing is compared"),
        (["LJ5", "--weights", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    refused, tmp_path, arguments, message
):
    out = tmp_path / "out"
    assert message in refused("compare", *arguments, "--out", out)
    assert not out.exists()


def test_a_folder_that_cannot_be_is_refused(refused, tmp_path):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    assert "choose another" in refused("compare", "LJ5", "--out", out)


@pytest.mark.compiler
def test_starts_of_another_backend_are_kept_apart(run, tmp_path):
    """What scan has run is no answer to a question about machine code."""
    few = ("compare", "LJ5", "--methods", "fire@200,gd@200", "--seeds", 2)
    asked = []
    for options in ((), ("--backend", "native"), ("--backend", "native")):
        result = run(*few, *options, "--out", tmp_path, "--quiet")
        assert result.exit_code == 0, result.output
        lines = (tmp_path / "records.jsonl").read_text().splitlines()
        starts = [x for x in map(json.loads, lines) if x["kind"] == "starts"]
        asked.append([(x["method"], x["backend"]) for x in starts])
    assert asked[0] == [("fire", "scan"), ("gd", "scan")]
    # Gradient descent has no other code than scan; what is there is not run again.
    assert asked[1] == asked[2] == [*asked[0], ("fire", "native")]
    assert "The backend `native` ran" in (tmp_path / "results.md").read_text()


def test_a_backend_that_is_none_is_refused(run, tmp_path):
    result = run("compare", "LJ5", "--backend", "fast", "--out", tmp_path)
    assert result.exit_code == 2
    assert "no backend named 'fast'" in result.stderr
