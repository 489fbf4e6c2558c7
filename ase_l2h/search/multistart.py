"""Many starts: each takes the steps of a rule and is relaxed where it ends."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_l2h.optimizers import RuleOptimizer, SearchState
from ase_l2h.search.attempts import Attempts
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.ledger import Stopped
from ase_l2h.search.method import Found, State
from ase_l2h.search.molecules import refused_molecules
from ase_l2h.search.problem import HIT, Problem
from ase_l2h.search.relaxing import SINGLE
from ase_l2h.search.requests import Relaxed
from ase_l2h.search.result import SearchResult
from ase_l2h.search.starting import numbered_structures

__all__ = ["Multistart", "StartTable", "start_table"]

# Work (structures times steps times n^2) of a round, about two seconds.
ROUND = 4e9
# Most minima kept in a search without a number of starts.
KEPT = 200


@dataclasses.dataclass(frozen=True)
class Multistart:
    """Starts one group after another, each rolled out for ``n_steps`` and relaxed.

    Parameters
    ----------
    name
        For tables.
    rules
        What displaces the atoms; of several, the starts take one after the other.
    n_steps
        Steps of every start, one charged evaluation each.
    width
        Starts side by side. More of them fill the lanes of one search, fewer waste
        less of the last group.
    n_starts
        Starts after which the search is done; None goes on.
    rotate
        Turn random starts of free clusters at random.
    settings
        What describes the rules, JSON-able.
    """

    name: str
    rules: tuple[Any, ...]
    n_steps: int
    width: int = 32
    n_starts: int | None = None
    rotate: bool = False
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def refuse(self, problem: Problem) -> str | None:
        """Refuse a rule that distinguishes too few species."""
        learned = any(hasattr(rule, "features") for rule in self.rules)
        molecules = refused_molecules(problem) if learned else None
        return molecules or refused_species(self.rules, problem)

    def init(self, problem: Problem, seed: Sequence[int]) -> State:
        """Nothing found, the first start to come."""
        return {
            "seed": list(seed),
            "next": 0,
            "steps": 0,
            "rollouts": None,
            "energies": np.zeros(0),
            "positions": np.zeros((3, problem.n_atoms, 0)),
            "evaluations": np.zeros(0, int),
            "converged": np.zeros(0, bool),
        }

    def describe(self) -> dict[str, Any]:
        """Steps, width and rules."""
        return {
            "steps": self.n_steps,
            "width": self.width,
            "starts": self.n_starts,
            **self.settings,
        }

    def finished(self, state: State) -> bool:
        """Whether all starts that were asked for have been taken."""
        return self.n_starts is not None and state["next"] >= self.n_starts

    def minima(self, state: State) -> Found:
        """Every start that ended in a minimum."""
        sound = state["converged"]
        return Found(state["energies"][sound], state["positions"][..., sound])

    def attempts(self, state: State) -> Attempts:
        """The starts; those no longer kept did not end in a low minimum."""
        energies, evaluations = state["energies"], state["evaluations"]
        dropped = state["next"] - len(energies)
        return Attempts(
            np.concatenate([energies, np.full(dropped, np.inf)]),
            np.concatenate([evaluations, np.full(dropped, np.mean(evaluations))])
            if dropped
            else evaluations,
        )

    def advance(self, state: State, evaluator: Evaluator) -> State:
        """Steps of the present group; after the last step, its relaxation."""
        state = dict(state)
        first = state["next"]
        count = self.width
        if self.n_starts is not None:
            count = min(count, self.n_starts - first)
        members = [np.arange(first + k, first + count)[:: len(self.rules)] - first
                   for k in range(len(self.rules))]  # fmt: skip
        members = [index for index in members if index.size]
        # Start i takes rule i modulo their number, whatever the group.
        turn = [(first + k) % len(self.rules) for k in range(len(members))]
        optimizers = [RuleOptimizer(self.rules[k]) for k in turn]
        if state["rollouts"] is None:
            starts, keys = numbered_structures(
                evaluator, state["seed"], first, count, self.rotate
            )
            states = [
                evaluator.begin(optimizer, starts[..., index], keys[:, index])
                for optimizer, index in zip(optimizers, members, strict=True)
            ]
        else:
            states = [
                evaluator.resumed(optimizer, rollout)
                for optimizer, rollout in zip(
                    optimizers, state["rollouts"], strict=True
                )
            ]
        work = count * evaluator.problem.n_atoms**2
        taken = max(1, int(ROUND / work))
        if evaluator.problem.measure is not None:
            # Calls are expensive: a stop discards a round, which is then one step.
            taken = 1
        taken = min(self.n_steps - state["steps"], taken)
        try:
            for k, optimizer in enumerate(optimizers):
                states[k] = evaluator.advanced(optimizer, states[k], taken)
            state["steps"] += taken
            if state["steps"] < self.n_steps:
                return state | {"rollouts": states}
            relaxed = [_settled(evaluator, rollout) for rollout in states]
        except Stopped:
            # Also of rollouts that were not being advanced; a given structure may be
            # among them.
            for rollout in states:
                evaluator.note_lowest(rollout)
            raise
        order = np.argsort(np.concatenate(members), kind="stable")
        names = ("positions", "energy", "converged", "evaluations")
        joined = [
            np.concatenate([getattr(r, name) for r in relaxed], axis=-1)[..., order]
            for name in names
        ]
        return self._recorded(state, count, *joined)

    def _recorded(
        self,
        state: State,
        count: int,
        positions: np.ndarray,
        energies: np.ndarray,
        converged: np.ndarray,
        evaluations: np.ndarray,
    ) -> State:
        join = lambda name, new: np.concatenate([state[name], new], axis=-1)
        found = {
            "energies": join("energies", energies),
            "positions": join("positions", positions),
            "evaluations": join("evaluations", evaluations),
            "converged": join("converged", converged),
        }
        if self.n_starts is None and len(found["energies"]) > KEPT:
            lowest = np.sort(np.argsort(found["energies"], kind="stable")[:KEPT])
            found = {name: array[..., lowest] for name, array in found.items()}
        return (
            state
            | found
            | {
                "next": state["next"] + count,
                "steps": 0,
                "rollouts": None,
            }
        )


def _settled(evaluator: Evaluator, state: SearchState) -> Relaxed:
    """Relax the last points of rollouts to the last digits.

    If a rollout had been below the result, its lowest point is relaxed, too.
    """
    exact = lambda x: evaluator.problem.with_fixed(np.asarray(x, float))
    lowest = np.asarray(state.best_energy, float)
    relaxed = evaluator.polish(exact(state.positions))
    noise = SINGLE * np.abs(lowest) + HIT * evaluator.problem.energy_unit
    missed = np.flatnonzero(lowest + noise < relaxed.energy)
    spent = np.asarray(state.evaluations) + relaxed.evaluations
    if missed.size:
        second = evaluator.polish(exact(state.best_positions)[..., missed])
        spent[missed] += second.evaluations
        arrays = [np.array(array) for array in relaxed]
        lower = second.energy < relaxed.energy[missed]
        for old, new in zip(arrays, second, strict=True):
            old[..., missed[lower]] = new[..., lower]
        relaxed = Relaxed(*arrays)
    return relaxed._replace(evaluations=spent)


def refused_species(rules: Sequence[Any], problem: Problem) -> str | None:
    """Why rules with species inputs cannot be used for a problem; None if they can."""
    for rule in rules:
        slots = getattr(getattr(rule, "features", None), "species_slots", None)
        if slots is not None and 1 < slots < problem.n_species:
            return (
                f"has weights for {slots} kinds of atoms, and the structure has "
                f"{problem.n_species}; choose other weights"
            )
    return None


@dataclasses.dataclass(frozen=True)
class StartTable:
    """What became of every start: arrays ``(starts,)``, positions ``(3, n, starts)``.

    ``energies`` are relaxed ones, ``+inf`` where there is none; ``evaluations`` are
    charged evaluations, relaxation included.
    """

    energies: np.ndarray
    positions: np.ndarray
    evaluations: np.ndarray
    converged: np.ndarray


def start_table(result: SearchResult) -> StartTable:
    """The starts of a result of :class:`Multistart`, or the chains of basin hopping."""
    states = result.states
    join = lambda name: np.concatenate([state[name] for state in states], axis=-1)
    return StartTable(
        energies=join("energies"),
        positions=join("positions"),
        evaluations=join("evaluations"),
        converged=join("converged"),
    )
