"""Statistics of hit rates and of their course."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["running_mean", "wilson_interval"]

Z95 = 1.959963984540054


def wilson_interval(hits: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Wilson score interval of a proportion, 95 % unless ``z`` says otherwise.

    Roots of ``(p - hits/trials)^2 = z^2 p (1 - p) / trials``: sensible at 0 and at
    ``trials`` hits, where the textbook interval has no width.

    E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).

    Raises
    ------
    ValueError
        Unless ``0 <= hits <= trials`` and there is a trial.
    """
    if not 0 <= hits <= trials or trials < 1:
        raise ValueError(f"{hits} hits of {trials} trials is not a proportion")
    share, spread = hits / trials, z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    low, high = centre - half, centre + half
    # Exact at the ends, where rounding would leave 1e-17.
    return (0.0 if hits == 0 else low), (1.0 if hits == trials else high)


def running_mean(values: Sequence[float] | np.ndarray, width: int) -> np.ndarray:
    """Means of the last ``width`` values, or of as many as there are, one for each."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(sums))
    begins = np.maximum(0, ends - width)
    return (sums[ends] - sums[begins]) / (ends - begins)
