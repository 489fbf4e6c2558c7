"""``ase-l2h hull`` on the smallest of clusters."""

from __future__ import annotations

import csv
import errno
import json
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from hull_processes import assert_same_folder, contents, interrupt_after_a_round
from matplotlib.figure import Figure
from quick_recruits import QuickRecruit

import ase_l2h.search.hull.search as searching
from ase_l2h.analysis.hull import Hull
from ase_l2h.analysis.motif import MOTIFS
from ase_l2h.ase_adapter import calculators
from ase_l2h.cli import hull as module
from ase_l2h.cli.hull import read_compositions
from ase_l2h.report.hull_figure import hull_figure
from ase_l2h.search.hull import team
from ase_l2h.search.hull.system import POTENTIALS

COLUMNS = (
    "n_A,n_B,energy_eV,excess_eV,excess_per_atom_eV,on_hull,second_difference_eV,"
    "unlike_bonds,motif,point_group,steady"
)
FILES = {
    *("hull.csv", "hull.json", "hull.png", "hull.pdf", "report.md"),
    *("structures.extxyz", "run.json", "state.safetensors", "progress.jsonl"),
}
# Without a learned optimizer.
PLAIN = ("--without", "learned-starts, learned-hops")
ONE_ROUND = ("--n", 5, *PLAIN, "--budget", 3000, "--seed", 4)
SMALL = ("--n", 5, *PLAIN, "--budget", 9000, "--seed", 4)
PICTURE = "ase_l2h.report.hull_figure.hull_figure"


@pytest.fixture(scope="module", autouse=True)
def sketched() -> Iterator[None]:
    """The excess energies alone: the whole picture takes as long as the search."""

    def sketch(hull: Hull, *_: object, **__: object) -> Figure:
        figure = Figure(figsize=(1, 1))
        figure.add_subplot().plot(hull.excess)
        return figure

    with pytest.MonkeyPatch.context() as context:
        context.setattr(PICTURE, sketch)
        yield


@pytest.fixture(scope="module")
def outcome(run, tmp_path_factory, sketched):
    """All compositions of five atoms: the printed record and the folder."""
    folder = tmp_path_factory.mktemp("hull") / "AgAu5"
    result = run("hull", "AgAu", *SMALL, "--out", folder, "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout), folder


@pytest.fixture
def copy(outcome, tmp_path) -> Path:
    """The folder again, to be changed."""
    return Path(shutil.copytree(outcome[1], tmp_path / "copy"))


def table_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "hull.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_folder_holds_the_files_promised(run, copy, monkeypatch):
    monkeypatch.setattr(PICTURE, hull_figure)
    for path in copy.glob("hull.p*"):
        path.unlink()
    folder = copy
    assert run("hull", "AgAu", *SMALL, "--out", folder).exit_code == 0
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "hull.pdf").read_bytes().startswith(b"%PDF")
    from matplotlib.image import imread

    pixels = imread(folder / "hull.png")
    assert min(pixels.shape[:2]) > 1000
    assert pixels[..., :3].std() > 0.05


