"""``ase-l2h search`` on structure files: theirs is where a search begins and ends."""

from __future__ import annotations

import json
import re

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc100
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.constraints import FixAtoms
from ase.optimize import BFGS
from ase.units import GPa

from ase_l2h.cli.structure_files import read_frames
from ase_l2h.cli.target import Reading, resolve
from ase_l2h.errors import InputError
from ase_l2h.search.names import METHODS

# Wales and Doye (1997).
LJ7, LJ31 = -16.505384, -133.586422
GOLD = 2.8 * np.argwhere(np.ones((2, 2, 2)))


def relaxed(atoms: Atoms) -> Atoms:
    """In its nearest minimum, by ASE."""
    atoms.calc = AseLennardJones(rc=1e6, ro=9e5)
    BFGS(atoms, logfile=None).run(fmax=1e-6, steps=2000)
    return atoms


def test_the_structure_of_a_file_is_the_first_start(run, tmp_path, lj7):
    """Relaxing from it in place: same minimum as ASE's, where the user has it."""
    ase.io.write(tmp_path / "lj7.xyz", lj7)
    out = tmp_path / "best.traj"
    few = ("--method", "gd", "--steps", 1, "--starts", 1)
    result = run("search", tmp_path / "lj7.xyz", *few, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    best = ase.io.read(out)
    np.testing.assert_allclose(best.positions.mean(0), lj7.positions.mean(0), atol=1e-5)
    assert np.abs(best.positions - lj7.positions).max() < 0.5
    assert found["reference_energy"] == LJ7
    energy = relaxed(lj7).get_potential_energy()
    assert found["energies"] == [pytest.approx(energy, abs=1e-6)]


@pytest.fixture(scope="module")
def lj31(run, tmp_path_factory):
    """A file with the lowest minimum of LJ31, which few evaluations never reach."""
    path = tmp_path_factory.mktemp("lj31") / "lj31.extxyz"
    result = run("search", "LJ31", "--target-energy", LJ31, "--seed", 5, "-o", path)
    assert "which the best equals" in result.stdout
    return path


@pytest.mark.parametrize("method", METHODS)
def test_what_a_file_holds_enters_every_method(run, lj31, method):
    width = () if method == "auto" else ("--width", 2)
    few = ("--potential", "lj", "--method", method, *width, "--seed", 1)
    few = (*few, "--evaluations", 1000)
    found = json.loads(run("search", lj31, *few, "--json").stdout)
    assert found["best_energy"] == pytest.approx(LJ31, abs=1e-5)
    without = json.loads(run("search", "LJ31", *few[2:], "--json").stdout)
    assert (without["best_energy"] or 0.0) > LJ31 + 0.1


def test_all_structures_of_a_file_are_starts(run, tmp_path, lj7):
    """Two of LJ7's four minima, each from its own frame."""
    other = lj7.copy()
    other.positions = 1.1 * np.random.default_rng(3).normal(size=(7, 3))
    other = relaxed(other)
    other.calc = None
    ase.io.write(tmp_path / "two.extxyz", [lj7, other])
    few = ("--method", "gd", "--steps", 1, "--starts", 2, "--json")
    result = run("search", f"{tmp_path}/two.extxyz@:", *few)
    assert result.stderr == ""
    energies = json.loads(result.stdout)["energies"]
    expected = [relaxed(atoms).get_potential_energy() for atoms in (lj7, other)]
    np.testing.assert_allclose(energies, expected, atol=1e-6)


@pytest.mark.parametrize(
    "acting", [("--potential", "lj"), ("--calculator", "lj")], ids=["kernel", "calls"]
)
def test_overlapping_atoms_of_a_file_are_moved_apart(
    run, tmp_path, lj7, caplog, acting
):
    lj7.positions[4] = lj7.positions[2] + [0.01, 0, 0]
    ase.io.write(tmp_path / "lj7.extxyz", lj7)
    few = (*acting, "--evaluations", 400, "--seed", 1, "--json")
    result = run("search", tmp_path / "lj7.extxyz", *few)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["best_energy"] < -15
    assert caplog.text.count("atoms 2 and 4 overlap (0.01 apart)") == 1


def test_the_last_structure_is_taken_and_said_so(tmp_path):
    path = str(tmp_path / "many.xyz")
    ase.io.write(path, [Atoms("Ar2", [[0, 0, 0], [0, 0, d]]) for d in (1.1, 1.2, 1.3)])

    def chosen(index):
        frames, _ = read_frames(path, index, None, 9)
        return [round(atoms.positions[1, 2], 6) for atoms in frames]

    assert chosen(None) == chosen("-1") == [1.3]
    assert chosen("0") == [1.1]
    assert chosen(":") == [1.1, 1.2, 1.3]
    assert chosen("1:") == [1.2, 1.3]
    assert chosen("-2") == [1.2]
    (note,) = resolve(path).notes
    assert "holds several structures, and the last is taken" in note
    assert resolve(path, None, Reading(index="1")).notes == ()
    named = resolve(f"{path}@1")
    assert named.template.positions[1, 2] == pytest.approx(1.2)
    # A name with the sign goes first.
    ase.io.write(f"{path}@1", Atoms("Ar3", 1.1 * np.eye(3)), format="xyz")
    assert len(resolve(f"{path}@1", None, Reading(form="xyz")).template) == 3


def test_the_format_can_be_named(tmp_path):
    path = tmp_path / "structure.dat"
    ase.io.write(path, Atoms("Au8", GOLD), format="gen")
    assert len(resolve(str(path), None, Reading(form="gen")).template) == 8


def test_sigma_and_epsilon_scale_lengths_and_energies(run, tmp_path, lj7):
    lj7.positions *= 3.4
    ase.io.write(tmp_path / "ar7.xyz", lj7)
    few = ("--method", "learned", "--starts", 8, "--steps", 200)
    units = ("--potential", "lj", "--sigma", 3.4, "--epsilon", 0.0104)
    scaled = run("search", tmp_path / "ar7.xyz", *few, *units, "--json")
    found = json.loads(scaled.stdout)
    assert scaled.stderr == ""
    assert found["reference_energy"] == pytest.approx(0.0104 * LJ7)
    assert found["best_energy"] == pytest.approx(0.0104 * LJ7, abs=1e-7)
    assert found["hits"] == 1
    assert found["parameters"] == "sigma=3.4 epsilon=0.0104"
    doubtful = run("search", tmp_path / "ar7.xyz", *few, "--json")
    assert doubtful.exit_code == 0
    assert "give --sigma" in doubtful.stderr


@pytest.mark.parametrize("method", ["fire", "bh", "auto"])
def test_fixed_atoms_stay_bit_for_bit(run, tmp_path, method):
    gold = Atoms("Au8", positions=GOLD + 0.1, constraint=FixAtoms([0, 5]))
    ase.io.write(tmp_path / "gold.traj", gold)
    out = tmp_path / "all.traj"
    few = ("--method", method, "--evaluations", 600, "--quiet")
    width = () if method == "auto" else ("--width", 2)
    result = run("search", tmp_path / "gold.traj", *few, *width, "--minima", out)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    for image in ase.io.read(out, ":"):
        moved = np.any(image.positions != gold.positions, axis=1)
        assert moved.tolist() == [i not in (0, 5) for i in range(8)]


def test_selective_dynamics_along_the_axes_are_kept(tmp_path):
    """T T F of a POSCAR fixes a fractional coordinate; here it is a Cartesian one."""
    text = (
        "two\n1.0\n9 0 0\n0 9 0\n{} 0 9\nSi\n2\nSelective dynamics\nCartesian\n"
        "0 0 0 T T F\n2.3 0 0 T T T\n"
    )
    path = tmp_path / "POSCAR"
    path.write_text(text.format(0))
    target = resolve(str(path), None, Reading(form="vasp"))
    free = target.problem.free
    assert not free[2, 0]
    assert free.sum() == 5
    # And so it is written again.
    ase.io.write(tmp_path / "best.vasp", target.structure(np.zeros((2, 3)), 0.0))
    assert "T   T   F" in (tmp_path / "best.vasp").read_text()
    path.write_text(text.format(1))
    with pytest.raises(
        ValueError, match=r"T T F of selective dynamics.*rotate the cell"
    ):
        resolve(str(path), None, Reading(form="vasp"))


def test_a_cluster_on_a_slab_is_sought_above_it(run, tmp_path):
    """Gupta gold in a file that is periodic in two directions."""
    slab = fcc100("Au", (3, 3, 1), vacuum=6.0, periodic=False)
    slab.set_constraint(FixAtoms(range(9)))
    slab += Atoms("Au3", [[1.4, 1.4, 6 + 2.5 * k] for k in (1, 2, 3)])
    path, out = tmp_path / "slab.traj", tmp_path / "best.traj"
    ase.io.write(path, slab)
    cut = ("--cutoff", 6, "--region", "7:14", "--evaluations", 900, "--quiet", "--json")
    result = run("search", path, *cut, "-o", out)
    assert result.exit_code == 0, result.stderr
    best = ase.io.read(out)
    np.testing.assert_array_equal(best.positions[:9], slab.positions[:9])
    assert best.pbc.tolist() == [True, True, False]
    assert np.ptp(best.positions[9:, 2]) < 0.5
    assert json.loads(result.stdout)["parameters"] == "Au55 cutoff=6"


def test_results_carry_nothing_stale(tmp_path, lj7):
    """Forces and energies of other positions are gone, the user's notes are kept."""
    lj7.arrays["forces"] = np.ones((7, 3))
    lj7.info.update(energy=-1.0, origin="beamline 7")
    lj7.set_tags(range(7))
    lj7.set_momenta(np.ones((7, 3)))
    lj7.arrays["place"] = np.array([f"site-{k}" for k in range(7)])
    path = tmp_path / "lj7.extxyz"
    ase.io.write(path, lj7)
    target = resolve(str(path))
    result = target.structure(np.zeros((7, 3)), -16.0, count=2)
    assert set(result.arrays) == {"numbers", "positions", "tags", "place"}
    assert result.info == {"origin": "beamline 7", "count": 2}
    assert result.get_potential_energy() == -16.0
    ase.io.write(tmp_path / "again.extxyz", result)
    again = ase.io.read(tmp_path / "again.extxyz")
    assert again.get_potential_energy() == -16.0


def lammps(tmp_path, masses: bool = False) -> dict[str, Atoms]:
    """Data and dump of the same alloy, whose gold is type 1 and whose copper is 2."""
    alloy = Atoms("Cu2Au2", [[0, 0, 0], [2.5, 0, 0], [0, 2.5, 0], [2.5, 2.5, 0.3]])
    alloy.set_cell([9, 9, 9])
    data, dump = tmp_path / "alloy.data", tmp_path / "alloy.dump"
    ase.io.write(data, alloy, format="lammps-data", masses=masses)
    rows = "".join(
        f"{k + 1} {2 if atom.symbol == 'Cu' else 1} {atom.x} {atom.y} {atom.z}\n"
        for k, atom in enumerate(alloy)
    )
    dump.write_text(
        "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n4\nITEM: BOX BOUNDS pp pp pp\n"
        f"0 9\n0 9\n0 9\nITEM: ATOMS id type x y z\n{rows}"
    )
    return {"lammps-data": data, "lammps-dump-text": dump}


@pytest.mark.parametrize("form", ["lammps-data", "lammps-dump-text"])
def test_types_get_the_elements_that_are_named(tmp_path, form):
    reading = Reading(form=form, types="1=Au, 2=Cu", periodic=False)
    target = resolve(str(lammps(tmp_path)[form]), None, reading)
    assert target.template.get_chemical_symbols() == ["Cu", "Cu", "Au", "Au"]
    assert (target.family, target.parameters) == ("gupta", "CuAu")
    assert np.ptp(target.problem.given[:, :, 0], axis=1).tolist() == [2.5, 2.5, 0.3]


def test_masses_tell_elements_too(tmp_path):
    path = lammps(tmp_path, masses=True)["lammps-data"]
    target = resolve(str(path), None, Reading(form="lammps-data", periodic=False))
    assert target.template.get_chemical_symbols() == ["Cu", "Cu", "Au", "Au"]


@pytest.mark.parametrize(
    ("types", "said"),
    [
        (None, "give --types 1=...,2=..."),
        ("1=Cu", "has atoms of type 2; name its element"),
        ("1=Cu,2", "give every type once"),
        ("1=Cu,1=Au", "give every type once"),
        ("1=Cu,2=Zz", "'Zz' is not a chemical symbol"),
    ],
)
def test_types_that_are_not_named_are_refused(tmp_path, types, said):
    path = lammps(tmp_path)["lammps-data"]
    with pytest.raises(InputError, match=re.escape(said)):
        resolve(str(path), None, Reading(form="lammps-data", types=types))


def test_files_with_elements_have_no_types(tmp_path, lj7):
    ase.io.write(tmp_path / "lj7.xyz", lj7)
    with pytest.raises(InputError, match="does not number the types"):
        resolve(str(tmp_path / "lj7.xyz"), None, Reading(types="1=Ar"))


def test_the_cell_of_a_file_is_kept_or_dropped(tmp_path):
    path = str(tmp_path / "si.extxyz")
    ase.io.write(path, bulk("Si", cubic=True))
    kept = resolve(path)
    assert kept.family == "sw"
    assert kept.template.pbc.all()
    np.testing.assert_allclose(kept.problem.cell, 5.43 * np.eye(3))
    dropped = resolve(path, None, Reading(periodic=False))
    assert dropped.problem.cell is None
    assert not dropped.template.pbc.any()


def test_a_crystal_relaxes_in_its_cell(run, tmp_path):
    """Diamond at 5.43 angstrom; Stillinger and Weber (1985): -2 epsilon per atom."""
    silicon = bulk("Si", cubic=True)
    silicon.rattle(0.1, seed=2)
    ase.io.write(tmp_path / "si.extxyz", silicon)
    out = tmp_path / "best.extxyz"
    few = ("--method", "fire", "--starts", 1, "--steps", 50)
    result = run("search", tmp_path / "si.extxyz", *few, "-o", out, "--json")
    best = ase.io.read(out)
    assert best.pbc.all()
    assert np.abs(best.positions - silicon.positions).max() < 1.0
    energy = json.loads(result.stdout)["best_energy"]
    assert energy / 8 == pytest.approx(-4.3365, abs=2e-4)


def test_the_cell_of_the_best_relaxes_when_asked(run, tmp_path):
    """Under pressure, into the file of the best alone."""
    silicon = bulk("Si", cubic=True)
    silicon.rattle(0.1, seed=2)
    path, out, rest = (tmp_path / name for name in ("si.vasp", "best.vasp", "all.xyz"))
    ase.io.write(path, silicon)
    few = ("--method", "fire", "--starts", 1, "--steps", 50, "--json")
    asked = ("--relax-cell", "--pressure", 5, "-o", out, "--minima", rest)
    found = json.loads(run("search", path, *few, *asked).stdout)
    told = found["relaxed_cell"]
    assert told["converged"]
    assert (told["space_group_before"], told["space_group"]) == ("Fd-3m", "Fd-3m")
    assert told["energy"] > found["best_energy"]
    work = 5 * GPa * told["volume"]
    assert told["enthalpy"] == pytest.approx(told["energy"] + work)
    assert told["enthalpy"] < found["best_energy"] + 5 * GPa * told["volume_before"]
    best = ase.io.read(out)
    assert best.cell.volume == pytest.approx(told["volume"], rel=1e-6)
    kept = ase.io.read(rest)
    assert kept.cell.volume == pytest.approx(silicon.cell.volume)


def test_formulas_choose_potential_and_set():
    """Nothing is searched: the resolved targets are looked at."""
    alloy = resolve("Ag3Au4")
    assert (alloy.family, alloy.parameters, alloy.unit) == ("gupta", "AgAu", "eV")
    assert alloy.template.get_chemical_symbols() == ["Ag"] * 3 + ["Au"] * 4
    assert resolve("Au4").parameters == "Au55"
    assert resolve("Au4", "gupta:AgAu").parameters == "AgAu"
    glass = resolve("KA20", "ka:truncated")
    assert (glass.family, glass.parameters) == ("ka", "truncated")
    assert glass.unit == "epsilon"
    silicon = resolve("Si8", "sw:Si_jax_md")
    assert (silicon.family, silicon.parameters) == ("sw", "Si_jax_md")
    assert silicon.template.cell.lengths() == pytest.approx([5.431] * 3)


def test_a_chosen_set_is_explained():
    (copper,) = resolve("Cu20").notes
    assert "Gupta set CuAu" in copper
    assert "knows Cu" in copper
    (gold,) = resolve("Au20").notes
    assert "Gupta set Au55, the usual one of Au" in gold
    assert "AgAu" in gold
    assert resolve("Au20", "gupta:Au").notes == ()
    assert resolve("LJ38").notes == ()


def test_lower_case_is_understood_where_it_is_clear(tmp_path, monkeypatch):
    assert resolve("lj38").name == "LJ38"
    assert resolve("lj38").problem.reference == pytest.approx(-173.928427)
    assert resolve("ka20").family == "ka"
    # A folder of that name, such as one of --folder, does not hide the formula.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "LJ7").mkdir()
    assert resolve("LJ7").problem.n_atoms == 7


def test_nameless_particles_are_searched_when_asked_for(tmp_path):
    path = tmp_path / "x.xyz"
    ase.io.write(path, Atoms("X3", 1.1 * np.eye(3)))
    assert resolve(str(path), "lj").problem.reference == pytest.approx(-3.0)
