"""Algorithm 1: learn a function with a single minimum until that is the global one.

First a regression of U at uniform samples of the box, then of U along paths of gradient
descent on the learned function itself ("Discovering global minimum of high dimensional
energy landscapes", Algorithm 1). The learned minimum of lowest U is the answer.
Everything random follows from the seed and the number of the update.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ase_l2h._internal.checkpoint import (
    Checkpoint,
    arrays_of_tree,
    fingerprint,
    tree_of_arrays,
)
from ase_l2h._internal.progress import progress_bar
from ase_l2h._internal.promotion import compiled
from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h._internal.stopping import Stop
from ase_l2h.landscapes.bilipschitz import SingleMinimum
from ase_l2h.landscapes.functional import Coefficients, gradient_paths, projected_loss
from ase_l2h.landscapes.settings import ActionSettings
from ase_l2h.potentials.analytic import Landscape

__all__ = ["ActionResult", "ActionSettings", "ActionState", "minimise"]

CHECKPOINT_SECONDS = 30.0
# Random stream of the initial state, whose samples set the units of U.
FIRST = 2**31 - 1


class ActionState(NamedTuple):
    """What a checkpoint holds; ``best_point`` is in the landscape's units.

    ``mean`` and ``spread`` of U at the first samples are the units of the regression.
    """

    update: Array
    parameters: Any
    optimizer: Any
    mean: Float[Array, ""]
    spread: Float[Array, ""]
    charged: Array
    best_point: Float[Array, " d"]
    best_energy: Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class ActionResult:
    """Outcome of :func:`minimise`.

    ``point`` is the learned minimum of lowest energy, ``records`` a line per look,
    ``function`` the last learned function, of points divided by the bound, and
    ``minimum`` its minimum, in the landscape's units.
    """

    point: np.ndarray
    energy: float
    charged_evaluations: int
    records: list[dict[str, Any]]
    function: SingleMinimum
    minimum: np.ndarray
    state: ActionState


@pytree_dataclass
class _Run:
    """One landscape with its settings; at ``turn`` charges the paths begin."""

    landscape: Any
    turn: Array
    budget: Array
    rates: Array
    settings: ActionSettings = static_field()

    def uniform(self, key: Array, count: int) -> Array:
        """Points of the box, in units of the bound."""
        shape = (self.landscape.dimension, count)
        return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)

    def energy(self, points: Array) -> Array:
        """U of points in units of the bound."""
        return self.landscape.energy(points * self.landscape.bound)

    def function(self, parameters: Any) -> SingleMinimum:
        network = self.settings.network(self.landscape.dimension)
        made: Any = network.apply({"params": parameters})
        return made

    def minimum(self, state: ActionState) -> Array:
        """The learned minimum, in the landscape's units."""
        return self.function(state.parameters).minimum() * self.landscape.bound

    def initial(self, key: Array, first: Array | None) -> ActionState:
        """Weights whose minimum is ``first``, in the landscape's units.

        None: a random point, because the middle of the box would be a biased guess.
        """
        settings, d = self.settings, self.landscape.dimension
        samples, weights, point = jax.random.split(key, 3)
        values = self.energy(self.uniform(samples, settings.batch))
        finite = jnp.isfinite(values)
        count = jnp.maximum(jnp.sum(finite, dtype=values.dtype), 1.0)
        mean = jnp.sum(jnp.where(finite, values, 0.0)) / count
        squares = jnp.where(finite, (values - mean) ** 2, 0.0)
        spread = jnp.sqrt(jnp.sum(squares) / count)
        spread = jnp.where(spread > 0, spread, 1.0)
        drawn = self.uniform(point, 1)[:, 0]
        guess = drawn if first is None else first / self.landscape.bound
        parameters = settings.network(d).initial(weights, guess)
        return ActionState(
            update=jnp.zeros((), jnp.int32),
            parameters=parameters,
            optimizer=settings.optimizer().init(parameters),
            mean=mean,
            spread=spread,
            charged=jnp.asarray(settings.batch, jnp.int32),
            best_point=guess * self.landscape.bound,
            best_energy=jnp.asarray(jnp.inf),
        )

    def _step(self, state: ActionState, points: Array, counted: Array) -> Any:
        """One step of the regression on the counted points, and its loss."""
        values = (self.energy(points) - state.mean) / state.spread

        def loss(parameters: Any) -> tuple[Array, Coefficients]:
            raised = self.function(parameters).raised(points)
            return projected_loss(raised, values, counted)

        projected = jax.value_and_grad(loss, has_aux=True)
        (value, fitted), gradient = projected(state.parameters)
        with jax.numpy_dtype_promotion("standard"):
            change, inner = self.settings.optimizer().update(
                gradient, state.optimizer, state.parameters
            )
        charged = state.charged.astype(self.budget.dtype)
        later = charged >= self.turn
        begun = jnp.where(later, self.turn, 0.0)
        length = jnp.where(later, self.budget - self.turn, self.turn)
        spent = jnp.clip((charged - begun) / jnp.maximum(length, 1.0), 0.0, 1.0)
        rate = jnp.where(later, self.rates[1], self.rates[0])
        rate = rate * (0.505 + 0.495 * jnp.cos(jnp.pi * spent))
        change = jax.tree.map(lambda leaf: rate * leaf, change)
        curvature = jnp.maximum(fitted.curvature, jnp.finfo(values.dtype).tiny)
        changed: Any = optax.apply_updates(state.parameters, change)
        parameters = {
            **changed,
            "log_scale": 0.5 * jnp.log(curvature),
            "constant": fitted.constant,
        }
        sound = jnp.all(
            jnp.stack([jnp.all(jnp.isfinite(p)) for p in jax.tree.leaves(parameters)])
        )
        # A step with non-finite weights is not taken.
        keep = lambda new, old: jnp.where(sound, new, old)
        return state._replace(
            update=state.update + 1,
            parameters=jax.tree.map(keep, parameters, state.parameters),
            optimizer=jax.tree.map(keep, inner, state.optimizer),
            charged=state.charged + jnp.sum(counted, dtype=jnp.int32),
        ), value

    def warm(self, key: Array, state: ActionState) -> tuple[ActionState, Array]:
        """One update on uniform samples."""
        points = self.uniform(key, self.settings.batch)
        return self._step(state, points, jnp.ones(points.shape[1:], bool))

    def act(self, key: Array, state: ActionState) -> tuple[ActionState, Array]:
        """One update on paths of the learned function."""
        settings = self.settings
        function = self.function(state.parameters)
        paths = gradient_paths(
            function,
            self.uniform(key, settings.paths),
            settings.path_rate,
            settings.path_steps,
            settings.path_tolerance,
        )
        shape = paths.points.shape[1:]
        counted = jnp.broadcast_to(paths.counted[:, None], shape)
        return self._step(state, paths.points, counted)

    def updates(
        self, key: Array, state: ActionState, limit: Array, warm: bool
    ) -> tuple[ActionState, dict[str, Array]]:
        """Updates of one kind, up to ``limit`` charges, and a look at the minimum."""

        def take(carry: tuple[ActionState, Array]) -> tuple[ActionState, Array]:
            state, losses = carry
            drawn = jax.random.fold_in(key, state.update)
            state, loss = self.warm(drawn, state) if warm else self.act(drawn, state)
            return state, losses + loss

        def unspent(carry: tuple[ActionState, Array]) -> Array:
            return carry[0].charged < limit

        before = state.update
        start = (state, jnp.zeros((), state.mean.dtype))
        state, losses = jax.lax.while_loop(unspent, take, start)
        taken = (state.update - before).astype(losses.dtype)
        function = self.function(state.parameters)
        scaled = function.minimum()
        point = scaled * self.landscape.bound
        energy = self.landscape.energy(point)
        better = jnp.isfinite(energy) & (energy < state.best_energy)
        state = state._replace(
            charged=state.charged + 1,
            best_point=jnp.where(better, point, state.best_point),
            best_energy=jnp.where(better, energy, state.best_energy),
        )
        # The slope of the bowl, because f is steep near a minimum with a small power.
        slope = jnp.linalg.norm(jax.grad(function.bowl)(scaled))
        return state, {
            "loss": losses / jnp.maximum(taken, 1.0),
            "minimum": point,
            "energy": energy,
            "slope": slope,
        }


