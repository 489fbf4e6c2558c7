"""How a user's calculator is called: with a cache, in parallel, with a time limit."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ase_l2h._internal.arguments import checked_count, checked_number
from ase_l2h._internal.files import check_name
from ase_l2h._internal.workers import (
    MOST_WORKERS,
    ExecutorWorkers,
    Workers,
    WorkersOf,
    pickled,
)
from ase_l2h.ase_adapter.cache import CallCache
from ase_l2h.ase_adapter.calculators import potential_of
from ase_l2h.ase_adapter.measured import CountingCalculator
from ase_l2h.ase_adapter.problem import told_of
from ase_l2h.ase_adapter.remote import FirstMade, RemoteMeasure
from ase_l2h.errors import InputError
from ase_l2h.search.problem import Problem

__all__ = ["Calling", "RemoteCalls"]

# Calls of each of several searches before all are looked at together: many enough that
# idle workers at the end of a round do not matter.
ROUND_CALLS = 100


@dataclasses.dataclass(frozen=True)
class Calling:
    """How calls are carried out.

    Parameters
    ----------
    workers
        Processes of this machine that make them; None makes them here.
    executor
        A :class:`concurrent.futures.Executor` that makes them instead.
    call_timeout
        Seconds after which a call has failed; it takes another process to end it.
    make_calculator
        Makes the calculator in other processes; a copy of the user's is sent when None.
    cache
        Extended XYZ file of every call with energy and forces; calls that are in it are
        not made again, see :class:`~ase_l2h.ase_adapter.cache.CallCache`.

    Raises
    ------
    InputError
        For impossible or contradictory values.
    """

    workers: int | None = None
    executor: Any = None
    call_timeout: int | float | None = None
    make_calculator: Callable[[], Any] | None = None
    cache: str | Path | None = None

    def __post_init__(self) -> None:
        if self.workers is not None:
            checked_count("workers", self.workers, MOST_WORKERS)
            if self.executor is not None:
                raise InputError("workers and executor both make calls; give only one")
        seconds = checked_number("call_timeout", self.call_timeout)
        if seconds is not None and not seconds > 0:
            raise InputError(f"call_timeout is {seconds:g}; give seconds above 0")
        if self.cache is not None:
            check_name("cache", self.cache)
        if self.make_calculator is not None and not callable(self.make_calculator):
            raise InputError(
                f"make_calculator is {self.make_calculator!r}; give a function that "
                "makes a calculator"
            )
        if self.executor is not None and not hasattr(self.executor, "submit"):
            raise InputError(
                f"executor is of type {type(self.executor).__name__}; give a "
                "concurrent.futures.Executor"
            )

    @classmethod
    def taken_from(cls, arguments: dict[str, Any]) -> Calling:
        """Take the fields out of keyword arguments, which keep the others."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{k: arguments.pop(k) for k in names if k in arguments})

    def opened_cache(self, calculator: Any, **named: Any) -> CallCache | None:
        """The cache, for this calculator; None without one.

        Raises
        ------
        InputError
            For a file that cannot be used, and a calculator that runs in a kernel.
        """
        if self.cache is None:
            return None
        self._refuse_kernel(calculator)
        return CallCache(self.cache, told_of(calculator) | named)

    @contextlib.contextmanager
    def opened(
        self, calculator: Any, **named: Any
    ) -> Iterator[tuple[CallCache | None, RemoteCalls | None]]:
        """Cache and calls for a calculator, closed at the end."""
        cache = self.opened_cache(calculator, **named)
        calls = None
        try:
            calls = self.calls_for(calculator, cache)
            yield cache, calls
        finally:
            if calls is not None:
                calls.close()
            if cache is not None:
                cache.close()

    def _refuse_kernel(self, calculator: Any) -> None:
        if potential_of(calculator) is not None:
            raise InputError(
                f"{type(calculator).__name__} runs in a kernel and makes no "
                "calls; leave out cache, workers, executor and call_timeout"
            )

    def calls_for(self, calculator: Any, cache: CallCache | None) -> RemoteCalls | None:
        """The object that makes calls; None: in this process, one after the other.

        It also makes the calls that check the ``cache``.

        Raises
        ------
        InputError
            Where the calculator cannot be sent to other processes, or runs in a kernel.
        """
        if self.workers is None and self.executor is None and self.call_timeout is None:
            return None
        self._refuse_kernel(calculator)
        if self.make_calculator is None:
            remote = RemoteMeasure(_sent(calculator), made=True)
        else:
            remote = RemoteMeasure(pickled(self.make_calculator), made=False)
        seconds = float("inf") if self.call_timeout is None else self.call_timeout
        if self.executor is not None:
            calls = RemoteCalls(ExecutorWorkers(self.executor, remote, seconds))
        else:
            calls = RemoteCalls(Workers(FirstMade(remote), self.workers or 1, seconds))
        if cache is not None:
            cache.evaluate = calls.evaluate
        return calls


def _sent(calculator: Any) -> bytes:
    """The calculator as other processes take it.

    Some of ASE's hold functions once they have been used; others are made of the same
    parameters then.

    Raises
    ------
    InputError
        Where it cannot be pickled.
    """
    try:
        return pickled(calculator)
    except InputError:
        kind = type(calculator)
        changed = any(callable(getattr(kind, name, None)) for name in vars(calculator))
        if changed or not kind.__module__.startswith("ase.calculators."):
            raise
        return pickled(kind(**calculator.parameters))


class RemoteCalls:
    """Calls by workers; known results need no call."""

    round_calls = ROUND_CALLS

    def __init__(self, workers: WorkersOf) -> None:
        self.workers = workers
        self._ready: deque[tuple[Hashable, Any]] = deque()
        self._asked: dict[int, tuple[Hashable, CountingCalculator, np.ndarray]] = {}
        self._count = 0

    def begin(self, token: Hashable, problem: Problem, place: np.ndarray) -> None:
        """Begin a call, unless its result is known."""
        calculator = problem.measure
        assert isinstance(calculator, CountingCalculator)
        known = calculator.known(place)
        if known is not None:
            self._ready.append((token, known))
            return
        number, self._count = self._count, self._count + 1
        self._asked[number] = token, calculator, place
        try:
            self.workers.submit(number, calculator.asked(place))
        except RuntimeError as error:
            # The executor is broken or has been shut down.
            del self._asked[number]
            self._ready.append((token, error))

    def ended(self) -> tuple[Hashable, Any]:
        """Wait for the next call that ends."""
        if not self._ready:
            self._take(*self.workers.next())
        return self._ready.popleft()

    def evaluate(self, atoms: Atoms) -> tuple[float, np.ndarray]:
        """Energy and gradient ``(n, 3)`` by one call that is waited for.

        Raises
        ------
        Exception
            What the call fails with; TimeoutError where it takes too long.
        """
        number, self._count = self._count, self._count + 1
        bare = atoms.copy()
        self.workers.submit(number, bare)
        while True:
            ended, answer = self.workers.next()
            if ended == number:
                break
            self._take(ended, answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _take(self, number: Hashable, answer: Any) -> None:
        """Take over the result of a call."""
        assert isinstance(number, int)
        token, calculator, place = self._asked.pop(number)
        if not isinstance(answer, Exception):
            answer = calculator.told(place, answer)
        self._ready.append((token, answer))

    def abandon(self) -> None:
        """Forget what is under way."""
        self._ready.clear()
        self._asked.clear()
        self.workers.abandon()

    def close(self) -> None:
        """End the processes."""
        self.abandon()
        self.workers.close()
