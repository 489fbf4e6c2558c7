"""What ``ase-l2h reproduce`` can make: one line per table or figure of a paper.

Each is made by a function ``(folder, budget, seed, progress) -> str``: it runs what is
missing in its records in ``folder``, writes ``NAME.md``, ``NAME.csv``, ``NAME.png`` and
``NAME.pdf`` from them, and returns what is printed. ``progress(done, of, what)`` is
called before every piece of work and at the end. Functions are imported when they are
called, so that ``--help`` stays quick.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

__all__ = ["BUDGETS", "TABLES_AND_FIGURES", "Make", "Progress", "Reproduction"]

# `part` has the paper's starts and steps on some of its sizes, compositions and
# trainings; what takes no longer than that in full is the same as `paper`.
BUDGETS = ("quick", "part", "paper")

Progress = Callable[[int, int, str], Any]
Make = Callable[..., str]


class Reproduction(NamedTuple):
    """A table or figure of a paper.

    Parameters
    ----------
    paper
        The paper it belongs to.
    where
        The function that makes it, ``"module:function"`` below this package.
    shows
        What it shows.
    budgets
        Those of :data:`BUDGETS` that it has.
    """

    paper: str
    where: str
    shows: str
    budgets: tuple[str, ...] = BUDGETS

    def load(self) -> Make:
        """The function that makes it."""
        module, _, function = self.where.partition(":")
        return getattr(import_module(f"{__package__}.{module}"), function)


def _learn2hop(where: str, shows: str) -> Reproduction:
    return Reproduction("Learn2Hop", f"learn2hop.{where}", shows)


def _action(where: str, shows: str) -> Reproduction:
    budgets = tuple(name for name in BUDGETS if name != "part")
    return Reproduction("action", f"action.{where}", shows, budgets)


# `reproduce all` makes those of the first paper; those of the paper "action" take a
# dimension too.
TABLES_AND_FIGURES: dict[str, Reproduction] = {
    "table2": _learn2hop(
        "table2:reproduce", "energies and hits on LJ13, LJ75, Au55 and Si64"
    ),
    "table3": _learn2hop(
        "table3:reproduce", "what the inputs of the paper's rule are worth"
    ),
    "table6": _learn2hop("table6:reproduce", "transfer between potentials"),
    "fig3": _learn2hop("fig3:reproduce", "training by ES, ESMC and GA"),
    "fig4": _learn2hop("sizes:fig4", "energies against the number of atoms"),
    "fig5": _learn2hop(
        "fig5:reproduce", "distributions of the minima of LJ13 and LJ75"
    ),
    "fig6": _learn2hop("fig6:reproduce", "traces, hops, frozen minima, orientations"),
    "fig7": _learn2hop(
        "fig7:reproduce", "excess energies of Ag-Au and Pd-Pt clusters of 38 atoms"
    ),
    "fig8": _learn2hop("sizes:fig8", "energies by training set"),
    "action-table1": _action(
        "functions:table1", "Schaffer F7 by every method, original and shifted"
    ),
    "action-table2": _action(
        "functions:table2", "Alpine-1 by every method, original and shifted"
    ),
    "action-fig2": _action(
        "functions:fig2", "the learned minimum of Alpine-1 in the course of a run"
    ),
    "action-fig3": _action(
        "functions:fig3", "the learned minimum of Schaffer F7 in the course of a run"
    ),
    "action-fig4": _action(
        "functions:fig4", "the loss along the paths in the course of a run"
    ),
    "binary-lj": _action(
        "atoms:binary_lj", "the binary Lennard-Jones glass of 100 atoms"
    ),
}
