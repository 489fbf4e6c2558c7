"""Calculators by name: ``emt``, or ``MODULE:NAME`` of any class or function."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import os
import sys
from collections.abc import Mapping
from inspect import Parameter
from typing import Any

from ase.calculators.calculator import Calculator, get_calculator_class

from ase_l2h._internal.workers import told
from ase_l2h.errors import InputError

__all__ = ["WRITING", "CalculatorName", "check_calculator", "named_calculator"]

# Short names of calculators that ASE does not have.
OTHERS = {"tblite": "tblite.ase:TBLite"}
# ASE's calculators that write files have one of these attributes.
WRITING = ("write_input", "command", "profile")
# ASE's calculators that take more arguments than their defaults, and write no files.
OPEN_ENDED = ("EAM", "LAMMPS", "LAMMPSlib", "Psi4")
# Arguments of all of ASE's calculators that do not affect results.
FOR_ASE = {"atoms", "ignore_bad_restart_file", "label", "restart"}


@dataclasses.dataclass(frozen=True)
class CalculatorName:
    """What makes a calculator, here or in another process.

    Parameters
    ----------
    name
        A short name of ASE's, ``tblite``, or ``MODULE:NAME``.
    arguments
        Keyword arguments as JSON, in alphabetical order; empty where there are none.
    """

    name: str
    arguments: str = ""

    def __call__(self) -> Any:
        """A new calculator.

        Raises
        ------
        InputError
            Where it cannot be imported or made, or gives no energies and forces.
        """
        make = _imported(self.name)
        arguments = json.loads(self.arguments) if self.arguments else {}
        _check_arguments(make, self.name, arguments)
        try:
            calculator = make(**arguments)
        except Exception as error:
            raise InputError(
                f"the calculator {self.name} cannot be made with "
                f"{self.arguments or 'no arguments'} ({told(error)}); check "
                "--calculator-args"
            ) from error
        check_calculator(calculator, self.name)
        return calculator


def named_calculator(name: str, arguments: str | None = None) -> CalculatorName:
    """The calculator of a name, with keyword arguments as a JSON object.

    Raises
    ------
    InputError
        For arguments that are not a JSON object, and for an unknown name.
    """
    values: Any = {}
    if arguments is not None:
        try:
            values = json.loads(arguments)
        except ValueError as error:
            raise InputError(
                f"--calculator-args is not JSON ({error}); write for example "
                '\'{"method": "GFN2-xTB"}\''
            ) from error
    if not isinstance(values, dict):
        raise InputError(
            f"--calculator-args is {arguments}; give a JSON object of keyword "
            'arguments, for example \'{"method": "GFN2-xTB"}\''
        )
    _imported(name)
    return CalculatorName(name, json.dumps(values, sort_keys=True) if values else "")


def check_calculator(calculator: Any, name: str) -> None:
    """Refuse anything but a calculator that gives energies and forces.

    Raises
    ------
    InputError
        Saying which.
    """
    if not all(
        callable(getattr(calculator, method, None))
        for method in ("get_potential_energy", "get_forces")
    ):
        raise InputError(
            f"{name} makes a {type(calculator).__name__}, which is not an ASE "
            "calculator; name a class or a function that returns one"
        )
    known = list(getattr(calculator, "implemented_properties", None) or ())
    missing = [p for p in ("energy", "forces") if known and p not in known]
    if missing:
        raise InputError(
            f"the calculator {name} gives no {' and no '.join(missing)} (it gives "
            f"{', '.join(known)}); a search needs energies and forces"
        )


def _check_arguments(make: Any, name: str, arguments: dict[str, Any]) -> None:
    """Refuse arguments that a calculator would ignore, or cannot be made with."""
    known = _taken(make)
    unknown = [argument for argument in arguments if known and argument not in known]
    if unknown:
        raise InputError(
            f"the calculator {name} takes no argument '{unknown[0]}'; of "
            f"--calculator-args it takes {', '.join(sorted(known - FOR_ASE))}"
        )


def _taken(make: Any) -> set[str]:
    """Names of the arguments that a class or function takes; empty if any is allowed.

    ASE's calculators accept unknown arguments silently. If a class has
    ``default_parameters``, these are all it takes, unless it writes input files.
    """
    kinds = make.__mro__ if isinstance(make, type) else (make,)
    names: set[str] = set()
    for kind in kinds:
        maker = vars(kind).get("__init__") if isinstance(kind, type) else kind
        if maker is None:
            continue
        try:
            parameters = inspect.signature(maker).parameters.values()
        except (TypeError, ValueError):
            return set()
        by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        names |= {each.name for each in parameters if each.kind in by_name}
        if kind is Calculator:
            break
        if all(each.kind != Parameter.VAR_KEYWORD for each in parameters):
            return names - {"self"}
    defaults = getattr(make, "default_parameters", None)
    open_ended = getattr(make, "__name__", "") in OPEN_ENDED
    if not isinstance(defaults, Mapping) or not defaults or open_ended:
        return set()
    if any(hasattr(make, written) for written in WRITING):
        return set()
    return (names | set(defaults)) - {"self"}


def _imported(name: str) -> Any:
    """The class or function of a name."""
    module, colon, attribute = OTHERS.get(name, name).partition(":")
    if not colon:
        return _of_ase(name)
    if not module or not attribute:
        raise InputError(f"--calculator is '{name}'; write MODULE:NAME")
    here = os.getcwd()
    if here not in sys.path:
        # Finds modules in the working folder, as `python -m` does, in other processes,
        # too.
        sys.path.append(here)
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        remedy = "install it" if name in OTHERS else "check the name, or install it"
        raise InputError(
            f"the calculator {name} cannot be imported ({told(error)}); {remedy}"
        ) from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InputError(
            f"the module {module} has no class or function '{attribute}'; check the "
            "name after the colon"
        )
    return found


def _of_ase(name: str) -> Any:
    try:
        return get_calculator_class(name)
    except Exception as error:
        raise InputError(
            f"ASE has no calculator '{name[:40]}' ({told(error)}); give one of its "
            "short names such as emt, or MODULE:NAME"
        ) from error
