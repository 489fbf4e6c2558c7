"""Clusters and molecules by GFN2-xTB: `auto` beside L-BFGS from 20 random starts.

    pip install '.[xtb]' && python -m benchmarks.hits.xtb [--systems Au8,water]

Every calculator begins anew in each call (``cache_api`` is false), because otherwise
energies depend on the call before. What either finds is computed once more by a
calculator of its own. Each search is then repeated with the calls that it has kept. One
line of ``benchmarks/records/xtb.jsonl`` for each system and seed, which is not run
again. ``python -m benchmarks.pages xtb`` makes the table.

GFN2-xTB: C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.data import covalent_radii
from ase.optimize import LBFGS
from tqdm import tqdm

import ase_l2h
from ase_l2h._internal.records import Records
from ase_l2h.search.limits import Limits
from benchmarks import paths

__all__ = ["RECORDS", "STARTS", "SYSTEMS"]

RECORDS = paths.RECORDS / "xtb.jsonl"
SEED, SEEDS = 2026, 3
# Calls of a search at most; starts of L-BFGS, their steps and their largest force
# (eV/angstrom).
CALLS, STARTS, STEPS, FMAX = 2000, 20, 500, 0.05
SYSTEMS = ("Au8", "Cu8", "Na8", "Si8", "ethanol", "water")


class Xtb(Calculator):
    """GFN2-xTB that begins anew in every call, and counts its calls."""

    implemented_properties = ("energy", "forces")  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        from tblite.ase import TBLite

        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        fresh = atoms.copy()
        fresh.calc = TBLite(method="GFN2-xTB", verbosity=0, cache_api=False)
        forces = fresh.get_forces()
        self.results = {"energy": fresh.get_potential_energy(), "forces": forces}


def block(name: str) -> Atoms:
    """What a user would give: atoms of a cube, a molecule, or molecules in a row."""
    if name == "ethanol":
        return molecule("CH3CH2OH")
    if name == "water":
        atoms = Atoms()
        for place in np.argwhere(np.ones((3, 2, 1))):
            one = molecule("H2O")
            one.positions += 3.2 * place
            atoms += one
        return atoms
    symbol, count = name[:2], int(name[2:])
    corners = np.argwhere(np.ones((2, 2, 2)))[:count]
    distance = 2.1 * covalent_radii[Atoms(symbol).numbers[0]]
    return Atoms([symbol] * count, positions=distance * corners)


def random_start(given: Atoms, rng: np.random.Generator) -> Atoms:
    """Atoms, or whole molecules, anywhere in a ball; a single molecule is shaken."""
    atoms = given.copy()
    name = atoms.get_chemical_formula()
    if name == "C2H6O":
        atoms.positions += rng.normal(0, 0.3, atoms.positions.shape)
        return atoms
    size = 3 if name == "H12O6" else 1
    radius = covalent_radii[atoms.numbers].max() if size == 1 else 1.6
    apart = 1.6 * radius
    reach = 1.2 * radius * (2.0 * len(atoms) / size) ** (1 / 3)
    centres: list[np.ndarray] = []
    while len(centres) < len(atoms) // size:
        point = rng.uniform(-reach, reach, 3)
        far = all(np.linalg.norm(point - other) > apart for other in centres)
        if np.linalg.norm(point) < reach and far:
            centres.append(point)
    for k, centre in enumerate(centres):
        part = slice(size * k, size * (k + 1))
        one = atoms[part]
        one.rotate(360 * rng.uniform(), rng.normal(size=3), center="COP")
        one.positions += centre - one.positions.mean(axis=0)
        atoms.positions[part] = one.positions
    return atoms


def by_lbfgs(given: Atoms, seed: int) -> dict[str, Any]:
    """The lowest end of relaxations from random starts."""
    rng = np.random.default_rng(seed)
    calls, failed, ends = 0, 0, []
    for _ in range(STARTS):
        atoms = random_start(given, rng)
        atoms.calc = Xtb()
        try:
            LBFGS(atoms, logfile=None).run(fmax=FMAX, steps=STEPS)
            ends.append(atoms.get_potential_energy())
        # What tblite raises where it does not converge.
        except (RuntimeError, ArithmeticError, ValueError):
            failed += 1
        calls += atoms.calc.calls
    lowest = min(ends, default=None)
    return {"lbfgs_energy": lowest, "lbfgs_calls": calls, "lbfgs_failed": failed}


def measured(system: str, seed: int) -> dict[str, Any]:
    """A search, the same once more from its calls, and L-BFGS."""
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        found = []
        for _ in range(2):
            given = block(system)
            given.calc = Xtb()
            result = ase_l2h.search(
                given,
                limits=Limits(evaluations=CALLS),
                seed=seed,
                cache=Path(folder) / "calls.extxyz",
            )
            found.append((result, given.calc.calls))
    (result, calls), (again, more) = found
    best = block(system)
    best.positions = result.best.positions
    best.calc = Xtb()
    return {
        "energy": best.get_potential_energy(),
        "told": result.best_energy,
        "charged": result.charged_evaluations,
        "calls": calls,
        "failed": result.failed_calls,
        "stopped": result.stopped,
        "how_sure": str(result.confidence),
        "course": [list(point) for point in result.searches[0].course],
        "again_energy": again.best_energy,
        "again_calls": more,
        **by_lbfgs(block(system), seed),
        "seconds": round(time.perf_counter() - began, 1),
        "command": "python -m benchmarks.hits.xtb",
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    arguments = parser.parse_args()
    records = Records(RECORDS)
    names = arguments.systems.split(",")
    wanted = [(n, seed) for n in names for seed in range(SEED, SEED + SEEDS)]
    for system, seed in (bar := tqdm(wanted, unit="search")):
        bar.set_description(system)
        key = {"system": system, "seed": seed, "starts": STARTS, "most": CALLS}
        records.get(key, lambda s=system, k=seed: measured(s, k))


if __name__ == "__main__":
    main()
