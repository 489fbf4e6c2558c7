"""Several exchanges of unlike atoms at once, each chosen given those before it.

The cheapest exchange is made first, without evaluation. The costs of the others are
updated by the couplings, that is, by how turning one atom changes the cost of turning
another. Then the next one is chosen, and so on; an atom takes part once. After B. W.
Kernighan and S. Lin, Bell Syst. Tech. J. 49, 291 (1970), who improve graph partitions
in this way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["pair_costs", "sequences_of_exchanges", "unlike_pairs"]


def unlike_pairs(
    species: np.ndarray, movable: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of different species that may both move, the lower index first."""
    unlike = np.triu(species[:, None] != species)
    if movable is not None:
        unlike &= movable[:, None] & movable
    first, second = np.nonzero(unlike)
    return first, second


def pair_costs(
    flips: np.ndarray,
    couplings: np.ndarray | None,
    kind: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
) -> np.ndarray:
    """Costs of exchanges, ``(pairs, batch)``.

    Parameters
    ----------
    flips
        Of turning an atom into an element, ``(n, elements, batch)``.
    couplings
        How turning an atom into an element changes the flips of another, ``(n,
        elements, n, elements, batch)``; None means no coupling.
    kind
        The element of each atom, ``(n,)``, as an index of ``flips``.
    first, second
        The pairs.
    """
    costs = flips[first, kind[second]] + flips[second, kind[first]]
    if couplings is not None:
        there = couplings[first, kind[second], second, kind[first]]
        back = couplings[second, kind[first], first, kind[second]]
        costs = costs + 0.5 * (there + back)
    return costs


def sequences_of_exchanges(
    positions: np.ndarray,
    species: np.ndarray,
    flips: np.ndarray,
    couplings: np.ndarray | None,
    counts: Sequence[int],
    movable: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Structures made by sequences of the best exchanges.

    Parameters
    ----------
    positions, species
        ``(3, n, batch)`` and ``(n,)``.
    flips, couplings
        As for :func:`pair_costs`.
    counts
        Numbers of exchanges, in ascending order; one structure is made for each number
        that the atoms allow. With couplings one more is made, from the number of
        exchanges with the lowest total cost.
    movable
        Atoms that may take part, ``(n,)``; all when None.

    Returns
    -------
    tuple
        ``(3, n, k)``, and the index of each parent in the batch ``(k,)``.
    """
    first, second = unlike_pairs(species, movable)
    if not len(first):
        return positions[..., :0], np.zeros(0, int)
    n, batch = positions.shape[1:]
    _, kind = np.unique(species, return_inverse=True)
    constant = pair_costs(np.zeros_like(flips), couplings, kind, first, second)
    flips, columns = np.array(flips), np.arange(batch)
    free = np.ones((n, batch), bool)
    order = np.repeat(np.arange(n)[:, None], batch, axis=1)
    cost, lowest = np.zeros(batch), np.zeros(batch)
    kept, orders, owners = np.zeros(batch, int), [order[:, :0]], [columns[:0]]
    best = order.copy()
    for done in range(1, counts[-1] + 1):
        costs = pair_costs(flips, None, kind, first, second) + constant
        costs[~(free[first] & free[second])] = np.inf
        chosen = np.argmin(costs, axis=0)
        least = costs[chosen, columns]
        going = np.flatnonzero(np.isfinite(least))
        if not len(going):
            break
        i, j = first[chosen[going]], second[chosen[going]]
        cost[going] += least[going]
        free[i, going] = free[j, going] = False
        order[i, going], order[j, going] = order[j, going], order[i, going]
        if couplings is not None:
            change = (
                couplings[i, kind[j], :, :, going] + couplings[j, kind[i], :, :, going]
            )
            flips[..., going] += np.moveaxis(change, 0, -1)
        fell = going[cost[going] < lowest[going]]
        lowest[fell], kept[fell] = cost[fell], done
        best[:, fell] = order[:, fell]
        if done in counts:
            orders.append(order[:, going])
            owners.append(going)
    if couplings is not None:
        others = np.flatnonzero((kept > 1) & ~np.isin(kept, counts))
        orders.append(best[:, others])
        owners.append(others)
    owner = np.concatenate(owners)
    return positions[:, np.concatenate(orders, axis=1), owner], owner
