"""Hulls of two elements with an ASE calculator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ase_l2h.ase_adapter.composition import composition_problem
from ase_l2h.ase_adapter.naming import CalculatorName
from ase_l2h.errors import InputError
from ase_l2h.search.hull.system import HullSystem, pair_of
from ase_l2h.search.problem import Problem

__all__ = ["calculator_hull"]


def calculator_hull(
    name: str,
    n_atoms: int,
    make: Callable[[], Any],
    *,
    calculator: Any = None,
    **options: Any,
) -> HullSystem:
    """The hull of ``CuAu`` with 13 atoms, its energies from a calculator.

    Parameters
    ----------
    name
        Two different chemical symbols.
    n_atoms
        Atoms per cluster, 3 to 2000.
    make
        Makes the calculator, for example the class ``EMT``. One serves all
        compositions.
    calculator
        What it has made already.
    **options
        Of :func:`~ase_l2h.ase_adapter.problem.problem_of`.

    Raises
    ------
    InputError
        For anything that is no such system, and for a calculator that runs in a kernel.

    Examples
    --------
    >>> find_hull(calculator_hull("CuAu", 13, EMT), budget=2000)  # doctest: +SKIP
    """
    symbols = pair_of(name, n_atoms)
    calculator = make() if calculator is None else calculator
    told: dict[str, Any] = {}
    label = type(calculator).__name__
    if isinstance(make, CalculatorName):
        label = " ".join(filter(None, (make.name, make.arguments)))
        told = {"named": {"name": make.name, "arguments": make.arguments}}

    def pose(elements: Sequence[str]) -> Problem:
        problem = composition_problem(elements, calculator, **options)
        if problem.measure is None:
            raise InputError(
                f"{label} runs in a kernel; leave out --calculator and give "
                "--potential and --parameters instead"
            )
        return dataclasses.replace(problem, identity={**problem.identity, **told})

    return HullSystem(name, n_atoms, symbols, None, label, "eV", pose)
