"""Adam with learned hyperparameters: four numbers instead of a network.

"Adam4p" of L. Metz, N. Maheswaranathan, J. Nixon, C. D. Freeman, J. Sohl-Dickstein,
"Understanding and correcting pathologies in the training of learned optimizers", ICML
2019 (arXiv:1810.10180); the Learn2Hop paper tunes its Adam in this way (appendix C.1).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.errors import InputError
from ase_l2h.rules.adam import Adam
from ase_l2h.rules.base import Observation
from ase_l2h.system import System

__all__ = ["Adam4pRule", "Adam4pStart"]


@dataclasses.dataclass(frozen=True)
class Adam4pStart:
    """Where training begins.

    Parameters
    ----------
    rate
        Learning rate; the paper begins with each of 0.01, 0.005 and 0.001.

    Raises
    ------
    InputError
        For a rate that is not a number above 0.
    """

    rate: float = 0.01

    def __post_init__(self) -> None:
        number = isinstance(self.rate, (int, float)) and not isinstance(self.rate, bool)
        if not number or not 0 < self.rate < math.inf:
            raise InputError(f"rate is {self.rate!r}; give a number above 0")


@pytree_dataclass
class Adam4pRule:
    """Adam whose rate, decays and offset are learned.

    Parameters
    ----------
    theta
        ``log_rate`` and ``log_eps``, natural logarithms; ``logit_b1`` and ``logit_b2``,
        log-odds of the decays. So every number means a rate or offset above 0 and
        decays between 0 and 1, and a step of one size is a change by one factor.
    time_scale
        Nothing here depends on the time: without effect.
    features
        Where training began.
    """

    theta: Mapping[str, Float[Array | np.ndarray, "..."]]
    time_scale: float | Float[Array | np.ndarray, ""] = 1.0
    features: Adam4pStart = static_field(default=Adam4pStart())

    reference_horizon: ClassVar[int] = 50_000
    features_type: ClassVar[type] = Adam4pStart

    @classmethod
    def create(
        cls,
        key: Array,
        features: Adam4pStart | None = None,
        time_scale: float = 1.0,
    ) -> Adam4pRule:
        """Adam as it comes (0.9, 0.999, 1e-8), with the rate of ``features``."""
        del key
        features = Adam4pStart() if features is None else features
        theta = {
            "log_rate": jnp.asarray(math.log(features.rate), jnp.float32),
            "logit_b1": jnp.asarray(math.log(0.9 / 0.1), jnp.float32),
            "logit_b2": jnp.asarray(math.log(0.999 / 0.001), jnp.float32),
            "log_eps": jnp.asarray(math.log(1e-8), jnp.float32),
        }
        return cls(theta=theta, time_scale=time_scale, features=features)

    @property
    def adam(self) -> Adam:
        """The optimizer that the numbers stand for."""
        theta = {name: jnp.asarray(value) for name, value in self.theta.items()}
        return Adam(
            rate=jnp.exp(theta["log_rate"]),
            b1=jax.nn.sigmoid(theta["logit_b1"]),
            b2=jax.nn.sigmoid(theta["logit_b2"]),
            eps=jnp.exp(theta["log_eps"]),
        )

    def init(self, system: System, positions: Float[Array, "3 n *batch"]) -> Any:
        """Adam's."""
        return self.adam.init(system, positions)

    def update(
        self, key: Array, observation: Observation, state: Any
    ) -> tuple[Float[Array, "3 n *batch"], Any]:
        """Adam's displacement."""
        return self.adam.update(key, observation, state)
