"""Learned rules."""

from ase_l2h.optimizers.learned.coordinatewise import CoordinatewiseRule
from ase_l2h.optimizers.learned.features import FeatureSet

__all__ = ["RULES", "CoordinatewiseRule", "FeatureSet"]

RULES = {"coordinatewise": CoordinatewiseRule}
