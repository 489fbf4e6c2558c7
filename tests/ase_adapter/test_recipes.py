"""A search as a job of plain data."""

from __future__ import annotations

import json

import pytest
from ase.calculators.emt import EMT
from ase.cluster import Icosahedron

from ase_l2h.ase_adapter.recipes import search_atoms

LJ7 = -16.505384
SHORT = {"evaluations": 2000, "seed": 3}


def test_a_record_is_plain_data():
    record = search_atoms("LJ7", **SHORT)
    assert record["energy"] == pytest.approx(LJ7, abs=1e-6)
    assert json.loads(json.dumps(record)) == record
    assert len(record["positions"]) == len(record["symbols"]) == 7
    assert record["minima"][0]["energy"] == record["energy"]


def test_atoms_get_the_calculator_that_is_named_and_stay_where_they_are():
    atoms = Icosahedron("Cu", 2)
    before = atoms.get_positions()
    record = search_atoms(atoms, EMT, evaluations=40)
    assert (atoms.get_positions() == before).all()
    assert atoms.calc is None
    atoms.calc = EMT()
    assert record["energy"] <= atoms.get_potential_energy() + 1e-9
    assert record["stopped"] == "evaluations"


def test_a_jobflow_job_is_one_line():
    jobflow = pytest.importorskip("jobflow", reason="jobflow is not installed")
    job = jobflow.job(search_atoms)("LJ7", **SHORT)
    (outputs,) = jobflow.run_locally(jobflow.Flow([job])).values()
    assert outputs[1].output["energy"] == pytest.approx(LJ7, abs=1e-6)
