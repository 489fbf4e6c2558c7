"""Records: whole lines only, settings of an older release, machine and versions."""

from __future__ import annotations

import json
import os

import pytest

from ase_l2h._internal import machine
from ase_l2h._internal.records import Records, read_lines, reading_only, write_lines


def test_a_half_line_is_dropped_and_what_is_there_is_not_made_again(tmp_path):
    path = tmp_path / "folder" / "records.jsonl"
    records = Records(path)
    line = records.get({"seed": 1}, lambda: {"energy": -2.0})
    assert line["energy"] == -2.0
    assert {"machine", "versions"} < set(line)
    with path.open("a") as stream:
        stream.write('{"seed": 2, "ene')
    again = Records(path)
    assert again.get({"seed": 1}, lambda: pytest.fail("made again")) == line
    assert path.read_text().count("\n") == len(read_lines(path)) == 1
    with reading_only(), pytest.raises(LookupError, match="lacks the results"):
        again.get({"seed": 2}, dict)


def test_settings_of_an_older_release_are_found_under_todays_names(tmp_path):
    """Renaming a class must not make old results look like those of other settings."""
    path = tmp_path / "records.jsonl"
    former = "BasinHopping(quench=Descent(rule=GradientDescent()), stages=Stages(n=0))"
    write_lines(path, [{"settings": former, "energy": -3.0}, {"settings": None}])
    rule = "RuleOptimizer(rule=GradientDescent())"
    name = f"BasinHopping(quench={rule}, restarts=Restarts(n=0))"
    line = Records(path).find({"settings": name})
    assert line is not None
    assert line["energy"] == -3.0
    # The file itself stays as it was written.
    assert json.loads(path.read_text().splitlines()[0])["settings"] == former


def test_a_damaged_record_says_what_to_do(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("[1, 2]\n")
    with pytest.raises(ValueError, match="move it away to begin anew"):
        read_lines(path)


def test_cores_are_those_that_this_process_may_use():
    count = machine.core_count()
    assert 1 <= count <= (os.cpu_count() or 1)
    assert machine.machine_class().endswith(f", {count} core{'s' * (count > 1)}")


def test_versions_are_those_of_installed_packages():
    numbers = machine.versions(("numpy", "no-such-package"))
    assert set(numbers) == {"numpy"}
    assert {"python", "jax"} <= set(machine.provenance()["versions"])
