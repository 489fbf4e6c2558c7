"""TARGET with what acts on its atoms brought along: a calculator, or rows of pairs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ase_l2h.cli.help import Count, Real
from ase_l2h.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from ase_l2h.cli.target import Reading, SearchTarget
    from ase_l2h.search.problem import Problem

__all__ = ["Brought", "calculator_options", "calling_options", "resolve_with"]

PAIR_FAMILIES = ("gupta", "lj")


def calculator_options(command: Any) -> Any:
    """The options that name a calculator."""
    for option in (
        click.option(
            "--calculator-args", metavar="JSON", help="Its keyword arguments."
        ),
        click.option(
            "--calculator",
            metavar="NAME",
            help="Any ASE calculator: emt, tblite, MODULE:NAME.",
        ),
    ):
        command = option(command)
    return command


def calling_options(workers: str = "Processes that make calls.") -> Any:
    """The options that say how a calculator is called.

    ``workers`` is the help of ``--workers``, where a verb has more for them to do.
    """
    options = (
        click.option(
            "--call-timeout",
            type=Real(0.0),
            help="Seconds after which a call counts as failed.",
        ),
        click.option(
            "--workers",
            type=Count(4096),
            help=workers,
        ),
        click.option(
            "--cache",
            metavar="FILE",
            help="Keep all calls in this extended XYZ file.",
        ),
    )

    def added(command: Any) -> Any:
        for option in options:
            command = option(command)
        return command

    return added


@dataclasses.dataclass(frozen=True)
class Brought:
    """What the user brings to act between the atoms.

    Parameters
    ----------
    calculator, arguments
        ``--calculator`` and ``--calculator-args``.
    parameters
        ``--parameters``: a Gupta set, or a TOML file with one row for each pair.
    cache, workers, call_timeout
        How the calculator is called.
    """

    calculator: str | None = None
    arguments: str | None = None
    parameters: str | None = None
    cache: str | None = None
    workers: int | None = None
    call_timeout: float | None = None

    @classmethod
    def among(cls, options: dict[str, Any]) -> Brought:
        """Out of the options of a verb."""
        names = {"arguments": "calculator_args"}
        fields = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: options.get(names.get(name, name)) for name in fields})

    def made(self) -> Any:
        """The calculator; None without one."""
        if self.calculator is None:
            return None
        from ase_l2h.ase_adapter.naming import named_calculator

        return named_calculator(self.calculator, self.arguments)()

    @contextlib.contextmanager
    def opened(self, calculator: Any) -> Iterator[tuple[Any, Any]]:
        """Cache and calls of a calculator, closed in the end; neither of None."""
        if calculator is None or self.calculator is None:
            yield None, None
            return
        from ase_l2h.ase_adapter.calling import Calling
        from ase_l2h.ase_adapter.naming import named_calculator

        named = named_calculator(self.calculator, self.arguments)
        calling = Calling(
            workers=self.workers,
            call_timeout=self.call_timeout,
            make_calculator=named,
            cache=self.cache,
        )
        told = {"name": named.name, "arguments": named.arguments}
        with calling.opened(calculator, named=told) as pair:
            yield pair

    def __post_init__(self) -> None:
        if self.calculator is None and self.arguments is not None:
            raise InputError(
                "--calculator-args are for a calculator; name it with --calculator"
            )
        for option in ("cache", "workers", "call_timeout"):
            if self.calculator is None and getattr(self, option) is not None:
                raise InputError(
                    f"--{option.replace('_', '-')} is for calls of a calculator; "
                    "name it with --calculator"
                )
        if self.calculator is not None and self.parameters is not None:
            raise InputError(
                "--parameters are for pair potentials, not for --calculator; leave "
                "one out"
            )


def resolve_with(
    target: str,
    potential: str | None,
    reading: Reading,
    brought: Brought,
    made: tuple[Any, Any, Any] = (None, None, None),
) -> SearchTarget:
    """As :func:`~ase_l2h.cli.target.resolve`, with what the user brings along.

    Parameters
    ----------
    target, potential, reading
        See there.
    brought
        What acts.
    made
        The calculator, where it was made already, its cache, and what makes its calls.

    Raises
    ------
    InputError
        For anything that cannot be searched; the sentence says what to do.
    """
    from ase_l2h.cli.target import resolve

    if reading.keep_molecules and brought.calculator is None:
        raise InputError(
            "--keep-molecules is for calculators; name one with --calculator"
        )
    if brought == Brought():
        return resolve(target, potential, reading)
    if brought.calculator is not None:
        if potential is not None:
            raise InputError(
                "--potential and --calculator exclude each other; leave one out"
            )
        return _with_calculator(target, reading, brought, *made)
    return _with_parameters(target, potential, reading, str(brought.parameters))


def _with_calculator(
    target: str,
    reading: Reading,
    brought: Brought,
    calculator: Any,
    cache: Any,
    calls: Any,
) -> SearchTarget:
    from ase_l2h.ase_adapter.composition import composition_problem
    from ase_l2h.ase_adapter.isolated import all_isolated
    from ase_l2h.ase_adapter.molecules import check_kept
    from ase_l2h.ase_adapter.naming import named_calculator
    from ase_l2h.ase_adapter.problem import problem_of
    from ase_l2h.cli.target import SearchTarget

    assert brought.calculator is not None
    _refuse_units(reading, "--calculator")
    named = named_calculator(brought.calculator, brought.arguments)
    images, note = _images(target, reading)
    calculator = named() if calculator is None else calculator
    options = {"cache": cache, "evaluate": None if calls is None else calls.evaluate}
    if images is None:
        atoms = _formula(target)
        symbols = atoms.get_chemical_symbols()
        problem = composition_problem(symbols, calculator, **options)
    else:
        images = all_isolated(images)
        atoms = images[0]
        posed = atoms.copy()
        posed.calc = calculator
        options |= {"region": reading.region, "keep_molecules": reading.keep_molecules}
        problem = problem_of(posed, **options)
        problem = dataclasses.replace(problem, given=_given(images))
        check_kept(problem)
    told = {"name": named.name, "arguments": named.arguments}
    identity = {**problem.identity, "named": told}
    problem = dataclasses.replace(problem, name=target, identity=identity)
    return SearchTarget(
        name=target,
        family=named.name,
        parameters=named.arguments or None,
        problem=problem,
        template=atoms,
        origin=atoms.positions.mean(axis=0),
        unit="eV",
        notes=tuple(text for text in (note, _cluster(problem)) if text is not None),
        calculator=named,
    )


def _cluster(problem: Problem) -> str | None:
    """What is said of a cluster that a file has in a periodic cell."""
    if problem.periods is None:
        return None
    return "its atoms have a vacuum around them, so they are searched as a cluster"


def _with_parameters(
    target: str, potential: str | None, reading: Reading, parameters: str
) -> SearchTarget:
    import numpy as np

    from ase_l2h.ase_adapter.convert import system_of
    from ase_l2h.cli.target import SearchTarget, resolve
    from ase_l2h.potentials.pair_files import potential_from_file
    from ase_l2h.potentials.parameters import GUPTA_SETS
    from ase_l2h.search.problem import Problem

    family, colon, _ = (potential or "gupta").partition(":")
    if family not in PAIR_FAMILIES or colon:
        raise InputError(
            f"--parameters gives rows of pairs, and --potential is '{potential}'; "
            "write --potential gupta or --potential lj"
        )
    if parameters in GUPTA_SETS and family == "gupta":
        return resolve(target, f"gupta:{parameters}", reading)
    _refuse_units(reading, "--parameters")
    images, note = _images(target, reading)
    atoms = _formula(target) if images is None else images[0]
    if atoms.pbc.any():
        raise InputError(
            "pairs from a file have no cut-off, which a periodic cell needs; --no-pbc "
            "searches the atoms as a free cluster"
        )
    acting = potential_from_file(parameters, atoms.get_chemical_symbols(), family)
    restricted, system, _ = system_of(atoms, acting, check=images is not None)
    problem = Problem(
        restricted,
        system,
        given=np.zeros((3, len(atoms), 0)) if images is None else _given(images),
        name=target,
        symbols=tuple(atoms.get_chemical_symbols()),
    )
    return SearchTarget(
        name=target,
        family=family,
        parameters=Path(parameters).name,
        problem=problem,
        template=atoms,
        origin=atoms.positions.mean(axis=0),
        unit="eV" if family == "gupta" else "epsilon",
        notes=() if note is None else (note,),
    )


def _refuse_units(reading: Reading, option: str) -> None:
    if reading.sigma is not None or reading.epsilon is not None:
        raise InputError(
            f"--sigma and --epsilon are for --potential lj; leave them or {option} out"
        )
    if reading.cutoff is not None:
        raise InputError(f"--cutoff and {option} do not go together; leave one out")


def _images(target: str, reading: Reading) -> tuple[list[Atoms] | None, str | None]:
    """The structures of a file and what should be said; None of a formula."""
    from ase_l2h.ase_adapter.convert import system_of, to_atoms
    from ase_l2h.cli.structure_files import (
        check_alike,
        check_atoms,
        find_file,
        read_frames,
        searchable,
    )
    from ase_l2h.targets import MAX_ATOMS

    file = find_file(target)
    if file is None:
        if "/" in target or Path(target).suffix:
            raise InputError(f"there is no structure file '{target}'; check the path")
        reading.check_unused(target)
        return None, None
    path, own = file
    if own is not None and reading.index is not None:
        raise InputError(
            f"'{target}' and --index both choose structures; leave one out"
        )
    index = reading.index if own is None else own
    frames, note = read_frames(path, index, reading.form, MAX_ATOMS, reading.types)
    images = [searchable(atoms, reading.periodic) for atoms in frames]
    check_atoms(images[0], MAX_ATOMS)
    for k, other in enumerate(images[1:], start=1):
        check_alike(images[0], other, k)
    # Atoms that overlap are moved apart there.
    return [to_atoms(atoms, system_of(atoms)[2]) for atoms in images], note


def _given(images: list[Atoms]) -> np.ndarray:
    """Positions ``(3, n, m)`` about the middle of the first."""
    import numpy as np

    origin = images[0].positions.mean(axis=0)
    return np.stack([(atoms.positions - origin).T for atoms in images], axis=-1)


def _formula(target: str) -> Atoms:
    """A free cluster of a formula, its atoms on a lattice."""
    from ase.data import atomic_numbers

    from ase_l2h.ase_adapter.composition import lattice_of
    from ase_l2h.targets import parse_formula

    symbols = parse_formula(target)
    unknown = [symbol for symbol in symbols if symbol not in atomic_numbers]
    if unknown:
        raise InputError(
            f"'{target}' is neither a file nor a formula: {unknown[0]} is not an "
            "element"
        )
    return lattice_of(symbols)
