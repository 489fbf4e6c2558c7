"""Global optimization networks: an invertible function, then one with a single minimum.

    z = Q c(x) - t        c_i increasing and piecewise linear, Q orthogonal (Cayley)
    f(x) = sum_k L_k(|z_i(k)|, |z_j(k)|)        L_k a lattice, increasing in both

S. Zhao, E. Louidor, M. Gupta, "Global optimization networks", ICML 2022 (PMLR 162). f
rises along every ray that leaves z = 0, so its one minimum is ``c^-1(Q^T t)``, taken in
closed form. Where the paper projects the weights of lattices on linear inequalities,
here increments are kept positive by softplus, with interpolation between four corners.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from ase_l2h._internal.promotion import compiled, promoting
from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.errors import InputError
from ase_l2h.landscapes.bilipschitz import cayley
from ase_l2h.landscapes.functional import projected_loss
from ase_l2h.landscapes.settings import check_least, check_positive
from ase_l2h.potentials.analytic import Landscape

__all__ = ["GonResult", "GonSettings", "UnimodalFunction", "fit_gon"]

Points = Float[Array, "d *batch"]
# Spacing of the lattices in units of the bound; beyond the last corner they go on
# linearly.
SPACING = 0.5
LEAST_SLOPE = 1e-3


def _positive(free: Array) -> Array:
    """Softplus that is 1 at 0, and never 0."""
    return LEAST_SLOPE + (1 - LEAST_SLOPE) / np.log(2.0) * jax.nn.softplus(free)


@pytree_dataclass
class UnimodalFunction:
    """f without the two linear coefficients that are fitted to values.

    Parameters
    ----------
    slopes
        Of the calibration of every coordinate, one for each of its pieces, which divide
        ``[-1, 1]`` evenly; the outer ones go on.
    mixing
        Orthogonal.
    target
        t.
    pairs
        Coordinates of z that share a lattice.
    corners
        Values of the lattices, increasing along both axes.
    """

    slopes: Float[Array, "d pieces"]
    mixing: Float[Array, "d d"]
    target: Float[Array, " d"]
    pairs: Int[Array, "k 2"]
    corners: Float[Array, "k m m"]

    def calibrated(self, points: Points) -> Points:
        """``c(x)``, whose values at the ends of the box are opposite.

        Rotations then turn points about the middle of the box, not about a corner.
        """
        pieces = self.slopes.shape[1]
        lower = jnp.linspace(-1.0, 1.0, pieces + 1)[:-1]
        slopes = self.slopes.reshape((*self.slopes.shape, *[1] * (points.ndim - 1)))
        within = points[:, None] - lower.reshape((1, -1) + (1,) * (points.ndim - 1))
        bounds = np.full((2, pieces), [[0.0], [2.0 / pieces]])
        bounds[0, 0], bounds[1, -1] = -np.inf, np.inf
        shape = (1, pieces) + (1,) * (points.ndim - 1)
        low, high = (jnp.asarray(b, points.dtype).reshape(shape) for b in bounds)
        rise = jnp.sum(slopes * jnp.clip(within, low, high), axis=1)
        return rise - jnp.sum(slopes, axis=1) / pieces

    def raised(self, points: Points) -> Float[Array, "*batch"]:
        """``f(x)``."""
        flat = self.calibrated(points).reshape((points.shape[0], -1))
        away = jnp.abs(self.mixing @ flat - self.target[:, None])
        corners = self.corners.shape[1]
        position = away / SPACING
        below = jnp.clip(jnp.floor(position), 0, corners - 2)
        part = position - below
        number = jnp.arange(corners, dtype=position.dtype)[:, None, None]
        weights = jnp.where(number == below, 1.0 - part, 0.0)
        weights = weights + jnp.where(number == below + 1.0, part, 0.0)
        first, second = (weights[:, self.pairs[:, k]] for k in (0, 1))
        values = jnp.einsum("akb,kac,ckb->b", first, self.corners, second)
        return values.reshape(points.shape[1:])

    def minimum(self) -> Float[Array, " d"]:
        """``c^-1(Q^T t)``, where f is lowest."""
        pieces = self.slopes.shape[1]
        images = self.mixing.T @ self.target + jnp.sum(self.slopes, axis=1) / pieces
        width = 2.0 / pieces
        ends = jnp.cumsum(self.slopes * width, axis=1)
        # The piece of the image; the outer pieces extend beyond the box.
        piece = jnp.sum(images[:, None] >= ends[:, :-1], axis=1)
        starts = jnp.pad(ends, ((0, 0), (1, 0)))
        take = lambda table: jnp.take_along_axis(table, piece[:, None], axis=1)[:, 0]
        lower = -1.0 + width * piece.astype(images.dtype)
        return lower + (images - take(starts)) / take(self.slopes)


class GonNetwork(nn.Module):
    """Free weights of a :class:`UnimodalFunction` of ``dimension`` coordinates."""

    dimension: int
    pieces: int
    corners: int

    @nn.compact
    def __call__(self, pairs: Int[Array, "k 2"]) -> UnimodalFunction:
        """The function of the weights."""
        d, m = self.dimension, self.corners
        zeros = nn.initializers.zeros
        slopes = _positive(self.param("slopes", zeros, (d, self.pieces)))
        # Equal steps of all elements rotate a point by sqrt(d) times as much.
        mixing = cayley(self.param("mixing", zeros, (d, d)) / d**0.5)
        target = self.param("target", zeros, (d,))
        # At first nearly a sum: the terms of both coordinates together begin small.
        free = self.param("rises", zeros, (len(pairs), m, m))
        rises = _positive(free.at[:, 1:, 1:].add(-4.0))
        corners = jnp.cumsum(jnp.cumsum(rises, axis=1), axis=2)
        corners = corners - corners[:, :1, :1]
        return UnimodalFunction(slopes, mixing, target, pairs, corners)


@dataclasses.dataclass(frozen=True)
class GonSettings:
    """What a fit does.

    Parameters
    ----------
    budget, batch
        Charged evaluations in all, and fresh uniform samples in each update.
    looks
        How often U is evaluated at the learned minimum.
    learning_rate, clip
        Adam's, falling to a hundredth along a cosine, and the largest norm of a
        gradient.
    pieces, corners
        Of each calibration, and along an axis of each lattice.
    seed
        Of weights and samples.

    Raises
    ------
    InputError
        For numbers that make no fit.
    """

    budget: int = 200_000
    batch: int = 128
    looks: int = 100
    learning_rate: float = 1e-2
    clip: float = 0.5
    pieces: int = 8
    corners: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(self, batch=1, looks=1, pieces=1, corners=2)
        if self.budget < 2 * self.batch:
            raise InputError(
                f"the budget is {self.budget} evaluations; give at least two batches "
                f"({2 * self.batch})"
            )
        check_positive(self, "learning_rate", "clip")


@dataclasses.dataclass(frozen=True)
class GonResult:
    """Outcome of :func:`fit_gon`: the learned minimum of lowest energy.

    ``records`` has a line per look, ``function`` is the last one learned, of points
    divided by the bound.
    """

    point: np.ndarray
    energy: float
    charged_evaluations: int
    records: list[dict[str, Any]]
    function: UnimodalFunction


class _State(NamedTuple):
    parameters: Any
    optimizer: Any


@pytree_dataclass
class _Fit:
    """One landscape with its settings, and the pairs of coordinates."""

    landscape: Any
    pairs: Int[Array, "k 2"]
    settings: GonSettings = static_field()

    @property
    def updates(self) -> int:
        """Batches that the budget allows, besides the looks."""
        settings = self.settings
        return max(1, (settings.budget - settings.looks) // settings.batch)

    def optimizer(self) -> optax.GradientTransformation:
        rate = self.settings.learning_rate
        schedule = optax.cosine_decay_schedule(rate, self.updates, alpha=0.01)
        clip = optax.clip_by_global_norm(self.settings.clip)
        return optax.chain(clip, optax.adam(schedule))

    def network(self) -> GonNetwork:
        settings = self.settings
        d = self.landscape.dimension
        return GonNetwork(d, settings.pieces, settings.corners)

    def function(self, parameters: Any) -> UnimodalFunction:
        made: Any = self.network().apply({"params": parameters}, self.pairs)
        return made

    def initial(self, key: Array) -> _State:
        """Weights whose minimum is a random point of the box."""
        weights, point = jax.random.split(key)
        parameters: Any = self.network().init(weights, self.pairs)["params"]
        begun = self.function(parameters)
        d = self.landscape.dimension
        guess = jax.random.uniform(point, (d,), minval=-1.0, maxval=1.0)
        target = begun.mixing @ begun.calibrated(guess)
        parameters = {**parameters, "target": target}
        return _State(parameters, self.optimizer().init(parameters))

    def update(self, key: Array, state: _State) -> tuple[_State, Array]:
        """One step of the regression on fresh samples."""
        shape = (self.landscape.dimension, self.settings.batch)
        points = jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        values = self.landscape.energy(points * self.landscape.bound)
        sound = jnp.isfinite(values)
        unit = jnp.std(values, where=sound)
        values = values / jnp.maximum(unit, jnp.finfo(values.dtype).tiny)

        def loss(parameters: Any) -> Array:
            raised = self.function(parameters).raised(points)
            return projected_loss(raised, values, sound)[0]

        value, gradient = jax.value_and_grad(loss)(state.parameters)
        with jax.numpy_dtype_promotion("standard"):
            change, inner = self.optimizer().update(
                gradient, state.optimizer, state.parameters
            )
        parameters = optax.apply_updates(state.parameters, change)
        return _State(parameters, inner), value

    def advance(self, key: Array, state: _State, begin: Array, end: Array) -> Any:
        """Updates up to ``end``; their summed loss, the minimum and its energy."""

        def take(number: Array, carry: tuple[_State, Array]) -> tuple[_State, Array]:
            state, losses = carry
            state, loss = self.update(jax.random.fold_in(key, number), state)
            return state, losses + loss

        start = (state, jnp.zeros(()))
        state, losses = jax.lax.fori_loop(begin, end, take, start)
        point = self.function(state.parameters).minimum() * self.landscape.bound
        return state, losses, point, self.landscape.energy(point)


_advance = compiled(_Fit.advance)


def fit_gon(
    landscape: Landscape,
    settings: GonSettings | None = None,
    measure: Callable[[np.ndarray], dict[str, Any]] | None = None,
) -> GonResult:
    """Fit a global optimization network to uniform samples of a landscape.

    Parameters
    ----------
    landscape
        What to minimise.
    settings
        How; the defaults when None.
    measure
        Called with every learned minimum; what it returns joins the records.
    """
    settings = GonSettings() if settings is None else settings
    # Every coordinate of z is in two lattices.
    order = np.random.default_rng(settings.seed).permutation(landscape.dimension)
    pairs = jnp.asarray(np.stack([order, np.roll(order, 1)], axis=1))
    # A new seed must not compile the updates again.
    fit = _Fit(landscape, pairs, dataclasses.replace(settings, seed=0))
    key, first = jax.random.split(jax.random.key(settings.seed))
    with promoting():
        state = fit.initial(first)
    records: list[dict[str, Any]] = []
    best, lowest = np.zeros(landscape.dimension, np.float32), np.inf
    ends = np.linspace(0, fit.updates, settings.looks + 1).astype(np.int32)
    for begin, end in itertools.pairwise(np.unique(ends)):
        state, losses, learned, value = _advance(fit, key, state, begin, end)
        point, energy = np.asarray(learned), float(value)
        line = {
            "update": int(end),
            "phase": "samples",
            "charged_evaluations": int(end) * settings.batch + len(records) + 1,
            "loss": float(losses) / int(end - begin),
            "energy": energy,
        }
        records.append({**line, **({} if measure is None else measure(point))})
        if energy < lowest or len(records) == 1:
            best, lowest = point, energy
    return GonResult(
        point=best,
        energy=lowest,
        charged_evaluations=records[-1]["charged_evaluations"],
        records=records,
        function=fit.function(state.parameters),
    )