def test_the_columns_are_what_they_are_called(outcome):
    """Everything that follows from the energies, computed anew."""
    _, folder = outcome
    assert (folder / "hull.csv").read_text().splitlines()[0] == COLUMNS
    rows = table_of(folder)
    assert [int(row["n_A"]) for row in rows] == list(range(6))
    assert [int(row["n_B"]) for row in rows] == list(range(5, -1, -1))
    energy = np.array([float(row["energy_eV"]) for row in rows])
    # Silver is bound more weakly than gold, so A is silver.
    assert energy[5] > energy[0] + 4
    m = np.arange(6)
    excess = energy - m / 5 * energy[5] - (1 - m / 5) * energy[0]
    found = np.array([float(row["excess_eV"]) for row in rows])
    np.testing.assert_allclose(found, excess, atol=3e-8)
    each = np.array([float(row["excess_per_atom_eV"]) for row in rows])
    np.testing.assert_allclose(each, excess / 5, atol=2e-8)
    assert rows[0]["excess_eV"] == rows[5]["excess_eV"] == "0.00000000"
    second = [row["second_difference_eV"] for row in rows]
    assert second[0] == second[5] == ""
    wanted = energy[2:] + energy[:-2] - 2 * energy[1:-1]
    np.testing.assert_allclose(np.array(second[1:-1], float), wanted, atol=4e-8)
    # A vertex lies below every line between two others around it.
    for k in range(6):
        lines = [
            excess[i] + (excess[j] - excess[i]) * (k - i) / (j - i)
            for i in range(k)
            for j in range(k + 1, 6)
        ]
        assert rows[k]["on_hull"] == (
            "true" if excess[k] < min(lines, default=1) else "false"
        )
    bonds = [int(row["unlike_bonds"]) for row in rows]
    assert bonds[0] == bonds[5] == 0 < min(bonds[1:5])
    assert {row["motif"] for row in rows} <= set(MOTIFS)
    # Trigonal bipyramids.
    assert rows[0]["point_group"] == rows[5]["point_group"] == "D3h"


def test_the_record_holds_what_reproduces_it(outcome):
    found, folder = outcome
    assert json.loads((folder / "hull.json").read_text()) == found
    assert set(found) == {
        *("format", "system", "elements", "n_atoms", "energy_unit", "parameters"),
        *("settings", "ended", "rounds", "charged_evaluations", "wall_seconds"),
        *("charged_evaluations_by_n_A", "rows", "versions"),
    }
    assert found["format"] == "ase_l2h-hull-1"
    assert (found["system"], found["elements"]) == ("AgAu", ["Ag", "Au"])
    assert (found["n_atoms"], found["energy_unit"]) == (5, "eV")
    settings = found["settings"]
    assert (settings["seed"], settings["budget"]) == (4, 9000)
    assert settings["without"] == ["learned-hops", "learned-starts"]
    assert settings["weights"] is settings["weights_sha256"] is None
    assert set(found["versions"]) == {"ase-l2h", "ase", "jax", "numpy", "spglib"}
    assert found["ended"] in ("budget", "settled")
    by_composition = found["charged_evaluations_by_n_A"]
    assert set(by_composition) == {str(m) for m in range(6)}
    assert sum(by_composition.values()) == found["charged_evaluations"]
    for row, cells in zip(found["rows"], table_of(folder), strict=True):
        assert list(row) == COLUMNS.split(",") == list(cells)
        assert float(cells["energy_eV"]) == pytest.approx(row["energy_eV"], abs=1e-8)
        assert (row["second_difference_eV"] is None) == (row["n_A"] in (0, 5))
        # What fell last in the end is not steady, and what never fell again is.
        assert 0 <= row["steady"] < 1
    assert max(row["steady"] for row in found["rows"]) > 0.5
    report = (folder / "report.md").read_text()
    assert report.count("| vertex |") == sum(row["on_hull"] for row in found["rows"])
    assert "upper bounds" in report


def test_the_structures_are_minima_of_their_energies(outcome):
    found, folder = outcome
    images: Any = ase.io.read(folder / "structures.extxyz", index=":")
    for atoms, row in zip(images, found["rows"], strict=True):
        assert atoms.get_potential_energy() == pytest.approx(row["energy_eV"], abs=1e-8)
        assert atoms.info["motif"] == row["motif"]
        assert atoms.info["n_A"] == row["n_A"]
        symbols = atoms.get_chemical_symbols()
        assert symbols == ["Ag"] * row["n_A"] + ["Au"] * row["n_B"]
        atoms.calc = calculators.Gupta("AgAu")
        assert atoms.get_potential_energy() == pytest.approx(row["energy_eV"], abs=1e-6)
        assert np.abs(atoms.get_forces()).max() < 1e-4


