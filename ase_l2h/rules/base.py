"""The contract of a rule.

A *rule* turns what the atoms see into a displacement, in reduced units, and never sees
a potential. It is a frozen pytree of hyperparameters; its state is separate.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from ase_l2h.system import System

__all__ = ["Observation", "Rule", "RuleState", "batch_dot", "largest_norm"]

RuleState = Any


class Observation(NamedTuple):
    """What a rule sees at one point, in reduced units.

    Energies are divided by ``system.energy_scale``, positions by
    ``system.length_scale``, gradients multiplied by their ratio. ``atom_energies`` is
    None where a potential cannot tell them. ``system`` is in reduced units too: its
    cell and images are divided by the length scale, its scales are one.
    """

    positions: Float[Array, "3 n *batch"]
    gradient: Float[Array, "3 n *batch"]
    energy: Float[Array, "*batch"]
    atom_energies: Float[Array, "n *batch"] | None
    system: System


@runtime_checkable
class Rule(Protocol):
    """Observation to displacement (reduced units)."""

    def init(
        self, system: System, positions: Float[Array, "3 n *batch"]
    ) -> RuleState: ...

    def update(
        self, key: Array, observation: Observation, state: RuleState
    ) -> tuple[Float[Array, "3 n *batch"], RuleState]: ...


def batch_dot(
    a: Float[Array, "3 n *batch"], b: Float[Array, "3 n *batch"]
) -> Float[Array, "*batch"]:
    """Scalar product over all coordinates of each structure."""
    return jnp.sum(a * b, axis=(0, 1))


def largest_norm(a: Float[Array, "3 n *batch"]) -> Float[Array, "*batch"]:
    """Largest Euclidean norm over the atoms of each structure."""
    return jnp.sqrt(jnp.max(jnp.sum(a * a, axis=0), axis=0))
