"""Basin hopping as a search method."""

from __future__ import annotations

import numpy as np
import pytest

from ase_l2h.search.curvature import STEPS
from ase_l2h.search.driver import search_problem
from ase_l2h.search.limits import Limits
from ase_l2h.search.multistart import start_table
from ase_l2h.search.problem import Problem

# Gradients by which a curvature is known.
CHECK = STEPS + 2

ICOSAHEDRON = -44.326801
LJ13 = Problem.of("LJ13")


def test_chains_find_lj13_and_stop_there():
    result = search_problem(
        LJ13,
        method="bh",
        width=1,
        searches=4,
        seed=5,
        limits=Limits(evaluations=20_000, target_energy=ICOSAHEDRON),
        stop_together=False,
    )
    assert result.stopped == "target"
    np.testing.assert_allclose(result.best_energy, ICOSAHEDRON, rtol=0, atol=1e-6)
    # Each is charged what it took; none went on to the end.
    assert max(trace.charged for trace in result.searches) < 5000


def test_every_chain_has_its_lowest_minimum_and_its_charge():
    result = search_problem(LJ13, method="bh", starts=5, steps=3000, seed=2)
    table = start_table(result)
    assert result.stopped == "done"
    assert table.energies.shape == (5,)
    assert np.all(table.evaluations >= 3000)
    # The rest tells that the lowest of all is no saddle point.
    assert 0 < result.charged_evaluations - np.sum(table.evaluations) <= CHECK
    assert result.best_energy == np.min(table.energies)
    fewer = start_table(search_problem(LJ13, method="bh", starts=2, steps=3000, seed=2))
    np.testing.assert_array_equal(fewer.energies, table.energies[:2])


@pytest.mark.slow
def test_the_papers_basin_hopping_is_better_than_adam_and_the_strong_one_best():
    """On LJ13, two hops of the paper's length; the strong one finds all."""
    request = {"starts": 64, "steps": 15_000, "seed": 6}
    adam, paper, strong = (
        start_table(search_problem(LJ13, method=method, **request))
        for method in ("adam", "bh-paper", "bh")
    )
    assert adam.energies.mean() > paper.energies.mean() > strong.energies.mean()
    assert np.all(strong.energies < ICOSAHEDRON + 1e-4)
    # The steps, and the evaluations of the quench that confirms.
    assert paper.evaluations.min() > 15_000
    assert paper.evaluations.max() < 15_500
