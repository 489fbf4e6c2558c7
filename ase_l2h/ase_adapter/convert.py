"""Atoms to a System with positions and back, with checks.

Positions stay in the units of the Atoms (angstrom, or sigma for a Lennard-Jones
cluster): ``(n, 3)`` there, ``(3, n)`` float64 here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from ase_l2h._internal.arguments import check_reach, checked_number
from ase_l2h._internal.pytree import replace
from ase_l2h.ase_adapter.constraints import free_mask
from ase_l2h.errors import InputError, InputTypeError
from ase_l2h.potentials.base import Potential
from ase_l2h.potentials.elements import by_atomic_number
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.stillinger_weber import StillingerWeber
from ase_l2h.potentials.units import (
    LJ_CRYSTAL_COHESION,
    atom_scales,
    reduced_units,
)
from ase_l2h.starts.random import spread
from ase_l2h.system import System, make_system

__all__ = [
    "CLOSEST_APPROACH",
    "check_distances",
    "positions_of",
    "require_atoms",
    "species_of",
    "system_of",
    "to_atoms",
    "unknown_units",
]

LOGGER = logging.getLogger(__name__)
# Atoms closer than this many length scales overlap: 0.6 angstrom in gold, where the
# Lennard-Jones energy is 10^8 epsilon. Thermal or random starts stay well above it.
CLOSEST_APPROACH = 0.2
# Cohesive energy in eV assumed for an unknown calculator.
TYPICAL_COHESION = 3.5


def require_atoms(atoms: Any) -> Atoms:
    """``atoms`` itself, if it is an Atoms object.

    Raises
    ------
    InputTypeError
        For filters, lists and anything else; the sentence says what to pass.
    """
    if isinstance(atoms, Atoms):
        return atoms
    kind = type(atoms).__name__
    inner = getattr(atoms, "atoms", None)
    if isinstance(inner, Atoms):
        raise InputTypeError(
            f"a search moves atoms only, so the filter {kind} cannot be used; pass the "
            "Atoms it wraps, and relax the cell afterwards"
        )
    raise InputTypeError(f"a search needs an ase.Atoms object, not {kind}")


def positions_of(atoms: Atoms) -> np.ndarray:
    """Positions as ``(3, n)`` float64.

    Raises
    ------
    InputError
        When there are no atoms, or a position is not a finite number.
    """
    if len(atoms) == 0:
        raise InputError("the structure has no atoms; add at least two")
    positions = np.array(atoms.positions, dtype=np.float64).T
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=0))
    if len(bad):
        raise InputError(
            f"the position of atom {bad[0]} is not a finite number; repair the "
            "structure first"
        )
    return positions


def species_of(
    symbols: Sequence[str], potential: Potential | None
) -> tuple[Any, np.ndarray]:
    """The potential for the species present, and each atom's index in it.

    A Gupta potential is restricted to the species present, so that indices ascend with
    the atomic number. Without a potential, or with one that does not care about
    species, indices ascend with the atomic number too.

    Raises
    ------
    InputError
        When a species has no parameters.
    """
    restrict = getattr(potential, "restricted_to", None)
    if restrict is not None:
        potential = restrict(symbols)
    rows = getattr(potential, "symbols", None)
    if rows is None:
        # Identical particles need not be elements.
        if not _tells_species_apart(potential):
            return potential, np.zeros(len(symbols), dtype=int)
        rows = by_atomic_number(symbols)
    elif missing := [s for s in dict.fromkeys(symbols) if s not in rows]:
        raise InputError(
            f"the {type(potential).__name__} potential has no parameters for "
            f"{', '.join(missing)}; it covers {', '.join(rows)}"
        )
    return potential, np.array([rows.index(symbol) for symbol in symbols], dtype=int)


def _tells_species_apart(potential: Any) -> bool:
    """False for one-species potentials, whatever symbols the atoms carry."""
    return not isinstance(potential, LennardJones | StillingerWeber)


def unknown_units(
    symbols: Sequence[str], cohesion: float = TYPICAL_COHESION
) -> tuple[float, float]:
    """Length and energy scale for an unknown calculator.

    Twice the mean covalent radius in angstrom, and ``cohesion / 8.61`` with the
    cohesive energy in eV per atom.
    """
    numbers = Atoms(list(symbols)).numbers
    length = 2.0 * float(np.mean(covalent_radii[numbers]))
    return length, cohesion / LJ_CRYSTAL_COHESION


def system_of(
    atoms: Any,
    potential: Potential | None = None,
    *,
    length_scale: int | float | None = None,
    energy_scale: int | float | None = None,
    check: bool = True,
) -> tuple[Any, System, np.ndarray]:
    """Everything a search needs from Atoms.

    Parameters
    ----------
    atoms
        The structure; its calculator is not looked at.
    potential
        What acts between the atoms; None for a calculator that is called as it is.
    length_scale, energy_scale
        Reduced units. By default those of the potential, else :func:`unknown_units`.
    check
        Move overlapping atoms apart, and refuse fewer than two of them, as a search
        must; a calculator evaluates those too.

    Returns
    -------
    tuple
        The potential restricted to the species present, the system, and positions
        ``(3, n)`` in float64.

    Raises
    ------
    InputTypeError
        When ``atoms`` is not an Atoms object.
    InputError
        For a structure that cannot be worked on; one sentence says what to do.
    """
    atoms = require_atoms(atoms)
    positions = positions_of(atoms)
    cell = np.array(atoms.cell.array) if atoms.pbc.any() else None
    symbols = atoms.get_chemical_symbols()
    potential, species = species_of(symbols, potential)
    length, energy = _scales(potential, species, symbols, length_scale, energy_scale)
    cutoff = None
    if cell is not None:
        cutoff = 0.0 if potential is None else float(potential.cutoff)
        if not np.isfinite(cutoff):
            raise InputError(
                f"the {type(potential).__name__} potential has no cut-off, which a "
                "periodic cell needs; set rc, or switch off periodicity (atoms.pbc)"
            )
    if check and len(atoms) < 2:
        raise InputError("the structure has one atom; a search needs at least 2")
    system = make_system(
        species,
        cell=cell,
        periodic=atoms.pbc.tolist(),
        cutoff=cutoff,
        free=free_mask(atoms) if check else None,
        length_scale=length,
        energy_scale=energy,
        atom_scales=_atom_scales(potential, species),
    )
    if check:
        check_reach(positions, length)
        positions = _apart(atoms, system, positions, CLOSEST_APPROACH * length)
    return potential, system, positions


def _scales(
    potential: Any,
    species: np.ndarray,
    symbols: Sequence[str],
    length: int | float | None,
    energy: int | float | None,
) -> tuple[float, float]:
    own_length: Any = length
    own_energy: Any = energy
    if length is None or energy is None:
        try:
            own_length, own_energy = reduced_units(potential, species)
        except TypeError:
            own_length, own_energy = unknown_units(symbols)
    chosen = []
    for name, given, own in (
        ("length_scale", length, own_length),
        ("energy_scale", energy, own_energy),
    ):
        value = checked_number(name, own if given is None else given)
        if given is None and value == 0 and np.isfinite(potential.cutoff):
            # Atoms that do not see each other are not bound.
            raise InputError(
                f"the cut-off of {float(potential.cutoff):g} is shorter than a bond of "
                f"{float(own_length):.3g}; give a longer one"
            )
        if value is None or not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value}; it must be a positive number")
        chosen.append(value)
    return chosen[0], chosen[1]


def _atom_scales(potential: Any, species: np.ndarray) -> np.ndarray | None:
    try:
        return atom_scales(potential, species)
    except TypeError:
        # A user's function: the sizes of its elements are not known.
        return None


def _apart(
    atoms: Atoms, system: System, positions: np.ndarray, closest: float
) -> np.ndarray:
    """Positions ``(3, n)`` with no atoms closer than ``closest``; changes are logged.

    Overlapping atoms are shaken a little, with a fixed seed, and pushed apart as soft
    spheres; all others stay exactly in place.

    Raises
    ------
    InputError
        Where that fails: fixed atoms overlap, or the cell is too small.
    """
    pair = _closest_pair(atoms, closest)
    if pair is None:
        return positions
    near = np.unique(neighbor_list("i", atoms, closest))
    free = np.ones((3, len(atoms)), bool) if system.free is None else system.free
    free = np.asarray(free)
    rng = np.random.default_rng(0)
    shaken = np.array(positions)
    shaken[:, near] += rng.normal(0, 0.2 * closest, (3, len(near)))
    shaken = np.where(free, shaken, positions)
    spheres = replace(system, length_scale=2.0 * closest, atom_scales=None)
    pushed = spread(spheres, shaken[..., None])[..., 0].astype(float)
    if system.cell is None and system.free is None:
        # A free cluster is returned centred on the origin.
        pushed += np.mean(shaken - pushed, axis=1, keepdims=True)
    # Only atoms that really moved take the single-precision result.
    moved = free & (np.abs(pushed - positions) > 1e-3 * closest)
    apart = np.where(moved, pushed, positions)
    check_distances(to_atoms(atoms, apart), closest)
    LOGGER.warning(
        "atoms %d and %d overlap (%.3g apart); overlapping atoms are moved apart "
        "before the search",
        *pair,
    )
    return apart


def _closest_pair(atoms: Atoms, reach: float) -> tuple[int, int, float] | None:
    """The closest two atoms and their distance; None if all are ``reach`` apart."""
    first, second, distances = neighbor_list("ijd", atoms, reach)
    if len(distances) == 0:
        return None
    worst = int(np.argmin(distances))
    i, j = sorted((int(first[worst]), int(second[worst])))
    return i, j, float(distances[worst])


def check_distances(atoms: Atoms, closest: float) -> None:
    """Refuse atoms closer than ``closest``, periodic images included.

    Raises
    ------
    InputError
        Naming the closest pair.
    """
    found = _closest_pair(atoms, closest)
    if found is None:
        return
    i, j, distance = found
    pair, remedy = f"atoms {i} and {j} overlap: they", "move them apart first"
    if i == j:
        pair, remedy = f"images of atom {i}", "enlarge the cell"
    raise InputError(
        f"{pair} are {distance:.3g} apart, less than {closest:.3g}; {remedy}"
    )


def to_atoms(template: Atoms, positions: np.ndarray) -> Atoms:
    """A copy of ``template`` without calculator at ``positions`` ``(3, n)``."""
    atoms = template.copy()
    atoms.set_positions(np.asarray(positions, float).T, apply_constraint=False)
    return atoms
