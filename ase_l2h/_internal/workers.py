"""Calls of one function in other processes, each with a time limit.

Processes are spawned: a fork after JAX has been used hangs. One that hangs or dies
costs the call that it had, and another takes its place.
"""

from __future__ import annotations

import pickle
import queue
import time
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Executor, Future
from multiprocessing import connection, get_context
from typing import Any, Protocol, runtime_checkable

from ase_l2h._internal.stopping import interrupts_held_back, pass_over_interrupts
from ase_l2h.errors import InputError, RunError

__all__ = [
    "MOST_WORKERS",
    "CallFailed",
    "ExecutorWorkers",
    "Workers",
    "WorkersOf",
    "names",
    "told",
]

# Of one search.
MOST_WORKERS = 4096
# Workers in a row that end before they are ready: something is wrong with all of them.
MOST_STILLBORN = 5
# Given to a process that is ending, which what it registered at exit may hold up.
SECONDS_TO_END = 5.0
# Exceptions that other processes fail with go as the names of their type and of those
# that it derives from, and their text.
Failure = tuple[tuple[str, ...], str]


@runtime_checkable
class WorkersOf(Protocol):
    """Takes on calls and tells when they end."""

    def submit(self, token: Hashable, argument: Any) -> None:
        """Take on a call."""
        ...

    def next(self) -> tuple[Hashable, Any]:
        """Wait until a call has ended: its token, its value or an exception."""
        ...

    def abandon(self) -> None:
        """Forget all calls."""
        ...

    def close(self) -> None:
        """End."""
        ...


def _serve(pipe: Any, make: bytes, number: int) -> None:
    """A worker: makes the function, then calls it until the pipe is closed."""
    # Ctrl-C reaches all processes of a terminal. What began this one ends it.
    pass_over_interrupts()
    try:
        try:
            function = pickle.loads(make)(number)
        except Exception as error:
            pipe.send((None, _failure(error)))
            return
        pipe.send((True, None))
        while True:
            argument = pipe.recv()
            try:
                value = (True, function(argument))
            except Exception as error:
                value = (False, _failure(error))
            pipe.send(value)
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _failure(error: Exception) -> Failure:
    return names(error), (str(error).splitlines() or [""])[0]


def names(error: Exception) -> tuple[str, ...]:
    """Of its type and of those that it derives from, wherever it was raised."""
    if isinstance(error, CallFailed):
        return error.kinds
    return tuple(kind.__name__ for kind in type(error).__mro__)


def told(error: Exception) -> str:
    """Its type and the first line of its text, wherever it was raised."""
    _, text = _failure(error)
    return text if isinstance(error, CallFailed) else f"{type(error).__name__}: {text}"


class CallFailed(Exception):
    """What a call in another process failed with; its text has the type's name.

    ``kinds`` are the names of the type and of those that it derives from.
    """

    def __init__(self, said: str, kinds: tuple[str, ...] = ()) -> None:
        super().__init__(said)
        self.kinds = kinds


