"""How methods are compared: what is declared before anything is run, and running it.

A **run** is one search with a seed of its own, charged for every energy and gradient it
asks for. It ends at its first encounter: a charged quench that ends within 1e-4 energy
scales of the target energy (or below). Methods that hop are one chain per run. The
others are restarted from one random start after another, so a run of theirs is a row of
starts of which the last one meets the target; starts are made in blocks side by side,
but charged to their runs one after the other, as they would be on one's own. A run that
has used up its budget is cut off there (right-censored): the start under way is
finished, a chain takes up to 2000 evaluations more.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from importlib import resources
from typing import Any

import numpy as np

from ase_l2h._internal.records import Lines, Records
from ase_l2h.comparison.compile_clock import compile_clock
from ase_l2h.comparison.first_encounter import first_encounters
from ase_l2h.errors import InputError
from ase_l2h.optimizers import BasinHopping
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout.backends import known_backend
from ase_l2h.rollout.batch import resolve_device
from ase_l2h.search.cluster import HYBRID, cluster_weights, find_cluster
from ase_l2h.search.multistart import SearchResult, hit_tolerance, search
from ase_l2h.search.registry import (
    HOPPING,
    default_steps,
    make_optimizer,
    method_weights,
)
from ase_l2h.system import System
from ase_l2h.targets import Target
from ase_l2h.weights.load import load_weights

__all__ = [
    "Contender",
    "Goal",
    "Protocol",
    "contender",
    "goal",
    "lines_of",
    "named_backend",
    "run_protocol",
    "runs_of_starts",
]

# Starts, and chains, that are run side by side and recorded together.
STARTS = 128
CHAINS = 32
# Hybrid searches that are recorded together.
HYBRIDS = 4
# Methods that run on a backend that is named; the others on scan.
COMPILED = ("learned", "adam", "fire", "bh", "bh-paper")

Progress = Callable[[int, int, str], Any]


@dataclasses.dataclass(frozen=True)
class Goal:
    """A target with the energy that counts as found, in the potential's unit."""

    name: str
    potential: Potential
    system: System
    energy: float

    @property
    def tolerance(self) -> float:
        """How far from ``energy`` a quench may end, the potential's unit."""
        return hit_tolerance(self.system)


def goal(target: Target, energy: float | None = None) -> Goal:
    """What is to be found of a target: ``energy``, or its lowest known minimum.

    That is the published one, or where there is none the lowest that this package has
    found, with its source in ``data/putative_minima.json``.

    Raises
    ------
    InputError
        When neither is known.
    """
    if energy is None:
        energy = target.reference
    if energy is None:
        energy = _putative_minima().get(target.name)
    if energy is None or not math.isfinite(energy):
        raise InputError(
            f"{target.name} has no published minimum; give the energy that counts as "
            f"found, {target.name}=ENERGY, for example the lowest of a long "
            f"'ase-l2h search {target.name}'"
        )
    return Goal(target.name, target.potential, target.system, float(energy))


@lru_cache(maxsize=1)
def _putative_minima() -> dict[str, float]:
    path = resources.files("ase_l2h.comparison") / "data" / "putative_minima.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    return {name: entry["energy"] for name, entry in known.items()}


@dataclasses.dataclass(frozen=True)
class Contender:
    """A method as it takes part: its ``name`` in tables, weights and steps per start.

    ``steps`` is None for methods that hop, which go on until they are done; ``rules``
    is the number of rules that the starts of a portfolio take in turn.
    """

    name: str
    method: str
    weights: str | None
    sha256: str | None
    steps: int | None
    rules: int = 1

    def settings(self, potential: Potential, system: System) -> str | None:
        """Its parameters in words, where no hash of weights stands for them."""
        if self.sha256 is not None:
            return None
        if self.method == HYBRID:
            loaded = cluster_weights(potential)
            return f"hybrid {loaded.name} {loaded.sha256}"
        return repr(make_optimizer(self.method, None, self.steps or 1, system))


def contender(text: str) -> Contender:
    """A method from ``METHOD[:WEIGHTS][@STEPS]``, say ``learned:lj-fcc@600``.

    Raises
    ------
    InputError
        For an unknown method or weights, and for steps that cannot be.
    """
    match = re.fullmatch(r"([^:@]+)(?::(.+?))?(?:@([0-9]{1,8}))?", text)
    if match is None:
        raise InputError(
            f"'{text}' is no method; write METHOD, METHOD:WEIGHTS or METHOD@STEPS, "
            "for example learned:lj-fcc@600"
        )
    method, weights, steps = match.groups()
    if steps is not None and method in (*HOPPING, HYBRID):
        raise InputError(
            f"'{text}': {method} goes on until its budget is used up; leave @{steps} "
            "out"
        )
    if method == HYBRID:
        # Which weights a target gets by default depends on its elements.
        known = None if weights is None else load_weights(weights)
        return Contender(text, method, weights, known and known.sha256, None)
    loaded = method_weights(method, weights)
    if method in HOPPING:
        return Contender(text, method, None, None, None)
    count = default_steps(method, loaded) if steps is None else int(steps)
    if count < 1:
        raise InputError(f"'{text}' takes no steps; give at least 1")
    return Contender(
        text,
        method,
        None if loaded is None else loaded.name if weights is None else weights,
        None if loaded is None else loaded.sha256,
        count,
        len(loaded.rule) if loaded is not None and type(loaded.rule) is tuple else 1,
    )


