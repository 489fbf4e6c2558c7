"""The potentials as ASE calculators, and the potential inside a calculator.

    atoms.calc = LennardJones()
    atoms.calc = Gupta("AgAu")
    atoms.calc = StillingerWeber()

Results are computed in double precision whatever JAX's default is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from ase_l2h._internal.promotion import compiled, double_precision
from ase_l2h._internal.pytree import replace
from ase_l2h.ase_adapter import convert
from ase_l2h.ase_adapter.matscipy import matscipy_stillinger_weber
from ase_l2h.errors import InputError
from ase_l2h.potentials import gupta, lennard_jones, stillinger_weber
from ase_l2h.potentials.base import Potential, energy_and_gradient
from ase_l2h.potentials.parameters import gupta_set, stillinger_weber_set
from ase_l2h.system import System

__all__ = [
    "Gupta",
    "LennardJones",
    "PotentialCalculator",
    "StillingerWeber",
    "potential_and_system",
    "potential_of",
]


class PotentialCalculator(Calculator):
    """An ASE calculator around one of this package's potentials.

    Energy, free energy (the same), energies per atom and forces; stress where all
    directions are periodic. Everything that the Atoms interface can change (positions,
    cell, species) may change between calls; a new number of atoms compiles once more.
    """

    implemented_properties: ClassVar[list[str]] = [
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
    ]
    # ASE sets both in its constructor but declares them as None.
    parameters: Any
    atoms: Any

    @property
    def potential(self) -> Potential:
        """The potential these parameters stand for."""
        raise NotImplementedError

    def set(self, **kwargs: Any) -> dict[str, Any]:
        """Change parameters; results are forgotten.

        Raises
        ------
        InputError
            For values that make no potential; the old ones stay.
        """
        before = dict(self.parameters)
        changed = super().set(**kwargs)
        if changed:
            try:
                _ = self.potential
            except ValueError:
                self.parameters.update(before)
                raise
            self.reset()
        return changed

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = None,
        system_changes: Any = all_changes,
    ) -> None:
        """All implemented properties at once, as ASE asks for them.

        Raises
        ------
        InputError
            For species without parameters, positions that are no numbers, and cells
            that are too small.
        """
        super().calculate(
            atoms, properties or self.implemented_properties, system_changes
        )
        potential, system, positions = convert.system_of(
            self.atoms, self.potential, check=False
        )
        with double_precision():
            if system.cell is None or not all(system.periodic):
                value = _evaluate(potential, positions, system)
                strain_gradient = None
            else:
                value, strain_gradient = _evaluate_strained(
                    potential, positions, system
                )
        energy = float(value.energy)
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "energies": np.asarray(value.atom_energies),
            # Adding zero turns -0.0 into 0.0.
            "forces": -np.asarray(value.gradient).T + 0.0,
        }
        if strain_gradient is not None:
            stress = np.asarray(strain_gradient) / self.atoms.get_volume()
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)


_evaluate = compiled(energy_and_gradient)


@compiled
def _evaluate_strained(
    potential: Potential, positions: jax.Array, system: System
) -> tuple[Any, jax.Array]:
    """Energy and gradient, and dE/d(strain) ``(3, 3)`` of a periodic system."""

    def strained(strain: jax.Array) -> jax.Array:
        deformation = jnp.eye(3) + (strain + strain.T) / 2
        moved = replace(
            system,
            cell=jnp.asarray(system.cell) @ deformation,
            images=jnp.asarray(system.images) @ deformation,
        )
        return potential.energy(deformation @ positions, moved)

    strain = jnp.zeros((3, 3))
    return (
        energy_and_gradient(potential, positions, system),
        jax.grad(strained)(strain),
    )


class LennardJones(PotentialCalculator):
    """Lennard-Jones 12-6, for atoms of any species alike.

    Unlike ``ase.calculators.lj.LennardJones`` it has **no cut-off by default**: the
    published minima of clusters are computed without one.

    Parameters
    ----------
    sigma
        Distance of zero pair energy, in the units of the positions.
    epsilon
        Well depth, the unit of energy.
    rc
        Cut-off distance; None sums all pairs. Periodic structures need one.
    ro
        Onset of the smooth cut-off; ``0.66 rc`` when None.
    smooth
        False shifts each pair to zero at ``rc``; True switches it off smoothly between
        ``ro`` and ``rc``. Both as in ASE.
    """

    default_parameters: ClassVar[dict[str, Any]] = {
        "sigma": 1.0,
        "epsilon": 1.0,
        "rc": None,
        "ro": None,
        "smooth": False,
    }

    def __init__(
        self,
        sigma: float = 1.0,
        epsilon: float = 1.0,
        rc: float | None = None,
        ro: float | None = None,
        smooth: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            sigma=sigma, epsilon=epsilon, rc=rc, ro=ro, smooth=smooth, **kwargs
        )
        _ = self.potential

    @property
    def potential(self) -> lennard_jones.LennardJones:
        """The potential these parameters stand for."""
        return _lennard_jones(
            **{k: self.parameters[k] for k in self.default_parameters}
        )


class Gupta(PotentialCalculator):
    """Gupta (second-moment tight-binding) metals and alloys; angstrom and eV.

    Parameters
    ----------
    parameter_set
        Name of a cited set, such as ``"AgAu"`` (all names:
        :data:`ase_l2h.potentials.GUPTA_SETS`), or your own rows
        ``{"Ag-Au": (p, q, r0, xi, A), ...}`` for every pair of species.
    rc
        Cut-off distance; None sums all pairs. Periodic structures need one.
    ro
        Onset of the smooth cut-off; ``0.8 rc`` when None.
    smooth
        False ends each pair at ``rc``, where the energy jumps; True switches it off
        smoothly between ``ro`` and ``rc``, as ``LennardJones``.
    """

    default_parameters: ClassVar[dict[str, Any]] = {
        "parameter_set": None,
        "rc": None,
        "ro": None,
        "smooth": False,
    }

    def __init__(
        self,
        parameter_set: Any,
        rc: float | None = None,
        *,
        ro: float | None = None,
        smooth: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            parameter_set=parameter_set, rc=rc, ro=ro, smooth=smooth, **kwargs
        )
        _ = self.potential

    @property
    def potential(self) -> gupta.Gupta:
        """The potential of every species of the set."""
        chosen = self.parameters["parameter_set"]
        cutoff = _cut_off(*(self.parameters[name] for name in ("rc", "ro", "smooth")))
        if isinstance(chosen, str):
            return gupta_set(chosen).potential(**cutoff)
        if isinstance(chosen, Mapping):
            return gupta.Gupta.from_pairs(chosen, **cutoff)
        raise InputError(
            "Gupta needs the name of a parameter set, such as 'AgAu', or rows "
            f"{{'Ag-Au': (p, q, r0, xi, A), ...}}, not {chosen!r}"
        )


class StillingerWeber(PotentialCalculator):
    """Stillinger-Weber silicon; angstrom and eV.

    Parameters
    ----------
    parameter_set
        Name of a cited set (:data:`ase_l2h.potentials.STILLINGER_WEBER_SETS`), or your
        own values ``{"epsilon": 2.1683, "lam": 42.0, ...}``, which replace those of the
        set ``"Si"`` and then serve any element.
    """

    default_parameters: ClassVar[dict[str, Any]] = {"parameter_set": "Si"}

    def __init__(self, parameter_set: Any = "Si", **kwargs: Any) -> None:
        super().__init__(parameter_set=parameter_set, **kwargs)
        _ = self.potential

    @property
    def potential(self) -> stillinger_weber.StillingerWeber:
        """The potential these parameters stand for."""
        chosen = self.parameters["parameter_set"]
        if isinstance(chosen, str):
            return stillinger_weber_set(chosen).potential()
        if not isinstance(chosen, Mapping):
            raise InputError(
                "StillingerWeber needs the name of a parameter set, such as 'Si', or "
                f"values {{'epsilon': 2.1683, ...}}, not {chosen!r}"
            )
        base = dict(stillinger_weber_set("Si").values)
        known = {*base, "cos_theta0", "p", "q"}
        if unknown := [key for key in chosen if key not in known]:
            raise InputError(
                f"StillingerWeber has no parameter {unknown[0]!r}; it takes "
                f"{', '.join(sorted(known))}"
            )
        values: dict[str, Any] = {**base, **chosen}
        for key in ("epsilon", "sigma", "a"):
            _positive(key, values[key])
        return stillinger_weber.StillingerWeber(**values)


def _positive(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not (np.isfinite(number) and number > 0):
        raise InputError(f"{name} is {value}; it must be a positive number")
    return number


def _lennard_jones(
    sigma: Any, epsilon: Any, rc: Any, ro: Any, smooth: Any
) -> lennard_jones.LennardJones:
    return lennard_jones.LennardJones(
        epsilon=_positive("epsilon", epsilon),
        sigma=_positive("sigma", sigma),
        **_cut_off(rc, ro, smooth),
    )


def _cut_off(rc: Any, ro: Any, smooth: Any) -> dict[str, Any]:
    """The same arguments, checked."""
    rc = None if rc is None else _positive("rc", rc)
    ro = None if ro is None else _positive("ro", ro)
    if smooth and rc is None:
        raise InputError("a smooth cut-off needs its distance; set rc")
    if smooth and ro is not None and rc is not None and ro >= rc:
        raise InputError(f"the smooth cut-off starts at ro = {ro}, beyond rc = {rc}")
    # Without smoothing ro has no meaning; dropping it keeps equal potentials equal.
    return {"rc": rc, "ro": ro if smooth else None, "smooth": bool(smooth)}


def potential_of(calculator: Any) -> Potential | None:
    """The potential that a calculator stands for; None if it must be called itself.

    Recognises the calculators of this module, ``ase.calculators.lj.LennardJones`` with
    whatever parameters it carries, and matscipy's ``Manybody(**StillingerWeber(...))``.

    Raises
    ------
    InputError
        When a recognised calculator carries parameters that make no potential.
    """
    if isinstance(calculator, PotentialCalculator):
        return calculator.potential
    kind = type(calculator)
    if kind.__name__ == "LennardJones" and kind.__module__ == "ase.calculators.lj":
        p = calculator.parameters
        rc = 3 * p["sigma"] if p["rc"] is None else p["rc"]
        return _lennard_jones(p["sigma"], p["epsilon"], rc, p["ro"], p["smooth"])
    if kind.__name__ == "Manybody" and kind.__module__.startswith("matscipy."):
        return matscipy_stillinger_weber(calculator)
    return None


def potential_and_system(
    atoms: Any,
    *,
    length_scale: float | None = None,
    energy_scale: float | None = None,
) -> tuple[Potential, System, np.ndarray]:
    """Potential, system and positions ``(3, n)`` of Atoms with a known calculator.

    Parameters
    ----------
    atoms
        A structure whose calculator :func:`potential_of` recognises.
    length_scale, energy_scale
        Reduced units; those of the potential when None.

    Raises
    ------
    TypeError
        When ``atoms`` is not an Atoms object.
    InputError
        When there is no such calculator, or the structure cannot be searched.
    """
    atoms = convert.require_atoms(atoms)
    potential = potential_of(atoms.calc)
    if potential is None:
        name = "no calculator" if atoms.calc is None else type(atoms.calc).__name__
        raise InputError(
            f"the structure has {name}; set atoms.calc to LennardJones, Gupta or "
            "StillingerWeber of ase_l2h, or to ASE's LennardJones"
        )
    return convert.system_of(
        atoms, potential, length_scale=length_scale, energy_scale=energy_scale
    )
