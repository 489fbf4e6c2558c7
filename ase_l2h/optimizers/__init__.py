"""Optimizers and the rules that drive them."""

from ase_l2h.optimizers.adam import Adam
from ase_l2h.optimizers.base import Observation, Optimizer, Rule, SearchState
from ase_l2h.optimizers.basin_hopping import BasinHopping, paper_basin_hopping
from ase_l2h.optimizers.compression import Compression
from ase_l2h.optimizers.descent import Descent
from ase_l2h.optimizers.fire import Fire
from ase_l2h.optimizers.gradient_descent import GradientDescent
from ase_l2h.optimizers.lbfgs import Lbfgs
from ase_l2h.optimizers.moves import Moves
from ase_l2h.optimizers.stages import Stages

__all__ = [
    "Adam",
    "BasinHopping",
    "Compression",
    "Descent",
    "Fire",
    "GradientDescent",
    "Lbfgs",
    "Moves",
    "Observation",
    "Optimizer",
    "Rule",
    "SearchState",
    "Stages",
    "paper_basin_hopping",
]
