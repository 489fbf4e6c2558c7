"""Contracts of rules and optimizers.

A *rule* turns what the atoms see into a displacement, in reduced units, and never sees
a potential. An *optimizer* joins a rule and a potential into a step. Both are frozen
pytrees of hyperparameters; their state is separate.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ase_l2h.potentials.base import Potential
from ase_l2h.system import System

__all__ = [
    "Observation",
    "Optimizer",
    "Rule",
    "RuleState",
    "SearchState",
    "batch_dot",
    "largest_norm",
]

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


class SearchState(NamedTuple):
    """State of a batch of searches, the same for every optimizer.

    ``energy`` and ``force`` (largest force norm on an atom) belong to the point last
    evaluated, both ``+inf`` where that has no finite energy and gradient; ``positions``
    is the point to evaluate next, except for a converged structure, where it is the
    converged point. ``best_*`` are the lowest energy seen
    and where. ``evaluations`` are charged evaluations; ``active`` is False once a
    structure has converged, after which it is neither moved nor charged.
    """

    positions: Float[Array, "3 n *batch"]
    energy: Float[Array, "*batch"]
    force: Float[Array, "*batch"]
    best_positions: Float[Array, "3 n *batch"]
    best_energy: Float[Array, "*batch"]
    evaluations: Int[Array, "*batch"]
    active: Bool[Array, "*batch"]
    inner: Any


@runtime_checkable
class Optimizer(Protocol):
    """Something that steps a batch of searches, one charged evaluation per step."""

    def init(
        self,
        key: Array,
        positions: Float[Array, "3 n *batch"],
        system: System,
        potential: Potential,
    ) -> SearchState: ...

    def step(
        self, key: Array, state: SearchState, system: System, potential: Potential
    ) -> SearchState: ...


def batch_dot(
    a: Float[Array, "3 n *batch"], b: Float[Array, "3 n *batch"]
) -> Float[Array, "*batch"]:
    """Scalar product over all coordinates of each structure."""
    return jnp.sum(a * b, axis=(0, 1))


def largest_norm(a: Float[Array, "3 n *batch"]) -> Float[Array, "*batch"]:
    """Largest Euclidean norm over the atoms of each structure."""
    return jnp.sqrt(jnp.max(jnp.sum(a * a, axis=0), axis=0))
