"""Which pair of elements a hull is of, and by which potential."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ase_l2h.errors import InputError
from ase_l2h.potentials.base import Potential
from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.parameters import (
    GUPTA_SETS,
    gupta_set,
    gupta_sets_covering,
)
from ase_l2h.potentials.units import reduced_units
from ase_l2h.search.engine import composition_system
from ase_l2h.search.problem import Problem
from ase_l2h.targets import DEFAULT_SETS, MAX_ATOMS

__all__ = ["POTENTIALS", "HullSystem", "hull_system"]

POTENTIALS = ("gupta", "lj")
_PAIR = re.compile(r"([A-Z][a-z]?)([A-Z][a-z]?)")
# Without a cut-off a cluster sees all pairs; binary Lennard-Jones needs a number.
FAR = 1e3


@dataclasses.dataclass(frozen=True, eq=False)
class HullSystem:
    """Two elements, a size, and what acts between them.

    Parameters
    ----------
    name
        As the user wrote it: the first element, then the second.
    n_atoms
        Atoms per cluster.
    symbols
        First and second element.
    potential
        Whose species are the two elements, in its own order.
    parameters
        Name of the parameter set, or the file's.
    unit
        Of the energies.
    """

    name: str
    n_atoms: int
    symbols: tuple[str, str]
    potential: Potential
    parameters: str
    unit: str

    @property
    def order(self) -> tuple[str, str]:
        """The elements as the potential numbers them, species 0 and 1."""
        first, second = self.potential.symbols  # pyright: ignore[reportAttributeAccessIssue]
        return first, second

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
            if not 0 <= count <= n:
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
    match = _PAIR.fullmatch(name)
    if match is None or match.group(1) == match.group(2):
        raise InputError(
            f"'{name}' is no pair of elements; write two symbols, for example AgAu"
        )
    symbols = (match.group(1), match.group(2))
    if not 3 <= n_atoms <= MAX_ATOMS:
        raise InputError(
            f"the clusters have {n_atoms} atoms; a hull takes 3 to {MAX_ATOMS}"
        )
    if potential not in POTENTIALS:
        raise InputError(
            f"no potential named '{potential}' for hulls; choose one of "
            f"{', '.join(POTENTIALS)}"
        )
    if parameters is not None and str(parameters) not in GUPTA_SETS:
        path = Path(parameters)
        rows = _read_rows(path, symbols, 5 if potential == "gupta" else 2)
        chosen, label = _from_rows(rows, symbols, potential), path.name
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


def _set_of(symbols: tuple[str, str]) -> str:
    default = DEFAULT_SETS.get(frozenset(symbols))
    covering = gupta_sets_covering(symbols)
    if default is None and not covering:
        pairs = sorted("".join(s.symbols) for s in GUPTA_SETS.values())
        pairs = sorted({p for p in pairs if len(re.findall("[A-Z]", p)) == 2})
        raise InputError(
            f"no Gupta parameters for {symbols[0]}-{symbols[1]}; known pairs are "
            f"{', '.join(pairs)}, or give your own with --parameters FILE"
        )
    return default if default is not None else covering[0]


def _read_rows(
    path: Path, symbols: tuple[str, str], width: int
) -> dict[frozenset[str], list[float]]:
    """One row of ``width`` positive numbers for each of the three pairs."""
    try:
        content: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"'{path}' is neither a Gupta parameter set nor a file that can be read "
            f"({error.strerror}); the sets are {', '.join(GUPTA_SETS)}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from error
    rows = {}
    for pair in (symbols[:1] * 2, symbols, symbols[1:] * 2):
        names = {"-".join(pair), "-".join(reversed(pair))}
        found = [content[name] for name in names if name in content]
        if len(found) != 1:
            raise InputError(
                f"{path} must have one row for {'-'.join(pair)}; write "
                f'"{"-".join(pair)}" = [{width} numbers]'
            )
        row = found[0]
        sound = isinstance(row, list) and len(row) == width
        numbers = (int, float)
        if not sound or not all(
            isinstance(v, numbers) and not isinstance(v, bool) and 0 < v < float("inf")
            for v in row
        ):
            raise InputError(
                f"{path}: the row for {'-'.join(pair)} must be {width} positive numbers"
            )
        rows[frozenset(pair)] = [float(v) for v in row]
    return rows


def _from_rows(
    rows: dict[frozenset[str], list[float]], symbols: tuple[str, str], potential: str
) -> Potential:
    if potential == "gupta":
        pairs = {
            "-".join(sorted(pair) if len(pair) == 2 else [*pair] * 2): tuple(row)
            for pair, row in rows.items()
        }
        return Gupta.from_pairs(pairs)
    tables = np.array(
        [[rows[frozenset((a, b))] for b in symbols] for a in symbols], dtype=float
    )
    far = np.full((2, 2), FAR) * tables[..., 1].max()
    return BinaryLennardJones(tables[..., 0], tables[..., 1], far, "truncated", symbols)


@lru_cache(maxsize=4096)
def _problem(system: HullSystem, composition: int) -> Problem:
    species = system.species(composition)
    return Problem(
        system.potential,
        composition_system(system.potential, species),
        name=f"{system.name}{system.n_atoms}-{composition}",
        symbols=tuple(system.order[int(s)] for s in species),
        common_force=_softest(system),
    )


@lru_cache(maxsize=64)
def _softest(system: HullSystem) -> float:
    """The smallest unit of forces of all compositions."""
    pure = (system.species(m) for m in range(system.n_atoms + 1))
    units = [reduced_units(system.potential, species) for species in pure]
    return min(float(energy / length) for length, energy in units)
