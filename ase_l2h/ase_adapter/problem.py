"""From Atoms with a calculator to the problem that a search minimises."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.filters import UnitCellFilter

from ase_l2h.ase_adapter.calculators import potential_of
from ase_l2h.ase_adapter.convert import system_of
from ase_l2h.ase_adapter.regions import region_of
from ase_l2h.errors import InputError, InputTypeError
from ase_l2h.search.problem import Problem
from ase_l2h.system import System

__all__ = [
    "ENERGY_GRID",
    "CentredCoordinates",
    "CountingCalculator",
    "Measured",
    "PosedProblem",
    "fingerprint_of",
    "first_measured",
    "pose",
    "problem_of",
    "rattled",
    "structure_of",
]

# Part of the energy scale to which the energy of the given structure tells calculators
# apart; those of machine-learned models differ between processors by far less.
ENERGY_GRID = 1e-3
# Length scales by which the structure is shaken that is stepped: enough to break every
# symmetry, and nothing beside the first step of any method.
RATTLE = 1e-3


def structure_of(atoms: Any, filters: bool = False) -> Atoms:
    """The Atoms that an optimizer or a search has been given.

    With ``filters`` also those inside of a filter of ASE that lets the cell relax.

    Raises
    ------
    InputTypeError
        For NEBs and anything else that is not just Atoms.
    """
    if isinstance(atoms, Atoms):
        return atoms
    if filters and isinstance(atoms, UnitCellFilter):
        return atoms.atoms
    make = getattr(atoms, "__ase_optimizable__", None)
    inner = getattr(make() if callable(make) else None, "atoms", None)
    if isinstance(inner, Atoms):
        return inner
    kind = type(atoms).__name__
    if isinstance(getattr(atoms, "atoms", None), Atoms):
        raise InputTypeError(
            f"a search moves atoms only, so the filter {kind} cannot be used; pass the "
            "Atoms it wraps, and relax the cell afterwards (ase_l2h.relax_cell)"
        )
    raise InputTypeError(
        f"a search looks for minima of one ase.Atoms object, not of a {kind}; "
        "pass Atoms with a calculator"
    )


@dataclasses.dataclass(frozen=True)
class CentredCoordinates:
    """Between ASE's positions and those of a search, which lie around the origin.

    Small coordinates keep single precision sharp, and the user's centroid is given
    back. Fixed coordinates are given back bit for bit.

    Parameters
    ----------
    given
        ``(n, 3)`` where the search begins, as ASE has it.
    free
        Mask ``(3, n)`` of movable coordinates; None when all may move.
    """

    given: np.ndarray
    free: np.ndarray | None = None

    @property
    def centre(self) -> np.ndarray:
        """Where the origin of a search lies in ASE's coordinates, ``(3,)``."""
        return np.mean(self.given, axis=0)

    def inside(self, positions: np.ndarray) -> np.ndarray:
        """``(n, 3)`` of ASE to ``(3, n)`` of a search."""
        return np.ascontiguousarray((positions - self.centre).T)

    def outside(self, positions: np.ndarray) -> np.ndarray:
        """``(3, n)`` of a search to ``(n, 3)`` of ASE."""
        moved = np.asarray(positions, dtype=float).T + self.centre
        if self.free is not None:
            moved = np.where(self.free.T, moved, self.given)
        # There and back costs a last digit, and with it a calculator's cached result.
        rounding = 1e-14 * (1 + np.max(np.abs(self.given)))
        same = np.max(np.abs(moved - self.given)) < rounding
        return self.given.copy() if same else moved


class Measured(NamedTuple):
    """What a calculator gave: positions and gradient ``(n, 3)``."""

    positions: np.ndarray
    energy: float
    gradient: np.ndarray

    @property
    def sound(self) -> bool:
        """Whether energy and gradient are finite and of the right shape."""
        return (
            self.gradient.shape == self.positions.shape
            and bool(np.isfinite(self.energy))
            and bool(np.all(np.isfinite(self.gradient)))
        )


