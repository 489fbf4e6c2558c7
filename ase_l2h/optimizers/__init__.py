"""Optimizers and the rules that drive them."""

from ase_l2h.optimizers.adam import Adam
from ase_l2h.optimizers.base import Observation, Optimizer, Rule, SearchState
from ase_l2h.optimizers.descent import Descent
from ase_l2h.optimizers.fire import Fire
from ase_l2h.optimizers.gradient_descent import GradientDescent
from ase_l2h.optimizers.lbfgs import Lbfgs

__all__ = [
    "Adam",
    "Descent",
    "Fire",
    "GradientDescent",
    "Lbfgs",
    "Observation",
    "Optimizer",
    "Rule",
    "SearchState",
]
