"""The last run of every section of the speed record, and how pages tell of it."""

from __future__ import annotations

from typing import Any

from ase_l2h._internal.records import Lines, read_lines
from benchmarks import paths

__all__ = ["NONE", "RULES", "STEP_NAMES", "beside", "latest", "source"]

RECORDS = paths.RECORDS / "machine-speed.jsonl"
NONE = "Not measured yet: `python -m benchmarks` makes the record."
RULES = ("coordinatewise", "equivariant")
STEP_NAMES = {
    "coordinatewise": "paper's rule",
    "equivariant": "equivariant rule",
    "fire": "FIRE",
    "bh": "basin hopping",
}


def latest(section: str) -> Lines:
    """The last run that has a section."""
    lines = [line for line in read_lines(RECORDS) if line["section"] == section]
    return [line for line in lines if line["run"] == lines[-1]["run"]]


def beside(section: str, record: dict[str, Any]) -> dict[str, Any]:
    """The last line of a section that was taken in the run of a record."""
    lines = [line for line in read_lines(RECORDS) if line["section"] == section]
    return [line for line in lines if line["run"] == record["run"]][-1]


def source(record: dict[str, Any]) -> str:
    """Where and how a record was taken."""
    kept = record["versions"]
    named = [
        f"{name} {kept[name]}"
        for name in ("jax", "jax-md", "torch-sim-atomistic")
        if name in kept
    ]
    return (
        f"Made by `{record['command']}` on {record['machine']} (load average "
        f"{record['load_average']}), {', '.join(named)}, {record['run'][:10]}."
    )
