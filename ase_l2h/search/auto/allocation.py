"""Which part of the method gets the next evaluations: what has paid so far.

A structure that becomes the lowest of a search is worth 1, one that enters it as the
second 1/2, as the third 1/4, and one that is known already nothing. The rate of a part
is its worth over its evaluations, both forgotten by and by, with the part's first share
as what is believed before anything has happened. Some evaluations are given by first
shares whatever has paid, because what leads to another funnel pays late.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["credited", "drawn_parts", "no_credit"]

# What is believed before: so much worth in so many evaluations.
WORTH, EVALUATIONS = 1.0, 1000.0
# Part of the worth and of the evaluations that is left after one more structure.
MEMORY = 0.95
# Share of the evaluations that is not given by what has paid.
STEADY = 0.1
# Evaluations that a structure is taken to cost before one has been made.
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
    """How many structures each part makes, of ``count``.

    Parameters
    ----------
    credit
        See :func:`credited`, ``(parts, 3)``.
    shares
        Of the evaluations, before anything is known; 0 is never drawn.
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
