"""Records of every method on the functions of the action paper, and parts of them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ase_l2h._internal.records import Lines, Records
from ase_l2h.reproduce.action.methods import COPIES, METHODS, function_line
from ase_l2h.reproduce.output import Piece, collect
from ase_l2h.reproduce.registry import Progress

__all__ = [
    "BUDGETS",
    "TITLES",
    "Budget",
    "function_lines",
    "largest_dimension",
    "select",
    "values_of",
]


class Budget(NamedTuple):
    """Dimensions, number of seeds, charged evaluations of a run, rates of Adam."""

    dimensions: tuple[int, ...]
    seeds: int
    charged: int
    rates: tuple[float, ...]


BUDGETS = {
    "quick": Budget((10,), 1, 50_000, (0.05, 0.5, 5.0)),
    "paper": Budget(
        (1000,), 3, 20_000_000, tuple(round(0.05 * k, 2) for k in range(1, 101))
    ),
}
TITLES = {"alpine1": "Alpine-1", "schaffer-f7": "Schaffer F7"}


def function_lines(
    records: Records,
    names: Sequence[str],
    size: Budget,
    seed: int,
    progress: Progress,
    *,
    methods: Sequence[str] = tuple(METHODS),
) -> Lines:
    """Run what is missing; the lines of the functions, all methods and copies."""
    seeds = range(seed, seed + size.seeds)
    pieces = []
    for case in itertools.product(names, size.dimensions, COPIES, methods, seeds):
        name, dimension, copy, method, run_seed = case
        key = {
            "record": "function",
            "function": name,
            "dimension": dimension,
            "copy": copy,
            "method": method,
            "seed": run_seed,
            "budget": size.charged,
            "rates": list(size.rates) if method == "Adam" else None,
        }
        run = functools.partial(function_line, *case, size.charged, size.rates)
        what = f"{TITLES[name]} {dimension} {copy} {method}"
        pieces.append(Piece(key, run, what))
    return collect(records, pieces, progress)


def select(lines: Iterable[dict[str, Any]], **wanted: Any) -> Lines:
    """The lines on functions that have these entries."""
    return [
        line
        for line in lines
        if line.get("record") == "function"
        and all(line[name] == value for name, value in wanted.items())
    ]


def values_of(lines: Lines, name: str) -> list[Any]:
    """What an entry is in the lines on functions, ascending."""
    return sorted({line[name] for line in lines if line.get("record") == "function"})


def largest_dimension(lines: Lines) -> int:
    """The largest dimension of which the records know most of copies and methods."""

    def known(dimension: int) -> tuple[int, int]:
        cases = select(lines, dimension=dimension)
        return len({(line["copy"], line["method"]) for line in cases}), dimension

    return max(values_of(lines, "dimension"), key=known)
