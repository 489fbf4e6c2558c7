"""The contract of an optimizer, which joins a rule and a potential into a step.

Optimizers are frozen pytrees of hyperparameters; their state is separate.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, Int

from ase_l2h.potentials.base import Potential
from ase_l2h.system import System

__all__ = ["Optimizer", "SearchState"]


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
