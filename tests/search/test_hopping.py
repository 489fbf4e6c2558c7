"""Searches by basin hopping, from the command line and from Python."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from ase_l2h.cli.main import cli
from ase_l2h.search.multistart import search
from ase_l2h.targets import named_target

ICOSAHEDRON = -44.326801


def run_search(*arguments: object) -> dict:
    """The JSON record of ``ase-l2h search``."""
    words = ["search", *map(str, arguments), "--quiet", "--json"]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_basin_hopping_finds_lj13_and_stops_there():
    record = run_search(
        *("LJ13", "--method", "bh", "--starts", 4, "--steps", 20_000, "--seed", 5),
        *("--target-energy", ICOSAHEDRON),
    )
    assert (record["method"], record["weights"]) == ("bh", None)
    assert record["stopped"] == "target"
    np.testing.assert_allclose(record["best_energy"], ICOSAHEDRON, rtol=0, atol=1e-6)
    # Each start is charged what it took; none went on to the end.
    assert max(record["evaluations"]) < 5000
    assert record["charged_evaluations"] == sum(record["evaluations"])


@pytest.mark.slow
def test_the_papers_basin_hopping_is_better_than_adam_and_the_strong_one_best():
    """On LJ13, two hops of the paper's length; the strong one finds all."""
    target = named_target("LJ13")
    request = {"n_starts": 64, "n_steps": 15_000, "seed": 6}
    adam, paper, strong = (
        search(target.potential, target.system, method=method, **request)
        for method in ("adam", "bh-paper", "bh")
    )
    assert adam.energies.mean() > paper.energies.mean() > strong.energies.mean()
    assert np.all(strong.energies < ICOSAHEDRON + 1e-4)
    # The steps, and the evaluations of the quench that confirms.
    assert paper.evaluations.min() > 15_000
    assert paper.evaluations.max() < 15_500


def test_weights_are_refused():
    words = ["search", "LJ13", "--method", "bh", "--weights", "lj"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "method 'bh' uses no weights" in result.output
