"""Which part of the method gets the next evaluations: what has paid so far.

A structure that becomes the lowest of a search is worth 1, one that enters it as the
second 1/2, as the third 1/4, and one that is known already nothing. The rate of a part
is its worth divided by its evaluations, both with a decaying memory; the part's first
share is the prior. Some evaluations always follow the first shares, because a part that
leads to another funnel pays late.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["credited", "drawn_parts", "no_credit"]

# The prior: this much worth in this many evaluations.
WORTH, EVALUATIONS = 1.0, 1000.0
# Factor by which worth and evaluations decay with each new structure.
MEMORY = 0.95
# Share of the evaluations that follows the first shares.
STEADY = 0.1
# Assumed cost of a structure before one has been made.
COST = 300.0


def no_credit(count: int) -> np.ndarray:
    """Worth, evaluations and number of structures of each part, ``(count, 3)``."""
    return np.zeros((count, 3))


def drawn_parts(
    credit: np.ndarray,
    shares: Sequence[float],
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """How many of ``count`` structures each part makes.

    Parameters
    ----------
    credit
        See :func:`credited`, ``(parts, 3)``.
    shares
        Shares of the evaluations before anything is known; a part with 0 is never
        drawn.
    count
        Structures in all.
    """
    first = np.asarray(shares, float) / np.sum(shares)
    worth, spent, made = credit.T
    paid = first * (WORTH + worth) / (EVALUATIONS + spent)
    evaluations = (1 - STEADY) * paid / np.sum(paid) + STEADY * first
    chance = evaluations * (1 + made) / (COST + spent)
    return rng.multinomial(count, chance / np.sum(chance))


def credited(
    credit: np.ndarray, parts: np.ndarray, evaluations: np.ndarray, ranks: np.ndarray
) -> np.ndarray:
    """Credit after more structures.

    Parameters
    ----------
    credit
        ``(parts, 3)``.
    parts
        Which part made each structure, ``(k,)``.
    evaluations
        What each has cost, ``(k,)``.
    ranks
        How many lower ones the search holds, -1 of those it does not keep, ``(k,)``.
    """
    after = np.array(credit)
    for part, cost, rank in zip(parts, evaluations, ranks, strict=True):
        gained = 0.5**rank if rank >= 0 else 0.0
        after[part] = MEMORY * after[part] + (gained, cost, 1.0)
    return after
