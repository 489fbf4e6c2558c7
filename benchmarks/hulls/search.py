"""Hull searches and the basin hopping that they are compared with."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ase_l2h.report.hull_report import hull_rows
from ase_l2h.reproduce.searching import run_search
from ase_l2h.search.engine import composition_system
from ase_l2h.search.hull.search import find_hull
from ase_l2h.search.hull.settings import HullResult
from ase_l2h.search.hull.system import HullSystem
from ase_l2h.search.hull.team import usual_workers
from benchmarks import paths
from benchmarks.hulls.compare import FACTOR

__all__ = ["METHODS", "RECORDS", "against", "hopping_facts", "one_hull"]

RECORDS = paths.RECORDS / "hulls.jsonl"
METHODS = paths.RECORDS / "hull-methods.jsonl"
CHAINS = 64


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
            workers=usual_workers(system, system.n_atoms + 1, budget),
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
    species = system.species(system.ones(n_first))
    begun = time.monotonic()
    result = run_search(
        system.potential,
        composition_system(system.potential, species),
        method="bh",
        starts=CHAINS,
        steps=math.ceil(evaluations / CHAINS),
        seed=seed,
    )
    return {
        "energy": round(result.best_energy, 8),
        "charged": result.charged_evaluations,
        "seconds": round(time.monotonic() - begun, 2),
    }


def against(
    system: HullSystem, without: tuple[str, ...], first: dict[str, Any]
) -> dict[str, Any]:
    """Without some parts, with as many charged evaluations as the first search."""
    total = sum(first["charged"].values())
    share = math.ceil(total / len(first["charged"]))
    spent, result = -1, None
    with (
        tempfile.TemporaryDirectory() as place,
        tqdm(desc=str(without), unit="round") as bar,
    ):
        # It may settle, where nothing falls for some rounds, and is then continued.
        while result is None or spent < sum(result.charged.values()) < total:
            spent = -1 if result is None else sum(result.charged.values())
            result = find_hull(
                system,
                without=without,
                seed=first["seed"],
                budget=share,
                folder=place,
                update=result is not None,
                progress=lambda *_: bar.update(1),
            )
    return hull_facts(result, first["seed"])


def hopping_facts(
    system: HullSystem, hull: dict[str, Any], compared: bool
) -> dict[str, Any]:
    """Basin hopping at eight compositions of a hull, or at none."""
    compositions = chosen_compositions(system.n_atoms) if compared else []
    seed = hull["seed"]
    return {
        "chains": CHAINS,
        "factor": FACTOR,
        "seed": seed,
        "compositions": {
            str(m): one_hopping(system, m, FACTOR * hull["charged"][str(m)], seed)
            for m in tqdm(compositions, desc="basin hopping")
        },
    }
