"""Repeat steps for many structures at once."""

from ase_l2h.rollout.api import Rollout, RolloutResult, Status, rollout

__all__ = ["Rollout", "RolloutResult", "Status", "rollout"]
