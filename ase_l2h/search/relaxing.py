"""How far structures are relaxed: roughly at first, to the last digits at the end."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ase_l2h.optimizers import RuleOptimizer, SearchState
from ase_l2h.rollout.quench import QUENCH_FMAX
from ase_l2h.rules import Lbfgs
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Relaxed

__all__ = [
    "FINE_FMAX",
    "LOOSE_ENERGY",
    "LOOSE_FMAX",
    "LOOSE_STEPS",
    "POLISH_STEPS",
    "SINGLE",
    "lowest_force",
    "no_keys",
    "outcome",
    "relaxations",
    "relaxing",
]

# Force (reduced) at which a relaxation during a search ends, and its most steps.
LOOSE_FMAX = 5e-3
LOOSE_STEPS = 150
# Force (reduced) below which minima can be distinguished.
FINE_FMAX = 1e-3
# Force (reduced) at the end for molecules, 0.01 eV per angstrom for water: the last meV
# would take as many calls as everything before.
SOFT_FMAX = 0.085
# Steps that L-BFGS remembers; with a calculator more cost nothing in comparison.
MEMORY, CALLED_MEMORY = 5, 30
# Evaluations of a relaxation to the last digits.
POLISH_STEPS = 1000
# Relative error of a single-precision energy, and how far above a minimum of its basin
# a loosely relaxed one may lie (energy scales).
SINGLE = 4 * float(np.finfo(np.float32).eps)
LOOSE_ENERGY = 1e-3


def lowest_force(problem: Problem) -> float:
    """Largest force on an atom of a reported minimum, in the problem's unit."""
    if problem.fmax is not None:
        return problem.fmax
    if problem.molecules is not None:
        return SOFT_FMAX * problem.force_unit
    # The last digits of an energy would take as many calls again.
    last = QUENCH_FMAX if problem.measure is None else LOOSE_FMAX
    return last * problem.force_unit


def relaxing(problem: Problem, fmax: float) -> RuleOptimizer:
    """L-BFGS down to a force; one object per setting, so that it is compiled once."""
    return _relaxing(fmax, MEMORY if problem.measure is None else CALLED_MEMORY)


def relaxations(problem: Problem) -> tuple[RuleOptimizer, RuleOptimizer, RuleOptimizer]:
    """Rough, until minima can be distinguished, and to the last digits."""
    last, unit = lowest_force(problem), problem.force_unit
    loose = LOOSE_FMAX * unit if problem.molecules is None else last
    fine = max(last, FINE_FMAX * unit) if problem.fmax is None else last
    loosely, finely, tightly = (relaxing(problem, fmax) for fmax in (loose, fine, last))
    return loosely, finely, tightly


@lru_cache(maxsize=64)
def _relaxing(fmax: float, memory: int) -> RuleOptimizer:
    return RuleOptimizer(Lbfgs(memory=memory), fmax=fmax)


def no_keys(positions: np.ndarray) -> np.ndarray:
    """Keys of optimizers that draw nothing."""
    return np.zeros((2, positions.shape[-1]), np.uint32)


def outcome(state: SearchState, problem: Problem) -> Relaxed:
    """Where a relaxation ended: its last point, or its lowest if it was cut short.

    If molecules are broken, the energy is ``+inf``. What was given up has an infinite
    force and counts as not converged.
    """
    active = np.asarray(state.active)
    positions = np.where(active, state.best_positions, state.positions)
    energy = np.where(active, state.best_energy, state.energy).astype(float)
    positions = problem.with_fixed(positions.astype(float))
    finite = np.isfinite(energy) & problem.kept(positions)
    return Relaxed(
        positions,
        np.where(finite, energy, np.inf),
        finite & ~active & np.isfinite(state.force),
        np.asarray(state.evaluations),
    )
