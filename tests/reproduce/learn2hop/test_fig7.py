"""Fig. 7: records, excess against the best pure clusters, resumption."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import ase_l2h.reproduce.learn2hop.fig7 as module
from ase_l2h.reproduce.learn2hop.fig7 import (
    BUDGETS,
    METHODS,
    Budget,
    excess_curves,
    nanoalloy_records,
    nanoalloy_table,
    write_nanoalloys,
)
from ase_l2h.reproduce.registry import BUDGETS as OFFERED

SMALL = Budget((0, 3, 6), 2, None)
TWO = ("FIRE", "Adam")


@pytest.fixture
def six(monkeypatch) -> None:
    """Clusters of six atoms: seconds instead of minutes."""
    monkeypatch.setattr(module, "N_ATOMS", 6)


def line(method: str, count: int, energy: float) -> dict[str, Any]:
    return {
        "system": "AgAu",
        "method": method,
        "n_first": count,
        "energy": energy,
        "mean": energy + 0.1,
        "starts": 2,
        "steps": 5,
        "charged_evaluations": 10,
    }


def test_excess_is_against_the_best_pure_clusters_of_all_methods(six):
    lines = [
        line("Adam", 0, -12.0),
        line("Adam", 3, -15.5),
        line("Adam", 6, -17.0),
        line("BH", 0, -11.0),
        line("BH", 3, -15.0),
        line("BH", 6, -18.0),
    ]
    curves = excess_curves(lines, "AgAu")
    np.testing.assert_allclose(curves["Adam"][1], [0.0, -0.5, 1.0])
    np.testing.assert_allclose(curves["BH"][1], [1.0, 0.0, 0.0])
    table = nanoalloy_table(lines)
    assert "| 3 | 0.0 | 500.0 |" in table
    assert "| **mean** | 333.3 | 500.0 |" in table


@pytest.mark.slow
def test_records_are_kept_and_not_run_again(six, tmp_path):
    run = lambda **more: nanoalloy_records(
        tmp_path, SMALL, 3, systems=("AgAu",), methods=TWO, **more
    )
    first = run()
    assert [(r["n_first"], r["method"]) for r in first] == [
        (count, method) for count in (0, 3, 6) for method in TWO
    ]
    path = tmp_path / "fig7.jsonl"
    text = path.read_text()
    with path.open("a") as stream:
        stream.write('{"system": "AgAu", "meth')
    seen: list[tuple[int, int]] = []
    assert run(progress=lambda done, of, _: seen.append((done, of))) == first
    assert path.read_text() == text
    assert seen == [(k, 6) for k in range(7)]
    # The octahedron of gold is the lowest; two starts need not find it.
    ends = [r["energy"] for r in first if r["n_first"] == 0]
    assert -18.906 < min(ends) < -18.5
    assert json.loads(text.splitlines()[0])["weights_sha256"] is None


@pytest.mark.slow
def test_a_budget_is_that_of_the_learned_optimizer(six, tmp_path):
    """Ten times the steps for BH 10x; the others as many as were charged."""
    chosen = ("Adam", "learned, AgAu", "BH 10x")
    lines = nanoalloy_records(
        tmp_path, Budget((3,), 2, 40), 1, systems=("PdPt",), methods=chosen
    )
    by_name = {r["method"]: r for r in lines}
    learned = by_name["learned, AgAu"]
    assert learned["steps"] == 40
    spent = -(-learned["charged_evaluations"] // 2)
    assert by_name["Adam"]["steps"] == spent
    assert by_name["BH 10x"]["steps"] == 10 * spent


def test_the_files_are_written_from_records(six, tmp_path):
    lines = [line("Adam", k, -12.0 - k) for k in (0, 3, 6)]
    write_nanoalloys(tmp_path, lines, "Little was done.")
    assert "Little was done." in (tmp_path / "fig7.md").read_text()
    assert (tmp_path / "fig7.csv").read_text().count("\n") == 4
    assert (tmp_path / "fig7.png").stat().st_size > 5000
    assert (tmp_path / "fig7.pdf").is_file()


def test_the_command_offers_what_there_is():
    assert tuple(BUDGETS) == OFFERED
    assert len(BUDGETS["paper"].compositions) == 39
    assert {m.method for m in METHODS.values()} == {"adam", "fire", "bh", "learned"}
