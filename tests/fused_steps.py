"""Steps of the C++ kernels beside those of ``scan``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ase_l2h.rollout.kernels import layout as fused
from ase_l2h.rollout.kernels import native
from ase_l2h.rollout.scan import compiled_advance, compiled_initialise
from ase_l2h.starts.random import make_starts

KEY = jax.random.key(5)
# Structures, odd in number: the last lanes are empty.
COUNT = 19
# Quick to compile: without optimisation. Three threads share the atoms, as those of a
# block on a GPU do.
THREADS = (1, ("-DTHREADS=3", "-O0"))
# As users have it, in shorter vectors.
LANES = (8, ())


def built(search: tuple, folder: Path, lanes: int, options: tuple[str, ...]) -> Any:
    """The host's ``advance`` in another build."""
    library = native.build(fused.definitions(*search), folder, lanes, options)
    return partial(native.advance, function=native.load(library))


def state_on_the_way(search: tuple, steps: int, count: int = COUNT) -> Any:
    """After some steps of ``scan`` from random starts."""
    optimizer, potential, system = search
    starts = make_starts(system, 4, 0, count).astype(np.float32)
    state = compiled_initialise(optimizer, potential, system, jnp.asarray(starts), KEY)
    return compiled_advance(optimizer, potential, system, state, KEY, 0, steps)


def compare(search: tuple, advance: Any) -> None:
    """One step from the start and from the way, then a few together."""
    for before, steps in ((0, 1), (7, 1), (12, 3)):
        state = state_on_the_way(search, before)
        expected = compiled_advance(*search, state, KEY, before, steps)
        found = advance(*search, state, steps)
        assert np.any(np.asarray(found.positions) != np.asarray(state.positions))
        agree(expected, found, 2e-5 if steps == 1 else 1e-3, f"after {before}")


def agree(expected: Any, found: Any, tolerance: float, where: str) -> None:
    """All arrays of two states, relative to the largest number of each."""
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(expected),
        jax.tree.leaves(found),
        strict=True,
    )
    for (path, a), b in pairs:
        a, b = np.asarray(a), np.asarray(b)
        name = f"{jax.tree_util.keystr(path)} {where}"
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        if not a.size:
            continue
        if path[-1] == jax.tree_util.GetAttrKey("rho"):
            # Reciprocals of sums that nearly cancel.
            np.testing.assert_array_equal(a == 0, b == 0, err_msg=name)
            a, b = (1 / np.where(c == 0, 1, c) for c in (a, b))
        # Collisions of random starts: gradients of 1e5 and energies of 1e12.
        size = np.max(np.abs(a[np.isfinite(a)]), initial=1e-3)
        np.testing.assert_allclose(
            b, a, rtol=50 * tolerance, atol=tolerance * size, err_msg=name
        )
