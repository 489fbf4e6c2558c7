"""The bond length of an unknown calculator, measured before every attempt.

Covalent radii are a guess that no potential is bound to: neighbours in clusters of
sodium are a third farther apart by GFN2-xTB, and those of aluminium by EMT a sixth.
Structures made with a wrong length relax to other minima than those sought, and
vacant sites are looked for at wrong places. So a compact fragment is scaled as a whole
until its energy is lowest, which takes a few evaluations.
"""

from __future__ import annotations

import numpy as np

from ase_l2h.search.auto.sources import fragment_structures
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.method import State

__all__ = ["at_measured_length", "measured_length"]

# Fewer atoms are no fragment.
FEWEST = 4
# Factor between two lengths that are tried, and the most steps up and down.
STEP, LONGER, SHORTER = 1.08, 5, -4
# The energy may rise by this many energy scales per atom without ending the trials:
# atoms that attract each other in pairs have a minimum of their own.
RISE = 0.1
# Evaluations that must be left for the search itself.
SPARED = 50


def at_measured_length(
    evaluator: Evaluator, state: State, rng: np.random.Generator
) -> tuple[Evaluator, State, float]:
    """The evaluator with the length that the state's attempt has measured.

    It is measured in the first round of the attempt, with a fragment of its own, whose
    energy is returned, too: it may be low. ``inf`` in other rounds.
    """
    energy, problem = np.inf, evaluator.problem
    if not problem.guessed or problem.n_atoms < FEWEST:
        return evaluator, state, energy
    if state["round"] == 0:
        length, energy = measured_length(evaluator, rng)
        state = state | {"length": length}
    return evaluator.with_length(state["length"]), state, energy


def measured_length(
    evaluator: Evaluator, rng: np.random.Generator
) -> tuple[float, float]:
    """The bond length at which a fragment of a packing has the lowest energy.

    Of lengths in steps of 8 %, refined by a parabola through the lowest three; the
    guess itself where no energy is finite or evaluations are short. And the lowest of
    the energies.
    """
    problem = evaluator.problem
    if evaluator.left < SPARED:
        return problem.length, np.inf
    place = fragment_structures(problem, rng, 1)
    tried = np.concatenate([place, STEP * place], axis=-1)
    energies = dict(enumerate(evaluator.energies(tried).tolist()))
    rise = RISE * problem.energy_unit * problem.n_atoms
    # Longer ones first: compressed atoms are where calculations fail.
    for power in (*range(2, LONGER + 1), *range(-1, SHORTER - 1, -1)):
        lowest = min(energies, key=lambda k: energies[k])
        before = power - 1 if power > 0 else power + 1
        hopeless = energies.get(before, np.inf) > energies[lowest] + rise
        needless = lowest > 0 or energies[lowest] == np.inf
        if hopeless or (power < 0 and needless):
            continue
        (energies[power],) = evaluator.energies(STEP**power * place)
    best = min(energies, key=lambda k: energies[k])
    if not np.isfinite(energies[best]):
        return problem.length, np.inf
    evaluator.note(energies[best], STEP**best * place[..., 0], relaxed=False)
    low, high = (energies.get(best + side, np.inf) for side in (-1, 1))
    curvature = low - 2 * energies[best] + high
    shift = (low - high) / (2 * curvature) if 0 < curvature < np.inf else 0.0
    factor = STEP ** (best + float(np.clip(shift, -0.5, 0.5)))
    return problem.length * factor, float(energies[best])
