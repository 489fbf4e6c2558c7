"""The potentials of the kernels, one adapter each: parameters and limits.

A new potential is a header in ``cpp/potentials`` and an adapter here, listed in
``POTENTIALS``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.stillinger_weber import StillingerWeber

__all__ = ["POTENTIALS", "PotentialAdapter", "potential_adapter"]


class PotentialAdapter:
    """How the kernels see a potential."""

    # Of cpp/potentials.h: number and rows of scratch per atom.
    number: int
    scratch_rows = 0

    def reject_reason(self, potential: Any) -> str | None:
        """Why the kernels cannot take this potential; None when they can."""
        return None

    def macros(self, potential: Any) -> dict[str, int | str]:
        """What the source is compiled for, besides the potential itself."""
        return {"SPECIES_COUNT": 1}

    def parameters(self, potential: Any) -> list[Any]:
        """Numbers in the order in which the kernel reads them, double precision."""
        raise NotImplementedError


class LennardJonesAdapter(PotentialAdapter):
    """Without a cut-off."""

    number = 1

    def reject_reason(self, potential: LennardJones) -> str | None:
        """Cut-offs."""
        if potential.rc is not None:
            return "their Lennard-Jones and Gupta potentials have no cut-off"
        return None

    def parameters(self, potential: LennardJones) -> list[Any]:
        """``2 epsilon``, ``48 epsilon / sigma``, ``1 / sigma``."""
        epsilon, sigma = np.float64(potential.epsilon), np.float64(potential.sigma)
        return [2 * epsilon, 48 * epsilon / sigma, 1 / sigma]


class GuptaAdapter(PotentialAdapter):
    """Tables of any number of species."""

    number, scratch_rows = 2, 1

    def reject_reason(self, potential: Gupta) -> str | None:
        """Cut-offs, and tables that differ between structures."""
        if potential.rc is not None:
            return "their Lennard-Jones and Gupta potentials have no cut-off"
        if np.ndim(potential.A) != 2:
            return "they take one set of Gupta parameters"
        return None

    def macros(self, potential: Gupta) -> dict[str, int | str]:
        """The size of the tables."""
        return {"SPECIES_COUNT": np.shape(potential.A)[0]}

    def parameters(self, potential: Gupta) -> list[Any]:
        """``A e^p``, ``p / r0``, ``xi^2 e^(2 q)``, ``2 q / r0``, table by table."""
        names = ("p", "q", "r0", "xi", "A")
        p, q, r0, xi, a = (np.asarray(getattr(potential, n), float) for n in names)
        return [a * np.exp(p), p / r0, xi**2 * np.exp(2 * q), 2 * q / r0]


class StillingerWeberAdapter(PotentialAdapter):
    """With the usual exponents."""

    number, scratch_rows = 3, 10

    def reject_reason(self, potential: StillingerWeber) -> str | None:
        """Other exponents."""
        if (potential.p, potential.q) != (4, 0):
            return "their Stillinger-Weber exponents are 4 and 0"
        return None

    def parameters(self, potential: StillingerWeber) -> list[Any]:
        """In the order of the formula."""
        names = ("epsilon", "sigma", "A", "B", "lam", "gamma", "a", "cos_theta0")
        return [np.float64(getattr(potential, name)) for name in names]


POTENTIALS: dict[type, PotentialAdapter] = {
    LennardJones: LennardJonesAdapter(),
    Gupta: GuptaAdapter(),
    StillingerWeber: StillingerWeberAdapter(),
}


def potential_adapter(potential: Any) -> PotentialAdapter:
    """The adapter of a potential that has one."""
    return POTENTIALS[type(potential)]
