"""The paper's learned rule: one small network, applied to every coordinate alike.

A. Merchant, L. Metz, S. S. Schoenholz, E. D. Cubuk, "Learn2Hop: Learned Optimization on
Rough Landscapes", ICML 2021 (arXiv:2107.09661), section 3 and appendix D.3:

    displacement = -alpha d sigmoid(beta m + gamma)            (Eq. 2)

Because x, y and z pass through the same weights one by one, the result depends on how
the axes lie: only exchanging axes is a symmetry of the rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.rules.base import Observation
from ase_l2h.rules.learned.features import (
    FeatureSet,
    Moments,
    coordinate_features,
    initial_moments,
    log_magnitude,
    radial_functions,
    scaled_time,
    step_sines,
    update_moments,
)
from ase_l2h.rules.learned.network import FeatureMajorNetwork, initial_parameters
from ase_l2h.system import System

__all__ = ["CoordinatewiseRule", "LearnedState"]


class LearnedState(NamedTuple):
    """Steps taken and the gradient's running averages.

    ``step`` is one clock for all, or ``(*batch)``: a clock for each.
    """

    step: Int[Array, "*count"]
    moments: Moments


@pytree_dataclass
class CoordinatewiseRule:
    """Learned displacement of every coordinate.

    Parameters
    ----------
    theta
        Everything that is learned: the network's arrays, ``alpha``, ``beta`` and
        ``gamma``.
    time_scale
        The sines see ``t * time_scale``. 1 is the paper's clock of 50,000 steps;
        ``50000 / horizon`` compresses it to another horizon.
    features
        Which inputs the network sees.
    """

    theta: Mapping[str, Float[Array | np.ndarray, "..."]]
    time_scale: float | Float[Array | np.ndarray, ""] = 1.0
    features: FeatureSet = static_field(default=FeatureSet())

    # The horizon whose clock the sines count, in steps.
    reference_horizon: ClassVar[int] = 50_000
    features_type: ClassVar[type] = FeatureSet

    @classmethod
    def create(
        cls,
        key: Array,
        features: FeatureSet | None = None,
        time_scale: float = 1.0,
    ) -> CoordinatewiseRule:
        """An untrained rule: it does not move.

        LeCun-normal network with a zero output layer, alpha 0.1, beta 1, gamma -3.
        """
        features = FeatureSet() if features is None else features
        theta = initial_parameters(key, FeatureMajorNetwork(), features.n_inputs)
        theta["alpha"] = jnp.asarray(0.1)
        theta["beta"] = jnp.asarray(1.0)
        theta["gamma"] = jnp.asarray(-3.0)
        return cls(theta=theta, time_scale=time_scale, features=features)

    def init(
        self, system: System, positions: Float[Array, "3 n *batch"]
    ) -> LearnedState:
        """No steps taken."""
        return LearnedState(jnp.zeros((), jnp.int32), initial_moments(positions))

    def update(
        self, key: Array, observation: Observation, state: LearnedState
    ) -> tuple[Float[Array, "3 n *batch"], LearnedState]:
        """Average the gradient, look around, and let the network decide."""
        del key
        positions, gradient = observation.positions, observation.gradient
        dtype, shape = positions.dtype, positions.shape
        step = state.step + 1
        moments = update_moments(state.moments, gradient)
        blocks = self._blocks(observation, moments, step)
        parameters = {
            name: jnp.asarray(value, dtype)
            for name, value in self.theta.items()
            if name.startswith(("kernel", "bias"))
        }
        outputs: Any = FeatureMajorNetwork().apply({"params": parameters}, blocks)
        direction, size = outputs[0], outputs[1]
        alpha = jnp.asarray(self.theta["alpha"], dtype)
        beta = jnp.asarray(self.theta["beta"], dtype)
        gamma = jnp.asarray(self.theta["gamma"], dtype)
        displacement = -alpha * direction * jax.nn.sigmoid(beta * size + gamma)
        return jnp.broadcast_to(displacement, shape), LearnedState(step, moments)

    def _blocks(
        self, observation: Observation, moments: Moments, step: Array
    ) -> tuple[Array, ...]:
        features, system = self.features, observation.system
        positions = observation.positions
        dtype, n = positions.dtype, positions.shape[1]
        batch_ones = (1,) * (positions.ndim - 2)
        if not system.recentred:
            # A centroid means nothing in a crystal or beside fixed atoms.
            positions = jnp.zeros_like(positions)
        else:
            positions = positions - jnp.mean(positions, axis=1, keepdims=True)
        blocks: list[Array] = []
        if features.n_coordinate:
            raw = coordinate_features(
                features, positions, observation.gradient, moments, step
            )
            blocks.extend(log_magnitude(raw))
        if features.radial:
            sums = radial_functions(
                observation.positions, system, features.species_slots
            )
            blocks.extend(part[:, None] for part in log_magnitude(sums))
        if features.n_species:
            species = jnp.asarray(system.species)
            slots = jnp.arange(features.species_slots)
            hot = slots.reshape((-1,) + (1,) * species.ndim) == species
            hot = hot.astype(dtype)[:, None]
            missing = positions.ndim + 1 - hot.ndim
            blocks.append(hot.reshape(hot.shape + (1,) * missing))
        shared = []
        if features.step:
            shared.append(step_sines(scaled_time(step, self.time_scale, dtype)))
        if features.singular:
            shared.append(jnp.full((1, *step.shape), n / 100, dtype))
        if shared:
            clock = step.shape or batch_ones
            blocks.append(jnp.concatenate(shared).reshape((-1, 1, 1, *clock)))
        return tuple(blocks)
