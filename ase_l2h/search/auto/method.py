"""The default method: sources and improvers, and what has paid gets the next turn.

In each round a search makes a few structures. Each comes from a *source* (random
places, symmetry, fragments of ordered packings, the learned optimizer) or from an
*improver*, which changes structures in the pool or learns from them (one side turned,
loose atoms moved), see :mod:`~ase_l2h.search.auto.parts`. All are relaxed roughly,
descend by moves of the loosest atom to the best vacant site and by exchanges of unlike
atoms, and the lowest are relaxed well and kept by packing. The success of each part
decides which part makes the next structures, see
:mod:`~ase_l2h.search.auto.allocation`.

When the lowest energy no longer falls, the attempt ends and an independent one begins:
how many attempts end in the same lowest minimum tells how reliable it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_l2h.search.attempts import Attempts, no_attempts
from ase_l2h.search.auto import allocation, improve, surrogate
from ase_l2h.search.auto.bond_length import at_measured_length
from ase_l2h.search.auto.flips import FlipCosts
from ase_l2h.search.auto.given import NONE_WAITING, due, parted, with_waiting
from ase_l2h.search.auto.improve import ROUGH, SAME, WINDOW
from ase_l2h.search.auto.making import Making
from ase_l2h.search.auto.parts import Part, first_shares, parts_for, uses_weights
from ase_l2h.search.auto.patience import (
    EVALUATIONS,
    Patience,
    UnderWay,
    jointly_over,
)
from ase_l2h.search.auto.pool import Pool
from ase_l2h.search.auto.sources import visiting
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.method import Found, State
from ase_l2h.search.molecules import refused_molecules
from ase_l2h.search.multistart import refused_species
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Relaxed, joined
from ase_l2h.weights.load import Weights, load_weights

__all__ = ["SEVERAL_ELEMENTS", "Auto", "make_auto"]

# Default weights for one element; alloys get rules that place the elements.
ONE_ELEMENT = "lj-icosahedral+lj"
SEVERAL_ELEMENTS = "gupta-alloys+gupta-agau+lj-icosahedral+lj"
# Structures kept of a motif class, and of a geometry.
POOL, PER_SHAPE = 4, 2
# Minima of earlier attempts that are remembered.
ARCHIVE = 50
# Steps of a learned hop.
HOP_STEPS = 80


@dataclasses.dataclass(frozen=True)
class Auto:
    """The method; its parts can be left out.

    Parameters
    ----------
    weights
        Of the learned optimizer; None leaves it out.
    without
        Names of parts that are left out, see :mod:`~ase_l2h.search.auto.parts`.
    width
        The most structures of a round; a search begins with one, which is cheap.
    widens
        Rounds after which it makes one more in each; 0: all at once.
    patience
        When an attempt ends; None: never.
    shares
        First shares of parts, by name, instead of their usual ones.
    exact
        Whether the lowest is relaxed to the last digits as soon as it is found.
    hop_steps
        Of a learned hop.
    name
        For tables.
    """

    weights: Weights | None
    without: tuple[str, ...] = ()
    width: int = 8
    widens: int = 8
    patience: Patience | None = EVALUATIONS
    shares: tuple[tuple[str, float], ...] = ()
    exact: bool = False
    hop_steps: int = HOP_STEPS
    name: str = "auto"

    def refuse(self, problem: Problem) -> str | None:
        """The weights may know too few species; some source must make structures."""
        if not any(part.kind == "source" for part in self._parts(problem)):
            left_out = ", ".join(self.without)
            lacking = f"has no source of structures without {left_out}; keep 'uniform'"
            return refused_molecules(problem) or lacking
        return refused_species(self._rules(), problem)

    def _rules(self) -> tuple[Any, ...]:
        if self.weights is None:
            return ()
        rule = self.weights.rule
        return rule if isinstance(rule, tuple) else (rule,)

    def describe(self) -> dict[str, Any]:
        """Width, patience, weights and what is left out."""
        loaded, patience = self.weights, self.patience
        own: dict[str, Any] = {"shares": dict(self.shares)} if self.shares else {}
        own |= {} if self.hop_steps == HOP_STEPS else {"hop_steps": self.hop_steps}
        return own | {
            "width": self.width,
            "widens": self.widens,
            "patience": patience and dataclasses.asdict(patience),
            "without": list(self.without),
            "weights": None if loaded is None else loaded.name,
            "weights_sha256": None if loaded is None else loaded.sha256,
        }

    def _parts(self, problem: Problem) -> tuple[Part, ...]:
        own = dict(self.shares)
        return tuple(
            dataclasses.replace(part, share=own.get(part.name, part.share))
            for part in parts_for(problem, self.without, self.weights is not None)
        )

    def init(self, problem: Problem, seed: Sequence[int]) -> State:
        """An empty pool, and no credit for any part."""
        return {
            "seed": list(seed),
            **dict.fromkeys(("attempt", "round", "spent", "fall"), 0),
            "given": np.inf,
            "ended_energies": np.zeros(0),
            "ended_evaluations": np.zeros(0, int),
            "pool": self._empty(problem).to_arrays(),
            "credit": allocation.no_credit(len(self._parts(problem))),
            "archive_energies": np.zeros(0),
            "archive_positions": np.zeros((3, problem.n_atoms, 0)),
            **dict.fromkeys(("length", "visitors")),
            "learned": surrogate.nothing_known(problem.n_atoms),
            "flips": FlipCosts(problem).to_arrays(),
            "waiting": NONE_WAITING,
        }

    def _empty(self, problem: Problem) -> Pool:
        return Pool(
            POOL,
            SAME * problem.energy_unit,
            problem.length,
            per_shape=PER_SHAPE,
            window=WINDOW * problem.energy_unit,
            cell=problem.cell,
            n_atoms=problem.n_atoms,
        )

    def pool(self, problem: Problem, state: State) -> Pool:
        """The pool of a search."""
        pool = self._empty(problem)
        pool.from_arrays(state["pool"])
        return pool

    def finished(self, state: State) -> bool:
        """Never; limits end the search."""
        return False

    def minima(self, state: State) -> Found:
        """The structures in the pool, and the lowest ones of earlier attempts."""
        pool = state["pool"]
        return Found(
            np.concatenate([pool["energies"], state["archive_energies"]]),
            np.concatenate([pool["positions"], state["archive_positions"]], axis=-1),
        )

    def attempts(self, state: State) -> Attempts:
        """The attempts that have ended."""
        return Attempts(state["ended_energies"], state["ended_evaluations"])

    def attempts_under_way(
        self, states: Sequence[State], problem: Problem, level: float
    ) -> Attempts:
        """Those of several searches that count already: ``level`` is the lowest energy.

        As ended ones, they have found something below what was given.
        """
        if self.patience is None:
            return no_attempts()
        least = SAME * problem.energy_unit
        lowest = [float(np.min(s["pool"]["energies"], initial=np.inf)) for s in states]
        going = [
            UnderWay(e if e < s["given"] - least else np.inf, s["spent"], s["fall"])
            for e, s in zip(lowest, states, strict=True)
        ]
        met = jointly_over(self.patience, going, level, int(problem.placed.sum()))
        return Attempts(
            np.array([each.energy for each in met]),
            np.array([each.spent for each in met], int),
        )

    def advance(self, state: State, evaluator: Evaluator) -> State:
        """One round."""
        before = evaluator.charged
        rng = np.random.default_rng([*state["seed"], state["attempt"], state["round"]])
        evaluator, state, measured = at_measured_length(evaluator, state, rng)
        problem = evaluator.problem
        pool, parts = self.pool(problem, state), self._parts(problem)
        lowest = pool.energy
        learned = dict(state["learned"])
        if state["attempt"] == 0 and state["round"] == 0:
            low, waiting = parted(evaluator)
            first = Making(self, evaluator, pool, learned, rng).evaluator
            self._keep(first, pool, first.polish(low))
            state = state | {"given": pool.energy, "waiting": waiting}
        unlike = surrogate.misleading(state["learned"])
        shares = first_shares(parts, state["attempt"], bool(len(pool)), unlike)
        width = self.width
        if self.widens:
            width = min(width, 1 + state["round"] // self.widens)
        counts = allocation.drawn_parts(state["credit"], shares, width, rng)
        making = Making(self, evaluator, pool, learned, rng)
        evaluator = making.evaluator
        made = making.made(parts, counts)
        owners = np.repeat(np.arange(len(parts)), counts)
        made = joined([made, self._visitors(evaluator, state, rng)])
        descends = np.ones(len(made.energy), bool)
        own = slice(0, len(owners))
        descends[own] = [parts[owner].descends for owner in owners]
        if making.model is not None:
            # They have descended in the learned potential.
            descends[own] = False
        flips = FlipCosts(problem, state["flips"])
        lowered = self._lowered(evaluator, made, descends, rng, lowest, flips)
        learned = surrogate.remembered(problem, learned, lowered)
        ranks, spent = self._kept(evaluator, pool, lowered)
        if measured < pool.energy:
            self._keep(evaluator, pool, evaluator.polish_seen())
        credit = allocation.credited(state["credit"], owners, spent[own], ranks[own])
        charged = state["spent"] + evaluator.charged - before
        same = SAME * problem.energy_unit
        state = state | {
            "round": state["round"] + 1,
            "spent": charged,
            "fall": charged if pool.energy < lowest - same else state["fall"],
            "pool": pool.to_arrays(),
            "credit": credit,
            "visitors": None,
            "learned": learned,
            "flips": flips.to_arrays(),
        }
        over = self._over(state, int(problem.placed.sum()), pool.energy - same)
        if due(state["waiting"], problem, pool.energy, charged, over):
            return with_waiting(state, pool, evaluator, self._keep)
        return self._begun_anew(state, problem) if over else state

    def _over(self, state: State, atoms: int, energy: float) -> bool:
        """Whether an attempt with this lowest ``energy`` has tried for long enough."""
        if self.patience is None:
            return False
        ended = state["ended_energies"]
        first = not len(ended)
        again = not first and bool(energy <= np.min(ended))
        spent, fall = state["spent"], state["fall"]
        return self.patience.over(spent, fall, atoms, first=first, again=again)

    def _visitors(
        self, evaluator: Evaluator, state: State, rng: np.random.Generator
    ) -> Relaxed:
        """Structures of neighbouring compositions, in hulls."""
        problem = evaluator.problem
        if state["visitors"] is None:
            return Relaxed.none(problem.n_atoms)
        rough = ROUGH * problem.force_unit
        return evaluator.relax(visiting(evaluator, state["visitors"], rng), fmax=rough)

    def _lowered(
        self,
        evaluator: Evaluator,
        made: Relaxed,
        descends: np.ndarray,
        rng: np.random.Generator,
        lowest: float,
        flips: FlipCosts,
    ) -> Relaxed:
        goal = lowest + WINDOW * evaluator.problem.energy_unit
        part = made.take(descends)
        if "site-descent" not in self.without:
            part = improve.site_descent(evaluator, part, goal)
        if evaluator.problem.n_species > 1 and "exchange-descent" not in self.without:
            costs = None if "learned-exchanges" in self.without else flips
            part = improve.exchange_descent(evaluator, part, rng, goal, costs)
        return made.put(descends, part)

    def _kept(
        self, evaluator: Evaluator, pool: Pool, lowered: Relaxed
    ) -> tuple[np.ndarray, np.ndarray]:
        """Relax what is low and new, and keep it.

        Returns ranks ``(k,)``, -1 for what is not kept, and evaluations.
        """
        ranks = np.full(len(lowered.energy), -1)
        spent = np.array(lowered.evaluations, float)
        bound = min(pool.energy, float(np.min(lowered.energy, initial=np.inf)))
        near = lowered.energy <= bound + WINDOW * evaluator.problem.energy_unit
        near = np.flatnonzero(near & np.isfinite(lowered.energy))
        relaxed = evaluator.relax(lowered.positions[..., near])
        spent[near] += relaxed.evaluations
        new = pool.shortlist(relaxed.energy, relaxed.positions, len(near), wanted=True)
        refined = evaluator.refine(relaxed.positions[..., new])
        spent[near[new]] += refined.evaluations
        ranks[near[new]] = self._keep(evaluator, pool, refined)
        if self.exact:
            evaluator.last_digits()
        return ranks, spent

    def _keep(self, evaluator: Evaluator, pool: Pool, relaxed: Relaxed) -> np.ndarray:
        """Add to the pool; the rank of each structure, -1 if it does not enter."""
        ranks = np.full(len(relaxed.energy), -1)
        sound = np.flatnonzero(relaxed.converged)
        entered = pool.add_many(
            relaxed.energy[sound], relaxed.positions[..., sound]
        ).entered
        inside = sound[entered]
        ranks[inside] = np.searchsorted(pool.energies, relaxed.energy[inside])
        return ranks

    def _begun_anew(self, state: State, problem: Problem) -> State:
        """The state of the next attempt, which remembers only the lowest minima."""
        pool = state["pool"]
        energies = np.concatenate([state["archive_energies"], pool["energies"]])
        positions = np.concatenate(
            [state["archive_positions"], pool["positions"]], axis=-1
        )
        lowest = np.argsort(energies, kind="stable")[:ARCHIVE]
        best = float(np.min(pool["energies"], initial=np.inf))
        new = dict.fromkeys(("round", "spent", "fall"), 0) | {
            "attempt": state["attempt"] + 1,
            "given": np.inf,
            "pool": self._empty(problem).to_arrays(),
            "credit": np.zeros_like(state["credit"]),
            "learned": surrogate.nothing_known(problem.n_atoms)
            | {"misfit": state["learned"]["misfit"]},
            "archive_energies": energies[lowest],
            "archive_positions": positions[..., lowest],
        }
        # An attempt that found nothing below a given structure is not independent of
        # the user.
        if best < state["given"] - SAME * problem.energy_unit:
            spent = np.append(state["ended_evaluations"], state["spent"])
            new["ended_energies"] = np.append(state["ended_energies"], best)
            new["ended_evaluations"] = spent
        return state | new


def make_auto(problem: Problem, weights: Weights | None = None, **options: Any) -> Auto:
    """The method with weights that suit the problem.

    Parameters
    ----------
    problem
        One element or several decides which weights it gets.
    weights
        Others than those.
    **options
        Of :class:`Auto`.
    """
    without = options.get("without", ())
    if uses_weights(without, weights is not None) and weights is None:
        one = problem.n_species == 1
        weights = load_weights(ONE_ELEMENT if one else SEVERAL_ELEMENTS)
    return Auto(weights, **options)