def test_the_same_command_again_changes_nothing(run, outcome):
    """A finished search is shown; not a byte of its folder differs."""
    found, folder = outcome
    before = contents(folder)
    result = run("hull", "AgAu", *SMALL, "--out", folder)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 8
    assert "6 compositions" in lines[0]
    for line, row in zip(lines[2:], found["rows"], strict=True):
        assert f"{row['energy_eV']:.6f}" in line
        assert ("*" in line) == row["on_hull"]
    assert contents(folder) == before


@pytest.mark.slow
def test_an_update_adds_to_the_budget_and_loses_nothing(run, outcome, copy):
    found, _ = outcome
    result = run("hull", "AgAu", *SMALL, "--out", copy, "--update", "--json")
    more = json.loads(result.stdout)
    assert more["settings"]["budget"] == 18000
    assert more["charged_evaluations"] > found["charged_evaluations"]
    for new, old in zip(more["rows"], found["rows"], strict=True):
        assert new["energy_eV"] <= old["energy_eV"] + 1e-9


# As of interrupts and of updates, which the tests around it have one by one.
@pytest.mark.slow
def test_an_interrupted_update_goes_on_without_the_option(run, copy, tmp_path):
    """Which would add the budget once more."""
    again = Path(shutil.copytree(copy, tmp_path / "again"))
    more = ("hull", "AgAu", *SMALL, "--update", "--out")
    assert run(*more, again).exit_code == 0

    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as context:
        # Called after every round.
        context.setattr("tqdm.tqdm.set_postfix_str", interrupted)
        result = run(*more, copy)
    assert result.exit_code == 130
    assert "the same command, without --update, continues" in result.stderr
    assert run("hull", "AgAu", *SMALL, "--out", copy).exit_code == 0
    assert_same_folder(copy, again)


def test_only_the_compositions_asked_for(run, outcome, tmp_path, monkeypatch):
    """One: no excess without pure clusters. The folder is named after the system."""
    monkeypatch.chdir(tmp_path)
    result = run("hull", "AuAg", *ONE_ROUND, "--compositions", " 3 ", "--json")
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)["rows"]
    assert row["excess_eV"] is row["second_difference_eV"] is None
    assert (row["n_A"], row["n_B"], row["on_hull"]) == (3, 2, True)
    # Three gold and two silver atoms, whichever is named first.
    assert row["energy_eV"] == pytest.approx(outcome[0]["rows"][2]["energy_eV"])
    (cells,) = table_of(tmp_path / "AuAg5")
    assert cells["excess_eV"] == cells["second_difference_eV"] == ""
    shown = run("hull", "AuAg", *ONE_ROUND, "--compositions", "3").stdout
    assert " - " in shown.splitlines()[2]


def test_the_two_pure_clusters_alone(run, tmp_path):
    few = ("--compositions", "5,0", "--out", tmp_path / "ends")
    result = run("hull", "AgAu", *ONE_ROUND, *few)
    assert result.exit_code == 0, result.stderr
    rows = table_of(tmp_path / "ends")
    assert [row["n_A"] for row in rows] == ["0", "5"]
    assert [row["excess_eV"] for row in rows] == ["0.00000000"] * 2
    assert [row["on_hull"] for row in rows] == ["true"] * 2


