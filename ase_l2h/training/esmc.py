"""Evolution strategy with meta-loss clipping: only improvements teach.

    g = mean_eps [ min(L(theta), L(theta + eps)) - min(L(theta), L(theta - eps)) ]
        eps / (2 sigma^2)                                                       (Eq. 4)

A. Merchant et al., "Learn2Hop", ICML 2021, section 3.2; every loss is clipped at the
loss of the unperturbed weights from the *same start*.
"""

from __future__ import annotations

import numpy as np

from ase_l2h.training.es import ES, Floats

__all__ = ["ESMC"]


class ESMC(ES):
    """:class:`~ase_l2h.training.es.ES` with both arms clipped at the base."""

    def clipped(self, base: Floats, arms: Floats) -> Floats:
        """No arm counts as worse than the unperturbed weights."""
        return np.minimum(base, arms)
