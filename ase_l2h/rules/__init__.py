"""Rules: from what the atoms see to their displacements."""

from ase_l2h.rules.adam import Adam
from ase_l2h.rules.base import Observation, Rule
from ase_l2h.rules.fire import Fire
from ase_l2h.rules.gradient_descent import GradientDescent
from ase_l2h.rules.lbfgs import Lbfgs

__all__ = ["Adam", "Fire", "GradientDescent", "Lbfgs", "Observation", "Rule"]
