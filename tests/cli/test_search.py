"""``ase-l2h search`` on targets whose minima are known."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FunctionType

import ase.io
import numpy as np
import pytest
from ase.calculators.lj import LennardJones as AseLennardJones

from ase_l2h.cli import report
from ase_l2h.cli import search as command
from ase_l2h.cli.main import cli
from ase_l2h.cli.target import resolve
from ase_l2h.errors import InputError, InputTypeError, RunError
from ase_l2h.search import driver
from ase_l2h.search.names import DEFAULT_METHOD, METHODS, PARTS

# Pentagonal bipyramid; Wales and Doye (1997).
LJ7 = -16.505384
NAME = {"__name__": "ase_l2h.somewhere", "__builtins__": __builtins__}
QUICK = ("--method", "learned", "--starts", 16, "--steps", 200, "--seed", 3)
FIRE = ("--method", "fire", "--starts", 4, "--steps", 5)


@pytest.fixture(scope="module")
def outcome(run, tmp_path_factory):
    """One search with every output: the JSON record and the folder of its files."""
    folder = tmp_path_factory.mktemp("search")
    files = ("-o", folder / "best.extxyz", "--minima", folder / "all.extxyz")
    result = run("search", "LJ7", *QUICK, *files, "--plot", folder / "p.png", "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout), folder


def test_the_record_finds_the_bipyramid_and_counts_it(outcome):
    found, _ = outcome
    energies = np.array(found["energies"])
    assert found["format"] == "ase_l2h-search-3"
    assert found["best_energy"] == pytest.approx(LJ7, abs=1e-6)
    assert found["reference_energy"] == LJ7
    assert found["start_hits"] == np.sum(energies < LJ7 + 1e-4) > 0
    assert (found["searches"], found["hits"]) == (1, 1)
    assert len(energies) == found["settings"]["starts"] == 16
    # The rest, a gradient for each vibration of each, tells that they are minima.
    checked = sum(minimum["checked"] for minimum in found["minima"])
    spent = found["charged_evaluations"] - sum(found["evaluations"])
    assert 0 < spent <= checked * (3 * 7 - 6 + 2)
    # Every step of every start is charged, and a relaxation on top.
    assert min(found["evaluations"]) > found["settings"]["steps"] == 200
    (only,) = found["search_list"]
    assert only["charged_evaluations"] == found["charged_evaluations"]
    assert only["energy"] == found["best_energy"]
    assert only["stopped"] == found["stopped"] == "done"
    assert found["minima"][0]["energy"] == found["best_energy"]
    assert all(minimum["relaxed"] for minimum in found["minima"])
    # Every start is an attempt, and nobody asked for some that agree.
    assert (found["met"], found["attempts"]) == (found["start_hits"], 16)
    assert found["settled"] is False
    mean = round(sum(found["evaluations"]) / 16)
    counted = f"met by {found['met']} of 16 independent attempts of {mean:,} evalua"
    assert found["how_sure"].startswith(counted)


def test_the_record_says_what_was_run(outcome):
    found, _ = outcome
    assert (found["target"], found["n_atoms"], found["potential"]) == ("LJ7", 7, "lj")
    assert (found["parameters"], found["energy_unit"]) == (None, "epsilon")
    assert (found["method"], found["seed"]) == ("learned", 3)
    assert set(map(len, found["weights_sha256"].split("+"))) == {64}
    assert found["weights"].count("+") == found["weights_sha256"].count("+")
    assert found["backend"] in ("native", "scan")
    assert found["wall_seconds"] >= found["search_seconds"] > 0
    assert found["wall_seconds_from"] == "command start"
    rate = found["charged_evaluations"] / found["search_seconds"]
    assert found["evaluations_per_second"] == pytest.approx(rate, rel=0.1)
    assert found["versions"]["ase-l2h"]


def test_the_written_structures_are_the_minima_of_ase(outcome):
    """Energy and forces by ASE's Lennard-Jones with a range beyond the cluster."""
    found, folder = outcome
    assert {p.name for p in folder.iterdir()} == {"best.extxyz", "all.extxyz", "p.png"}
    best = ase.io.read(folder / "best.extxyz")
    images = ase.io.read(folder / "all.extxyz", index=":")
    assert [a.info["count"] for a in images] == [m["count"] for m in found["minima"]]
    np.testing.assert_allclose(best.positions, images[0].positions, atol=1e-8)
    for atoms, minimum in zip(images, found["minima"], strict=True):
        assert atoms.get_potential_energy() == pytest.approx(minimum["energy"])
        atoms.calc = AseLennardJones(rc=1e6, ro=9e5)
        assert atoms.get_potential_energy() == pytest.approx(
            minimum["energy"], abs=1e-6
        )
        assert np.abs(atoms.get_forces()).max() < 1e-4


