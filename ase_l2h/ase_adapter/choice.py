"""Which method Learn2Hop runs, from its arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ase_l2h._internal.arguments import checked_count, checked_number
from ase_l2h.errors import InputError, InputTypeError
from ase_l2h.search.driver import limited
from ase_l2h.search.limits import MOST_EVALUATIONS, Limits
from ase_l2h.search.method import Method
from ase_l2h.search.names import DEFAULT_METHOD, WITH_WEIGHTS
from ase_l2h.search.problem import Problem
from ase_l2h.search.registry import default_steps, make_method, method_weights
from ase_l2h.weights.files import PORTFOLIO
from ase_l2h.weights.load import Weights, load_weights

__all__ = [
    "MethodChoice",
    "checked_time",
    "choose_limits",
    "choose_method",
]


@dataclasses.dataclass(frozen=True)
class MethodChoice:
    """A method for problems, and what was chosen for it.

    ``settings`` describe the method. ``weights`` are those of the learned optimizer;
    None without one, or if the method chooses them by the problem. ``horizon`` are the
    steps of each start and ``n_starts`` their number; None for a method without an end.
    """

    name: str
    make: Callable[[Problem], Method]
    settings: dict[str, Any]
    weights: Weights | None = None
    horizon: int | None = None
    n_starts: int | None = None


def checked_time(name: str, value: Any) -> float | None:
    """Seconds above 0, or None for None.

    Raises
    ------
    InputError
        For anything else.
    """
    seconds = checked_number(name, value)
    if seconds is not None and not seconds > 0:
        raise InputError(f"{name} is {value}; give a time above 0")
    return seconds


def choose_limits(
    problem: Problem,
    method: str,
    *,
    evaluations: Any,
    target_energy: Any,
    settled: Any,
    bounded: bool,
) -> Limits:
    """The limits of each search; ``bounded`` where something else ends it as well.

    Raises
    ------
    InputError
        For what is no limit.
    """
    if evaluations is not None:
        evaluations = checked_count("evaluations", evaluations, MOST_EVALUATIONS)
        if problem.measure is not None and evaluations < 2:
            raise InputError(
                "evaluations is 1, and the structure itself takes one call; give 2 or "
                "more"
            )
    target = checked_number("target_energy", target_energy)
    if settled is not None:
        settled = checked_count("settled", settled, 1000, least=0)
    limits = Limits(evaluations=evaluations, target_energy=target, settled=settled)
    return limited(limits, problem, method, bounded)


def choose_method(
    problem: Problem,
    method: str | Method | None,
    *,
    weights: str | Path | Weights | None,
    horizon: int | None,
    n_starts: int | None,
    without: Sequence[str],
    bounded: bool,
) -> MethodChoice:
    """The method that arguments ask for.

    Parameters
    ----------
    problem
        What is searched first.
    method
        A name, a method, or None: then starts or a horizon ask for the learned
        optimizer.
    weights, horizon, n_starts, without
        As for :class:`~ase_l2h.ase_adapter.optimizer.Learn2Hop`.
    bounded
        Whether evaluations or time end the search; without, one start does.

    Raises
    ------
    InputError
        For what the method does not take.
    """
    if horizon is not None:
        horizon = checked_count("horizon", horizon, 10_000_000)
    if n_starts is not None:
        n_starts = checked_count("n_starts", n_starts, 1_000_000)
    if method is not None and not isinstance(method, str):
        if not isinstance(method, Method):
            raise InputTypeError(
                f"method is of type {type(method).__name__}; give a name or a Method"
            )
        if (
            weights is not None
            or horizon is not None
            or n_starts is not None
            or without
        ):
            raise InputError(
                f"the method '{method.name}' has its options already; leave out "
                "weights, horizon, n_starts and without, or give its name instead"
            )
        complete = method
        return MethodChoice(complete.name, lambda _: complete, complete.describe())
    if method is None:
        starts = horizon is not None or n_starts is not None
        method = "learned" if starts else DEFAULT_METHOD
    loaded = _loaded(method, weights)
    if method in ("learned", "adam", "fire", "gd") and n_starts is None and not bounded:
        n_starts = 1
    if loaded is not None and method == "learned":
        loaded = _used(loaded, n_starts)
        horizon = horizon or default_steps(method, loaded, problem)
        assert horizon is not None
        loaded = loaded.for_horizon(horizon)
    name = method

    def make(posed: Problem) -> Method:
        return make_method(
            name,
            posed,
            weights=loaded,
            steps=horizon,
            starts=n_starts,
            without=without,
        )

    # Arguments that the method does not take are refused at once.
    made = make(problem)
    reason = made.refuse(problem)
    if reason is not None:
        raise InputError(f"the method '{name}' {reason}")
    return MethodChoice(name, make, made.describe(), loaded, horizon, n_starts)


def _loaded(method: str, weights: str | Path | Weights | None) -> Weights | None:
    if isinstance(weights, Weights) and method in WITH_WEIGHTS:
        return weights
    if isinstance(weights, Path) and method in WITH_WEIGHTS:
        return load_weights(weights)
    name = weights.name if isinstance(weights, Weights) else weights
    return method_weights(method, None if name is None else str(name))


def _used(weights: Weights, n_starts: int | None) -> Weights:
    """The rules that ``n_starts`` starts use."""
    if not isinstance(weights.rule, tuple) or n_starts is None:
        return weights
    count = min(n_starts, len(weights.rule))
    if count == len(weights.rule):
        return weights
    names, hashes = weights.name.split(PORTFOLIO), weights.sha256.split(PORTFOLIO)
    rules = weights.rule[:count]
    return weights._replace(
        name=PORTFOLIO.join(names[:count]),
        sha256=PORTFOLIO.join(hashes[:count]),
        rule=rules[0] if count == 1 else rules,
    )
