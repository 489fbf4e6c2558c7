"""Requests of searches to an engine, and the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ase_l2h.optimizers import Optimizer, SearchState
from ase_l2h.search.problem import Problem

__all__ = [
    "Advance",
    "Begin",
    "Points",
    "Relaxed",
    "Request",
    "Spread",
    "Submit",
    "joined",
    "joined_states",
    "random_keys",
]


class Begin(NamedTuple):
    """States of an optimizer before its first evaluation; costs nothing.

    Separate parts of clusters are brought together, unless ``as_they_are``: what has
    been evaluated already begins there.
    """

    problem: Problem
    optimizer: Optimizer
    positions: np.ndarray
    keys: np.ndarray
    as_they_are: bool = False


class Advance(NamedTuple):
    """At most ``n_steps`` evaluations for each active structure of ``state``.

    ``spare`` more may be charged where a call has to be repeated.
    """

    problem: Problem
    optimizer: Optimizer
    state: SearchState
    n_steps: int
    spare: int | float = 0


class Spread(NamedTuple):
    """Positions ``(3, n, batch)`` moved apart until no atoms overlap; costs nothing."""

    problem: Problem
    positions: np.ndarray


class Points(NamedTuple):
    """Energies at ``positions`` ``(3, n, batch)``.

    ``species`` ``(n, batch)`` if they differ from the problem's.
    """

    problem: Problem
    positions: np.ndarray
    species: np.ndarray | None


Request = Begin | Advance | Spread | Points
Submit = Callable[[Request], Any]


class Relaxed(NamedTuple):
    """Structures after a relaxation, the batch last.

    ``energy`` is ``+inf`` where there is no finite one; ``converged`` whether forces
    ended below what was asked for; ``evaluations`` what each was charged.
    """

    positions: np.ndarray
    energy: np.ndarray
    converged: np.ndarray
    evaluations: np.ndarray

    @classmethod
    def none(cls, n_atoms: int) -> Relaxed:
        """No structures at all."""
        count = np.zeros(0)
        return cls(
            np.zeros((3, n_atoms, 0)), count, count.astype(bool), count.astype(int)
        )

    def take(self, index: Any) -> Relaxed:
        """Some of them."""
        return Relaxed(*(array[..., index] for array in self))

    def put(self, index: Any, part: Relaxed) -> Relaxed:
        """The same with ``part`` in the place of some of them."""
        arrays = [
            np.array(array, own.dtype) for array, own in zip(self, part, strict=True)
        ]
        for array, own in zip(arrays, part, strict=True):
            array[..., index] = own
        return Relaxed(*arrays)


def joined(parts: list[Relaxed]) -> Relaxed:
    """Several batches as one."""
    return Relaxed(
        *(np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True))
    )


def random_keys(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random keys of ``count`` structures, uint32 ``(2, count)``."""
    return rng.integers(0, 2**32, size=(2, count), dtype=np.uint32)


def joined_states(states: list[SearchState]) -> SearchState:
    """States of several batches as one; leaves without a batch axis are the first's."""

    def join(*leaves: Any) -> Any:
        if np.ndim(leaves[0]) == 0:
            return leaves[0]
        return np.concatenate(leaves, axis=-1)

    return jax.tree.map(join, *states)