def test_the_picture_is_a_png_with_something_on_it(outcome):
    from matplotlib.image import imread

    pixels = imread(outcome[1] / "p.png")
    assert pixels.shape[1] > pixels.shape[0] > 300
    assert pixels[..., :3].std() > 0.05


def test_the_table_says_what_the_record_says(run, outcome):
    found, _ = outcome
    result = run("search", "LJ7", *QUICK)
    assert result.exit_code == 0
    assert result.stderr == ""
    hits = found["start_hits"]
    share = f"{hits} of 16, {100 * hits / 16:.1f} % (95 % interval "
    (sure,) = [line for line in result.stdout.splitlines() if "how sure" in line]
    assert sure.split("how sure")[1].strip() == found["how_sure"]
    for text in ("-16.505384 epsilon", "which the best equals", share, "seed 3"):
        assert text in result.stdout
    assert f"{found['charged_evaluations']:,} (" in result.stdout
    assert len(result.stdout.splitlines()) < 20


def test_the_seed_decides_everything(run, outcome):
    again = json.loads(run("search", "LJ7", *QUICK, "--json").stdout)
    for name in ("energies", "evaluations", "minima", "search_list"):
        assert again[name] == outcome[0][name]
    other = run("search", "LJ7", *QUICK[:-1], 4, "--json")
    assert json.loads(other.stdout)["energies"] != outcome[0]["energies"]


def test_the_default_method_keeps_to_its_evaluations(run):
    few = ("--evaluations", 1500, "--seed", 1, "--json")
    found = json.loads(run("search", "LJ7", *few).stdout)
    assert found["method"] == DEFAULT_METHOD
    assert found["best_energy"] == pytest.approx(LJ7, abs=1e-6)
    assert 1000 < found["charged_evaluations"] <= 1500
    assert found["stopped"] == "evaluations"
    assert "energies" not in found


def test_the_default_method_ends_when_the_lowest_minimum_is_settled(run):
    found = json.loads(run("search", "LJ5", "--seed", 1, "--json").stdout)
    assert (found["stopped"], found["settled"], found["met"]) == ("settled", True, 3)
    assert found["how_sure"].startswith("met by 3 of ")
    once = run("search", "LJ5", "--seed", 1, "--settled", 1)
    assert "the lowest minimum was met often enough" in once.stdout
    assert "met by 1 of 1 attempt of" in once.stdout
    few = ("--seed", 1, "--settled", 0, "--evaluations", 20_000, "--json")
    never = json.loads(run("search", "LJ5", *few).stdout)
    assert (never["stopped"], never["settled"]) == ("evaluations", False)
    assert never["how_sure"].startswith("met by")


def test_parts_that_are_left_out_are_in_the_record(run):
    few = ("--evaluations", 1000, "--without", " twists,fragments ", "--json")
    found = json.loads(run("search", "LJ7", *few).stdout)
    assert found["settings"]["without"] == ["fragments", "twists"]
    plain = ("--evaluations", 1000, "--without", "learned-starts,learned-hops")
    found = json.loads(run("search", "LJ7", *plain, "--json").stdout)
    assert found["settings"]["weights"] is None


def test_every_search_ends_at_its_own_first_encounter(run):
    """The first two of four are those of two: what runs beside them does not matter."""
    base = ("--method", "bh", "--width", 2, "--target-energy", LJ7, "--json")
    four = json.loads(run("search", "LJ7", *base, "--searches", 4).stdout)
    two = json.loads(run("search", "LJ7", *base, "--searches", 2).stdout)
    assert four["search_list"][:2] == two["search_list"]
    assert {one["stopped"] for one in four["search_list"]} == {"target"}
    assert four["target_hits"] == four["hits"] == 4
    charges = [one["charged_evaluations"] for one in four["search_list"]]
    assert sum(charges) == four["charged_evaluations"]
    assert len(set(charges)) > 1