def named_backend(backend: str, method: str) -> str | None:
    """The backend that was named for a method, None where it is left to choose."""
    return backend if backend != "auto" and method in COMPILED else None


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is declared before anything is run.

    Parameters
    ----------
    goals, contenders
        Every method runs on every target.
    runs
        Runs per method and target.
    budget
        Charged evaluations after which a run is cut off.
    seed
        All starts and chains follow from it; all methods have the same starts.
    backend
        What runs the steps of the methods in ``COMPILED``; ``scan`` runs the others.
    """

    goals: tuple[Goal, ...]
    contenders: tuple[Contender, ...]
    runs: int
    budget: int
    seed: int
    backend: str = "auto"

    def __post_init__(self) -> None:
        if not self.goals or not self.contenders:
            raise InputError("nothing is compared; give a target and a method")
        if not 1 <= self.runs <= 100_000:
            raise InputError(f"{self.runs} runs are asked for; give 1 to 100000")
        if not 1 <= self.budget <= 10**12:
            raise InputError(
                f"the budget is {self.budget} evaluations; give 1 to 10^12"
            )
        if not 0 <= self.seed < 2**32:
            raise InputError(
                f"the seed is {self.seed}; give a number from 0 to 2^32 - 1"
            )
        for names in ([g.name for g in self.goals], [c.name for c in self.contenders]):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(f"{', '.join(twice)} is given twice; name it once")
        known_backend(self.backend)

    def todict(self) -> dict[str, Any]:
        """The declaration as a line of the record."""
        return {
            "kind": "protocol",
            "targets": {g.name: [g.energy, g.tolerance] for g in self.goals},
            "methods": [dataclasses.asdict(c) for c in self.contenders],
            "runs": self.runs,
            "budget": self.budget,
            "seed": self.seed,
        } | ({} if self.backend == "auto" else {"backend": self.backend})

    def asked_for(self, method: Contender) -> str | None:
        """The backend that was named for a method, None where it is left to choose."""
        return named_backend(self.backend, method.method)


def run_protocol(
    protocol: Protocol,
    records: Records,
    *,
    device: Any = None,
    progress: Progress | None = None,
) -> None:
    """Run what is missing in ``records``; the declaration goes there first.

    Raises
    ------
    KeyboardInterrupt
        Finished blocks are in the record; the same call goes on from there.
    """
    if records.find(protocol.todict()) is None:
        records.append(protocol.todict())
    pairs = [(g, c) for g in protocol.goals for c in protocol.contenders]
    for number, (aim, method) in enumerate(pairs):
        if progress is not None:
            progress(number, len(pairs), f"{aim.name} {method.name}")
        block = _block_of_chains if method.steps is None else _block_of_starts
        if method.method == HYBRID:
            block = _block_of_hybrids
        while (missing := _missing(protocol, records.lines, aim, method)) > 0:
            done = len(lines_of(protocol, records.lines, aim, method))
            key = _key(protocol, aim, method) | {"block": done}
            seed = _block_seed(protocol.seed, done)
            make = partial(block, protocol, aim, method, seed, missing, device)
            records.get(key, make)
    if progress is not None:
        progress(len(pairs), len(pairs), "done")


def _block_seed(seed: int, block: int) -> int:
    """Seed of a block: the same for all methods and targets."""
    return int(np.random.SeedSequence((seed, block)).generate_state(1)[0])


def _key(protocol: Protocol, aim: Goal, method: Contender) -> dict[str, Any]:
    """What the lines of a method on a target have in common."""
    key = {
        "kind": "chains" if method.steps is None else "starts",
        "target": aim.name,
        "target_energy": aim.energy,
        "tolerance": aim.tolerance,
        "method": method.method,
        "weights": method.weights,
        "weights_sha256": method.sha256,
        "steps": method.steps,
        "settings": method.settings(aim.potential, aim.system),
        "seed": protocol.seed,
        "asked_for": protocol.asked_for(method),
    }
    # Where a chain is cut off is part of it; starts are the same under any budget.
    return key | {"budget": protocol.budget} if method.steps is None else key


def lines_of(protocol: Protocol, lines: Lines, aim: Goal, method: Contender) -> Lines:
    """The lines of a method on a target, in the order of their blocks."""
    key = _key(protocol, aim, method)
    mine = [line for line in lines if all(line.get(k) == v for k, v in key.items())]
    return sorted(mine, key=lambda line: line["block"])


def runs_of_starts(
    found: Sequence[bool], evaluations: Sequence[int], budget: int, rules: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of starts up to an encounter, or up to the budget.

    Where starts take several ``rules`` in turn, every run begins with the first of
    them, as a search of one's own does; the starts in between belong to no run.

    Returns
    -------
    tuple
        For every whole run: whether it met the target, its charged evaluations, and
        its number of starts.
    """
    met: list[bool] = []
    spent: list[int] = []
    starts: list[int] = []
    total = count = 0
    for number, (hit, charge) in enumerate(zip(found, evaluations, strict=True)):
        if count == 0 and number % rules:
            continue
        total, count = total + int(charge), count + 1
        if hit or total >= budget:
            met.append(bool(hit))
            spent.append(total)
            starts.append(count)
            total = count = 0
    return np.array(met, bool), np.array(spent, int), np.array(starts, int)


