"""Clusters on frozen slabs and small crystals by EMT, with and without what is learned.

    python -m benchmarks.hits.surfaces [--systems Cu5/Cu(100),...] [--calls 300]

Slabs of three layers, periodic in two directions, with a block of atoms above them; and
cubic cells of 32 atoms, each displaced from its lattice site. Calls of ASE's EMT by
`auto`, and by `auto` without its learned potential. One line of
``benchmarks/records/surfaces.jsonl`` for each seed from 2026 on, which is not run
again. ``python -m benchmarks.pages surfaces`` makes the page.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc100, fcc111
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.data import reference_states

import ase_l2h
from ase_l2h.search.limits import Limits
from benchmarks import paths
from benchmarks.hits.missing import measure_missing

__all__ = ["CALLS", "RECORDS", "SEEDS", "SYSTEMS", "TUNED", "system_of"]

RECORDS = paths.RECORDS / "surfaces.jsonl"
SEED, SEEDS = 2026, 20
SIZE = (4, 4, 3)
FACES = {"(100)": fcc100, "(111)": fcc111}
# Calls of each search at most.
CALLS = 300
# Those on which the method was developed, with other seeds.
TUNED = ("Cu5/Cu(100)", "Cu8/Cu(111)")
SYSTEMS = (
    *("Cu5/Cu(100)", "Cu5/Cu(111)", "Cu8/Cu(100)", "Cu8/Cu(111)"),
    *("Ni10/Cu(100)", "Pd6Au6/Ag(111)", "Ag32", "Pd16Au16"),
)
METHODS: dict[str, dict[str, Any]] = {
    "auto": {},
    "auto~surrogate": {"without": ("surrogate",)},
}
# Largest displacement of an atom of a crystal along each axis, in angstrom.
DISPLACED = 1.0


def system_of(name: str) -> Atoms:
    """A block of atoms above a slab, such as ``Cu5/Cu(100)``, or a crystal."""
    atoms = _on_slab(*name.split("/")) if "/" in name else _crystal(name)
    atoms.calc = EMT()
    return atoms


def _on_slab(cluster: str, surface: str) -> Atoms:
    metal, face = surface[:2], surface[2:]
    atoms = FACES[face](metal, SIZE, vacuum=8.0, periodic=False)
    atoms.set_constraint(FixAtoms(range(len(atoms))))
    above = Atoms(cluster)
    above.positions = 2.6 * np.argwhere(np.ones((3, 3, 2)))[: len(above)]
    above.positions += [1.5, 1.5, atoms.positions[:, 2].max() + 2.0]
    return atoms + above


def _crystal(formula: str) -> Atoms:
    """In the cubic cell of its elements' mean lattice constant."""
    elements = Atoms(formula).symbols
    constant = np.mean([reference_states[z]["a"] for z in Atoms(formula).numbers])
    atoms = bulk("Cu", a=constant, cubic=True).repeat(2)
    atoms.symbols = list(elements)
    moved = np.random.default_rng(SEED).uniform(-1, 1, atoms.positions.shape)
    atoms.positions += DISPLACED * moved
    return atoms


def measured(system: str, method: str, seed: int, calls: int) -> dict[str, Any]:
    """One search."""
    began = time.perf_counter()
    result = ase_l2h.search(
        system_of(system),
        limits=Limits(evaluations=calls),
        seed=seed,
        **METHODS[method],
    )
    return {
        "energy": result.best_energy,
        "calls_spent": result.charged_evaluations,
        "stopped": result.stopped,
        "course": [list(point) for point in result.searches[0].course],
        "seconds": round(time.perf_counter() - began, 2),
        "command": f"python -m benchmarks.hits.surfaces --calls {calls}",
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--calls", type=int, default=CALLS)
    arguments = parser.parse_args()
    keys = [
        {"system": system, "method": method, "seed": seed, "calls": arguments.calls}
        for system in arguments.systems.split(",")
        for method in METHODS
        for seed in range(SEED, SEED + SEEDS)
    ]
    measure_missing(RECORDS, keys, measured)


if __name__ == "__main__":
    main()
