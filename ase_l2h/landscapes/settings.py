"""What a run of Algorithm 1 does, with the choices that its paper leaves open."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import optax

from ase_l2h.errors import InputError
from ase_l2h.landscapes.bilipschitz import BiLipschitzNetwork, SingleMinimumNetwork

__all__ = ["ActionSettings", "check_least", "check_positive"]


def check_least(settings: Any, **least: int) -> None:
    """Refuse settings below the bounds given by name."""
    for name, bound in least.items():
        value = getattr(settings, name)
        if value < bound:
            raise InputError(f"{name} is {value}; give at least {bound}")


def check_positive(settings: Any, *names: str) -> None:
    """Refuse settings that are not finite and above 0."""
    for name in names:
        value = getattr(settings, name)
        if not (value > 0 and math.isfinite(value)):
            raise InputError(f"{name} is {value}; give a number above 0")


@dataclasses.dataclass(frozen=True)
class ActionSettings:
    """What a run does.

    Parameters
    ----------
    budget
        Charged evaluations in all: values of U, of samples and of points of paths.
    warm, batch
        Share of the budget for uniform samples (1: regression alone), and fresh samples
        in each update.
    paths, path_steps
        Paths in each later update, and the most points of a path.
    path_rate, path_tolerance
        Step of the descent, see
        :func:`~ase_l2h.landscapes.functional.gradient_paths`, and
        the separation at which the paths have met, in units of the bound.
    looks
        How often, spread over the budget, U is evaluated at the learned minimum.
    learning_rate, path_learning_rate, clip
        Adam's at the beginning of each phase, falling to a hundredth along a cosine,
        and the largest norm of a gradient (the paper's 0.5).
    mu, nu, layers, width, rotations, power
        Of the network. Directions that no hidden unit looks along are scaled alike, so
        ``width`` bounds how much of the shape is learned, and the cost. Rotations
        between layers add nothing that the layers' own matrices cannot do. ``power``
        is the first one of f, see
        :class:`~ase_l2h.landscapes.bilipschitz.SingleMinimum`; None: 1, not learned.
    seed
        Of weights, samples and paths.

    Raises
    ------
    InputError
        For numbers that make no run.
    """

    budget: int = 200_000
    warm: float = 0.5
    batch: int = 128
    paths: int = 16
    path_steps: int = 8
    path_rate: float = 1.0
    path_tolerance: float = 0.01
    looks: int = 100
    learning_rate: float = 1e-2
    path_learning_rate: float = 2e-3
    clip: float = 0.5
    mu: float = 0.7
    nu: float = 1.4
    layers: int = 2
    width: int = 16
    rotations: bool = False
    power: float | None = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.warm <= 1:
            raise InputError(f"warm is {self.warm}; give a share from 0 to 1")
        # Charges are counted in 32 bits, with room for the last update.
        if not self.batch < self.budget <= 10**9:
            raise InputError(
                f"the budget is {self.budget} evaluations; give more than one batch "
                f"({self.batch}), at most 1000000000"
            )
        check_least(self, batch=1, paths=1, path_steps=1, looks=1)
        check_positive(self, "path_rate", "path_tolerance", "learning_rate")
        check_positive(self, "path_learning_rate", "clip")
        if self.power is not None:
            check_positive(self, "power")
        if not 0 <= self.seed < 2**32:
            raise InputError(
                f"the seed is {self.seed}; give a number from 0 to 2^32 - 1"
            )
        self.network(1).network.check()

    def compiled(self) -> ActionSettings:
        """The settings without those that a compiled update does not depend on.

        Runs that differ only in those share the compiled update.
        """
        return dataclasses.replace(
            self,
            seed=0,
            budget=10**9,
            warm=0.0,
            looks=1,
            learning_rate=1.0,
            path_learning_rate=1.0,
        )

    def network(self, dimension: int) -> SingleMinimumNetwork:
        """The network for points of ``dimension`` coordinates."""
        network = BiLipschitzNetwork(
            dimension, self.mu, self.nu, self.layers, self.width, self.rotations
        )
        network.check()
        return SingleMinimumNetwork(network, self.power)

    def optimizer(self) -> optax.GradientTransformation:
        """Clipped Adam of unit rate."""
        return optax.chain(optax.clip_by_global_norm(self.clip), optax.adam(1.0))