# The arithmetic: tests/analysis/test_hull.py.
@pytest.mark.slow
def test_equal_elements_have_no_excess(run, tmp_path):
    """Argon twice: each composition is a Lennard-Jones cluster of five atoms."""
    path = tmp_path / "pairs.toml"
    path.write_text('"Ar-Ar" = [1, 1]\n"Ar-Kr" = [1, 1]\n"Kr-Kr" = [1, 1]\n')
    own = ("--potential", "lj", "--parameters", path, "--out", tmp_path / "ArKr")
    own = (*own, "--compositions", "0,2,5")
    result = run("hull", "ArKr", *ONE_ROUND, *own, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["energy_unit"] == "epsilon"
    assert found["parameters"] == "pairs.toml"
    # Wales and Doye (1997).
    energies = [row["energy_eV"] for row in found["rows"]]
    assert energies == [pytest.approx(-9.103852, abs=1e-6)] * 3
    cells = table_of(tmp_path / "ArKr")
    assert {row["excess_eV"] for row in cells} == {"0.00000000"}
    # Of points on a line, only the ends are vertices.
    on_hull = [row["on_hull"] for row in found["rows"]]
    assert on_hull == [True, False, True]


@pytest.mark.parametrize("name", ["", *sorted(FILES)])
def test_results_never_replace_the_cache(refused, tmp_path, name):
    folder = tmp_path / "hull"
    if name:
        folder.mkdir()
    call = ("hull", "CuAu", "--n", 3, "--calculator", "emt", "--out", folder)
    said = refused(*call, "--cache", folder / name)
    assert "give the cache another name" in said
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_learned_optimizers_are_named_in_the_record(run, tmp_path):
    few = ("--n", 5, "--budget", 900, "--compositions", 2, "--weights", "universal")
    result = run("hull", "AgAu", *few, "--out", tmp_path / "hull", "--json")
    assert result.exit_code == 0, result.stderr
    settings = json.loads(result.stdout)["settings"]
    assert (settings["without"], settings["weights"]) == ([], "universal")
    assert len(settings["weights_sha256"]) == 64


def test_no_time_still_gives_what_was_found(run, tmp_path):
    few = ("--out", tmp_path / "hull", "--time", 1e-6, "--json")
    result = run("hull", "AgAu", *SMALL, *few)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["ended"] == "time"
    assert len(found["rows"]) >= 1


@pytest.mark.slow  # a minute: one evaluation of 1,000 atoms takes milliseconds
def test_a_limit_of_time_holds_for_a_thousand_atoms(run, tmp_path):
    """Only what is under way is finished, and the structure looked at."""
    begun = time.monotonic()
    large = ("--n", 1000, "--compositions", 500, "--time", 5, "--json")
    result = run("hull", "AgAu", *large, "--out", tmp_path / "hull")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["ended"] == "time"
    assert time.monotonic() - begun < 90


def test_ctrl_c_keeps_everything_and_the_same_command_goes_on(
    run, outcome, tmp_path, compiled
):
    """A process of its own, interrupted after its first round."""
    _, whole = outcome
    parts = tmp_path / "parts"
    arguments = ("hull", "AgAu", *SMALL, "--out", parts)
    code, stdout, stderr = interrupt_after_a_round(compiled, *arguments)
    assert code == 130, stderr
    assert "stopping: what was found is kept" in stderr
    assert f"Error: interrupted; the same command continues in {parts}" in stderr
    found = json.loads((parts / "hull.json").read_text())
    assert (found["ended"], len(found["rows"])) == ("interrupted", 6)
    assert "ended: interrupted" in stdout
    assert {path.name for path in parts.iterdir()} == FILES
    assert run(*arguments).exit_code == 0
    assert_same_folder(parts, whole)


# With rounds: test_ctrl_c_keeps_everything_and_the_same_command_goes_on.
@pytest.mark.slow
def test_an_interrupt_before_the_first_round_leaves_no_result(
    run, outcome, tmp_path, monkeypatch
):
    def interrupted(self, requests):
        raise KeyboardInterrupt

    arguments = ("hull", "AgAu", *SMALL, "--out", tmp_path / "hull")
    with monkeypatch.context() as context:
        context.setattr("ase_l2h.search.engine.KernelEngine.execute", interrupted)
        result = run(*arguments)
    assert result.exit_code == 130
    assert result.stderr == "Error: interrupted before the first round ended\n"
    assert {path.name for path in (tmp_path / "hull").iterdir()} == {"run.json"}
    assert run(*arguments).exit_code == 0
    assert_same_folder(tmp_path / "hull", outcome[1])


# In one process: tests/search/hull/test_search.py.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name"),
    [
        # As in `tests/search/hull/test_search.py`.
        pytest.param(
            *("_internal.checkpoint", "Checkpoint._append"), marks=pytest.mark.slow
        ),
        ("report.hull_report", "write_atomically"),
    ],
)
def test_a_full_disk_is_a_sentence_and_loses_nothing(
    run, outcome, tmp_path, monkeypatch, module, name
):
    """While a round is kept, and when the results are written."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    arguments = ("hull", "AgAu", *SMALL, "--out", tmp_path / "hull")
    with monkeypatch.context() as context:
        context.setattr(f"ase_l2h.{module}.{name}", full)
        result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "No space left on device" in line
    assert "free some space" in line
    assert run(*arguments).exit_code == 0
    assert_same_folder(tmp_path / "hull", outcome[1])


@pytest.mark.slow
def test_workers_share_the_compositions(run, outcome, tmp_path, monkeypatch):
    teams = []

    class Counted(team.Team):
        def __init__(self, count: int, *arguments: Any) -> None:
            super().__init__(count, *arguments)
            teams.append(count)

    monkeypatch.setattr(team, "Recruit", QuickRecruit)
    monkeypatch.setattr("ase_l2h.search.hull.rounds.Team", Counted)
    folder = tmp_path / "hull"
    result = run("hull", "AgAu", *SMALL, "--out", folder, "--workers", 2)
    assert result.exit_code == 0, result.stderr
    assert teams == [2]
    assert_same_folder(folder, outcome[1])


@pytest.mark.parametrize(
    ("system", "arguments", "said"),
    [
        ("Ag", (), "'Ag' is not a pair of elements"),
        ("AgAg", (), "not a pair of elements"),
        ("Ag/Au", (), "not a pair of elements"),
        ("AgXe", (), "no Gupta parameters for Ag-Xe; known pairs are AgAu"),
        ("ArKr", ("--potential", "lj"), "give them with --parameters FILE"),
        ("AgAu", ("--parameters", "PdPt"), "do not know Ag, Au"),
        ("AgAu", ("--parameters", "no.toml"), "neither a Gupta parameter set nor"),
        ("AgAu", ("--n", "2"), "the clusters have 2 atoms; a hull takes 3 to 2000"),
        ("AgAu", ("--n", "-7", "--compositions", "0"), "the clusters have -7 atoms"),
        ("AgAu", ("--n", "9" * 30), "a hull takes 3 to 2000"),
        ("AgAu", ("--n", "5.5"), "is not a valid integer"),
        ("AgAu", ("--without", "ga"), "no part named 'ga'; choose one of uniform"),
        (
            "AgAu",
            ("--weights", "universal"),
            "weights are given, and both learned parts are left out",
        ),
        (
            "AgAu",
            ("--without", "learned-hops", "--weights", "no"),
            "no weights named 'no'",
        ),
        ("AgAu", ("--budget", "0"), "budget is 0; give 1 to"),
        ("AgAu", ("--time", "0"), "the time is 0.0 s; give a time above 0"),
        ("AgAu", ("--time", "nan"), "give a time above 0"),
        ("AgAu", ("--seed", "-1"), "the seed is -1"),
        ("AgAu", ("--backend", "fast"), "no backend named 'fast'"),
        ("AgAu", ("--coordinator", "here:1,2,0"), "--coordinator needs --distributed"),
        ("AgAu", ("--distributed", "--coordinator", "here:1,2"), "give HOST:PORT"),
        ("AgAu", ("--distributed", "--coordinator", "h:1,2,2"), "INDEX from 0 to"),
    ],
)
def test_what_makes_no_sense_is_refused(refused, tmp_path, system, arguments, said):
    base = ("--n", 5, *PLAIN, "--out", tmp_path / "hull")
    assert said in refused("hull", system, *base, *arguments)
    assert not (tmp_path / "hull").exists()


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("2", [2]),
        ("0,5", [0, 5]),
        ("5, 0-2 ,1", [0, 1, 2, 5]),
        ("3-3", [3]),
        ("0 - 1", [0, 1]),
    ],
)
def test_compositions_are_numbers_and_ranges(text, counts):
    assert read_compositions(text, 5) == counts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "give numbers and ranges such as 0,5,10-20"),
        ("1,", "give numbers and ranges"),
        ("-1", "give numbers and ranges"),
        ("1-2-3", "give numbers and ranges"),
        ("1.5", "give numbers and ranges"),
        ("٣", "give numbers and ranges"),
        ("9" * 5000, "give numbers and ranges"),
        ("3-1", "write the smaller number first"),
        ("6", "does not lie between 0 and 5"),
        ("0-99999999", "does not lie between 0 and 5"),
    ],
)
def test_compositions_that_are_none(refused, tmp_path, text, said):
    arguments = ("--n", 5, "--out", tmp_path / "hull", f"--compositions={text}")
    assert said in refused("hull", "AgAu", *arguments)
    assert not (tmp_path / "hull").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--seed", 5), "was made with another seed"),
        (("--n", 6), "was made with another number of atoms; use"),
        (("--without", PLAIN[1] + ",neighbours"), "with other parts left out; use"),
        (("--compositions", 1), "was made with other compositions"),
        (("--parameters", "AgAu2"), "with other parameters"),
    ],
)
def test_a_folder_of_another_search_is_not_touched(
    refused, outcome, tmp_path, change, said
):
    _, folder = outcome
    path = tmp_path / "AgAu2"
    path.write_text(
        '"Ag-Au" = [10.5, 3.607, 2.8885, 1.4874, 0.1488]\n'
        '"Ag-Ag" = [10.85, 3.18, 2.8921, 1.1895, 0.1031]\n'
        '"Au-Au" = [10.139, 4.033, 2.885, 1.8153, 0.2096]\n'
    )
    change = [path if argument == "AgAu2" else argument for argument in change]
    before = contents(folder)
    assert said in refused("hull", "AgAu", *SMALL, "--out", folder, *change)
    assert contents(folder) == before


def test_folders_that_cannot_be_used(refused, outcome, copy, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    start = lambda folder: refused("hull", "AgAu", *SMALL, "--out", folder)
    assert "is not empty and holds no run" in start(tmp_path / "mine")
    assert "is a file" in start(tmp_path / "mine" / "notes.txt")
    assert "cannot write in the folder" in start(tmp_path / "mine" / "notes.txt" / "x")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    before = contents(copy)
    with monkeypatch.context() as context:
        context.setattr("ase_l2h._internal.checkpoint.write_atomically", denied)
        for folder in (copy, tmp_path / "new"):
            said = start(folder)
            assert f"cannot write in the folder {folder} (Permission denied)" in said
    assert contents(copy) == before


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("state.safetensors", lambda content: content[: len(content) // 2]),
        ("state.safetensors", lambda content: b""),
        ("run.json", lambda content: content[: len(content) // 2]),
        ("run.json", lambda content: b"[]"),
    ],
)
def test_half_written_files_are_no_search_to_continue(refused, copy, name, half):
    path = copy / name
    path.write_bytes(half(path.read_bytes()))
    before = contents(copy)
    said = refused("hull", "AgAu", *SMALL, "--out", copy)
    assert f"{name} is damaged" in said
    assert "choose another folder" in said
    assert contents(copy) == before


def test_what_a_crash_leaves_behind_is_cleared(run, outcome, copy):
    """Unfinished files, a torn line, and results that are older than the state."""
    for name in ("run.json", "hull.csv", "hull.png"):
        (copy / f"{name}.partial").write_bytes(b"half")
    (copy / "hull.pdf").unlink()
    (copy / "hull.json").write_text("{}")
    assert run("hull", "AgAu", *SMALL, "--out", copy).exit_code == 0
    assert_same_folder(copy, outcome[1])


def test_choices_and_defaults_are_those_of_the_library():
    assert module.POTENTIALS == POTENTIALS
    assert module.DEFAULT_BUDGET == searching.DEFAULT_BUDGET
    assert module.DEFAULT_CALLS == searching.DEFAULT_CALLS
    assert math.isfinite(module.DEFAULT_BUDGET)
