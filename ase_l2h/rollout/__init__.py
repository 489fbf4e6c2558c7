"""Repeat steps for many structures at once."""

from ase_l2h.rollout.batch import Rollout, RolloutResult, Status, rollout
from ase_l2h.rollout.quench import Quench, quench, relax_rollout

__all__ = [
    "Quench",
    "Rollout",
    "RolloutResult",
    "Status",
    "quench",
    "relax_rollout",
    "rollout",
]
