"""``--calculator`` of search, hull and compare, and ``--parameters`` of search."""

from __future__ import annotations

import csv
import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from own_calculators import Counting, Water

PLAIN = ("--without", "learned-starts,learned-hops,hopping")
FEW = (*PLAIN, "--evaluations", 250, "--seed", 3)
HERE = "own_calculators"


@pytest.mark.parametrize(
    ("name", "arguments", "scale"),
    [("emt", None, 1.0), (f"{HERE}:scaled", '{"scale": 2.0}', 2.0)],
)
def test_a_formula_is_searched_by_any_calculator(run, tmp_path, name, arguments, scale):
    best = tmp_path / "best.extxyz"
    given = () if arguments is None else ("--calculator-args", arguments)
    result = run(
        "search", "Cu5", "--calculator", name, *given, *FEW, "-o", best, "--json"
    )
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["potential"] == name
    assert found["calculator"] == {
        "name": name,
        "arguments": {} if arguments is None else json.loads(arguments),
    }
    assert found["backend"] == "calculator"
    assert 150 < found["charged_evaluations"] <= 250
    # The trigonal bipyramid.
    assert found["best_energy"] == pytest.approx(scale * 5.394595, abs=1e-4)
    atoms = ase.io.read(best)
    written = atoms.get_potential_energy()
    atoms.calc = EMT()
    assert written == pytest.approx(scale * atoms.get_potential_energy(), abs=1e-6)


def test_every_charge_is_a_call(run):
    """And one more on a lattice, which tells whether the calculator works."""
    Counting.calls = 0
    result = run("search", "Cu4", "--calculator", f"{HERE}:Counting", *FEW, "--json")
    charged = json.loads(result.stdout)["charged_evaluations"]
    # A structure that has just been computed is not computed again.
    assert 0.8 * charged < Counting.calls <= charged + 1


def test_a_file_is_searched_where_it_lies(run, tmp_path):
    path, best = tmp_path / "cu.xyz", tmp_path / "best.extxyz"
    block = 2.5 * np.argwhere(np.ones((2, 2, 2)))[:5] + 40.0
    ase.io.write(path, Atoms("Cu5", block))
    result = run("search", path, "--calculator", "emt", *FEW, "-o", best)
    assert result.exit_code == 0, result.stderr
    atoms = ase.io.read(best)
    np.testing.assert_allclose(
        atoms.positions.mean(axis=0), block.mean(axis=0), atol=1e-6
    )
    assert atoms.get_potential_energy() == pytest.approx(5.394595, abs=1e-4)