_initial = compiled(_Run.initial)
_minimum = compiled(_Run.minimum)
_updates = compiled(_Run.updates, static_argnames="warm")


def minimise(
    landscape: Landscape,
    settings: ActionSettings | None = None,
    *,
    first: np.ndarray | None = None,
    folder: Path | None = None,
    measure: Callable[[np.ndarray], dict[str, Any]] | None = None,
    quiet: bool = False,
    stop: Stop | None = None,
) -> ActionResult:
    """Run Algorithm 1 on a landscape.

    Parameters
    ----------
    landscape
        What to minimise.
    settings
        How; the defaults when None.
    first
        Where the learned function has its minimum at first, ``(d,)``; None: at a random
        point of the box.
    folder
        Keeps the run, made if need be. A run found there is continued, and ends in the
        same bits as one that was never stopped; ``progress.jsonl`` has its records.
    measure
        Called with every learned minimum; what it returns joins the records.
    quiet
        No progress bar.
    stop
        Looked at before every look at the minimum; when its time is over, the result is
        what has been found until then.

    Raises
    ------
    InputError
        When the folder holds a run of another landscape or with other settings.
    CheckpointError
        When the folder can no longer be written.
    KeyboardInterrupt
        When ``stop`` is requested.
    """
    settings = ActionSettings() if settings is None else settings
    stop = Stop() if stop is None else stop
    rates = jnp.asarray([settings.learning_rate, settings.path_learning_rate])
    turn, budget = int(settings.warm * settings.budget), settings.budget
    begin, end = (jnp.asarray(charge, jnp.float32) for charge in (turn, budget))
    run = _Run(landscape, begin, end, rates, settings.compiled())
    course = _Course(run, settings, turn, first, folder, measure)
    with progress_bar(
        "action", budget, "evaluation", not quiet, done=course.charged
    ) as bar:
        try:
            while course.charged < budget and stop.reason != "time":
                stop.check()
                before = course.charged
                line = course.look()
                lowest = float(course.state.best_energy)
                bar.set_postfix_str(f"loss {line['loss']:.3g} lowest {lowest:.6g}")
                bar.update(course.charged - before)
                course.save_sometimes()
        finally:
            course.save()
    state = course.state
    return ActionResult(
        point=np.asarray(state.best_point),
        energy=float(state.best_energy),
        charged_evaluations=course.charged,
        records=course.records,
        function=run.function(state.parameters),
        minimum=np.asarray(_minimum(run, state)),
        state=state,
    )


