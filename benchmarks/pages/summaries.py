"""Rows of the searches in the records, and the released weights they belong to."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.comparison.protocol import known_minimum
from ase_l2h.report.statistics import wilson_interval
from ase_l2h.search.problem import Problem
from ase_l2h.targets import named_target
from benchmarks import paths
from benchmarks.hits import results

__all__ = ["NAMES", "label", "long_rows", "manifest", "result_rows", "summarise"]

NAMES = {"adam": "Adam", "fire": "FIRE", "gd": "gradient descent"}

Row = dict[str, Any]


@functools.cache
def manifest() -> dict[str, Any]:
    """The manifest of the released weights."""
    return json.loads((paths.PRETRAINED / "manifest.json").read_text())


def method_of(line: Row) -> str | None:
    """Name of the weights, or the method; None for weights no longer released.

    Weights are still released when their files are those of the record.
    """
    name = line["weights"]
    if name is None:
        return line["method"]
    weights = manifest()["weights"]
    parts = name.split("+")
    hashes = "+".join(weights.get(part, {}).get("sha256", "") for part in parts)
    return name if hashes == line["weights_sha256"] else None


def lowest(lines: Lines, target: str) -> float:
    """The published reference, or the lowest energy that this package has found."""
    runs = [line for line in lines if line["target"] == target]
    least = min(e for line in runs for e in line["energies"] if e is not None)
    known = known_minimum(Problem.of(target))
    return least if known is None else min(known, least)


def summarise(lines: Lines) -> list[Row]:
    """One row per target and method; lines of weights no longer released are none."""
    return [_row(lines, line) for line in lines if method_of(line) is not None]


def _row(lines: Lines, line: Row) -> Row:
    best = lowest(lines, line["target"])
    energies = np.array([np.inf if e is None else e for e in line["energies"]], float)
    tolerance = max(results.HIT * line["energy_scale"], 1e-4)
    hits, starts = int(np.sum(energies < best + tolerance)), line["n_starts"]
    low, high = wilson_interval(hits, starts)
    return {
        "target": line["target"],
        "method": method_of(line),
        "learned": line["weights"] is not None,
        "steps": line["n_steps"],
        "published": named_target(line["target"]).reference is not None,
        "best": best,
        "starts": starts,
        "hits": hits,
        "low": low,
        "high": high,
        "mean": float(np.mean(energies[np.isfinite(energies)])),
        "lowest": float(energies.min()),
        "per_start": line["charged_evaluations"] / starts,
        "to_minimum": line["charged_evaluations"] / hits if hits else None,
        "seconds": line["wall_seconds"],
        "seed": line["seed"],
        "sha256": line["weights_sha256"],
        "machine": line["machine"],
    }


def result_rows() -> list[Row]:
    """Of ``results.jsonl``."""
    return summarise(read_lines(results.RECORDS))


def long_rows() -> list[Row]:
    """Of ``long.jsonl``."""
    return summarise(read_lines(results.LONG_RECORDS))


def of_target(rows: Sequence[Row], target: str) -> list[Row]:
    """The rows of a target."""
    return [row for row in rows if row["target"] == target]


def label(method: str) -> str:
    """A method as pages name it."""
    if method == manifest()["default"]:
        return "default"
    return NAMES.get(method, f"`{method}`")
