"""A search of a potential learned during the search, where evaluations are expensive.

After every few structures a potential is fitted to all minima that the search has
relaxed (:mod:`~ase_l2h.search.auto.learned_potential`). The default method searches it
briefly, without evaluating the problem, looks at the neighbours of a structure that it
holds, and proposes the lowest minima that are not known yet. As for every part, the
success of the proposals decides its share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_l2h.potentials.jax_md import FunctionPotential
from ase_l2h.rollout.kernels.native import compiler
from ase_l2h.search.auto import improve
from ase_l2h.search.auto.changes import shaken
from ase_l2h.search.auto.exchange import exchanged, some_exchanges
from ase_l2h.search.auto.learned_potential import fitted, modelled, usable
from ase_l2h.search.auto.metric import inverse_curvature
from ase_l2h.search.auto.pool import Pool
from ase_l2h.search.auto.sites import moves_in
from ase_l2h.search.engine import KernelEngine
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.ledger import State, Stopped
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Relaxed

if TYPE_CHECKING:
    from ase_l2h.search.method import Method

__all__ = [
    "DESCENT",
    "PART",
    "Model",
    "learnable",
    "misleading",
    "nothing_known",
    "proposed",
    "remembered",
]

# Makes structures ``(3, n, k)``.
Make = Callable[[int], np.ndarray]
# The names of the part, and of the descent in the learned potential.
PART, DESCENT = "surrogate", "surrogate-descent"
# Smaller clusters have few minima, which the other parts find at once.
FEWEST = 6
# The same beside fixed atoms, where even a few have many places.
FEWEST_BESIDE = 3
# The lowest structures that the potential is learned from, and proposals remembered.
LEARNED_FROM, REMEMBERED = 24, 64
# Evaluations of the learned potential per proposal round where all atoms are sought;
# beside fixed atoms fewer, because each takes longer, and at least so many.
EVALUATIONS, LEAST_EVALUATIONS = 4000, 500
# In cells evaluations take long, so only these lowest neighbours of a structure are
# relaxed.
SCREENED = 24
# Settings of the method that searches the learned potential.
SEARCH: dict[str, Any] = {
    "weights": None,
    "width": 3,
    "widens": 0,
    "patience": None,
    "exact": False,
}
# Neighbours of a structure that are looked at for proposals: loose atoms, vacant sites
# for each of them, and exchanges.
MOVERS, SITES, EXCHANGES = 4, 6, 200
# Error of the energies of minima, in reduced units, from which on the learned potential
# is no model of the problem.
POOR = 1.0
# How often a structure is made again that ends where another did.
AGAIN = 3
# Energies of the learned potential closer than this (reduced units) are of one minimum.
ALIKE = 2e-3


def learnable(problem: Problem) -> bool:
    """Whether there are loose atoms whose potential is not compiled.

    The learned potential needs a compiler: without machine code a search of it takes
    longer than most calculators.
    """
    if not isinstance(problem.potential, FunctionPotential | type(None)):
        return False
    few = FEWEST if problem.free is None else FEWEST_BESIDE
    loose = problem.molecules is None and np.count_nonzero(problem.placed) >= few
    return bool(loose) and compiler() is not None


def nothing_known(n_atoms: int) -> State:
    """The state before anything is relaxed: structures, energies, and proposals."""
    none = np.zeros((3, n_atoms, 0))
    return {
        "energies": np.zeros(0),
        "positions": none,
        "proposed": none,
        "misfit": 0.0,
    }


def misleading(known: State) -> bool:
    """Whether the learned potential has turned out to be a poor model."""
    return bool(known["misfit"] > POOR)


def remembered(problem: Problem, known: State, relaxed: Relaxed) -> State:
    """The state after more structures are relaxed; the lowest are kept."""
    if not learnable(problem):
        return known
    energies = np.concatenate([known["energies"], relaxed.energy])
    positions = np.concatenate([known["positions"], relaxed.positions], axis=-1)
    order = np.argsort(energies, kind="stable")[:LEARNED_FROM]
    order = order[np.isfinite(energies[order])]
    return known | {"energies": energies[order], "positions": positions[..., order]}


class Model:
    """The potential that a search has learned so far, which costs no evaluations.

    Parameters
    ----------
    problem
        What is searched.
    pool
        What the search holds.
    known
        The state of ``remembered``; the misfit is noted there.

    Attributes
    ----------
    problem
        The problem with the learned potential.
    learned
        How many structures it was learned from.
    """

    def __init__(self, problem: Problem, pool: Pool, known: State) -> None:
        energies = np.concatenate([pool.energies, known["energies"]])
        positions = np.concatenate([pool.positions, known["positions"]], axis=-1)
        sound = usable(problem, positions)
        positions = positions[..., sound]
        fit = fitted(problem, energies[sound], positions)
        self.problem, self.learned = modelled(problem, fit.logs), int(np.sum(sound))
        if self.learned:
            known["misfit"] = fit.misfit
        self._engine = KernelEngine(self.problem.potential)
        self._seen = np.concatenate([positions, known["proposed"]], axis=-1)
        self._seen_energies: np.ndarray | None = None

    def evaluator(self, limit: int | None = None) -> Evaluator:
        """Energies of the learned potential."""
        return Evaluator(
            self.problem,
            lambda request: self._engine.execute([request])[0],
            limit=limit,
            launch=self._engine.launch,
        )

    def metric(self, positions: np.ndarray) -> np.ndarray:
        """See :func:`~ase_l2h.search.auto.metric.inverse_curvature`."""
        return inverse_curvature(self.problem, positions)

    def new(self, energies: np.ndarray) -> np.ndarray:
        """Which minima of the learned potential the search has not seen, ``(k,)``."""
        if self._seen_energies is None:
            self._seen_energies = self.evaluator().relax(self._seen).energy
        gaps = np.abs(energies[:, None] - self._seen_energies)
        return np.all(gaps > ALIKE * self.problem.energy_unit, axis=1)

    def descended(self, make: Make, count: int, rng: np.random.Generator) -> np.ndarray:
        """Structures that descend in the learned potential, ``(3, n, count)``.

        ``make`` makes as many as it is asked for; those that end in a minimum that has
        been seen are made again, a few times.
        """
        made = np.zeros((3, self.problem.n_atoms, count))
        missing = np.arange(count)
        for _ in range(1 + AGAIN):
            places = make(missing.size)
            low = self._descent(places, rng)
            sound = usable(self.problem, low.positions) & np.isfinite(low.energy)
            made[..., missing] = np.where(sound, low.positions, places)
            missing = missing[sound & ~self.new(low.energy)]
            if missing.size == 0:
                break
        return made

    def _descent(self, places: np.ndarray, rng: np.random.Generator) -> Relaxed:
        evaluator = self.evaluator()
        rough = improve.ROUGH * self.problem.force_unit
        low = evaluator.relax(places, fmax=rough)
        low = improve.site_descent(evaluator, low)
        if self.problem.n_species > 1:
            low = improve.exchange_descent(evaluator, low, rng)
        return evaluator.relax(low.positions)


def proposed(
    model: Model,
    method: Method,
    pool: Pool,
    known: State,
    rng: np.random.Generator,
    count: int,
) -> np.ndarray:
    """The lowest unknown minima of the learned potential, ``(3, n, count)``.

    Parameters
    ----------
    model
        The learned potential.
    method
        Searches it.
    pool
        What the search holds; the neighbours of one structure are looked at.
    known
        The state of ``remembered``; proposals are added to it.
    rng
        Seeds the search of the learned potential, and draws the structure.
    count
        How many are wanted. If there are fewer, shaken structures of the pool fill up.
    """
    if not model.learned:
        held = pool.positions[..., rng.integers(len(pool), size=count)]
        return shaken(held, model.problem, rng)
    state = method.init(model.problem, rng.integers(2**31, size=2).tolist())
    share = np.count_nonzero(model.problem.placed) / model.problem.n_atoms
    searching = model.evaluator(max(LEAST_EVALUATIONS, round(EVALUATIONS * share)))
    try:
        while True:
            state = method.advance(state, searching)
    except Stopped:
        found = method.minima(state)
    beside = _neighbours(model, pool.drawn(rng, 1), rng)
    energies = np.concatenate([found.energies, beside.energy])
    positions = np.concatenate([found.positions, beside.positions], axis=-1)
    order = np.argsort(energies, kind="stable")
    order = order[np.isfinite(energies[order])]
    order = order[model.new(energies[order])]
    alike = ALIKE * model.problem.energy_unit
    new = order[np.diff(energies[order], prepend=-np.inf) > alike][:count]
    made = positions[..., new]
    told = np.concatenate([known["proposed"], made], axis=-1)
    known["proposed"] = told[..., -REMEMBERED:]
    held = pool.positions[..., rng.integers(len(pool), size=count - len(new))]
    return np.concatenate([made, shaken(held, model.problem, rng)], axis=-1)


def _neighbours(model: Model, held: np.ndarray, rng: np.random.Generator) -> Relaxed:
    """Minima of the learned potential beside a structure ``(3, n, 1)``.

    One loose atom is moved to a vacant site, or two unlike atoms are exchanged.
    """
    problem = model.problem
    moved = moves_in(problem, held, movers=MOVERS, sites=SITES).positions
    if problem.n_species > 1:
        kinds, movable = problem.species, problem.movable
        pairs = some_exchanges(kinds, 1, EXCHANGES, rng, movable)
        moved = np.concatenate([moved, exchanged(held, pairs)], axis=-1)
    if problem.cell is not None:
        energies = model.evaluator().energies(moved)
        lowest = np.argsort(energies, kind="stable")[:SCREENED]
        moved = moved[..., lowest]
    low = model.evaluator().relax(moved)
    return low.take(usable(problem, low.positions))
