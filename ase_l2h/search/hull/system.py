"""The pair of elements of a hull, and its potential."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ase_l2h._internal.pytree import replace
from ase_l2h.errors import InputError
from ase_l2h.potentials.base import Potential
from ase_l2h.potentials.elements import by_atomic_number
from ase_l2h.potentials.pair_files import potential_from_file
from ase_l2h.potentials.parameters import (
    GUPTA_SETS,
    gupta_set,
    gupta_sets_covering,
)
from ase_l2h.potentials.units import reduced_units
from ase_l2h.search.engine import composition_system
from ase_l2h.search.problem import Problem
from ase_l2h.targets import DEFAULT_SETS, MAX_ATOMS

__all__ = ["POTENTIALS", "HullSystem", "hull_system", "pair_of"]

POTENTIALS = ("gupta", "lj")
_PAIR = re.compile(r"([A-Z][a-z]?)([A-Z][a-z]?)")


@dataclasses.dataclass(frozen=True, eq=False)
class HullSystem:
    """Two elements, a number of atoms, and the potential.

    Parameters
    ----------
    name
        As the user wrote it: the first element, then the second.
    n_atoms
        Atoms per cluster.
    symbols
        First and second element.
    potential
        Whose species are the two elements, in its own order; None where ``pose`` says
        what acts.
    parameters
        Name of the parameter set, the file's, or the calculator's.
    unit
        Of the energies.
    pose
        From chemical symbols to the problem of a cluster of them, with a calculator:
        its species are then numbered by atomic number.
    """

    name: str
    n_atoms: int
    symbols: tuple[str, str]
    potential: Potential | None
    parameters: str
    unit: str
    pose: Callable[[Sequence[str]], Problem] | None = None

    @property
    def order(self) -> tuple[str, str]:
        """The elements as the potential numbers them, species 0 and 1."""
        if self.potential is None:
            first, second = by_atomic_number(self.symbols)
        else:
            first, second = self.potential.symbols  # pyright: ignore[reportAttributeAccessIssue]
        return first, second

    def told(self) -> list[Any]:
        """The potential, JSON-able: it tells two hulls apart."""
        if self.potential is None:
            return ["calculator", self.problem(self.n_atoms // 2).identity]
        leaves = jax.tree.leaves(self.potential)
        numbers = [np.asarray(leaf).tolist() for leaf in leaves]
        return [type(self.potential).__name__, numbers]

    def ones(self, n_first: int) -> int:
        """Atoms of species 1 where there are ``n_first`` of the first element."""
        return self.n_atoms - n_first if self.order == self.symbols else n_first

    def species(self, composition: int) -> np.ndarray:
        """Species of a cluster with so many atoms of species 1: those of 0 first."""
        return np.repeat([0, 1], [self.n_atoms - composition, composition])

    def problem(self, composition: int) -> Problem:
        """The search of one composition, by its number of atoms of species 1.

        All compositions end relaxations at the same force, that of the softest of
        them: what is found of one does not depend on which others are searched.
        """
        return _problem(self, composition)

    def species_counts(self, compositions: Sequence[int] | None) -> tuple[int, ...]:
        """:meth:`ones` of each number of atoms of the first element, or of all.

        Raises
        ------
        ValueError
            For numbers that the cluster cannot have.
        """
        n = self.n_atoms
        chosen = range(n + 1) if compositions is None else compositions
        for count in chosen:
            if count not in range(n + 1):
                raise InputError(
                    f"{count} atoms of {self.symbols[0]} in a cluster of {n} are "
                    f"impossible; give 0 to {n}"
                )
        return tuple(sorted({self.ones(count) for count in chosen}))


def hull_system(
    name: str,
    n_atoms: int,
    *,
    potential: str = "gupta",
    parameters: str | Path | None = None,
) -> HullSystem:
    """The system that ``AgAu`` with 38 atoms stands for.

    Parameters
    ----------
    name
        Two different chemical symbols.
    n_atoms
        Atoms per cluster, 3 to 2000.
    potential
        ``"gupta"``, or ``"lj"`` for Lennard-Jones pairs.
    parameters
        Name of a Gupta parameter set, or a TOML file with one row per pair of elements,
        like and unlike: ``"Ag-Au" = [p, q, r0, xi, A]`` for Gupta (angstrom, eV),
        ``"Ar-Kr" = [epsilon, sigma]`` for Lennard-Jones. The default of the pair when
        None.

    Raises
    ------
    InputError
        For anything that is no such system; one sentence says what to do.
    """
    symbols = pair_of(name, n_atoms)
    if potential not in POTENTIALS:
        raise InputError(
            f"no potential named '{potential}' for hulls; choose one of "
            f"{', '.join(POTENTIALS)}"
        )
    if parameters is not None and str(parameters) not in GUPTA_SETS:
        chosen = potential_from_file(parameters, symbols, potential)
        label = Path(parameters).name
    elif potential == "lj":
        raise InputError(
            "Lennard-Jones pairs have no parameters of their own; give them with "
            "--parameters FILE"
        )
    else:
        label = _set_of(symbols) if parameters is None else str(parameters)
        known = gupta_set(label)
        if missing := sorted(set(symbols) - set(known.symbols)):
            raise InputError(
                f"the parameters {label} do not know {', '.join(missing)}; choose "
                "others or give a file"
            )
        chosen = known.potential().restricted_to(symbols)
    unit = "eV" if potential == "gupta" else "epsilon"
    return HullSystem(name, n_atoms, symbols, chosen, label, unit)


def pair_of(name: str, n_atoms: int) -> tuple[str, str]:
    """The two elements of ``AgAu``, for clusters of so many atoms.

    Raises
    ------
    InputError
        For anything that is no such system.
    """
    match = _PAIR.fullmatch(name) if isinstance(name, str) else None
    if match is None or match.group(1) == match.group(2):
        raise InputError(
            f"'{name}' is not a pair of elements; write two symbols, for example AgAu"
        )
    whole = isinstance(n_atoms, int | np.integer) and not isinstance(n_atoms, bool)
    if not whole or not 3 <= n_atoms <= MAX_ATOMS:
        raise InputError(
            f"the clusters have {n_atoms!r} atoms; a hull takes 3 to {MAX_ATOMS}"
        )
    return match.group(1), match.group(2)


def _set_of(symbols: tuple[str, str]) -> str:
    default = DEFAULT_SETS.get(frozenset(symbols))
    covering = gupta_sets_covering(symbols)
    if default is None and not covering:
        sets = [s.symbols for s in GUPTA_SETS.values()]
        pairs = {frozenset(p): p for s in sets for p in combinations(s, 2)}
        known = ", ".join(sorted("".join(pair) for pair in pairs.values()))
        raise InputError(
            f"no Gupta parameters for {symbols[0]}-{symbols[1]}; known pairs are "
            f"{known}, or give your own with --parameters FILE"
        )
    return default if default is not None else covering[0]


@lru_cache(maxsize=4096)
def _problem(system: HullSystem, composition: int) -> Problem:
    species = system.species(composition)
    name = f"{system.name}{system.n_atoms}-{composition}"
    if system.pose is not None:
        posed = system.pose([system.order[int(s)] for s in species])
        # In a pure cluster the element keeps the number it has in the others.
        numbered = replace(posed.system, species=species)
        return dataclasses.replace(posed, system=numbered, name=name)
    return Problem(
        system.potential,
        composition_system(system.potential, species),
        name=name,
        symbols=tuple(system.order[int(s)] for s in species),
        common_force=_softest(system),
    )


@lru_cache(maxsize=64)
def _softest(system: HullSystem) -> float:
    """The smallest unit of forces of all compositions."""
    pure = (system.species(m) for m in range(system.n_atoms + 1))
    units = [reduced_units(system.potential, species) for species in pure]
    return min(float(energy / length) for length, energy in units)
