"""Every method on a function of any dimension, for the same charged evaluations.

An evaluation is one point: of the network methods a value of U, of the others value
and gradient, which is the more generous count for the others.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ase_l2h._internal.promotion import double_precision
from ase_l2h._internal.pytree import replace
from ase_l2h.landscapes.boxes import minimise_in_boxes
from ase_l2h.landscapes.gon import GonSettings, fit_gon
from ase_l2h.landscapes.minimise import ActionSettings, minimise
from ase_l2h.optimizers import BasinHopping, Moves, RuleOptimizer
from ase_l2h.potentials.analytic import (
    Alpine1,
    LandscapePotential,
    fold,
    folded_system,
    shifted_copy,
    test_function,
    unfold,
)
from ase_l2h.reproduce.searching import method_optimizer
from ase_l2h.rollout import rollout
from ase_l2h.rules import Adam, Lbfgs
from ase_l2h.search.registry import method_weights

__all__ = ["METHODS", "function_copy", "function_line"]

COPIES = ("original", "shifted")
# Weights of the learned optimizer: rules see triples of coordinates as atoms, and the
# paper's rule treats coordinates alike, whatever their number.
WEIGHTS = "paper-lj13"
# Kicks, longest steps and learned displacements are in units of a tenth of the bound.
LENGTH = 0.1
# Starts of Adam for each rate, and chains of basin hopping.
STARTS = 40
CHAINS = 20
# Gradient evaluations in a quench of basin hopping. The kinks of Alpine-1 have no point
# of small gradient to converge to.
QUENCH = 100
SAMPLES = 256


class Outcome(NamedTuple):
    """What a method has found.

    ``points`` are ``(d, m)`` with their ``energies``; ``trace`` is the course of the
    learned minimum, empty for other methods.
    """

    points: np.ndarray
    energies: np.ndarray
    charged: int
    trace: list[dict[str, Any]]


def function_copy(name: str, dimension: int, copy: str, seed: int) -> Any:
    """A test function as it is, or moved to a place that follows from the seed."""
    function = test_function(name, dimension)
    # Zeros, not None: both copies then run the same compiled program.
    function = replace(function, shift=np.zeros(dimension, np.float32))
    if copy == "shifted":
        key = jax.random.fold_in(jax.random.key(seed), 1)
        function = shifted_copy(key, function)
    return function


def _uniform(function: Any, seed: int, count: int) -> np.ndarray:
    key = jax.random.fold_in(jax.random.key(seed), 2)
    shape, bound = (function.dimension, count), function.bound
    return np.asarray(jax.random.uniform(key, shape, minval=-bound, maxval=bound))


# Called with a learned minimum; what it returns joins the records.
Measure = Callable[[np.ndarray], dict[str, Any]]


def _looked(search: Callable[[Measure], Any]) -> Outcome:
    """The learned minima at which a fit has looked at the function."""
    points: list[np.ndarray] = []

    def keep(point: np.ndarray) -> dict[str, Any]:
        points.append(point)
        return {}

    result = search(keep)
    energies = np.array([line["energy"] for line in result.records])
    return Outcome(
        np.stack(points, axis=1), energies, result.charged_evaluations, result.records
    )


def _action(
    function: Any, budget: int, seed: int, rates: Sequence[float], warm: float = 0.5
) -> Outcome:
    """Algorithm 1; with ``warm`` 1 the regression on random samples alone."""
    del rates
    settings = ActionSettings(budget=budget, warm=warm, seed=seed)
    return _looked(lambda keep: minimise(function, settings, measure=keep, quiet=True))


def _boxes(function: Any, budget: int, seed: int, rates: Sequence[float]) -> Outcome:
    """Regression in boxes that shrink around the learned minimum."""
    del rates
    settings = ActionSettings(budget=budget, warm=1.0, seed=seed)
    return _looked(
        lambda keep: minimise_in_boxes(function, settings, measure=keep, quiet=True)
    )


def _gon(function: Any, budget: int, seed: int, rates: Sequence[float]) -> Outcome:
    """A global optimization network, fitted to random points."""
    del rates
    settings = GonSettings(budget=budget, seed=seed)
    return _looked(lambda keep: fit_gon(function, settings, keep))


def _regression(
    function: Any, budget: int, seed: int, rates: Sequence[float]
) -> Outcome:
    return _action(function, budget, seed, rates, warm=1.0)


def _rolled(
    function: Any, optimizers: Sequence[Any], system: Any, starts: Any, steps: int
) -> Outcome:
    """Lowest points of rollouts of several optimizers from the same starts."""
    points, energies, charged = [], [], 0
    for optimizer in optimizers:
        out = rollout(
            optimizer,
            LandscapePotential(function),
            system,
            np.asarray(fold(jnp.asarray(starts))),
            key=jax.random.key(0),
            n_steps=steps,
        )
        best = unfold(jnp.asarray(out.best_positions), function.dimension)
        points.append(np.asarray(best))
        energies.append(out.best_energy)
        charged += int(out.evaluations.sum())
    return Outcome(
        np.concatenate(points, axis=1), np.concatenate(energies), charged, []
    )


def _adam(function: Any, budget: int, seed: int, rates: Sequence[float]) -> Outcome:
    """Adam from uniform starts with every rate; the budget is shared by the rates."""
    steps = max(1, budget // (len(rates) * STARTS) - 1)
    return _rolled(
        function,
        [RuleOptimizer(Adam(rate=rate)) for rate in rates],
        folded_system(function.dimension),
        _uniform(function, seed, STARTS),
        steps,
    )


def _units(function: Any, seed: int) -> tuple[Any, float]:
    """Units of the methods that have some: a tenth of the bound, a coordinate's share.

    The latter is the standard deviation of U over the box, over the root of d.
    """
    values = function.energy(jnp.asarray(_uniform(function, seed + 1, SAMPLES)))
    share = float(jnp.std(values)) / function.dimension**0.5
    return folded_system(function.dimension, LENGTH * function.bound, share), share


def _basin_hopping(
    function: Any, budget: int, seed: int, rates: Sequence[float]
) -> Outcome:
    """Random kicks and L-BFGS, Metropolis at one coordinate's share of the energy."""
    del rates
    system, _ = _units(function, seed)
    hopping = BasinHopping(
        quench=Lbfgs(max_step=0.2),
        moves=Moves(size=0.36, container=None),
        acceptance=0.5,
        max_quench=QUENCH,
        fixed_length=True,
    )
    steps = (budget - SAMPLES) // CHAINS - 1
    starts = _uniform(function, seed, CHAINS)
    out = _rolled(function, [hopping], system, starts, steps)
    return out._replace(charged=out.charged + SAMPLES)


