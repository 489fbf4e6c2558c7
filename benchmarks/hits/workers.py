"""How much sooner a search is settled when several workers make its calls.

    python -m benchmarks.hits.workers [--targets Cu13,Cu20] [--searches 3]

Clusters by ASE's EMT from random starts. The workers are virtual: every call takes one
unit of a clock that only calls move, so the figures are those of calls that take much
longer than the search beside them. One line of ``benchmarks/records/workers.jsonl``
for each seed from 2026 on and number of workers, which is not run again.
``python -m benchmarks.pages workers`` makes the page.
"""

from __future__ import annotations

import argparse
import heapq
from collections import deque
from typing import Any

import numpy as np
from ase.calculators.emt import EMT

from ase_l2h.ase_adapter.calling import ROUND_CALLS
from ase_l2h.ase_adapter.problem import problem_of, rattled
from ase_l2h.search.driver import search_problem, shared_by
from ase_l2h.search.limits import Limits
from ase_l2h.search.names import DEFAULT_METHOD
from benchmarks import paths
from benchmarks.hits.missing import measure_missing
from benchmarks.peers.clusters import random_metal
from benchmarks.peers.settings import METAL_HIT, METALS, SEED

__all__ = ["RECORDS", "TARGETS", "WORKERS"]

RECORDS = paths.RECORDS / "workers.jsonl"
TARGETS, WORKERS, SEARCHES = ("Cu13", "Cu20"), (1, 2, 4), 3


class VirtualWorkers:
    """Calls that take a unit of time each, so many of them at once."""

    round_calls = ROUND_CALLS

    def __init__(self, count: int) -> None:
        self.count, self.clock, self.made = count, 0.0, 0
        self._busy: list[tuple[float, int, tuple[Any, ...]]] = []
        self._waiting: deque[tuple[Any, ...]] = deque()

    def begin(self, *call: Any) -> None:
        """Begin a call, or let it wait for a worker."""
        self._waiting.append(call)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and len(self._busy) < self.count:
            self.made += 1
            done = (self.clock + 1.0, self.made, self._waiting.popleft())
            heapq.heappush(self._busy, done)

    def ended(self) -> tuple[Any, Any]:
        """The next call that ends, with its result."""
        self.clock, _, (token, problem, place) = heapq.heappop(self._busy)
        self._hand_out()
        return token, problem.measure(place)

    def abandon(self) -> None:
        """Forget what is under way."""
        self._busy.clear()
        self._waiting.clear()


def measured(target: str, seed: int, workers: int) -> dict[str, Any]:
    """A search until it is settled, as a user with so many workers runs it."""
    atoms = random_metal(target, np.random.default_rng(seed))
    atoms.calc = EMT()
    searches, each = shared_by(workers, None, DEFAULT_METHOD, None)
    calls = VirtualWorkers(workers)
    result = search_problem(
        rattled(problem_of(atoms), [seed]),
        seed=seed,
        searches=searches,
        limits=Limits(evaluations=each),
        calls=calls,
    )
    return {
        "searches": searches,
        "stopped": result.stopped,
        "right": bool(result.best_energy <= METALS[target] + METAL_HIT),
        "calls": calls.made,
        "time": calls.clock,
        "how_sure": str(result.confidence),
        "command": "python -m benchmarks.hits.workers",
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--searches", type=int, default=SEARCHES)
    arguments = parser.parse_args()
    keys = [
        {"target": target, "seed": SEED + k, "workers": workers}
        for k in range(arguments.searches)
        for target in arguments.targets.split(",")
        for workers in WORKERS
    ]
    measure_missing(RECORDS, keys, measured)


if __name__ == "__main__":
    main()
