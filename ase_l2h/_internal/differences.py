"""In what two runs differ, in words that a user knows."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

__all__ = ["described", "differences", "text_of"]

# Names of tables, which say nothing that those of their entries do not.
INSIDE = ("settings", "problem", "identity", "parameters", "named")
# Where a problem differs in one of these, it differs in others as well.
PROBLEM = (
    ("problem.n_atoms", "problem.identity.numbers"),
    ("problem.identity.calculator", "problem.identity.named.name"),
    ("problem.potential",),
    ("problem.identity",),
    ("problem.identity.named.arguments",),
)
# What follows from the size or the elements of a hull.
HULL = {"n": ("compositions", "potential"), "system": ("parameters", "potential")}
# Of these, nothing is known but that they differ.
LEAST = ("problem.numbers_sha256", "problem.identity.energy")
# What a method chooses for a problem, where nobody does.
USUAL = ("settings.patience", "settings.width", "settings.widens")
COUNTS = ("directions", "searches", "starts", "steps")
WORDS = {
    "arguments": "other arguments of the calculator",
    "drawn": "other landscapes drawn at random",
    "energy": "a calculator that gives another energy",
    "first": "another first point",
    "identity": "another calculator",
    "kind": "another kind of run",
    "n": "another number of atoms",
    "n atoms": "other atoms",
    "name": "another calculator",
    "numbers": "other atoms",
    "numbers sha256": "another structure, potential or scale",
    "periodic": "another periodicity",
    "run": "another kind of run",
    "without": "other parts left out",
}


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


def described(places: list[str]) -> str:
    """What is other at some places, without what follows from the rest of them.

    Goes on after "made with": ``another seed and other weights``.
    """
    names: list[str] = []
    parameters: list[str] = []
    for place in _telling(places):
        parts = place.split(".")
        while len(parts) > 1 and parts[0] in INSIDE:
            del parts[0]
        if place.startswith("problem.identity.parameters."):
            parameters.append(".".join(parts))
        else:
            names.append(_other(parts[0].replace("_", " ")))
    if parameters:
        names.append(f"other parameters of the calculator ({', '.join(parameters)})")
    names = list(dict.fromkeys(names))
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _telling(places: list[str]) -> list[str]:
    """The places from which the other ones follow."""
    for kind in ("kind", "run"):
        if kind in places:
            return [kind]
    if "method" in places:
        places = [place for place in places if not place.startswith("settings.")]
    for hull, following in HULL.items():
        if hull in places:
            places = [place for place in places if place not in following]
    problem = [place for place in places if place.startswith("problem.")]
    others = [place for place in places if not place.startswith("problem.")]
    for most in PROBLEM:
        if chosen := [place for place in problem if place in most]:
            others = [place for place in others if not place.startswith(USUAL)]
            return sorted({*others, chosen[0]})
    if len(problem) > 1:
        problem = [place for place in problem if place not in LEAST]
    return sorted({*others, *problem})


def _other(name: str) -> str:
    """A name with what goes before it."""
    if name in WORDS:
        return WORDS[name]
    name = name.removesuffix(" sha256")
    if name in COUNTS:
        return f"another number of {name}"
    plural = name.endswith("s") and not name.endswith("ss")
    return f"{'other' if plural else 'another'} {name}"
