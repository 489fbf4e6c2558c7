"""JAX's own rules of promotion for what this package computes.

A user may have ``jax_numpy_rank_promotion`` set to ``"raise"`` for code of their own.
The setting acts where a function is traced and belongs to a thread, so it is lifted at
each function that is compiled, and is what it was before the user's code goes on.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import jax
import numpy as np

__all__ = ["compiled", "double_precision", "own_constants", "promoting"]

_TRACING = threading.RLock()


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


@contextlib.contextmanager
def own_constants() -> Iterator[None]:
    """NumPy arrays that a function holds get the precision of each of its traces.

    JAX 0.10.1 remembers for as long as a compiled function lives what it has made of an
    array, even when 64-bit numbers have been allowed since: a function that holds an
    array could then be compiled in one precision only. Here it sees copies.
    """
    handlers = _constant_handlers()
    if handlers is None:
        yield
        return
    with _TRACING:
        usual = handlers[np.ndarray]
        handlers[np.ndarray] = lambda array: usual(array.copy())
        try:
            yield
        finally:
            handlers[np.ndarray] = usual


def _constant_handlers() -> MutableMapping[Any, Callable[[Any], Any]] | None:
    """What JAX makes of constants by their type; None where it keeps no such table."""
    try:
        from jax._src import dtypes
    except ImportError:
        return None
    return getattr(dtypes, "canonicalize_value_handlers", None)


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """``jax.jit(function, **options)`` that is traced within :func:`promoting`."""
    traced = jax.jit(function, **options)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with promoting():
            return traced(*arguments, **named)

    return call
