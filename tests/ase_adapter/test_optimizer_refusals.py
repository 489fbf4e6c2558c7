"""What Learn2Hop refuses: one sentence that says what to do, nothing touched."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixBondLength, Hookean
from ase.filters import FrechetCellFilter, StrainFilter
from ase.mep import NEB
from ase.parallel import world

from ase_l2h._internal.arguments import checked_count, checked_number, checked_seed
from ase_l2h.ase_adapter.calculators import Gupta, LennardJones, StillingerWeber
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.ase_adapter.records import check_files
from ase_l2h.search.calls import ENDURED, MORE_FAILURES, MOST_FAILURES
from ase_l2h.search.hopping import Hopping
from ase_l2h.search.problem import Problem
from ase_l2h.weights.load import load_weights


def argon(**keywords) -> Atoms:
    """A square of argon."""
    positions = [[0.0, 0, 0], [1.1, 0, 0], [0, 1.1, 0], [1.1, 1.1, 0]]
    return Atoms("Ar4", positions, **({"calculator": LennardJones()} | keywords))


def silicon(calculator=None) -> Atoms:
    """A crystal."""
    atoms = bulk("Si", "diamond", a=5.431, cubic=True)
    atoms.calc = StillingerWeber() if calculator is None else calculator
    return atoms


def with_positions(index, values) -> Atoms:
    """The square with one atom elsewhere."""
    atoms = argon()
    atoms.positions[index] = values
    return atoms


def constrained(constraint) -> Atoms:
    """The square under a constraint."""
    atoms = argon()
    atoms.set_constraint(constraint)
    return atoms


def squeezed(cell) -> Atoms:
    """Silicon in an impossible cell."""
    atoms = silicon()
    atoms.set_cell(cell)
    return atoms


def stored() -> Atoms:
    """As a file holds it."""
    atoms = argon()
    atoms.calc = SinglePointCalculator(atoms, energy=0.0)
    return atoms


def chain() -> NEB:
    """Three images."""
    return NEB([argon() for _ in range(3)], method="improvedtangent")


STRUCTURES = {
    "no calculator": (lambda: argon(calculator=None), ValueError, "set atoms.calc"),
    "stored results": (stored, ValueError, "set atoms.calc to one that can compute"),
    "NaN": (lambda: with_positions(1, np.nan), ValueError, "position of atom 1"),
    "infinite": (lambda: with_positions(2, np.inf), ValueError, "position of atom 2"),
    "empty": (
        lambda: Atoms(calculator=LennardJones()),
        ValueError,
        "no atoms; add at least two",
    ),
    "one atom": (
        lambda: Atoms("Ar", calculator=LennardJones()),
        ValueError,
        "at least 2",
    ),
    "no parameters": (
        lambda: argon(calculator=Gupta("AgAu")),
        ValueError,
        "no Gupta parameters for Ar",
    ),
    "no cut-off": (
        lambda: silicon(LennardJones()),
        ValueError,
        "switch off periodicity",
    ),
    "filter of a surface": (
        lambda: FrechetCellFilter(argon()),
        ValueError,
        "only if all three directions are periodic",
    ),
    "flat cell": (
        lambda: squeezed([[5, 0, 0], [0, 5, 0], [5, 5, 0]]),
        ValueError,
        "a cell with a volume",
    ),
    "small cell": (
        lambda: squeezed(np.diag([0.1, 5.4, 5.4])),
        ValueError,
        "images of atom 0 are 0.1 apart",
    ),
    "Hookean": (
        lambda: constrained(Hookean(0, 1, k=1.0, rt=1.0)),
        ValueError,
        "Hookean is not supported; fix whole atoms",
    ),
    "bond": (
        lambda: constrained(FixBondLength(0, 1)),
        ValueError,
        "FixBondLengths is not supported; fix whole atoms",
    ),
    "all fixed": (
        lambda: constrained(FixAtoms(range(4))),
        ValueError,
        "nothing can move",
    ),
    "cell filter": (
        lambda: StrainFilter(silicon()),
        TypeError,
        "StrainFilter cannot be used; pass the Atoms",
    ),
    "NEB": (chain, TypeError, "not of a NEB; pass Atoms"),
    "text": (lambda: "Ar13", TypeError, "not of a str; pass Atoms"),
    "nothing": (lambda: None, TypeError, "pass Atoms"),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_that_cannot_be_searched(name: str, tmp_path: Path):
    make, kind, message = STRUCTURES[name]
    atoms = make()
    before = atoms.positions.copy() if isinstance(atoms, Atoms) else None
    trajectory = tmp_path / "old.traj"
    trajectory.write_bytes(b"results of last week")
    with pytest.raises(kind, match=message) as caught:
        Learn2Hop(atoms, trajectory=str(trajectory), logfile=None)
    one_sentence(caught.value)
    assert trajectory.read_bytes() == b"results of last week"
    if before is not None:
        np.testing.assert_array_equal(atoms.positions, before)


ARGUMENTS = {
    "method": ({"method": "genetic"}, ValueError, "no method named 'genetic'; choose"),
    "no weights": (
        {"method": "fire", "weights": "lj"},
        ValueError,
        "'fire' uses no weights",
    ),
    "loaded weights": (
        {"method": "fire", "weights": load_weights("lj")},
        ValueError,
        "'fire' uses no weights",
    ),
    "horizon of the default method": (
        {"method": "auto", "horizon": 5},
        ValueError,
        "takes no steps or starts; give it evaluations",
    ),
    "complete method": (
        {"method": Hopping("bh", lambda problem: None), "horizon": 5},
        ValueError,
        "has its options already; leave out weights, horizon",
    ),
    "unknown part": ({"without": ["ga"]}, ValueError, "no part named 'ga'; choose one"),
    "no source": (
        {"without": ["uniform", "symmetric", "fragments", "learned-starts"]},
        ValueError,
        "no source of structures is left; keep one of",
    ),
    "parts of another method": (
        {"method": "bh", "without": ["swaps"]},
        ValueError,
        "'bh' has no parts that can be left out",
    ),
    "settled -1": ({"settled": -1}, ValueError, "settled is -1"),
    "settled 1001": (
        {"settled": 1001},
        ValueError,
        "settled is 1001; give a whole number from 0 to 1000",
    ),
    "no searches": ({"searches": 0}, ValueError, "searches is 0"),
    "no evaluations": ({"evaluations": 0}, ValueError, "evaluations is 0"),
    "two seeds": ({"seed": 1, "rng": 1}, ValueError, "give one of them"),
    "log in a folder": ({"logfile": "/"}, ValueError, "which is a folder"),
    "trajectory in a folder": ({"trajectory": "/"}, ValueError, "which is a folder"),
    "log nowhere": (
        {"logfile": "no/such/x.log"},
        ValueError,
        "the logfile no/such/x.log cannot be made: there is no no/such; create",
    ),
    "trajectory nowhere": (
        {"trajectory": Path("no/such/x.traj")},
        ValueError,
        "the trajectory no/such/x.traj cannot be made: there is no no/such; create",
    ),
    "long name": ({"trajectory": "t" * 300}, ValueError, "give another name"),
    "null byte": ({"trajectory": "t\0.traj"}, ValueError, "give another name"),
    "number": (
        {"trajectory": 3},
        TypeError,
        "trajectory is of type int; give a",
    ),
    "log and trajectory": (
        {"logfile": "one", "trajectory": Path("./one")},
        ValueError,
        "trajectory and logfile are both 'one'; give them two names",
    ),
    "log and restart": (
        {"logfile": "one", "restart": "one"},
        ValueError,
        "restart and logfile are both 'one'",
    ),
    "log and cache": (
        {"logfile": "one", "cache": "one"},
        ValueError,
        "cache and logfile are both 'one'",
    ),
    "unknown weights": ({"weights": "lj-v9"}, ValueError, "no weights named 'lj-v9'"),
    "missing weights": (
        {"weights": "no/such.safetensors"},
        ValueError,
        "check the path",
    ),
    "horizon 0": ({"horizon": 0}, ValueError, "horizon is 0; give a whole number"),
    "horizon -5": ({"horizon": -5}, ValueError, "horizon is -5"),
    "horizon 1e9": ({"horizon": 10**9}, ValueError, "to 10000000"),
    "no starts": ({"n_starts": 0}, ValueError, "n_starts is 0"),
    "many starts": ({"n_starts": 10**8}, ValueError, "n_starts is 100000000"),
    "time": ({"max_seconds": -1.0}, ValueError, "max_seconds is -1.0; give a time"),
    "no time": ({"max_seconds": 0.0}, ValueError, "give a time above 0"),
    "time NaN": ({"max_seconds": float("nan")}, ValueError, "max_seconds is nan"),
    "target NaN": ({"target_energy": float("nan")}, ValueError, "give a number"),
    "backend": ({"backend": "magic"}, ValueError, "no backend named 'magic'"),
    "device": ({"device": "abacus"}, ValueError, "no 'abacus' device"),
    "no device": ({"device": 0}, TypeError, "device is of type int; give cpu, gpu or"),
    "devices": (
        {"device": ["cpu"]},
        TypeError,
        "device is of type list; give cpu",
    ),
    "long weights": ({"weights": "w" * 5000}, ValueError, "no weights named 'www"),
    "no name": ({"restart": ""}, ValueError, "restart is empty; give the name of a f"),
    "length": ({"length_scale": 0.0}, ValueError, "length_scale is 0.0"),
    "energy": ({"energy_scale": -1.0}, ValueError, "energy_scale is -1.0"),
    "seed": ({"rng": -1}, ValueError, "give a seed from 0"),
    "large seed": ({"rng": 2**32}, ValueError, "to 2\\^32 - 1"),
    "option": ({"maxstep": 0.2}, TypeError, "maxstep"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_make_no_sense(name: str):
    arguments, kind, message = ARGUMENTS[name]
    atoms = argon()
    with pytest.raises(kind, match=message) as caught:
        Learn2Hop(atoms, **({"logfile": None} | arguments))
    one_sentence(caught.value)
    np.testing.assert_array_equal(atoms.positions, argon().positions)


@pytest.mark.parametrize(
    ("check", "kind", "message"),
    [
        (lambda: checked_count("horizon", 2.5, 9), ValueError, "horizon is 2.5; give"),
        (lambda: checked_count("n_starts", True, 9), ValueError, "is True; give"),
        (lambda: checked_number("target_energy", "low"), ValueError, "is 'low'; give"),
        (
            lambda: checked_seed("dice", world),
            TypeError,
            "rng is of type str; give",
        ),
        (lambda: check_files(1.5, None), TypeError, "logfile is of type float; give a"),
    ],
)
def test_arguments_of_another_type(check, kind, message):
    """Where no type checker has been before."""
    with pytest.raises(kind, match=message):
        check()


UNCHECKED = """
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase_l2h import Learn2Hop

