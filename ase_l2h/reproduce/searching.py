"""The only place from which tables, figures and benchmarks start a search."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ase_l2h.optimizers import Optimizer, paper_basin_hopping
from ase_l2h.optimizers.rule_steps import rule_optimizers
from ase_l2h.potentials.base import Potential
from ase_l2h.search.driver import search_problem
from ase_l2h.search.minima import Minimum
from ase_l2h.search.multistart import start_table
from ase_l2h.search.problem import Problem
from ase_l2h.search.registry import (
    CLASSICAL,
    default_steps,
    make_method,
    method_weights,
    strong_basin_hopping,
)
from ase_l2h.system import System
from ase_l2h.weights.load import Weights

__all__ = ["StartsResult", "method_optimizer", "run_search"]

CHAIN_STEPS = {"bh": 10_000, "bh-paper": 50_000}


@dataclasses.dataclass(frozen=True)
class StartsResult:
    """What became of every start, arrays ``(starts,)``; see ``run_search``."""

    weights: Weights | None
    n_steps: int
    energies: np.ndarray
    positions: np.ndarray
    evaluations: np.ndarray
    minima: list[Minimum]
    backend: str
    wall_seconds: float

    @property
    def best_energy(self) -> float:
        """The lowest relaxed energy."""
        return float(np.min(self.energies))

    @property
    def charged_evaluations(self) -> int:
        """Of all starts together."""
        return int(np.sum(self.evaluations))


def run_search(
    potential: Potential,
    system: System,
    *,
    method: str = "learned",
    weights: str | None = None,
    starts: int,
    steps: int | None = None,
    seed: int,
    backend: str = "auto",
    rotate: bool = False,
    progress: Callable[[int], Any] | None = None,
) -> StartsResult:
    """A search from random starts, or chains of basin hopping, to its end.

    Parameters
    ----------
    potential, system
        What is minimised.
    method, weights, starts, steps, seed, backend
        See :func:`~ase_l2h.search.driver.search_problem`.
    rotate
        Turn random starts of clusters by random rotations.
    progress
        Called with every charge.

    Raises
    ------
    KeyboardInterrupt
        When the search was stopped before its end: what was cut short is not the search
        that a record asks for.
    """
    problem = Problem(potential, system)
    loaded = method_weights(method, weights)
    n_steps = steps or default_steps(method, loaded) or CHAIN_STEPS[method]
    chosen = make_method(method, problem, weights=weights, steps=n_steps, starts=starts)
    if rotate:
        chosen = dataclasses.replace(chosen, rotate=True)  # type: ignore[type-var]
    result = search_problem(
        problem,
        method=chosen,
        starts=starts,
        seed=seed,
        backend=backend,
        on_charge=progress,
    )
    if result.stopped != "done":
        raise KeyboardInterrupt
    table = start_table(result)
    return StartsResult(
        weights=loaded,
        n_steps=n_steps,
        energies=table.energies,
        positions=table.positions,
        evaluations=table.evaluations,
        minima=result.minima,
        backend=result.backend,
        wall_seconds=result.wall_seconds,
    )


def method_optimizer(
    method: str, weights: Weights | None, n_steps: int, system: System
) -> Optimizer | Sequence[Optimizer]:
    """What steps a structure in a method: one optimizer, or several in turn."""
    if weights is not None:
        return rule_optimizers(weights.for_horizon(n_steps).rule)
    if method in CLASSICAL:
        return rule_optimizers(CLASSICAL[method])
    return strong_basin_hopping(system) if method == "bh" else paper_basin_hopping()
