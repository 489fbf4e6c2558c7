"""Hull searches against another seed, and against basin hopping with ten times as much.

    python -m benchmarks.hulls AgAu 38 [--seeds 0,1] [--budget N] [--folders DIR]
    python -m benchmarks.hulls AgAu 38 --against learned-starts+learned-hops

Runs the search of ``ase-l2h hull`` with its default settings for two seeds. At eight
compositions spread over the range, basin hopping with exchanges of unlike atoms
(``--method bh`` of ``ase-l2h search``, 64 chains from random starts) then gets ten
times the evaluations that the first search was charged there. Appends one line to
``benchmarks/records/hulls.jsonl`` and prints what it says; ``--print`` prints the lines
of that file and runs nothing; ``--no-hopping`` leaves that part out. With ``--folders``
the searches keep what they find in there and continue after a kill.

``--against`` leaves parts of the search out, those joined by ``+`` together, with the
seed of the first search of that record and at least as many charged evaluations as it
had, whether something falls or not, and appends a line for each to
``hull-methods.jsonl`` beside the record.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records, read_lines
from ase_l2h.search.hull.settings import DEFAULT_BUDGET
from ase_l2h.search.hull.system import HullSystem, hull_system
from benchmarks.hulls.compare import table
from benchmarks.hulls.search import METHODS, RECORDS, against, hopping_facts, one_hull


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.hulls", description=__doc__.partition("\n")[0]
    )
    options.add_argument("system", nargs="?")
    options.add_argument("n_atoms", type=int, nargs="?")
    options.add_argument("--seeds", default="0,1")
    options.add_argument("--budget", type=int, default=DEFAULT_BUDGET)
    options.add_argument("--folders", type=Path)
    options.add_argument("--records", type=Path, default=RECORDS)
    options.add_argument(
        "--no-hopping", action="store_true", help="leave basin hopping out"
    )
    options.add_argument(
        "--against",
        help="parts that are left out, joined by +; several sets, separated by commas",
    )
    options.add_argument("--print", action="store_true", dest="only_print")
    return options


def search_hulls(
    system: HullSystem, seeds: list[int], arguments: argparse.Namespace
) -> None:
    """Searches of every seed, and basin hopping beside the first; prints the table."""
    name, place = f"{system.name}{system.n_atoms}", arguments.folders
    folders = [None if place is None else place / f"{name}-{seed}" for seed in seeds]
    hulls = [
        one_hull(system, seed, arguments.budget, folder)
        for seed, folder in zip(seeds, folders, strict=True)
    ]
    record = {
        "system": system.name,
        "n_atoms": system.n_atoms,
        "parameters": system.parameters,
        "budget": arguments.budget,
        "hulls": hulls,
        "basin_hopping": hopping_facts(system, hulls[0], not arguments.no_hopping),
        **provenance(),
    }
    print(table(Records(arguments.records).append(record)))


def main() -> None:
    """Run, record, print."""
    options = parser()
    arguments = options.parse_args()
    if arguments.only_print:
        for record in read_lines(arguments.records):
            print(table(record), end="\n\n")
        return
    if arguments.system is None or arguments.n_atoms is None:
        options.error("give a system and a number of atoms, such as AgAu 38")
    system = hull_system(arguments.system, arguments.n_atoms)
    if arguments.against is None:
        seeds = [int(seed) for seed in arguments.seeds.split(",")]
        if len(seeds) not in (1, 2):
            options.error("give one seed or two")
        search_hulls(system, seeds, arguments)
        return
    which = {"system": system.name, "n_atoms": system.n_atoms}
    known = [r for r in read_lines(arguments.records) if which.items() <= r.items()]
    if not known:
        options.error("search that system without --against first")
    first = known[-1]["hulls"][0]
    records = Records(arguments.records.with_name(METHODS.name))
    for parts in arguments.against.split(","):
        without = tuple(parts.split("+"))
        facts = against(system, without, first)
        method = "~".join(["auto", *without])
        records.append({**which, "method": method, **facts, **provenance()})


if __name__ == "__main__":
    main()
