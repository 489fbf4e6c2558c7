"""In what two runs differ, in words that a user knows."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

__all__ = ["described", "differences", "text_of"]


def differences(known: Any, wanted: Any, name: str = "") -> list[str]:
    """Places of the entries in which two JSON values differ: ``settings.seed``."""
    if isinstance(known, dict) and isinstance(wanted, dict):
        return [
            wrong
            for key in sorted({*known, *wanted})
            for wrong in differences(
                known.get(key), wanted.get(key), f"{name}.{key}" if name else key
            )
        ]
    # As text: a NaN is like itself there.
    return [] if text_of(known) == text_of(wanted) else [name]


def text_of(value: Any) -> str:
    """A value as JSON, also what holds numbers and arrays of NumPy, and paths."""
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return os.fspath(value)


def described(places: list[str]) -> list[str]:
    """Short names of places, without those that follow from others."""
    if "method" in places:
        places = [place for place in places if not place.startswith("settings.")]
    if "problem.n_atoms" in places:
        places = ["atoms", *(p for p in places if not p.startswith("problem."))]
    names = []
    for place in places:
        if place == "problem.numbers_sha256":  # also of what is in no other entry
            names.append("problem")
            continue
        for inside in ("settings.", "problem.", "identity.", "parameters.", "named."):
            place = place.removeprefix(inside)
        names.append(place.removesuffix("_sha256").replace("_", " "))
    return list(dict.fromkeys(names))
