"""``ase-l2h info`` and ``ase-l2h weights``."""

from __future__ import annotations

import json

import jax
import pytest

import ase_l2h
from ase_l2h.cli.weights import shortened
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


def test_info_for_people_names_the_default_weights(run):
    result = run("info")
    assert result.exit_code == 0
    assert f" loads {manifest()['default']}\n" in result.stdout
    for name in ("gupta:AgAu", "sw:Si_jax_md", "cpu:0", jax.__version__):
        assert name in result.stdout


def test_weights_are_listed_and_verified(run):
    names = set(manifest()["weights"])
    rows = json.loads(run("weights", "list", "--json").stdout)
    assert {row["name"] for row in rows} == names
    for row in rows:
        assert row["role"] == manifest()["weights"][row["name"]]["role"]
    verified = run("weights", "verify")
    assert verified.exit_code == 0
    here = [row for row in rows if row["status"] != "not downloaded"]
    assert verified.stdout.count("intact") == len(here) >= 1


def test_the_list_explains_itself_within_a_screen(run):
    """Every file under the heading of its role, and what is loaded by itself."""
    known, lines = manifest(), run("weights", "list").stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    words = [line.split() for line in lines]
    group, found = None, {}
    for line in lines[1:]:
        if line and not line.startswith(" "):
            group = line.partition(" (")[0]
        elif line and line.split()[0] in known["weights"]:
            found[line.split()[0]] = group
    assert found == {name: entry["role"] for name, entry in known["weights"].items()}
    for kind, names in known["auto"].items():
        assert ["auto,", *kind.split(), "loads", names] in words


@pytest.mark.parametrize(
    ("tasks", "short"),
    [
        (["LJ13"], "LJ13"),
        (["Au55", "LJ75", "Si8", "LJ13", "Au13", "LJ38"], "LJ13-75, Au13-55, Si8"),
        (["Ag16Au22", "Ag31Pt7", "Ag38", "Ag8Au30"], "Ag38, AgAu/AgPt 38"),
        (["Ag6Au7", "Ag19Au19", "Ag19Pt19"], "AgAu 13-38, AgPt 38"),
        (["Morse13", "KA100"], "KA100, Morse13"),
    ],
)
def test_targets_are_listed_as_ranges(tasks, short):
    assert shortened(tasks) == short
