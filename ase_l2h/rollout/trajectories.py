"""Searches of a batch as plain functions: begin, advance, evaluate, single energies.

A :class:`~ase_l2h.optimizers.base.SearchState` goes in and comes out, all its leaves
NumPy arrays with the batch last, so structures can be cut out, joined and returned in
any order. The result for a structure depends only on the structure and its key, not on
the rest of the batch: in ``native`` each has its own vector lane; in ``scan`` all
chunks have the same size, and the last one is padded.

The precision is that of the positions: float64, or float32 for everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ase_l2h._internal.promotion import compiled
from ase_l2h.optimizers.base import Optimizer, SearchState
from ase_l2h.optimizers.basin_hopping.optimizer import BasinHopping
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout.chunks import PAIRS, precision
from ase_l2h.rollout.kernels import cuda, layout, native
from ase_l2h.rollout.kernels.threads import default_threads, workers
from ase_l2h.rollout.scan import (
    compiled_advance,
    compiled_evaluate,
    compiled_initialise,
)
from ase_l2h.system import System, take_batch

__all__ = ["CHUNK", "advance", "begin", "energies", "evaluate"]

# Structures that `scan` runs as one array: the lanes of a vector.
CHUNK = 16


@compiled
def _initialise_chains(
    optimizer: Any, potential: Any, system: Any, positions: Any, keys: Any
) -> SearchState:
    return optimizer.init_with_keys(keys, positions, system, potential)


def begin(
    optimizer: Optimizer,
    potential: Potential,
    system: System,
    positions: np.ndarray,
    keys: np.ndarray,
) -> SearchState:
    """The state before the first evaluation.

    Parameters
    ----------
    optimizer, potential, system
        What steps, on what.
    positions
        ``(3, n, batch)`` in the units of the potential.
    keys
        uint32 ``(2, batch)``, the key data of a JAX key for each structure: basin
        hopping draws from them. An optimizer that is neither basin hopping nor of a
        rule of this package begins each of its chunks with the first key of it.

    Returns
    -------
    SearchState
        ``inner.step`` of a learned rule is ``(batch,)``: structures that have taken
        different numbers of steps may be joined.
    """
    positions = np.asarray(positions)
    if positions.dtype != np.float64:
        positions = positions.astype(np.float32)
    else:
        positions = positions.copy()
    keys = np.asarray(keys, np.uint32)
    if layout.begins(optimizer, potential):
        return layout.initial_state(optimizer, potential, system, positions, keys)
    if isinstance(optimizer, BasinHopping):
        start = lambda part, x, k: _initialise_chains(optimizer, potential, part, x, k)
    else:
        start = lambda part, x, k: compiled_initialise(
            optimizer,
            potential,
            part,
            x,
            jax.random.wrap_key_data(k[:, 0], impl="threefry2x32"),
        )
    return _in_chunks(start, system, (positions, keys), positions)


def advance(
    optimizer: Optimizer,
    potential: Potential,
    system: System,
    state: SearchState,
    n_steps: int,
    *,
    backend: str,
    threads: int | None = None,
) -> SearchState:
    """Take ``n_steps`` steps with what is active, each a charged evaluation.

    Parameters
    ----------
    optimizer, potential, system
        Leaves of ``system`` with a batch axis have one entry per structure.
    state
        From :func:`begin`, or from an earlier call; it is not changed.
    n_steps
        Structures that converge, or reach the target, take fewer.
    backend
        ``"native"``, ``"cuda"`` or ``"scan"``, as
        :func:`~ase_l2h.rollout.backends.choose_backend` has chosen.
    threads
        Cores to use; all when None.

    Returns
    -------
    SearchState
    """
    if backend == "native":
        return native.advance(
            optimizer, potential, system, state, n_steps, threads=threads
        )
    if backend == "cuda":
        # A CUDA state has its arrays on the GPU.
        there = jax.device_put(state)
        moved = cuda.advance(optimizer, potential, system, there, n_steps)
        return jax.tree.map(np.asarray, moved)
    # Hops have their own keys, and the rules of this package draw nothing.
    key = jax.random.key(0)
    step = lambda part, now: compiled_advance(
        optimizer, potential, part, now, key, 0, n_steps
    )
    return _in_chunks(step, system, (state,), state.positions, threads)


def evaluate(
    potential: Potential,
    system: System,
    state: SearchState,
    *,
    backend: str,
    threads: int | None = None,
) -> SearchState:
    """Bring ``energy`` and ``force`` of what is active up to date with ``positions``.

    Each of these is charged one evaluation. Parameters are those of :func:`advance`.
    """
    if backend == "native":
        return native.evaluate(potential, system, state, threads=threads)
    bare = state._replace(inner=None)
    point = lambda part, now: compiled_evaluate(potential, part, now)
    found = _in_chunks(point, system, (bare,), state.positions, threads)
    return found._replace(inner=state.inner)


def energies(
    potential: Potential,
    system: System,
    positions: np.ndarray,
    *,
    backend: str,
    threads: int | None = None,
) -> np.ndarray:
    """Energies of single points, float64 ``(batch,)``, ``+inf`` where not finite.

    Parameters are those of :func:`advance`; ``positions`` are ``(3, n, batch)``.
    """
    positions = np.asarray(positions)
    if positions.dtype != np.float64:
        positions = positions.astype(np.float32)
    points = layout.search_state(positions, None)
    found = evaluate(potential, system, points, backend=backend, threads=threads)
    return np.asarray(found.energy, np.float64)


def _in_chunks(
    function: Callable[..., Any],
    system: System,
    trees: tuple[Any, ...],
    positions: Any,
    threads: int | None = None,
) -> Any:
    """``function(part of the system, *parts of the trees)`` of every chunk, joined.

    Chunks have the same size for every batch. The last one is padded with copies of its
    last structure.
    """
    n, batch = positions.shape[1:]
    size = max(1, min(CHUNK, PAIRS // n**2))
    double = positions.dtype == np.float64

    def cut(leaf: Any, index: np.ndarray) -> Any:
        array = np.asarray(leaf)
        each = array.ndim > 0 and array.shape[-1] == batch
        return np.ascontiguousarray(array[..., index]) if each else array

    def run(first: int) -> Any:
        index = np.minimum(np.arange(first, first + size), batch - 1)
        parts = jax.tree.map(lambda leaf: cut(leaf, index), trees)
        with precision(double):
            found = function(take_batch(system, index), *parts)
        return jax.tree.map(np.asarray, found)

    firsts = range(0, batch, size)
    count = default_threads() if threads is None else threads
    if count == 1 or len(firsts) == 1:
        found = [run(first) for first in firsts]
    else:
        found = list(workers().map(run, firsts))

    def join(*leaves: np.ndarray) -> np.ndarray:
        shape = leaves[0].shape
        if not shape or shape[-1] != size:
            return leaves[0]
        return np.concatenate(leaves, axis=-1)[..., :batch]

    return jax.tree.map(join, *found)
