"""Potentials: positions ``(3, n, *batch)`` to energies ``(*batch)``, in pure JAX."""

from __future__ import annotations

from ase_l2h.potentials.base import (
    EnergyAndGradient,
    Potential,
    energy_and_gradient,
)
from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.jax_md import FunctionPotential, from_jax_md
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.parameters import (
    GUPTA_SETS,
    STILLINGER_WEBER_SETS,
    gupta_set,
    gupta_sets_covering,
    stillinger_weber_set,
)
from ase_l2h.potentials.soft_sphere import SoftSphere
from ase_l2h.potentials.stillinger_weber import StillingerWeber
from ase_l2h.potentials.units import atom_scales, reduced_units, species_units

__all__ = [
    "GUPTA_SETS",
    "STILLINGER_WEBER_SETS",
    "BinaryLennardJones",
    "EnergyAndGradient",
    "FunctionPotential",
    "Gupta",
    "LennardJones",
    "Potential",
    "SoftSphere",
    "StillingerWeber",
    "atom_scales",
    "energy_and_gradient",
    "from_jax_md",
    "gupta_set",
    "gupta_sets_covering",
    "reduced_units",
    "species_units",
    "stillinger_weber_set",
]
