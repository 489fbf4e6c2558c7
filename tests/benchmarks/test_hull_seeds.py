"""How often hulls of many seeds have the lowest energies known."""

from __future__ import annotations

from types import ModuleType

import pytest

LINES = [
    {
        "system": "NiCu",
        "n_atoms": 2,
        "seed": seed,
        "seconds": 1.0,
        "charged": {"0": 10, "1": 20, "2": 30},
        "energies": energies,
    }
    for seed, energies in (
        (1, {"0": -3.0, "1": -4.0, "2": -5.0}),
        (2, {"0": -3.0005, "1": -4.2, "2": -4.9}),
    )
]


@pytest.fixture
def seeds(benchmark_module) -> ModuleType:
    """The benchmark's module."""
    return benchmark_module("hulls.seeds")


def test_the_lowest_of_every_composition_is_known(seeds: ModuleType):
    assert seeds.lowest_known(LINES, "NiCu", 2) == {"0": -3.0005, "1": -4.2, "2": -5.0}
    assert seeds.lowest_known(LINES, "NiCu", 3) == {}


def test_committed_hulls_are_known_too(seeds: ModuleType):
    assert seeds.lowest_known([], "AgAu", 38)["19"] <= -117.3133


def test_what_lies_above_by_more_than_a_millielectronvolt_is_missed(seeds: ModuleType):
    lowest = seeds.lowest_known(LINES, "NiCu", 2)
    assert seeds.misses(LINES[0]["energies"], lowest) == {"1": pytest.approx(0.2)}
    assert seeds.misses(LINES[1]["energies"], lowest) == {"2": pytest.approx(0.1)}


def test_a_sentence_says_how_many_and_where(seeds: ModuleType):
    first, second = seeds.told(LINES, "NiCu", 2)
    assert "seed 1: 2 of 3 within 1 meV, 1 s, 60 evaluations; 1: +200.0 meV" in first
    assert "seed 2: 2 of 3 within 1 meV" in second
    assert seeds.told(LINES, "AgAu", 2) == []
