"""Names of search targets: ``LJ38``, ``Au55``, ``Ag19Au19``, ``Si64``, ``KA100``.

A target is a composition with a potential; it needs no ASE, so that training runs on a
bare compute node.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from functools import lru_cache
from importlib import resources
from typing import Any, get_args

import numpy as np

from ase_l2h.errors import InputError
from ase_l2h.potentials.base import Potential
from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones, Truncation
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.parameters import (
    gupta_set,
    gupta_sets_covering,
    stillinger_weber_set,
)
from ase_l2h.potentials.units import atom_scales, reduced_units
from ase_l2h.system import MAX_ATOMS, System, make_system

__all__ = [
    "MAX_ATOMS",
    "Target",
    "gupta_target",
    "lennard_jones_minimum",
    "named_target",
]

# Which set a formula gets when several know its elements and none is asked for. Au55 is
# jax-md's gupta_gold55, the one the paper's gold energies belong to.
DEFAULT_SETS = {frozenset({"Au"}): "Au55", frozenset({"Pd", "Au"}): "PdAu"}
DEFAULT_SILICON = "Si"
SILICON_LATTICE = 5.431
# Perfect diamond at that lattice constant, eV per atom: -277.542399683 eV for 64 atoms
# in a LAMMPS log (7 Aug 2019) of M3RG-IITD/StriderNET.
DIAMOND_ENERGY = -277.542399683 / 64
# Atoms per sigma^3: the density at which the glass is usually made.
KOB_ANDERSEN_DENSITY = 1.2
_PART = re.compile(r"([A-Z][a-z]?)([0-9]*)")


@dataclasses.dataclass(frozen=True)
class Target:
    """A composition, its potential and its system.

    ``reference`` is the published energy of the putative global minimum, or None.
    """

    name: str
    symbols: tuple[str, ...]
    potential: Potential
    system: System
    reference: float | None = None

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.symbols)


@lru_cache(maxsize=1)
def _lennard_jones_table() -> dict[int, float]:
    path = resources.files("ase_l2h") / "data" / "lj_minima.csv"
    with path.open(encoding="utf-8") as stream:
        rows = csv.DictReader(line for line in stream if not line.startswith("#"))
        return {int(row["n_atoms"]): float(row["energy_eps"]) for row in rows}


def lennard_jones_minimum(n_atoms: int) -> float | None:
    """Energy of the putative global minimum of LJ_n in epsilon, n = 2 ... 150.

    From the Cambridge Cluster Database (D. J. Wales, J. P. K. Doye et al.).
    """
    return _lennard_jones_table().get(n_atoms)


def parse_formula(name: str) -> tuple[str, ...]:
    """Chemical symbols of a formula such as ``Ag19Au19``.

    Raises
    ------
    InputError
        When the text is not a formula, or has too few or too many atoms.
    """
    parts = _PART.findall(name)
    if not parts or "".join(a + b for a, b in parts) != name:
        raise InputError(
            f"'{name}' is neither a file nor a formula; write for example LJ38, Au55, "
            "Ag19Au19 or Si64, or give the path of a structure file"
        )
    counts = [(symbol, _count(count) if count else 1) for symbol, count in parts]
    # Before the symbols are written out: Au99999999999 would fill the memory.
    _check_size(name, sum(count for _, count in counts))
    for symbol, count in counts:
        if count == 0:
            raise InputError(f"'{name}' has 0 atoms of {symbol}; leave the element out")
    return tuple(symbol for symbol, count in counts for _ in range(count))


def named_target(name: str, parameters: str | None = None) -> Target:
    """The target called ``name``.

    Parameters
    ----------
    name
        ``LJ<n>``; an alloy formula with Gupta parameters; ``Si<n>`` with n = 8 k^3:
        the k x k x k supercell of diamond silicon at 5.431 angstrom; or ``KA<n>``, the
        Kob-Andersen mixture, 80 % A, in a periodic cube at density 1.2.
    parameters
        Name of a Gupta or Stillinger-Weber parameter set, or how the Kob-Andersen
        mixture is truncated; the default of the composition when None.

    Raises
    ------
    InputError
        For an unreadable formula, an element without parameters, an unknown parameter
        set, a silicon cell that is not cubic, or a mixture that is not 80:20.
    """
    match = re.fullmatch(r"KA([0-9]+)", name)
    if match:
        return _kob_andersen(name, _count(match.group(1)), parameters)
    match = re.fullmatch(r"LJ([0-9]+)", name)
    if match:
        n = _count(match.group(1))
        _check_size(name, n)
        if parameters is not None:
            raise InputError(
                f"'{name}' has no parameter set '{parameters}'; Lennard-Jones clusters "
                "are in reduced units"
            )
        potential = LennardJones()
        length, energy = reduced_units(potential, np.zeros(n, int))
        system = make_system(np.zeros(n, int), length_scale=length, energy_scale=energy)
        return Target(name, ("Ar",) * n, potential, system, lennard_jones_minimum(n))
    if name == "LJ":
        raise InputError("'LJ' has no number of atoms; write for example LJ38")
    symbols = parse_formula(name)
    if set(symbols) == {"Si"}:
        return _silicon(name, symbols, parameters)
    return _gupta(name, symbols, parameters)


def _count(digits: str) -> int:
    # Python refuses to read thousands of digits; nine are too many atoms already.
    return int(digits.lstrip("0")[:9] or 0)


def _check_size(name: str, n: int) -> None:
    shown = name if len(name) <= 40 else f"{name[:40]}..."
    if n < 2:
        raise InputError(f"'{shown}' has {n} atom(s); a search needs at least 2")
    if n > MAX_ATOMS:
        raise InputError(
            f"'{shown}' has more than {MAX_ATOMS} atoms; every pair is taken into "
            "account, so choose a smaller target"
        )


def _gupta(name: str, symbols: tuple[str, ...], parameters: str | None) -> Target:
    present = frozenset(symbols)
    if parameters is None:
        parameters = DEFAULT_SETS.get(present)
    if parameters is None:
        covering = gupta_sets_covering(present)
        if not covering:
            raise InputError(
                f"no Gupta parameters for {'-'.join(sorted(present))}; give a "
                "structure file and --potential, or Gupta(...) with your own parameters"
            )
        parameters = covering[0]
    return gupta_target(name, symbols, gupta_set(parameters).potential())


def gupta_target(name: str, symbols: tuple[str, ...], potential: Gupta) -> Target:
    """A free cluster of ``symbols``, whose elements the potential must know."""
    potential = potential.restricted_to(symbols)
    species = np.array([potential.symbols.index(symbol) for symbol in symbols])
    length, energy = reduced_units(potential, species)
    system = make_system(
        species,
        length_scale=length,
        energy_scale=energy,
        atom_scales=atom_scales(potential, species),
    )
    return Target(name, symbols, potential, system, None)


def kob_andersen(truncation: Any = None) -> BinaryLennardJones:
    """The Kob-Andersen mixture, by default with a smooth force at the cut-off.

    Raises
    ------
    InputError
        For an unknown truncation.
    """
    known = get_args(Truncation)
    if truncation not in (None, *known):
        raise InputError(
            f"the Kob-Andersen mixture has no truncation '{truncation}'; choose one of "
            f"{', '.join(known)}"
        )
    return BinaryLennardJones.kob_andersen(truncation or "stoddard-ford")


def _kob_andersen(name: str, n: int, parameters: str | None) -> Target:
    _check_size(name, n)
    if n % 5:
        raise InputError(
            f"'{name}' needs four fifths of its atoms of kind A; give a multiple of "
            "5, such as KA100"
        )
    potential = kob_andersen(parameters)
    species = np.repeat([0, 1], [4 * n // 5, n // 5])
    length, energy = reduced_units(potential, species)
    system = make_system(
        species,
        cell=np.eye(3) * (n / KOB_ANDERSEN_DENSITY) ** (1 / 3),
        cutoff=float(potential.cutoff),
        length_scale=length,
        energy_scale=energy,
        atom_scales=atom_scales(potential, species),
    )
    symbols = tuple(potential.symbols[s] for s in species)
    return Target(name, symbols, potential, system, None)


def _silicon(name: str, symbols: tuple[str, ...], parameters: str | None) -> Target:
    n = len(symbols)
    repeats = round((n / 8) ** (1 / 3))
    if 8 * repeats**3 != n:
        raise InputError(
            f"'{name}' is not a cubic supercell of diamond silicon; use Si8, Si64, "
            "Si216, or give a structure file"
        )
    potential = stillinger_weber_set(parameters or DEFAULT_SILICON).potential()
    cell = np.eye(3) * SILICON_LATTICE * repeats
    length, energy = reduced_units(potential, np.zeros(n, int))
    system = make_system(
        np.zeros(n, int),
        cell=cell,
        cutoff=potential.cutoff,
        length_scale=length,
        energy_scale=energy,
    )
    reference = n * DIAMOND_ENERGY if parameters in (None, DEFAULT_SILICON) else None
    return Target(name, symbols, potential, system, reference)