class _Course:
    """State and records of a run, and the folder that keeps them."""

    def __init__(
        self,
        run: _Run,
        settings: ActionSettings,
        turn: int,
        first: np.ndarray | None,
        folder: Path | None,
        measure: Callable[[np.ndarray], dict[str, Any]] | None,
    ) -> None:
        self.run, self.settings, self.turn, self.measure = run, settings, turn, measure
        self.key = jax.random.key(settings.seed)
        begun = None if first is None else jnp.asarray(first, jnp.float32)
        self.state = _initial(run, jax.random.fold_in(self.key, FIRST), begun)
        self.records: list[dict[str, Any]] = []
        self.saved = time.monotonic()
        self.checkpoint = None
        if folder is not None:
            identity = _identity(run.landscape, settings, first)
            self.checkpoint = Checkpoint(folder, identity)
            stored = self.checkpoint.load()
            if stored is not None:
                state = tree_of_arrays(self.state, stored[0])
                self.state = jax.tree.map(jnp.asarray, state)
                self.records = self.checkpoint.lines()
            self.checkpoint.claim()

    @property
    def charged(self) -> int:
        """Charged evaluations until now."""
        return int(self.state.charged)

    def look(self) -> dict[str, Any]:
        """Updates up to the next look at the minimum, and its line."""
        warm = self.charged < self.turn
        end = self.turn if warm else self.settings.budget
        share = -(-self.settings.budget // self.settings.looks)
        limit = jnp.asarray(min(end, self.charged + share), jnp.int32)
        following, look = _updates(self.run, self.key, self.state, limit, warm)
        point = np.asarray(look.pop("minimum"))
        line = {
            "update": int(following.update),
            "phase": "samples" if warm else "paths",
            "charged_evaluations": int(following.charged),
            **{name: float(value) for name, value in look.items()},
            **({} if self.measure is None else self.measure(point)),
        }
        if self.checkpoint is not None:
            self.checkpoint.append(line)
        # Set together, so that Ctrl-C in between cannot separate them.
        self.state, self.records = following, [*self.records, line]
        return line

    def save_sometimes(self) -> None:
        """Store the state if that has not been done for a while."""
        if time.monotonic() - self.saved > CHECKPOINT_SECONDS:
            self.save()

    def save(self) -> None:
        """Store the state, if there is a folder."""
        if self.checkpoint is not None:
            arrays, lines = arrays_of_tree(self.state), len(self.records)
            self.checkpoint.save(arrays, {}, lines=lines)
        self.saved = time.monotonic()


def _identity(
    landscape: Any, settings: ActionSettings, first: np.ndarray | None
) -> dict[str, Any]:
    """What identifies a run."""
    return {
        "run": "action",
        "settings": dataclasses.asdict(settings),
        "first": None if first is None else fingerprint(np.asarray(first)),
        "landscape": {
            "kind": type(landscape).__name__,
            "dimension": landscape.dimension,
            "bound": float(landscape.bound),
            "structure": str(jax.tree.structure(landscape)),
            "numbers": fingerprint(landscape),
        },
    }
