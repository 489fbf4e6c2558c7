"""Hull searches against another seed, and against basin hopping with ten times as much.

    python -m benchmarks.hulls AgAu 38 [--seeds 0,1] [--budget N] [--folders DIR]
    python -m benchmarks.hulls AgAu 38 --against learned,bh

Runs the search of ``ase-l2h hull`` with its default settings for two seeds. At eight
compositions spread over the range, basin hopping with exchanges of unlike atoms
(``--method bh`` of ``ase-l2h search``, 64 chains from random starts) then gets ten
times the evaluations that the first search was charged there. Appends one line to
``benchmarks/records/hulls.jsonl`` and prints what it says; ``--print`` prints the lines
of that file and runs nothing; ``--no-hopping`` leaves that part out. With ``--folders``
the searches keep what they find in there and continue after a kill.

``--against`` runs other methods of ``ase-l2h hull`` with the seed of the first search
of that record and at least as many charged evaluations as it had, whether something
falls or not, and appends a line for each to ``hull-methods.jsonl`` beside the record.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ase_l2h.report.hull_report import hull_rows
from ase_l2h.search.hull.search import DEFAULT_BUDGET, HullResult, find_hull
from ase_l2h.search.hull.system import HullSystem, hull_system
from ase_l2h.search.multistart import search
from ase_l2h.search.population.evaluator import Decorator
from benchmarks.machine import machine_class, versions

RECORDS = Path(__file__).parent / "records" / "hulls.jsonl"
METHODS = RECORDS.with_name("hull-methods.jsonl")
CHAINS = 64
FACTOR = 10
# What counts as lower, in eV.
LOWER = 1e-3


def chosen_compositions(n_atoms: int) -> list[int]:
    """Eight alloys spread over the range, fewer where there are not so many."""
    return sorted({int(c) for c in np.rint(np.linspace(0, n_atoms, 10)[1:-1])})


def one_hull(
    system: HullSystem, seed: int, budget: int, folder: Path | None
) -> dict[str, Any]:
    """One search with its default settings."""
    with tqdm(desc=f"{system.name}{system.n_atoms} seed {seed}", unit="round") as bar:
        result = find_hull(
            system,
            seed=seed,
            budget=budget,
            folder=folder,
            progress=lambda *_: bar.update(1),
        )
    return hull_facts(result, seed)


def hull_facts(result: HullResult, seed: int) -> dict[str, Any]:
    """What is kept of a hull search, compositions as numbers of the first element."""
    rows = hull_rows(result)
    return {
        "seed": seed,
        "weights": result.settings["weights"],
        "weights_sha256": result.settings["weights_sha256"],
        "energies": {str(r["n_A"]): round(float(r["energy_eV"]), 8) for r in rows},
        "motifs": {str(r["n_A"]): r["motif"] for r in rows},
        "charged": {str(m): count for m, count in result.charged.items()},
        "vertices": [r["n_A"] for r in rows if r["on_hull"]],
        "rounds": result.rounds,
        "ended": result.ended,
        "seconds": round(result.seconds, 2),
    }


def one_hopping(
    system: HullSystem, n_first: int, evaluations: int, seed: int
) -> dict[str, Any]:
    """Basin hopping of one composition."""
    ones = system.ones(n_first)
    species = np.repeat([0, 1], [system.n_atoms - ones, ones])
    begun = time.monotonic()
    result = search(
        system.potential,
        Decorator(system.potential, system.n_atoms).system(species),
        method="bh",
        n_starts=CHAINS,
        n_steps=math.ceil(evaluations / CHAINS),
        seed=seed,
    )
    return {
        "energy": round(result.best_energy, 8),
        "charged": result.charged_evaluations,
        "seconds": round(time.monotonic() - begun, 2),
    }


def against(system: HullSystem, method: str, first: dict[str, Any]) -> dict[str, Any]:
    """Another method with as many charged evaluations, in all, as the first search."""
    total = sum(first["charged"].values())
    share = math.ceil(total / len(first["charged"]))
    seconds, more = 0.0, False
    with tempfile.TemporaryDirectory() as place, tqdm(desc=method, unit="round") as bar:
        while True:
            result = find_hull(
                system,
                method=method,
                seed=first["seed"],
                budget=share,
                folder=place,
                update=more,
                progress=lambda *_: bar.update(1),
            )
            seconds = max(seconds, result.seconds)
            if sum(result.charged.values()) >= total:
                break
            # It had settled: nothing fell for some rounds.
            more = True
    return {
        "system": system.name,
        "n_atoms": system.n_atoms,
        "method": method,
        **hull_facts(result, first["seed"]),
        "machine": machine_class(),
        "versions": versions(),
    }


def missed(first: dict[str, Any], second: dict[str, Any]) -> dict[str, float]:
    """By how much (eV) the second search is lower, where it is."""
    gaps = {m: e - second["energies"][m] for m, e in first["energies"].items()}
    return {m: gap for m, gap in gaps.items() if gap > LOWER}


def hopping_beats(record: dict[str, Any]) -> dict[str, float]:
    """By how much (eV) basin hopping is lower than the first search, where it is."""
    energies = record["hulls"][0]["energies"]
    hopping = record["basin_hopping"]["compositions"]
    gaps = {m: energies[m] - found["energy"] for m, found in hopping.items()}
    return {m: gap for m, gap in gaps.items() if gap > LOWER}


def table(record: dict[str, Any]) -> str:
    """Who found lower energies, and by how much."""
    first, second = record["hulls"][0], record["hulls"][-1]
    hopping = record["basin_hopping"]["compositions"]
    lines = [
        f"{record['system']}{record['n_atoms']}, budget {record['budget']}, "
        f"{record['machine']}"
    ]
    lines += [
        f"seed {hull['seed']}: {sum(hull['charged'].values()):,} charged evaluations, "
        f"{hull['seconds']:.0f} s, {hull['rounds']} rounds, ended: {hull['ended']}; "
        f"vertices {hull['vertices']}"
        for hull in record["hulls"]
    ]
    lines.append(
        "   n_A      energy/eV   other seed/meV   basin hopping/meV   its evaluations"
    )
    for n_first, energy in first["energies"].items():
        other = second["energies"][n_first] - energy
        line = f"{n_first:>6} {energy:14.6f} {1000 * other:+16.3f}"
        if n_first in hopping:
            found = hopping[n_first]
            difference = found["energy"] - energy
            line += f" {1000 * difference:+19.3f} {found['charged']:17,}"
        lines.append(line)
    lines.append(
        f"lower by more than {1000 * LOWER:g} meV: seed {second['seed']} at "
        f"{len(missed(first, second))} of {len(first['energies'])} compositions, basin "
        f"hopping ({FACTOR} times the evaluations) at {len(hopping_beats(record))} of "
        f"{len(hopping)}"
    )
    return "\n".join(lines)


def main() -> None:
    """Run, record, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("system", nargs="?")
    parser.add_argument("n_atoms", type=int, nargs="?")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--budget", type=int, default=DEFAULT_BUDGET)
    parser.add_argument("--folders", type=Path)
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument(
        "--no-hopping", action="store_true", help="leave basin hopping out"
    )
    parser.add_argument("--against", help="methods, separated by commas")
    parser.add_argument("--print", action="store_true", dest="only_print")
    arguments = parser.parse_args()
    if arguments.only_print:
        for line in arguments.records.read_text().splitlines():
            print(table(json.loads(line)), end="\n\n")
        return
    if arguments.system is None or arguments.n_atoms is None:
        parser.error("give a system and a number of atoms, such as AgAu 38")
    system = hull_system(arguments.system, arguments.n_atoms)
    if arguments.against:
        known = [json.loads(x) for x in arguments.records.read_text().splitlines()]
        which = (system.name, system.n_atoms)
        mine = [r for r in known if (r["system"], r["n_atoms"]) == which]
        if not mine:
            parser.error("search that system without --against first")
        with arguments.records.with_name(METHODS.name).open("a") as stream:
            for method in arguments.against.split(","):
                line = against(system, method, mine[-1]["hulls"][0])
                stream.write(json.dumps(line) + "\n")
        return
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    if len(seeds) not in (1, 2):
        parser.error("give one seed or two")
    place = arguments.folders
    name = f"{system.name}{system.n_atoms}"
    hulls = [
        one_hull(
            system,
            s,
            arguments.budget,
            None if place is None else place / f"{name}-{s}",
        )
        for s in seeds
    ]
    compared = [] if arguments.no_hopping else chosen_compositions(system.n_atoms)
    hopping = {
        str(m): one_hopping(system, m, FACTOR * hulls[0]["charged"][str(m)], seeds[0])
        for m in tqdm(compared, desc="basin hopping")
    }
    record = {
        "system": system.name,
        "n_atoms": system.n_atoms,
        "parameters": system.parameters,
        "budget": arguments.budget,
        "hulls": hulls,
        "basin_hopping": {
            "chains": CHAINS,
            "factor": FACTOR,
            "seed": seeds[0],
            "compositions": hopping,
        },
        "machine": machine_class(),
        "versions": versions(),
    }
    arguments.records.parent.mkdir(parents=True, exist_ok=True)
    with arguments.records.open("a") as stream:
        stream.write(json.dumps(record) + "\n")
    print(table(record))


if __name__ == "__main__":
    main()