def _missing(protocol: Protocol, lines: Lines, aim: Goal, method: Contender) -> int:
    """Runs that are not whole yet."""
    mine = lines_of(protocol, lines, aim, method)
    found = [f for line in mine for f in line["found"]]
    if method.steps is None:
        return protocol.runs - len(found)
    charges = [e for line in mine for e in line["evaluations"]]
    whole = runs_of_starts(found, charges, protocol.budget, method.rules)[0]
    return protocol.runs - len(whole)


def _block_of_starts(
    protocol: Protocol,
    aim: Goal,
    method: Contender,
    seed: int,
    missing: int,
    device: Any,
) -> dict[str, Any]:
    """Starts side by side, each with its steps and its quench."""
    del missing
    with compile_clock() as clock:
        result = search(
            aim.potential,
            aim.system,
            method=method.method,
            weights=method.weights,
            # Whole turns of the rules, so that blocks can be joined.
            n_starts=STARTS - STARTS % method.rules,
            n_steps=method.steps,
            seed=seed,
            backend=protocol.asked_for(method) or "auto",
            device=device,
        )
    if result.stopped != "done":
        # What was cut short is no row of starts.
        raise KeyboardInterrupt
    return _block(
        seed,
        result.energies <= aim.energy + aim.tolerance,
        result.evaluations,
        result.energies,
        result.wall_seconds,
        clock.seconds,
        device,
        result.backend,
    )


def _block_of_chains(
    protocol: Protocol,
    aim: Goal,
    method: Contender,
    seed: int,
    missing: int,
    device: Any,
) -> dict[str, Any]:
    """Chains side by side, each until its encounter or the end of its budget."""
    optimizer = make_optimizer(method.method, None, 1, aim.system)
    assert isinstance(optimizer, BasinHopping), "what hops is a basin hopping"
    with compile_clock() as clock:
        met = first_encounters(
            aim.potential,
            aim.system,
            optimizer,
            aim.energy,
            chains=min(CHAINS, missing),
            max_evaluations=protocol.budget,
            seed=seed,
            backend=protocol.asked_for(method) or "auto",
            device=device,
        )
    line = _block(
        seed,
        met.found,
        met.evaluations,
        met.energies,
        met.wall_seconds,
        clock.seconds,
        device,
        met.backend,
    )
    return line | {"quenches": met.quenches.tolist()}


def _block_of_hybrids(
    protocol: Protocol,
    aim: Goal,
    method: Contender,
    seed: int,
    missing: int,
    device: Any,
) -> dict[str, Any]:
    """Searches one after the other, each to the end of the round of its encounter."""
    results: list[SearchResult] = []
    begun = time.monotonic()
    with compile_clock() as clock:
        for number in range(min(HYBRIDS, missing)):
            result = find_cluster(
                aim.potential,
                aim.system,
                weights=method.weights,
                budget=protocol.budget,
                seed=int(np.random.SeedSequence((seed, number)).generate_state(1)[0]),
                target_energy=aim.energy,
                device=device,
            )
            if result.stopped == "interrupted":
                # What was cut short is no run.
                raise KeyboardInterrupt
            results.append(result)
    energies = np.array([result.best_energy for result in results])
    return _block(
        seed,
        energies <= aim.energy + aim.tolerance,
        np.array([result.charged_evaluations for result in results]),
        energies,
        time.monotonic() - begun,
        clock.seconds,
        device,
    )


def _block(
    seed: int,
    found: np.ndarray,
    evaluations: np.ndarray,
    energies: np.ndarray,
    wall_seconds: float,
    compile_seconds: float,
    device: Any,
    backend: str = "scan",
) -> dict[str, Any]:
    """What the record keeps of a block, whatever ran in it."""
    return {
        "block_seed": seed,
        "found": found.tolist(),
        "evaluations": evaluations.tolist(),
        "energies": [round(float(e), 8) if np.isfinite(e) else None for e in energies],
        "wall_seconds": round(wall_seconds, 4),
        "compile_seconds": round(compile_seconds, 4),
        "backend": backend,
        "device": str(resolve_device(device).device_kind),
    }
