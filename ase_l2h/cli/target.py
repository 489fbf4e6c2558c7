"""TARGET of ``ase-l2h search``: a formula or a structure file, made ready to search."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_l2h.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_l2h.potentials.base import Potential
    from ase_l2h.system import System

__all__ = ["FAMILIES", "Job", "resolve"]

FAMILIES = ("lj", "ka", "gupta", "sw")
LONG_NAMES = {
    "lj": "Lennard-Jones",
    "ka": "Kob-Andersen",
    "gupta": "Gupta",
    "sw": "Stillinger-Weber",
}
NOBLE_GASES = {"X", "He", "Ne", "Ar", "Kr", "Xe", "Rn"}


@dataclasses.dataclass(frozen=True)
class Job:
    """What is searched.

    Parameters
    ----------
    name
        TARGET as it was given.
    family, parameters
        ``"lj"``, ``"gupta"`` or ``"sw"``, and the name of the parameter set, if any.
    template
        Species, cell and constraints of every result; the user's structure for a file.
    potential, system
        What is minimised.
    given
        The user's positions about their centroid, ``(3, n, 1)``; None for a formula.
    reference
        Energy of the published putative global minimum, or None.
    unit
        Name of the energy unit.
    doubt
        What the user should be told before the search begins.
    """

    name: str
    family: str
    parameters: str | None
    template: Atoms
    potential: Potential
    system: System
    given: np.ndarray | None
    reference: float | None
    unit: str
    doubt: str | None = None

    def structure(self, positions: np.ndarray, energy: float, **facts: Any) -> Atoms:
        """A result as Atoms: positions ``(n, 3)``, energy, and ``facts`` in info."""
        from ase.calculators.singlepoint import SinglePointCalculator

        atoms = self.template.copy()
        if self.given is not None:
            # Back to where the user has it, fixed coordinates bit for bit.
            positions = positions + self.template.positions.mean(axis=0)
            if self.system.free is not None:
                free = np.asarray(self.system.free).T
                positions = np.where(free, positions, self.template.positions)
        atoms.set_positions(positions, apply_constraint=False)
        atoms.info = dict(facts)
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        return atoms


def resolve(
    target: str,
    potential: str | None,
    sigma: float | None,
    epsilon: float | None,
    periodic: bool,
    n_starts: int,
) -> Job:
    """Read TARGET and join it with its potential.

    Raises
    ------
    InputError
        For anything that cannot be searched; the sentence says what to do.
    """
    family, parameters = _parse_potential(potential)
    if Path(target).exists() and not Path(target).is_dir():
        try:
            return _from_file(
                target, family, parameters, sigma, epsilon, periodic, n_starts
            )
        except InputError as error:
            if target in str(error):
                raise
            raise InputError(f"'{target}': {error}") from error
    if "/" in target or Path(target).suffix:
        raise InputError(f"there is no structure file '{target}'; check the path")
    if sigma is not None or epsilon is not None or not periodic:
        raise InputError(
            f"--sigma, --epsilon and --no-pbc are for structure files; '{target}' is a "
            "formula with units and cell of its own"
        )
    return _from_formula(target, family, parameters)


def _parse_potential(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    family, colon, name = text.partition(":")
    if family not in FAMILIES or (colon and not name) or (family == "lj" and colon):
        raise InputError(
            f"no potential named '{text}'; write lj, ka, gupta, gupta:SET, sw or "
            "sw:SET ('ase-l2h info' lists the sets)"
        )
    return family, name or None


def _from_formula(target: str, family: str | None, parameters: str | None) -> Job:
    from ase import Atoms

    from ase_l2h.targets import named_target

    known = named_target(target, None if family == "lj" else parameters)
    own = _family_of(known.potential)
    if family is not None and family != own:
        raise InputError(
            f"'{target}' is searched with {LONG_NAMES[own]}, not {LONG_NAMES[family]}; "
            "leave --potential out, or give a structure file"
        )
    cell = known.system.cell
    template = Atoms(
        list(known.symbols),
        positions=np.zeros((known.n_atoms, 3)),
        cell=None if cell is None else np.asarray(cell),
        pbc=cell is not None,
    )
    return Job(
        name=target,
        family=own,
        parameters=parameters or _set_of(own, set(known.symbols)),
        template=template,
        potential=known.potential,
        system=known.system,
        given=None,
        reference=known.reference,
        unit="epsilon" if own in ("lj", "ka") else "eV",
    )


def _family_of(potential: Any) -> str:
    names = {
        "LennardJones": "lj",
        "BinaryLennardJones": "ka",
        "Gupta": "gupta",
        "StillingerWeber": "sw",
    }
    return names[type(potential).__name__]


def _set_of(family: str, present: set[str]) -> str | None:
    """The parameter set these elements get when none is asked for."""
    from ase_l2h.potentials.parameters import gupta_sets_covering
    from ase_l2h.targets import DEFAULT_SETS, DEFAULT_SILICON

    if family == "lj":
        return None
    if family == "ka":
        return "stoddard-ford"
    if family == "sw":
        return DEFAULT_SILICON
    covering = gupta_sets_covering(present)
    default = DEFAULT_SETS.get(frozenset(present))
    return default if default in covering else next(iter(covering), None)


def _default_family(symbols: Iterable[str]) -> str:
    present = set(symbols)
    if present == {"Si"}:
        return "sw"
    if present <= NOBLE_GASES:
        return "lj"
    if _set_of("gupta", present) is not None:
        return "gupta"
    raise InputError(
        f"there is no default potential for {'-'.join(sorted(present))}; choose one "
        "with --potential ('ase-l2h info' lists the parameter sets)"
    )


def read_structure(path: str) -> Atoms:
    """The last structure of a file, with no calculator.

    Raises
    ------
    InputError
        When ASE cannot read it, or it holds no positions to work on.
    """
    import ase.io

    try:
        atoms = ase.io.read(path, do_not_split_by_at_sign=True)
    # Readers of some eighty formats raise whatever they meet.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise InputError(
            f"'{path}' cannot be read as a structure ({type(error).__name__}: "
            f"{reason}); give a file that ase.io.read understands"
        ) from error
    if isinstance(atoms, list):
        raise InputError(f"'{path}' holds no structure")
    atoms.calc = None
    return atoms


def _potential(
    family: str,
    parameters: str | None,
    present: set[str],
    sigma: float | None,
    epsilon: float | None,
) -> Any:
    from ase_l2h.potentials.lennard_jones import LennardJones
    from ase_l2h.potentials.parameters import gupta_set, stillinger_weber_set
    from ase_l2h.targets import kob_andersen

    if family == "lj":
        return LennardJones(epsilon=epsilon or 1.0, sigma=sigma or 1.0)
    if parameters is None:
        parameters = _set_of(family, present)
    if family == "ka":
        return kob_andersen(parameters)
    if parameters is None:
        raise InputError(
            f"no Gupta parameters for {'-'.join(sorted(present))} ('ase-l2h info' "
            "lists the sets); choose another --potential"
        )
    if family == "gupta":
        return gupta_set(parameters).potential()
    chosen = stillinger_weber_set(parameters)
    if present != {chosen.symbol}:
        raise InputError(
            f"the Stillinger-Weber parameters {parameters} are for {chosen.symbol}, "
            f"not {'-'.join(sorted(present))}; choose another --potential"
        )
    return chosen.potential()


def _from_file(
    target: str,
    family: str | None,
    parameters: str | None,
    sigma: float | None,
    epsilon: float | None,
    periodic: bool,
    n_starts: int,
) -> Job:
    from ase_l2h.ase_adapter.convert import system_of
    from ase_l2h.targets import MAX_ATOMS, lennard_jones_minimum

    atoms = read_structure(target)
    if not periodic:
        atoms.pbc = False
    if len(atoms) < 2:
        raise InputError(
            f"'{target}' holds {len(atoms)} atom(s); a search needs at least 2"
        )
    if len(atoms) > MAX_ATOMS:
        raise InputError(
            f"'{target}' holds more than {MAX_ATOMS} atoms; every pair is taken into "
            "account, so choose a smaller target"
        )
    present = set(atoms.get_chemical_symbols())
    family = family or _default_family(present)
    for name, value in (("sigma", sigma), ("epsilon", epsilon)):
        if value is not None and family != "lj":
            raise InputError(f"--{name} needs --potential lj, not {family}")
        if value is not None and not (value > 0 and np.isfinite(value)):
            raise InputError(f"--{name} is {value}; give a number above 0")
    potential = _potential(family, parameters, present, sigma, epsilon)
    potential, system, positions = system_of(atoms, potential)
    if n_starts > 1 and system.free is not None:
        raise InputError(
            f"'{target}' has fixed atoms, which random starts would move; use "
            "--starts 1, or remove the constraint"
        )
    published = family == "lj" and sigma is None and epsilon is None
    return Job(
        name=target,
        family=family,
        parameters=parameters or _set_of(family, present),
        template=atoms,
        potential=potential,
        system=system,
        given=(positions - positions.mean(axis=1, keepdims=True))[..., None],
        reference=lennard_jones_minimum(len(atoms)) if published else None,
        unit=_unit(family, epsilon),
        doubt=_doubt(atoms) if family == "lj" and sigma is None else None,
    )


def _unit(family: str, epsilon: float | None) -> str:
    if family in ("gupta", "sw"):
        return "eV"
    return "epsilon" if epsilon is None else "units"


def _doubt(atoms: Atoms) -> str | None:
    """A sentence where a file looks as if it were not in units of sigma."""
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    np.fill_diagonal(distances, np.inf)
    nearest = float(np.median(distances.min(axis=1)))
    if nearest < 2.0:
        return None
    return (
        f"nearest neighbours are {nearest:.2f} apart and sigma is 1; if the file is in "
        "angstrom, give --sigma and --epsilon"
    )
