r"""Invertible networks with certified bounds, and functions with a single minimum.

    layer      F(x) = mu x + sqrt(g) Q^T L s( sqrt(g) L^-1 Q x + b ),  g = nu - mu,
               Q^T Q <= 1 (Cayley), L > 0 diagonal, slope of s in [0, 1]
    Jacobian   mu + g Q^T diag(s') Q, symmetric, between mu and nu
    network    G = P_k F_k ... P_1 F_1, P orthogonal (Cayley)
    function   f(x) = 1/2 d e^(2 a) (q + e)^p + c,  q = |G(x) - t|^2 / d

R. Wang, K. Dvijotham, I. R. Manchester, "Monotone, Bi-Lipschitz, and
Polyak-Lojasiewicz Networks", ICML 2024 (arXiv:2402.01344); the layer is theirs with one
hidden layer. The network's bounds are the products of its layers' and hold for all
weights: ``mu |x - y| <= |G(x) - G(y)| <= nu |x - y|``. So G has an inverse, the only
stationary point of f is ``G^-1(t)``. With p = 1, as in the paper, ``|grad f|^2 >= 2
e^(2 a) mu^2 (f - c)``; other powers are increasing functions of that f.
"""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.errors import InputError

__all__ = [
    "BiLipschitzMap",
    "BiLipschitzNetwork",
    "SingleMinimum",
    "SingleMinimumNetwork",
    "cayley",
]

Points = Float[Array, "d *batch"]
# e: a power of a distance below one half has a cusp at its minimum. In units of the
# bound, a thousandth of it in each coordinate.
SOFTENING = 1e-6


def cayley(free: Float[Array, "m n"]) -> Float[Array, "m n"]:
    """A matrix with orthonormal columns (rows if m < n) from any matrix.

    With ``free = [X; Y]``, X square, and ``A = X - X^T + Y^T Y``: the result is
    ``[(1 - A)(1 + A)^-1; -2 Y (1 + A)^-1]``. The inverse always exists, because the
    symmetric part of ``1 + A`` is positive definite.
    """
    rows, columns = free.shape
    if rows < columns:
        return cayley(free.T).T
    square, rest = free[:columns], free[columns:]
    skewed = square - square.T + rest.T @ rest
    one = jnp.eye(columns, dtype=free.dtype)
    stacked = jnp.concatenate([one - skewed, -2.0 * rest])
    return jnp.linalg.solve((one + skewed).T, stacked.T).T


def _column(vector: Array, like: Array) -> Array:
    return vector.reshape((-1,) + (1,) * (like.ndim - 1))


def _times(matrix: Array, points: Array) -> Array:
    flat = points.reshape((points.shape[0], -1))
    return (matrix @ flat).reshape((matrix.shape[0], *points.shape[1:]))


