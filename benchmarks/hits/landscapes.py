"""The default with and without what it learns, on landscapes in two halves.

    python -m benchmarks.hits.landscapes [--side test] [--targets EMT-Cu20,Morse25-6]
        [--block 0]

The halves are split by element, by pair of elements, by the range of Morse clusters and
by size. The side ``development`` was looked at, with seed 77; the side ``test`` is run
once, with seed 2026. All are functions of JAX, for which there is no machine code.

The third method has random kicks in place of the part: kicks of all atoms have its
share of the evaluations, and are relaxed as all others are.

Runs come in blocks of 24. In the first, runs without the part go on until their budget
is used up, and the lowest energy that any of them has met is what counts as found: what
only the runs with it meet counts for nothing. In all later blocks, the runs of every
method end at this energy. A line of ``benchmarks/records/landscapes.jsonl`` for each
landscape, method and block; lines that are in the file are not run again.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from ase import Atoms
from tqdm import tqdm

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records
from ase_l2h.ase_adapter.convert import TYPICAL_COHESION
from ase_l2h.comparison.protocol import method_spec
from ase_l2h.potentials.parameters import stillinger_weber_set
from ase_l2h.potentials.units import LJ_CRYSTAL_COHESION, reduced_units
from ase_l2h.search.auto import surrogate
from ase_l2h.search.auto.method import make_auto
from ase_l2h.search.auto.parts import PARTS
from ase_l2h.search.driver import engine_for
from ase_l2h.search.limits import Limits
from ase_l2h.search.method import Method, SearchRun, run
from ase_l2h.search.problem import HIT, Problem
from ase_l2h.search.result import SearchResult
from ase_l2h.system import make_system
from benchmarks import paths
from benchmarks.hits.functions import (
    emt_problem,
    morse_problem,
    sutton_chen_problem,
)

__all__ = [
    "KICKS",
    "LANDSCAPES",
    "RECORDS",
    "WITH",
    "WITHOUT",
    "Landscape",
    "lowest",
    "measured",
    "posed",
    "searched",
]

RECORDS = paths.RECORDS / "landscapes.jsonl"
WITHOUT, WITH = "auto~surrogate", "auto"
KICKS = "auto~surrogate+shakes"
SEEDS = {"development": 77, "test": 2026}
# Of a block.
RUNS = 24

Side = Literal["development", "test"]


class Landscape(NamedTuple):
    """Which side it stands on, of what family it is, and the budget of a run."""

    side: Side
    family: str
    budget: int


def _of(side: Side, family: str, budget: int, names: str) -> dict[str, Landscape]:
    return {name: Landscape(side, family, budget) for name in names.split()}


EMT_ONE, EMT_MORE = "EMT, one element", "EMT, alloys"
MORSE, CHEN, SILICON = "Morse", "Sutton-Chen", "silicon clusters"
EVALUATIONS = 3000
LANDSCAPES: dict[str, Landscape] = {
    **_of("development", EMT_ONE, EVALUATIONS, "EMT-Cu26 EMT-Pd26 EMT-Ag26"),
    **_of("development", EMT_MORE, EVALUATIONS, "EMT-Ag13Cu13 EMT-Cu10Pd16"),
    **_of("development", EMT_MORE, EVALUATIONS, "EMT-Cu9Ag9Pd8"),
    **_of("development", MORSE, EVALUATIONS, "Morse25-6 Morse25-14"),
    **_of("development", CHEN, EVALUATIONS, "SuttonChen-Cu25 SuttonChen-Ag25"),
    **_of("development", SILICON, EVALUATIONS, "SW-Si13"),
    **_of("test", EMT_ONE, EVALUATIONS, "EMT-Ni29 EMT-Au29 EMT-Pt29 EMT-Al29"),
    **_of("test", EMT_MORE, EVALUATIONS, "EMT-Ni14Pt15 EMT-Au12Pt17 EMT-Al12Ni17"),
    **_of("test", EMT_MORE, EVALUATIONS, "EMT-Pd11Au18 EMT-Cu13Au16"),
    **_of("test", EMT_MORE, EVALUATIONS, "EMT-Ni9Pt10Au10 EMT-Cu10Ag10Au9"),
    **_of("test", MORSE, EVALUATIONS, "Morse31-3 Morse31-10 Morse34-3 Morse34-10"),
    **_of("test", CHEN, EVALUATIONS, "SuttonChen-Au31 SuttonChen-Ni31"),
    **_of("test", CHEN, EVALUATIONS, "SuttonChen-Pt34"),
    **_of("test", SILICON, EVALUATIONS, "SW-Si15 SW-Si18"),
}


def _morse(name: str) -> Problem:
    n, rho = name.removeprefix("Morse").split("-")
    return morse_problem(int(n), float(rho), name)


def _sutton_chen(name: str) -> Problem:
    atoms = Atoms(name.removeprefix("SuttonChen-"))
    return sutton_chen_problem(str(atoms.symbols[0]), len(atoms), name)


def _emt(name: str) -> Problem:
    atoms = Atoms(name.removeprefix("EMT-"))
    # What is taken of a calculator of which nobody has told it.
    scale = TYPICAL_COHESION / LJ_CRYSTAL_COHESION
    return emt_problem(list(atoms.symbols), atoms.numbers.tolist(), name, scale)


def _silicon(name: str) -> Problem:
    n = int(name.removeprefix("SW-Si"))
    potential = stillinger_weber_set("Si").potential()
    length, energy = reduced_units(potential, np.zeros(n, int))
    system = make_system(np.zeros(n, int))
    return Problem.from_function(
        lambda positions: potential.energy(positions.T[..., None], system)[0],
        [14] * n,
        length_scale=length,
        energy_scale=energy,
        name=name,
    )


KINDS: dict[str, Callable[[str], Problem]] = {
    "Morse": _morse,
    "SuttonChen": _sutton_chen,
    "EMT": _emt,
    "SW": _silicon,
}


@cache
def posed(name: str) -> Problem:
    """The problem of a landscape."""
    return KINDS[next(kind for kind in KINDS if name.startswith(kind))](name)


def _made(method: str, problem: Problem) -> Method:
    if method != KICKS:
        return method_spec(method).make(problem)
    share = next(part.share for part in PARTS if part.name == surrogate.PART)
    return make_auto(problem, without=(surrogate.PART,), shares=(("shakes", share),))


def measured(
    target: str,
    method: str,
    seed: int,
    runs: int,
    budget: int,
    energy: float | None = None,
    first: int = 0,
) -> dict[str, Any]:
    """Relaxed energies of the runs of a method, as they fell, and on what it ran.

    Runs have the numbers from ``first`` on. Each ends where it meets ``energy``.
    """
    problem = posed(target)
    made = _made(method, problem)
    seeds = [(seed, number) for number in range(first, first + runs)]
    found = searched(problem, made, seeds, Limits(budget, target_energy=energy))
    traces = found.searches
    return {
        "courses": [[(int(n), round(e, 8)) for n, e in t.course] for t in traces],
        "charged": [trace.charged for trace in traces],
        "tolerance": HIT * problem.energy_unit,
        "seconds": round(found.wall_seconds, 1),
        "settings": made.describe(),
        **provenance(),
    }


def searched(
    problem: Problem, made: Method, seeds: list[tuple[int, int]], limits: Limits
) -> SearchResult:
    """A run for each of ``seeds``, side by side, none of which ends another."""
    problems, engine = [problem] * len(seeds), engine_for(problem)
    search = SearchRun(made, problems, seeds, limits, engine, stop_together=False)
    run(search)
    if search.stopped == "interrupted":
        raise KeyboardInterrupt
    return search.result(seed=seeds[0][0])


def lowest(line: dict[str, Any]) -> float:
    """What counts as found: the lowest energy that the runs of a line have met."""
    return min(fall[1] for course in line["courses"] for fall in course)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=list(SEEDS), default="test")
    parser.add_argument("--targets", default="")
    parser.add_argument("--block", type=int, default=0)
    arguments = parser.parse_args()
    names = arguments.targets.split(",") if arguments.targets else list(LANDSCAPES)
    wanted = [name for name in names if LANDSCAPES[name].side == arguments.side]
    records = Records(RECORDS)

    def line(target: str, method: str, first: int, energy: float | None) -> Any:
        key = {
            "target": target,
            "method": method,
            "seed": SEEDS[arguments.side],
            "runs": RUNS,
            "budget": LANDSCAPES[target].budget,
            "first": first,
        }
        make = functools.partial(measured, **key, energy=energy)
        return records.get(key, make)

    for target in (bar := tqdm(wanted, unit="landscape")):
        energy = None
        for method in (WITHOUT, KICKS, WITH):
            bar.set_description(f"{target} {method}")
            if energy is None:
                energy = lowest(line(target, WITHOUT, 0, None))
            line(target, method, arguments.block * RUNS, energy)


if __name__ == "__main__":
    main()
