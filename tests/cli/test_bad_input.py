"""Bad input to ``ase-l2h search``: one sentence, exit code 2, nothing lost."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from safetensors.numpy import load, save

import ase_l2h.weights.files
from ase_l2h.weights.load import manifest, pretrained_folder

GOLD = 2.8 * np.argwhere(np.ones((2, 2, 2)))


@pytest.fixture(autouse=True)
def never_searched(monkeypatch):
    """Whatever is wrong is found before the search begins."""

    def search(*args, **kwargs):
        pytest.fail("the search was started")

    monkeypatch.setattr("ase_l2h.search.method.SearchRun.advance", search)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("helium!", "neither a file nor a formula"),
        ("LJ", "'LJ' has no number of atoms"),
        ("LJ1", "needs at least 2"),
        ("LJ0", "needs at least 2"),
        ("LJ99999999999999999999", "more than 2000 atoms"),
        ("Au99999999999", "more than 2000 atoms"),
        ("Fe3O4", "no Gupta parameters for Fe-O"),
        ("Si9", "not a cubic supercell"),
        ("missing.xyz", "no structure file 'missing.xyz'"),
        ("no/such/place", "no structure file 'no/such/place'"),
        (".", "neither a file nor a formula"),
        ("", "neither a file nor a formula"),
    ],
)
def test_targets_that_cannot_be_searched(refused, target, said):
    assert said in refused("search", target)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--evaluations", "0"], "0 is not from 1 to 1000000000000"),
        (["--evaluations", "-5"], "-5 is not from 1"),
        (["--evaluations", "many"], "'many' is not a valid integer"),
        (["--searches", "0"], "0 is not from 1 to 100000"),
        (["--starts", "0", "--method", "fire"], "'--starts': 0 is not from 1"),
        (["--starts", "1000000000", "--method", "fire"], "is not from 1 to"),
        (["--steps", "0", "--method", "fire"], "'--steps': 0 is not from 1"),
        (["--steps", "9" * 5000, "--method", "fire"], "is not from 1 to"),
        (["--width", "1.5", "--method", "bh"], "'1.5' is not a valid integer"),
        (["--starts", "5"], "'auto' takes no --starts; limit it with --evaluation"),
        (["--steps", "5"], "'auto' takes no --steps"),
        (["--width", "5"], "'auto' takes no --width"),
        (["--without", "genetic"], "no part named 'genetic'; choose one of uniform"),
        (
            ["--without", "uniform,symmetric,fragments,learned-starts"],
            "no source of structures is left; keep one of fragments",
        ),
        (
            ["--method", "bh", "--without", "swaps"],
            "'bh' has no parts that can be left out",
        ),
        (["--settled", "-1"], "'--settled': -1 is not from 0 to 1000"),
        (["--settled", "often"], "'often' is not a valid integer"),
        (["--seed", "-1"], "-1 is not from 0 to 4294967295"),
        (["--seed", "99999999999999999999"], "is not from 0 to"),
        (["--max-seconds", "0"], "'--max-seconds': 0 is not above 0"),
        (["--max-seconds", "nan"], "'nan' is not a number"),
        (["--target-energy", "nan"], "'nan' is not a number"),
        (["--target-energy", "low"], "'low' is not a number"),
        (["--method", "anneal"], "'anneal' is not one of"),
        (["--method", "hybrid"], "'hybrid' is not one of"),
        (["--method", "adam", "--weights", "universal"], "uses no weights"),
        (["--weights", "nonsense"], "no weights named 'nonsense'"),
        (["--weights", "no/file.safetensors"], "cannot read the weights"),
        (["--backend", "abacus"], "no backend named 'abacus'"),
        (["--device", "tpu9"], "no 'tpu9' device"),
        (["--index", "0"], "--index is for structure files"),
        (["--format", "xyz"], "--format is for structure files"),
        (["--potential", "morse"], "no potential named 'morse'"),
        (["--potential", "gupta:"], "no potential named 'gupta:'"),
        (["--potential", "gupta"], "has the potential Lennard-Jones, not Gupta"),
        (["--sigma", "2"], "--sigma is for structure files"),
        (["--no-pbc"], "--no-pbc is for structure files"),
        (["--cutoff", "6"], "--cutoff is for structure files"),
        (["--relax-cell"], "'LJ7' is not periodic in all three"),
        (["--pressure", "5"], "add --relax-cell"),
        (["--types", "1=Cu"], "--types is for structure files"),
        (["--region", "1:2"], "--region is for structure files"),
        (["--region", "above"], "--region is 'above'; give two heights"),
        (["--frobnicate"], "No such option"),
        (["more"], "unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_make_no_sense(refused, arguments, said):
    assert said in refused("search", "LJ7", *arguments)


def test_parameter_sets_must_fit_the_species(refused, tmp_path):
    assert "choose one of" in refused("search", "Au7", "--potential", "gupta:Au99")
    assert "for Au" in refused("search", "Au7", "--potential", "gupta:PdPt")
    path = tmp_path / "au.xyz"
    ase.io.write(path, Atoms("Au8", GOLD))
    assert "for Si, not Au" in refused("search", path, "--potential", "sw")
    assert "--sigma needs --potential lj" in refused("search", path, "--sigma", 2)
    lj = ("--potential", "lj")
    assert "-2 is not above 0" in refused("search", path, *lj, "--sigma", -2)
    assert "'nan' is not a number" in refused("search", path, *lj, "--epsilon", "nan")


def bad_structures() -> dict[str, tuple[Atoms, str]]:
    nan, overlapping = Atoms("Au8", GOLD), Atoms("Au8", GOLD)
    nan.positions[3, 1] = np.nan
    overlapping.positions[5] = overlapping.positions[2] + 0.01
    overlapping.set_constraint(ase.constraints.FixAtoms([2, 5]))
    far = Atoms("Au8", GOLD + 1e15)
    apart = Atoms("Au3", [[2.55e8 * k, 0, 0] for k in range(3)])
    small, flat, plane = (bulk("Si", cubic=True) for _ in range(3))
    small.set_cell(np.eye(3), scale_atoms=False)
    flat.set_cell(np.diag([5.4, 5.4, 0.2]), scale_atoms=False)
    plane.set_cell(np.diag([5.4, 5.4, 0.0]), scale_atoms=False)
    bond = Atoms("Au8", GOLD, constraint=ase.constraints.FixBondLength(0, 1))
    nothing = Atoms("Au8", GOLD, constraint=ase.constraints.FixAtoms(range(8)))
    mixed = Atoms("Ar4Kr4", 1.4 * GOLD)
    return {
        "nan": (nan, "the position of atom 3 is not a finite number"),
        "overlapping": (overlapping, "atoms 2 and 5 overlap"),
        "empty": (Atoms(), "0 atom(s)"),
        "one": (Atoms("Au"), "1 atom(s)"),
        "water": (molecule("H2O"), "no default potential for H-O"),
        "small": (small, "apart"),
        "flat": (flat, "apart"),
        "plane": (plane, "lie in a plane"),
        "slab": (Atoms("Au8", GOLD, cell=[9, 9, 9], pbc=[1, 1, 0]), "give a --cutoff"),
        "box": (Atoms("Au8", GOLD, cell=[9, 9, 9], pbc=True), "--no-pbc to search"),
        "far": (far, "move the structure to the origin"),
        "apart": (apart, "its atoms are so far apart"),
        "all fixed": (nothing, "every atom is fixed"),
        "mixed": (mixed, "would treat Ar and Kr alike"),
        "nameless": (Atoms("X8", GOLD), "--potential lj treats them as identical"),
        "bond": (bond, "FixBondLengths is not supported"),
    }


@pytest.mark.parametrize("name", bad_structures())
def test_structures_that_cannot_be_searched(refused, tmp_path, name):
    atoms, said = bad_structures()[name]
    path = tmp_path / "structure.traj"
    ase.io.write(path, atoms)
    before = path.read_bytes()
    sentence = refused("search", path, "-o", tmp_path / "best.xyz")
    # Words of Python help nobody here.
    assert not any(word in sentence for word in ("atoms.pbc", "set rc", "FixAtoms"))
    assert said in sentence
    assert str(path) in sentence
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"3\n\nAr 0 0\n",
        b"2\n\nAr 0 0 0\n",
        b"2\n\nQq 0 0 0\nQq 0 0 1\n",
        bytes(range(256)),
        pickle.dumps({"positions": [0.0]}),
    ],
    ids=["empty", "short line", "missing line", "no element", "binary", "pickle"],
)
def test_files_that_are_no_structures(refused, tmp_path, content):
    path = tmp_path / "structure.xyz"
    path.write_bytes(content)
    assert "cannot be read as a structure" in refused("search", path)


XYZ = "2\n\nAr 0 0 0\nAr 0 0 1.1\n"
PROMISES = {
    "first.xyz": "1000000000000\n\nAr 0 0 0\n",
    "second.xyz": XYZ + "1000000000000\n\nAr 0 0 0\n",
    "endless.xyz": XYZ + "9" * 30 + "\n\nAr 0 0 0\n",
    "dump.lammpstrj": "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1000000000000\n"
    "ITEM: BOX BOUNDS pp pp pp\n0 1\n0 1\n0 1\nITEM: ATOMS id type x y z\n",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", PROMISES)
def test_files_that_promise_too_many_atoms_are_not_waited_for(refused, tmp_path, name):
    path = tmp_path / name
    path.write_text(PROMISES[name])
    form = ("--format", "lammps-dump-text") if name.startswith("dump") else ()
    assert "more than 2000 atoms" in refused("search", path, *form)


@pytest.mark.timeout(60)
def test_pipes_are_not_waited_for(refused, tmp_path):
    """Nobody ever writes to this one."""
    for name in ("pipe.xyz", "pipe.safetensors"):
        os.mkfifo(tmp_path / name)
    assert "not a regular file" in refused("search", tmp_path / "pipe.xyz")
    weights = ("--weights", tmp_path / "pipe.safetensors")
    assert "not a regular file" in refused("search", "LJ7", *weights)


def test_sites_that_are_partly_occupied_are_refused(refused, tmp_path):
    """Half silver, half gold, of which ASE keeps the majority."""
    path = tmp_path / "alloy.cif"
    path.write_text(
        "data_x\n_cell_length_a 4.1\n_cell_length_b 4.1\n_cell_length_c 4.1\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "_symmetry_space_group_name_H-M 'P 1'\nloop_\n_atom_site_label\n"
        "_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n"
        "_atom_site_fract_z\n_atom_site_occupancy\n"
        "Ag1 Ag 0 0 0 0.6\nAu1 Au 0 0 0 0.4\nAu2 Au 0.5 0.5 0.5 1.0\n"
    )
    assert "partially occupied" in refused("search", path, "--no-pbc")


def test_types_are_no_elements(refused, tmp_path):
    path = tmp_path / "dump.lammpstrj"
    path.write_text(
        "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS ff ff ff\n"
        "0 9\n0 9\n0 9\nITEM: ATOMS id type x y z\n1 2 1 1 1\n2 2 2 1 1\n"
    )
    sentence = refused("search", path, "--format", "lammps-dump-text")
    assert "give --types 2=..." in sentence


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--index", "2"], "no structure '2'"),
        (["--index", "-3"], "no structure '-3'"),
        (["--index", "last"], "is not an index of structures"),
        (["--index", "5:9"], "holds no structure '5:9'"),
        (["--index", "::0"], "is not an index of structures"),
        (["--format", "nonsense"], "ASE cannot read the format 'nonsense'"),
        (["--format", "cif"], "cannot be read as a structure"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_structures_of_a_file_that_are_not_there(refused, tmp_path, arguments, said):
    path = tmp_path / "two.xyz"
    path.write_text(XYZ * 2)
    assert said in refused("search", path, *arguments)


def test_structures_that_do_not_belong_together(refused, tmp_path):
    path = tmp_path / "two.extxyz"
    one, other = Atoms("Au8", GOLD), Atoms("Au7Ag", GOLD)
    ase.io.write(path, [one, other])
    assert "structure 1 of those chosen has other atoms" in refused(
        "search", f"{path}@:"
    )
    fixed = Atoms("Au8", GOLD, constraint=ase.constraints.FixAtoms([0]))
    traj = tmp_path / "two.traj"
    ase.io.write(traj, [one, fixed])
    assert "has other fixed atoms" in refused("search", f"{traj}@:")
    assert "both choose" in refused("search", f"{traj}@0", "--index", "0")


def bundled() -> bytes:
    name = manifest()["default"].split("+")[0]
    return (pretrained_folder() / manifest()["weights"][name]["file"]).read_bytes()


def wrong_shape() -> bytes:
    content = bundled()
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    arrays = load(content)
    first = min(arrays)
    arrays[first] = np.stack([arrays[first]] * 2)
    return save(arrays, metadata)


def not_finite() -> bytes:
    content = bundled()
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    arrays = load(content)
    arrays[min(arrays)].flat[0] = np.nan
    return save(arrays, metadata)


class Trap:
    """Unpickling this would leave a file behind."""

    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


BAD_WEIGHTS = {
    "truncated": lambda: bundled()[:-100],
    "header only": lambda: bundled()[:200],
    "empty": lambda: b"",
    "header tampered": lambda: bundled().replace(b"architecture", b"architectur3"),
    "another format": lambda: save({"a": np.zeros(3, np.float32)}),
    "pickled": lambda: pickle.dumps(Trap()),
    "wrong shape": wrong_shape,
    "not finite": not_finite,
    "huge": lambda: bytes(6_000_000),
}


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_weight_files_that_are_not_sound(refused, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(BAD_WEIGHTS[name]())
    for verb in (("search", "LJ7", "--weights"), ("weights", "verify")):
        sentence = refused(*verb, path)
        assert str(path) in sentence
    assert list(tmp_path.iterdir()) == [path]


def test_bundled_weights_with_one_bit_changed_are_refused(
    refused, tmp_path, monkeypatch
):
    """The arrays are still well-formed: only the hash can tell."""
    name = manifest()["default"].split("+")[0]
    content = bytearray(bundled())
    content[-3] ^= 1
    for file in (
        "manifest.json",
        *(path.name for path in pretrained_folder().glob("*.safetensors")),
    ):
        shutil.copy(pretrained_folder() / file, tmp_path)
    (tmp_path / manifest()["weights"][name]["file"]).write_bytes(content)
    monkeypatch.setattr(ase_l2h.weights.files, "pretrained_folder", lambda: tmp_path)
    learned = ["search", "LJ7", "--method", "learned"]
    for verb in (learned, ["weights", "verify", name], ["weights", "list"]):
        assert "not the file that was released" in refused(*verb)


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("-o", "missing/best.xyz", "No such file or directory"),
        ("-o", "file/best.xyz", "Not a directory"),
        ("-o", "folder.xyz", "is a folder"),
        ("-o", "best.nonsense", "ASE writes no format of that name"),
        ("-o", "best", "ASE writes no format of that name"),
        ("--minima", "all.xsd", "holds a single structure"),
        ("--minima", "missing/all.xyz", "No such file or directory"),
        ("--plot", "picture.doc", "names no picture format"),
        ("--plot", "missing/picture.png", "No such file or directory"),
    ],
)
def test_outputs_that_cannot_be_written(refused, tmp_path, option, name, said):
    (tmp_path / "file").touch()
    (tmp_path / "folder.xyz").mkdir()
    before = sorted(tmp_path.iterdir())
    assert said in refused("search", "LJ7", option, tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_outputs_never_replace_the_input_or_each_other(refused, tmp_path):
    path = tmp_path / "au.xyz"
    ase.io.write(path, Atoms("Au8", GOLD))
    before = path.read_bytes()
    assert "would overwrite the structure file" in refused("search", path, "-o", path)
    again = tmp_path / "x" / ".." / "au.xyz"
    (tmp_path / "x").mkdir()
    assert "would overwrite" in refused("search", path, "--minima", again)
    both = ("-o", tmp_path / "b.xyz", "--minima", tmp_path / "b.xyz")
    assert "would overwrite -o" in refused("search", path, *both)
    assert path.read_bytes() == before


@pytest.mark.parametrize("option", ["-o", "--minima", "--plot"])
def test_outputs_never_replace_the_cache(refused, tmp_path, option):
    cache, again = tmp_path / "s.xyz", tmp_path / "x" / ".." / "s.xyz"
    (tmp_path / "x").mkdir()
    call = ("search", "Cu13", "--calculator", "emt", "--cache", cache, option)
    assert f"{option} {again} would overwrite --cache" in refused(*call, again)
    assert not cache.exists()
    cache.write_text("precious")
    refused(*call, cache)
    assert cache.read_text() == "precious"


@pytest.mark.parametrize("name", ["", "run.json", "progress.jsonl"])
def test_a_cache_is_no_file_of_the_folder(refused, tmp_path, name):
    folder = tmp_path / "kept"
    if name:
        folder.mkdir()
    call = ("search", "Cu13", "--calculator", "emt", "--folder", folder)
    said = refused(*call, "--cache", folder / name)
    assert "give the cache another name" in said
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_cut_off_within_which_no_atoms_lie(refused, tmp_path):
    path = tmp_path / "slab.traj"
    ase.io.write(path, Atoms("Au8", GOLD, cell=[9, 9, 9], pbc=[1, 1, 0]))
    said = refused("search", path, "--cutoff", 0.5)
    assert "the cut-off of 0.5 is shorter than a bond of 2.96; give a longer" in said


def test_an_old_output_survives_bad_input(refused, tmp_path):
    path = tmp_path / "best.xyz"
    path.write_text("precious")
    refused("search", "LJ7", "-o", path, "--minima", tmp_path / "no" / "all.xyz")
    refused("search", "LJ7", "-o", path, "--weights", "nonsense")
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_usage_errors_of_the_program_itself(refused, run):
    assert "No such command 'serch'" in refused("serch")
    assert "Missing argument 'TARGET'" in refused("search")
    assert "Usage" in run().output


def test_the_traceback_is_shown_on_request_only(run):
    result = run("search", "LJ7", "--weights", "nonsense", "--traceback")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "in load_weights" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: no weights named")
