"""``ase-l2h search`` on targets whose minima are known."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FunctionType

import ase.io
import click
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.constraints import FixAtoms

import ase_l2h.search.multistart as searching
from ase_l2h.cli import report
from ase_l2h.cli.main import cli
from ase_l2h.cli.search import METHODS, search
from ase_l2h.cli.target import resolve
from ase_l2h.errors import InputError, InputTypeError, RunError
from ase_l2h.rollout.batch import Status

# Pentagonal bipyramid; Wales and Doye (1997).
LJ7 = -16.505384
NAME = {"__name__": "ase_l2h.somewhere", "__builtins__": __builtins__}
QUICK = ("--starts", 16, "--steps", 200, "--seed", 3)


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
    assert found["best_energy"] == pytest.approx(LJ7, abs=1e-6)
    assert found["reference_energy"] == LJ7
    assert found["hits"] == np.sum(energies < LJ7 + 1e-4) > 0
    assert len(energies) == found["n_starts"] == found["n_starts_run"] == 16
    assert found["charged_evaluations"] == sum(found["evaluations"])
    # Every step of every start is charged, and a quench on top.
    assert min(found["evaluations"]) > found["n_steps"] == 200
    assert sum(found["status_counts"].values()) == 16
    assert sum(m["count"] for m in found["minima"]) == 16
    assert found["seed"] == 3
    assert found["method"] == "learned"
    assert set(map(len, found["weights_sha256"].split("+"))) == {64}
    assert found["backend"] == "scan"
    assert found["stopped"] == "done"
    assert found["wall_seconds"] >= found["search_seconds"] > 0
    assert found["wall_seconds_from"] == "command start"
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
    hits = f"{found['hits']} of 16, {100 * found['hits'] / 16:.1f} % (95 % interval "
    for text in ("-16.505384 epsilon", "which the best equals", hits):
        assert text in result.stdout
    assert f"{found['charged_evaluations']} (" in result.stdout
    assert len(result.stdout.splitlines()) < 20


def test_the_seed_decides_everything(run, outcome):
    again = run("search", "LJ7", *QUICK, "--json")
    assert json.loads(again.stdout)["energies"] == outcome[0]["energies"]
    other = run("search", "LJ7", *QUICK[:-1], 4, "--json")
    assert json.loads(other.stdout)["energies"] != outcome[0]["energies"]
    turned = run("search", "LJ7", *QUICK, "--rotate", "--json")
    assert json.loads(turned.stdout)["energies"] != outcome[0]["energies"]


def test_a_target_energy_ends_the_search_and_is_counted(run):
    few = ("--starts", 300, "--steps", 20, "--method", "fire", "--json")
    result = run("search", "LJ7", *few, "--target-energy", -15.0)
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["stopped"] == "target"
    assert found["n_starts"] == 300 > found["n_starts_run"]
    reached = sum(e <= -15.0 for e in found["energies"])
    assert found["target_hits"] == reached > 0


def test_an_unreachable_target_is_searched_to_the_end(run):
    few = ("--starts", 4, "--steps", 5, "--method", "fire")
    result = run("search", "LJ7", *few, "--target-energy", "-inf", "--json")
    found = json.loads(result.stdout)
    assert (found["stopped"], found["target_hits"]) == ("done", 0)
    # JSON has no infinity.
    assert found["target_energy"] is None


def test_no_time_still_gives_relaxed_structures(run):
    few = ("--starts", 4, "--steps", 10_000_000, "--method", "gd", "--json")
    found = json.loads(run("search", "LJ7", *few, "--max-seconds", 1e-3).stdout)
    assert found["stopped"] == "time"
    assert max(found["energies"]) < 0
    # A fortieth of ten million steps, and the quenches.
    assert max(found["evaluations"]) < 260_000


def test_the_structure_of_a_file_is_the_first_start(run, tmp_path, lj7):
    """Relaxing from it in place: same minimum as ASE's, where the user has it."""
    from ase.optimize import BFGS

    ase.io.write(tmp_path / "lj7.xyz", lj7)
    out = tmp_path / "best.traj"
    few = ("--potential", "lj", "--method", "gd", "--steps", 1, "--starts", 1)
    result = run("search", tmp_path / "lj7.xyz", *few, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    best = ase.io.read(out)
    np.testing.assert_allclose(best.positions.mean(0), lj7.positions.mean(0), atol=1e-5)
    assert np.abs(best.positions - lj7.positions).max() < 0.5
    assert found["reference_energy"] == LJ7
    lj7.calc = AseLennardJones(rc=1e6, ro=9e5)
    BFGS(lj7, logfile=None).run(fmax=1e-6, steps=2000)
    assert found["energies"] == [pytest.approx(lj7.get_potential_energy(), abs=1e-6)]


def test_sigma_and_epsilon_scale_lengths_and_energies(run, tmp_path, lj7):
    lj7.positions *= 3.4
    ase.io.write(tmp_path / "ar7.xyz", lj7)
    few = ("--potential", "lj", "--method", "fire", "--starts", 4, "--steps", 50)
    units = ("--sigma", 3.4, "--epsilon", 0.0104)
    scaled = run("search", tmp_path / "ar7.xyz", *few, *units, "--json")
    found = json.loads(scaled.stdout)
    assert scaled.stderr == ""
    # The table is in units of epsilon, so no published energy is claimed here.
    assert found["reference_energy"] is None
    assert found["best_energy"] == pytest.approx(0.0104 * LJ7, rel=0.1)
    doubtful = run("search", tmp_path / "ar7.xyz", *few, "--json")
    assert doubtful.exit_code == 0
    assert "give --sigma" in doubtful.stderr


def test_fixed_atoms_stay_bit_for_bit(run, tmp_path):
    sites = 2.8 * np.argwhere(np.ones((2, 2, 2)))
    gold = Atoms("Au8", positions=sites + 0.1, constraint=FixAtoms([0, 5]))
    ase.io.write(tmp_path / "gold.traj", gold)
    out = tmp_path / "best.traj"
    few = ("--method", "fire", "--starts", 1, "--steps", 20)
    result = run("search", tmp_path / "gold.traj", *few, "-o", out)
    assert result.exit_code == 0, result.stderr
    best = ase.io.read(out)
    moved = np.any(best.positions != gold.positions, axis=1)
    assert moved.tolist() == [i not in (0, 5) for i in range(8)]


def test_the_cell_of_a_file_is_kept_or_dropped(tmp_path):
    path = str(tmp_path / "si.extxyz")
    ase.io.write(path, bulk("Si", cubic=True))
    kept = resolve(path, None, None, None, True, 1)
    assert kept.family == "sw"
    assert kept.template.pbc.all()
    np.testing.assert_allclose(kept.system.cell, 5.43 * np.eye(3))
    dropped = resolve(path, None, None, None, False, 1)
    assert dropped.system.cell is None
    assert not dropped.template.pbc.any()


@pytest.mark.slow
def test_a_crystal_relaxes_in_its_cell(run, tmp_path):
    """Diamond at 5.43 angstrom; Stillinger and Weber (1985): -2 epsilon per atom."""
    silicon = bulk("Si", cubic=True)
    silicon.rattle(0.1, seed=2)
    ase.io.write(tmp_path / "si.extxyz", silicon)
    out = tmp_path / "best.extxyz"
    few = ("--method", "fire", "--starts", 1, "--steps", 50)
    result = run("search", tmp_path / "si.extxyz", *few, "-o", out, "--json")
    assert ase.io.read(out).pbc.all()
    best = json.loads(result.stdout)["best_energy"]
    assert best / 8 == pytest.approx(-4.3365, abs=2e-4)


def test_formulas_choose_potential_and_set(run):
    """Nothing is searched: the resolved jobs are looked at."""
    alloy = resolve("Ag3Au4", None, None, None, True, 10)
    assert (alloy.family, alloy.parameters, alloy.unit) == ("gupta", "AgAu", "eV")
    assert alloy.template.get_chemical_symbols() == ["Ag"] * 3 + ["Au"] * 4
    assert resolve("Au4", None, None, None, True, 1).parameters == "Au55"
    assert resolve("Au4", "gupta:AgAu", None, None, True, 1).parameters == "AgAu"
    glass = resolve("KA20", "ka:truncated", None, None, True, 1)
    assert (glass.family, glass.parameters) == ("ka", "truncated")
    assert glass.unit == "epsilon"
    silicon = resolve("Si8", "sw:Si_jax_md", None, None, True, 1)
    assert (silicon.family, silicon.parameters) == ("sw", "Si_jax_md")
    assert silicon.template.cell.lengths() == pytest.approx([5.431] * 3)


def test_the_methods_offered_are_those_of_the_library():
    assert METHODS == searching.METHODS
    (option,) = [p for p in search.params if p.name == "method"]
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == (*METHODS, "hybrid")


def test_hybrid_is_one_search_of_two_hundred_thousand_evaluations(run):
    arguments = ("search", "LJ7", "--method", "hybrid", "--weights", "lj-icosahedral")
    result = run(*arguments, "--target-energy", -16.5, "--json", "--quiet")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["n_starts"], found["n_steps"]) == (1, 200_000)
    assert (found["method"], found["stopped"]) == ("hybrid", "target")
    assert found["best_energy"] == pytest.approx(-16.505384, abs=1e-6)
    assert found["hits"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rotate",), "--rotate turns given starts"),
        (("--backend", "native"), "hybrid runs on scan alone"),
        (("--starts", 0), "0 searches are asked for"),
    ],
)
def test_hybrid_refuses_what_it_does_not_do(run, options, message):
    result = run("search", "LJ7", "--method", "hybrid", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_what_json_cannot_hold_is_null(outcome):
    """A search in which one start exploded."""
    job = resolve("LJ7", None, None, None, True, 4)
    result = searching.search(
        job.potential, job.system, method="fire", n_starts=4, n_steps=5
    )
    energies = result.energies.copy()
    energies[1] = np.inf
    status = np.array([0, int(Status.NON_FINITE), int(Status.FRAGMENTED), 1])
    broken = dataclasses.replace(result, energies=energies, status=status, minima=[])
    found = report.record(job, broken, 4, math.inf, (1.0, "command start"), {})
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again["energies"][1] is None
    assert again["best_energy"] is None
    assert again["status"][1:3] == ["non_finite", "fragmented"]
    shown = report.table(found)
    assert "1 without a finite energy" in shown
    assert "1 in pieces" in shown


def test_a_search_without_any_minimum_fails(run, monkeypatch, tmp_path):
    def hopeless(*args, **kwargs):
        result = searching_search(*args, **kwargs)
        return dataclasses.replace(result, minima=[])

    searching_search = searching.search
    monkeypatch.setattr(searching, "search", hopeless)
    out = tmp_path / "best.xyz"
    few = ("--starts", 4, "--steps", 5, "--method", "fire")
    result = run("search", "LJ7", *few, "-o", out)
    assert result.exit_code == 1
    assert "none of 4 starts" in result.stderr
    assert not out.exists()


def test_files_that_cannot_be_written_at_the_end_go_elsewhere(
    run, tmp_path, monkeypatch
):
    """The folder of the output vanishes during the search."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def removing(*args, **kwargs):
        shutil.rmtree(folder)
        return searching_search(*args, **kwargs)

    searching_search = searching.search
    monkeypatch.setattr(searching, "search", removing)
    few = ("--starts", 4, "--steps", 5, "--method", "fire", "--json")
    kept = tmp_path / "all.extxyz"
    lost = folder / "best.extxyz"
    result = run("search", "LJ7", *few, "-o", lost, "--minima", kept)
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    spare = Path(result.stderr.split(" it is in ")[1].split(" instead")[0])
    for path in (spare, kept):
        energy = ase.io.read(path, index=0).get_potential_energy()
        assert energy == pytest.approx(found["best_energy"])


def test_an_interrupt_before_the_search_leaves_nothing(run, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "search", interrupted)
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
    monkeypatch.setattr(searching, "search", failing)
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

    monkeypatch.setattr(searching, "search", failing)
    result = run("search", "LJ7")
    assert result.exit_code == code
    assert said in result.stderr


# The marker tells the parent that there is something to keep.
PROGRAM = """
import signal, sys
# Tests that run in the background may have SIGINT ignored, and hand that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
from ase_l2h.rollout.batch import Rollout
advance = Rollout.advance
def marked(self, n_steps):
    advance(self, n_steps)
    print("advanced", file=sys.stderr, flush=True)
Rollout.advance = marked
from ase_l2h.cli.main import cli
cli()
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM], ids=lambda k: k.name)
def test_a_signal_keeps_what_was_found(tmp_path, kind):
    """A search that would take hours; its own process, as from a shell."""
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
    assert len(found["energies"]) == 4
    # Relaxed, not where they happened to be.
    best = ase.io.read(out)
    assert best.get_potential_energy() == pytest.approx(found["best_energy"])
    best.calc = AseLennardJones(rc=1e6, ro=9e5)
    assert np.abs(best.get_forces()).max() < 1e-4
    assert "Error: interrupted; the results until then are kept" in stderr
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
