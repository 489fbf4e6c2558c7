"""The compositions of a hull shared among processes of this machine.

What a composition does in a round depends only on its stored state. So any process can
take the next part, and the result is that of one process, bit for bit.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from ase_l2h._internal.workers import Workers
from ase_l2h.rollout.kernels.threads import default_threads, limit_threads
from ase_l2h.search.driver import engine_for
from ase_l2h.search.hull.settings import DEFAULT_BUDGET, HullSettings
from ase_l2h.search.hull.share import Entry, entries_of, hull_method, put_back, run_of
from ase_l2h.search.hull.system import HullSystem
from ase_l2h.weights.load import Weights

__all__ = ["Recruit", "Team", "usual_workers"]

# Starting processes takes seconds. They are used if the evaluations that may be
# charged, times the number of atoms squared, exceed this.
WORTH = 1e10
# Parts of a round for each process: one that ends early takes another. With many small
# parts, lanes would stay empty.
PARTS = 2
# Seconds between two checks whether to stop.
LOOK = 0.1


def usual_workers(system: HullSystem, compositions: int, budget: int | None) -> int:
    """The default number of processes that share a hull: one for each processor."""
    budget = DEFAULT_BUDGET if budget is None else budget
    if system.potential is None or jax.default_backend() != "cpu":
        return 1
    if compositions * budget * system.n_atoms**2 < WORTH:
        return 1
    return min(compositions, default_threads())


@dataclasses.dataclass(frozen=True)
class Recruit:
    """Makes the worker of a process."""

    system: HullSystem
    settings: HullSettings
    weights: Weights | None
    backend: str

    def __call__(self, number: int) -> _Member:
        """The worker of a process."""
        return _Member(self)


class _Member:
    """Advances some compositions by a round."""

    def __init__(self, told: Recruit) -> None:
        limit_threads(1)
        self._told = told
        self._method = hull_method(told.system, told.settings, told.weights)
        first = told.system.problem(told.settings.compositions[-1])
        self._engine = engine_for(first, told.backend)

    def __call__(self, asked: tuple[int, dict[int, Entry], float]) -> dict[int, Entry]:
        budget, entries, until = asked
        settings = dataclasses.replace(self._told.settings, budget=budget)
        run = run_of(
            self._told.system, settings, self._method, self._engine, list(entries)
        )
        put_back(run, list(entries.values()), budget)
        run.advance(until - time.time())
        return entries_of(run, list(entries))


class Team:
    """Processes that advance compositions.

    Parameters
    ----------
    count
        How many.
    system, settings, weights, backend
        Those of the search.
    """

    def __init__(
        self,
        count: int,
        system: HullSystem,
        settings: HullSettings,
        weights: Weights | None,
        backend: str,
    ) -> None:
        self.count = count
        recruit = Recruit(system, settings, weights, backend)
        self._workers = Workers(recruit, count, math.inf)

    def advance(
        self,
        entries: Mapping[int, Entry],
        budget: int,
        seconds: float,
        interrupted: Callable[[], bool],
    ) -> dict[int, Entry]:
        """A round of the compositions; the new states of those that completed it.

        Missing are those of a process that was killed, and, after an interruption,
        those that were not done.
        """
        # A part may wait, and monotonic clocks differ between processes.
        until = time.time() + seconds
        names = list(entries)
        parts = [names[k :: PARTS * self.count] for k in range(PARTS * self.count)]
        waiting = [part for part in parts if part]
        for number, part in enumerate(waiting):
            asked = (budget, {m: entries[m] for m in part}, until)
            self._workers.submit(number, asked)
        done: dict[int, Entry] = {}
        left = len(waiting)
        while left:
            if interrupted():
                self._workers.abandon()
                break
            ended = self._workers.next_within(LOOK)
            if ended is None:
                continue
            left -= 1
            value: Any = ended[1]
            if isinstance(value, dict):
                done |= value
        return done

    def close(self) -> None:
        """End the processes."""
        self._workers.close()
