"""Learned rules."""

from ase_l2h.optimizers.learned.adam4p import Adam4pRule, Adam4pStart
from ase_l2h.optimizers.learned.coordinatewise import CoordinatewiseRule
from ase_l2h.optimizers.learned.equivariant import EquivariantFeatures, EquivariantRule
from ase_l2h.optimizers.learned.features import FeatureSet

__all__ = [
    "RULES",
    "Adam4pRule",
    "Adam4pStart",
    "CoordinatewiseRule",
    "EquivariantFeatures",
    "EquivariantRule",
    "FeatureSet",
]

RULES = {
    "adam4p": Adam4pRule,
    "coordinatewise": CoordinatewiseRule,
    "equivariant": EquivariantRule,
}
