"""What the equivariant rule sees: the names of its inputs, and sums over neighbours."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ase_l2h.potentials.base import over_neighbours
from ase_l2h.rules.learned.features import DECAYS, STEP_PERIODS, check_switches
from ase_l2h.system import System

__all__ = [
    "FULL_SHELL",
    "LOG_RANGE",
    "SCALE_GAIN",
    "SHELL_CENTRES",
    "SHELL_WIDTHS",
    "TINY",
    "VECTOR_CENTRES",
    "VECTOR_WIDTHS",
    "EquivariantFeatures",
    "surroundings",
]

# Compact bumps (1 - ((r^2 - c) / w)^2)^2 on squared reduced distances: contact, the
# nearest shell from both sides, and the second to fourth shells of close packings
# (r^2 = 2, 3, 4). Polynomials: the loop over neighbours needs no exponential.
SHELL_CENTRES = (0.6, 1.0, 1.5, 2.0, 3.0, 4.2)
SHELL_WIDTHS = (0.5, 0.4, 0.5, 0.6, 1.0, 1.4)
# Neighbour sums of displacement vectors: the nearest shell, and everything to 2.4.
VECTOR_CENTRES = (1.0, 3.0)
VECTOR_WIDTHS = (0.8, 2.8)
FULL_SHELL = 12.0
LOG_RANGE = 10.0
TINY = 1e-20
# Elements that form alloys differ by a tenth or two in size and cohesion.
SCALE_GAIN = 5.0


@dataclasses.dataclass(frozen=True)
class EquivariantFeatures:
    """Switches of the invariants.

    Parameters
    ----------
    step
        Sines of the step number.
    progress
        How far the energy lies above the best seen and how long ago that was.
    atom_energies
        Each atom's energy; a potential that cannot tell it then cannot be used.
    memory
        The lowest structure seen on the way, and how far each atom is from its place
        there: the rule can go back.
    species
        How each atom and its nearest shell differ in size and cohesion from the mean
        of the composition. Nothing for one element.
    """

    step: bool = True
    progress: bool = True
    atom_energies: bool = False
    memory: bool = False
    species: bool = False

    def __post_init__(self) -> None:
        check_switches(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the rows of the first layer, in their order."""
        per_atom = ["gradient"]
        for kind in ("rms", "average", "along"):
            per_atom += [f"{kind}-{decay}" for decay in DECAYS]
        per_atom += ["outward-gradient", "radius", "outward-adam"]
        per_atom += [f"shell-{centre}" for centre in SHELL_CENTRES]
        per_atom += [f"pull-{centre}" for centre in VECTOR_CENTRES]
        per_atom += ["pull-gradient"]
        per_atom += ["atom-energy"] * self.atom_energies
        per_atom += ["home-distance", "home-gradient"] * self.memory
        per_atom += ["own-size", "own-cohesion", "near-cohesion"] * self.species
        per_structure = ["mean-gradient", "mean-rms"]
        per_structure += ["above-best", "since-best"] * self.progress
        per_structure += ["mean-home"] * self.memory
        shared = ["size", "inverse-radius"]
        shared += [f"sine-{period}" for period in STEP_PERIODS] * self.step
        return (*per_atom, *per_structure, *shared)

    @property
    def vectors(self) -> tuple[str, ...]:
        """Names of the vectors that a displacement is made of, in their order."""
        names = ["gradient", "adam", "outward"]
        names += [f"average-{decay}" for decay in DECAYS]
        names += [f"pull-{centre}" for centre in VECTOR_CENTRES]
        names += ["home"] * self.memory + ["alike"] * self.species
        return tuple(names)

    @property
    def n_inputs(self) -> int:
        """Width of the first layer."""
        return len(self.inputs)


class _Surroundings(NamedTuple):
    shells: Float[Array, "shells n *batch"]
    vectors: Float[Array, "vectors 3 n *batch"]
    near_cohesion: Float[Array, "n *batch"] | None


def _bumps(squared: Array, centres: tuple, widths: tuple) -> Array:
    """``max(0, 1 - ((u - c) / w)^2)^2`` for every centre: ``(k, n, *batch)``."""
    shape = (-1,) + (1,) * squared.ndim
    centre = jnp.asarray(centres, squared.dtype).reshape(shape)
    inverse = 1.0 / jnp.asarray(widths, squared.dtype).reshape(shape)
    offset = (squared - centre) * inverse
    return jnp.maximum(0.0, 1.0 - offset * offset) ** 2


def surroundings(
    positions: Float[Array, "3 n *batch"],
    system: System,
    cohesion: Float[Array, "n *batch"] | None = None,
) -> _Surroundings:
    """Shell occupations and neighbour vectors of every atom, in one loop.

    With ``cohesion`` of every atom, also its sum over the nearest shell, and a further
    vector: the first, each neighbour times its cohesion.
    """
    n_vectors = len(VECTOR_CENTRES) + (cohesion is not None)

    def add(d: Array, squared: Array, j: Array, sums: _Surroundings) -> _Surroundings:
        # Beyond every bump; inf * 0 would be nan.
        squared = jnp.minimum(squared, 1e3)
        shells = _bumps(squared, SHELL_CENTRES, SHELL_WIDTHS)
        weights = _bumps(squared, VECTOR_CENTRES, VECTOR_WIDTHS)
        near = sums.near_cohesion
        if cohesion is not None:
            theirs = jax.lax.dynamic_index_in_dim(cohesion, j, 0, keepdims=True)
            # A periodic loop has an axis of images before the batch.
            theirs = theirs.reshape(
                (1,) * (squared.ndim - cohesion.ndim + 1) + theirs.shape[1:]
            )
            weights = jnp.concatenate([weights, (weights[0] * theirs)[None]])
            near = near + weights[-1]
        return _Surroundings(
            sums.shells + shells, sums.vectors + weights[:, None] * d[None], near
        )

    shape = positions.shape[1:]
    start = _Surroundings(
        jnp.zeros((len(SHELL_CENTRES), *shape), positions.dtype),
        jnp.zeros((n_vectors, *positions.shape), positions.dtype),
        None if cohesion is None else jnp.zeros(shape, positions.dtype),
    )
    return over_neighbours(positions, system, add, start, system.feature_images)
