"""JAX's own rules of promotion for what this package computes.

A user may have ``jax_numpy_rank_promotion`` set to ``"raise"`` for code of their own.
The setting acts where a function is traced and belongs to a thread, so it is lifted at
each function that is compiled, and is what it was before the user's code goes on.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax

__all__ = ["compiled", "double_precision", "promoting"]


def promoting() -> contextlib.AbstractContextManager[Any]:
    """Arrays of fewer axes are broadcast within, in this thread."""
    # Its attributes are made where JAX is loaded, so no checker knows them.
    config: Any = jax.config
    if config.jax_numpy_rank_promotion == "allow":
        return contextlib.nullcontext()
    return jax.numpy_rank_promotion("allow")


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """64-bit numbers for this thread only: JAX's global flag stays as it is."""
    with promoting(), jax.enable_x64(True):
        yield


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """``jax.jit(function, **options)`` that is traced within :func:`promoting`."""
    traced = jax.jit(function, **options)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with promoting():
            return traced(*arguments, **named)

    return call
