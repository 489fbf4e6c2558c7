"""Tables and figures of the action paper: what they say follows from the records."""

from __future__ import annotations

import inspect
import json

import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h._internal.records import Records
from ase_l2h.reproduce.action.atoms import binary_table, cluster_table
from ase_l2h.reproduce.action.figures import course_figure, loss_figure
from ase_l2h.reproduce.action.lines import BUDGETS, Budget, function_lines
from ase_l2h.reproduce.action.methods import METHODS, function_copy, function_line
from ase_l2h.reproduce.action.tables import (
    cost_table,
    function_table,
    ordering_table,
    paths_table,
)

TRACE = {
    "charged_evaluations": [100, 200, 300, 400],
    "energy": [9.0, 5.0, 4.0, None],
    "loss": [2.0, 1.0, 3.0, 0.5],
    "distance": [40.0, 30.0, 8.0, 9.0],
    "phase": ["samples", "samples", "paths", "paths"],
}


def line(method, seed, distance, energy, copy="original", dimension=4, **more):
    return {
        "record": "function",
        "function": "alpine1",
        "dimension": dimension,
        "copy": copy,
        "method": method,
        "seed": seed,
        "budget": 1000,
        "energy": energy,
        "distance": distance,
        "least_distance": distance / 2,
        "to_zero": 0.25,
        "charged_evaluations": 1000,
        "cpu_seconds": 0.5 + seed,
        "trace": TRACE,
        **more,
    }


LINES = [
    line("action", 0, 2.0, 30.0),
    line("regression", 0, 6.0, 20.0),
    line("Adam", 0, 60.0, 10.0),
    line("action", 1, 4.0, 1.0),
    line("regression", 1, 8.0, 2.0),
    line("Adam", 1, 20.0, 3.0),
    line("action", 0, 2.0, 3.0, "shifted"),
]


def cells(table: str) -> list[list[str]]:
    return [[c.strip() for c in row.strip("|").split("|")] for row in table.split("\n")]


def test_distances_are_per_coordinate_with_their_range():
    rows = cells(function_table(LINES, "alpine1"))
    assert rows[0][1:3] == ["evaluations", "method"]
    assert rows[0][3:] == ["U", "distance", "nearest point", "to a zero"]
    found = next(r for r in rows if r[:3] == ["4, original", "1,000", "action"])
    # Distances 2 and 4 in four dimensions: 1 and 2 per coordinate.
    assert found[3:] == [
        "15.5 (1 to 30)",
        "1.5 (1 to 2)",
        "0.75 (0.5 to 1)",
        "0.25 (0.25 to 0.25)",
    ]
    assert ["4, shifted", "1,000", "action", "3", "1", "0.5", "0.25"] in rows


def test_published_numbers_stand_beside_ours():
    """Table 2 of the paper prints 3.601, 17.2482 and 31.8134 per coordinate."""
    rows = cells(function_table(LINES, "alpine1"))
    published = [r for r in rows if r[0] == "1000, paper"]
    assert [(r[2], r[4]) for r in published] == [
        ("action", "3.6"),
        ("regression", "17.2"),
        ("Adam", "31.8"),
    ]
    schaffer = [{**one, "function": "schaffer-f7"} for one in LINES]
    rows = cells(function_table(schaffer, "schaffer-f7"))
    assert "to a zero" not in rows[0]
    assert [r[4] for r in rows if r[0] == "1000, paper"] == ["3.24", "15.7", "53.8"]


def test_the_order_is_counted_by_distance_and_by_value():
    rows = cells(ordering_table(LINES))
    assert rows[2:] == [["Alpine-1", "4", "1,000", "original", "2", "1", "2"]]


def test_runs_of_different_budgets_are_kept_apart():
    larger = [line("action", 0, 1.0, 5.0, budget=9000)]
    rows = cells(function_table([*LINES, *larger], "alpine1"))
    assert ["4, original", "9,000", "action", "5", "0.5", "0.25", "0.25"] in rows
    assert cells(ordering_table([*LINES, *larger])) == cells(ordering_table(LINES))


def test_what_paths_add_is_a_ratio_at_the_same_evaluations():
    """Medians 7 and 3; the larger budget is that of one method only."""
    rows = cells(paths_table([*LINES, line("action", 0, 0.1, 5.0, budget=9000)]))
    assert rows[0] == ["function, copy", "d = 4"]
    assert rows[2:] == [["Alpine-1, original", "2.33"], ["Alpine-1, shifted", "-"]]


def test_the_cost_is_that_of_the_run_that_did_not_compile():
    rows = cells(cost_table(LINES))
    assert rows[0] == ["method", "d = 4"]
    assert ["action", "500"] in rows
    assert ["learned", "-"] in rows


