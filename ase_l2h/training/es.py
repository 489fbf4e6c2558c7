"""Antithetic evolution strategy, and the contract of every estimator.

    g = mean_eps [ L(theta + eps) - L(theta - eps) ] eps / (2 sigma^2)          (Eq. 3)

with eps = sigma times a unit-normal direction. A. Merchant et al., "Learn2Hop", ICML
2021, section 3.2. The sign of the difference instead of the difference was used later
by the same group against exploding losses (L. Metz et al., "VeLO", arXiv:2211.09760);
centred ranks are those of T. Salimans et al., arXiv:1703.03864.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import optax
from numpy.typing import NDArray

from ase_l2h.errors import InputError

__all__ = ["ES", "SHAPINGS", "Estimator"]

Floats = NDArray[np.floating]
SHAPINGS = ("none", "sign", "ranks")


@runtime_checkable
class Estimator(Protocol):
    """Turns losses of perturbed weights into the next weights.

    ``signs`` are the arms of every direction: the weights ``theta + sign * sigma *
    noise`` are unrolled for each. :meth:`gradient` is handed to :meth:`outer`, an optax
    optimizer, whose state is checkpointed.
    """

    sigma: float
    signs: tuple[float, ...]

    def outer(self, schedule: Any) -> optax.GradientTransformation:
        """The optimizer that follows the gradient at the learning rate ``schedule``."""
        ...

    def gradient(self, noise: Floats, base: Floats, arms: Floats) -> Floats:
        """The estimate, see :meth:`ES.gradient`."""
        ...


class ES:
    """Antithetic evolution strategy, followed by Adam.

    Parameters
    ----------
    sigma
        Standard deviation of the perturbations.
    shaping
        ``"none"``, the losses themselves; ``"sign"``, of each direction only which arm
        is lower; ``"ranks"``, the ranks of all arms, from -1/2 to 1/2.
    """

    signs = (1.0, -1.0)

    def __init__(self, sigma: float = 0.1, shaping: str = "none") -> None:
        if not sigma > 0:
            raise InputError(f"sigma is {sigma}; give a positive perturbation scale")
        if shaping not in SHAPINGS:
            raise InputError(
                f"shaping is '{shaping}'; choose one of {', '.join(SHAPINGS)}"
            )
        self.sigma = sigma
        self.shaping = shaping

    def outer(self, schedule: Any) -> optax.GradientTransformation:
        """Adam."""
        return optax.adam(schedule)

    def clipped(self, base: Floats, arms: Floats) -> Floats:
        """The arms' losses that enter the difference."""
        del base
        return arms

    def gradient(self, noise: Floats, base: Floats, arms: Floats) -> Floats:
        """Average the antithetic differences.

        Parameters
        ----------
        noise
            Unit-normal directions ``(directions, parameters)``.
        base
            Losses ``(directions, starts)`` of theta from the starts of each direction,
            finite and capped at 0 beforehand: capping at +inf would make inf - inf.
        arms
            Losses ``(2, directions, starts)`` of theta + sigma noise and theta - sigma
            noise from the same starts, likewise.

        Returns
        -------
        numpy.ndarray
            ``(parameters,)``.
        """
        # Relative to the base, so that directions of different tasks are comparable.
        means = np.mean(self.clipped(base, arms) - base, axis=2)
        if self.shaping == "ranks":
            order = np.argsort(np.argsort(means, axis=None, kind="stable"))
            means = order.reshape(means.shape) / (means.size - 1) - 0.5
        difference = means[0] - means[1]
        if self.shaping == "sign":
            difference = np.sign(difference)
        return (difference / (2 * self.sigma)) @ noise / len(noise)