@pytree_dataclass
class BiLipschitzLayer:
    """One strongly monotone layer, its matrix already orthonormal, and a rotation."""

    matrix: Float[Array, "w d"]
    gain: Float[Array, " w"]
    bias: Float[Array, " w"]
    rotation: Float[Array, "d d"] | None
    mu: float = static_field()
    nu: float = static_field()

    def monotone(self, points: Points) -> Points:
        """``F(x)``, the layer without its rotation."""
        root = math.sqrt(self.nu - self.mu)
        inner = _times(self.matrix, points) * _column(root / self.gain, points)
        # tanh has a slope in (0, 1] and is smooth, so that gradient descent converges.
        hidden = jnp.tanh(inner + _column(self.bias, points))
        outer = hidden * _column(root * self.gain, points)
        return self.mu * points + _times(self.matrix.T, outer)

    def __call__(self, points: Points) -> Points:
        """Monotone layer, then rotation."""
        points = self.monotone(points)
        return points if self.rotation is None else _times(self.rotation, points)

    @property
    def contraction(self) -> float:
        """Rate at which the iteration of :meth:`inverse` contracts."""
        return (self.nu - self.mu) / (self.nu + self.mu)

    def inverse(self, images: Points, tolerance: float) -> Points:
        """The points with these images, by forward steps.

        ``x <- x - 2 / (mu + nu) (F(x) - y)`` contracts by ``(nu - mu) / (nu + mu)``,
        because the Jacobian of F is symmetric between mu and nu. It ends when
        ``|F(x) - y| / mu``, which bounds the error of x, is below ``tolerance (1 +
        |x|)`` for all points, or when rounding is all that is left to remove.
        """
        if self.rotation is not None:
            images = _times(self.rotation.T, images)
        step = 2.0 / (self.mu + self.nu)
        # From |x - x*| <= |F(x0) - y| / mu; more iterations only change rounding
        # errors.
        smallest = float(jnp.finfo(images.dtype).eps)
        most = math.ceil(math.log(1e-3 * smallest) / math.log(self.contraction))

        def error(points: Array) -> Array:
            return self.monotone(points) - images

        def unsettled(carry: tuple[Array, Array, Array]) -> Array:
            points, rest, count = carry
            bound = jnp.sqrt(jnp.sum(rest * rest, axis=0)) / self.mu
            size = 1.0 + jnp.sqrt(jnp.sum(points * points, axis=0))
            return jnp.any(bound > tolerance * size) & (count < most)

        def forward(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            points, rest, count = carry
            points = points - step * rest
            return points, error(points), count + 1

        start = images * step
        first = (start, error(start), jnp.zeros((), jnp.int32))
        return jax.lax.while_loop(unsettled, forward, first)[0]


@pytree_dataclass
class BiLipschitzMap:
    """The invertible map of a network's current weights, cheap to apply repeatedly."""

    layers: tuple[BiLipschitzLayer, ...]

    def __call__(self, points: Points) -> Points:
        """``G(x)``."""
        for layer in self.layers:
            points = layer(points)
        return points

    def inverse(self, images: Points, tolerance: float = 1e-6) -> Points:
        """``G^-1(y)``, layer by layer; ``tolerance`` is relative and of each layer.

        Not differentiable in reverse mode: a loop of unknown length.
        """
        for layer in reversed(self.layers):
            images = layer.inverse(images, tolerance)
        return images

    @property
    def bounds(self) -> tuple[float, float]:
        """Certified bounds of the stretching of distances, ``(mu, nu)``."""
        mu = math.prod(layer.mu for layer in self.layers)
        return mu, math.prod(layer.nu for layer in self.layers)


class BiLipschitzNetwork(nn.Module):
    """Free weights of a :class:`BiLipschitzMap` of ``dimension`` coordinates.

    Parameters
    ----------
    dimension
        Number of coordinates of points and images.
    mu, nu
        Bounds of the whole network, shared out evenly over the layers.
    layers, width
        Number of monotone layers, and of hidden units in each.
    rotations
        Orthogonal matrices after the layers. The matrix of the next layer can absorb
        each, and the last leaves ``|G(x) - t|`` as it is.

    Raises
    ------
    InputError
        When the weights are made, for an impossible size or bounds.
    """

    dimension: int
    mu: float = 0.3
    nu: float = 3.0
    layers: int = 3
    width: int = 64
    rotations: bool = True

    def check(self) -> None:
        """Refuse impossible sizes and bounds."""
        if self.dimension < 1:
            raise InputError(
                f"the dimension is {self.dimension}; give a whole number from 1"
            )
        if self.layers < 1 or self.width < 1:
            raise InputError(
                f"a network of {self.layers} layers of width {self.width}; give at "
                "least 1 of each"
            )
        if not (0 < self.mu < self.nu and math.isfinite(self.nu)):
            raise InputError(
                f"the bounds are mu = {self.mu} and nu = {self.nu}; give 0 < mu < nu"
            )

    @nn.compact
    def __call__(self) -> BiLipschitzMap:
        """The invertible map of the weights."""
        self.check()
        mu, nu = self.mu ** (1 / self.layers), self.nu ** (1 / self.layers)
        lecun: Any = nn.initializers.lecun_normal()
        d, w = self.dimension, self.width

        def spread(key: Array, shape: tuple[int, ...]) -> Array:
            # Biases make the units bend in different parts of the box.
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)

        made = []
        for k in range(self.layers):
            matrix = cayley(self.param(f"matrix_{k}", lecun, (w, d)))
            log_gain = self.param(f"log_gain_{k}", nn.initializers.zeros, (w,))
            bias = self.param(f"bias_{k}", spread, (w,))
            rotation = None
            if self.rotations:
                rotation = cayley(self.param(f"rotation_{k}", lecun, (d, d)))
            made.append(
                BiLipschitzLayer(matrix, jnp.exp(log_gain), bias, rotation, mu, nu)
            )
        return BiLipschitzMap(tuple(made))


