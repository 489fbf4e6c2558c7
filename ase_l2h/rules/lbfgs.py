"""Limited-memory BFGS without a line search, one evaluation per step.

D. C. Liu and J. Nocedal, Math. Program. 45, 503 (1989); the step control (cap the step,
shrink it tenfold when the energy rises) is the one Wales's GMIN describes.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.rules.base import Observation, batch_dot, largest_norm
from ase_l2h.system import System

__all__ = ["Lbfgs", "LbfgsState"]


class LbfgsState(NamedTuple):
    """Last accepted point, the step tried from it, and the curvature pairs.

    ``metric`` is an inverse Hessian guessed from elsewhere (reduced units, symmetric,
    positive definite), of which a multiple takes the place of the identity's.
    """

    gradient: Float[Array, "3 n *batch"]
    energy: Float[Array, "*batch"]
    step: Float[Array, "3 n *batch"]
    rejections: Int[Array, "*batch"]
    started: Bool[Array, "*batch"]
    s: Float[Array, "m 3 n *batch"]
    y: Float[Array, "m 3 n *batch"]
    rho: Float[Array, "m *batch"]
    metric: Float[Array, "3n 3n *batch"] | None = None


@pytree_dataclass
class Lbfgs:
    """Quasi-Newton descent for quenches.

    A step that raises the energy is taken back and tried again at a tenth of its
    length; that, too, is one charged evaluation. After ``max_rejections`` in a row the
    point is accepted and the memory dropped, so rounding cannot freeze a structure.

    Parameters
    ----------
    max_step
        Largest displacement of an atom, reduced units.
    first_step
        Initial inverse curvature, reduced units.
    rise
        Relative energy rise taken for rounding, not for an uphill step.
    memory
        Number of curvature pairs.
    max_rejections
        Shortened steps in a row before the point is taken as it is.
    """

    max_step: float | Float[Array | np.ndarray, ""] = 0.2
    first_step: float | Float[Array | np.ndarray, ""] = 0.002
    rise: float | Float[Array | np.ndarray, ""] = 1e-6
    memory: int = static_field(default=5)
    max_rejections: int = static_field(default=4)

    def init(self, system: System, positions: Float[Array, "3 n *batch"]) -> LbfgsState:
        """Empty memory."""
        batch, dtype = positions.shape[2:], positions.dtype
        pairs = jnp.zeros((self.memory, *positions.shape), dtype)
        return LbfgsState(
            gradient=jnp.zeros_like(positions),
            energy=jnp.full(batch, jnp.inf, dtype),
            step=jnp.zeros_like(positions),
            rejections=jnp.zeros(batch, jnp.int32),
            started=jnp.zeros(batch, bool),
            s=pairs,
            y=pairs,
            rho=jnp.zeros((self.memory, *batch), dtype),
        )

    def restarted(self, state: LbfgsState, where: Bool[Array, "*batch"]) -> LbfgsState:
        """Forget everything about some structures, without touching the pairs."""
        return state._replace(
            rejections=jnp.where(where, 0, state.rejections),
            started=state.started & ~where,
            rho=jnp.where(where, 0.0, state.rho),
        )

    def update(
        self, key: Array, observation: Observation, state: LbfgsState
    ) -> tuple[Float[Array, "3 n *batch"], LbfgsState]:
        """Accept and take a new direction, or take back most of the last step."""
        gradient, energy = observation.gradient, observation.energy
        highest = state.energy + self.rise * jnp.abs(state.energy)
        lower = energy <= jnp.where(jnp.isfinite(highest), highest, jnp.inf)
        exhausted = state.rejections >= self.max_rejections
        accept = ~state.started | lower | exhausted

        y = gradient - state.gradient
        curvature = batch_dot(state.step, y)
        # Only positive curvature keeps the inverse Hessian positive definite.
        useful = accept & state.started & (curvature > 1e-12) & ~exhausted
        rho = jnp.where(useful, 1.0 / jnp.where(useful, curvature, 1.0), 0.0)

        def push(old: Array, new: Array) -> Array:
            pushed = jnp.concatenate([old[1:], new[None]])
            return jnp.where(useful, pushed, old)

        s_pairs, y_pairs = push(state.s, state.step), push(state.y, y)
        # A pair with rho = 0 has no effect: this is what drops the memory.
        rhos = jnp.where(exhausted, 0.0, push(state.rho, rho))

        # As loops: written out, XLA fuses every scalar product with all that it is made
        # from, and the work grows with the square of the memory.
        def first(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            direction, weights = carry
            k = self.memory - 1 - i
            weight = _at(rhos, k) * batch_dot(_at(s_pairs, k), direction)
            weights = jax.lax.dynamic_update_index_in_dim(weights, weight, k, 0)
            return direction - weight * _at(y_pairs, k), weights

        def second(k: Array, direction: Array) -> Array:
            back = _at(rhos, k) * batch_dot(_at(y_pairs, k), direction)
            return direction + (_at(weights, k) - back) * _at(s_pairs, k)

        start = (gradient, jnp.zeros_like(rhos))
        direction, weights = jax.lax.fori_loop(0, self.memory, first, start)
        known = rhos[-1] > 0
        if state.metric is None:
            changed, unknown = y_pairs[-1], self._first_scale(gradient)
        else:
            direction = _times(state.metric, direction)
            changed, unknown = _times(state.metric, y_pairs[-1]), 1.0
        newest = batch_dot(y_pairs[-1], changed)
        scale = jnp.where(
            known, 1.0 / jnp.where(known, rhos[-1] * newest, 1.0), unknown
        )
        direction = jax.lax.fori_loop(0, self.memory, second, scale * direction)
        uphill = batch_dot(direction, gradient) < 0
        step = jnp.where(uphill, direction, -direction)
        longest = largest_norm(step)
        step = step * jnp.minimum(1.0, self.max_step / jnp.maximum(longest, 1e-30))

        shorter = 0.1 * state.step
        displacement = jnp.where(accept, step, shorter - state.step)
        return displacement, LbfgsState(
            gradient=jnp.where(accept, gradient, state.gradient),
            energy=jnp.where(accept, energy, state.energy),
            step=jnp.where(accept, step, shorter),
            rejections=jnp.where(accept, 0, state.rejections + 1),
            started=jnp.ones_like(state.started),
            s=s_pairs,
            y=y_pairs,
            rho=rhos,
            metric=state.metric,
        )

    def _first_scale(self, gradient: Array) -> Array:
        """The inverse curvature before any pair is known."""
        return jnp.minimum(self.first_step, 0.1 / (largest_norm(gradient) + 1e-30))


def _at(pairs: Array, k: Array) -> Array:
    return jax.lax.dynamic_index_in_dim(pairs, k, keepdims=False)


def _times(metric: Array, vectors: Array) -> Array:
    """A matrix ``(3n, 3n)`` of each structure times its vector ``(3, n)``."""
    flat = vectors.reshape(-1, *vectors.shape[2:])
    return jnp.einsum("ij...,j...->i...", metric, flat).reshape(vectors.shape)
