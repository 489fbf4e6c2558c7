"""How methods are compared: what is declared before anything is run.

A **run** is one search with a seed of its own, charged for every energy and gradient
it asks for. It ends at its first encounter, a charged relaxation that ends within 1e-4
energy scales of the target energy or below, or when its budget does not suffice for
another step: then it is cut off (right-censored). No charge exceeds the budget.

Every method is one that ``ase-l2h search`` knows, one structure at a time where it
leaves that open: chains, and starts one after the other.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from ase_l2h.errors import InputError
from ase_l2h.rollout.backends import known_backend
from ase_l2h.search.auto.parts import checked_parts
from ase_l2h.search.limits import Limits, checked_seed
from ase_l2h.search.method import Method
from ase_l2h.search.names import DEFAULT_METHOD
from ase_l2h.search.problem import HIT, Problem
from ase_l2h.search.registry import default_steps, make_method, method_weights
from ase_l2h.targets import Target

__all__ = [
    "DEFAULT_METHODS",
    "MethodSpec",
    "Protocol",
    "declare",
    "known_minimum",
    "method_spec",
]

DEFAULT_METHODS = (DEFAULT_METHOD, "learned", "bh", "adam")
MOST_RUNS = 100_000
# Methods of which a backend can be chosen in the records of 0.1.0.
COMPILED = ("learned", "adam", "fire", "bh", "bh-paper")


def named_backend(backend: str, method: str) -> str | None:
    """The backend that was named for a method in 0.1.0; None: left to choose."""
    return backend if backend != "auto" and method in COMPILED else None


@dataclasses.dataclass(frozen=True)
class MethodSpec:
    """A method as it takes part.

    Parameters
    ----------
    name
        In tables.
    method
        Its name, see :data:`~ase_l2h.search.names.METHODS`, or the method itself.
    weights, steps, without
        See :func:`~ase_l2h.search.registry.make_method`.
    """

    name: str
    method: str | Method
    weights: str | None = None
    steps: int | None = None
    without: tuple[str, ...] = ()

    def make(self, problem: Problem) -> Method:
        """The method for a problem.

        Raises
        ------
        InputError
            When it cannot search this one.
        """
        method = self.method
        if isinstance(method, str):
            # Starts and chains one after the other; the default as everybody has it.
            method = make_method(
                method,
                problem,
                weights=self.weights,
                steps=self.steps,
                width=None if method == DEFAULT_METHOD else 1,
                without=self.without,
            )
        reason = method.refuse(problem)
        if reason is not None:
            raise InputError(f"{problem.name}: the method '{self.name}' {reason}")
        return method


def method_spec(text: str) -> MethodSpec:
    """A method from ``METHOD[:WEIGHTS][@STEPS]``, say ``learned:lj-fcc@600``.

    ``auto~fragments~learned-hops`` leaves out parts of ``auto``.

    Raises
    ------
    InputError
        For an unknown method or weights, and for steps that cannot be.
    """
    text, *without = text.split("~")
    named = "~".join([text, *without])
    match = re.fullmatch(r"([^:@]+)(?::(.+?))?(?:@([0-9]{1,8}))?", text)
    if match is None:
        raise InputError(
            f"'{text}' is not a method; write METHOD, METHOD:WEIGHTS or "
            "METHOD@STEPS, for example learned:lj-fcc@600"
        )
    method, weights, digits = match.groups()
    loaded = method_weights(method, weights)
    if without and method != DEFAULT_METHOD:
        raise InputError(
            f"'{named}': only {DEFAULT_METHOD} has parts that can be left out"
        )
    parts = checked_parts(without)
    steps = None if digits is None else int(digits)
    if steps is not None and default_steps(method, loaded) is None:
        raise InputError(
            f"'{text}': {method} runs until its budget is used up; leave @{steps} out"
        )
    return MethodSpec(named, method, weights, steps, parts)


def known_minimum(problem: Problem) -> float | None:
    """Energy of the lowest minimum known: the published one, or what we have found.

    The latter have their source in ``data/putative_minima.json``.
    """
    if problem.reference is not None:
        return problem.reference
    if problem.identity is not None:
        # What acts is the user's own, whatever the formula.
        return None
    return _putative_minima().get(problem.name)


@lru_cache(maxsize=1)
def _putative_minima() -> dict[str, float]:
    path = resources.files("ase_l2h.comparison") / "data" / "putative_minima.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    return {name: entry["energy"] for name, entry in known.items()}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is declared before anything is run.

    Parameters
    ----------
    problems
        What is searched; the ``reference`` of each is the energy that counts as found.
    methods
        Every method runs on every problem.
    runs
        Runs per method and problem.
    budget
        Charged evaluations of a run.
    seed
        Run k of a method follows from ``(seed, k)``.
    backend
        What runs the steps, see :func:`~ase_l2h.search.driver.engine_for`.

    Raises
    ------
    InputError
        For what cannot be run.
    """

    problems: tuple[Problem, ...]
    methods: tuple[MethodSpec, ...]
    runs: int
    budget: int
    seed: int
    backend: str = "auto"

    def __post_init__(self) -> None:
        if not self.problems or not self.methods:
            raise InputError("nothing is compared; give a target and a method")
        if self.runs != int(self.runs) or not 1 <= self.runs <= MOST_RUNS:
            raise InputError(f"{self.runs} runs are asked for; give 1 to {MOST_RUNS}")
        Limits(evaluations=self.budget)
        checked_seed(self.seed)
        for names in ([p.name for p in self.problems], [m.name for m in self.methods]):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(f"{', '.join(twice)} is given twice; name it once")
        known_backend(self.backend)
        for problem in self.problems:
            if problem.reference is None or not math.isfinite(problem.reference):
                raise InputError(
                    f"{problem.name} has no energy that counts as found; give one"
                )

    def entry(self, problem: Problem, spec: MethodSpec) -> dict[str, Any]:
        """What the runs of a method on a problem have in common, as JSON has it."""
        method = spec.make(problem)
        entry = {
            "target": problem.name,
            "target_energy": problem.reference,
            "tolerance": HIT * problem.energy_unit,
            "problem": problem.fingerprint(),
            "method": spec.name,
            "settings": {"method": method.name, **method.describe()},
            "budget": self.budget,
            "seed": self.seed,
            "asked_for": None if self.backend == "auto" else self.backend,
        }
        return json.loads(json.dumps(entry))

    def todict(self) -> dict[str, Any]:
        """The declaration as a line of the record."""
        return {
            "kind": "protocol",
            "runs": self.runs,
            "budget": self.budget,
            "seed": self.seed,
            "backend": self.backend,
            "entries": [
                self.entry(problem, spec)
                for problem in self.problems
                for spec in self.methods
            ],
        }


