"""One call, ``ase_l2h.search``, for everything that has an energy."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.cluster import Icosahedron

import ase_l2h
from ase_l2h.ase_adapter.calculators import LennardJones
from ase_l2h.ase_adapter.front import search
from ase_l2h.errors import InputError
from ase_l2h.search.limits import Limits
from ase_l2h.search.names import DEFAULT_METHOD
from ase_l2h.search.problem import Problem
from ase_l2h.search.registry import make_method
from ase_l2h.targets import named_target

LJ7 = -16.505384
SHORT = Limits(evaluations=2000)


def cluster() -> Atoms:
    """Seven atoms in two rows."""
    positions = 1.1 * np.argwhere(np.ones((2, 2, 2)))[:7] + 9.0
    return Atoms("Ar7", positions, calculator=LennardJones())


@pytest.mark.parametrize(
    "problem",
    [
        "LJ7",
        named_target("LJ7"),
        Problem.of("LJ7"),
        cluster(),
    ],
    ids=["name", "target", "problem", "atoms"],
)
def test_whatever_has_an_energy_can_be_searched(problem):
    result = ase_l2h.search(problem, limits=SHORT, seed=3)
    assert result.best_energy == pytest.approx(LJ7, abs=1e-6)
    assert result.method == DEFAULT_METHOD
    assert result.charged_evaluations <= 2000
    again = search(problem, limits=SHORT, seed=3)
    assert again.best_energy == result.best_energy
    assert again.charged_evaluations == result.charged_evaluations


def test_atoms_are_the_first_structure_and_stay_where_they_are():
    """A search that may take no step begins and ends with them."""
    atoms = cluster()
    before = atoms.get_positions()
    result = search(atoms, method="fire", starts=1, steps=1)
    np.testing.assert_array_equal(atoms.positions, before)
    given = result.problem.given[..., 0].T
    np.testing.assert_allclose(given, before - before.mean(axis=0), atol=0.01)
    assert result.problem.identity["calculator"] == "LennardJones"


def copper() -> Atoms:
    """Thirteen shaken atoms with a calculator that nobody can look into."""
    atoms = Icosahedron("Cu", 2)
    atoms.rattle(0.2, rng=np.random.default_rng(3))
    atoms.calc = EMT()
    return atoms


def test_an_unknown_calculator_takes_the_default_method_too():
    atoms = copper()
    before, energy = atoms.get_positions(), atoms.get_potential_energy()
    result = search(atoms, limits=Limits(evaluations=80))
    assert (result.method, result.backend) == (DEFAULT_METHOD, "calculator")
    assert result.stopped == "evaluations"
    assert result.best_energy < energy
    assert 50 < result.charged_evaluations <= 80
    np.testing.assert_array_equal(atoms.positions, before)


def test_one_learned_start_of_a_calculator_takes_few_calls():
    atoms = copper()
    energy = atoms.get_potential_energy()
    result = search(atoms, method="learned", steps=10, starts=1)
    assert (result.method, result.backend, result.stopped) == (
        "learned",
        "calculator",
        "done",
    )
    assert result.best_energy < energy
    assert result.charged_evaluations < 1000


def test_a_search_ends_when_the_lowest_minimum_is_settled():
    """Where nobody says how long; and as often as somebody says."""
    result = search("LJ5", seed=1)
    assert result.stopped == "settled"
    assert result.confidence.met == 3
    assert result.best_energy == pytest.approx(-9.103852, abs=1e-6)
    once = search("LJ5", seed=1, limits=Limits(settled=1))
    assert once.confidence.met == 1
    assert once.charged_evaluations < result.charged_evaluations


def test_parts_of_the_default_method_can_be_left_out():
    result = search("LJ5", without=["fragments"], limits=Limits(settled=1))
    assert result.settings["without"] == ["fragments"]
    with pytest.raises(InputError, match="no part named 'genetic'"):
        search("LJ5", without=["genetic"])
    with pytest.raises(InputError, match="'bh' has no parts that can be left out"):
        search("LJ5", method="bh", without=["fragments"])


def test_options_are_those_of_every_search():
    method = make_method("bh", Problem.of("LJ7"), steps=500, starts=2)
    result = ase_l2h.search("LJ7", method=method, searches=2, seed=1)
    assert len(result.searches) == 2
    with pytest.raises(InputError, match="no method named"):
        ase_l2h.search("LJ7", method="genetic")
    with pytest.raises(TypeError, match="temperature"):
        ase_l2h.search("LJ7", temperature=300)
    with pytest.raises(InputError, match="not of a int; pass Atoms"):
        ase_l2h.search(38)


def test_the_package_is_callable_without_importing_anything():
    """In a fresh interpreter: its modules stay importable as always."""
    code = (
        "import sys, types, ase_l2h\n"
        "assert isinstance(ase_l2h.search, types.ModuleType)\n"
        "assert callable(ase_l2h.search)\n"
        "assert not {'jax', 'ase', 'numpy'} & set(sys.modules)\n"
        "from ase_l2h import search\n"
        "import ase_l2h.search.names as names\n"
        "assert search is ase_l2h.search and search.names is names\n"
        "few = {'starts': 2, 'steps': 10, 'backend': 'scan'}\n"
        "result = search('LJ3', method='fire', **few)\n"
        "assert abs(result.best_energy + 3) < 1e-6\n"
        "assert search is ase_l2h.search\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_limit_outside_of_limits_says_where_it_belongs():
    with pytest.raises(TypeError, match=r"limits=ase_l2h.Limits\(evaluations=...\)"):
        ase_l2h.search("LJ7", evaluations=100)


def stray() -> Atoms:
    """Seven atoms in two rows, and one far away."""
    atoms = cluster()
    atoms += Atoms("Ar", [[40, 9, 9]])
    return atoms


def test_separate_parts_that_a_short_search_leaves_are_told(capsys):
    """The atom that is 29 lengths away feels no force."""
    result = search(stray(), method="fire", starts=1)
    assert result.gap == pytest.approx(29, abs=2)
    atoms = stray()
    ase_l2h.Learn2Hop(atoms, method="fire", n_starts=1).run(0.01)
    gap = atoms.get_all_distances()[7, :7].min()
    told = f"Learn2Hop: the lowest structure has separate parts, {gap:.4g} apart"
    assert told in capsys.readouterr().out
    joined = search(stray(), limits=Limits(evaluations=3000))
    assert joined.gap is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folder": 3}, "the folder is of type int; give a name"),
        ({"folder": "a\0b"}, "the folder cannot be"),
        ({"colour": 1}, "search has no argument colour"),
        ({"method": "fire", "steps": "5"}, "steps is '5'; give a whole number"),
        ({"method": "fire", "starts": 2.5}, "starts is 2.5; give a whole number"),
        ({"width": True}, "width is True; give a whole number"),
    ],
)
def test_arguments_of_other_kinds_are_named(options, message):
    with pytest.raises(InputError, match=message):
        search("LJ7", limits=SHORT, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache": 3}, "cache is of type int; give a name"),
        ({"cache": b"calls"}, "cache is of type bytes; give a name"),
        ({"cache": "a\0b"}, "cache cannot be"),
        ({"keep_molecules": 3}, "keep_molecules is 3; give True, False or None"),
    ],
)
def test_arguments_of_other_kinds_are_named_for_calculators(options, message):
    atoms = cluster()
    atoms.calc = EMT()
    with pytest.raises(InputError, match=message):
        search(atoms, limits=SHORT, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 5), "'3' is not a pair of elements"),
        (("AgAu", "5"), "the clusters have '5' atoms"),
        (("AgAu", 5.5), "the clusters have 5.5 atoms"),
        (("AgAu", 5, [2.5]), "2.5 atoms of Ag in a cluster of 5 are impossible"),
        (("AgAu", 5, 3), "compositions is 3; give a list"),
    ],
)
def test_hulls_of_no_system_are_refused(arguments, message):
    system, n_atoms, *compositions = arguments
    chosen = compositions[0] if compositions else None
    with pytest.raises(InputError, match=message):
        ase_l2h.find_hull(system, n_atoms, compositions=chosen)


def test_a_function_may_hold_arrays_of_numpy():
    """Indices and numbers of 64 bits, evaluated in both precisions."""
    i, j = np.triu_indices(7, 1)
    strength = np.full(len(i), 4.0)

    def energy(positions):
        inverse = jnp.sum((positions[i] - positions[j]) ** 2, axis=1) ** -3
        per_atom = jnp.zeros(7).at[i].add(strength * (inverse**2 - inverse))
        return jnp.sum(per_atom)

    # What a user has tried before, and keeps.
    used = jax.jit(energy)
    assert used(jnp.asarray(np.random.default_rng(0).normal(size=(7, 3)))).shape == ()
    problem = ase_l2h.Problem.from_function(
        energy, [18] * 7, length_scale=1.1, energy_scale=1.0
    )
    limits = ase_l2h.Limits(evaluations=300)
    result = ase_l2h.search(problem, limits=limits, seed=0)
    assert result.best_energy == pytest.approx(-16.505384, abs=1e-6)
    # JAX is as it was.
    assert used(jnp.ones((7, 3)).at[:, 0].set(jnp.arange(7.0))).dtype == jnp.float32
