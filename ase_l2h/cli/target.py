"""TARGET of ``ase-l2h search``: a formula or a structure file, made ready to search."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_l2h.cli.potentials import (
    LONG_NAMES,
    chosen_potential,
    default_family,
    explained_choice,
    family_of,
    parse_potential,
    set_of,
)
from ase_l2h.cli.structure_files import (
    check_alike,
    check_atoms,
    find_file,
    read_frames,
    searchable,
)
from ase_l2h.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_l2h.ase_adapter.naming import CalculatorName
    from ase_l2h.search.problem import Problem

__all__ = ["Reading", "SearchTarget", "parse_region", "resolve"]


@dataclasses.dataclass(frozen=True)
class SearchTarget:
    """What is searched, and how its results become structures.

    Parameters
    ----------
    name
        TARGET as it was given; of a formula, as it is written.
    family, parameters
        One of ``FAMILIES``, and the name or the numbers of its parameters, if any.
    problem
        Potential, system, given structures and reference.
    template
        Species, cell, constraints and ``info`` of every result; the first structure of
        a file.
    origin
        Where the problem's origin lies in the user's coordinates, ``(3,)``.
    unit
        Name of the energy unit.
    notes
        What the user should be told before the search begins.
    calculator
        What makes the calculator that acts, where one was named.
    """

    name: str
    family: str
    parameters: str | None
    problem: Problem
    template: Atoms
    origin: np.ndarray
    unit: str
    notes: tuple[str, ...] = ()
    calculator: CalculatorName | None = None

    def structure(self, positions: np.ndarray, energy: float, **facts: Any) -> Atoms:
        """A result as Atoms: positions ``(n, 3)``, energy, and ``facts`` in info."""
        from ase.calculators.singlepoint import SinglePointCalculator

        atoms = self.template.copy()
        placed = positions + self.origin
        if self.problem.free is not None:
            # Fixed coordinates bit for bit.
            placed = np.where(self.problem.free.T, placed, self.template.positions)
        atoms.set_positions(placed, apply_constraint=False)
        atoms.info.update(facts)
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        return atoms


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a structure file is to be read: the options that formulas do not take.

    Parameters
    ----------
    sigma, epsilon
        Of Lennard-Jones.
    cutoff
        Of Lennard-Jones and Gupta, in the file's unit of length.
    region
        Heights above a surface between which free atoms are sought.
    periodic
        Whether the file's periodicity is kept.
    index, form
        Which structures, and in which format, see
        :func:`~ase_l2h.cli.structure_files.read_frames`.
    types
        Elements of numbered types.
    keep_molecules
        Whether bonds last, of calculators.
    """

    sigma: float | None = None
    epsilon: float | None = None
    cutoff: float | None = None
    region: tuple[float, float] | None = None
    periodic: bool = True
    index: str | None = None
    form: str | None = None
    types: str | None = None
    keep_molecules: bool | None = None

    def check_unused(self, target: str) -> None:
        """Refuse what was given although the target is no file."""
        usual, named = Reading(), {"periodic": "no-pbc", "form": "format"}
        given = [
            "--" + named.get(field.name, field.name.replace("_", "-"))
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != getattr(usual, field.name)
        ]
        if given:
            many = " and ".join(filter(None, (", ".join(given[:-1]), given[-1])))
            raise InputError(
                f"{many} {'is' if len(given) == 1 else 'are'} for structure files; "
                f"'{target}' is a formula with units and cell of its own"
            )


def parse_region(text: str | None) -> tuple[float, float] | None:
    """The two heights of ``LOW:HIGH``.

    Raises
    ------
    InputError
        For anything else.
    """
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise InputError(
            f"--region is '{text}'; give two heights, such as 12.5:20"
        ) from error
    return low, high


def resolve(
    target: str, potential: str | None = None, reading: Reading | None = None
) -> SearchTarget:
    """Read TARGET and join it with its potential.

    Parameters
    ----------
    target
        A formula, ``FILE`` or ``FILE@INDEX``; an existing file goes first.
    potential
        ``FAMILY`` or ``FAMILY:SET``; what the species suggest when None.
    reading
        Of a file.

    Raises
    ------
    InputError
        For anything that cannot be searched; the sentence says what to do.
    """
    reading = Reading() if reading is None else reading
    family, parameters = parse_potential(potential)
    file = find_file(target)
    if file is None:
        if "/" in target or Path(target).suffix:
            raise InputError(f"there is no structure file '{target}'; check the path")
        reading.check_unused(target)
        return _from_formula(target, family, parameters)
    path, own = file
    if own is not None:
        if reading.index is not None:
            raise InputError(
                f"'{target}' and --index both choose structures; leave one out"
            )
        reading = dataclasses.replace(reading, index=own)
    try:
        return _from_file(target, path, family, parameters, reading)
    except InputError as error:
        if path in str(error):
            raise
        raise InputError(f"'{path}': {error}") from error


