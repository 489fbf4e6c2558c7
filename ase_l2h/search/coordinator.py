"""Searches side by side: a thread each, whose requests are carried out together.

Methods are written as if their search were alone. Each runs in a thread that sleeps
while its request waits; once all have asked (or ended), the calling thread carries out
what they asked for as one batch. Only one thread computes at a time, so nothing depends
on the scheduling of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
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
    def __init__(self, engine: Engine, tasks: Sequence[Task]) -> None:
        self.engine = engine
        self.turn = threading.Condition()
        self.requests: dict[int, Request] = {}
        self.answers: dict[int, Any] = {}
        self.outcomes: list[Any] = [None] * len(tasks)
        self.running = len(tasks)
        self.cancelled = False
        self.threads = [
            threading.Thread(target=self._work, args=(k, task), daemon=True)
            for k, task in enumerate(tasks)
        ]

    def _work(self, k: int, task: Task) -> None:
        outcome = _attempt(task, lambda request: self._submit(k, request))
        with self.turn:
            self.outcomes[k] = outcome
            self.running -= 1
            self.turn.notify_all()

    def _submit(self, k: int, request: Request) -> Any:
        with self.turn:
            self.requests[k] = request
            self.turn.notify_all()
            self.turn.wait_for(lambda: k in self.answers or self.cancelled)
            if k not in self.answers:
                raise Stopped("interrupted")
            answer = self.answers.pop(k)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run(self) -> list[Any]:
        for thread in self.threads:
            thread.start()
        try:
            while True:
                with self.turn:
                    self.turn.wait_for(lambda: len(self.requests) == self.running)
                    if self.running == 0:
                        return self.outcomes
                    # In the order of the searches, whoever came first.
                    members = sorted(self.requests)
                    asked = [self.requests[k] for k in members]
                try:
                    answers: Sequence[Any] = self.engine.execute(asked)
                except Exception as error:
                    answers = [error] * len(asked)
                with self.turn:
                    self.requests.clear()
                    self.answers.update(zip(members, answers, strict=True))
                    self.turn.notify_all()
        except BaseException:
            with self.turn:
                self.cancelled = True
                self.turn.notify_all()
            for thread in self.threads:
                thread.join()
            raise