class CountingCalculator:
    """A user's calculator as a function of positions, every call counted.

    It moves a copy of the atoms, which shares their calculator: what the calculator has
    computed last is known to the user's own atoms once they are put there.

    Parameters
    ----------
    atoms
        The structure with its calculator; never moved.
    coordinates
        Between ASE's positions and those of the search.

    Attributes
    ----------
    calls
        Calls of the calculator, failed ones included.
    last, lowest
        Of the calls that have succeeded, the last one and that of the lowest energy.
    """

    def __init__(self, atoms: Atoms, coordinates: CentredCoordinates) -> None:
        self.coordinates = coordinates
        self.symbols = atoms.get_chemical_symbols()
        self.calls = 0
        self.last: Measured | None = None
        self.lowest: Measured | None = None
        self._view = atoms.copy()
        self._view.calc = atoms.calc
        self._optimizable = self._view.__ase_optimizable__()
        # Where the calculator has been asked last, successfully or not.
        self._asked: np.ndarray | None = None

    def measure(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy and gradient ``(3, n)`` at ``(3, n)`` of the search."""
        measured = self.at(self.coordinates.outside(positions))
        return measured.energy, measured.gradient.T

    def at(self, positions: np.ndarray) -> Measured:
        """Energy and gradient at ``(n, 3)`` of ASE; no call where they are known."""
        for known in (self.last, self.lowest):
            if known is not None and np.array_equal(known.positions, positions):
                return known
        return self.call(positions)

    def call(self, positions: np.ndarray) -> Measured:
        """The same, unless the calculator has computed nothing else since."""
        known = self.last
        asked = self._asked is not None and np.array_equal(self._asked, positions)
        if asked and known is not None and np.array_equal(known.positions, positions):
            return known
        self._asked = np.array(positions)
        self.calls += 1
        # What is fixed is where it was; ASE's own adjustment would round the rest.
        self._view.set_positions(positions, apply_constraint=False)
        # Forces first: many calculators then give the energy without another call.
        gradient = np.asarray(self._optimizable.get_gradient(), dtype=float)
        energy = float(self._optimizable.get_value())
        measured = Measured(self._asked, energy, gradient.reshape((-1, 3)))
        if measured.sound:
            self.last = measured
            if self.lowest is None or energy < self.lowest.energy:
                self.lowest = measured
        return measured


class PosedProblem(NamedTuple):
    """A problem and the way back to ASE; ``calculator`` is None where a kernel runs."""

    problem: Problem
    coordinates: CentredCoordinates
    calculator: CountingCalculator | None


def pose(
    atoms: Any,
    length_scale: int | float | None = None,
    energy_scale: int | float | None = None,
    fmax: float | None = None,
    region: Any = None,
) -> PosedProblem:
    """The problem that atoms pose, see :func:`problem_of`; calls no calculator."""
    atoms = structure_of(atoms)
    if atoms.calc is None:
        raise InputError(
            "the structure has no calculator; set atoms.calc, for example to "
            "LennardJones() of ase_l2h or to any ASE calculator"
        )
    if isinstance(atoms.calc, SinglePointCalculator):
        raise InputError(
            "the structure carries stored results instead of a calculator, as "
            "files do; set atoms.calc to one that can compute"
        )
    potential, system, _ = system_of(
        atoms,
        potential_of(atoms.calc),
        length_scale=length_scale,
        energy_scale=energy_scale,
    )
    free = None if system.free is None else np.asarray(system.free)
    coordinates = CentredCoordinates(atoms.get_positions(), free)
    calculator = None
    if potential is None:
        calculator = CountingCalculator(atoms, coordinates)
    problem = Problem(
        potential,
        system,
        given=coordinates.inside(coordinates.given),
        name=atoms.get_chemical_formula(),
        symbols=tuple(atoms.get_chemical_symbols()),
        measure=None if calculator is None else calculator.measure,
        fmax=fmax,
        region=region_of(region, atoms, coordinates.centre),
        identity=_identity(atoms, potential, system),
    )
    return PosedProblem(problem, coordinates, calculator)


def problem_of(
    atoms: Any,
    length_scale: int | float | None = None,
    energy_scale: int | float | None = None,
    fmax: float | None = None,
    region: Any = None,
) -> Problem:
    """The problem of finding the lowest minimum of atoms with a calculator.

    What :func:`~ase_l2h.ase_adapter.calculators.potential_of` recognises runs in a
    kernel. Any other calculator is called, once for each evaluation, on a copy of the
    atoms; it is called once here, for the energy of the structure tells calculators
    apart that nobody can look into.

    Parameters
    ----------
    atoms
        Structure with a calculator, which becomes the given structure of the problem.
        It may be periodic in any directions. ``FixAtoms`` and ``FixCartesian`` are
        obeyed, and ``FixScaled``, ``FixedPlane`` and ``FixedLine`` along the axes.
    length_scale, energy_scale
        Reduced units. By default those of the potential; for an unknown calculator
        twice the mean covalent radius, and 3.5 eV / 8.61.
    fmax
        Largest force on an atom of a reported minimum, in the units of the calculator;
        when None 1e-6 reduced units, or 5e-3 of an unknown calculator (0.0008 eV per
        angstrom of copper).
    region
        Where the free atoms are sought, see
        :func:`~ase_l2h.ase_adapter.regions.region_of`; what is above the surface of a
        slab, or around fixed atoms, when None.

    Raises
    ------
    InputError
        For what cannot be searched; the sentence says what to do.
    """
    problem, coordinates, calculator = pose(
        atoms, length_scale, energy_scale, fmax, region
    )
    if calculator is None:
        return problem
    measured = first_measured(calculator, coordinates.given)
    grid = ENERGY_GRID * problem.energy_unit
    told = problem.identity | {"energy": round(measured.energy / grid)}
    return dataclasses.replace(problem, identity=told)


def first_measured(calculator: CountingCalculator, positions: np.ndarray) -> Measured:
    """What the calculator gives for the structure that a search begins with.

    Raises
    ------
    InputError
        When it fails, for example because it does not know an element, or when energy
        or forces are not finite.
    """
    try:
        measured = calculator.at(positions)
    except Exception as error:
        lines = str(error).splitlines() or [""]
        elements = ", ".join(dict.fromkeys(calculator.symbols))
        raise InputError(
            f"the calculator fails for the structure ({type(error).__name__}: "
            f"{lines[0]}); check that it knows {elements} and gives energies and "
            "forces, and start from a sensible structure"
        ) from error
    if not measured.sound:
        raise InputError(
            "the calculator gives no finite energy and forces for the structure; "
            "start from a sensible one"
        )
    return measured


def _identity(atoms: Atoms, potential: Any, system: System) -> dict[str, Any]:
    """What tells searches apart, JSON-able; of an unknown calculator what it shows."""
    if potential is None:
        parameters = getattr(atoms.calc, "parameters", None)
        parameters = dict(parameters) if isinstance(parameters, Mapping) else {}
    else:
        parameters = {
            field.name: getattr(potential, field.name)
            for field in dataclasses.fields(potential)
        }
    free = system.free
    fixed = None if free is None else np.flatnonzero(~np.asarray(free).T).tolist()
    return {
        "calculator": type(atoms.calc if potential is None else potential).__name__,
        "parameters": {str(k): v for k, v in _plain(parameters).items()},
        "numbers": atoms.numbers.tolist(),
        "cell": atoms.cell.array.tolist() if atoms.pbc.any() else None,
        "periodic": atoms.pbc.tolist(),
        "fixed_coordinates": fixed,
    }


def _plain(value: Any) -> Any:
    """Numbers, texts and what is made of them; None of anything else.

    Other objects print themselves with addresses, which no two processes share.
    """
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "__array__"):
        value = np.asarray(value).tolist()
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return None
    return value


def fingerprint_of(problem: Problem) -> dict[str, Any]:
    """What two searches have in common whose energies can be compared."""
    nowhere = np.zeros((3, problem.n_atoms, 1))
    return dataclasses.replace(problem, given=nowhere).fingerprint()


def rattled(problem: Problem, seed: list[int]) -> Problem:
    """The problem whose given structures have lost their symmetries.

    Exact ones would last: what steps them knows no direction but the gradient.
    """
    rng = np.random.default_rng(seed)
    shift = rng.normal(scale=RATTLE * problem.length, size=problem.given.shape)
    if problem.free is not None:
        shift = np.where(problem.free[..., None], shift, 0.0)
    return dataclasses.replace(problem, given=problem.given + shift)
