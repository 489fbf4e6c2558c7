"""First encounters of a method with a target: means, quantiles, curves, intervals.

Runs that were cut off are right-censored: they say that it takes longer than they
lasted, and are neither left out nor counted as encounters.

* Mean: everything that was charged over the number of encounters, the
  maximum-likelihood mean of memoryless searches. Its 95 % interval is exact: for
  restarted methods Clopper and Pearson's of the share of starts that meet the target,
  times the mean charge of a start; for chains that of a Poisson process, by
  chi-squared quantiles.
* Quantiles and curves: E. L. Kaplan and P. Meier, J. Am. Stat. Assoc. 53, 457 (1958),
  with log-log intervals, which assume nothing about the search.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence

import numpy as np
from scipy.stats import CensoredData, binomtest, chi2, ecdf

from ase_l2h._internal.records import Lines
from ase_l2h.comparison.protocol import Contender, Goal, Protocol, lines_of
from ase_l2h.comparison.protocol import runs_of_starts as rows_of_starts

__all__ = ["Curve", "Encounters", "Estimate", "encounters_of"]


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
        Whether each run met the target, and what it was charged.
    starts
        Starts of each run; None for chains.
    seconds_per_evaluation
        Wall time over charged evaluations with the runs side by side, without what was
        compiled; NaN where nothing was run.
    compile_seconds
        Wall time of tracing and compiling until the first block was done.
    lowest
        The lowest energy seen.
    """

    found: np.ndarray
    evaluations: np.ndarray
    starts: np.ndarray | None
    seconds_per_evaluation: float
    compile_seconds: float
    lowest: float

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
        if self.starts is None:
            low = 2 * total / chi2.ppf(0.975, 2 * hits + 2)
            high = 2 * total / chi2.ppf(0.025, 2 * hits) if hits else math.inf
        else:
            starts = int(np.sum(self.starts))
            share = binomtest(hits, starts).proportion_ci(0.95, method="exact")
            charge = total / starts
            low = charge / share.high
            high = charge / share.low if hits else math.inf
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


def encounters_of(
    protocol: Protocol, lines: Lines, aim: Goal, method: Contender
) -> Encounters | None:
    """The runs of a method on a target from its record; None where it has none."""
    mine = lines_of(protocol, lines, aim, method)
    if not mine:
        return None
    found: Sequence[bool] = [f for line in mine for f in line["found"]]
    charges: Sequence[int] = [e for line in mine for e in line["evaluations"]]
    starts: np.ndarray | None = None
    if method.steps is None:
        met, spent = np.array(found, bool), np.array(charges, int)
    else:
        met, spent, starts = rows_of_starts(
            found, charges, protocol.budget, method.rules
        )
        starts = starts[: protocol.runs]
    met, spent = met[: protocol.runs], spent[: protocol.runs]
    if met.size == 0:
        return None
    net = sum(line["wall_seconds"] - line["compile_seconds"] for line in mine)
    energies = [e for line in mine for e in line["energies"] if e is not None]
    return Encounters(
        found=met,
        evaluations=spent,
        starts=starts,
        seconds_per_evaluation=net / sum(charges),
        compile_seconds=mine[0]["compile_seconds"],
        lowest=min(energies, default=math.inf),
    )
