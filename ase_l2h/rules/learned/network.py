"""The rule's small network, feature-major, in flax.

Two dense layers of 32 with ReLU and a zero-initialised output layer (appendix D.3).
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["FeatureMajorNetwork", "initial_parameters"]


def _contract(kernel: Array, inputs: Array) -> Array:
    """``kernel^T inputs`` over the leading (feature) axis: ``(out, *rest)``."""
    flat = inputs.reshape((inputs.shape[0], -1))
    return (kernel.T @ flat).reshape((kernel.shape[1], *inputs.shape[1:]))


class FeatureMajorNetwork(nn.Module):
    """Dense layers over a leading feature axis, the batch staying last.

    The first layer takes its inputs as a tuple of blocks ``(f_b, *shape_b)`` whose
    trailing shapes broadcast against each other: inputs that do not depend on the
    coordinate (radial sums) or on the atom (step sines) are multiplied once and
    broadcast, instead of being repeated per coordinate.
    """

    hidden: int = 32
    layers: int = 2
    outputs: int = 2

    @nn.compact
    def __call__(self, blocks: tuple[Float[Array, "..."], ...]) -> Float[Array, "..."]:
        """Outputs ``(outputs, *broadcast shape)``."""
        widths = [block.shape[0] for block in blocks]
        lecun: Any = nn.initializers.lecun_normal()
        kernel = self.param("kernel_0", lecun, (sum(widths), self.hidden))
        bias = self.param("bias_0", nn.initializers.zeros, (self.hidden,))
        total: Array | None = None
        row = 0
        for width, block in zip(widths, blocks, strict=True):
            part = _contract(kernel[row : row + width], block)
            row += width
            total = part if total is None else total + part
        assert total is not None, "a network needs at least one block of inputs"
        column = (self.hidden,) + (1,) * (total.ndim - 1)
        activation = nn.relu(total + bias.reshape(column))
        for layer in range(1, self.layers):
            kernel = self.param(f"kernel_{layer}", lecun, (self.hidden, self.hidden))
            bias = self.param(f"bias_{layer}", nn.initializers.zeros, (self.hidden,))
            activation = nn.relu(_contract(kernel, activation) + bias.reshape(column))
        zeros = nn.initializers.zeros
        kernel = self.param("kernel_out", zeros, (self.hidden, self.outputs))
        bias = self.param("bias_out", zeros, (self.outputs,))
        out_column = (self.outputs,) + (1,) * (total.ndim - 1)
        return _contract(kernel, activation) + bias.reshape(out_column)


def initial_parameters(
    key: Array, network: FeatureMajorNetwork, n_inputs: int
) -> dict[str, Array]:
    """LeCun-normal weights, zero output layer, as a flat dictionary."""
    variables = network.init(key, (jnp.zeros((n_inputs, 1)),))
    return {name: jnp.asarray(leaf) for name, leaf in variables["params"].items()}
