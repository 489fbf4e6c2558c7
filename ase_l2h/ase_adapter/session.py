"""A search from the user's atoms: its runs, and the final relaxation."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ase_l2h._internal.stopping import stop_on_signals
from ase_l2h._internal.workers import told
from ase_l2h.ase_adapter.found import FoundStructures, Structure, rounding
from ase_l2h.ase_adapter.measured import Measured
from ase_l2h.ase_adapter.placement import PlacedAtoms
from ase_l2h.ase_adapter.problem import ENERGY_GRID, rattled
from ase_l2h.errors import InputError, RunError
from ase_l2h.search.checking import affordable, fitting
from ase_l2h.search.curvature import descend_saddles
from ase_l2h.search.driver import engine_for
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.ledger import Ledger, Stopped
from ase_l2h.search.limits import Limits
from ase_l2h.search.method import CUT_SHORT, Method, SearchRun
from ase_l2h.search.problem import HIT, Problem
from ase_l2h.search.relaxing import FINE_FMAX
from ase_l2h.search.requests import Relaxed

__all__ = ["SearchSession"]

NOTE = "stopping after this evaluation; interrupt again to quit at once"

logger = logging.getLogger(__name__)


class SearchSession:
    """A run of searches from the user's atoms, and further ones after it.

    Parameters
    ----------
    placed
        The user's atoms.
    make
        The method for a problem.
    seed, searches, limits
        Of the run; a further one takes the next seed.
    backend, device
        See :func:`~ase_l2h.search.driver.engine_for`.

    Attributes
    ----------
    found
        What has been found.
    """

    def __init__(
        self,
        placed: PlacedAtoms,
        make: Callable[[Problem], Method],
        *,
        seed: int,
        searches: int,
        limits: Limits,
        backend: str,
        device: Any,
    ) -> None:
        self.placed, self.make = placed, make
        self.seed, self.searches, self.limits = seed, searches, limits
        self.backend, self.device = backend, device
        self.found = FoundStructures(placed)
        # Refuse at once what cannot run.
        engine_for(placed.posed.problem, backend, device)
        self._begun = 0
        # The problem of the run: its given structure is rattled.
        self._problem = placed.posed.problem
        # Charges not counted by the present run or the present calculator.
        self._charged = 0

    @property
    def run(self) -> SearchRun | None:
        """The run under way."""
        return self.found.run

    @property
    def stopped(self) -> str | None:
        """Why the run has ended; None where it has not."""
        return None if self.run is None else self.run.stopped

    @property
    def charged_evaluations(self) -> int:
        """Evaluations of all runs, with relaxations; calls of an unknown calculator."""
        calculator = self.placed.posed.calculator
        if calculator is not None:
            return self._charged + calculator.calls
        return self._charged + (0 if self.run is None else self.run.charged)

    def begin(self) -> None:
        """Start a run from where the atoms are."""
        minima, changed = self.found.minima, self.placed.changed
        self._charged = self.charged_evaluations
        self.found.run = None
        self.found.kept = [] if changed else minima
        self.placed.take_over()
        self._start()

    def _start(self) -> None:
        """A run from the structure that was taken over."""
        posed, found = self.placed.posed, self.found
        energy = self.placed.first_energy()
        found.restart(Structure(energy, posed.coordinates.given))
        self._problem = problem = rattled(posed.problem, [self.seed, self._begun, 1])
        seed, limits = (self.seed + self._begun) % 2**32, self.limits
        if posed.calculator is not None and limits.evaluations is not None:
            # The given structure has already been evaluated.
            limits = dataclasses.replace(limits, evaluations=limits.evaluations - 1)
        found.run = SearchRun(
            self.make(problem),
            [problem] * self.searches,
            [(seed, k) for k in range(self.searches)],
            limits,
            engine_for(problem, self.backend, self.device, self.placed.calls),
        )
        self._begun += 1

    def _at(self, fmax: float) -> Problem:
        """The problem relaxed until forces are well below ``fmax``."""
        problem, wanted = self._problem, fmax / 2
        kernel = problem.measure is None
        if kernel and wanted >= FINE_FMAX * problem.force_unit:
            return problem
        return dataclasses.replace(problem, fmax=wanted)

    def advance(self, fmax: float, seconds: float) -> None:
        """One round of every search; all that is relaxed ends below ``fmax``.

        ``stopped`` says whether and why it was the last one. With a kernel Ctrl-C ends
        the round early, with what has been found relaxed; a calculator's call is
        interrupted at once.
        """
        run = self.run
        assert run is not None
        if run.stopped in CUT_SHORT:
            # The run discards a round that was cut short.
            self.found.kept, before = self.found.minima, run.charged
            run.restore(run.stored())
            if self.placed.kind == "kernel":
                self._charged += before - run.charged
        problem = self._at(fmax)
        for search in run.searches:
            search.problem = problem
        if self.placed.kind == "calculator":
            run.advance(seconds)
            if run.stopped == "failed":
                raise RunError(str(getattr(run.engine, "trouble", None)))
            return
        with stop_on_signals(NOTE) as stop:
            run.interrupted = lambda: stop.requested
            try:
                run.advance(seconds)
            finally:
                run.interrupted = lambda: False

    def show(self) -> None:
        """Show a structure in the atoms during a run, without evaluations.

        It is the best so far, or the last one computed by an unknown calculator.
        """
        calculator = self.placed.posed.calculator
        if calculator is None:
            self.placed.place(self.found.best.positions)
        elif calculator.last is not None:
            self.placed.place(calculator.last.positions)

    def finish(self, fmax: float) -> None:
        """Relax what is not relaxed yet, and put the best of all into the atoms."""
        found, placed = self.found, self.placed
        passed, relaxed = found.lowest_passed(), found.lowest_relaxed()
        if passed is not None and (
            relaxed is None or passed.energy < relaxed.energy - HIT * found.unit
        ):
            self._relax(passed.positions, fmax)
        relaxed, given = found.lowest_relaxed(), found.given
        if relaxed is None or given.energy < relaxed.energy:
            self._relax(given.positions, fmax)
        self._leave_saddles(fmax)
        best = found.best
        placed.place(best.positions)
        if not placed.converged(fmax):
            further = self._relax(best.positions, fmax)
            highest = best.energy + rounding(best.energy)
            if further is not None and further.energy <= highest:
                placed.place(further.positions)
        if placed.measure() > given.energy + rounding(given.energy):
            placed.place(given.positions)
        if self._left() > 0:
            placed.synchronise()

    def put_best(self) -> None:
        """After an interrupt: the best so far into the atoms, relaxed or not."""
        if self.run is None:
            return
        placed, best = self.placed, self.found.best
        if placed.replaced:
            # Its energy cannot be compared, and it may not know the elements.
            placed.atoms.set_positions(best.positions, apply_constraint=False)
            return
        try:
            placed.place(best.positions)
        except Exception as error:
            # The exception that ended the run is more informative.
            logger.warning("the best structure is not in the atoms (%s)", told(error))
            given = self.found.given.positions
            placed.atoms.set_positions(given, apply_constraint=False)

    def _left(self) -> int | float:
        """Evaluations that may still be spent."""
        limit = self.limits.evaluations
        if limit is None:
            return math.inf
        return limit * self.searches - self.charged_evaluations

    @contextlib.contextmanager
    def _aside(self, fmax: float, positions: np.ndarray) -> Iterator[Evaluator | None]:
        """An evaluator independent of the run; None if the limits are used up.

        It relaxes ``positions`` ``(3, n)`` when it finishes.
        """
        assert self.run is not None
        left = self._left()
        if left < 1:
            yield None
            return
        evaluator = self.run.evaluator_beside(
            self._at(fmax),
            None if math.isinf(left) else int(left),
            Ledger(seen_positions=positions),
        )
        try:
            yield evaluator
        finally:
            if self.placed.kind == "kernel":
                self._charged += evaluator.charged

    def _relax(self, positions: np.ndarray, fmax: float) -> Structure | None:
        """Relax one structure ``(n, 3)`` and remember it."""
        inside = self.placed.posed.coordinates.inside(positions)
        with self._aside(fmax, inside) as evaluator:
            if evaluator is None:
                return None
            evaluator.finish()
        ledger = evaluator.ledger
        if not ledger.relaxed or ledger.positions is None:
            return None
        return self.found.keep(ledger.energy, ledger.positions)

    def _leave_saddles(self, fmax: float) -> None:
        """Descend from saddle points, lowest first, as far as affordable.

        The lowest of all may be unrelaxed: near saddle points relaxations hardly end.
        """
        found, problem = self.found, self._problem
        known = {s.energy: s for s in [found.best, *found.minima]}
        pending = [s for energy, s in sorted(known.items())]
        pending = pending[: affordable(problem, self.charged_evaluations)]
        pending = [s for s in pending if s.energy not in found.checked]
        if not pending:
            return
        coordinates = self.placed.posed.coordinates
        inside = np.stack([coordinates.inside(s.positions) for s in pending], axis=-1)
        with self._aside(fmax, inside[..., 0]) as evaluator:
            count = 0 if evaluator is None else fitting(evaluator, len(pending))
            if evaluator is None or count == 0:
                return
            try:
                below = descend_saddles(evaluator, inside[..., :count])
            except Stopped:
                return
        for k, structure in enumerate(pending[:count]):
            found.checked.add(structure.energy)
            if below.energy[k] < structure.energy - found.significant:
                self._leave(structure.energy, below.take(slice(k, k + 1)), fmax)

    def _leave(self, energy: float, below: Relaxed, fmax: float) -> None:
        """Replace a saddle point of this energy by the structure ``below``."""
        found, lower = self.found, float(below.energy[0])
        logger.info(
            "the structure at energy %.10g is a saddle point; a descent from it "
            "ended at %.10g",
            energy,
            lower,
        )
        found.forget_saddle(energy)
        found.checked.add(lower)
        positions = below.positions[..., 0]
        if below.converged[0]:
            found.keep(lower, positions)
        else:
            self._relax(self.placed.posed.coordinates.outside(positions), fmax)

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`resume` needs: arrays, numbers, lists and dicts."""
        assert self.run is not None
        calculator = self.placed.posed.calculator
        known = () if calculator is None else (calculator.last, calculator.lowest)
        return {
            "seed": self.seed,
            "begun": self._begun,
            "positions": self.placed.atoms.get_positions(),
            "charged": self._charged,
            "calls": 0 if calculator is None else calculator.calls,
            "known": [list(measured) for measured in known if measured is not None],
            "found": self.found.state(),
            "run": self.run.stored(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a stored :meth:`state`, bit for bit.

        Raises
        ------
        InputError
            If the calculator now gives another energy, or fixed atoms have moved; the
            atoms are then unchanged.
        """
        atoms, free = self.placed.atoms, self._problem.free
        here, given = atoms.get_positions(), Structure(*state["found"]["given"])
        if free is not None and np.any((here != given.positions)[~free.T]):
            raise InputError("the fixed atoms have moved")
        self.seed, self._begun = state["seed"], state["begun"] - 1
        atoms.set_positions(given.positions, apply_constraint=False)
        try:
            self.placed.take_over()
            self._start()
            said, grid = self.found.given.energy, ENERGY_GRID * self.found.unit
            if not abs(said - given.energy) <= grid:
                raise InputError(
                    f"the calculator gives {said:.10g} for the structure that the "
                    f"search began with, instead of {given.energy:.10g}"
                )
        except BaseException:
            self.found.run = None
            atoms.set_positions(here, apply_constraint=False)
            raise
        assert self.run is not None
        self.run.restore(state["run"])
        self.found.resume(state["found"])
        self._charged = state["charged"]
        calculator = self.placed.posed.calculator
        if calculator is not None:
            # This check of the calculator is not part of the search.
            calculator.calls = state["calls"]
            last, lowest = state["known"]
            calculator.last, calculator.lowest = Measured(*last), Measured(*lowest)
        self.placed.place(state["positions"])
