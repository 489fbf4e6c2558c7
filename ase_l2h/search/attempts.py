"""How sure a lowest minimum is: independent attempts, and how many met it.

An attempt begins anew and knows nothing of the others: a start of a multistart, a chain
of basin hopping, a new population. Each finds the lowest minimum with some probability.
If k of k attempts end in the same minimum, this probability is likely to be high,
unless all of them are misled in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = [
    "Attempts",
    "Confidence",
    "confidence_of",
    "no_attempts",
    "unknown_confidence",
]


class Attempts(NamedTuple):
    """Attempts that have ended: lowest energy and evaluations of each, ``(k,)``."""

    energies: np.ndarray
    evaluations: np.ndarray


def no_attempts() -> Attempts:
    """No attempt has ended."""
    return Attempts(np.zeros(0), np.zeros(0, int))


class Confidence(NamedTuple):
    """How often the lowest minimum was met.

    Of the ``attempts`` that have ended, ``met`` met it. ``evaluations`` is the mean
    number per attempt. ``settled`` is True if at least ``wanted`` attempts met it, and
    ``wanted`` is above 0.
    """

    met: int
    attempts: int
    evaluations: float
    wanted: int

    @property
    def settled(self) -> bool:
        """Whether enough attempts met the lowest minimum."""
        return 0 < self.wanted <= self.met

    def __str__(self) -> str:
        if self.attempts == 0:
            return "not known: no independent attempt has ended"
        each = f"{round(self.evaluations):,} evaluations"
        alone = self.attempts == 1
        noun = "attempt" if alone else "independent attempts"
        counted = f"met by {self.met} of {self.attempts} {noun} of {each}"
        if self.met == 0:
            none = "the one attempt" if alone else f"none of the {self.attempts} {noun}"
            counted = (
                f"{none} of {each} {'did not end' if alone else 'ended'} in this "
                "minimum. It was given, or an attempt that has not ended yet found it"
            )
        # With `wanted` 0 there is nothing to settle.
        unsettled = self.wanted > 0 and not self.settled
        return f"not settled: {counted}" if unsettled else counted


def unknown_confidence() -> Confidence:
    """The confidence before anything has run."""
    return Confidence(0, 0, 0.0, 0)


def confidence_of(
    parts: Sequence[Attempts], energy: float, tolerance: float, wanted: int
) -> Confidence:
    """How sure an energy is, from the attempts of all searches.

    Parameters
    ----------
    parts
        Of each search.
    energy
        The lowest minimum that is known.
    tolerance
        Energies that differ by less are those of one minimum.
    wanted
        Attempts that must have met it; 0 is never settled.
    """
    energies = np.concatenate([part.energies for part in parts])
    evaluations = np.concatenate([part.evaluations for part in parts])
    # Attempts that found nothing have an infinite energy.
    low = np.isfinite(energies) & (energies <= energy + tolerance)
    met = int(np.count_nonzero(low))
    mean = float(np.mean(evaluations)) if len(evaluations) else 0.0
    return Confidence(met, len(energies), mean, wanted)
