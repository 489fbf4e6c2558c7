"""One call from a name, a target, a problem or Atoms to the lowest minimum.

:mod:`ase_l2h.search` is callable and calls :func:`search`.
"""

from __future__ import annotations

from typing import Any

from ase_l2h.ase_adapter.choice import default_method
from ase_l2h.ase_adapter.problem import problem_of, rattled
from ase_l2h.search.driver import search_problem
from ase_l2h.search.limits import Limits, checked_seed
from ase_l2h.search.method import Method
from ase_l2h.search.problem import Problem
from ase_l2h.search.result import SearchResult
from ase_l2h.targets import Target

__all__ = ["search"]


def search(
    problem: Any,
    *,
    method: str | Method | None = None,
    limits: Limits | None = None,
    seed: int = 0,
    searches: int = 1,
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
        A name of :data:`ase_l2h.search.names.METHODS`, or a method. By default
        ``"population"``, or the learned optimizer from the structure itself where every
        evaluation is a call of an unknown calculator.
    limits
        When to stop; 200,000 evaluations of each search, or 10,000 calls of a
        calculator, where nothing else ends it.
    seed, searches
        Search k follows from ``(seed, k)`` alone.
    **options
        ``weights``, ``steps``, ``starts``, ``width``, ``backend``, ``device``,
        ``folder`` and more, see :func:`~ase_l2h.search.driver.search_problem`.

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
    posed = _posed(problem, seed)
    if method is None:
        method = default_method(posed)
        if method == "learned" and not options.keys() & {"starts", "width"}:
            ends = limits is not None and (limits.evaluations or limits.seconds)
            options["starts"] = None if ends else 1
    return search_problem(
        posed, method=method, limits=limits, seed=seed, searches=searches, **options
    )


def _posed(problem: Any, seed: int) -> Problem:
    if isinstance(problem, Problem):
        return problem
    if isinstance(problem, str | Target):
        return Problem.of(problem)
    return rattled(problem_of(problem), [checked_seed(seed)])