def _from_formula(
    target: str, family: str | None, parameters: str | None
) -> SearchTarget:
    from ase import Atoms

    from ase_l2h.search.problem import Problem
    from ase_l2h.targets import named_target

    # Other formulas keep their case: CO is not Co.
    name = target.upper() if re.fullmatch(r"(?i)(lj|ka)[0-9]+", target) else target
    known = named_target(name, None if family == "lj" else parameters)
    own = family_of(known.potential)
    if family is not None and family != own:
        raise InputError(
            f"'{name}' has the potential {LONG_NAMES[own]}, not "
            f"{LONG_NAMES[family]}; leave --potential out, or give a structure file"
        )
    cell = known.system.cell
    template = Atoms(
        list(known.symbols),
        positions=np.zeros((known.n_atoms, 3)),
        cell=None if cell is None else np.asarray(cell),
        pbc=cell is not None,
    )
    present = set(known.symbols)
    return SearchTarget(
        name=name,
        family=own,
        parameters=parameters or set_of(own, present),
        problem=Problem.of(known),
        template=template,
        origin=np.zeros(3),
        unit="epsilon" if own in ("lj", "ka") else "eV",
        notes=() if parameters else explained_choice(own, present),
    )


def _from_file(
    target: str,
    path: str,
    family: str | None,
    parameters: str | None,
    reading: Reading,
) -> SearchTarget:
    from ase_l2h.ase_adapter.convert import system_of
    from ase_l2h.ase_adapter.regions import region_of
    from ase_l2h.search.problem import Problem
    from ase_l2h.targets import MAX_ATOMS

    frames, note = read_frames(
        path, reading.index, reading.form, MAX_ATOMS, reading.types
    )
    images = [searchable(atoms, reading.periodic) for atoms in frames]
    template = images[0]
    check_atoms(template, MAX_ATOMS)
    present = set(template.get_chemical_symbols())
    family = family or default_family(present)
    _check_units(family, reading)
    potential = chosen_potential(
        family, parameters, present, reading.sigma, reading.epsilon, reading.cutoff
    )
    if template.pbc.any() and not np.isfinite(float(np.asarray(potential.cutoff))):
        raise InputError(
            f"{LONG_NAMES[family]} has no cut-off, which its periodic cell needs; "
            "give a --cutoff, or --no-pbc to search a free cluster"
        )
    potential, system, positions = system_of(template, potential)
    given = [positions]
    for k, other in enumerate(images[1:], start=1):
        check_alike(template, other, k)
        given.append(system_of(other, potential)[2])
    # Near the origin, where single precision has the most digits.
    origin = positions.mean(axis=1)
    notes = () if note is None else (note,)
    if family == "lj" and reading.sigma is None:
        notes += _doubt(template)
    if parameters is None:
        notes += explained_choice(family, present)
    return SearchTarget(
        name=target,
        family=family,
        parameters=" ".join(
            text
            for text in (
                parameters or set_of(family, present),
                _numbers(reading),
            )
            if text
        )
        or None,
        problem=Problem(
            potential,
            system,
            given=np.stack(given, axis=-1) - origin[:, None, None],
            name=target,
            symbols=tuple(template.get_chemical_symbols()),
            reference=_reference(family, system, reading),
            region=region_of(reading.region, template, origin),
        ),
        template=template,
        origin=origin,
        unit=_unit(family, reading.epsilon),
        notes=notes,
    )


def _check_units(family: str, reading: Reading) -> None:
    for name, value in (("sigma", reading.sigma), ("epsilon", reading.epsilon)):
        if value is not None and family != "lj":
            raise InputError(f"--{name} needs --potential lj, not {family}")
        if value is not None and not (value > 0 and np.isfinite(value)):
            raise InputError(f"--{name} is {value}; give a number above 0")


def _numbers(reading: Reading) -> str | None:
    """Sigma and epsilon, where they are not 1, and the cut-off."""
    pairs = (("sigma", reading.sigma), ("epsilon", reading.epsilon))
    pairs += (("cutoff", reading.cutoff),)
    text = " ".join(f"{name}={value:g}" for name, value in pairs if value is not None)
    return text or None


def _reference(family: str, system: Any, reading: Reading) -> float | None:
    """Energy of the published minimum of a free Lennard-Jones cluster."""
    from ase_l2h.targets import lennard_jones_minimum

    if family != "lj" or not system.recentred or reading.cutoff is not None:
        return None
    published = lennard_jones_minimum(system.n_atoms)
    return None if published is None else published * (reading.epsilon or 1.0)


def _unit(family: str, epsilon: float | None) -> str:
    if family in ("gupta", "sw"):
        return "eV"
    return "epsilon" if epsilon is None else "units"


def _doubt(atoms: Atoms) -> tuple[str, ...]:
    """A sentence where a file looks as if it were not in units of sigma."""
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    np.fill_diagonal(distances, np.inf)
    nearest = float(np.median(distances.min(axis=1)))
    if nearest < 2.0:
        return ()
    return (
        f"nearest neighbours are {nearest:.2f} apart and sigma is 1; if the file is in "
        "angstrom, give --sigma and --epsilon",
    )
