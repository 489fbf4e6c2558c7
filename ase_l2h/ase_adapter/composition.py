"""Problems from a composition and a calculator, without a structure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms

from ase_l2h.ase_adapter.convert import unknown_units
from ase_l2h.ase_adapter.problem import problem_of
from ase_l2h.search.problem import Problem

__all__ = ["composition_problem", "lattice_of"]


def lattice_of(symbols: Sequence[str]) -> Atoms:
    """Atoms on a simple cubic lattice, a bond apart: positions for a first call."""
    edge = int(np.ceil(len(symbols) ** (1 / 3)))
    sites = np.argwhere(np.ones((edge, edge, edge)))
    # Filled from the middle outwards, so that no atom is far from the others.
    order = np.argsort(np.sum((sites - (edge - 1) / 2) ** 2, axis=1), kind="stable")
    places = sites[order[: len(symbols)]] * unknown_units(symbols)[0]
    return Atoms(list(symbols), positions=places - places.mean(axis=0))


def composition_problem(
    symbols: Sequence[str], calculator: Any, **options: Any
) -> Problem:
    """The problem of a free cluster of these atoms, without a structure to begin with.

    A calculator without a kernel is called once, on a lattice of the atoms. This shows
    at once whether it works, and the energy identifies the calculator.

    Parameters
    ----------
    symbols
        Chemical symbols.
    calculator
        An ASE calculator.
    **options
        Of :func:`~ase_l2h.ase_adapter.problem.problem_of`.

    Raises
    ------
    InputError
        For what cannot be searched.
    """
    atoms = lattice_of(symbols)
    atoms.calc = calculator
    problem = problem_of(atoms, **options)
    nothing = np.zeros((3, len(atoms), 0))
    return dataclasses.replace(problem, given=nothing, name="".join(_counted(symbols)))


def _counted(symbols: Sequence[str]) -> list[str]:
    """Symbols with their counts, in order of appearance."""
    counts = {symbol: list(symbols).count(symbol) for symbol in dict.fromkeys(symbols)}
    return [f"{symbol}{count if count > 1 else ''}" for symbol, count in counts.items()]
