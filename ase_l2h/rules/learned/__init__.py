"""Learned rules."""

from ase_l2h.rules.learned.adam4p import Adam4pRule, Adam4pStart
from ase_l2h.rules.learned.coordinatewise import CoordinatewiseRule
from ase_l2h.rules.learned.equivariant import EquivariantRule
from ase_l2h.rules.learned.features import FeatureSet
from ase_l2h.rules.learned.invariants import EquivariantFeatures

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
