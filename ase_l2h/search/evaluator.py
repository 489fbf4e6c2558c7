"""The only access to energies: every evaluation of a search is charged here.

A method is written for one search and asks an :class:`Evaluator`. Its methods make a
``Request``, which an engine (:mod:`ase_l2h.search.engine`) executes, alone or together
with those of other searches. Charges are exact and stay within the limit.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ase_l2h.optimizers import BasinHopping, Optimizer, RuleOptimizer, SearchState
from ase_l2h.search.ledger import Ledger, Stopped
from ase_l2h.search.problem import HIT, Problem
from ase_l2h.search.relaxing import (
    LOOSE_ENERGY,
    LOOSE_STEPS,
    POLISH_STEPS,
    SINGLE,
    lowest_force,
    no_keys,
    outcome,
    relaxations,
    relaxing,
)
from ase_l2h.search.requests import Advance, Begin, Points, Relaxed, Spread, Submit

__all__ = ["Evaluator"]

# Positions ``(3, n, batch)`` to guesses of the inverse Hessian ``(3n, 3n, batch)``.
Metric = Callable[[np.ndarray], np.ndarray]
# Steps after which the curvature is guessed anew.
GUESSED = 5
# Share of the limit kept for relaxing the best at the end; its maximum, and that of
# calls.
RESERVE, MOST_RESERVE, CALLED_RESERVE = 0.3, 150, 50


class Evaluator:
    """Energies and relaxations of one search; all raise ``Stopped`` where it must end.

    Parameters
    ----------
    problem
        What is minimised.
    submit
        Carries out a request.
    limit
        Charged evaluations that may be spent; None without a limit.
    target_energy
        The search stops at a relaxed energy within 1e-4 energy scales of it, or below.
    deadline
        Time of ``time.monotonic`` at which the search stops.
    interrupted
        Asked before every request whether somebody wants it to stop.
    on_charge
        Called with every charge.
    launch
        The most structure-steps of ``n^2`` work in a request: a stop is noticed soon.
    ledger
        Of the part of the search that is done already.
    """

    def __init__(
        self,
        problem: Problem,
        submit: Submit,
        *,
        limit: int | None = None,
        target_energy: float | None = None,
        deadline: float | None = None,
        interrupted: Callable[[], bool] = lambda: False,
        on_charge: Callable[[int], Any] | None = None,
        launch: float = 1e9,
        ledger: Ledger | None = None,
    ) -> None:
        self.problem, self._submit = problem, submit
        self.ledger = Ledger() if ledger is None else ledger
        self._limit = math.inf if limit is None else limit
        most = MOST_RESERVE if problem.measure is None else CALLED_RESERVE
        self._reserve = 0 if limit is None else int(min(RESERVE * limit, most))
        target = -math.inf if target_energy is None else target_energy
        self._reached = target + HIT * problem.energy_unit
        self.target_energy = target_energy
        self._deadline = math.inf if deadline is None else deadline
        self._interrupted, self._on_charge = interrupted, on_charge
        self._launch = max(1, int(launch / max(1, problem.n_atoms) ** 2))
        self.fmax = lowest_force(problem)
        self._metric: Metric | None = None
        self._loose, self._fine, self._tight = relaxations(problem)

    @property
    def charged(self) -> int:
        """Charged evaluations so far."""
        return self.ledger.charged

    @property
    def left(self) -> int | float:
        """Evaluations that may still be spent, ``inf`` without a limit."""
        return self._limit - self._reserve - self.ledger.charged

    def check(self, state: SearchState | None = None, needed: int = 1) -> None:
        """Raise ``Stopped`` if the search must end.

        It must also end if fewer than ``needed`` evaluations are left.
        """
        if self._interrupted():
            raise Stopped("interrupted", state)
        # Not before there is a structure to return.
        if self.ledger.charged and time.monotonic() > self._deadline:
            raise Stopped("time", state)
        if self.left < needed:
            raise Stopped("evaluations", state)

    def with_length(self, length: float) -> Evaluator:
        """The same evaluator for the problem with another bond length."""
        if length == self.problem.length:
            return self
        other = copy.copy(self)
        other.problem = self.problem.with_length(length)
        return other

    def with_metric(self, metric: Metric) -> Evaluator:
        """The same evaluator, whose relaxations begin with a guess of the curvature."""
        other = copy.copy(self)
        other._metric = metric
        return other

    def _minimised(
        self, optimizer: Any, positions: np.ndarray, steps: int, double: bool = False
    ) -> Relaxed:
        """The outcome of a relaxation of at most so many steps."""
        state = self.begin(optimizer, positions, no_keys(positions), double)
        while self._metric is not None and steps > GUESSED and np.any(state.active):
            places = np.asarray(state.positions)
            metric = self._metric(places).astype(places.dtype)
            state = state._replace(inner=state.inner._replace(metric=metric))
            state = self.advanced(optimizer, state, GUESSED)
            steps -= GUESSED
        return outcome(self.advanced(optimizer, state, steps), self.problem)

    def _charge(self, count: int) -> None:
        self.ledger.charged += count
        if self._on_charge is not None and count:
            self._on_charge(count)

    def note(
        self,
        energy: float,
        positions: np.ndarray,
        relaxed: bool = True,
        polished: bool = False,
    ) -> None:
        """Remember the best structure; a relaxed one beats one that is not."""
        ledger, places = self.ledger, np.array(positions, float)[..., None]
        if not (np.isfinite(energy) and self.problem.kept(places)[0]):
            return
        fixed = self.problem.with_fixed(places)[..., 0]
        if not relaxed and energy < ledger.seen_energy:
            ledger.seen_energy, ledger.seen_positions = float(energy), fixed
        better = energy < ledger.energy or relaxed > ledger.relaxed
        if relaxed >= ledger.relaxed and better:
            ledger.energy, ledger.positions = float(energy), fixed
            ledger.relaxed, ledger.polished = relaxed, relaxed and polished
            if relaxed:
                ledger.course.append((ledger.charged, ledger.energy))

    def begin(
        self,
        optimizer: Optimizer,
        positions: np.ndarray,
        keys: np.ndarray,
        double: bool = False,
    ) -> SearchState:
        """The state of an optimizer at ``positions`` ``(3, n, batch)``.

        ``keys`` ``(2, batch)`` decide what is drawn for each structure.
        """
        places = np.asarray(positions, np.float64 if double else np.float32)
        known = optimizer is self._tight
        return self._submit(Begin(self.problem, optimizer, places, keys, known))

    def spread(self, positions: np.ndarray) -> np.ndarray:
        """Structures ``(3, n, batch)`` whose atoms no longer overlap; costs nothing."""
        if positions.shape[2] == 0:
            return positions
        apart = self._submit(Spread(self.problem, positions))
        return self.problem.with_fixed(np.asarray(apart, float))

    def resumed(
        self, optimizer: Optimizer, rollout: SearchState | list[np.ndarray]
    ) -> SearchState:
        """A rollout's state, also from the leaves in a checkpoint."""
        if isinstance(rollout, SearchState):
            return rollout
        positions = np.asarray(rollout[0])
        double = positions.dtype == np.float64
        empty = self.begin(optimizer, positions, no_keys(positions), double)
        return jax.tree.unflatten(jax.tree.structure(empty), rollout)

    def advance(
        self, optimizer: Optimizer, state: SearchState, n_steps: int
    ) -> SearchState:
        """Take up to ``n_steps`` steps with every active structure."""
        while n_steps > 0 and np.any(state.active):
            active = int(np.count_nonzero(state.active))
            self.check(state, active)
            taken = int(min(n_steps, self.left // active))
            taken = min(taken, max(1, self._launch // active))
            before = int(np.sum(state.evaluations))
            spare = self.left - taken * active
            asked = Advance(self.problem, optimizer, state, taken, spare)
            try:
                state = self._submit(asked)
            except Stopped as stop:
                stop.state = state
                raise
            self._charge(int(np.sum(state.evaluations)) - before)
            n_steps -= taken
        return state

    def energies(
        self, positions: np.ndarray, species: np.ndarray | None = None
    ) -> np.ndarray:
        """Energies at ``(3, n, batch)``, ``+inf`` where not finite.

        With other species if ``species`` ``(n, batch)`` is given.
        """
        count = positions.shape[2]
        if count == 0:
            return np.zeros(0)
        self.check(needed=count)
        values = self._submit(Points(self.problem, positions, species))
        self._charge(count)
        return values

    def relax(
        self,
        positions: np.ndarray,
        *,
        fmax: float | None = None,
        limit: int = LOOSE_STEPS,
    ) -> Relaxed:
        """Relax ``(3, n, batch)`` by L-BFGS in single precision.

        Down to ``fmax`` (5e-3 reduced units when None), at most ``limit`` evaluations.
        Structures near the target are relaxed further, to see whether they meet it.
        """
        if positions.shape[2] == 0:
            return Relaxed.none(self.problem.n_atoms)
        optimizer = self._loose if fmax is None else relaxing(self.problem, fmax)
        relaxed = self._minimised(optimizer, positions, limit)
        lowest = int(np.argmin(relaxed.energy))
        self.note(relaxed.energy[lowest], relaxed.positions[..., lowest], False)
        self._look_closer(relaxed)
        return relaxed

    def advanced(self, optimizer: Any, state: SearchState, steps: int) -> SearchState:
        """As :meth:`advance`; if it is cut short, the lowest point is remembered."""
        try:
            return self.advance(optimizer, state, steps)
        except Stopped as stop:
            if stop.state is not None:
                self.note_lowest(stop.state)
            raise

    def note_lowest(self, state: SearchState) -> None:
        """Remember the lowest point of a rollout as not relaxed."""
        energy = np.where(np.isfinite(state.best_energy), state.best_energy, np.inf)
        lowest = int(np.argmin(energy))
        place = np.asarray(state.best_positions)[..., lowest]
        self.note(float(energy[lowest]), place, False)

    def _look_closer(self, relaxed: Relaxed) -> None:
        if self._reached == -math.inf or relaxed.energy.size == 0:
            return
        lowest = int(np.argmin(relaxed.energy))
        energy = relaxed.energy[lowest]
        noise = SINGLE * abs(energy) + LOOSE_ENERGY * self.problem.energy_unit
        if energy < math.inf and energy <= self._reached + noise:
            self.refine(relaxed.positions[..., lowest : lowest + 1])

    def refine(self, positions: np.ndarray) -> Relaxed:
        """Relax ``(3, n, batch)`` in double precision, until minima can be told apart.

        Energies are then right within 1e-6 scales. Else as :meth:`polish`.
        """
        return self._finely(self._fine, positions)

    def polish(self, positions: np.ndarray) -> Relaxed:
        """Relax ``(3, n, batch)`` to the last digits, in double precision.

        The best is remembered; raises ``Stopped`` where it meets the target.
        """
        return self._finely(self._tight, positions)

    def _finely(self, optimizer: Any, positions: np.ndarray) -> Relaxed:
        if positions.shape[2] == 0:
            return Relaxed.none(self.problem.n_atoms)
        relaxed = self._minimised(optimizer, positions, POLISH_STEPS, double=True)
        if relaxed.energy.size and np.any(np.isfinite(relaxed.energy)):
            lowest = int(np.argmin(relaxed.energy))
            self.note(
                relaxed.energy[lowest],
                relaxed.positions[..., lowest],
                bool(relaxed.converged[lowest]),
                optimizer is self._tight,
            )
            if relaxed.energy[lowest] <= self._reached:
                raise Stopped("target")
        return relaxed

    def follow(
        self, rule: Any, positions: np.ndarray, n_steps: int, keys: np.ndarray
    ) -> Relaxed:
        """Steps of a learned rule from ``(3, n, batch)``, then relaxation.

        ``rule`` is one, or a tuple which the structures take in turn. From the last and
        the lowest point of each structure, the lower minimum is returned.
        """
        rules, count = rule if isinstance(rule, tuple) else (rule,), positions.shape[2]
        last, lowest = np.array(positions), np.array(positions)
        spent = np.zeros(count, int)
        for k, each in enumerate(rules):
            index = np.arange(k, count, len(rules))
            if index.size == 0:
                continue
            optimizer = RuleOptimizer(each)
            state = self.begin(optimizer, positions[..., index], keys[:, index])
            state = self.advanced(optimizer, state, n_steps)
            last[..., index] = state.positions
            lowest[..., index] = state.best_positions
            spent[index] = state.evaluations
        last, lowest = (self.problem.with_fixed(x) for x in (last, lowest))
        both = self.relax(np.concatenate([last, lowest], axis=-1))
        a, b = both.take(slice(0, count)), both.take(slice(count, None))
        lower = b.energy < a.energy
        chosen = Relaxed(*(np.where(lower, y, x) for x, y in zip(a, b, strict=True)))
        return chosen._replace(evaluations=spent + a.evaluations + b.evaluations)

    def hop(
        self, settings: BasinHopping, positions: np.ndarray, n_steps: int, keys: Any
    ) -> Relaxed:
        """A short basin hopping from each of ``(3, n, batch)``; its lowest points."""
        settings = self.aimed(settings)
        state = self.begin(settings, positions, keys)
        return self.hopped(self.advanced(settings, state, n_steps))

    def aimed(self, settings: BasinHopping) -> BasinHopping:
        """The settings with this search's target, at which chains stop."""
        target, system = self.target_energy, self.problem.system
        return settings if target is None else settings.towards(target, system)

    def hopped(self, state: SearchState) -> Relaxed:
        """The lowest points of chains; one near the target is relaxed further."""
        positions = self.problem.with_fixed(np.asarray(state.best_positions, float))
        energy = np.asarray(state.best_energy, float)
        finite = np.isfinite(energy)
        energy = np.where(finite, energy, np.inf)
        found = Relaxed(positions, energy, finite, np.asarray(state.evaluations))
        self._look_closer(found)
        return found

    def last_digits(self) -> None:
        """Polish the best structure, unless that has been done."""
        ledger = self.ledger
        if not ledger.relaxed or ledger.polished or ledger.positions is None:
            return
        polished = self.polish(ledger.positions[..., None])
        ledger.polished |= bool(polished.converged[0])

    def polish_seen(self) -> Relaxed:
        """Polish the lowest that is not relaxed, once; cut short, it is seen anew."""
        ledger, seen = self.ledger, self.ledger.seen_positions
        ledger.seen_energy, ledger.seen_positions = math.inf, None
        if seen is None:
            return Relaxed.none(self.problem.n_atoms)
        return self.polish(seen[..., None])

    def finish(self) -> bool:
        """Polish the best despite interrupts; True if it meets the target."""
        ledger = self.ledger
        self._reserve, self._deadline = 0, math.inf
        self._interrupted = lambda: False
        noise = SINGLE * abs(ledger.energy) + HIT * self.problem.energy_unit
        try:
            if not ledger.relaxed or ledger.seen_energy <= ledger.energy - noise:
                self.polish_seen()
            self.last_digits()
        except Stopped as stop:
            return stop.reason == "target"
        return False
