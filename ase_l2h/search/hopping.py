"""Basin hopping as a method: chains of steps from minimum to minimum."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ase_l2h.optimizers import BasinHopping
from ase_l2h.search.attempts import Attempts, no_attempts
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.method import Found, State
from ase_l2h.search.molecules import refused_molecules
from ase_l2h.search.problem import Problem
from ase_l2h.search.starting import numbered_structures

__all__ = ["Hopping"]

# Evaluations of a chain in one round; fewer with a calculator.
BLOCK, CALLS = 2000, 100


@dataclasses.dataclass(frozen=True)
class Hopping:
    """Chains of basin hopping side by side.

    Parameters
    ----------
    name
        For tables.
    settings
        The chain's settings for a problem.
    width
        Chains side by side, each from a start of its own.
    n_steps
        Evaluations of each chain, after which it is done; None goes on.
    """

    name: str
    settings: Callable[[Problem], BasinHopping]
    width: int = 32
    n_steps: int | None = None

    def refuse(self, problem: Problem) -> str | None:
        """Refuse molecules that are kept: basin hopping kicks single atoms."""
        return refused_molecules(problem)

    def init(self, problem: Problem, seed: Sequence[int]) -> State:
        """Chains that have not begun."""
        return {
            "seed": list(seed),
            "steps": 0,
            "rollouts": None,
            "polished": np.full(self.width, np.inf),
            "energies": np.full(self.width, np.inf),
            "positions": np.zeros((3, problem.n_atoms, self.width)),
            "evaluations": np.zeros(self.width, int),
            "converged": np.zeros(self.width, bool),
        }

    def describe(self) -> dict[str, Any]:
        """Width and steps of the chains."""
        return {"width": self.width, "steps": self.n_steps}

    def finished(self, state: State) -> bool:
        """Whether the chains have taken all their steps."""
        return self.n_steps is not None and state["steps"] >= self.n_steps

    def minima(self, state: State) -> Found:
        """The lowest minimum of every chain."""
        sound = state["converged"]
        return Found(state["energies"][sound], state["positions"][..., sound])

    def attempts(self, state: State) -> Attempts:
        """The chains, once they are done."""
        if not self.finished(state):
            return no_attempts()
        return Attempts(state["energies"], state["evaluations"])

    def advance(self, state: State, evaluator: Evaluator) -> State:
        """Some steps of every chain; new lowest minima are relaxed."""
        settings = evaluator.aimed(self.settings(evaluator.problem))
        state = dict(state)
        if state["rollouts"] is None:
            starts, keys = numbered_structures(evaluator, state["seed"], 0, self.width)
            rollout = evaluator.begin(settings, starts, keys)
        else:
            rollout = evaluator.resumed(settings, state["rollouts"][0])
        taken = BLOCK if evaluator.problem.measure is None else CALLS
        if self.n_steps is not None:
            taken = min(taken, self.n_steps - state["steps"])
        before = np.array(rollout.evaluations)
        rollout = evaluator.advanced(settings, rollout, taken)
        evaluator.hopped(rollout)
        # In case the search is stopped while minima are relaxed.
        evaluator.note_lowest(rollout)
        state["steps"] += taken
        state["rollouts"] = [rollout]
        spent = np.asarray(rollout.evaluations) - before
        if evaluator.target_energy is not None and not self.finished(state):
            # Only the target counts; the lowest structure is relaxed at the end.
            return state | {"evaluations": state["evaluations"] + spent}
        return self._polished(state, evaluator, rollout, spent)

    def _polished(
        self, state: State, evaluator: Evaluator, rollout: Any, spent: np.ndarray
    ) -> State:
        """The lowest minima of the chains relaxed to the last digits."""
        lowest = np.asarray(rollout.inner.lowest, float)
        fell = np.flatnonzero(lowest < state["polished"])
        evaluations = state["evaluations"] + spent
        state["polished"] = np.minimum(lowest, state["polished"])
        if fell.size:
            best = np.asarray(rollout.best_positions, float)[..., fell]
            best = evaluator.problem.with_fixed(best)
            relaxed = evaluator.polish(best)
            evaluations[fell] += relaxed.evaluations
            for name, new in (
                ("energies", relaxed.energy),
                ("positions", relaxed.positions),
                ("converged", relaxed.converged),
            ):
                array = np.array(state[name])
                array[..., fell] = new
                state[name] = array
        state["evaluations"] = evaluations
        return state
