"""Searches side by side: a thread each, whose requests are carried out together.

Methods are written as if their search were alone. Each runs in a thread until it asks
for something, and sleeps while its request waits; once all have asked (or ended), the
calling thread carries out what they asked for as one batch. Only one thread computes at
a time, so nothing depends on the scheduling of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from ase_l2h.search.engine import Engine
from ase_l2h.search.ledger import Stopped
from ase_l2h.search.requests import Request, Submit

__all__ = ["side_by_side"]

Task = Callable[[Submit], Any]


def side_by_side(engine: Engine, tasks: Sequence[Task]) -> list[Any]:
    """What each task returns, or the exception that it raised.

    Parameters
    ----------
    engine
        Carries out the requests.
    tasks
        Each is called with the function that carries out its requests.

    Raises
    ------
    KeyboardInterrupt
        As soon as every task has noticed and ended.
    """
    if len(tasks) == 1:
        return [_attempt(tasks[0], lambda request: engine.execute([request])[0])]
    return _Coordinator(engine, tasks).run()


def _attempt(task: Task, submit: Submit) -> Any:
    try:
        return task(submit)
    except Exception as error:
        return error


class _Coordinator:
    """Each task waits at a queue of its own: nobody is woken for somebody else."""

    def __init__(self, engine: Engine, tasks: Sequence[Task]) -> None:
        self.engine = engine
        # Numbers of tasks with what they ask for, or with how they ended.
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
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run(self) -> list[Any]:
        waiting: dict[int, Request] = {}
        try:
            # One at a time: threads that compute at once wait for the interpreter, and
            # for each other, longer than they work.
            for thread in self.threads:
                thread.start()
                self.started += 1
                self._receive(waiting)
            while waiting:
                waiting = self._answered(waiting)
        except BaseException:
            self._cancel(waiting)
            raise
        return self.outcomes

    def _receive(self, waiting: dict[int, Request]) -> None:
        """The next request, or the end, of the task that runs."""
        k, request, outcome = self.inbox.get()
        if request is None:
            self.outcomes[k] = outcome
            self.ended += 1
        else:
            waiting[k] = request

    def _answered(self, waiting: dict[int, Request]) -> dict[int, Request]:
        """Carry out what is waited for; what the tasks ask for then."""
        # In the order of the searches.
        members = sorted(waiting)
        try:
            answers = self.engine.execute([waiting[k] for k in members])
        except Exception as error:
            answers = [error] * len(members)
        following: dict[int, Request] = {}
        for k, answer in zip(members, answers, strict=True):
            del waiting[k]
            self.answers[k].put(answer)
            try:
                self._receive(following)
            except BaseException:
                waiting |= following
                raise
        return following

    def _cancel(self, waiting: dict[int, Request]) -> None:
        """Tell every task that has begun to end, and wait until it has."""
        for k in waiting:
            self.answers[k].put(Stopped("interrupted"))
        while self.ended < self.started:
            later: dict[int, Request] = {}
            self._receive(later)
            for k in later:
                self.answers[k].put(Stopped("interrupted"))
