"""The potentials of the kernels, one adapter each: parameters and limits.

A new potential is a header in ``cpp/potentials`` and an adapter here, listed in
``POTENTIALS``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.soft_sphere import SoftSphere
from ase_l2h.potentials.stillinger_weber import StillingerWeber
from ase_l2h.rollout.kernels.macros import Macros

__all__ = ["POTENTIALS", "PotentialAdapter", "potential_adapter"]


class PotentialAdapter:
    """How the kernels see a potential."""

    # File name in cpp/potentials, without its ending; rows of scratch per atom.
    header: str
    scratch_rows = 0
    # Names of the parameters in the order of `parameters`.
    names: tuple[str, ...] = ()

    def reject_reason(self, potential: Any) -> str | None:
        """Why the kernels cannot take this potential; None when they can."""
        return None

    def macros(self, potential: Any) -> Macros:
        """Macros of the source, besides the header."""
        return {"POTENTIAL_PARAMETERS": ",".join(self.names)}

    def own_species(self, potential: Any) -> bool:
        """Whether the potential depends on the species of single atoms."""
        return False

    def parameters(self, potential: Any) -> list[Any]:
        """Numbers in the order in which the kernel reads them, double precision."""
        raise NotImplementedError


class LennardJonesAdapter(PotentialAdapter):
    """Uncut, truncated and shifted, or smoothly cut."""

    header = "lennard_jones"
    names = ("energy", "slope", "inverse_length")
    cut_names = ("cut_squared", "shift", "onset_squared", "switching")

    def macros(self, potential: LennardJones) -> Macros:
        """The kind of cut-off."""
        cut = 0 if potential.rc is None else 1 + potential.smooth
        names = self.names + (self.cut_names if cut else ())
        return {"CUT": int(cut), "POTENTIAL_PARAMETERS": ",".join(names)}

    def parameters(self, potential: LennardJones) -> list[Any]:
        """``2 epsilon``, ``48 epsilon / sigma``, ``1 / sigma``; cut-off in sigma."""
        epsilon, sigma = np.float64(potential.epsilon), np.float64(potential.sigma)
        values = [2 * epsilon, 48 * epsilon / sigma, 1 / sigma]
        if potential.rc is None:
            return values
        squared, begins = (potential.rc / sigma) ** 2, (potential.onset / sigma) ** 2
        s6 = squared**-3.0
        return [*values, squared, s6 * (s6 - 1), begins, (squared - begins) ** -3.0]


class GuptaAdapter(PotentialAdapter):
    """Tables of any number of species; uncut, with a hard or a smooth cut-off."""

    header, scratch_rows = "gupta", 1

    def reject_reason(self, potential: Gupta) -> str | None:
        """Rejected with tables that differ between structures."""
        if np.ndim(potential.A) != 2:
            return "its kernel takes one set of Gupta parameters for the whole batch"
        return None

    def macros(self, potential: Gupta) -> Macros:
        """The size of the tables, and whether there is a cut-off."""
        cut = 0 if potential.rc is None else 1 + potential.smooth
        return {"SPECIES_COUNT": np.shape(potential.A)[0], "CUT": int(cut)}

    def own_species(self, potential: Gupta) -> bool:
        """True for alloys."""
        return np.shape(potential.A)[0] > 1

    def parameters(self, potential: Gupta) -> list[Any]:
        """``A e^p``, ``p / r0``, ``xi^2 e^(2 q)``, ``2 q / r0``, cut-off."""
        names = ("p", "q", "r0", "xi", "A")
        p, q, r0, xi, a = (np.asarray(getattr(potential, n), float) for n in names)
        cut = np.inf if potential.rc is None else potential.rc
        end, onset, switching = cut**2, potential.onset**2, 0.0
        if potential.smooth:
            switching = (end - onset) ** -3.0
        tables = [a * np.exp(p), p / r0, xi**2 * np.exp(2 * q), 2 * q / r0]
        return [*tables, cut, end, onset, switching]


class StillingerWeberAdapter(PotentialAdapter):
    """With the usual exponents."""

    header, scratch_rows = "stillinger_weber", 10
    names = ("epsilon", "sigma", "A", "B", "lam", "gamma", "a", "cos_theta0")

    def reject_reason(self, potential: StillingerWeber) -> str | None:
        """Rejected with other exponents."""
        if (potential.p, potential.q) != (4, 0):
            return "its kernel has the Stillinger-Weber exponents p = 4 and q = 0"
        return None

    def parameters(self, potential: StillingerWeber) -> list[Any]:
        """In the order of the formula."""
        return [np.float64(getattr(potential, name)) for name in self.names]


class SoftSphereAdapter(PotentialAdapter):
    """With one diameter for all structures."""

    header = "soft_sphere"
    names = ("energy", "slope", "inverse_length")

    def reject_reason(self, potential: SoftSphere) -> str | None:
        """Rejected if the diameter is not one number for all structures."""
        if potential.sigma is None or np.ndim(potential.sigma):
            return "its kernel takes one diameter for all soft spheres"
        return None

    def parameters(self, potential: SoftSphere) -> list[Any]:
        """``epsilon``, ``epsilon / sigma``, ``1 / sigma``."""
        epsilon, sigma = np.float64(potential.epsilon), np.float64(potential.sigma)
        return [epsilon, epsilon / sigma, 1 / sigma]


POTENTIALS: dict[type, PotentialAdapter] = {
    LennardJones: LennardJonesAdapter(),
    Gupta: GuptaAdapter(),
    StillingerWeber: StillingerWeberAdapter(),
    SoftSphere: SoftSphereAdapter(),
}


def potential_adapter(potential: Any) -> PotentialAdapter:
    """The adapter of a potential that has one."""
    return POTENTIALS[type(potential)]