def test_a_folder_knows_its_calculator(run, refused, tmp_path):
    base = ("search", "Cu4", *FEW[:-4], "--folder", tmp_path / "kept")
    own = ("--calculator", f"{HERE}:scaled", "--calculator-args")
    first = run(*base, *own, '{"scale": 2.0}', "--evaluations", 60)
    assert first.exit_code == 0, first.stderr
    again = run(*base, *own, '{"scale": 2.0}', "--evaluations", 80)
    assert again.exit_code == 0, again.stderr
    others = {
        "other arguments of the calculator": (*own, '{"scale": 3.0}'),
        "another calculator": ("--calculator", "emt"),
    }
    for what, other in others.items():
        said = refused(*base, *other, "--evaluations", 80)
        assert f"was made with {what}; use the same" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--calculator", "nonsense"], "ASE has no calculator 'nonsense'"),
        (["--calculator", "no.such:Thing"], "cannot be imported (ModuleNotFound"),
        (["--calculator", f"{HERE}:Nothing"], "no class or function 'Nothing'"),
        (["--calculator", ":EMT"], "write MODULE:NAME"),
        (["--calculator", f"{HERE}:number"], "which is not an ASE calculator"),
        (["--calculator", f"{HERE}:StressOnly"], "gives no forces"),
        (["--calculator", "emt", "--calculator-args", "{"], "is not JSON"),
        (["--calculator", "emt", "--calculator-args", "[1]"], "give a JSON object"),
        (
            ["--calculator", f"{HERE}:scaled", "--calculator-args", '{"no": 1}'],
            "takes no argument 'no'; of --calculator-args it takes scale",
        ),
        (
            ["--calculator", f"{HERE}:scaled", "--calculator-args", '{"scale": []}'],
            "fails for the structure",
        ),
        (
            ["--calculator", "emt", "--calculator-args", '{"foo": 1}'],
            "takes no argument 'foo'; of --calculator-args it takes asap_cutoff",
        ),
        (
            ["--calculator", "morse", "--calculator-args", '{"r0": 2, "r1": 1}'],
            "takes no argument 'r1'",
        ),
        (["--calculator-args", "{}"], "name it with --calculator"),
        (["--calculator", "emt", "--potential", "lj"], "leave one out"),
        (["--calculator", "emt", "--parameters", "AgAu"], "leave one out"),
        (
            ["--calculator", "emt", "--index", "0", "--no-pbc"],
            "--no-pbc and --index are for structure files",
        ),
        (["--calculator", "emt", "--backend", "native"], "cannot run it"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused(refused, arguments, said):
    assert said in refused("search", "Cu5", *arguments)


def test_the_command_line_keeps_and_breaks(run, refused, tmp_path):
    path, best = tmp_path / "water.xyz", tmp_path / "best.extxyz"
    atoms = molecule("H2O") + molecule("H2O")
    atoms.positions[3:, 0] += 3.5
    ase.io.write(path, atoms)
    base = ("search", path, "--calculator", "own_calculators:Water")
    few = ("--evaluations", 100, "--settled", 0, "--json", "-o", best)
    result = run(*base, *few)
    assert result.exit_code == 0, result.stderr
    found = ase.io.read(best)
    bonds = found.get_all_distances()[[0, 0, 3, 3], [1, 2, 4, 5]]
    np.testing.assert_allclose(bonds, 0.96, atol=0.05)
    atoms.calc = Water()
    assert json.loads(result.stdout)["best_energy"] < atoms.get_potential_energy()
    assert "would break" in refused(*base, "--method", "bh")
    assert run(*base, *few, "--method", "bh", "--break-molecules").exit_code == 0
    torn = atoms.copy()
    torn.positions[1] += 3
    ase.io.write(path, [atoms, torn])
    assert "structure 1 of the file has other bonds" in refused(*base, "--index", ":")
    assert "is for calculators" in refused("search", "LJ7", "--keep-molecules")


def test_a_calculator_without_the_element_is_refused_at_once(refused):
    said = refused("search", "Mo5", "--calculator", "emt")
    assert "the calculator fails for the structure" in said
    assert "check that it knows Mo" in said
    assert "is not an element" in refused("search", "LJ7", "--calculator", "emt")


@pytest.mark.slow
def test_a_hull_by_calls(run, refused, tmp_path):
    out = ("--out", tmp_path / "CuAu4")
    base = ("hull", "CuAu", "--n", 4, *PLAIN, "--budget", 260, *out)
    result = run(*base, "--calculator", "emt", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["parameters"] == "emt"
    assert all(v <= 260 for v in found["charged_evaluations_by_n_A"].values())
    energies = [row["energy_eV"] for row in found["rows"]]
    assert len(energies) == len({round(e, 3) for e in energies}) == 5
    for atoms in ase.io.read(tmp_path / "CuAu4" / "structures.extxyz", ":"):
        written = atoms.get_potential_energy()
        atoms.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(written, abs=1e-6)
    other = ("--calculator", f"{HERE}:scaled", "--calculator-args", '{"scale": 2.0}')
    assert "with another" in refused(*base, *other)
    assert "leave them out" in refused(
        *base, "--calculator", "emt", "--potential", "lj"
    )
    assert "runs in a kernel" in refused(*base, "--calculator", "lj")


@pytest.mark.slow
def test_methods_are_compared_on_a_calculator(run, refused, tmp_path):
    base = (
        "compare",
        "Cu4",
        "--calculator",
        "emt",
        "--methods",
        "auto,bh",
        "--runs",
        2,
    )
    assert "Cu4 has no published minimum" in refused(*base)
    # What acts is no Gupta potential, whose minimum is known.
    assert "Au55 has no published" in refused("compare", "Au55", *base[2:])
    energy = ("--energy", "Cu4=4.68390", "--budget", 800, "--out", tmp_path / "c")
    result = run(*base, *energy)
    assert result.exit_code == 0, result.stderr
    with (tmp_path / "c" / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["method"] for row in rows] == ["auto", "bh"]
    assert [row["found"] for row in rows] == ["2", "2"]


@pytest.mark.slow
def test_pair_parameters_of_ones_own(run, refused, tmp_path):
    """Rows that treat two elements alike give the clusters of one."""
    path = tmp_path / "alike.toml"
    path.write_text('"Ar-Ar"=[1, 1]\n"Ar-Kr"=[1, 1]\n"Kr-Kr"=[1, 1.0]\n')
    own = ("--potential", "lj", "--parameters", path)
    few = (*PLAIN, "--evaluations", 4000, "--json")
    result = run("search", "Ar5Kr2", *own, *few)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["best_energy"] == pytest.approx(-16.505384, abs=1e-5)
    assert (found["potential"], found["parameters"]) == ("lj", "alike.toml")
    # One element alone has a row, too.
    result = run("search", "Ar7", *own, *few)
    best = json.loads(result.stdout)["best_energy"]
    assert best == pytest.approx(-16.505384, abs=1e-5)
    assert "one row for Kr-Xe" in refused("search", "Kr2Xe2", *own)
    assert "--sigma and --epsilon" in refused("search", "Ar7", *own, "--sigma", 2)
    assert "rows of pairs" in refused(
        "search", "Ar7", "--potential", "sw", "--parameters", path
    )
    gold = run("search", "Au4", "--parameters", "Au55", *few)
    assert json.loads(gold.stdout)["parameters"] == "Au55"


def test_a_file_with_a_cluster_in_a_periodic_cell(run, tmp_path):
    atoms = Atoms("Cu5", [[0, 0, 0], [2.5, 0, 0], [0, 2.5, 0], [0, 0, 2.5], [2, 2, 2]])
    atoms.set_cell(14 * np.eye(3))
    atoms.pbc = True
    atoms.positions -= 1.0
    atoms.wrap()
    file, best = tmp_path / "cu5.extxyz", tmp_path / "best.extxyz"
    ase.io.write(file, atoms)
    result = run("search", file, "--calculator", "emt", *FEW, "-o", best)
    assert result.exit_code == 0, result.stderr
    assert "so they are searched as a cluster" in result.stdout + result.stderr
    found = ase.io.read(best)
    assert found.pbc.all()
    assert found.cell[0, 0] == 14
    found.calc = EMT()
    # The trigonal bipyramid, whole.
    assert found.get_potential_energy() == pytest.approx(5.394595, abs=1e-4)
    assert np.max(found.get_all_distances()) < 5
