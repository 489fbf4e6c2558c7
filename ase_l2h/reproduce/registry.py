"""What ``ase-l2h reproduce`` can make: one line per exhibit.

An exhibit is a function ``(folder, budget, seed, progress) -> str``: it runs what is
missing in its records in ``folder``, writes ``NAME.md``, ``NAME.csv``, ``NAME.png`` and
``NAME.pdf`` from them, and returns what is printed. ``progress(done, of, what)`` is
called after every piece of work. Functions are imported when they are called, so that
``--help`` stays quick.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

__all__ = ["BUDGETS", "EXHIBITS", "Exhibit", "Make", "Progress"]

BUDGETS = ("quick", "paper")

Progress = Callable[[int, int, str], Any]
Make = Callable[..., str]


class Exhibit(NamedTuple):
    """An exhibit: ``paper`` it belongs to, ``where`` it is made, what it ``shows``.

    ``where`` is ``"module:function"``.
    """

    paper: str
    where: str
    shows: str

    def load(self) -> Make:
        """The function that makes it."""
        module, _, function = self.where.partition(":")
        return getattr(import_module(module), function)


HERE = "ase_l2h.reproduce"

# `reproduce all` makes those of the first paper; those of the paper "action" take a
# dimension too.
EXHIBITS: dict[str, Exhibit] = {
    "table2": Exhibit(
        "Learn2Hop",
        f"{HERE}.learn2hop.table2:reproduce",
        "energies and hits on LJ13, LJ75, Au55 and Si64",
    ),
    "table3": Exhibit(
        "Learn2Hop",
        f"{HERE}.learn2hop.table3:reproduce",
        "what the inputs of the paper's rule are worth",
    ),
    "table6": Exhibit(
        "Learn2Hop",
        f"{HERE}.learn2hop.table6:reproduce",
        "transfer between potentials",
    ),
    "fig3": Exhibit(
        "Learn2Hop",
        f"{HERE}.learn2hop.fig3:reproduce",
        "training by ES, ESMC and GA",
    ),
    "fig4": Exhibit(
        "Learn2Hop",
        f"{HERE}.learn2hop.sizes:fig4",
        "energies against the number of atoms",
    ),
    "fig5": Exhibit(
        "Learn2Hop",
        f"{HERE}.learn2hop.fig5:reproduce",
        "distributions of the minima of LJ13 and LJ75",
    ),
    "fig6": Exhibit(
        "Learn2Hop",
        f"{HERE}.learn2hop.fig6:reproduce",
        "traces, hops, frozen minima, orientations",
    ),
    "fig7": Exhibit(
        "Learn2Hop",
        f"{HERE}.learn2hop.fig7:reproduce",
        "excess energies of Ag-Au and Pd-Pt clusters of 38 atoms",
    ),
    "fig8": Exhibit(
        "Learn2Hop",
        f"{HERE}.learn2hop.sizes:fig8",
        "energies by training set",
    ),
    "action-table1": Exhibit(
        "action",
        f"{HERE}.action.tables:table1",
        "Schaffer F7 by every method, original and shifted",
    ),
    "action-table2": Exhibit(
        "action",
        f"{HERE}.action.tables:table2",
        "Alpine-1 by every method, original and shifted",
    ),
    "action-fig2": Exhibit(
        "action",
        f"{HERE}.action.tables:fig2",
        "the learned minimum of Alpine-1 in the course of a run",
    ),
    "action-fig3": Exhibit(
        "action",
        f"{HERE}.action.tables:fig3",
        "the learned minimum of Schaffer F7 in the course of a run",
    ),
    "action-fig4": Exhibit(
        "action",
        f"{HERE}.action.tables:fig4",
        "the loss along the paths in the course of a run",
    ),
    "binary-lj": Exhibit(
        "action",
        f"{HERE}.action.atoms:binary_lj",
        "the binary Lennard-Jones glass of 100 atoms",
    ),
}
