"""Runs of record lines, and how their mean is written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ase_l2h.comparison.encounters import Encounters, Estimate
from ase_l2h.comparison.report import significant

__all__ = ["encounters", "interval"]


def encounters(line: dict[str, Any]) -> Encounters:
    """The runs of a line."""
    return Encounters(
        np.array(line["found"], bool),
        np.array(line["evaluations"]),
        line["seconds_per_evaluation"] or math.nan,
    )


def interval(mean: Estimate) -> str:
    """A mean with its interval; a lower bound where nothing was met."""
    if not math.isfinite(mean.value):
        return f"above {significant(mean.low)}"
    low, high = significant(mean.low), significant(mean.high)
    return f"{significant(mean.value)} ({low}-{high})"
