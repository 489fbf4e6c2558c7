"""How calls of a calculator are made: one after the other, or side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ase_l2h.search.problem import Problem

__all__ = ["Calls", "SerialCalls"]

# Energy and gradient (3, n), or the exception of a failed call.
Answer = Any


@runtime_checkable
class Calls(Protocol):
    """Begins calls and waits for them.

    ``round_calls`` is the least that each of several searches is charged before all are
    looked at together; with 0 they wait for each other after every round.
    """

    @property
    def round_calls(self) -> int:
        """Least charge of each search between two joint looks."""
        ...

    def begin(self, token: Hashable, problem: Problem, place: np.ndarray) -> None:
        """Begin a call at ``place`` ``(3, n)``."""
        ...

    def ended(self) -> tuple[Hashable, Answer]:
        """Wait until a call has ended; its token, and its result or exception."""
        ...

    def abandon(self) -> None:
        """Forget the calls under way."""
        ...


class SerialCalls:
    """Calls in this process, in the order in which they were begun."""

    round_calls = 0

    def __init__(self) -> None:
        self._waiting: deque[tuple[Hashable, Problem, np.ndarray]] = deque()

    def begin(self, token: Hashable, problem: Problem, place: np.ndarray) -> None:
        """Queue a call; it is made in ``ended``."""
        self._waiting.append((token, problem, place))

    def ended(self) -> tuple[Hashable, Answer]:
        """Make the next call."""
        token, problem, place = self._waiting.popleft()
        assert problem.measure is not None
        try:
            return token, problem.measure(place)
        except Exception as error:
            return token, error

    def abandon(self) -> None:
        """Forget the queued calls."""
        self._waiting.clear()
