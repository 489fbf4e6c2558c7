"""What is declared: targets, methods and their energies, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import numpy as np
import pytest

from ase_l2h.comparison.protocol import (
    MethodSpec,
    Protocol,
    declare,
    known_minimum,
    method_spec,
)
from ase_l2h.errors import InputError
from ase_l2h.rules.learned.coordinatewise import CoordinatewiseRule
from ase_l2h.rules.learned.features import FeatureSet
from ase_l2h.search.hopping import Hopping
from ase_l2h.search.names import METHODS
from ase_l2h.search.problem import Problem
from ase_l2h.weights.load import save_weights

LJ7 = Problem.of("LJ7")


def declared(targets: Any = "LJ7", methods: Any = "bh", **changed: Any) -> Protocol:
    numbers: dict[str, Any] = {"runs": 1, "budget": 100, "seed": 0} | changed
    return declare(targets, methods, **numbers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bh@500", "runs until its budget"),
        ("auto@600", "runs until its budget"),
        ("auto~genetic", "no part named 'genetic'"),
        ("bh~swaps", "'bh~swaps': only auto has parts that can be left out"),
        (
            "auto~uniform~symmetric~fragments~learned-starts",
            "no source of structures is left",
        ),
        ("lbfgs", "no method named 'lbfgs'"),
        ("adam:lj", "uses no weights"),
        ("", "is not a method"),
        ("learned:", "is not a method"),
        ("learned:nowhere", "nowhere"),
    ],
)
def test_methods_that_cannot_be_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        method_spec(text)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("adam@0", "steps is 0"),
        ("auto:lj@600", "takes no steps"),
        (["bh", "bh"], "bh is given twice"),
        ([], "nothing is compared"),
    ],
)
def test_what_cannot_be_run_is_found_out_when_it_is_declared(methods, message):
    with pytest.raises(InputError, match=message):
        declared(LJ7, methods)


@pytest.mark.parametrize("method", ["auto", "learned"])
def test_weights_for_fewer_elements_are_refused_when_they_are_declared(
    method, tmp_path
):
    """A rule that tells two kinds of atoms apart, and atoms of three."""
    path = tmp_path / "two.safetensors"
    rule = CoordinatewiseRule.create(jax.random.key(3), FeatureSet(species_slots=2))
    save_weights(path, rule, {"horizon": 400, "tasks": ["LJ7"]})
    numbers = [18, 18, 36, 36, 54]
    mixed = Problem.from_function(
        np.sum, numbers, length_scale=1, energy_scale=1, name="mixed"
    )
    said = f"mixed: the method '{method}:.*' has weights for 2 .* structure has 3"
    with pytest.raises(InputError, match=said):
        declared(mixed, f"{method}:{path}", energies={"mixed": 0.0})
    declared("Ag3Au4", f"{method}:{path}", energies={"Ag3Au4": 0.0})


def test_parts_that_are_left_out_are_read_and_told_apart():
    spec = method_spec("auto~swaps~fragments")
    assert (spec.name, spec.method) == ("auto~swaps~fragments", "auto")
    assert spec.make(LJ7).describe()["without"] == ["fragments", "swaps"]
    weighed = method_spec("auto:lj-fcc~melts")
    settings = weighed.make(LJ7).describe()
    assert (settings["weights"], settings["without"]) == ("lj-fcc", ["melts"])
    protocol = declared(methods=["auto", "auto~melts"])
    (problem,) = protocol.problems
    entries = [protocol.entry(problem, spec) for spec in protocol.methods]
    assert entries[0]["settings"] != entries[1]["settings"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"runs": 0}, "0 runs are asked for"),
        ({"budget": 0}, "evaluations are asked for"),
        ({"seed": -1}, "give a number from 0"),
        ({"targets": []}, "nothing is compared"),
        ({"targets": ["LJ7", "LJ7"]}, "LJ7 is given twice"),
        ({"targets": "Au9"}, "Au9 has no published minimum; give"),
        ({"energies": {"LJ8": -1.0}}, "'LJ8' has an energy but is not one"),
        ({"energies": {"LJ7": float("nan")}}, "LJ7 has no published minimum"),
        ({"backend": "fast"}, "no backend named 'fast'"),
    ],
)
def test_impossible_protocols_are_refused(changed, message):
    with pytest.raises(InputError, match=message):
        declared(**changed)


def test_every_method_of_a_search_can_be_compared():
    """One structure at a time, where the method leaves that open."""
    for name in METHODS:
        method = method_spec(name).make(LJ7)
        assert method.name == name
        width = method.describe()["width"]
        assert width == 1 or name == "auto"


def test_a_method_is_read_with_its_weights_and_steps():
    spec = method_spec("learned:lj-fcc@3000")
    settings = spec.make(LJ7).describe()
    assert (settings["weights"], settings["steps"]) == ("lj-fcc", 3000)
    assert method_spec("learned").make(LJ7).describe()["steps"] == 600
    # A method itself takes part, too.
    own = Hopping("own", lambda _: None, width=1)  # type: ignore[arg-type,return-value]
    (taken,) = declared(methods=[own]).methods
    assert taken == MethodSpec("own", own)


def test_the_entry_of_a_declaration_tells_runs_apart():
    """As JSON has it, so that a line read from a file is the same."""
    protocol = declared(methods=["learned", "learned:lj"])
    (problem,) = protocol.problems
    one, other = (protocol.entry(problem, spec) for spec in protocol.methods)
    assert json.loads(json.dumps(one)) == one
    assert one["settings"]["weights_sha256"] != other["settings"]["weights_sha256"]
    for changed in ({"budget": 101}, {"seed": 1}, {"backend": "scan"}):
        again = declared(methods=["learned", "learned:lj"], **changed)
        assert again.entry(problem, again.methods[0]) != one


def test_what_counts_as_found_has_a_source():
    found = {name: known_minimum(Problem.of(name)) for name in ("LJ38", "Au55", "Au9")}
    assert found["Au55"] is not None
    assert found["LJ38"] == pytest.approx(-173.928427, abs=1e-6)
    # The paper prints -181.89 for this cluster.
    assert round(found["Au55"], 2) == -181.89
    assert found["Au9"] is None
    (problem,) = declared("Au9", energies={"Au9": -3.5}).problems
    assert problem.reference == -3.5


def test_runs_do_not_begin_with_a_structure_that_all_would_share():
    """Only where atoms are fixed does somebody have to say where."""
    given = np.random.default_rng(1).normal(size=(3, 7, 2))
    (free,) = declared(dataclasses.replace(LJ7, given=given)).problems
    assert free.given.shape == (3, 7, 0)
    mask = np.ones((3, 7), bool)
    mask[:, 0] = False
    system = dataclasses.replace(LJ7.system, free=mask)
    given[:, 0] = given[:, 0, :1]
    fixed = dataclasses.replace(LJ7, system=system, given=given)
    (kept,) = declared(fixed).problems
    assert kept.given.shape == (3, 7, 2)
