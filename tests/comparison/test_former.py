"""Records of 0.1.0: rows of starts, chains, and the numbers that were published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ase_l2h.comparison.former import converted, rows_of_starts
from ase_l2h.comparison.outcome import read_comparison
from ase_l2h.errors import InputError

RECORDS = Path(__file__).resolve().parents[2] / "benchmarks" / "records" / "comparison"


def test_a_run_of_starts_ends_with_its_first_hit():
    hits = [False, True, True, False, False, False, True, False]
    rows = rows_of_starts(hits, [10, 11, 12, 13, 14, 15, 16, 17], 40)
    # 10 + 11; 12; 13 + 14 + 15 is above the budget; 16; the last start is no whole run.
    assert rows == [(True, 21), (True, 12), (False, 40), (True, 16)]


def test_a_hit_beyond_the_budget_is_none():
    assert rows_of_starts([False, True], [30, 20], 40) == [(False, 40)]


def test_every_run_of_a_portfolio_begins_with_its_first_rule():
    """Only the second of three rules ever hits: alone, it takes two starts."""
    hits = [False, True, False] * 4
    rows = rows_of_starts(hits, range(10, 22), 1000, rules=3)
    assert [spent for _, spent in rows] == [21, 27, 33, 39]
    # A run goes on where the turn goes on.
    assert rows_of_starts([False] * 4 + [True], [10] * 5, 1000, 3) == [(True, 50)]


@pytest.mark.parametrize(
    ("target", "method", "hits", "runs", "mean"),
    [
        # Of docs/comparison.md of release 0.1.0.
        ("LJ13", "bh", 100, 100, 307),
        ("LJ13", "learned", 100, 100, 654),
        ("LJ38", "learned", 100, 100, 1558),
        ("LJ38", "bh", 100, 100, 7932),
        ("LJ75", "hybrid", 48, 48, 63_950),
        ("LJ75", "bh", 1, 48, 23_534_373),
        ("LJ38", "learned:paper-lj13", 4, 9, 1_705_949),
    ],
)
def test_what_0_1_0_has_published_is_read(target, method, hits, runs, mean):
    comparison = read_comparison(RECORDS / f"{target}.jsonl")
    met = comparison.encounters[target, method]
    assert (met.hits, met.found.size) == (hits, runs)
    # A run that was cut off is shorter here, by less than a start or 2000 evaluations.
    assert met.mean.value == pytest.approx(mean, rel=0.005)
    assert np.all(met.evaluations <= comparison.budget)


def test_every_committed_record_is_read_whole():
    for path in sorted(RECORDS.glob("*.jsonl")):
        comparison = read_comparison(path)
        assert tuple(comparison.targets) == (path.stem,)
        assert comparison.seed == 2026
        assert {"bh", "learned"} <= set(comparison.methods)
        for name in comparison.methods:
            met = comparison.encounters[path.stem, name]
            assert 0 < met.found.size <= comparison.runs
            assert met.seconds_per_evaluation > 0


def test_lines_of_today_stay_as_they_are():
    lines = [{"kind": "protocol", "entries": []}, {"kind": "run", "run": 0}]
    assert converted(lines) == lines


def test_what_is_no_comparison_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a record of a comparison"):
        read_comparison(tmp_path)
    (tmp_path / "records.jsonl").write_text('{"kind": "search"}\n')
    with pytest.raises(InputError, match="is not a record of a comparison"):
        read_comparison(tmp_path / "records.jsonl")
