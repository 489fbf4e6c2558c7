"""Records of release 0.1.0 as records of today, so that both can be shown together.

There, the starts of restarted methods were recorded in blocks, and a run was a row of
them up to one that met the target. The start under way when a budget was used up was
finished, and a chain took up to 2000 evaluations more; here a run is cut off at its
budget, as runs are today, and an encounter beyond it is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ase_l2h._internal.records import Lines
from ase_l2h.comparison.protocol import named_backend

__all__ = ["converted", "rows_of_starts"]

# What tells the lines of a method on a target apart.
KEY = ("target", "target_energy", "tolerance", "seed")
METHOD = ("method", "weights", "weights_sha256", "steps", "settings")


def rows_of_starts(
    found: Sequence[bool], evaluations: Sequence[int], budget: int, rules: int = 1
) -> list[tuple[bool, int]]:
    """Rows of starts up to an encounter or the budget; only whole ones.

    Where starts take several ``rules`` in turn, every run begins with the first of
    them, as a search of one's own does; the starts in between belong to no run.

    Returns
    -------
    list of tuple
        Whether the run met the target within its budget, and its charge.
    """
    rows: list[tuple[bool, int]] = []
    total, begun = 0, False
    for number, (hit, charge) in enumerate(zip(found, evaluations, strict=True)):
        if not begun and number % rules:
            continue
        total, begun = total + int(charge), True
        if hit or total >= budget:
            rows.append(_within(bool(hit), total, budget))
            total, begun = 0, False
    return rows


def _within(found: bool, evaluations: int, budget: int) -> tuple[bool, int]:
    return found and evaluations <= budget, min(evaluations, budget)


def converted(lines: Lines) -> Lines:
    """The lines of a record, those of 0.1.0 replaced by today's."""
    old = [
        line for line in lines if line.get("kind") == "protocol" and "methods" in line
    ]
    if not old:
        return lines
    last = old[-1]
    entries: list[dict[str, Any]] = []
    runs: Lines = []
    for name, method in _methods(old):
        for target, (energy, tolerance) in last["targets"].items():
            blocks = _blocks(lines, last, target, energy, method)
            entry = {
                "target": target,
                "target_energy": energy,
                "tolerance": tolerance,
                "method": name,
                "settings": {
                    key: blocks[0].get(key) if blocks else method.get(key)
                    for key in METHOD
                },
                "budget": last["budget"],
                "seed": last["seed"],
                "release": "0.1.0",
            }
            entries.append(entry)
            runs += _runs(entry, blocks, method.get("rules", 1), last["runs"])
    declaration = {
        "kind": "protocol",
        "runs": last["runs"],
        "budget": last["budget"],
        "seed": last["seed"],
        "backend": last.get("backend", "auto"),
        "entries": entries,
    }
    kept = [line for line in lines if line.get("kind") not in ("starts", "chains")]
    return [declaration, *runs, *(line for line in kept if line not in old)]


def _methods(declarations: Lines) -> list[tuple[str, dict[str, Any]]]:
    """All methods that were declared, the latest declaration of each."""
    methods = {}
    for declaration in declarations:
        for method in declaration["methods"]:
            methods[method["name"]] = method
    return list(methods.items())


def _blocks(
    lines: Lines,
    declaration: dict[str, Any],
    target: str,
    energy: float,
    method: dict[str, Any],
) -> Lines:
    """The blocks of a method on a target, in their order."""
    key = {
        "target": target,
        "target_energy": energy,
        "seed": declaration["seed"],
        "method": method["method"],
        "weights": method["weights"],
        "weights_sha256": method["sha256"],
        "steps": method["steps"],
        "asked_for": named_backend(
            declaration.get("backend", "auto"), method["method"]
        ),
    }
    if method["steps"] is None:
        key["budget"] = declaration["budget"]
    blocks = {
        line["block"]: line
        for line in lines
        if line.get("kind") in ("starts", "chains")
        and all(line.get(name) == value for name, value in key.items())
    }
    return [blocks[number] for number in sorted(blocks)]


def _runs(entry: dict[str, Any], blocks: Lines, rules: int, runs: int) -> Lines:
    """The runs of an entry; wall time and lowest energy are shared evenly."""
    found = [hit for block in blocks for hit in block["found"]]
    charges = [charge for block in blocks for charge in block["evaluations"]]
    if not blocks:
        return []
    budget = entry["budget"]
    if blocks[0]["kind"] == "starts":
        rows = rows_of_starts(found, charges, budget, rules)
    else:
        rows = [_within(*row, budget) for row in zip(found, charges, strict=True)]
    rows = rows[:runs]
    energies = [e for block in blocks for e in block["energies"] if e is not None]
    compiled = sum(block["compile_seconds"] for block in blocks)
    net = sum(block["wall_seconds"] for block in blocks) - compiled
    total = sum(charges)
    about = {name: blocks[0].get(name) for name in ("backend", "device", "machine")}
    return [
        {
            "kind": "run",
            **entry,
            "run": number,
            "found": bool(met),
            "evaluations": spent,
            "energy": min(energies, default=None),
            "stopped": "target" if met else "evaluations",
            "seconds": net * spent / total,
            "compile_seconds": blocks[0]["compile_seconds"] if number == 0 else 0.0,
            **about,
        }
        for number, (met, spent) in enumerate(rows)
    ]