def test_pictures_show_both_networks_and_survive_missing_values():
    figure = course_figure(LINES, "alpine1")
    assert len(figure.axes) == 4
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["action", "regression"]
    assert len(loss_figure(LINES).axes) == 1


def test_shifted_copies_follow_from_the_seed():
    first = function_copy("alpine1", 5, "shifted", 0)
    again = function_copy("alpine1", 5, "shifted", 0)
    other = function_copy("alpine1", 5, "shifted", 1)
    np.testing.assert_array_equal(first.shift, again.shift)
    assert not np.allclose(first.shift, other.shift)
    assert np.all(function_copy("alpine1", 5, "original", 1).shift == 0)


def test_a_measured_line_agrees_with_the_function():
    """Adam ends in valleys of Alpine-1: close to a zero, far from the origin."""
    found = function_line("alpine1", 3, "shifted", "Adam", 5, 24_000, (0.2,))
    assert 23_000 < found["charged_evaluations"] <= 24_000
    assert found["points"] == 40
    assert found["to_zero"] < 0.05
    assert 0 < found["energy"] < 5
    assert found["distance"] >= found["least_distance"]
    assert found["distance"] > 20 * found["to_zero"]
    json.dumps(found, allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_to_its_budget_and_improves(method):
    budget = 20_000
    found = function_line("schaffer-f7", 4, "shifted", method, 5, budget, (0.2, 1.0))
    assert 0.9 * budget <= found["charged_evaluations"] <= 1.15 * budget
    start = function_copy("schaffer-f7", 4, "shifted", 5)
    points = np.random.default_rng(0).uniform(-100, 100, (4, 500))
    typical = np.median(start.energy(jnp.asarray(points, jnp.float32)))
    assert found["energy"] < 0.8 * typical


@pytest.mark.slow
def test_what_is_recorded_is_not_run_again(tmp_path):
    size = Budget((2,), 1, 3000, (0.5,))
    records, seen = Records(tmp_path / "r.jsonl"), []
    progress = lambda done, of, what: seen.append((done, of, what))
    methods = ("Adam", "basin hopping")
    first = function_lines(records, ["alpine1"], size, 7, progress, methods=methods)
    content = (tmp_path / "r.jsonl").read_bytes()
    again = function_lines(
        Records(tmp_path / "r.jsonl"), ["alpine1"], size, 7, progress, methods=methods
    )
    assert first == again
    assert (tmp_path / "r.jsonl").read_bytes() == content
    assert [s[:2] for s in seen] == [(k, 4) for k in range(5)] * 2


def test_tables_of_atoms_are_read_from_their_records():
    binary = {
        "record": "binary",
        "method": "FIRE",
        "energy": -8.2,
        "mean": -8.1,
        "starts": 4,
        "charged_evaluations": 12345,
    }
    rows = cells(binary_table([*LINES, binary]))
    assert rows[2][:2] == ["StriderNET's glass, T = 0.05", "-8.1126"]
    assert rows[3] == ["FIRE", "-8.2000", "-8.1000", "-0.0874", "4", "12,345"]
    cluster = {
        "record": "cluster",
        "target": "LJ13",
        "method": "action",
        "seed": 1,
        "learned": 4.5,
        "energy": -41.0,
        "reference": -44.326801,
        "hits": 0,
        "relaxed": 3,
        "charged_evaluations": 5000,
    }
    rows = cells(cluster_table([cluster, binary]))
    assert rows[2][3:] == ["4.50", "-41.0000", "-44.3268", "0/3", "5,000"]


def test_everything_of_this_paper_has_the_budgets_and_takes_a_dimension():
    from ase_l2h.reproduce.registry import TABLES_AND_FIGURES

    for item in TABLES_AND_FIGURES.values():
        takes = "dimension" in inspect.signature(item.load()).parameters
        assert takes == (item.paper == "action")
        if takes:
            assert item.budgets == tuple(BUDGETS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fig7", "--dimension", "5"], "fig7 has no dimension to choose; leave out"),
        (["all", "--dimension", "5"], "all has no dimension to choose; leave out"),
        (["binary-lj", "--dimension", "5"], "binary-lj is a glass of 100 atoms; leave"),
        (["action-table1", "--dimension", "0"], "0 is not in the range 2<=x<=100000"),
    ],
)
def test_impossible_dimensions_are_refused_in_a_sentence(
    arguments, sentence, tmp_path, monkeypatch
):
    from click.testing import CliRunner

    from ase_l2h.cli.main import cli

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["reproduce", *arguments, "--quiet"])
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert result.stderr.count("\n") == 1
