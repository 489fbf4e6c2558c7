"""The action functional on atoms, and the binary glass of the action paper.

Clusters: Algorithm 1 on coordinates without rigid motions, beside Learn2Hop with as
many charged evaluations. Glass: 100 atoms of the Kob-Andersen mixture at density 1.2,
the system of StriderNET (V. Bihani et al., ICML 2023, arXiv:2301.12477), with the plain
cut-off at 2.5 sigma that their LAMMPS input has.
"""

from __future__ import annotations

import functools
import itertools
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ase_l2h._internal.records import Lines, Records
from ase_l2h.errors import InputError
from ase_l2h.landscapes.clusters import cluster_landscape
from ase_l2h.landscapes.minimise import ActionSettings, minimise
from ase_l2h.report.pages import markdown_table
from ase_l2h.reproduce.output import RECORDS, Piece, collect, csv_rows, write_result
from ase_l2h.reproduce.registry import Progress
from ase_l2h.reproduce.searching import run_search
from ase_l2h.rollout import quench
from ase_l2h.search.problem import HIT
from ase_l2h.search.registry import default_steps, method_weights
from ase_l2h.targets import Target, named_target

__all__ = [
    "BINARY",
    "BUDGETS",
    "binary_lines",
    "binary_lj",
    "binary_table",
    "cluster_lines",
    "cluster_table",
]

BINARY = "KA100"
TRUNCATION = "truncated"
# Per atom: StriderNET's glass, cooled by molecular dynamics to T = 0.05 and not
# relaxed; its file, evaluated with all images.
GLASS = -8.112565531844
METHODS = {
    "Adam": "adam",
    "FIRE": "fire",
    "basin hopping": "bh",
    "Learn2Hop": "learned",
}
# Evaluations that a relaxation takes, about; left for it when shares are dealt.
RELAXATION = 300


class Budget(NamedTuple):
    """Starts and charged evaluations of each, on the glass."""

    starts: int
    charged: int


BUDGETS = {"quick": Budget(4, 400), "paper": Budget(150, 50_000)}


def binary_lines(
    records: Records, size: Budget, seed: int, progress: Progress
) -> Lines:
    """Every method on the glass from the same starts; what is missing is run."""
    target = named_target(BINARY, TRUNCATION)
    pieces = []
    for name, method in METHODS.items():
        key = {
            "record": "binary",
            "target": BINARY,
            "method": name,
            "seed": seed,
            "starts": size.starts,
            "steps": size.charged,
        }
        run = functools.partial(_binary, target, method, size, seed)
        pieces.append(Piece(key, run, name))
    return collect(records, pieces, progress)


def _binary(target: Target, method: str, size: Budget, seed: int) -> dict[str, Any]:
    begun, n = time.process_time(), target.n_atoms
    result = run_search(
        target.potential,
        target.system,
        method=method,
        starts=size.starts,
        steps=size.charged,
        seed=seed,
    )
    energies = result.energies[np.isfinite(result.energies)] / n
    return {
        "energy": float(np.min(energies)),
        "mean": float(np.mean(energies)),
        "worst": float(np.max(energies)),
        "charged_evaluations": result.charged_evaluations,
        "weights": None if result.weights is None else result.weights.name,
        "cpu_seconds": round(time.process_time() - begun, 2),
    }


def binary_table(lines: Lines) -> str:
    """Energies per atom beside the glass."""
    header = ["method", "lowest", "mean", "above the glass", "starts", "charged"]
    rows = [["StriderNET's glass, T = 0.05", f"{GLASS:.4f}", "-", "0", "1", "-"]]
    for line in lines:
        if line.get("record") != "binary":
            continue
        row = [line["method"], f"{line['energy']:.4f}", f"{line['mean']:.4f}"]
        row += [f"{line['energy'] - GLASS:+.4f}", str(line["starts"])]
        rows.append([*row, f"{line['charged_evaluations']:,}"])
    return markdown_table(header, rows)


