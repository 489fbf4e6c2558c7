"""What a search has found."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_l2h.analysis.gaps import widest_gap
from ase_l2h.search.attempts import Confidence
from ase_l2h.search.ledger import Ledger
from ase_l2h.search.minima import Minimum, distinct_minima
from ase_l2h.search.problem import Problem

__all__ = ["SearchResult", "Trace", "result_of"]

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Trace:
    """One search: its charge, its lowest energy, why it ended.

    ``course`` has a pair (charged evaluations, lowest energy) for every fall.
    """

    charged: int
    energy: float
    stopped: str
    course: tuple[tuple[int, float], ...]


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """Outcome of one or more searches of a problem.

    Parameters
    ----------
    problem
        What was searched.
    method, settings, backend
        How, and what ran.
    seed
        Everything random follows from it.
    minima
        Distinct relaxed minima of all searches, lowest first.
    searches
        One entry per search.
    stopped
        ``"done"``, ``"settled"``, ``"evaluations"``, ``"target"``, ``"time"``,
        ``"interrupted"``, or ``"failed"`` where too many calls of a calculator in a row
        have failed.
    confidence
        How often independent attempts met the lowest minimum; ``str`` of it says so.
    wall_seconds
        Of all searches together.
    states
        Of the method in the end, one per search.
    failed_calls
        Of a calculator; each has cost a structure at most.
    trouble
        Why calls were given up, or why there is no minimum, a sentence; else None.
    """

    problem: Problem
    method: str
    settings: dict[str, Any]
    backend: str
    seed: int
    minima: list[Minimum]
    searches: list[Trace]
    stopped: str
    wall_seconds: float
    confidence: Confidence
    states: list[Any] = dataclasses.field(repr=False)
    failed_calls: int = 0
    trouble: str | None = None

    @property
    def best(self) -> Minimum | None:
        """The lowest minimum; None where nothing had a finite energy."""
        return self.minima[0] if self.minima else None

    @property
    def best_energy(self) -> float:
        """Energy of the lowest minimum; ``inf`` where there is none."""
        return self.minima[0].energy if self.minima else math.inf

    @property
    def gap(self) -> float | None:
        """Distance between separate parts of the best structure; None without any.

        Only for free clusters of atoms, not of molecules: see
        :func:`~ase_l2h.analysis.gaps.widest_gap`.
        """
        loose = self.problem.system.recentred and self.problem.molecules is None
        return widest_gap(self.best.positions) if self.best and loose else None

    @property
    def charged_evaluations(self) -> int:
        """Charged evaluations of all searches."""
        return sum(search.charged for search in self.searches)


def result_of(
    problem: Problem,
    traces: list[Trace],
    found: Sequence[tuple[int, Ledger, np.ndarray, np.ndarray]],
    *,
    seconds: float,
    seed: int = 0,
    **facts: Any,
) -> SearchResult:
    """Join the results of searches: number, ledger, energies and positions of each."""
    energies, positions, owners, unrelaxed = [], [], [], []
    for k, ledger, values, places in found:
        energies.append(np.asarray(values, float))
        positions.append(np.asarray(places, float))
        owners.append(np.full(len(values), k))
        if ledger.positions is None:
            continue
        if ledger.relaxed:
            if np.any(np.asarray(values) == ledger.energy):
                # The method has it as well.
                continue
            energies.append(np.array([ledger.energy]))
            positions.append(ledger.positions[..., None])
            owners.append(np.array([k]))
        else:
            structure = np.array(ledger.positions, float).T
            unrelaxed.append(Minimum(ledger.energy, structure, first=k, relaxed=False))
    owner = np.concatenate(owners)
    minima = [
        dataclasses.replace(minimum, first=int(owner[minimum.first]))
        for minimum in distinct_minima(
            np.concatenate(energies),
            np.concatenate(positions, axis=-1),
            problem.system,
        )
    ]
    if not minima:
        minima = sorted(unrelaxed, key=lambda minimum: minimum.energy)[:1]
    charged = sum(trace.charged for trace in traces)
    # What was cut short may just not have relaxed anything.
    ended = facts.get("stopped") not in ("interrupted", "time", "running")
    if not minima and charged and ended and facts.get("trouble") is None:
        facts["trouble"] = (
            f"none of {charged:,} evaluations gave a finite energy; check the energy "
            "and its derivative"
        )
        logger.warning("%s", facts["trouble"])
    return SearchResult(
        problem=problem,
        seed=seed,
        minima=minima,
        searches=traces,
        wall_seconds=seconds,
        **facts,
    )
