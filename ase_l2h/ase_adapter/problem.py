"""From Atoms with a calculator to the problem that a search minimises."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import covalent_radii
from ase.filters import UnitCellFilter

from ase_l2h._internal.pytree import replace
from ase_l2h.ase_adapter.cache import CallCache
from ase_l2h.ase_adapter.calculators import potential_of
from ase_l2h.ase_adapter.convert import system_of
from ase_l2h.ase_adapter.isolated import isolated
from ase_l2h.ase_adapter.measured import (
    CentredCoordinates,
    CountingCalculator,
    Evaluate,
    StartFailed,
    first_measured,
)
from ase_l2h.ase_adapter.molecules import molecules_of
from ase_l2h.ase_adapter.regions import region_of
from ase_l2h.errors import InputError, InputTypeError
from ase_l2h.search.first_call import FirstCall
from ase_l2h.search.problem import Problem
from ase_l2h.system import System

__all__ = [
    "ENERGY_GRID",
    "PosedProblem",
    "fingerprint_of",
    "pose",
    "problem_of",
    "rattled",
    "structure_of",
    "told_of",
]

logger = logging.getLogger(__name__)

# Energies of the given structure are compared on this grid (energy scales) to identify
# a calculator; machine-learned models differ between processors by far less.
ENERGY_GRID = 1e-3
# Energy scale for molecules that are kept, in eV: that of interactions between them,
# about half a hydrogen bond.
BETWEEN_MOLECULES = 0.1
# Length scales by which the starting structure is shaken: enough to break every
# symmetry, and negligible beside the first step of any method.
RATTLE = 1e-3


def structure_of(atoms: Any, filters: bool = False) -> Atoms:
    """The Atoms that an optimizer or a search has been given.

    With ``filters`` also the Atoms inside an ASE filter that lets the cell relax.

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
    cache: CallCache | None = None,
    evaluate: Evaluate | None = None,
    keep_molecules: bool | None = None,
    cluster: bool = False,
) -> PosedProblem:
    """The problem that atoms pose, see :func:`problem_of`; calls no calculator.

    With ``cluster`` they have been searched as one in their cell.
    """
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
    if keep_molecules not in (None, True, False):
        raise InputTypeError(
            f"keep_molecules is {keep_molecules!r}; give True, False or None"
        )
    acting = potential_of(atoms.calc)
    if acting is not None and keep_molecules:
        raise InputError(
            f"{type(atoms.calc).__name__} runs in a kernel, which keeps no molecules; "
            "leave keep_molecules out"
        )
    alone = None
    if acting is None and region is None:
        alone = isolated(atoms, length_scale, before=cluster)
    shape = atoms if alone is None else alone
    potential, system, positions = system_of(
        shape,
        acting,
        length_scale=length_scale,
        energy_scale=energy_scale,
    )
    free = None if system.free is None else np.asarray(system.free)
    coordinates = CentredCoordinates(positions.T, free)
    calculator = None
    if potential is None:
        calculator = CountingCalculator(atoms, coordinates, cache, evaluate)
    radii = covalent_radii[atoms.numbers]
    radii = radii * (float(np.asarray(system.length_scale)) / (2 * np.mean(radii)))
    molecules = None
    if calculator is not None:
        molecules = molecules_of(shape, radii, keep_molecules)
    if molecules is not None and energy_scale is None:
        unit = np.asarray(system.energy_scale)
        system = replace(system, energy_scale=np.full_like(unit, BETWEEN_MOLECULES))
    compact = system.cell is None and free is None and molecules is None
    problem = Problem(
        potential,
        system,
        given=coordinates.inside(coordinates.given),
        name=atoms.get_chemical_formula(),
        symbols=tuple(atoms.get_chemical_symbols()),
        measure=calculator,
        fmax=fmax,
        radii=radii,
        molecules=molecules,
        region=region_of(region, atoms, coordinates.centre),
        identity=_identity(atoms, potential, system),
        guessed=length_scale is None and calculator is not None and compact,
        periods=None if alone is None else atoms.cell.array[atoms.pbc],
    )
    return PosedProblem(problem, coordinates, calculator)


