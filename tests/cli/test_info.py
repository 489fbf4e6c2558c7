"""``ase-l2h info`` and ``ase-l2h weights``."""

from __future__ import annotations

import json

import jax

import ase_l2h
from ase_l2h.potentials.parameters import GUPTA_SETS, STILLINGER_WEBER_SETS
from ase_l2h.weights.load import manifest


def test_info_names_everything_a_report_needs(run):
    result = run("info", "--json")
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert facts["versions"]["ase-l2h"] == ase_l2h.__version__
    assert facts["versions"]["jax"] == jax.__version__
    assert len(facts["devices"]) == len(jax.devices())
    assert facts["backends"][0] == "scan"
    assert set(facts["gupta"]) == set(GUPTA_SETS)
    assert set(facts["stillinger_weber"]) == set(STILLINGER_WEBER_SETS)
    default = [w["name"] for w in facts["weights"] if w["default"]]
    assert sorted(default) == sorted(manifest()["default"].split("+"))
    for entry in facts["weights"]:
        assert entry["sha256"] == manifest()["weights"][entry["name"]]["sha256"]


def test_info_for_people_marks_the_default_weights(run):
    result = run("info")
    assert result.exit_code == 0
    for name in manifest()["default"].split("+"):
        assert f"* {name} " in result.stdout
    for name in ("gupta:AgAu", "sw:Si_jax_md", "cpu:0", jax.__version__):
        assert name in result.stdout


def test_weights_are_listed_and_verified(run):
    names = set(manifest()["weights"])
    rows = json.loads(run("weights", "list", "--json").stdout)
    assert {row["name"] for row in rows} == names
    listed = run("weights", "list")
    assert len(listed.stdout.splitlines()) == len(names)
    verified = run("weights", "verify")
    assert verified.exit_code == 0
    here = [row for row in rows if row["status"] != "not downloaded"]
    assert verified.stdout.count("intact") == len(here) >= 1
