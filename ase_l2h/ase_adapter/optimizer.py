"""Learn2Hop as an ASE optimizer: it takes the place of BFGS and goes on to look deeper.

A. Merchant, L. Metz, S. S. Schoenholz, E. D. Cubuk, "Learn2Hop: Learned Optimization on
Rough Landscapes", ICML 2021 (arXiv:2107.09661).
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from ase import Atoms
from ase.optimize.optimize import DEFAULT_MAX_STEPS, Dynamics, Optimizer
from ase.parallel import world

from ase_l2h._internal.arguments import checked_number, checked_seed
from ase_l2h.ase_adapter.calling import Calling
from ase_l2h.ase_adapter.cells import CellStage
from ase_l2h.ase_adapter.choice import checked_time, choose_limits, choose_method
from ase_l2h.ase_adapter.log import SearchLog
from ase_l2h.ase_adapter.placement import PlacedAtoms
from ase_l2h.ase_adapter.problem import structure_of
from ase_l2h.ase_adapter.records import SearchFolder, as_minimum, check_files
from ase_l2h.ase_adapter.session import SearchSession
from ase_l2h.errors import InputError
from ase_l2h.rollout.batch import Device, resolve_device
from ase_l2h.search.attempts import Confidence, unknown_confidence
from ase_l2h.search.driver import shared_by
from ase_l2h.search.method import Method
from ase_l2h.weights.load import Weights

__all__ = ["Learn2Hop"]

# Reasons to end a run after which another run continues the search.
CUT_SHORT = ("steps", "time")
# ASE's default, in its unit and the calculator's.
FMAX = 0.05


class Learn2Hop(Optimizer):
    """Global optimization of atoms, then relaxation to ``fmax``.

    A run advances a search method in rounds. Each round is one ASE step: it calls the
    observers, and writes a line to the log if the lowest energy has fallen. At the end
    the best structure is relaxed and put into ``atoms``.

    * With a calculator that
      :func:`~ase_l2h.ase_adapter.calculators.potential_of` recognises, everything runs
      in a compiled kernel. Between rounds ``atoms`` hold the best structure so far.
    * Any other calculator is called once for every evaluation, and relaxations go on to
      ``fmax``. A failed call costs its structure. The search ends after 20 in a row,
      and one more for every 4 calls that succeeded, at most 100.

    Whatever ends a run, ``atoms`` then hold the best structure found or given, relaxed
    unless something was interrupted. Another run continues a search that was cut short.
    After a finished one it returns at once, or begins anew if the atoms have moved.

    Parameters
    ----------
    atoms
        Structure with a calculator, periodic in any directions; fixed atoms stay. Of a
        ``FrechetCellFilter`` the cell is relaxed once a search by :meth:`run` has ended
        (:func:`~ase_l2h.ase_adapter.cells.relax_cell`); ``minima`` have the cell given.
    method
        One of :data:`ase_l2h.search.names.METHODS`, or a
        :class:`~ase_l2h.search.method.Method`. By default ``"auto"``, and ``"learned"``
        where ``horizon`` or ``n_starts`` are given.
    weights
        Those of the learned optimizer: a name, a path, or loaded ones.
    horizon
        Steps of every start of ``learned``, ``adam``, ``fire`` and ``gd``. By default
        that of the weights, and at most 300 with an unknown calculator.
    n_starts
        Number of starts of these, or of chains of ``bh``: the structure itself, then
        random ones. By default one, or as many as the limits allow.
    searches
        Independent ones; when None one, or with ``workers`` several that share limits.
    evaluations
        Charged evaluations that each search may spend: energies with gradients of one
        structure at one point. By default 2,000,000, or 10,000 calls, where neither
        ``max_seconds`` nor a number of starts ends the search.
    settled
        Stop when so many independent attempts met the lowest minimum; 0 never. By
        default 3 with ``"auto"`` and no ``target_energy``.
    target_energy
        Stop when a relaxed structure is within 1e-4 energy scales of this, or below.
    without
        Parts of ``"auto"`` to leave out, of :data:`ase_l2h.search.names.PARTS`.
    max_seconds
        Stop a run after this wall time. Relaxing what has been found comes on top.
    seed, rng
        The same: a number below 2^32, a numpy Generator, or None for fresh entropy.
    device
        ``"cpu"``, ``"gpu"``, a JAX device, or None for JAX's default.
    backend
        ``"auto"``, ``"native"``, ``"scan"`` or ``"cuda"``; of a recognised calculator.
    length_scale, energy_scale, region, keep_molecules
        See :func:`~ase_l2h.ase_adapter.problem.problem_of`.
    restart
        Folder in which everything is kept. A search that is there already is continued,
        bit for bit; potential, parameters, constraints and settings must be the same.
    logfile, trajectory, append_trajectory, **kwargs
        As for every :class:`ase.optimize.optimize.Optimizer`; None is a silent log. And
        those of :class:`~ase_l2h.ase_adapter.calling.Calling`: ``cache``, ``workers``.

    Raises
    ------
    InputError
        For anything that cannot be searched, filters and other constraints among it;
        one sentence says what to do, and nothing has been touched.
    ase.optimize.optimize.RestartError
        For a restart folder that is damaged or belongs to another search.
    """

    def __init__(
        self,
        atoms: Any,
        *,
        method: str | Method | None = None,
        weights: str | Path | Weights | None = None,
        horizon: int | None = None,
        n_starts: int | None = None,
        searches: int | None = None,
        evaluations: int | None = None,
        settled: int | None = None,
        target_energy: int | float | None = None,
        without: Sequence[str] = (),
        max_seconds: int | float | None = None,
        seed: int | None = None,
        rng: int | np.random.Generator | None = None,
        device: str | Device | None = None,
        backend: str = "auto",
        length_scale: int | float | None = None,
        energy_scale: int | float | None = None,
        region: Any = None,
        keep_molecules: bool | None = None,
        restart: str | Path | None = None,
        logfile: IO | str | Path | None = "-",
        trajectory: Any = None,
        append_trajectory: bool = False,
        **kwargs: Any,
    ) -> None:
        # Everything is checked before the base class removes an old trajectory.
        self._cell = CellStage.of(atoms)
        where = length_scale, energy_scale, region, keep_molecules
        atoms = structure_of(atoms, filters=True)
        check_files(logfile, trajectory, restart=restart, cache=kwargs.get("cache"))
        placed = PlacedAtoms(atoms, *where, Calling.taken_from(kwargs))
        self.max_seconds = checked_time("max_seconds", max_seconds)
        self.comm = kwargs.get("comm", world)
        if seed is not None and rng is not None:
            raise InputError("seed and rng are the same; give one of them")
        self.seed = checked_seed(rng if seed is None else seed, self.comm)
        self.choice = choice = choose_method(
            placed.posed.problem,
            method,
            weights=weights,
            horizon=horizon,
            n_starts=n_starts,
            without=without,
            bounded=evaluations is not None or max_seconds is not None,
        )
        self.weights, self.horizon = choice.weights, choice.horizon
        workers, bounded = placed.calling.workers, max_seconds is not None
        self.searches, evaluations = shared_by(
            workers, searches, choice.name, evaluations, bounded
        )
        limits = choose_limits(
            placed.posed.problem,
            choice.name,
            evaluations=evaluations,
            target_energy=target_energy,
            settled=settled,
            bounded=bounded or choice.n_starts is not None,
        )
        self._session = SearchSession(
            placed,
            choice.make,
            seed=self.seed,
            searches=self.searches,
            limits=limits,
            backend=backend,
            device=resolve_device(device),
        )
        # Why the search has ended, and whether its best has been relaxed.
        self._ended: str | None = None
        self._settled, self._deadline = False, math.inf
        stored = None
        self._folder: SearchFolder | None = None
        if restart is not None:
            identity = {"method": choice.name, "settings": choice.settings}
            self._folder = SearchFolder(restart, self._session, identity, self.comm)
            known = isinstance(rng if seed is None else seed, int | np.integer)
            stored = self._folder.continued(self.seed if known else None)
        super().__init__(
            atoms,
            logfile=logfile,
            trajectory=trajectory,
            append_trajectory=append_trajectory,
            **kwargs,
        )
        self.optimizable = placed.view
        self._log = SearchLog(type(self).__name__, self._session, self.logfile.write)
        self.restart = None if restart is None else Path(restart)
        if stored is not None:
            self.seed, self.nsteps = self._session.seed, stored["nsteps"]
            self._ended, self._settled = stored["ended"], stored["settled"]

    @property
    def charged_evaluations(self) -> int:
        """All evaluations, relaxations included; of an unknown calculator its calls."""
        return self._session.charged_evaluations

    @property
    def confidence(self) -> Confidence:
        """How often independent attempts met the lowest minimum; ``str`` says so."""
        run = self._session.run
        return unknown_confidence() if run is None else run.confidence

    @property
    def minima(self) -> list[tuple[float, Atoms]]:
        """Distinct relaxed minima of all runs as ``(energy, Atoms)``, lowest first."""
        found = self._session.found.minima
        return [(s.energy, as_minimum(self._template, *s)) for s in found]

    @property
    def _template(self) -> Atoms:
        return self._session.placed.atoms if self._cell is None else self._cell.template

    def get_minimum(self) -> tuple[float, Atoms]:
        """The best structure so far, ``(energy, Atoms)``.

        It is relaxed once a run has ended; until then it is the lowest one seen.
        """
        if self._session.run is None:
            self._begin()
        best = self._session.found.best
        return best.energy, as_minimum(self._template, *best)

    def run(self, fmax: int | float = FMAX, steps: int | float | None = None) -> bool:
        """Search and relax; return whether ``atoms`` then meet ``fmax``.

        Parameters
        ----------
        fmax
            Largest force on an atom at the end, in the units of the calculator.
        steps
            Largest number of ASE steps, which are rounds; None: until the search ends.
        """
        if self._cell is not None and self._cell.stands:
            return self._cell.converged
        converged = False
        for last in self.irun(fmax, steps):
            converged = last
        if self._cell is not None and self._ended not in (None, *CUT_SHORT):
            converged = self._cell.relax(self.fmax, self._log.say)
        return converged

    def irun(
        self, fmax: int | float = FMAX, steps: int | float | None = None
    ) -> Generator[bool, None, None]:
        """:meth:`run` as a generator: one item before the first step and after each.

        Leaving the loop early puts the best structure so far into ``atoms``.
        """
        most = checked_number("steps", steps)
        most = DEFAULT_MAX_STEPS if most is None else math.ceil(min(most, 1e9))
        if most < 0:
            raise InputError(f"steps is {steps}; give 0 or more")
        tightest = checked_number("fmax", fmax)
        if tightest is None or not tightest > 0:
            raise InputError(f"fmax is {fmax}; give a force above 0")
        self.fmax = tightest
        return self._irun(most)

    def _irun(self, steps: int) -> Generator[bool, None, None]:
        session = self._session
        placed = session.placed
        if session.run is None or placed.moved or placed.changed:
            self._begin()
        if self._ended in CUT_SHORT:
            self._ended = None
        seconds = math.inf if self.max_seconds is None else self.max_seconds
        self._deadline = time.monotonic() + seconds
        begun, complete = self.nsteps, False
        try:
            for converged in Dynamics.irun(self, steps=steps):
                # The caller may never resume the generator after the last item.
                over = self._ended is not None or self.nsteps >= self.max_steps
                if over and self.nsteps > begun:
                    # An observer may have made this the last step.
                    if not self._settled:
                        self._settle("steps")
                    converged = self.optimizable.converged(
                        self.optimizable.get_gradient(), self.fmax
                    )
                    self._log.summary(self.choice.name, self.backend, self._ended)
                complete = over
                yield bool(converged)
                if over and self.nsteps > begun:
                    return
        finally:
            if not complete:
                session.put_best()
            self._save()
            placed.rest()

    def gradient_converged(self, gradient: np.ndarray) -> bool:
        """False until the search has ended, then whether ``fmax`` is met."""
        if self._ended is None and self.nsteps < self.max_steps:
            return False
        return bool(super().gradient_converged(gradient))

    def step(self) -> None:
        """One round; the last one also relaxes what has been found."""
        session = self._session
        if session.run is None:
            self._begin()
        if self._ended is None:
            self._settled = False
            # Clocks differ, but every rank must stop at the same step.
            alone = self.comm.size == 1
            left = self._deadline - time.monotonic() if alone else math.inf
            session.advance(self.fmax or FMAX, left)
            if session.stopped == "interrupted":
                raise KeyboardInterrupt
            self._ended = session.stopped
            if self._ended is None and self._expired():
                self._ended = "time"
            elif self._ended is None and self.nsteps + 1 >= self.max_steps:
                self._ended = "steps"
        if self._ended is None:
            session.show()
        else:
            self._settle(self._ended)
        self._save(self.nsteps + 1)

    def _settle(self, reason: str) -> None:
        self._ended = reason
        self._session.finish(self.fmax or FMAX)
        self._settled = True

    def _begin(self) -> None:
        self._log.calls(self.horizon)
        self._session.begin()
        self._ended, self._settled = None, False
        self._save()

    def _expired(self) -> bool:
        late = np.array([time.monotonic() > self._deadline], dtype=int)
        if self.max_seconds is not None:
            self.comm.broadcast(late, 0)
        return bool(late[0])

    # Records.

    def log(self, gradient: np.ndarray) -> None:
        """Write a line, ASE's columns first, if the lowest energy has fallen."""
        fmax = self.optimizable.gradient_norm(gradient)
        if self.nsteps == 0:
            self._log.header()
        self._log.step(self.nsteps, self.optimizable.get_value(), fmax)

    @property
    def backend(self) -> str:
        """What ran most evaluations; ``"calculator"`` for an unknown calculator."""
        run = self._session.run
        if self._session.placed.kind == "calculator":
            return "calculator"
        return self._session.backend if run is None else run.engine.backend

    def todict(self) -> dict[str, Any]:
        """What a trajectory stores: method, settings, seed, hash of the weights."""
        settings = self.choice.settings
        told = {k: v for k, v in settings.items() if k.startswith("weights")}
        told |= {"method": self.choice.name, "settings": settings, "seed": self.seed}
        told |= {"searches": self.searches, "backend": self.backend}
        return super().todict() | told

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse copies and pickles, which would share the atoms or lose them."""
        raise TypeError(
            "a Learn2Hop search cannot be copied or pickled; give it a restart folder, "
            "in which another process continues it, and pickle its minima"
        )

    def _save(self, nsteps: int | None = None) -> None:
        if self._folder is None or self._session.run is None:
            return
        state = lambda: {
            "nsteps": self.nsteps if nsteps is None else nsteps,
            "ended": self._ended,
            "settled": self._settled,
            "session": self._session.state(),
        }
        self._folder.save(state, at_once=nsteps is None)
