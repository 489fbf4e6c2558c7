"""One call from a name, a target, a problem or Atoms to the lowest minimum.

:mod:`ase_l2h.search` is callable and calls :func:`search`.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from ase_l2h.ase_adapter.calling import Calling
from ase_l2h.ase_adapter.problem import (
    problem_of,
    rattled,
    structure_of,
)
from ase_l2h.errors import InputError, InputTypeError
from ase_l2h.search.driver import search_problem, shared_by
from ase_l2h.search.limits import Limits, checked_seed
from ase_l2h.search.method import Method
from ase_l2h.search.names import DEFAULT_METHOD
from ase_l2h.search.problem import Problem
from ase_l2h.search.result import SearchResult
from ase_l2h.targets import Target

__all__ = ["search"]

# What belongs into `limits`.
LIMITS = frozenset(field.name for field in dataclasses.fields(Limits))
# What may be said besides: of calls of a calculator, and of the search.
KNOWN = frozenset(
    {field.name for field in dataclasses.fields(Calling)}
    | inspect.signature(search_problem).parameters.keys()
)


def search(
    problem: Any,
    *,
    method: str | Method = DEFAULT_METHOD,
    limits: Limits | None = None,
    seed: int = 0,
    searches: int | None = None,
    region: Any = None,
    keep_molecules: bool | None = None,
    **options: Any,
) -> SearchResult:
    """Search for the lowest minimum of anything that has an energy.

    Parameters
    ----------
    problem
        A name such as ``"LJ38"`` or ``"Ag19Au19"``, a
        :class:`~ase_l2h.targets.Target`, a
        :class:`~ase_l2h.search.problem.Problem`, or ``ase.Atoms`` with a calculator,
        which are not moved: see :func:`~ase_l2h.ase_adapter.problem.problem_of`.
    method
        A name of :data:`ase_l2h.search.names.METHODS`, or a method.
    limits
        When to stop. Where nothing else is said, 2,000,000 evaluations of each search,
        or 10,000 calls of a calculator; ``"auto"`` before that when three independent
        attempts have met the lowest minimum.
    seed, searches
        Search k follows from ``(seed, k)`` alone. By default one; with ``workers`` as
        many as they are, three at least, which share the limits of one.
    region
        Where the free atoms of Atoms are sought, see
        :func:`~ase_l2h.ase_adapter.regions.region_of`.
    keep_molecules
        Whether bonds of an unknown calculator's atoms last, see there.
    **options
        Of an unknown calculator ``cache``, ``workers``, ``executor``, ``call_timeout``
        and ``make_calculator``, see :class:`~ase_l2h.ase_adapter.calling.Calling`; and
        ``weights``, ``without``, ``steps``, ``starts``, ``width``, ``backend``,
        ``device``, ``folder`` and more, see
        :func:`~ase_l2h.search.driver.search_problem`.

    Returns
    -------
    SearchResult
        Also after Ctrl-C. Positions of its minima are centred on the origin where the
        structure is a free cluster, and on the centroid of given Atoms otherwise.

    Raises
    ------
    InputError
        For what cannot be searched; the sentence says what to do.

    Examples
    --------
    >>> ase_l2h.search("LJ38", limits=Limits(evaluations=10**6))  # doctest: +SKIP
    """
    for name in LIMITS & options.keys():
        raise InputTypeError(
            f"search has no argument {name}; give limits=ase_l2h.Limits({name}=...)"
        )
    if unknown := options.keys() - KNOWN:
        raise InputTypeError(
            f"search has no argument {min(unknown)}; see help(ase_l2h.search)"
        )
    if limits is not None and not isinstance(limits, Limits):
        raise InputTypeError(f"limits is {limits!r}; give ase_l2h.Limits(...)")
    calling = Calling.taken_from(options)
    if isinstance(problem, Problem | str | Target):
        if region is not None or keep_molecules is not None:
            raise InputError(
                "region and keep_molecules are for Atoms; give them when you make "
                "the Problem"
            )
        if calling != Calling():
            raise InputError(
                "cache, workers, executor, call_timeout and make_calculator are for "
                "Atoms with a calculator; leave them out"
            )
        posed = problem if isinstance(problem, Problem) else Problem.of(problem)
        count = 1 if searches is None else searches
        return search_problem(
            posed, method=method, limits=limits, seed=seed, searches=count, **options
        )
    atoms = structure_of(problem)
    limits = Limits() if limits is None else limits
    searches, each = shared_by(
        calling.workers,
        searches,
        method,
        limits.evaluations,
        bounded=limits.seconds is not None,
    )
    limits = dataclasses.replace(limits, evaluations=each)
    with calling.opened(atoms.calc) as (kept, calls):
        evaluate = None if calls is None else calls.evaluate
        posed = problem_of(
            atoms,
            region=region,
            cache=kept,
            evaluate=evaluate,
            keep_molecules=keep_molecules,
        )
        return search_problem(
            rattled(posed, [checked_seed(seed)]),
            method=method,
            limits=limits,
            seed=seed,
            searches=searches,
            calls=calls,
            **options,
        )