class _Worker:
    """A process, and the call that it has."""

    def __init__(self, make: bytes, number: int) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, make, number), daemon=True
        )
        with interrupts_held_back():
            self.process.start()
        theirs.close()
        self.number, self.ready = number, False
        self.token: Hashable = None
        self.argument: Any = None
        self.busy = False
        self.deadline = float("inf")

    def give(self, token: Hashable, argument: Any, timeout: float) -> None:
        """Begin a call."""
        self.token, self.argument, self.busy = token, argument, True
        self.deadline = time.monotonic() + timeout
        self.pipe.send(argument)

    def code(self) -> int | None:
        """The exit code of a process that has closed its pipe."""
        # It may take a moment to end.
        self.process.join(SECONDS_TO_END)
        return self.process.exitcode

    def kill(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Workers:
    """Processes of this machine.

    Parameters
    ----------
    make
        From the number of a worker to the function that it calls; can be pickled.
    count
        How many.
    timeout
        Seconds after which a call is taken to hang, and its process is killed.

    Raises
    ------
    InputError
        Where ``make`` cannot be pickled.
    """

    def __init__(
        self, make: Callable[[int], Callable[[Any], Any]], count: int, timeout: float
    ) -> None:
        self._make, self.count, self.timeout = pickled(make), count, timeout
        self._queue: deque[tuple[Hashable, Any]] = deque()
        self._workers: list[_Worker] = []
        self._ended: deque[tuple[Hashable, Any]] = deque()
        self._stillborn = 0
        self._end = weakref.finalize(self, _kill_all, self._workers)

    def submit(self, token: Hashable, argument: Any) -> None:
        """Take on a call; it begins at once where a worker is free."""
        self._queue.append((token, argument))
        self._hand_out()

    def _hand_out(self) -> None:
        while self._queue:
            free = next((w for w in self._workers if w.ready and not w.busy), None)
            if free is None:
                break
            token, argument = self._queue.popleft()
            try:
                free.give(token, argument, self.timeout)
            except OSError:
                self._queue.appendleft((token, argument))
                self._lose(free)
        busy = sum(w.busy for w in self._workers)
        wanted = min(self.count, busy + len(self._queue))
        while len(self._workers) < wanted:
            numbers = {w.number for w in self._workers}
            number = next(k for k in range(self.count) if k not in numbers)
            self._workers.append(_Worker(self._make, number))

    def _lose(self, worker: _Worker) -> None:
        worker.kill()
        self._workers.remove(worker)

    def next(self) -> tuple[Hashable, Any]:
        """Wait until a call has ended.

        Raises
        ------
        RunError
            Where workers cannot be started.
        """
        ended = None
        while ended is None:
            ended = self.next_within(float("inf"))
        return ended

    def next_within(self, seconds: float) -> tuple[Hashable, Any] | None:
        """The same, but None where no call has ended after so many seconds."""
        until = time.monotonic() + seconds
        while not self._ended:
            self._hand_out()
            pipes: dict[Any, _Worker] = {
                w.pipe: w for w in self._workers if w.busy or not w.ready
            }
            if not pipes:
                raise RunError("no call is under way")
            if time.monotonic() >= until:
                return None
            first = min(until, *(w.deadline for w in pipes.values()))
            wait = None if first == float("inf") else max(0.0, first - time.monotonic())
            for pipe in connection.wait(list(pipes), wait):
                self._receive(pipes[pipe])
            for worker in list(self._workers):
                if worker.busy and time.monotonic() > worker.deadline:
                    said = f"no answer within {self.timeout:g} seconds"
                    self._ended.append((worker.token, TimeoutError(said)))
                    self._lose(worker)
        return self._ended.popleft()

    def _receive(self, worker: _Worker) -> None:
        try:
            good, value = worker.pipe.recv()
        except (EOFError, OSError):
            if worker.busy:
                said = f"the process of this call ended (exit code {worker.code()})"
                self._ended.append((worker.token, CallFailed(said)))
            else:
                self._stillborn += 1
            self._lose(worker)
            if self._stillborn >= MOST_STILLBORN:
                raise RunError(
                    "the worker processes end before they are ready; put the code of "
                    "your script under 'if __name__ == \"__main__\":', and define "
                    "its classes above that line"
                ) from None
            return
        if good is None:
            self._lose(worker)
            raise RunError(
                f"a worker process cannot make the calculator ({_said(value)})"
            )
        if not worker.ready:
            worker.ready, self._stillborn = True, 0
            return
        worker.busy, worker.deadline = False, float("inf")
        self._ended.append((worker.token, value if good else _failed(value)))

    def abandon(self) -> None:
        """Forget all calls; what computes is killed."""
        self._queue.clear()
        self._ended.clear()
        for worker in [w for w in self._workers if w.busy]:
            self._lose(worker)

    def close(self) -> None:
        """End all processes."""
        self.abandon()
        self._end()


def _kill_all(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.kill()
    workers.clear()


def _said(failure: Failure) -> str:
    kinds, text = failure
    return f"{kinds[0]}: {text}"


def _failed(failure: Failure) -> CallFailed:
    return CallFailed(_said(failure), failure[0])


def pickled(make: Any) -> bytes:
    """What another process makes a function from.

    Raises
    ------
    InputError
        Where it cannot be pickled.
    """
    try:
        return pickle.dumps(make)
    except Exception as error:
        raise InputError(
            f"the calculator cannot be sent to other processes ({error}); give "
            "make_calculator, a function of a module that makes one"
        ) from error


class ExecutorWorkers:
    """Calls by any :class:`concurrent.futures.Executor`.

    Parameters
    ----------
    executor
        Whoever made it closes it.
    function
        Called with an argument; can be pickled where other processes are to call it.
    timeout
        Seconds without the end of any call after which the oldest is given up; how long
        a call has waited for a worker is not known. Its worker goes on.
    """

    def __init__(
        self, executor: Executor, function: Callable[[Any], Any], timeout: float
    ) -> None:
        self.executor, self.function, self.timeout = executor, function, timeout
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._under_way: dict[int, tuple[Hashable, Future[Any]]] = {}
        self._count = 0

    def submit(self, token: Hashable, argument: Any) -> None:
        """Take on a call."""
        number, self._count = self._count, self._count + 1
        future = self.executor.submit(self.function, argument)
        self._under_way[number] = token, future
        future.add_done_callback(lambda _: self._done.put(number))

    def next(self) -> tuple[Hashable, Any]:
        """Wait until a call has ended, or has taken too long."""
        wait = None if self.timeout == float("inf") else self.timeout
        while True:
            try:
                number = self._done.get(timeout=wait)
            except queue.Empty:
                token, future = self._under_way.pop(min(self._under_way))
                future.cancel()
                said = f"no answer within {self.timeout:g} seconds"
                return token, TimeoutError(said)
            if number not in self._under_way:
                # It was given up.
                continue
            token, future = self._under_way.pop(number)
            try:
                return token, future.result()
            except CancelledError:
                return token, CallFailed("the executor has cancelled the call")
            except Exception as error:
                return token, _failed(_failure(error))

    def abandon(self) -> None:
        """Forget all calls; those that have not begun are cancelled."""
        for _, future in self._under_way.values():
            future.cancel()
        self._under_way.clear()

    def close(self) -> None:
        """The executor is its maker's."""
        self.abandon()
