"""Requests to a calculator: one call for each structure and step.

The optimizers are the same as in the kernels; only energy and gradient come from
outside. Atoms are kept apart before a call (:mod:`ase_l2h.search.guard`). A call that
fails is repeated once, then tried once at nearby positions; after that the structure is
given up, and the search goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ase_l2h._internal.promotion import compiled, double_precision
from ase_l2h._internal.remembered import Remembered
from ase_l2h._internal.workers import names, told
from ase_l2h.errors import RunError
from ase_l2h.optimizers import BasinHopping
from ase_l2h.optimizers.base import SearchState
from ase_l2h.rollout.calculator import PointPotential
from ase_l2h.search.agreement import Agreement
from ase_l2h.search.callers import Calls, SerialCalls
from ase_l2h.search.guard import Guard
from ase_l2h.search.ledger import Stopped
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Advance, Begin, Points, Request, Spread
from ase_l2h.starts.random import spread

__all__ = ["ENDURED", "CalculatorEngine", "unconverged"]

logger = logging.getLogger(__name__)
# Failed calls in a row after which the calculator counts as broken, how many more for
# each successful call, and the most: a calculator that converges for some structures
# may not converge for many others.
MOST_FAILURES, MORE_FAILURES, ENDURED = 20, 0.25, 100
# How far from a failed call's structure the last attempt is, in bond lengths.
NEARBY = 1e-3
# Attempts of a call before the last one, which is at nearby positions.
LAST = 2
# Names of the exceptions of codes that do not converge for a structure.
UNCONVERGED = {"CalculationFailed", "SCFError"}
# Failures that are reported one by one; the result has the number of all.
TOLD = 20

# Yields positions to call at, receives the results, returns the answer.
Work = Generator[list[np.ndarray], list[Any], Any]


@compiled
def _begin(
    optimizer: Any, potential: Any, system: Any, positions: Any, keys: Any
) -> SearchState:
    if isinstance(optimizer, BasinHopping):
        return optimizer.init_with_keys(keys, positions, system, potential)
    return optimizer.init(jax.random.key(0), positions, system, potential)


@compiled
def _step(
    optimizer: Any, measured: Any, system: Any, state: SearchState
) -> SearchState:
    # The key is not used: hops have their own keys, and rules draw nothing.
    return optimizer.step(jax.random.key(0), state, system, measured)


class _Job:
    """A request under way, and the calls that it waits for."""

    def __init__(self, problem: Problem, work: Work) -> None:
        self.problem, self.work = problem, work
        self.results: list[Any] = []
        self.missing = 0
        self.answer: Any = None

    def go_on(self, calls: Calls, key: Hashable) -> bool:
        """Begin the next calls; True if none are left and the answer is known."""
        try:
            # A generator must be started with None.
            places = self.work.send(self.results or None)  # type: ignore[arg-type]
            while not places:
                places = self.work.send([])
        except StopIteration as stop:
            self.answer = stop.value
            return True
        self.results, self.missing = [None] * len(places), len(places)
        for k, place in enumerate(places):
            calls.begin((key, k), self.problem, place)
        return False


class CalculatorEngine:
    """Requests to calculators: ``measure`` of a problem, once for every evaluation.

    Parameters
    ----------
    calls
        Carries the calls out; one after the other when None.
    failures
        Calls that failed before.

    Attributes
    ----------
    calls, failures
        Calls asked for, and how many of them failed.
    kept_apart
        Structures whose atoms had to be moved apart.
    trouble
        Why the engine gave up; None if it has not.
    complaint
        What has failed since the last call that did not; None if that was the last.
    """

    # One step at a time, so that a stop is noticed between two calls.
    launch = 1.0
    backend = "calculator"

    def __init__(self, calls: Calls | None = None, failures: int = 0) -> None:
        self.caller: Calls = SerialCalls() if calls is None else calls
        self.calls = self.failures = failures
        self.kept_apart = 0
        self.trouble: str | None = None
        self.complaint: str | None = None
        self._in_a_row = 0
        self._jobs: dict[Hashable, _Job] = {}
        self._agreement = Agreement()
        self._guards: Remembered[Guard] = Remembered(1000)

    @property
    def round_calls(self) -> int:
        """See :class:`~ase_l2h.search.callers.Calls`."""
        return self.caller.round_calls

    def execute(self, requests: Sequence[Request]) -> list[Any]:
        """The answers, in order."""
        waiting: Mapping[Hashable, Request] = dict(enumerate(requests))
        answers: dict[Hashable, Any] = {}
        while len(answers) < len(requests):
            answers |= self.complete_some(waiting)
            waiting = {}
        return [answers[k] for k in range(len(requests))]

    def complete_some(
        self, requests: Mapping[Hashable, Request]
    ) -> dict[Hashable, Any]:
        """Take on more requests, and wait until one or more are answered.

        Raises
        ------
        Stopped
            ``"failed"``, where too many calls in a row have failed.
        """
        answered: dict[Hashable, Any] = {}
        try:
            for key, request in requests.items():
                job = _Job(request.problem, self._work(request))
                if job.go_on(self.caller, key):
                    answered[key] = job.answer
                else:
                    self._jobs[key] = job
            while not answered:
                (key, k), result = self.caller.ended()  # type: ignore[misc]
                job = self._jobs[key]
                self._heard(result, (3, job.problem.n_atoms))
                job.results[k] = result
                job.missing -= 1
                if job.missing == 0 and job.go_on(self.caller, key):
                    answered[key] = self._jobs.pop(key).answer
        except BaseException:
            self.abandon()
            raise
        return answered

    def abandon(self) -> None:
        """Forget the calls under way."""
        self._jobs.clear()
        self._in_a_row = 0
        self.caller.abandon()

    def _work(self, request: Request) -> Work:
        if isinstance(request, Begin):
            return self._begin(request)
        if isinstance(request, Spread):
            return self._spread(request)
        if isinstance(request, Points):
            return self._points(request)
        return self._advance(request)

    def _spread(self, request: Spread) -> Work:
        apart = spread(request.problem.system, request.positions).astype(float)
        return self._apart(request.problem, apart)
        yield []

    def _begin(self, request: Begin) -> Work:
        # In double precision: a step costs nothing compared with the call.
        positions = np.asarray(request.positions, np.float64)
        if not request.as_they_are:
            positions = self._guard(request.problem).brought_together(positions)
        positions = self._apart(request.problem, positions)
        nothing = PointPotential(np.zeros(positions.shape[2]), np.zeros_like(positions))
        system = request.problem.system
        with double_precision():
            state = _begin(
                request.optimizer, nothing, system, positions, jnp.asarray(request.keys)
            )
            return jax.tree.map(np.asarray, state)
        yield []

    def _points(self, request: Points) -> Work:
        if request.species is not None:
            raise RunError("a calculator is called only for its own atoms")
        positions = self._apart(request.problem, np.asarray(request.positions, float))
        which = np.arange(positions.shape[2])
        energies, _, _ = yield from self._measured(request.problem, positions, which, 0)
        return energies

    def _advance(self, request: Advance) -> Work:
        state, problem, spare = request.state, request.problem, request.spare
        for _ in range(request.n_steps):
            active = np.flatnonzero(state.active)
            if active.size == 0:
                break
            energies, gradients, repeated = yield from self._measured(
                problem, np.asarray(state.positions), active, spare
            )
            spare -= int(np.sum(repeated))
            before = np.asarray(state.positions)
            self._agreement.measured(problem, before, energies, gradients)
            failed = np.isinf(np.asarray(state.energy)) & np.isinf(energies)
            with double_precision():
                state = jax.tree.map(
                    np.asarray,
                    _step(
                        request.optimizer,
                        PointPotential(energies, gradients),
                        problem.system,
                        state,
                    ),
                )
            apart = self._apart(problem, np.asarray(state.positions), state.active)
            self._agreement.stepped(before, energies, gradients, apart)
            state = state._replace(positions=apart)
            if not isinstance(request.optimizer, BasinHopping):
                # A rule cannot go on from a point without a gradient; a chain hops
                # away. After two such points in a row shorter steps will not help.
                state = _given_up(state, failed & np.asarray(state.active))
                known = np.isfinite(np.asarray(state.best_energy)) & problem.kept(apart)
                state = state._replace(active=np.asarray(state.active) & known)
            if np.any(repeated):
                state = state._replace(evaluations=state.evaluations + repeated)
        return state

    def _guard(self, problem: Problem) -> Guard:
        return self._guards.get((problem,), None, lambda: Guard(problem))

    def _apart(
        self, problem: Problem, positions: np.ndarray, which: Any = None
    ) -> np.ndarray:
        """Positions with no two atoms nearer than a fraction of their bond."""
        apart, moved = self._guard(problem).kept_apart(positions)
        if which is not None and np.any(moved & ~np.asarray(which)):
            # A finished structure stays where it was evaluated.
            moved &= np.asarray(which)
            apart = np.where(moved, apart, positions)
        self.kept_apart += int(np.sum(moved))
        return apart

    def _measured(
        self,
        problem: Problem,
        positions: np.ndarray,
        which: np.ndarray,
        spare: int | float,
    ) -> Generator[list[np.ndarray], list[Any], tuple[np.ndarray, ...]]:
        """Energies and gradients; ``+inf`` and zero where a call failed.

        A failed call is repeated once, because queues and files may fail for a moment,
        and then tried nearby, where the code may converge; all this while ``spare``
        calls last. A call that reports no convergence is tried nearby at once.
        """
        energies = np.full(positions.shape[2], np.inf)
        gradients = np.zeros_like(positions)
        repeated = np.zeros(positions.shape[2], np.int32)
        attempts = dict.fromkeys(which.tolist(), 0)
        pending = list(attempts)
        while pending:
            places = [positions[..., b] for b in pending]
            results = yield [
                self._nearby(problem, place) if attempts[b] == LAST else place
                for b, place in zip(pending, places, strict=True)
            ]
            failed = []
            for b, result in zip(pending, results, strict=True):
                if self._fault(result, positions.shape[:2]) is None:
                    energies[b], gradients[..., b] = result
                elif attempts[b] < LAST:
                    failed.append(b)
                    attempts[b] = LAST if unconverged(result) else attempts[b] + 1
            pending = failed[: int(max(0, min(spare, len(failed))))]
            spare -= len(pending)
            repeated[pending] += 1
        return energies, gradients, repeated

    def _nearby(self, problem: Problem, place: np.ndarray) -> np.ndarray:
        """A thousandth of a bond away, always the same for the same positions."""
        seed = np.frombuffer(np.ascontiguousarray(place).tobytes(), np.uint32)
        noise = np.random.default_rng(seed).normal(size=place.shape)
        moved = place + NEARBY * problem.length * noise
        return problem.with_fixed(moved[..., None])[..., 0]

    def _heard(self, result: Any, shape: tuple[int, int]) -> None:
        """Count a call; too many failures in a row end all searches."""
        self.calls += 1
        reason = self._fault(result, shape)
        if reason is None:
            self._in_a_row, self.trouble, self.complaint = 0, None, None
            return
        self.failures += 1
        self._in_a_row += 1
        if self.failures <= TOLD:
            more = (
                "; further failures are not reported" if self.failures == TOLD else ""
            )
            logger.warning("a call of the calculator failed (%s)%s", reason, more)
        sound = self.calls - self.failures
        most = min(ENDURED, MOST_FAILURES + MORE_FAILURES * sound)
        self.complaint = (
            f"{self._in_a_row} calls of the calculator in a row failed, the last "
            f"with: {reason}; check the calculator"
        )
        if self._in_a_row >= (ENDURED if unconverged(result) else most):
            self.trouble = self.complaint
            raise Stopped("failed")

    def _fault(self, result: Any, shape: tuple[int, ...]) -> str | None:
        if isinstance(result, Exception):
            return told(result)
        energy, gradient = result
        if np.shape(gradient) != shape:
            return f"its forces have shape {np.shape(gradient)[::-1]}"
        if not (np.isfinite(energy) and np.all(np.isfinite(gradient))):
            return "its energy or forces are not finite"
        return None


def _given_up(state: SearchState, which: np.ndarray) -> SearchState:
    """The state with some structures at their lowest points, not converged."""
    if not np.any(which):
        return state
    return state._replace(
        positions=np.where(which, state.best_positions, state.positions),
        energy=np.where(which, state.best_energy, state.energy),
        force=np.where(which, np.inf, state.force),
        active=np.asarray(state.active) & ~which,
    )


def unconverged(result: Any) -> bool:
    """Whether a call failed because of its structure, not of the calculator."""
    return isinstance(result, Exception) and not UNCONVERGED.isdisjoint(names(result))
