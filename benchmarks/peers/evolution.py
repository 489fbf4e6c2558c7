"""The loop of a genetic algorithm of ase-ga, as in ASE's tutorials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms

__all__ = ["evolve"]


def evolve(
    file: str,
    size: int,
    comparator: Any,
    crossover: Any,
    mutant: Callable[[Atoms], tuple[Atoms | None, str]],
    mutated: float,
    relax: Callable[[Atoms], None],
    rng: np.random.RandomState,
) -> None:
    """Relax the first population and then child after child, until something raises.

    Parameters
    ----------
    file
        Database with the first population.
    size, comparator, crossover
        Of the population, and what makes children.
    mutant, mutated
        What becomes of a child, and of which share of them.
    relax
        Relaxes a candidate and notes its score.
    rng
        Decides everything.
    """
    from ase_ga.data import DataConnection
    from ase_ga.population import Population

    data = DataConnection(file)
    while data.get_number_of_unrelaxed_candidates() > 0:
        candidate = data.get_an_unrelaxed_candidate()
        relax(candidate)
        data.add_relaxed_step(candidate)
    population = Population(data, size, comparator, rng=rng)
    while True:
        parents = population.get_two_candidates()
        child, description = crossover.get_new_individual(parents)
        if child is None:
            continue
        data.add_unrelaxed_candidate(child, description)
        if rng.random_sample() < mutated:
            changed, description = mutant(child)
            if changed is not None:
                child = changed
                data.add_unrelaxed_step(child, description)
        relax(child)
        data.add_relaxed_step(child)
        population.update()
