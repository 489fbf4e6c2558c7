"""The state of a running search: its charge, the best it has seen, why it ended."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ase_l2h.optimizers import SearchState
from ase_l2h.search.problem import Problem

__all__ = ["Ledger", "Search", "State", "Stopped"]

# Nested dicts and lists of arrays, numbers, strings and rollout states.
State = dict[str, Any]


class Stopped(Exception):
    """The search has to end now; what it found is kept.

    ``reason`` is ``"evaluations"``, ``"target"``, ``"time"``, ``"interrupted"``, or
    ``"failed"`` where a calculator fails time and again; ``state`` that of the rollout
    under way, where there is one.
    """

    def __init__(self, reason: str, state: SearchState | None = None) -> None:
        super().__init__(reason)
        self.reason, self.state = reason, state


@dataclasses.dataclass
class Ledger:
    """What a search has been charged, and the best it has seen.

    ``energy`` and ``positions`` are those of the lowest relaxed structure, or of the
    lowest of all as long as none is ``relaxed``; ``seen_*`` of the lowest that is not.
    ``polished`` says that it has been relaxed to the last digits.
    ``course`` has a pair (charged evaluations, lowest energy) for every fall.
    """

    charged: int = 0
    energy: float = math.inf
    positions: np.ndarray | None = None
    relaxed: bool = False
    polished: bool = False
    seen_energy: float = math.inf
    seen_positions: np.ndarray | None = None
    course: list[tuple[int, float]] = dataclasses.field(default_factory=list)

    @classmethod
    def begun(cls, problem: Problem) -> Ledger:
        """A ledger before anything is charged, with a structure known already."""
        first = problem.first
        if first is None or not np.isfinite(first.energy):
            return cls()
        return cls(
            energy=first.energy,
            positions=first.positions,
            seen_energy=first.energy,
            seen_positions=first.positions,
        )

    @classmethod
    def restored(cls, kept: Mapping[str, Any]) -> Ledger:
        """A ledger from a checkpoint."""
        course = [(int(count), float(energy)) for count, energy in kept["course"]]
        return cls(**{**kept, "course": course})


@dataclasses.dataclass
class Search:
    """One search on its way: ``stopped`` says why it has ended, None until then."""

    problem: Problem
    state: State
    ledger: Ledger = dataclasses.field(default_factory=Ledger)
    stopped: str | None = None
    rounds: int = 0
    # The ledger of a round that was cut short.
    tail: Ledger | None = None

    @property
    def present(self) -> Ledger:
        """The ledger with the round that was cut short, if any."""
        return self.ledger if self.tail is None else self.tail
