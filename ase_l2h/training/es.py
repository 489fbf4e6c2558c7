"""Evolution-strategy meta-gradients: antithetic ES and ESMC.

    ES     g = mean_eps [ L(theta + eps) - L(theta - eps) ] eps / (2 sigma^2)   (Eq. 3)
    ESMC   the same with every loss clipped from above at L(theta) of its start (Eq. 4)

with eps = sigma times a unit-normal direction. A. Merchant et al., "Learn2Hop", ICML
2021, section 3.2.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["ES", "ESMC", "Estimator"]

Floats = NDArray[np.floating]


@runtime_checkable
class Estimator(Protocol):
    """Turns losses of perturbed weights into one meta-gradient."""

    sigma: float

    def gradient(
        self, noise: Floats, base: Floats, plus: Floats, minus: Floats
    ) -> Floats:
        """The estimate, see :meth:`ES.gradient`."""
        ...


class ES:
    """Antithetic evolution strategy.

    Parameters
    ----------
    sigma
        Standard deviation of the perturbations.
    """

    clipped = False

    def __init__(self, sigma: float = 0.1) -> None:
        if not sigma > 0:
            raise ValueError(f"sigma is {sigma}; give a positive perturbation scale")
        self.sigma = sigma

    def gradient(
        self, noise: Floats, base: Floats, plus: Floats, minus: Floats
    ) -> Floats:
        """Average the antithetic differences.

        Parameters
        ----------
        noise
            Unit-normal directions ``(directions, parameters)``.
        base, plus, minus
            Losses ``(directions, starts)`` of theta, theta + sigma noise and theta -
            sigma noise from the same starts, finite and capped at 0 beforehand:
            capping at +inf would make inf - inf.

        Returns
        -------
        numpy.ndarray
            ``(parameters,)``.
        """
        if self.clipped:
            plus, minus = np.minimum(base, plus), np.minimum(base, minus)
        difference = np.mean(plus - minus, axis=1) / (2 * self.sigma)
        return difference @ noise / len(noise)


class ESMC(ES):
    """Evolution strategy with meta-loss clipping: only improvements teach."""

    clipped = True
