"""Learned rules."""

from ase_l2h.optimizers.learned.coordinatewise import CoordinatewiseRule
from ase_l2h.optimizers.learned.equivariant import EquivariantFeatures, EquivariantRule
from ase_l2h.optimizers.learned.features import FeatureSet

__all__ = [
    "RULES",
    "CoordinatewiseRule",
    "EquivariantFeatures",
    "EquivariantRule",
    "FeatureSet",
]

RULES = {"coordinatewise": CoordinatewiseRule, "equivariant": EquivariantRule}
