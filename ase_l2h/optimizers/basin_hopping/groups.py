"""Treat the few structures of a batch that need it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

__all__ = ["apply_where"]

Changed = TypeVar("Changed")
# A batch is searched in groups of a 32nd of it: in most steps one or two of 64
# structures hop.
GROUPS = 32


def apply_where(
    pending: Bool[Array, "*batch"],
    function: Callable[[Any, Changed], Changed],
    given: Any,
    changed: Changed,
) -> Changed:
    """``function`` of single structures where ``pending``; the others stay.

    For work that would cost too much for a whole batch of which little needs it, random
    numbers above all. It is done for a group of structures at a time, as often as it
    takes.

    Parameters
    ----------
    pending
        Which structures.
    function
        ``function(given, changed)`` of one structure to its new ``changed``.
    given, changed
        Pytrees of arrays ``(..., *batch)``.
    """
    batch = pending.shape
    size = math.prod(batch)
    group = -(-size // GROUPS)

    def flat(leaf: Array) -> Array:
        return leaf.reshape((*leaf.shape[: leaf.ndim - len(batch)], size))

    fixed = jax.tree.map(flat, given)

    def unfinished(carry: tuple[Array, Changed]) -> Array:
        return jnp.any(carry[0])

    def body(carry: tuple[Array, Changed]) -> tuple[Array, Changed]:
        waiting, present = carry
        # Filled up with a place that is none: taking clips it, writing drops it.
        (index,) = jnp.nonzero(waiting, size=group, fill_value=size)

        def take(leaf: Array) -> Array:
            return jnp.take(leaf, index, axis=-1, mode="clip")

        def put(leaf: Array, value: Array) -> Array:
            return leaf.at[..., index].set(value, mode="drop")

        new = jax.vmap(function, in_axes=-1, out_axes=-1)(
            jax.tree.map(take, fixed), jax.tree.map(take, present)
        )
        return put(waiting, jnp.zeros(group, bool)), jax.tree.map(put, present, new)

    start = (flat(pending), jax.tree.map(flat, changed))
    _, treated = jax.lax.while_loop(unfinished, body, start)
    return jax.tree.map(lambda old, new: new.reshape(old.shape), changed, treated)
