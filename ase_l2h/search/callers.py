"""How calls of a calculator are carried out: one after the other, or side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ase_l2h.search.problem import Problem

__all__ = ["Calls", "SerialCalls"]

# Energy and gradient (3, n), or what the call failed with.
Answer = Any


@runtime_checkable
class Calls(Protocol):
    """Begins calls and waits for them.

    ``round_calls`` is what each of several searches is charged, at least, before all of
    them are looked at together: 0 lets them wait for each other after every round.
    """

    @property
    def round_calls(self) -> int:
        """See above."""
        ...

    def begin(self, token: Hashable, problem: Problem, place: np.ndarray) -> None:
        """Begin a call at ``place`` ``(3, n)``."""
        ...

    def ended(self) -> tuple[Hashable, Answer]:
        """Wait until a call has ended; its token, and what it gave or failed with."""
        ...

    def abandon(self) -> None:
        """Nobody waits for what is under way any more."""
        ...


class SerialCalls:
    """Calls in this process, in the order in which they were begun."""

    round_calls = 0

    def __init__(self) -> None:
        self._waiting: deque[tuple[Hashable, Problem, np.ndarray]] = deque()

    def begin(self, token: Hashable, problem: Problem, place: np.ndarray) -> None:
        """It is made when somebody waits for it."""
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
        """Forget what was begun."""
        self._waiting.clear()