@pytree_dataclass
class SingleMinimum:
    """``f(x) = 1/2 d e^(2 a) ((q + e)^p - e^p) + c`` with ``q = |G(x) - t|^2 / d``.

    One minimum and no other stationary point, for every p above 0. With p = 1 it is
    ``1/2 e^(2 a) |G(x) - t|^2 + c``, with p = 1/2 a cone. ``curvature`` is ``e^(2 a)``,
    e is :data:`SOFTENING`. Points are in the network's units.
    """

    map: BiLipschitzMap
    target: Float[Array, " d"]
    curvature: Float[Array, ""]
    constant: Float[Array, ""]
    power: float | Float[Array, ""] = 1.0

    def bowl(self, points: Points) -> Float[Array, "*batch"]:
        """``1/2 |G(x) - t|^2``, of which f is an increasing function."""
        difference = self.map(points) - _column(self.target, points)
        return 0.5 * jnp.sum(difference * difference, axis=0)

    def raised(self, points: Points) -> Float[Array, "*batch"]:
        """``1/2 d ((q + e)^p - e^p)``: f without its two linear coefficients."""
        d = self.target.shape[0]
        mean = 2.0 / d * self.bowl(points)
        return 0.5 * d * ((mean + SOFTENING) ** self.power - SOFTENING**self.power)

    def __call__(self, points: Points) -> Float[Array, "*batch"]:
        """``f(x)``."""
        return self.curvature * self.raised(points) + self.constant

    def gradient(self, points: Points) -> Points:
        """``df/dx``."""
        return jax.grad(lambda p: jnp.sum(self(p)))(points)

    def minimum(self, tolerance: float = 1e-6) -> Float[Array, " d"]:
        """``G^-1(t)``, where f is lowest."""
        return self.map.inverse(self.target, tolerance)

    def inequality(self) -> Array:
        """M of the Polyak-Lojasiewicz inequality ``|grad f|^2 >= 2 m (f - c)``.

        It holds with power 1.
        """
        return self.curvature * self.map.bounds[0] ** 2


class SingleMinimumNetwork(nn.Module):
    """Free weights of a :class:`SingleMinimum`.

    Parameters
    ----------
    network
        Of the invertible map.
    power
        First value of the power, which is learned; None: it stays 1.
    """

    network: BiLipschitzNetwork
    power: float | None = None

    @nn.compact
    def __call__(self) -> SingleMinimum:
        """The function of the weights."""
        d = self.network.dimension
        zeros = nn.initializers.zeros
        target = self.param("target", zeros, (d,))
        log_scale = self.param("log_scale", zeros, ())
        constant = self.param("constant", zeros, ())
        curvature = jnp.exp(2.0 * log_scale)
        power = 1.0
        if self.power is not None:
            power = self.power * jnp.exp(self.param("log_power", zeros, ()))
        return SingleMinimum(self.network(), target, curvature, constant, power)

    def initial(
        self, key: Array, minimum: Float[Array | np.ndarray, " d"]
    ) -> dict[str, Any]:
        """Random weights whose function has its minimum at ``minimum``."""
        parameters: Any = self.init(key)["params"]
        made: Any = self.apply({"params": parameters})
        return {**parameters, "target": made.map(jnp.asarray(minimum))}
