"""Regression in boxes that shrink around the learned minimum.

A function with one minimum is fitted to U at uniform samples of a box, then again in a
smaller box around the minimum that was learned, and so on. The residuals of a fit are
noise for its minimum; in rough landscapes they shrink with the box. A trend that is not
symmetric in the box pulls the minimum of the fit towards the middle, by less in every
box. No box uses the true minimum: the first centre is a random point, the later ones
are learned minima.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h._internal.stopping import Stop
from ase_l2h.errors import InputError
from ase_l2h.landscapes.minimise import ActionResult, minimise
from ase_l2h.landscapes.settings import ActionSettings, check_least, check_positive

__all__ = ["Box", "BoxSettings", "minimise_in_boxes"]


@dataclasses.dataclass(frozen=True)
class BoxSettings:
    """How the boxes follow each other.

    Parameters
    ----------
    boxes
        How many there are, the whole one included.
    shrink
        Edge of each in units of the one before.
    first_share
        Evaluations in the first, in units of those in each of the others.
    """

    boxes: int = 16
    shrink: float = 0.7
    first_share: float = 3.0

    def __post_init__(self) -> None:
        check_least(self, boxes=1)
        if not 0 < self.shrink < 1:
            raise InputError(f"shrink is {self.shrink}; give a number between 0 and 1")
        check_positive(self, "first_share")

    def budgets(self, budget: int) -> list[int]:
        """Evaluations in every box; the last gets the remainder."""
        share = budget / (self.boxes - 1 + self.first_share)
        later = [int(share)] * (self.boxes - 1)
        first = int(share * self.first_share)
        budgets = [first, *later]
        budgets[-1] += budget - sum(budgets)
        return budgets


@pytree_dataclass
class Box:
    """A landscape around ``centre``, in a box ``edge`` times as long."""

    landscape: Any
    centre: Float[Array | np.ndarray, " d"]
    edge: Float[Array | np.ndarray, ""]

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return self.landscape.dimension

    @property
    def bound(self) -> Any:
        """Half the edge of the box."""
        return self.landscape.bound * self.edge

    def energy(self, points: Float[Array, "d *batch"]) -> Float[Array, "*batch"]:
        """Value of points relative to the centre."""
        column = jnp.asarray(self.centre).reshape((-1,) + (1,) * (points.ndim - 1))
        return self.landscape.energy(points + column)


def minimise_in_boxes(
    landscape: Any,
    settings: ActionSettings | None = None,
    boxes: BoxSettings | None = None,
    *,
    folder: Path | None = None,
    measure: Callable[[np.ndarray], dict[str, Any]] | None = None,
    quiet: bool = False,
    stop: Stop | None = None,
) -> ActionResult:
    """Minimise a landscape in boxes that shrink around the learned minimum.

    Parameters
    ----------
    landscape
        What to minimise.
    settings
        Of the run in each box, the budget being that of all together; None: random
        samples only, which pay more than paths here. Looks are shared by the boxes.
    boxes
        How they follow each other; the defaults when None.
    folder
        Has a folder for every box, from which a run is continued.
    measure, quiet, stop
        As in :func:`~ase_l2h.landscapes.minimise.minimise`.

    Returns
    -------
    ActionResult
        Of the last box; point, energy, charges and records are those of all, and
        records name the ``box``.

    Raises
    ------
    InputError
        When the folder holds another run, or a box has too few evaluations.
    """
    settings = ActionSettings(warm=1.0) if settings is None else settings
    boxes = BoxSettings() if boxes is None else boxes
    centre = np.zeros(landscape.dimension, np.float32)
    best, energy = centre, np.inf
    charged, records = 0, []
    result = None
    for number, budget in enumerate(boxes.budgets(settings.budget)):
        edge = np.asarray(boxes.shrink**number, np.float32)
        result = minimise(
            Box(landscape, centre, edge),
            dataclasses.replace(
                settings,
                budget=budget,
                looks=-(-settings.looks // boxes.boxes),
                # Boxes of runs with neighbouring seeds must not share seeds.
                seed=(settings.seed + 7919 * number) % 2**32,
            ),
            first=None if number == 0 else np.zeros_like(centre),
            folder=None if folder is None else folder / f"box-{number:02d}",
            measure=None if measure is None else _around(centre, measure),
            quiet=quiet,
            stop=stop,
        )
        for line in result.records:
            total = charged + line["charged_evaluations"]
            records.append({**line, "box": number, "charged_evaluations": total})
        charged += result.charged_evaluations
        if result.energy < energy:
            best, energy = centre + result.point, result.energy
        centre = centre + result.minimum
    assert result is not None, "there is at least one box"
    return dataclasses.replace(
        result,
        point=best,
        energy=energy,
        charged_evaluations=charged,
        records=records,
        minimum=centre,
    )


def _around(
    centre: np.ndarray, measure: Callable[[np.ndarray], dict[str, Any]]
) -> Callable[[np.ndarray], dict[str, Any]]:
    return lambda point: measure(centre + point)
