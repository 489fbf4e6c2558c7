"""Optimizers: a rule and a potential joined into steps, and basin hopping."""

from ase_l2h.optimizers.base import Optimizer, SearchState
from ase_l2h.optimizers.basin_hopping.compression import Compression
from ase_l2h.optimizers.basin_hopping.moves import Moves
from ase_l2h.optimizers.basin_hopping.optimizer import BasinHopping, paper_basin_hopping
from ase_l2h.optimizers.basin_hopping.restarts import Restarts
from ase_l2h.optimizers.rule_steps import RuleOptimizer

__all__ = [
    "BasinHopping",
    "Compression",
    "Moves",
    "Optimizer",
    "Restarts",
    "RuleOptimizer",
    "SearchState",
    "paper_basin_hopping",
]
