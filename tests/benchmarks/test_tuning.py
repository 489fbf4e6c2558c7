"""The tuning of Adam and FIRE: a complete grid, and the best of it."""

from __future__ import annotations

import json
from types import ModuleType

import pytest


@pytest.fixture
def tuning(benchmark_module) -> ModuleType:
    """The benchmark's module."""
    return benchmark_module("hits.tuning")


def test_the_record_holds_the_papers_grid_for_every_target(tuning):
    """Same starts, steps and seed everywhere, so that the means can be compared."""
    lines = [json.loads(line) for line in tuning.RECORDS.read_text().splitlines()]
    assert len({(line["seed"], line["starts"], line["steps"]) for line in lines}) == 1
    wanted = {
        (method, f"{name} {rate}")
        for method, name in (("adam", "rate"), ("fire", "dt"))
        for rate in (0.01, 0.005, 0.001)
    }
    targets = {line["target"] for line in lines}
    assert {"LJ13", "LJ38"} <= targets
    for target in targets:
        found = [
            (line["method"], line["setting"])
            for line in lines
            if line["target"] == target
        ]
        assert wanted <= set(found)
        assert len(found) == len(set(found))


def test_the_best_setting_has_the_lowest_mean(tuning):
    lines = [
        {"target": "LJ13", "method": "adam", "setting": "a", "mean": -3.0},
        {"target": "LJ13", "method": "adam", "setting": "b", "mean": -4.0},
        {"target": "LJ13", "method": "fire", "setting": "c", "mean": -5.0},
        {"target": "LJ38", "method": "adam", "setting": "d", "mean": -6.0},
    ]
    assert tuning.best(lines, "LJ13", "adam")["setting"] == "b"
    with pytest.raises(ValueError, match=r"run python -m benchmarks\.hits\.tuning"):
        tuning.best(lines, "LJ38", "fire")
