"""What a terminal shows of a search: a bar, and a line whenever the energy falls."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from ase_l2h._internal.progress import progress_bar
from ase_l2h.search.problem import HIT

if TYPE_CHECKING:
    from ase_l2h.cli.target import SearchTarget

__all__ = ["Watching"]


class Watching:
    """The progress of a search on standard error, where that is a terminal.

    Parameters
    ----------
    target
        What is searched.
    method
        Its name.
    total
        Evaluations that all searches may spend, None without a limit.
    enabled
        Whether anybody wants to see it.
    """

    def __init__(
        self, target: SearchTarget, method: str, total: int | None, enabled: bool
    ) -> None:
        self._target, self._lowest = target, math.inf
        self._lock = threading.Lock()
        self._bar = progress_bar(target.name, total, " evaluations", enabled)
        potential = ":".join(filter(None, (target.family, target.parameters)))
        begun = (
            f"{target.name}: {target.problem.n_atoms} atoms, {potential}, by {method}"
        )
        reference = target.problem.reference
        if reference is not None:
            begun += f"; the lowest published minimum is {self._said(reference)}"
        self._tell(begun)

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def charged(self, count: int) -> None:
        """Count evaluations; several searches are several threads."""
        with self._lock:
            self._bar.update(count)

    def after_round(self, run: Any) -> None:
        """Show what a :class:`~ase_l2h.search.method.SearchRun` has found."""
        near = HIT * self._target.problem.energy_unit
        if run.energy < self._lowest - near:
            self._lowest = run.energy
            best = self._said(run.energy)
            self._bar.set_postfix_str(f"best {best}", refresh=False)
            reference = self._target.problem.reference
            equal = reference is not None and abs(run.energy - reference) <= near
            note = ", the lowest published" if equal else ""
            self._tell(f"{run.charged:>12,} evaluations: {best}{note}")
        # More than was counted here where a folder goes on.
        self.charged(run.charged - int(self._bar.n))

    def _said(self, energy: float) -> str:
        return f"{energy:.6f} {self._target.unit}"

    def _tell(self, line: str) -> None:
        if not self._bar.disable:
            # To where the bar is, which moves on below.
            self._bar.write(line, file=self._bar.fp)
