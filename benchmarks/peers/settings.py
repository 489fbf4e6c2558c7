"""What all searchers share: targets, budgets, seeds and the record."""

from __future__ import annotations

from benchmarks import paths

__all__ = ["BUDGETS", "RECORDS", "SEED", "SEEDS", "TARGETS", "done"]

RECORDS = paths.RECORDS / "peers.jsonl"
# Cambridge Cluster Database.
TARGETS = {
    "LJ13": -44.326801,
    "LJ19": -72.659782,
    "LJ26": -108.315616,
    "LJ38": -173.928427,
}
# Charged evaluations of one search.
BUDGETS = {"LJ13": 20_000, "LJ19": 20_000, "LJ26": 20_000, "LJ38": 40_000}
SEED, SEEDS = 2026, 20


def done(lines: list[dict]) -> set[tuple[str, str, int, int]]:
    """Searches that need not be run again."""
    return {
        (line["target"], line["method"], line["seed"], line["budget"])
        for line in lines
        if line["kind"] == "encounter"
    }
