"""A population of structures, lowered round by round.

In a round a search gets

* structures that begin at random: fragments of ordered packings, structures with random
  point or space groups, and what a learned optimizer makes of random starts;
* structures that it holds, of all packings, shaken, with atoms exchanged, and what a
  learned optimizer makes of them in a short run;
* structures of its neighbours, where several compositions are searched together;

and the best of all these descend by exchanges of unlike atoms and by moves of loosely
bound atoms to vacant sites. A population that no longer falls gives way to a new one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.method import Found, State
from ase_l2h.search.multistart import refused_species
from ase_l2h.search.population import sources
from ase_l2h.search.population.improve import SAME, exchange_descent, site_descent
from ase_l2h.search.population.pool import Pool
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Relaxed, joined
from ase_l2h.weights.load import Weights, load_weights

__all__ = ["Population", "make_population"]

# Of clusters of one element; alloys get rules that place the elements.
ONE_ELEMENT = "lj-icosahedral+lj"
SEVERAL_ELEMENTS = "gupta-alloys+gupta-agau+lj-icosahedral+lj"
# Energy scales above the lowest within which a structure is worth a descent.
WINDOW = 4.0
# Structures kept of a motif class, and of a geometry.
POOL, PER_SHAPE = 4, 2
# Minima of earlier populations that are remembered.
ARCHIVE = 50
# Inner steps of a learned hop: short ones keep part of what the structure was.
HOP_STEPS = 80


@dataclasses.dataclass(frozen=True)
class Population:
    """The method; its parts can be left out.

    Parameters
    ----------
    name
        For tables.
    weights
        Of the learned optimizer; None leaves it out.
    width
        Learned hops of a full round; all else is a share of it. The first rounds are
        smaller, so that easy structures stay cheap.
    patience
        Rounds without a lower energy after which a new population begins; None: never.
    fragments, known
        Whether there are fragments of ordered packings and symmetric structures, and
        whether what the population holds is used further.
    """

    name: str
    weights: Weights | None
    width: int = 32
    patience: int | None = 8
    fragments: bool = True
    known: bool = True

    def refuse(self, problem: Problem) -> str | None:
        """Weights that tell species apart know a fixed number of them."""
        if problem.n_atoms < 3:
            return f"takes 3 atoms or more, and there are {problem.n_atoms}"
        return refused_species(self._rules(), problem)

    def _rules(self) -> tuple[Any, ...]:
        if self.weights is None:
            return ()
        rule = self.weights.rule
        return rule if isinstance(rule, tuple) else (rule,)

    def describe(self) -> dict[str, Any]:
        """Width, patience, weights and parts."""
        loaded = self.weights
        return {
            "width": self.width,
            "patience": self.patience,
            "fragments": self.fragments,
            "known": self.known,
            "weights": None if loaded is None else loaded.name,
            "weights_sha256": None if loaded is None else loaded.sha256,
        }

    def init(self, problem: Problem, seed: Sequence[int]) -> State:
        """An empty population."""
        return {
            "seed": list(seed),
            "epoch": 0,
            "round": 0,
            "quiet": 0,
            "pool": self._empty(problem).to_arrays(),
            "archive_energies": np.zeros(0),
            "archive_positions": np.zeros((3, problem.n_atoms, 0)),
            "visitors": None,
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
        """The population of a state."""
        pool = self._empty(problem)
        pool.from_arrays(state["pool"])
        return pool

    def finished(self, state: State) -> bool:
        """Never: limits end it."""
        return False

    def minima(self, state: State) -> Found:
        """The present population, and the lowest of earlier ones."""
        pool = state["pool"]
        return Found(
            np.concatenate([pool["energies"], state["archive_energies"]]),
            np.concatenate([pool["positions"], state["archive_positions"]], axis=-1),
        )

    def advance(self, state: State, evaluator: Evaluator) -> State:
        """One round."""
        problem = evaluator.problem
        pool = self.pool(problem, state)
        rng = np.random.default_rng([*state["seed"], state["epoch"], state["round"]])
        fresh = self._fresh(state, evaluator, rng)
        known = self._known(state, evaluator, pool, rng)
        keep = max(2, self._width(state) // 8)
        best = [pool.shortlist(group.energy, group.positions, keep)
                for group in (fresh, known)]  # fmt: skip
        # Each kind by itself: structures that descend from refined ones lie lower than
        # fresh ones with their elements at random, whatever those may become.
        begun = joined(
            [
                group.take(index)
                for group, index in zip((fresh, known), best, strict=True)
            ]
        )
        descended = self._descended(evaluator, begun, rng)
        found = joined([descended, fresh, known])
        index = pool.shortlist(found.energy, found.positions, keep, wanted=True)
        polished = evaluator.polish(found.positions[..., index])
        sound = polished.converged
        fell = pool.add_many(
            polished.energy[sound], polished.positions[..., sound]
        ).lowest_fell
        state = state | {
            "round": state["round"] + 1,
            "quiet": 0 if fell else state["quiet"] + 1,
            "pool": pool.to_arrays(),
            "visitors": None,
        }
        if self.patience is not None and state["quiet"] >= self.patience:
            return self._begun_anew(state, problem)
        return state

    def _width(self, state: State) -> int:
        return min(self.width, 4 * 2 ** state["round"])

    def _fresh(
        self, state: State, evaluator: Evaluator, rng: np.random.Generator
    ) -> Relaxed:
        """Structures that owe nothing to the population."""
        width, number = self._width(state), state["round"]
        groups = []
        if state["epoch"] == 0 and number == 0:
            # To the last digits: whatever ends the search, the best of them is kept.
            groups.append(evaluator.polish(evaluator.problem.given))
        if self.fragments:
            count = max(4, width // 2)
            groups.append(sources.fragments_of(evaluator, rng, count))
            groups.append(sources.symmetric_of(evaluator, rng, count // 2))
        # Every fourth round, four times as many: full lanes.
        if number % 4 == 1 or not self.fragments:
            groups.append(sources.explored(evaluator, rng, width, self.weights))
        return joined(groups)

    def _known(
        self,
        state: State,
        evaluator: Evaluator,
        pool: Pool,
        rng: np.random.Generator,
    ) -> Relaxed:
        """What becomes of structures that are held, and of neighbours'."""
        none = Relaxed.none(evaluator.problem.n_atoms)
        if not self.known or len(pool) == 0:
            return none
        width = self._width(state)
        positions = [sources.shaken(evaluator, pool, rng, max(2, width // 4))]
        if state["visitors"] is not None:
            positions.append(sources.visiting(evaluator, state["visitors"], rng))
        groups = [evaluator.relax(np.concatenate(positions, axis=-1))]
        if self.weights is not None:
            rule = self.weights.for_horizon(HOP_STEPS).rule
            groups.append(sources.hopped(evaluator, pool, rng, width, rule, HOP_STEPS))
        return joined(groups)

    def _descended(
        self, evaluator: Evaluator, begun: Relaxed, rng: np.random.Generator
    ) -> Relaxed:
        alloy = evaluator.problem.n_species > 1
        if alloy:
            begun = exchange_descent(evaluator, begun, rng).relaxed
        if not self.known:
            return begun
        moved = site_descent(evaluator, begun)
        if not alloy or not np.any(moved.fell):
            return moved.relaxed
        again = exchange_descent(evaluator, moved.relaxed.take(moved.fell), rng)
        return joined([moved.relaxed, again.relaxed])

    def _begun_anew(self, state: State, problem: Problem) -> State:
        pool = state["pool"]
        energies = np.concatenate([state["archive_energies"], pool["energies"]])
        positions = np.concatenate(
            [state["archive_positions"], pool["positions"]], axis=-1
        )
        lowest = np.argsort(energies, kind="stable")[:ARCHIVE]
        return state | {
            "epoch": state["epoch"] + 1,
            "round": 0,
            "quiet": 0,
            "pool": self._empty(problem).to_arrays(),
            "archive_energies": energies[lowest],
            "archive_positions": positions[..., lowest],
        }


def make_population(
    name: str, problem: Problem, weights: Weights | None = None, **options: Any
) -> Population:
    """The population method of a name, with weights that suit the problem.

    Parameters
    ----------
    name
        ``"population"``, ``"population-fresh"`` or ``"population-plain"``, see
        :data:`~ase_l2h.search.names.METHODS`.
    problem
        One element or several decides which weights it gets.
    weights
        Others than those.
    **options
        Of :class:`Population`.
    """
    if name == "population-plain":
        weights = None
    elif weights is None:
        one = problem.n_species == 1
        weights = load_weights(ONE_ELEMENT if one else SEVERAL_ELEMENTS)
    if name == "population-fresh":
        options = {"fragments": False, "known": False} | options
    return Population(name, weights, **options)
