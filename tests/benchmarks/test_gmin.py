"""Basin hopping costs what GMIN's does, by the committed record and in small anew."""

from __future__ import annotations

import json
import math
from types import ModuleType

import numpy as np
import pytest

from ase_l2h.comparison.first_encounter import first_encounters
from ase_l2h.search.problem import Problem


@pytest.fixture
def gmin(benchmark_module) -> ModuleType:
    """The benchmark's module."""
    return benchmark_module("hits.gmin")


def test_the_record_agrees_with_gmin_within_three_standard_errors(gmin):
    """All of 100 chains of one seed, each counted once, none left out."""
    lines = [json.loads(line) for line in gmin.RECORDS.read_text().splitlines()]
    assert len({line["seed"] for line in lines}) == 1
    firsts = sorted(line["first"] for line in lines)
    assert firsts == list(range(0, 100, gmin.PART))
    record = gmin.joined(lines)
    assert all(len(values) == 100 for values in record.values())
    assert abs(gmin.standard_errors_apart(record, "quenches")) < 3
    # A quench takes dozens of evaluations, GMIN's 137 on average.
    per_quench = np.array(record["evaluations"]) / np.array(record["quenches"])
    assert np.all((per_quench > 40) & (per_quench < 300))


def test_standard_errors_apart(gmin):
    """Against numbers made by hand: same spread, half a mean more."""
    published = gmin.GMIN["quenches"]
    np.testing.assert_allclose(published.error, 309.298)
    spread = np.tile([-1.0, 1.0], 50) * published.deviation * math.sqrt(0.99)
    record = {"quenches": published.mean * 1.5 + spread, "found": [True] * 100}
    np.testing.assert_allclose(
        gmin.standard_errors_apart(record, "quenches"),
        0.5 * published.mean / (published.error * math.sqrt(2)),
        rtol=1e-6,
    )


def test_chains_that_were_cut_off_raise_the_mean(gmin):
    record = {"quenches": [100, 300, 500, 500], "found": [True, True, False, False]}
    assert gmin.mean_and_error(record, "quenches") == (700.0, 700.0 / math.sqrt(2))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_gmins_settings_cost_what_gmins_runs_did(gmin):
    """48 chains of another seed, to their ends: 14 % standard error."""
    problem = Problem.of("LJ38")
    assert problem.reference is not None
    result = first_encounters(
        problem, gmin.gmin_basin_hopping(), problem.reference, chains=48, seed=3838
    )
    assert result.found.all()
    record = {"quenches": result.quenches, "found": result.found}
    assert abs(gmin.standard_errors_apart(record, "quenches")) < 3
