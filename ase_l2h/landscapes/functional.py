r"""The action of paths, as the paper approximates it.

Overdamped Langevin motion ``dX = -grad U dt + sqrt(C) dW`` goes along a path x(s) with
probability ``exp(-S[x] / C)``, the action S being the mean squared deviation of the
path from gradient descent on U (A. B. Adib, J. Phys. Chem. B 112, 5910 (2008)). The
paths are those of gradient descent on a function f with a single minimum, and S is
replaced by how far the values of f and U along them differ:

    L = 1/n sum_i 1/|J_i| sum_{j in J_i} (f(x_ij) - U(x_ij))^2

("Discovering global minimum of high dimensional energy landscapes", section 4.2). L = 0
does not make the paths descend on U: :func:`deviation` measures what was replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ase_l2h.landscapes.bilipschitz import SingleMinimum

__all__ = [
    "Coefficients",
    "Paths",
    "deviation",
    "gradient_paths",
    "largest_separation",
    "projected_loss",
]

Pair = tuple[Array, Array]


# Least share of the deviation of U that f explains, see projected_loss.
LEAST_SHARE = 0.1


class Coefficients(NamedTuple):
    """Curvature and constant of f, in which it is linear."""

    curvature: Float[Array, ""]
    constant: Float[Array, ""]


class Paths(NamedTuple):
    """Points of paths, the step before the path.

    ``counted`` is False after all paths have met.
    """

    points: Float[Array, "d t m"]
    counted: Bool[Array, " t"]


def largest_separation(points: Float[Array, "d m"]) -> Float[Array, ""]:
    """The largest distance between two of the points."""
    # Differences from the centre, so that rounding of the products below is relative to
    # the separation, not to the distance from the origin.
    points = points - jnp.mean(points, axis=1, keepdims=True)
    products = points.T @ points
    squares = jnp.diagonal(products)
    squared = squares[:, None] + squares[None, :] - 2.0 * products
    return jnp.sqrt(jnp.maximum(jnp.max(squared), 0.0))


def gradient_paths(
    function: SingleMinimum,
    starts: Float[Array, "d m"],
    rate: float | Float[Array, ""],
    steps: int,
    tolerance: float | Float[Array, ""],
) -> Paths:
    """Gradient descent on ``function`` from every start, until all have met.

    Parameters
    ----------
    function
        f. It is held fixed: no derivative passes through the paths.
    starts
        First points of the paths.
    rate
        Step in units of ``1 / nu^2``, the curvature along the steepest direction that
        the bounds allow. The descent is on ``1/2 |G(x) - t|^2``: f is an increasing
        function of it, so the curves are the same.
    steps
        Points per path, the start included.
    tolerance
        Paths have met when no two points are further apart than this.
    """
    function = jax.lax.stop_gradient(function)
    step = rate / function.map.bounds[1] ** 2
    slope = jax.grad(lambda points: jnp.sum(function.bowl(points)))

    def descend(carry: Pair, _: None) -> tuple[Pair, Pair]:
        points, apart = carry
        apart = apart & (largest_separation(points) > tolerance)
        following = points - step * slope(points)
        following = jnp.where(apart, following, points)
        return (following, apart), (points, apart)

    start = (starts, jnp.ones((), bool))
    _, (points, counted) = jax.lax.scan(descend, start, None, length=steps)
    # The starts always count, however close together they are.
    return Paths(jnp.moveaxis(points, 0, 1), counted.at[0].set(True))


def projected_loss(
    raised: Float[Array, "*batch"],
    values: Float[Array, "*batch"],
    counted: Bool[Array, "*batch"],
) -> tuple[Float[Array, ""], Coefficients]:
    """Mean of ``(f - U)^2`` over the counted points where U has a value.

    ``raised`` is f at the points without curvature and constant, in which f is linear.
    These two are fitted to the points instead of being learned (variable projection, G.
    H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10, 413 (1973)): in many dimensions
    they would have to follow every step of the minimum, by many times the variation of
    f over the box.

    Zero when there are no such points.
    """
    counted = counted & jnp.isfinite(values)
    number = jnp.maximum(jnp.sum(counted, dtype=values.dtype), 1.0)

    def mean(numbers: Array) -> Array:
        return jnp.sum(jnp.where(counted, numbers, 0.0)) / number

    values = jnp.where(counted, values, 0.0)
    highs = values - mean(values)
    rises = raised - mean(raised)
    squared = jnp.maximum(mean(rises**2), jnp.finfo(values.dtype).tiny)
    # Where f falls as U rises, the fitted curvature would be negative, and at zero
    # nothing would be learned. So a small share of the curvature that would explain all
    # of U is the lower bound.
    least = LEAST_SHARE * jnp.sqrt(mean(highs**2) / squared)
    curvature = jnp.maximum(mean(highs * rises) / squared, least)
    curvature = jax.lax.stop_gradient(curvature)
    constant = mean(values) - curvature * mean(raised)
    loss = mean((highs - curvature * rises) ** 2)
    return loss, Coefficients(curvature, jax.lax.stop_gradient(constant))


def deviation(
    energy: Callable[[Array], Array], paths: Paths
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """What the loss replaces: how far the paths are from gradient descent on U.

    Parameters
    ----------
    energy
        U of points ``(d, *batch)``, in the paths' units.
    paths
        From :func:`gradient_paths`.

    Returns
    -------
    tuple
        Mean over the counted steps of ``1 - cos``, the angle being that between a step
        and ``-grad U`` (0: descent, 1: unrelated, 2: ascent), and the share of the
        steps that go downhill in U.
    """
    points = paths.points
    steps = points[:, 1:] - points[:, :-1]
    slopes = jax.grad(lambda p: jnp.sum(energy(p)))(points)[:, :-1]
    along = -jnp.sum(steps * slopes, axis=0)
    lengths = jnp.linalg.norm(steps, axis=0) * jnp.linalg.norm(slopes, axis=0)
    counted = paths.counted[1:, None] & (lengths > 0) & jnp.isfinite(along)
    cosine = jnp.where(counted, along / jnp.where(counted, lengths, 1.0), 0.0)
    values = energy(points)
    lower = values[1:] < values[:-1]
    number = jnp.maximum(jnp.sum(counted, dtype=cosine.dtype), 1.0)
    return (
        jnp.sum(jnp.where(counted, 1.0 - cosine, 0.0)) / number,
        jnp.sum(lower & counted, dtype=cosine.dtype) / number,
    )
