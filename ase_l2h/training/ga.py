"""Genetic algorithm: the best of a population of mutants, or nothing.

A. Merchant et al., "Learn2Hop", ICML 2021, section 3.2: population 80, mutations of
standard deviation 0.1, one survivor; theta stays when no mutant is better. With few
starts the best of many mutants is often only lucky, and theta drifts; ``margin`` asks
for a significant gain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import optax

from ase_l2h.errors import InputError
from ase_l2h.training.es import Floats

__all__ = ["GA"]


class GA:
    """One-parent selection among mutants ``theta + sigma noise``.

    Parameters
    ----------
    sigma
        Standard deviation of the mutations.
    margin
        Standard errors, of the mean difference over the starts, by which a mutant must
        be better to replace its parent.
    """

    signs = (1.0,)

    def __init__(self, sigma: float = 0.1, margin: float = 0.0) -> None:
        if not sigma > 0:
            raise InputError(f"sigma is {sigma}; give a positive mutation scale")
        self.sigma, self.margin = sigma, margin

    def outer(self, schedule: Any) -> optax.GradientTransformation:
        """A plain step of length one: the survivor replaces its parent."""
        del schedule
        return optax.sgd(1.0)

    def gradient(self, noise: Floats, base: Floats, arms: Floats) -> Floats:
        """Parent minus survivor, ``(parameters,)``; zero when no mutant is better.

        Arguments as in :meth:`~ase_l2h.training.es.ES.gradient`, with one arm.
        """
        differences = base - arms[0]
        gains = np.mean(differences, axis=1)
        best = int(np.argmax(gains))
        error = np.std(differences[best]) / np.sqrt(differences.shape[1])
        if not gains[best] > self.margin * error:
            return np.zeros(noise.shape[1], noise.dtype)
        return -self.sigma * noise[best]
