"""Fast inertial relaxation engine.

E. Bitzek, P. Koskinen, F. Gaehler, M. Moseler, P. Gumbsch, Phys. Rev. Lett. 97, 170201
(2006).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h.rules.base import Observation, batch_dot, largest_norm
from ase_l2h.system import System

__all__ = ["Fire", "FireState"]


class FireState(NamedTuple):
    """Velocity and the adaptive time step and mixing of each structure."""

    velocity: Float[Array, "3 n *batch"]
    dt: Float[Array, "*batch"]
    alpha: Float[Array, "*batch"]
    downhill: Int[Array, "*batch"]


@pytree_dataclass
class Fire:
    """Damped dynamics of unit masses that stops when it would run uphill.

    Parameters
    ----------
    dt, dt_max
        First and largest time step in reduced units (unit mass, so a pair well of
        curvature 72 epsilon/d0^2 swings with period 0.74).
    max_step
        Largest displacement of an atom in one step, reduced units.
    alpha, f_inc, f_dec, f_alpha, n_min
        The paper's constants.
    """

    dt: float | Float[Array | np.ndarray, ""] = 0.02
    dt_max: float | Float[Array | np.ndarray, ""] = 0.08
    max_step: float | Float[Array | np.ndarray, ""] = 0.1
    alpha: float | Float[Array | np.ndarray, ""] = 0.1
    f_inc: float | Float[Array | np.ndarray, ""] = 1.1
    f_dec: float | Float[Array | np.ndarray, ""] = 0.5
    f_alpha: float | Float[Array | np.ndarray, ""] = 0.99
    n_min: int | Int[Array | np.ndarray, ""] = 5

    def init(self, system: System, positions: Float[Array, "3 n *batch"]) -> FireState:
        """At rest."""
        batch, dtype = positions.shape[2:], positions.dtype
        return FireState(
            velocity=jnp.zeros_like(positions),
            dt=jnp.full(batch, self.dt, dtype),
            alpha=jnp.full(batch, self.alpha, dtype),
            downhill=jnp.zeros(batch, jnp.int32),
        )

    def update(
        self, key: Array, observation: Observation, state: FireState
    ) -> tuple[Float[Array, "3 n *batch"], FireState]:
        """One semi-implicit Euler step of the mixed velocity."""
        force = -observation.gradient
        power = batch_dot(force, state.velocity)
        downhill = power > 0
        speed = jnp.sqrt(batch_dot(state.velocity, state.velocity))
        strength = jnp.sqrt(batch_dot(force, force)) + 1e-30
        mixed = (1 - state.alpha) * state.velocity
        mixed = mixed + (state.alpha * speed / strength) * force
        count = jnp.where(downhill, state.downhill + 1, 0)
        faster = downhill & (count > jnp.asarray(self.n_min, count.dtype))
        grown = jnp.minimum(state.dt * self.f_inc, self.dt_max)
        # A structure at rest (the first step) has zero power: it starts, not stops.
        at_rest = speed == 0
        shrunk = jnp.where(at_rest, state.dt, state.dt * self.f_dec)
        dt = jnp.where(faster, grown, jnp.where(downhill, state.dt, shrunk))
        alpha = jnp.where(
            faster,
            state.alpha * self.f_alpha,
            jnp.where(downhill, state.alpha, self.alpha),
        )
        velocity = jnp.where(downhill, mixed, 0.0) + dt * force
        step = dt * velocity
        longest = largest_norm(step)
        step = step * jnp.minimum(1.0, self.max_step / jnp.maximum(longest, 1e-30))
        return step, FireState(velocity, dt, alpha, count)