def binary_lj(
    folder: Path,
    budget: str,
    seed: int,
    progress: Progress,
    dimension: int | None = None,
) -> str:
    """``binary-lj`` of :mod:`ase_l2h.reproduce.registry`.

    Raises
    ------
    InputError
        When a dimension is asked for: 100 atoms have 300.
    """
    if dimension is not None:
        raise InputError("binary-lj is a glass of 100 atoms; leave out --dimension")
    size = BUDGETS[budget]
    lines = binary_lines(Records(folder / RECORDS), size, seed, progress)
    left_out = (
        f"Budget '{budget}': {size.starts} starts of {size.charged:,} evaluations "
        f"before relaxation, seed {seed}. Energies per atom in epsilon of A-A. The "
        "weights of Learn2Hop were trained on other systems."
    )
    rows = csv_rows(lines)
    title = "The binary glass of 100 atoms"
    return write_result(
        folder, "binary-lj", title, binary_table(lines), rows, {}, left_out
    )


def cluster_lines(
    records: Records,
    targets: tuple[str, ...],
    charged: int,
    seeds: tuple[int, ...],
    progress: Progress,
) -> Lines:
    """Action functional and Learn2Hop on clusters; what is missing is run."""
    runs = {"action": _action_cluster, "Learn2Hop": _learned_cluster}
    pieces = []
    for target, method, seed in itertools.product(targets, runs, seeds):
        key = {
            "record": "cluster",
            "target": target,
            "method": method,
            "seed": seed,
            "budget": charged,
        }
        run = functools.partial(runs[method], named_target(target), charged, seed)
        pieces.append(Piece(key, run, f"{target} {method}"))
    return collect(records, pieces, progress)


def _action_cluster(target: Target, charged: int, seed: int) -> dict[str, Any]:
    """Algorithm 1, its lowest learned minima relaxed with what is left."""
    begun = time.process_time()
    landscape = cluster_landscape(target.potential, target.system)
    points: list[np.ndarray] = []

    def keep(point: np.ndarray) -> dict[str, Any]:
        points.append(point)
        return {}

    settings = ActionSettings(budget=int(0.9 * charged), seed=seed)
    result = minimise(landscape, settings, measure=keep, quiet=True)
    energies = np.array([line["energy"] for line in result.records])
    spent = result.charged_evaluations
    count = max(1, (charged - spent) // RELAXATION)
    chosen = np.argsort(energies, kind="stable")[:count]
    starts = np.asarray(
        landscape.positions(jnp.asarray(np.stack([points[k] for k in chosen], axis=1)))
    )
    starts = starts - starts.mean(axis=1, keepdims=True)
    relaxed = quench(target.potential, target.system, starts)
    return {
        "learned": float(energies[chosen[0]]),
        **_ended(target, relaxed.energy),
        "charged_evaluations": spent + int(relaxed.evaluations.sum()),
        "cpu_seconds": round(time.process_time() - begun, 2),
    }


def _learned_cluster(target: Target, charged: int, seed: int) -> dict[str, Any]:
    """The default weights, as many starts as the budget holds."""
    begun = time.process_time()
    steps = default_steps("learned", method_weights("learned", None))
    result = run_search(
        target.potential,
        target.system,
        starts=max(1, charged // (steps + RELAXATION)),
        seed=seed,
    )
    return {
        "learned": None,
        **_ended(target, result.energies),
        "charged_evaluations": result.charged_evaluations,
        "cpu_seconds": round(time.process_time() - begun, 2),
    }


def _ended(target: Target, energies: np.ndarray) -> dict[str, Any]:
    energies = energies[np.isfinite(energies)]
    assert target.reference is not None, "clusters are those with published minima"
    unit = float(np.mean(np.asarray(target.system.energy_scale)))
    hits = energies <= target.reference + HIT * unit
    return {
        "energy": float(energies.min()),
        "mean": float(energies.mean()),
        "hits": int(hits.sum()),
        "relaxed": len(energies),
        "reference": target.reference,
    }


def cluster_table(lines: Lines) -> str:
    """What both methods reach on clusters."""
    header = ["cluster", "method", "seed", "learned minimum", "lowest relaxed"]
    header += ["published", "hits", "charged"]
    rows = []
    for line in lines:
        if line.get("record") != "cluster":
            continue
        learned = "-" if line["learned"] is None else f"{line['learned']:.2f}"
        rows.append(
            [
                line["target"],
                line["method"],
                str(line["seed"]),
                learned,
                f"{line['energy']:.4f}",
                f"{line['reference']:.4f}",
                f"{line['hits']}/{line['relaxed']}",
                f"{line['charged_evaluations']:,}",
            ]
        )
    return markdown_table(header, rows)
