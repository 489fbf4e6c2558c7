"""First encounters of a method with a target: means, quantiles, curves, intervals.

Runs that were cut off are right-censored: they say that it takes longer than they
lasted, and are neither left out nor counted as encounters. Runs of all methods are
treated alike.

* Mean: everything that was charged over the number of encounters, the sample's mean
  where all runs have met the target and the maximum-likelihood mean of memoryless
  searches where some were cut off. Its 95 % interval is that of a ratio of sums over
  independent runs, on the scale of logarithms with Student's quantiles: it follows how
  much the runs vary, be they chains or rows of starts, and knows nothing of what no run
  has met. Below 10 encounters it is that of a Poisson process, by chi-squared
  quantiles. (0.1.0 took the latter for all chains, and the share of starts that meet
  the target for rows of starts. Where runs vary more than memoryless ones, as those of
  a mixture of easy and hard ones do, a Poisson interval of 95 % may hold the mean in
  three quarters of cases only; a test has the numbers.)
* Quantiles and curves: E. L. Kaplan and P. Meier, J. Am. Stat. Assoc. 53, 457 (1958),
  with log-log intervals, which assume nothing about the search.
"""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
from scipy.stats import CensoredData, chi2, ecdf
from scipy.stats import t as student

__all__ = ["Curve", "Encounters", "Estimate"]

# Encounters from which on their scatter says how well the mean is known.
SEVERAL = 10


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
        if hits >= SEVERAL:
            mean, count = total / hits, self.found.size
            scatter = np.sum((self.evaluations - mean * self.found) ** 2)
            error = math.sqrt(scatter * count / (count - 1)) / total
            factor = math.exp(float(student.ppf(0.975, count - 1)) * error)
            return Estimate(mean, mean / factor, mean * factor)
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
