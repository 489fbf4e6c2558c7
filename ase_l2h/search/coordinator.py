"""Searches side by side: a thread each, whose requests are carried out together.

Methods are written as if their search were alone. Each runs in a thread until it asks
for something, and sleeps while its request waits; once all have asked (or ended), the
calling thread executes the requests as one batch. Only one thread computes at a time,
so nothing depends on the scheduling of threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np

from ase_l2h.search.engine import Engine
from ase_l2h.search.ledger import Stopped
from ase_l2h.search.requests import Advance, Request, Spread, Submit

__all__ = ["side_by_side"]

Task = Callable[[Submit], Any]
# Why everything must end; None to go on.
StopReason = Callable[[], str | None]
# Work between two checks of the stop reason, in launches of the engine.
LAUNCHES = 4
# Moving the atoms of a structure apart takes as long as this many steps.
SPREADING = 400
# Seconds for relaxing what has been found, after a stop was requested.
GRACE = 5.0


def side_by_side(
    engine: Engine, tasks: Sequence[Task], stop: StopReason = lambda: None
) -> list[Any]:
    """Run the tasks; for each its result, or the exception that it raised.

    Parameters
    ----------
    engine
        Executes the requests.
    tasks
        Each is called with a function that executes its requests.
    stop
        Why everything must end. Tasks check this themselves between two requests, but
        the requests of many tasks may take minutes. So waiting requests are
        answered with ``Stopped`` if the reason is ``"interrupted"``, and all requests
        five seconds after any reason.

    Raises
    ------
    KeyboardInterrupt
        As soon as every task has noticed and ended.
    """
    if len(tasks) == 1:
        return [_attempt(tasks[0], lambda request: engine.execute([request])[0])]
    return _Coordinator(engine, tasks, stop).run()


def _attempt(task: Task, submit: Submit) -> Any:
    try:
        return task(submit)
    except Exception as error:
        return error


def _work(request: Request) -> float:
    """Structures times ``n^2`` times steps, the unit of an engine's ``launch``."""
    if isinstance(request, Advance):
        count = int(np.count_nonzero(request.state.active)) * request.n_steps
    else:
        count = request.positions.shape[2]
        count *= SPREADING if isinstance(request, Spread) else 1
    return float(count) * request.problem.n_atoms**2


class _Coordinator:
    """Each task waits at its own queue, so no other thread wakes up."""

    def __init__(self, engine: Engine, tasks: Sequence[Task], stop: StopReason) -> None:
        self.engine, self._stop = engine, stop
        # When the final relaxations began, and the tasks with requests made after the
        # stop.
        self._since: float | None = None
        self._later: set[int] = set()
        # The number of a task with its request, or with its outcome.
        self.inbox: SimpleQueue[tuple[int, Request | None, Any]] = SimpleQueue()
        self.answers: list[SimpleQueue[Any]] = [SimpleQueue() for _ in tasks]
        self.outcomes: list[Any] = [None] * len(tasks)
        self.started = self.ended = 0
        self.threads = [
            threading.Thread(target=self._work, args=(k, task), daemon=True)
            for k, task in enumerate(tasks)
        ]

    def _work(self, k: int, task: Task) -> None:
        outcome = _attempt(task, lambda request: self._submit(k, request))
        self.inbox.put((k, None, outcome))

    def _submit(self, k: int, request: Request) -> Any:
        self.inbox.put((k, request, None))
        answer = self.answers[k].get()
        if isinstance(answer, Stopped) and isinstance(request, Advance):
            # The state carries the lowest point.
            raise Stopped(answer.reason, request.state)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run(self) -> list[Any]:
        waiting: dict[int, Request] = {}
        self._under_way: set[int] = set()
        try:
            # One at a time: threads that compute in parallel would mostly wait for the
            # interpreter lock.
            for k, thread in enumerate(self.threads):
                refused = self._refusal(k)
                if refused is not None:
                    self.outcomes[k] = refused
                    continue
                thread.start()
                self.started += 1
                self._receive(waiting)
            while waiting or self._under_way:
                waiting = self._answered(waiting)
        except BaseException:
            self._cancel(waiting)
            raise
        return self.outcomes

    def _receive(self, waiting: dict[int, Request]) -> None:
        """Receive the next request, or the outcome, of the running task."""
        k, request, outcome = self.inbox.get()
        if request is None:
            self.outcomes[k] = outcome
            self.ended += 1
        else:
            waiting[k] = request
            if self._stop() is not None:
                self._later.add(k)

    def _refusal(self, k: int) -> Stopped | None:
        """``Stopped`` if a request is refused, else None."""
        reason = self._stop()
        if reason is None:
            return None
        if reason == "interrupted" and k not in self._later:
            return Stopped(reason)
        # Requests made after the stop relax what was found.
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        return Stopped(reason) if now > self._since + GRACE else None

    def _parts(self, waiting: Mapping[int, Request]) -> Iterator[list[int]]:
        """The waiting tasks in order, in parts of bounded work."""
        most, part, work = LAUNCHES * self.engine.launch, [], 0.0
        for k in sorted(waiting):
            own = _work(waiting[k])
            if part and work + own > most:
                yield part
                part, work = [], 0.0
            part.append(k)
            work += own
        if part:
            yield part

    def _answered(self, waiting: dict[int, Request]) -> dict[int, Request]:
        """Answer the waiting requests; returns the next ones."""
        if hasattr(self.engine, "complete_some"):
            return self._answered_some(waiting)
        following: dict[int, Request] = {}
        for part in list(self._parts(waiting)):
            answers: list[Any] = [self._refusal(k) for k in part]
            going = [k for k, refused in zip(part, answers, strict=True) if not refused]
            try:
                asked = [waiting[k] for k in going]
                results = self.engine.execute(asked) if asked else []
            except Exception as error:
                results = [error] * len(going)
            except BaseException:
                waiting |= following
                raise
            told = dict(zip(going, results, strict=True))
            for k, refused in zip(part, answers, strict=True):
                del waiting[k]
                self._hand(k, refused or told[k], waiting, following)
        return following

    def _answered_some(self, waiting: dict[int, Request]) -> dict[int, Request]:
        """The same, but a task with a short call does not wait for a long one."""
        answers: dict[int, Any] = {}
        following: dict[int, Request] = {}
        for k in sorted(waiting):
            refused = self._refusal(k)
            if refused is not None:
                answers[k] = refused
                del waiting[k]
        if answers:
            following |= waiting
        else:
            self._under_way |= waiting.keys()
            try:
                some: Any = self.engine
                answers = some.complete_some(waiting)
            except Exception as error:
                answers = dict.fromkeys(self._under_way, error)
        waiting.clear()
        for k in sorted(answers):
            self._under_way.discard(k)
            self._hand(k, answers[k], waiting, following)
        return following

    def _hand(
        self,
        k: int,
        answer: Any,
        waiting: dict[int, Request],
        following: dict[int, Request],
    ) -> None:
        """Give a task its answer, and receive its next request."""
        self.answers[k].put(answer)
        try:
            self._receive(following)
        except BaseException:
            waiting |= following
            raise

    def _cancel(self, waiting: dict[int, Request]) -> None:
        """Tell every running task to end, and wait until it has."""
        for k in self._under_way | waiting.keys():
            self.answers[k].put(Stopped("interrupted"))
        while self.ended < self.started:
            later: dict[int, Request] = {}
            self._receive(later)
            for k in later:
                self.answers[k].put(Stopped("interrupted"))
