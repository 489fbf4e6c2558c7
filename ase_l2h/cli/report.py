"""What ``ase-l2h search`` prints: a JSON record or a short table."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from ase_l2h.cli.target import Job
from ase_l2h.report.statistics import wilson_interval
from ase_l2h.rollout.batch import Status
from ase_l2h.search import multistart as searching
from ase_l2h.search.multistart import SearchResult

__all__ = ["hit_tolerance", "record", "table"]

LOWEST = 5
ODD = {
    "running": "not fully relaxed",
    "fragmented": "in pieces",
    "non_finite": "without a finite energy",
}
STOPPED = {
    "target": "stopped at the target energy",
    "time": "stopped when time was up",
    "interrupted": "interrupted",
}


def hit_tolerance(job: Job) -> float:
    """A relaxed energy this close to another is the same, in the energy unit."""
    return searching.hit_tolerance(job.system)


def _number(value: float) -> float | None:
    """JSON knows no infinity."""
    return float(value) if math.isfinite(value) else None


def record(
    job: Job,
    result: SearchResult,
    n_starts: int,
    target_energy: float | None,
    wall: tuple[float, str],
    versions: dict[str, str | None],
) -> dict[str, Any]:
    """The JSON record of a search; energies in ``energy_unit``, null where infinite.

    ``energies``, ``evaluations`` and ``status`` follow the order of the starts.
    """
    tolerance = hit_tolerance(job)

    def count_below(energy: float | None) -> int | None:
        return None if energy is None else int(np.sum(energies <= energy + tolerance))

    names = [Status(int(s)).name.lower() for s in result.status]
    energies = result.energies
    return {
        "format": "ase_l2h-search-1",
        "target": job.name,
        "potential": job.family,
        "parameters": job.parameters,
        "n_atoms": len(job.template),
        "energy_unit": job.unit,
        "method": result.method,
        "weights": None if result.weights is None else result.weights.name,
        "weights_sha256": None if result.weights is None else result.weights.sha256,
        "seed": result.seed,
        "n_starts": n_starts,
        "n_starts_run": len(energies),
        "n_steps": result.n_steps,
        "stopped": result.stopped,
        "best_energy": _number(result.best_energy),
        "reference_energy": job.reference,
        "hits": count_below(job.reference),
        "target_energy": None if target_energy is None else _number(target_energy),
        "target_hits": count_below(target_energy),
        "hit_tolerance": tolerance,
        "energies": [_number(e) for e in energies],
        "charged_evaluations": result.charged_evaluations,
        "evaluations": [int(e) for e in result.evaluations],
        "status": names,
        "status_counts": dict(Counter(names)),
        "minima": [
            {"energy": m.energy, "count": m.count, "start": m.start}
            for m in result.minima
        ],
        "wall_seconds": round(wall[0], 3),
        "wall_seconds_from": wall[1],
        "search_seconds": round(result.wall_seconds, 3),
        "backend": result.backend,
        "versions": versions,
    }


def _share(hits: int, trials: int) -> str:
    low, high = wilson_interval(hits, trials)
    return (
        f"{hits} of {trials}, {100 * hits / trials:.1f} % "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    )


def table(found: dict[str, Any]) -> str:
    """The record as a person reads it."""
    unit, run = found["energy_unit"], found["n_starts_run"]
    potential = ":".join(filter(None, (found["potential"], found["parameters"])))
    method = found["method"]
    if found["weights"] is not None:
        method += f" ({found['weights']})"
    best = found["best_energy"]
    rows = [("best energy", "none" if best is None else f"{best:.6f} {unit}")]
    if found["reference_energy"] is not None:
        reference = found["reference_energy"]
        tolerance = found["hit_tolerance"]
        gap = "" if best is None else f", {_gap(best - reference, tolerance)}"
        rows.append(("published minimum", f"{reference:.6f} {unit}{gap}"))
        rows.append(("starts that found it", _share(found["hits"], run)))
    if found["target_energy"] is not None:
        name = f"at or below {found['target_energy']:g}"
        rows.append((name, _share(found["target_hits"], run)))
    odd = {k: v for k, v in found["status_counts"].items() if k != "converged"}
    if odd:
        text = ", ".join(f"{v} {ODD[k]}" for k, v in sorted(odd.items()))
        rows.append(("other ends", text))
    charged = found["charged_evaluations"]
    rows.append(("charged evaluations", f"{charged} ({charged / run:.0f} per start)"))
    seconds = f"{found['wall_seconds']:.1f} (from {found['wall_seconds_from']})"
    rows.append(("seconds", seconds))

    lines = [
        f"{found['target']}: {potential}, {method}, {_starts(found['n_starts'])} of "
        f"{found['n_steps']} steps, seed {found['seed']}, {found['backend']}"
    ]
    if found["stopped"] != "done":
        lines.append(f"{STOPPED[found['stopped']]} after {_starts(run)}, all relaxed")
    lines += [f"  {name:22}{value}" for name, value in rows]
    minima = found["minima"]
    lines.append(f"  {'distinct minima':22}{len(minima)}, the lowest:")
    lines += [
        f"    {m['energy']:18.6f} {unit}  {_starts(m['count'])}"
        for m in minima[:LOWEST]
    ]
    return "\n".join(lines)


def _starts(count: int) -> str:
    return "1 start" if count == 1 else f"{count} starts"


def _gap(difference: float, tolerance: float) -> str:
    if abs(difference) <= tolerance:
        return "which the best equals"
    side = "above" if difference > 0 else "BELOW"
    return f"the best is {abs(difference):.6f} {side}"