def problem_of(
    atoms: Any,
    length_scale: int | float | None = None,
    energy_scale: int | float | None = None,
    fmax: float | None = None,
    region: Any = None,
    cache: CallCache | None = None,
    evaluate: Evaluate | None = None,
    keep_molecules: bool | None = None,
) -> Problem:
    """The problem of finding the lowest minimum of atoms with a calculator.

    A calculator that :func:`~ase_l2h.ase_adapter.calculators.potential_of` recognises
    runs in a kernel. Any other is called once for each evaluation, on a copy of the
    atoms. It is also called once here: the energy of the structure tells apart
    calculators whose parameters cannot be read.

    Parameters
    ----------
    atoms
        Structure with a calculator, which becomes the given structure of the problem.
        It may be periodic in any directions; what has a vacuum around it in its cell
        is searched as a cluster by an unknown calculator, see
        :func:`~ase_l2h.ase_adapter.isolated.isolated`. ``FixAtoms`` and
        ``FixCartesian`` are obeyed, and ``FixScaled``, ``FixedPlane`` and ``FixedLine``
        along the axes.
    length_scale, energy_scale
        Reduced units. By default those of the potential; for an unknown calculator
        twice the mean covalent radius, which ``auto`` in clusters replaces by what it
        measures, and 3.5 eV / 8.61, or 0.1 eV of molecules.
    fmax
        Largest force on an atom of a reported minimum, in the units of the calculator;
        when None 1e-6 reduced units, or 5e-3 of an unknown calculator (0.0008 eV per
        angstrom of copper).
    region
        Where the free atoms are sought, see
        :func:`~ase_l2h.ase_adapter.regions.region_of`; what is above the surface of a
        slab, or around fixed atoms, when None.
    cache
        Keeps the calls of an unknown calculator, and spares those that it has.
    evaluate
        Makes single calls elsewhere, from atoms to energy and gradient ``(n, 3)``, as
        :meth:`RemoteCalls.evaluate <ase_l2h.ase_adapter.calling.RemoteCalls.evaluate>`
        does; the calculator of ``atoms`` makes them when None.
    keep_molecules
        Whether an unknown calculator's atoms stay bonded as they are given. When None
        where they make several molecules of non-metals, or an organic one, see
        :func:`~ase_l2h.ase_adapter.molecules.molecules_of`.

    Raises
    ------
    InputError
        For what cannot be searched; the sentence says what to do.
    """
    problem, coordinates, calculator = pose(
        atoms,
        length_scale,
        energy_scale,
        fmax,
        region,
        cache,
        evaluate,
        keep_molecules,
    )
    if calculator is None:
        return problem
    grid, rounded, energy = ENERGY_GRID * problem.energy_unit, None, np.inf
    try:
        energy = first_measured(calculator, coordinates.given).energy
        rounded = round(energy / grid)
    except StartFailed as failure:
        # Other structures may converge, and the search makes its own.
        logger.warning("%s", failure)
    told = problem.identity | {"energy": rounded}
    first = FirstCall(energy, problem.given[..., 0])
    return dataclasses.replace(problem, identity=told, first=first)


def told_of(calculator: Any) -> dict[str, Any]:
    """Name and readable parameters of an unknown calculator, JSON-able."""
    parameters = getattr(calculator, "parameters", None)
    parameters = dict(parameters) if isinstance(parameters, Mapping) else {}
    return {
        "calculator": type(calculator).__name__,
        "parameters": {str(k): v for k, v in _plain(parameters).items()},
    }


def _identity(atoms: Atoms, potential: Any, system: System) -> dict[str, Any]:
    """What identifies a search, JSON-able."""
    if potential is None:
        told = told_of(atoms.calc)
    else:
        parameters = {
            field.name: getattr(potential, field.name)
            for field in dataclasses.fields(potential)
        }
        told = {
            "calculator": type(potential).__name__,
            "parameters": {str(k): v for k, v in _plain(parameters).items()},
        }
    free = system.free
    fixed = None if free is None else np.flatnonzero(~np.asarray(free).T).tolist()
    return {
        **told,
        "numbers": atoms.numbers.tolist(),
        "cell": atoms.cell.array.tolist() if atoms.pbc.any() else None,
        "periodic": atoms.pbc.tolist(),
        "fixed_coordinates": fixed,
    }


def _plain(value: Any) -> Any:
    """Numbers, texts and containers of them; None for anything else.

    Other objects are printed with addresses, which differ between processes.
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
    """Equal for two searches whose energies can be compared."""
    nowhere = np.zeros((3, problem.n_atoms, 1))
    return dataclasses.replace(problem, given=nowhere).fingerprint()


def rattled(problem: Problem, seed: list[int]) -> Problem:
    """The problem whose given structures have lost their symmetries.

    Exact symmetries would persist, because steps follow gradients.
    """
    rng = np.random.default_rng(seed)
    shift = rng.normal(scale=RATTLE * problem.length, size=problem.given.shape)
    if problem.free is not None:
        shift = np.where(problem.free[..., None], shift, 0.0)
    return dataclasses.replace(problem, given=problem.given + shift)