def _learned(
    function: Any,
    budget: int,
    seed: int,
    rates: Sequence[float],
    name: str | None = WEIGHTS,
) -> Outcome:
    """The learned rule with weights trained on atoms, for its usual horizon."""
    del rates
    system, _ = _units(function, seed)
    weights = method_weights("learned", name)
    assert weights is not None, "the learned method has weights"
    # At least ten starts: each learned run is one draw.
    steps = min(weights.horizon, max(1, (budget - SAMPLES) // 10 - 1))
    count = max(1, (budget - SAMPLES) // (steps + 1))
    optimizer: Any = method_optimizer("learned", weights, steps, system)
    starts = _uniform(function, seed, count)
    out = _rolled(function, [optimizer], system, starts, steps)
    return out._replace(charged=out.charged + SAMPLES)


Run = Callable[[Any, int, int, Sequence[float]], Outcome]
METHODS: dict[str, Run] = {
    "shrinking boxes": _boxes,
    "action": _action,
    "regression": _regression,
    "gon": _gon,
    "Adam": _adam,
    "basin hopping": _basin_hopping,
    "learned": _learned,
    "learned, default": functools.partial(_learned, name=None),
}


def function_line(
    name: str,
    dimension: int,
    copy: str,
    method: str,
    seed: int,
    budget: int,
    rates: Sequence[float],
) -> dict[str, Any]:
    """Run a method and measure what it found.

    Distances are to the published minimum: the origin, or where the copy has it.
    ``least_distance`` is that of the nearest of all its points; ``to_zero`` the root
    mean square distance of a coordinate from the nearest global minimum of Alpine-1.
    """
    function = function_copy(name, dimension, copy, seed)
    begun = time.process_time()
    outcome = METHODS[method](function, budget, seed, rates)
    seconds = time.process_time() - begun
    shift = np.asarray(function.shift, float)
    distances = np.linalg.norm(outcome.points - shift[:, None], axis=0)
    energies = np.where(np.isfinite(outcome.energies), outcome.energies, np.inf)
    best = int(np.argmin(energies))
    point = outcome.points[:, best]
    line: dict[str, Any] = {
        "energy": _double(function, point),
        "distance": float(distances[best]),
        "least_distance": float(np.min(distances)),
        "to_zero": None,
        "charged_evaluations": outcome.charged,
        "points": outcome.points.shape[1],
        "cpu_seconds": round(seconds, 2),
    }
    if isinstance(function, Alpine1):
        apart = function.nearest_zero(point) - point
        line["to_zero"] = float(np.sqrt(np.mean(apart**2)))
    if outcome.trace:
        names = ("charged_evaluations", "energy", "loss")
        line["trace"] = {
            k: [_short(entry[k]) for entry in outcome.trace] for k in names
        }
        line["trace"]["distance"] = [_short(d) for d in distances]
        line["trace"]["phase"] = [entry["phase"] for entry in outcome.trace]
    return line


def _double(function: Any, point: np.ndarray) -> float:
    """U of a point in double precision, whatever found it."""
    with double_precision():
        exact = dataclasses.replace(function, shift=np.asarray(function.shift, float))
        return float(exact.energy(jnp.asarray(point, jnp.float64)))


def _short(value: float | int) -> float | None:
    """Six digits; None for what JSON cannot hold."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