def test_an_unreachable_target_is_searched_to_the_end(run):
    result = run("search", "LJ7", *FIRE, "--target-energy", "-inf", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (found["stopped"], found["target_hits"]) == ("done", 0)
    # JSON has no infinity.
    assert found["target_energy"] is None
    far = run("search", "LJ7", *FIRE, "--target-energy", -99)
    assert far.exit_code == 0
    assert "not reached" in far.stdout


def test_no_time_is_no_failure(run):
    few = ("--method", "gd", "--steps", 10_000_000, "--max-seconds", 1e-9)
    result = run("search", "LJ7", *few)
    assert result.exit_code == 0
    assert "time was up" in result.stdout


def test_nothing_found_is_said_and_nothing_written(run, tmp_path):
    few = ("--method", "gd", "--evaluations", 3, "--width", 8)
    result = run("search", "LJ7", *few, "--json")
    assert result.exit_code == 0
    assert "before a first structure was relaxed" in result.stderr
    found = json.loads(result.stdout)
    assert (found["best_energy"], found["minima"], found["hits"]) == (None, [], 0)
    out = tmp_path / "best.xyz"
    result = run("search", "LJ7", *few, "-o", out)
    assert result.exit_code == 1
    assert "nothing is written for -o" in result.stderr
    assert not out.exists()


def test_a_folder_goes_on_to_the_end_without_the_break(run, tmp_path):
    base = ("--method", "fire", "--steps", 50, "--width", 4, "--searches", 2, "--json")
    whole = json.loads(run("search", "LJ7", *base, "--evaluations", 3000).stdout)
    kept = (*base, "--folder", tmp_path / "kept")
    run("search", "LJ7", *kept, "--evaluations", 1200)
    found = json.loads(run("search", "LJ7", *kept, "--evaluations", 3000).stdout)
    for name in ("search_list", "minima", "charged_evaluations"):
        assert found[name] == whole[name]
    other = run("search", "LJ7", *kept, "--evaluations", 3000, "--seed", 9)
    assert other.exit_code == 2
    assert str(tmp_path / "kept") in other.stderr


def test_the_command_line_and_the_library_agree():
    assert command.DEFAULT_EVALUATIONS == driver.DEFAULT_EVALUATIONS
    assert command.DEFAULT_CALLS == driver.DEFAULT_CALLS
    (option,) = [p for p in cli.commands["search"].params if p.name == "method"]
    assert tuple(option.type.choices) == tuple(METHODS)


def test_help_is_grouped_and_lists_every_method_and_option(run):
    text = run("search", "--help").stdout
    for heading in (*command.GROUPS, "Methods"):
        assert f"\n{heading}:\n" in text
    for name in METHODS:
        assert f"\n  {name} " in text
    # Their lines are broken at hyphens, too.
    joined = re.sub(r"\s+", "", text)
    assert ",".join(PARTS) in joined
    parameters = {p.name for p in cli.commands["search"].params} - {"target"}
    grouped = [name for names in command.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(parameters - {"traceback"})
    assert len(text.splitlines()) < 100


def test_what_json_cannot_hold_is_null():
    """A search in which one start exploded, and one that saw nothing."""
    target = resolve("LJ7")
    result = driver.search_problem(
        target.problem, method="fire", starts=4, steps=5, seed=0
    )
    from ase_l2h.search.multistart import start_table

    starts = start_table(result)
    energies = starts.energies.copy()
    energies[1] = np.inf
    broken = dataclasses.replace(starts, energies=energies)
    searches = [
        dataclasses.replace(result.searches[0], energy=math.inf),
        result.searches[0],
    ]
    hollow = dataclasses.replace(result, searches=searches, minima=[])
    found = report.record(
        target,
        hollow,
        target_energy=math.inf,
        starts=broken,
        wall=(1.0, "command start"),
        versions={},
    )
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again["energies"][1] is None
    assert again["best_energy"] is again["search_list"][0]["energy"] is None
    assert "best energy" in report.table(found)


def test_files_that_cannot_be_written_at_the_end_go_elsewhere(
    run, tmp_path, monkeypatch
):
    """The folder of the output vanishes during the search."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    original = driver.search_problem

    def removing(*args, **kwargs):
        shutil.rmtree(folder)
        return original(*args, **kwargs)

    monkeypatch.setattr(driver, "search_problem", removing)
    kept = tmp_path / "all.extxyz"
    lost = folder / "best.extxyz"
    result = run("search", "LJ7", *FIRE, "--json", "-o", lost, "--minima", kept)
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    spare = Path(result.stderr.split(" it is in ")[1].split(" instead")[0])
    for path in (spare, kept):
        energy = ase.io.read(path, index=0).get_potential_energy()
        assert energy == pytest.approx(found["best_energy"])


def test_an_interrupt_before_the_search_leaves_nothing(run, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "search_problem", interrupted)
    result = run("search", "LJ7", "-o", tmp_path / "best.xyz")
    assert result.exit_code == 130
    assert result.stderr.startswith("Error: interrupted")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_inside_is_no_usage_error(run, monkeypatch):
    """A mistake in the program, not in the input: exit code 1."""

    def failing(*args, **kwargs):
        return np.zeros(2).reshape(3)

    # As if NumPy were called, and the mistake made, in this package.
    failing = FunctionType(failing.__code__, failing.__globals__ | NAME)
    monkeypatch.setattr(driver, "search_problem", failing)
    result = run("search", "LJ7")
    assert result.exit_code == 1
    assert "ValueError: cannot reshape" in result.stderr
    assert "Traceback" not in result.stderr
    assert "in failing" in run("search", "LJ7", "--traceback").stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("give another number"), 2, "Error: give another number"),
        (InputTypeError("give a number"), 2, "Error: give a number"),
        (RunError("the disk is full"), 1, "Error: the disk is full"),
        (TypeError("None + 1"), 1, "the run failed with TypeError: None + 1"),
        (ValueError("odd"), 1, "the run failed with ValueError: odd"),
    ],
)
def test_the_kind_of_an_error_decides_the_exit_code(
    run, monkeypatch, error, code, said
):
    def failing(*args, **kwargs):
        raise error

    monkeypatch.setattr(driver, "search_problem", failing)
    result = run("search", "LJ7")
    assert result.exit_code == code
    assert said in result.stderr


# The marker tells the parent that there is something to keep.
PROGRAM = """
import signal, sys
# Tests that run in the background may have SIGINT ignored, and hand that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
from ase_l2h.search.engine import KernelEngine
execute = KernelEngine.execute
def marked(self, requests):
    answers = execute(self, requests)
    if type(requests[0]).__name__ == "Advance":
        print("advanced", file=sys.stderr, flush=True)
    return answers
KernelEngine.execute = marked
from ase_l2h.cli.main import cli
cli()
"""


@pytest.mark.parametrize(
    "kind",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
    ids=lambda k: k.name,
)
def test_a_signal_keeps_what_was_found(tmp_path, kind):
    """A search that would take hours, in its first round; a process of its own."""
    out = tmp_path / "best.extxyz"
    arguments = ["LJ7", "--starts", "4", "--steps", "4000000", "--method", "fire"]
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "search", *arguments, "--json", "-o", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while "advanced" not in process.stderr.readline():
            assert process.poll() is None
        os.kill(process.pid, kind)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    found = json.loads(stdout)
    assert found["stopped"] == "interrupted"
    # Relaxed, not where they happened to be.
    best = ase.io.read(out)
    assert found["minima"][0]["relaxed"]
    assert best.get_potential_energy() == pytest.approx(found["best_energy"])
    best.calc = AseLennardJones(rc=1e6, ro=9e5)
    assert np.abs(best.get_forces()).max() < 1e-4
    assert f"Error: interrupted; what was found until then is in {out}" in stderr
    assert found["wall_seconds_from"] == "process start"
    assert found["search_seconds"] < found["wall_seconds"] < time.monotonic() - begun


def test_help_of_every_verb_loads_neither_jax_nor_ase():
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from ase_l2h.cli.main import cli\n"
        "for verb in cli.commands:\n"
        "    result = CliRunner().invoke(cli, [verb, '--help'])\n"
        "    assert result.exit_code == 0, verb\n"
        "    assert 'Usage' in result.stdout\n"
        "assert not {'jax', 'ase', 'numpy', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert {"search", "hull", "train", "info", "weights"} <= set(cli.commands)


@pytest.mark.parametrize("text", ["2e3", "2000"])
def test_numbers_are_whole_also_in_powers_of_ten(run, text):
    few = ("--method", "fire", "--json", "--evaluations")
    found = run("search", "LJ5", *few, text)
    assert found.exit_code == 0, found.stderr
    assert 1000 < json.loads(found.stdout)["charged_evaluations"] <= 2000
    assert "not a valid integer" in run("search", "LJ5", *few, "1.5").stderr


@pytest.mark.parametrize(
    ("best", "met", "said"),
    [
        (-44.0, 3, ", but a lower minimum is published: they were misled"),
        (-44.0, 0, ""),
        (-44.326801, 3, ""),
        (None, 0, ""),
    ],
)
def test_attempts_above_the_published_minimum_are_said_to_be_misled(best, met, said):
    found = {"best_energy": best, "reference_energy": -44.326801, "met": met}
    assert report._misled(found | {"hit_tolerance": 1e-4}) == said
    assert report._misled(found | {"reference_energy": None}) == ""
