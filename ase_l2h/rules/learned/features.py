"""Inputs of the paper's rule, each group switchable (Table 1 of Learn2Hop).

A. Merchant, L. Metz, S. S. Schoenholz, E. D. Cubuk, "Learn2Hop: Learned Optimization on
Rough Landscapes", ICML 2021 (arXiv:2107.09661). Radial functions: J. Behler and
M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007). Log-magnitude map: M. Andrychowicz
et al., NeurIPS 2016.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ase_l2h.errors import InputError
from ase_l2h.potentials.base import over_neighbours
from ase_l2h.system import System

__all__ = [
    "DECAYS",
    "ETAS",
    "RADIAL_CUTOFF",
    "STEP_PERIODS",
    "FeatureSet",
    "Moments",
    "check_switches",
    "coordinate_features",
    "initial_moments",
    "log_magnitude",
    "radial_functions",
    "scaled_time",
    "step_sines",
    "update_moments",
]

# The paper names six decays without values; these are the ones of the optimizer it
# builds on (Metz et al. 2019, as in learned_optimization's mlp_lopt).
DECAYS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
ETAS = (0.0009, 0.01, 0.02, 0.035, 0.06, 0.1, 0.2, 0.4)
STEP_PERIODS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
RADIAL_CUTOFF = 2.5
LOG_RANGE = 10.0
MOMENT_OFFSET = 1e-8


def check_switches(features: Any) -> None:
    """Refuse a set of features whose switches are not booleans.

    They come from weight files and configurations, and decide the shapes of arrays.
    """
    for field in dataclasses.fields(features):
        value = getattr(features, field.name)
        if isinstance(field.default, bool) and not isinstance(value, bool):
            raise InputError(f"feature '{field.name}' is {value!r}; give true or false")


@dataclasses.dataclass(frozen=True)
class FeatureSet:
    """Which inputs the rule sees (the rows of the paper's Table 3).

    ``species_slots`` is the number of species told apart; with one slot all atoms look
    alike, and the weights serve any composition.

    Raises
    ------
    InputError
        For switches that are neither true nor false, a number of slots below 1, and
        when everything is switched off.
    """

    gradients: bool = True
    positions: bool = True
    decays: bool = True
    adam_like: bool = True
    singular: bool = True
    species: bool = True
    step: bool = True
    radial: bool = True
    species_slots: int = 1

    def __post_init__(self) -> None:
        check_switches(self)
        slots = self.species_slots
        if type(slots) is not int or slots < 1:
            raise InputError(f"species_slots is {slots!r}; give a whole number from 1")
        if self.n_inputs == 0:
            raise InputError("every group of inputs is off; switch at least one on")

    @property
    def n_coordinate(self) -> int:
        """Inputs that differ between coordinates, before the two-part log map."""
        pairs = 2 * len(DECAYS)
        groups = (self.gradients, self.positions)
        return sum(groups) + pairs * (self.decays + self.adam_like)

    @property
    def n_radial(self) -> int:
        """Radial sums per atom, before the two-part log map."""
        return len(ETAS) * self.species_slots * self.radial

    @property
    def n_species(self) -> int:
        """One-hot inputs; one species needs none, the bias does its work."""
        several = self.species and self.species_slots > 1
        return self.species_slots if several else 0

    @property
    def n_step(self) -> int:
        """Number of inputs that all atoms share, which are step sines and size."""
        return len(STEP_PERIODS) * self.step + self.singular

    @property
    def n_inputs(self) -> int:
        """Width of the first layer, 78 with everything on and one species."""
        paired = 2 * (self.n_coordinate + self.n_radial)
        return paired + self.n_species + self.n_step


class Moments(NamedTuple):
    """Exponential averages of the gradient and its square per decay."""

    first: Float[Array, "decays 3 n *batch"]
    second: Float[Array, "decays 3 n *batch"]


def _decay_column(ndim: int, dtype: jnp.dtype) -> Array:
    return jnp.asarray(DECAYS, dtype).reshape((-1,) + (1,) * ndim)


def initial_moments(positions: Float[Array, "3 n *batch"]) -> Moments:
    """Zero averages."""
    zeros = jnp.zeros((len(DECAYS), *positions.shape), positions.dtype)
    return Moments(zeros, zeros)


def update_moments(moments: Moments, gradient: Float[Array, "3 n *batch"]) -> Moments:
    """``m <- d m + (1 - d) g`` and ``v <- d v + (1 - d) g^2`` for every decay d."""
    decay = _decay_column(gradient.ndim, gradient.dtype)
    return Moments(
        decay * moments.first + (1 - decay) * gradient,
        decay * moments.second + (1 - decay) * (gradient * gradient),
    )


def log_magnitude(
    values: Float[Array, "*shape"],
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Two-part map: ``(log|x|/p, sign x)`` if ``|x| > exp(-p)``, else ``(-1, x e^p)``.

    p = 10. The paper prints the condition on x; it must be on abs(x).
    """
    size = jnp.abs(values)
    large = size > math.exp(-LOG_RANGE)
    magnitude = jnp.log(jnp.where(large, size, math.exp(-LOG_RANGE))) / LOG_RANGE
    direction = jnp.where(large, jnp.sign(values), values * math.exp(LOG_RANGE))
    return magnitude, direction


def coordinate_features(
    features: FeatureSet,
    positions: Float[Array, "3 n *batch"],
    gradient: Float[Array, "3 n *batch"],
    moments: Moments,
    step: Int[Array, "*count"],
) -> Float[Array, "inputs 3 n *batch"]:
    """The inputs that differ between coordinates, before the log map.

    Gradient, position, moments, ``m_hat rsqrt(v_hat + 1e-8)`` and
    ``rsqrt(v_hat + 1e-8)``, hats for the bias correction at 1-based ``step``.
    """
    groups = []
    if features.gradients:
        groups.append(gradient[None])
    if features.positions:
        groups.append(positions[None])
    if features.decays:
        groups.extend(moments)
    if features.adam_like:
        decay = _decay_column(gradient.ndim, gradient.dtype)
        count = step.astype(gradient.dtype)
        # 1 - d^t by expm1: at d = 0.9999 and t = 1 the difference loses four digits.
        correction = -1.0 / jnp.expm1(count * jnp.log(decay))
        inverse = jax.lax.rsqrt(moments.second * correction + MOMENT_OFFSET)
        groups.extend([moments.first * correction * inverse, inverse])
    return jnp.concatenate(groups, axis=0)


def _cosine_switch(u: Array) -> Array:
    """``(cos(pi sqrt(u)) + 1) / 2`` for u in [0, 1], else 0; u = (r / cutoff)^2.

    cos(sqrt(x)) is entire in x, so nine Taylor terms give 1e-7 without a root.
    """
    inside = u < 1
    x = jnp.where(inside, u, 0.0) * math.pi**2
    cosine = jnp.zeros_like(x)
    for k in range(9, -1, -1):
        cosine = cosine * x + (-1) ** k / math.factorial(2 * k)
    return jnp.where(inside, 0.5 * (cosine + 1.0), 0.0)


def _gaussians(x: Array) -> list[Array]:
    """``exp(-eta x)`` for every eta, for x up to ``RADIAL_CUTOFF**2``, to 1e-6.

    0.01, 0.02, 0.035 and 0.06 are multiples of 0.005, and 0.2 and 0.4 of 0.1: three
    Taylor series and a few products take the place of eight exponentials.
    """
    weakest = _taylor_exponential(x * -0.0009, 3)
    low = _taylor_exponential(x * -0.005, 4)
    middle = low * low
    second = middle * middle
    high = _taylor_exponential(x * -0.1, 9)
    higher = high * high
    return [
        weakest,
        middle,
        second,
        second * middle * low,
        second * second * second,
        high,
        higher,
        higher * higher,
    ]


def _taylor_exponential(x: Array, degree: int) -> Array:
    series = jnp.full_like(x, 1 / math.factorial(degree))
    for k in range(degree - 1, -1, -1):
        series = series * x + 1 / math.factorial(k)
    return series


def radial_functions(
    positions: Float[Array, "3 n *batch"], system: System, species_slots: int = 1
) -> Float[Array, "radial n *batch"]:
    """Behler-Parrinello sums per neighbour species, in reduced units.

        phi_k = sum_j exp(-eta_k r^2) (cos(pi r / 2.5) + 1) / 2,   r < 2.5

    A loop over neighbours with the batch in the vector lanes: no pair array is stored.
    Periodic systems sum over ``system.feature_images``.
    """
    n, batch = positions.shape[1], positions.shape[2:]
    dtype = positions.dtype
    species = jnp.asarray(system.species)

    def add(_: Array, squared: Array, j: Array, sums: list[Array]) -> list[Array]:
        switch = _cosine_switch(squared / RADIAL_CUTOFF**2)
        near = jnp.where(switch > 0, squared, 0.0)
        terms = [switch * term for term in _gaussians(near)]
        if species_slots > 1:
            slots = jnp.arange(species_slots).reshape((-1,) + (1,) * squared.ndim)
            slot = jax.lax.dynamic_index_in_dim(species, j, 0, keepdims=False)
            chosen = (slots == slot).astype(dtype)
            terms = [chosen * term for term in terms]
        return [total + term for total, term in zip(sums, terms, strict=True)]

    start = [jnp.zeros((species_slots, n, *batch), dtype) for _ in ETAS]
    sums = over_neighbours(positions, system, add, start, system.feature_images)
    return jnp.stack(sums, axis=1).reshape((-1, n, *batch))


def scaled_time(
    step: Int[Array, "*count"],
    time_scale: float | Float[Array | np.ndarray, ""],
    dtype: Any,
) -> Float[Array, "*count"]:
    """The clock that the sines see: ``step * time_scale``."""
    return step.astype(dtype) * jnp.asarray(time_scale, dtype)


def step_sines(time: Float[Array, "*count"]) -> Float[Array, "9 *count"]:
    """``sin(t / tau)`` for tau = 1, 3, 10, ..., 10000; of one clock, or of each's own.

    The angle is reduced with 2 pi split in three, because single-precision sines of
    50,000 rad are wrong on some devices. What remains is the rounding of ``t / tau``
    itself (or of t times a rounded 1 / tau, as XLA likes it): up to 3e-3 at 16,667 rad.
    """
    periods = jnp.asarray(STEP_PERIODS, time.dtype)
    angle = time / periods.reshape((-1,) + (1,) * time.ndim)
    turns = jnp.round(angle / (2 * math.pi))
    for part in (6.28125, 0.0019350051879882812, 3.0199159795e-07):
        angle = angle - turns * np.asarray(part, time.dtype)
    return jnp.sin(angle)
