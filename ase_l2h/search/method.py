"""The contract of a search method, and the one loop that drives them all."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ase_l2h.errors import InputError
from ase_l2h.search.attempts import Attempts, Confidence, confidence_of
from ase_l2h.search.coordinator import side_by_side
from ase_l2h.search.engine import Engine
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.ledger import Ledger, Search, State, Stopped
from ase_l2h.search.limits import Limits
from ase_l2h.search.problem import HIT, Problem
from ase_l2h.search.requests import Submit
from ase_l2h.search.result import SearchResult, Trace, result_of

__all__ = ["CUT_SHORT", "Found", "Method", "Search", "SearchRun", "State", "run"]

# Reasons that cut a round short; the round is then discarded.
CUT_SHORT = ("failed", "interrupted", "time")
# Seconds between two checkpoints.
CHECKPOINT_SECONDS = 2.0


class Found(NamedTuple):
    """Relaxed structures: ``energies`` ``(k,)``, ``positions`` ``(3, n, k)``."""

    energies: np.ndarray
    positions: np.ndarray


@runtime_checkable
class Method(Protocol):
    """Decides which structures of a search are stepped next.

    A method is an immutable object; what it knows of a search is its state. A round
    asks the evaluator for energies and relaxations and returns the new state; the old
    one is left as it was, so that a round that is cut short never was.
    """

    @property
    def name(self) -> str:
        """For tables."""
        ...

    def refuse(self, problem: Problem) -> str | None:
        """Why this method cannot search a problem; None where it can."""
        ...

    def init(self, problem: Problem, seed: Sequence[int]) -> State:
        """The state before the first round; nothing is evaluated."""
        ...

    def advance(self, state: State, evaluator: Evaluator) -> State:
        """One round."""
        ...

    def finished(self, state: State) -> bool:
        """Whether there is nothing left to do."""
        ...

    def minima(self, state: State) -> Found:
        """What has been found and relaxed."""
        ...

    def attempts(self, state: State) -> Attempts:
        """Independent attempts that have ended; none where a method knows no end."""
        ...

    def describe(self) -> dict[str, Any]:
        """What the results depend on, JSON-able."""
        ...


class SearchRun:
    """Searches that are advanced round by round, side by side.

    Parameters
    ----------
    method
        What every search does.
    problems
        One for each search; all on one engine.
    seeds
        What everything random in a search follows from, one for each.
    limits
        Evaluations and target of each search; the time is that of all.
    engine
        Carries out what they ask for.
    stop_together
        Whether all end when one has met the target energy.
    interrupted
        Asked before every request whether to stop.
    on_charge
        Called with every charge.
    """

    def __init__(
        self,
        method: Method,
        problems: Sequence[Problem],
        seeds: Sequence[Sequence[int]],
        limits: Limits,
        engine: Engine,
        *,
        stop_together: bool = True,
        interrupted: Callable[[], bool] = lambda: False,
        on_charge: Callable[[int], Any] | None = None,
    ) -> None:
        for problem in problems:
            reason = method.refuse(problem)
            if reason is not None:
                raise InputError(f"the method '{method.name}' {reason}")
        self.method, self.limits, self.engine = method, limits, engine
        self.stop_together = stop_together
        self.interrupted, self.on_charge = interrupted, on_charge
        self.searches = [
            Search(problem, method.init(problem, seed), Ledger.begun(problem))
            for problem, seed in zip(problems, seeds, strict=True)
        ]
        self.seconds = 0.0
        self.rounds = 0
        self._deadline = math.inf

    @property
    def stopped(self) -> str | None:
        """Why all searches have ended; None while one has not.

        A search that ended because another one met the target says ``"another"``.
        """
        reasons = [search.stopped for search in self.searches]
        if None in reasons:
            return None
        for reason in ("failed", "interrupted", "time", "target", "settled"):
            if reason in reasons:
                return reason
        return "evaluations" if "evaluations" in reasons else "done"

    @property
    def charged(self) -> int:
        """Charged evaluations of all searches."""
        return sum(search.present.charged for search in self.searches)

    @property
    def energy(self) -> float:
        """The lowest energy that any search has seen."""
        return min(search.present.energy for search in self.searches)

    @property
    def confidence(self) -> Confidence:
        """How often independent attempts of all searches met the lowest minimum."""
        problem, states = self.searches[0].problem, [s.state for s in self.searches]
        near, wanted = HIT * problem.energy_unit, self.limits.settled or 0
        parts = [self.method.attempts(state) for state in states]
        joint = getattr(self.method, "attempts_under_way", None)
        if joint is not None and len(states) > 1:
            parts.append(joint(states, problem, self.energy + near))
        return confidence_of(parts, self.energy, near, wanted)

    def advance(self, seconds: float = math.inf) -> None:
        """One round of every running search, within ``seconds``."""
        begun = time.monotonic()
        self._deadline = begun + seconds
        going = [search for search in self.searches if search.stopped is None]
        tasks = [lambda submit, s=search: self._rounds(s, submit) for search in going]
        try:
            outcomes = side_by_side(self.engine, tasks, self._stop_reason)
        except KeyboardInterrupt:
            outcomes = [Stopped("interrupted")] * len(going)
        for search, outcome in zip(going, outcomes, strict=True):
            self._conclude(search, outcome)
        self.rounds += 1
        if any(s.stopped == "failed" for s in going):
            self._end_all("failed")
        elif any(s.stopped == "interrupted" for s in going):
            self._end_all("interrupted")
        elif self.stop_together and any(s.stopped == "target" for s in going):
            self._end_all("another")
        elif self.limits.settled and self.confidence.settled:
            self._end_all("settled")
        self.seconds += time.monotonic() - begun

    def _stop_reason(self) -> str | None:
        if self.interrupted():
            return "interrupted"
        return "time" if time.monotonic() > self._deadline else None

    def _rounds(self, search: Search, submit: Submit) -> State:
        """One round, or as many as ``round_calls`` requires."""
        before, least = search.ledger.charged, 0
        if len(self.searches) > 1:
            least = getattr(self.engine, "round_calls", 0)
        state = self._round(search, submit)
        while search.tail is not None and search.tail.charged - before < least:
            if self.method.finished(state):
                break
            search.state, search.ledger = state, search.tail
            search.rounds += 1
            state = self._round(search, submit)
        return state

    def _round(self, search: Search, submit: Submit) -> State:
        """A round on a copy of the ledger, which is discarded if it is cut short.

        So is a last round that reaches no minimum because calls fail.
        """
        tail = dataclasses.replace(search.ledger, course=list(search.ledger.course))
        search.tail = tail
        evaluator = Evaluator(
            search.problem,
            submit,
            limit=self.limits.evaluations,
            target_energy=self.limits.target_energy,
            deadline=self._deadline,
            interrupted=self.interrupted,
            on_charge=self.on_charge,
            launch=self.engine.launch,
            ledger=tail,
        )
        try:
            state = self.method.advance(search.state, evaluator)
            complaint = getattr(self.engine, "complaint", None)
            if complaint and self.method.finished(state) and not tail.relaxed:
                self.engine.trouble = complaint  # type: ignore[attr-defined]
                raise Stopped("failed")
            return state
        except Stopped as stop:
            if stop.reason not in ("target", "failed") and evaluator.finish():
                raise Stopped("target") from stop
            raise

    def _conclude(self, search: Search, outcome: Any) -> None:
        if isinstance(outcome, Stopped):
            search.stopped = outcome.reason
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            assert search.tail is not None
            search.state, search.ledger, search.tail = outcome, search.tail, None
            search.rounds += 1
            if self.method.finished(outcome):
                search.stopped = "done"

    def interrupt(self) -> None:
        """End all searches that have not ended, as Ctrl-C does."""
        self._end_all("interrupted")

    def _end_all(self, reason: str) -> None:
        for search in self.searches:
            if search.stopped is None:
                search.stopped = reason

    def evaluator_beside(
        self, problem: Problem, limit: int | None, ledger: Ledger | None = None
    ) -> Evaluator:
        """An evaluator on the same engine that no search knows of.

        Parameters
        ----------
        problem
            One that the engine can run.
        limit
            Evaluations that it may spend; None without a limit.
        ledger
            Of what it goes on from.
        """
        return Evaluator(
            problem,
            lambda request: self.engine.execute([request])[0],
            limit=limit,
            interrupted=self.interrupted,
            on_charge=self.on_charge,
            launch=self.engine.launch,
            ledger=ledger,
        )

    def result(self, **facts: Any) -> SearchResult:
        """What has been found, with ``facts`` about where it comes from."""
        traces, found = [], []
        for k, search in enumerate(self.searches):
            ledger = search.present
            minima = self.method.minima(search.state)
            found.append((k, ledger, minima))
            traces.append(
                Trace(
                    charged=ledger.charged,
                    energy=ledger.energy,
                    stopped=search.stopped or "running",
                    course=tuple(ledger.course),
                )
            )
        return result_of(
            self.searches[0].problem,
            traces,
            [
                (k, ledger, minima.energies, minima.positions)
                for k, ledger, minima in found
            ],
            method=self.method.name,
            settings=self.method.describe(),
            backend=self.engine.backend,
            stopped=self.stopped or "running",
            seconds=self.seconds,
            confidence=self.confidence,
            states=[search.state for search in self.searches],
            failed_calls=getattr(self.engine, "failures", 0),
            trouble=getattr(self.engine, "trouble", None),
            **facts,
        )

    def stored(self) -> State:
        """Everything that :meth:`restore` needs.

        A round that was cut short by somebody or by the clock never was; one that the
        budget or the target has ended is the search's last.
        """
        searches = []
        for search in self.searches:
            ended = search.stopped not in CUT_SHORT
            tail = search.tail if ended else None
            searches.append(
                {
                    "state": search.state,
                    "rounds": search.rounds,
                    "stopped": search.stopped if ended else None,
                    "ledger": dataclasses.asdict(search.ledger),
                    "tail": None if tail is None else dataclasses.asdict(tail),
                }
            )
        return {
            "rounds": self.rounds,
            "seconds": self.seconds,
            "evaluations": self.limits.evaluations,
            "searches": searches,
        }

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Go on where :meth:`stored` was taken, bit for bit.

        Where the limit was another, what a search did in the round that reached it is
        done again.
        """
        self.rounds, self.seconds = stored["rounds"], stored["seconds"]
        same = stored["evaluations"] == self.limits.evaluations
        for search, kept in zip(self.searches, stored["searches"], strict=True):
            search.state, search.rounds = kept["state"], kept["rounds"]
            search.ledger = Ledger.restored(kept["ledger"])
            search.stopped, search.tail = kept["stopped"], None
            if search.stopped == "evaluations" and not same:
                search.stopped = None
            elif kept["tail"] is not None:
                search.tail = Ledger.restored(kept["tail"])
        if not self.confidence.settled:
            # The new limit asks for more attempts than before.
            for search in self.searches:
                search.stopped = None if search.stopped == "settled" else search.stopped


def run(
    search: SearchRun,
    *,
    save: Callable[[SearchRun], Any] | None = None,
    on_round: Callable[[SearchRun], Any] | None = None,
) -> SearchRun:
    """The loop of all searches: rounds until every search has ended.

    Parameters
    ----------
    search
        What is advanced.
    save
        Keeps it, every few seconds and in the end.
    on_round
        Called after every round.
    """
    limit = search.limits.seconds
    begun = time.monotonic()
    kept = begun
    try:
        while search.stopped is None:
            seconds = math.inf if limit is None else limit - (time.monotonic() - begun)
            search.advance(seconds)
            if on_round is not None:
                on_round(search)
            now = time.monotonic()
            if save is not None and now - kept > CHECKPOINT_SECONDS:
                save(search)
                kept = time.monotonic()
    except KeyboardInterrupt:
        search.interrupt()
    if save is not None:
        save(search)
    return search
