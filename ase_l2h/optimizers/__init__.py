"""Optimizers: a rule and a potential joined into steps, and basin hopping."""

from ase_l2h.optimizers.base import Optimizer, SearchState
from ase_l2h.optimizers.basin_hopping.compression import Compression
from ase_l2h.optimizers.basin_hopping.moves import Moves
from ase_l2h.optimizers.basin_hopping.optimizer import BasinHopping, paper_basin_hopping
from ase_l2h.optimizers.basin_hopping.restarts import Stages
from ase_l2h.optimizers.rule_steps import Descent

__all__ = [
    "BasinHopping",
    "Compression",
    "Descent",
    "Moves",
    "Optimizer",
    "SearchState",
    "Stages",
    "paper_basin_hopping",
]
