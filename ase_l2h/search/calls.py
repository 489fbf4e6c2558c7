"""Requests on a calculator: one call for each structure and step.

The optimizers are the same as in the kernels; only energy and gradient come from
outside. A call that fails is tried once more nearby, then that structure is given up;
the search goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ase_l2h.errors import RunError
from ase_l2h.optimizers import BasinHopping
from ase_l2h.optimizers.base import SearchState
from ase_l2h.rollout.calculator import PointPotential
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Advance, Begin, Points, Request, Spread
from ase_l2h.starts.random import spread

__all__ = ["CalculatorEngine"]

logger = logging.getLogger(__name__)
# Failed calls in a row after which the calculator is taken to be broken.
MOST_FAILURES = 20
# How far from a failed call's structure the next is tried, in bond lengths.
NEARBY = 1e-3


@jax.jit
def _begin(
    optimizer: Any, potential: Any, system: Any, positions: Any, keys: Any
) -> SearchState:
    if isinstance(optimizer, BasinHopping):
        return optimizer.init_with_keys(keys, positions, system, potential)
    return optimizer.init(jax.random.key(0), positions, system, potential)


@jax.jit
def _step(
    optimizer: Any, measured: Any, system: Any, state: SearchState
) -> SearchState:
    # Hops have keys of their own, and rules draw nothing.
    return optimizer.step(jax.random.key(0), state, system, measured)


class CalculatorEngine:
    """Requests on calculators: ``measure`` of a problem, once for every evaluation.

    Attributes
    ----------
    calls, failures
        Calls made, and how many of them failed.
    """

    # One step of a structure at a time, so that a stop is noticed between two calls.
    launch = 1.0
    backend = "calculator"

    def __init__(self) -> None:
        self.calls = self.failures = 0
        self._in_a_row = 0

    def execute(self, requests: Sequence[Request]) -> list[Any]:
        """The answers, in order."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Any:
        if isinstance(request, Begin):
            return self._begin(request)
        if isinstance(request, Spread):
            return spread(request.problem.system, request.positions).astype(float)
        if isinstance(request, Points):
            return self._points(request)
        return self._advance(request)

    def _begin(self, request: Begin) -> SearchState:
        # In double precision: here a step costs nothing beside the call.
        positions = np.asarray(request.positions, np.float64)
        nothing = PointPotential(np.zeros(positions.shape[2]), np.zeros_like(positions))
        system = request.problem.system
        with jax.enable_x64(True):
            state = _begin(
                request.optimizer, nothing, system, positions, jnp.asarray(request.keys)
            )
            return jax.tree.map(np.asarray, state)

    def _points(self, request: Points) -> np.ndarray:
        if request.species is not None:
            raise RunError("a calculator is not asked for other atoms than its own")
        count = request.positions.shape[2]
        energies, _, _ = self._measured(
            request.problem, request.positions, np.arange(count), 0
        )
        return energies

    def _advance(self, request: Advance) -> SearchState:
        state = request.state
        for _ in range(request.n_steps):
            active = np.flatnonzero(state.active)
            if active.size == 0:
                break
            energies, gradients, repeated = self._measured(
                request.problem, np.asarray(state.positions), active, request.spare
            )
            with jax.enable_x64(True):
                state = jax.tree.map(
                    np.asarray,
                    _step(
                        request.optimizer,
                        PointPotential(energies, gradients),
                        request.problem.system,
                        state,
                    ),
                )
            if np.any(repeated):
                state = state._replace(evaluations=state.evaluations + repeated)
        return state

    def _measured(
        self,
        problem: Problem,
        positions: np.ndarray,
        which: np.ndarray,
        spare: int | float,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies and gradients; ``+inf`` and zero where a call failed.

        What failed is tried once more nearby, while ``spare`` calls last; those that
        were are counted.
        """
        energies = np.full(positions.shape[2], np.inf)
        gradients = np.zeros_like(positions)
        repeated = np.zeros(positions.shape[2], np.int32)
        places = [positions[..., b] for b in which]
        failed = []
        for b, result in zip(which, self._called(problem, places), strict=True):
            if self._sound(result, positions.shape[:2]):
                energies[b], gradients[..., b] = result
            else:
                failed.append(b)
        failed = failed[: int(min(spare, len(failed)))]
        nearby = [self._nearby(problem, positions[..., b]) for b in failed]
        for b, result in zip(failed, self._called(problem, nearby), strict=True):
            repeated[b] = 1
            if self._sound(result, positions.shape[:2]):
                energies[b], gradients[..., b] = result
        return energies, gradients, repeated

    def _called(self, problem: Problem, places: Sequence[np.ndarray]) -> Iterable[Any]:
        self.calls += len(places)
        return (self._one(problem, place) for place in places)

    def _nearby(self, problem: Problem, place: np.ndarray) -> np.ndarray:
        """A thousandth of a bond away; the same for the same place."""
        seed = np.frombuffer(np.ascontiguousarray(place).tobytes(), np.uint32)
        noise = np.random.default_rng(seed).normal(size=place.shape)
        moved = place + NEARBY * problem.length * noise
        return problem.with_fixed(moved[..., None])[..., 0]

    def _sound(self, result: Any, shape: tuple[int, ...]) -> bool:
        """Whether a call succeeded; too many failures in a row end the search."""
        reason = self._fault(result, shape)
        if reason is None:
            self._in_a_row = 0
            return True
        self.failures += 1
        self._in_a_row += 1
        logger.warning("a call of the calculator failed (%s)", reason)
        if self._in_a_row >= MOST_FAILURES:
            raise RunError(
                f"{MOST_FAILURES} calls of the calculator in a row failed, the last "
                f"with: {reason}; check the calculator"
            )
        return False

    def _one(self, problem: Problem, place: np.ndarray) -> Any:
        assert problem.measure is not None
        try:
            return problem.measure(place)
        except Exception as error:
            return error

    def _fault(self, result: Any, shape: tuple[int, ...]) -> str | None:
        if isinstance(result, Exception):
            lines = str(result).splitlines() or [""]
            return f"{type(result).__name__}: {lines[0]}"
        energy, gradient = result
        if np.shape(gradient) != shape:
            return f"its forces have shape {np.shape(gradient)[::-1]}"
        if not (np.isfinite(energy) and np.all(np.isfinite(gradient))):
            return "its energy or forces are not finite"
        return None
