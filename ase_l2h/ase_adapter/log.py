"""The lines that Learn2Hop adds to the log of an ASE optimizer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from ase_l2h.analysis.gaps import widest_gap
from ase_l2h.ase_adapter.session import SearchSession

__all__ = ["SearchLog"]

logger = logging.getLogger(__name__)


class SearchLog:
    """A line of columns for every fall of the lowest energy, and a summary.

    Parameters
    ----------
    name
        Before every line.
    session
        The search to report on.
    write
        Takes text.
    """

    def __init__(
        self, name: str, session: SearchSession, write: Callable[[str], object]
    ) -> None:
        self.name, self.session, self.write = name, session, write
        self._said_slow = False

    def header(self) -> None:
        """Names of the columns: those of ASE, lowest energy, charged evaluations."""
        self.write(
            f"{'':{len(self.name)}}  {'Step':>4} {'Time':>8} {'Energy':>15}  "
            f"{'fmax':>12} {'best':>17} {'evaluations':>12}\n"
        )

    def step(self, number: int, energy: float, fmax: float) -> None:
        """One line if the lowest energy has fallen since the last line."""
        best = self.session.found.fallen()
        if best is None:
            return
        self.write(
            f"{self.name}:  {number:3d} {time.strftime('%H:%M:%S')} {energy:15.6f} "
            f"{fmax:15.6f} {best:15.6f} {self.session.charged_evaluations:12d}\n"
        )

    def calls(self, horizon: int | None) -> None:
        """Say once that an unknown calculator is called for every evaluation."""
        placed = self.session.placed
        if placed.kind == "kernel" or self._said_slow:
            return
        self._said_slow = True
        problem = placed.posed.problem
        steps = "" if horizon is None else f", {horizon} steps a start"
        note = (
            f"no kernel for {type(placed.atoms.calc).__name__}, so each evaluation "
            f"is one call{steps}; length scale {problem.length:.4g}, energy scale "
            f"{problem.energy_unit:.4g}"
        )
        if problem.periods is not None:
            note += "; a cluster in a periodic cell"
        logger.info("%s", note)
        self.say(note)

    def summary(self, method: str, backend: str, ended: str | None) -> None:
        """A summary: what was found, the cost, and why the search ended."""
        found = self.session.found
        count, best, relaxed = len(found.minima), found.best, found.lowest_relaxed()
        near = relaxed is not None and relaxed.energy <= best.energy + found.significant
        self.say(
            f"{count} {'minimum' if count == 1 else 'minima'}, lowest "
            f"{best.energy:.6f}{'' if near else ' (not relaxed)'}, "
            f"{self.session.charged_evaluations:,} "
            f"evaluations, method {method}, backend {backend}, ended by {ended}"
        )
        gap = self._gap(best.positions)
        if gap is not None:
            self.say(
                f"the lowest structure has separate parts, {gap:.4g} apart: a longer "
                "search may join them"
            )
        run = self.session.run
        if run is not None and run.confidence.attempts:
            self.say(f"how sure: {run.confidence}")

    def _gap(self, positions: np.ndarray) -> float | None:
        """Between separate parts of ``(n, 3)``, where they are free atoms."""
        problem = self.session.placed.posed.problem
        loose = problem.system.recentred and problem.molecules is None
        return widest_gap(positions) if loose else None

    def say(self, text: str) -> None:
        """Write a line."""
        self.write(f"{self.name}: {text}\n")
