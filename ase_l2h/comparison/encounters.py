"""First encounters of a method with a target: means, quantiles, curves, intervals.

Runs that were cut off are right-censored: they say that it takes longer than they
lasted, and are neither left out nor counted as encounters. Runs of all methods are
treated alike.

* Mean: everything that was charged over the number of encounters, the
  maximum-likelihood mean of memoryless searches. Its 95 % interval is that of a Poisson
  process, by chi-squared quantiles. It is too wide for methods whose runs vary less
  than memoryless ones, such as those of which nearly every start meets the target
  (0.1.0 gave those the narrower interval of their share of starts), and too narrow
  for those that vary more.
* Quantiles and curves: E. L. Kaplan and P. Meier, J. Am. Stat. Assoc. 53, 457 (1958),
  with log-log intervals, which assume nothing about the search.
"""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
from scipy.stats import CensoredData, chi2, ecdf

__all__ = ["Curve", "Encounters", "Estimate"]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; infinite where nothing bounds it."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        """In another unit."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


@dataclasses.dataclass(frozen=True)
class Curve:
    """Share of runs that have met the target by then, with its 95 % band."""

    evaluations: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True)
class Encounters:
    """The runs of a method on a target.

    Parameters
    ----------
    found, evaluations
        Whether each run met the target, and what it was charged, ``(runs,)``.
    seconds_per_evaluation
        Wall time over charged evaluations with the runs side by side, without what was
        compiled; NaN where nobody knows.
    compile_seconds
        Wall time of tracing and compiling.
    lowest
        The lowest energy seen.
    backends
        What ran the evaluations.
    """

    found: np.ndarray
    evaluations: np.ndarray
    seconds_per_evaluation: float = math.nan
    compile_seconds: float = math.nan
    lowest: float = math.inf
    backends: tuple[str, ...] = ()

    @property
    def hits(self) -> int:
        """Runs that met the target."""
        return int(np.sum(self.found))

    @property
    def mean(self) -> Estimate:
        """Mean charged evaluations to the first encounter.

        Infinite, with a lower bound, when no run met the target.
        """
        total, hits = float(np.sum(self.evaluations)), self.hits
        low = 2 * total / chi2.ppf(0.975, 2 * hits + 2)
        high = 2 * total / chi2.ppf(0.025, 2 * hits) if hits else math.inf
        return Estimate(total / hits if hits else math.inf, float(low), float(high))

    def quantile(self, share: float) -> Estimate:
        """Evaluations by which ``share`` of the runs have met the target.

        Infinite where the runs were cut off before.
        """
        curve = self.curve()

        def first(values: np.ndarray) -> float:
            reached = np.flatnonzero(values >= share - 1e-12)
            return float(curve.evaluations[reached[0]]) if reached.size else math.inf

        return Estimate(first(curve.share), first(curve.high), first(curve.low))

    def curve(self) -> Curve:
        """Kaplan and Meier's estimate at every encounter."""
        if not self.hits:
            nothing = np.zeros(0)
            return Curve(nothing, nothing, nothing, nothing)
        sample = CensoredData(
            uncensored=self.evaluations[self.found],
            right=self.evaluations[~self.found],
        )
        met = ecdf(sample).cdf
        with warnings.catch_warnings():
            # Where no run is left; there the lower bound stays what it was.
            undefined = "The confidence interval is undefined"
            warnings.filterwarnings("ignore", undefined, RuntimeWarning)
            band = met.confidence_interval(0.95, method="log-log")
        share = np.asarray(met.probabilities, float)
        low = np.nan_to_num(np.asarray(band.low.probabilities, float), nan=0.0)
        low = np.maximum.accumulate(low)
        high = np.nan_to_num(np.asarray(band.high.probabilities, float), nan=1.0)
        return Curve(np.asarray(met.quantiles, float), share, low, high)
