"""Energies as one writes them in JAX, and the loop that times them.

``jax.vmap(jax.value_and_grad(energy))`` over positions ``(n, 3)``: what everything else
is held against.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h.targets import Target

__all__ = ["kind", "natural_energy", "natural_loop"]


def kind(target: Target) -> str:
    """``LJ``, ``Gupta`` or ``SW``."""
    if target.name.startswith("LJ"):
        return "LJ"
    return "SW" if target.name.startswith("Si") else "Gupta"


def natural_lennard_jones(positions: Float[Array, "n 3"]) -> Float[Array, ""]:
    """Energy of one cluster, written as one would."""
    displacement = positions[:, None] - positions[None]
    squared = jnp.sum(displacement**2, axis=-1)
    squared = jnp.where(jnp.eye(len(positions), dtype=bool), jnp.inf, squared)
    s6 = 1.0 / squared**3
    return 2.0 * jnp.sum(s6 * (s6 - 1.0))


def natural_gupta(target: Target) -> Callable[[Array], Array]:
    """Energy of one cluster of any number of elements, written as one would."""
    potential: Any = target.potential
    species = np.asarray(target.system.species)
    # Numbers where one element is all there is, a table per pair otherwise.
    chosen = (0, 0) if len(potential.symbols) == 1 else np.ix_(species, species)
    p, q, r0, xi, strength = (
        jnp.asarray(np.asarray(getattr(potential, name))[chosen], jnp.float32)
        for name in ("p", "q", "r0", "xi", "A")
    )

    def energy(positions: Float[Array, "n 3"]) -> Float[Array, ""]:
        itself = jnp.eye(len(positions), dtype=bool)
        displacement = positions[:, None] - positions[None]
        squared = jnp.sum(displacement**2, axis=-1)
        r = jnp.sqrt(jnp.where(itself, 1.0, squared)) / r0 - 1.0
        repulsion = jnp.where(itself, 0.0, strength * jnp.exp(-p * r))
        hopping = jnp.where(itself, 0.0, xi**2 * jnp.exp(-2.0 * q * r))
        return jnp.sum(jnp.sum(repulsion, axis=1) - jnp.sqrt(jnp.sum(hopping, axis=1)))

    return energy


def natural_energy(target: Target) -> Callable[[Array], Array] | None:
    """The natural form; None for silicon, of which nobody writes it in ten lines."""
    if kind(target) == "SW":
        return None
    return natural_lennard_jones if kind(target) == "LJ" else natural_gupta(target)


def natural_loop(
    energy: Callable[[Array], Array], starts: np.ndarray, rate: float
) -> Callable[[int], Any]:
    """A compiled loop over the natural form; called with a number of evaluations."""
    both = jax.vmap(jax.value_and_grad(energy))
    positions = jnp.asarray(np.moveaxis(starts, -1, 0).swapaxes(1, 2))

    @jax.jit
    def loop(positions: Array, count: int) -> tuple[Array, Array]:
        def body(_: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            value, gradient = both(carry[0])
            return carry[0] - rate * gradient, value

        zero = jnp.zeros(len(positions), positions.dtype)
        return jax.lax.fori_loop(0, count, body, (positions, zero))

    return lambda count: np.asarray(jax.block_until_ready(loop(positions, count))[1])