atoms = Atoms("Ar2", [[0, 0, 0], [1.1, 0, 0]], calculator=LennardJones())
calls = {
    "no weights named '3'; choose one of": lambda: Learn2Hop(atoms, weights=3),
    "method is of type int; give a name": lambda: Learn2Hop(atoms, method=3),
    "without is 3; give a list of names": lambda: Learn2Hop(atoms, without=3),
    "length_scale is 'long'; give a num": lambda: Learn2Hop(atoms, length_scale="long"),
    "fmax is None; give a": lambda: Learn2Hop(atoms, logfile=None).run(fmax=None),
    "fmax is [0.1]; give a": lambda: Learn2Hop(atoms, logfile=None).run(fmax=[0.1]),
}
for sentence, call in calls.items():
    try:
        call()
    except (TypeError, ValueError) as error:
        print(sentence in str(error) and "\\n" not in str(error), error)
    else:
        print("not refused", sentence)
"""


def test_arguments_of_another_type_as_users_give_them():
    """In a process without the suite's type checker."""
    done = subprocess.run(
        [sys.executable, "-c", UNCHECKED], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 6, done.stderr
    assert all(line.startswith("True ") for line in lines), done.stdout


def test_everything_but_the_atoms_has_a_name():
    with pytest.raises(TypeError, match="positional argument"):
        Learn2Hop(argon(), "restart.json")  # type: ignore[misc]


def test_negative_steps():
    with pytest.raises(ValueError, match="steps is -1; give 0 or more"):
        Learn2Hop(argon(), logfile=None).run(steps=-1)


def test_how_many_calls_may_fail_is_documented():
    """As the engine has it."""
    text = " ".join((Learn2Hop.__doc__ or "").split())
    more = round(1 / MORE_FAILURES)
    said = f"after {MOST_FAILURES} in a row, and one more for every {more} calls"
    assert f"{said} that succeeded, at most {ENDURED}." in text


@pytest.mark.parametrize("fmax", [0.0, -1.0, float("nan"), True])
def test_forces_that_nothing_meets(fmax):
    with pytest.raises(ValueError, match=r"fmax is .*; give a"):
        Learn2Hop(argon(), logfile=None).run(fmax=fmax)


def test_a_backend_for_an_unknown_calculator():
    atoms = bulk("Cu", cubic=True)
    atoms.calc = EMT()
    with pytest.raises(ValueError, match="'scan' cannot run it; leave the backend out"):
        Learn2Hop(atoms, backend="scan", logfile=None)


@pytest.mark.parametrize("shift", [1e12, 1e300])
@pytest.mark.parametrize("calculator", [LennardJones, EMT])
def test_atoms_where_double_precision_is_coarse(shift, calculator):
    atoms = Atoms("Cu4", 2.5 * np.eye(4, 3), calculator=calculator())
    atoms.positions += shift
    with pytest.raises(ValueError, match=r"from the origin.*move the structure"):
        Learn2Hop(atoms, logfile=None)
    known = Problem.of("LJ4")
    with pytest.raises(ValueError, match=r"from the origin.*move the structure"):
        dataclasses.replace(known, given=atoms.positions.T)


@pytest.mark.parametrize("calculator", [LennardJones, EMT])
def test_atoms_too_far_apart_for_double_precision(calculator):
    atoms = Atoms("Cu3", 1e12 * np.eye(3), calculator=calculator())
    with pytest.raises(ValueError, match=r"lie up to 1e\+12 apart.*unit of length"):
        Learn2Hop(atoms, logfile=None)
    known = Problem.of("LJ3")
    with pytest.raises(ValueError, match=r"lie up to 1e\+12 apart.*unit of length"):
        dataclasses.replace(known, given=atoms.positions.T)


def test_atoms_a_million_bonds_away_are_searched():
    atoms = argon()
    atoms.positions += 1e6
    Learn2Hop(atoms, method="fire", seed=0, logfile=None).run(fmax=0.01)
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.01


def test_a_structure_spoilt_after_the_constructor():
    atoms = argon()
    search = Learn2Hop(atoms, logfile=None)
    atoms.positions[0] = np.nan
    with pytest.raises(ValueError, match="position of atom 0"):
        search.run()


def test_a_calculator_without_a_finite_energy():
    class Lost(EMT):
        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            self.results["energy"] = self.results["free_energy"] = np.nan

    atoms = bulk("Cu", cubic=True)
    atoms.calc = Lost()
    with pytest.raises(ValueError, match="no finite energy and forces"):
        Learn2Hop(atoms, logfile=None).run()


def one_sentence(error: BaseException) -> None:
    """No line breaks, no full stop on the way."""
    text = str(error)
    assert "\n" not in text
    assert not re.search(r"\. [A-Z]", text), text