def declare(
    targets: str | Target | Problem | Sequence[str | Target | Problem],
    methods: str | Method | MethodSpec | Sequence[str | Method | MethodSpec],
    *,
    runs: int,
    budget: int,
    seed: int,
    energies: Mapping[str, int | float] | None = None,
    backend: str = "auto",
) -> Protocol:
    """The protocol of a comparison, see :func:`~ase_l2h.comparison.running.compare`.

    Raises
    ------
    InputError
        For what cannot be compared; the sentence says what to do.
    """
    energies = {} if energies is None else energies
    problems = tuple(_posed(target, energies) for target in _listed(targets))
    names = {problem.name for problem in problems}
    unknown = sorted(name for name in energies if name not in names)
    if unknown:
        raise InputError(f"'{unknown[0]}' has an energy but is not one of the targets")
    protocol = Protocol(
        problems,
        tuple(_specified(method) for method in _listed(methods)),
        runs=runs,
        budget=budget,
        seed=seed,
        backend=backend,
    )
    # What a method refuses is found out before anything is run.
    protocol.todict()
    return protocol


def _listed(values: Any) -> list[Any]:
    if isinstance(values, list | tuple):
        return list(values)
    return [values]


def _posed(
    target: str | Target | Problem, energies: Mapping[str, int | float]
) -> Problem:
    """The problem of a target, with the energy that counts as found."""
    problem = target if isinstance(target, Problem) else Problem.of(target)
    energy = energies.get(problem.name, known_minimum(problem))
    if energy is None or not math.isfinite(energy):
        raise InputError(
            f"{problem.name} has no published minimum; give the energy that counts as "
            f"found, {problem.name}=ENERGY, for example the lowest of a long "
            f"'ase-l2h search {problem.name}'"
        )
    # A structure that all runs begin with would make them alike; where atoms are
    # fixed, it has to say where.
    given = problem.given[..., :0] if problem.free is None else problem.given
    return dataclasses.replace(
        problem, reference=float(energy), given=given, first=None
    )


def _specified(method: str | Method | MethodSpec) -> MethodSpec:
    if isinstance(method, str):
        return method_spec(method)
    if isinstance(method, MethodSpec):
        return method
    return MethodSpec(method.name, method)
