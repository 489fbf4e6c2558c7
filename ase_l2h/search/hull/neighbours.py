"""Which structures a composition receives from other compositions of a hull."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["visitors_of"]

# By how many atoms of one element neighbouring compositions differ.
STEPS = (-2, -1, 1, 2)
# How many structures of arbitrary compositions are sent as well, at most.
STRANGERS = 3
# How often a structure is sent: which of its atoms change element is partly random.
VISITS = 2


def visitors_of(
    composition: int,
    pools: Mapping[int, Mapping[str, np.ndarray]],
    species: Mapping[int, np.ndarray],
    lengths: Mapping[int, float],
    rng: np.random.Generator,
    known: np.ndarray,
) -> dict[str, Any]:
    """Structures of other compositions that may help this one.

    Of each neighbour the two lowest and one that leads another motif class; and a few
    of anywhere. None comes more than twice: what it leads to is known then.

    Parameters
    ----------
    composition
        Of the one they come to.
    pools
        Arrays of every composition's pool, see
        :meth:`~ase_l2h.search.auto.pool.Pool.to_arrays`.
    species, lengths
        Species ``(n,)`` and bond length of every composition.
    known
        Energies of those that came before, each as often as it came.

    Returns
    -------
    dict
        ``positions`` ``(3, n, k)``, ``species`` ``(n, k)``, ``energies`` and
        ``lengths`` ``(k,)``.
    """
    chosen: list[tuple[int, int]] = []
    for other in (composition + step for step in STEPS):
        if other in pools:
            new = _new(pools[other], known)
            chosen += [(other, k) for k in _leaders(pools[other], rng) if new[k]]
    everyone = [
        (m, int(k))
        for m, pool in pools.items()
        if m != composition
        for k in np.flatnonzero(_new(pool, known))
        if (m, k) not in chosen
    ]
    count = min(STRANGERS, len(everyone))
    picks = rng.choice(len(everyone), count, replace=False) if count else []
    chosen += [everyone[int(k)] for k in picks]
    n = len(next(iter(species.values())))
    if not chosen:
        return {
            "positions": np.zeros((3, n, 0)),
            "species": np.zeros((n, 0), int),
            "energies": np.zeros(0),
            "lengths": np.zeros(0),
        }
    return {
        "positions": np.stack(
            [pools[m]["positions"][..., k] for m, k in chosen], axis=-1
        ),
        "species": np.stack([species[m] for m, _ in chosen], axis=-1),
        "energies": np.array([pools[m]["energies"][k] for m, k in chosen]),
        "lengths": np.array([lengths[m] for m, _ in chosen]),
    }


def _new(pool: Mapping[str, np.ndarray], known: np.ndarray) -> np.ndarray:
    """Which structures of a pool may still be sent, mask ``(k,)``."""
    return np.sum(pool["energies"][:, None] == known, axis=1) < VISITS


def _leaders(pool: Mapping[str, np.ndarray], rng: np.random.Generator) -> list[int]:
    """The two lowest of a pool, and the lowest of another motif class."""
    count = len(pool["energies"])
    if count == 0:
        return []
    _, first = np.unique(pool["motifs"], return_index=True)
    others = [int(k) for k in first if k > 1]
    picked = [others[int(rng.integers(len(others)))]] if others else []
    return [*range(min(2, count)), *picked]
