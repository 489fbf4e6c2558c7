"""What ``ase-l2h search`` prints: a JSON record or a short table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_l2h.cli.cells import rows_of
from ase_l2h.cli.target import SearchTarget
from ase_l2h.report.statistics import wilson_interval
from ase_l2h.search.multistart import StartTable
from ase_l2h.search.problem import HIT
from ase_l2h.search.result import SearchResult

__all__ = ["FORMAT", "record", "table"]

FORMAT = "ase_l2h-search-3"
LOWEST = 5
STOPPED = {
    "done": "all starts taken",
    "settled": "the lowest minimum was met often enough",
    "evaluations": "all evaluations spent",
    "target": "target energy reached",
    "time": "time was up",
    "interrupted": "interrupted",
    "failed": "too many calls in a row failed",
}


def _number(value: float | None) -> float | None:
    """JSON knows no infinity."""
    return None if value is None or not math.isfinite(value) else float(value)


def record(
    target: SearchTarget,
    result: SearchResult,
    *,
    target_energy: float | None,
    starts: StartTable | None,
    wall: tuple[float, str],
    versions: dict[str, str | None],
) -> dict[str, Any]:
    """The JSON record of a search; energies in ``energy_unit``, null where infinite.

    Parameters
    ----------
    target, result
        What was searched, and what was found.
    target_energy
        As it was asked for.
    starts
        What became of every start, where their number was asked for: then ``energies``
        and ``evaluations`` have one entry for each.
    wall
        Seconds since the start of the program, and which start that is.
    versions
        Of the packages.
    """
    found = {
        "format": FORMAT,
        "target": target.name,
        "potential": target.family,
        "parameters": target.parameters,
        "calculator": _calculator(target),
        "n_atoms": result.problem.n_atoms,
        "energy_unit": target.unit,
        "method": result.method,
        "settings": result.settings,
        "weights": result.settings.get("weights"),
        "weights_sha256": result.settings.get("weights_sha256"),
        "seed": result.seed,
        **_outcome(result, target_energy),
        "wall_seconds": round(wall[0], 3),
        "wall_seconds_from": wall[1],
        "search_seconds": round(result.wall_seconds, 3),
        "evaluations_per_second": _rate(result),
        "backend": result.backend,
        "versions": versions,
    }
    if starts is not None:
        reference = result.problem.reference
        found["start_hits"] = _count_below(result, reference, starts.energies.tolist())
        found["energies"] = [_number(energy) for energy in starts.energies.tolist()]
        found["evaluations"] = np.asarray(starts.evaluations, int).tolist()
    return found


def _calculator(target: SearchTarget) -> dict[str, Any] | None:
    """Name and arguments of a calculator."""
    named = target.calculator
    if named is None:
        return None
    arguments = json.loads(named.arguments) if named.arguments else {}
    return {"name": named.name, "arguments": arguments}


def _outcome(result: SearchResult, target_energy: float | None) -> dict[str, Any]:
    """What the searches found, one by one and together."""
    reference = result.problem.reference
    lowest = [trace.energy for trace in result.searches]
    return {
        "searches": len(result.searches),
        "search_list": [
            {
                "charged_evaluations": trace.charged,
                "energy": _number(trace.energy),
                "stopped": trace.stopped,
            }
            for trace in result.searches
        ],
        "stopped": result.stopped,
        "best_energy": _number(result.best_energy),
        "gap": _number(result.gap),
        "reference_energy": _number(reference),
        "hits": _count_below(result, reference, lowest),
        "met": result.confidence.met,
        "attempts": result.confidence.attempts,
        "settled": result.confidence.settled,
        "how_sure": str(result.confidence),
        "target_energy": _number(target_energy),
        "target_hits": _count_below(result, target_energy, lowest),
        "hit_tolerance": HIT * result.problem.energy_unit,
        "charged_evaluations": result.charged_evaluations,
        "failed_calls": result.failed_calls,
        "minima": [
            {
                "energy": minimum.energy,
                "count": minimum.count,
                "first": minimum.first,
                "relaxed": minimum.relaxed,
                "checked": minimum.checked,
            }
            for minimum in result.minima
        ],
    }


def _count_below(
    result: SearchResult, energy: float | None, energies: Sequence[float]
) -> int | None:
    if energy is None:
        return None
    reached = energy + HIT * result.problem.energy_unit
    return sum(value <= reached for value in energies)


def _rate(result: SearchResult) -> float | None:
    seconds = result.wall_seconds
    return round(result.charged_evaluations / seconds, 1) if seconds > 0 else None


def table(found: dict[str, Any]) -> str:
    """The record as a person reads it."""
    rows = [*_energies(found), ("how sure", found["how_sure"] + _misled(found))]
    if "relaxed_cell" in found:
        rows += rows_of(found["relaxed_cell"], found["energy_unit"])
    rows.append(("ended", _ended(found)))
    charged = f"{found['charged_evaluations']:,}"
    if found["evaluations_per_second"] is not None:
        charged += f" ({found['evaluations_per_second']:,.0f} per second)"
    rows.append(("charged evaluations", charged))
    if found["failed_calls"]:
        rows.append(("failed calls", f"{found['failed_calls']:,}"))
    earlier = found["search_seconds"] > found["wall_seconds"]
    seconds = (
        f"{found['search_seconds']:.2f} for the search"
        f"{', its earlier parts included' if earlier else ''}, "
        f"{found['wall_seconds']:.2f} from {found['wall_seconds_from']}"
    )
    rows.append(("seconds", seconds))
    rows.append(("backend", found["backend"]))
    minima = found["minima"]
    rows.append(
        ("distinct minima", f"{len(minima)}{', the lowest:' if minima else ''}")
    )
    lines = [_heading(found), *(f"  {name:24}{value}" for name, value in rows)]
    unit = found["energy_unit"]
    for minimum in minima[:LOWEST]:
        times = "once" if minimum["count"] == 1 else f"{minimum['count']} times"
        state = times if minimum["relaxed"] else "not relaxed"
        lines.append(f"    {minimum['energy']:18.6f} {unit}  {state}")
    return "\n".join(lines)


def _heading(found: dict[str, Any]) -> str:
    potential = ":".join(filter(None, (found["potential"], found["parameters"])))
    method = found["method"]
    if found["weights"] is not None:
        method += f" ({found['weights']})"
    count = found["searches"]
    searches = "" if count == 1 else f"{count} searches, "
    return (
        f"{found['target']}: {found['n_atoms']} atoms, {potential}; {method}, "
        f"{searches}seed {found['seed']}"
    )


def _misled(found: dict[str, Any]) -> str:
    """What is to be said where a lower minimum than all of these is published."""
    best, reference = found["best_energy"], found["reference_energy"]
    if best is None or reference is None or found["met"] == 0:
        return ""
    above = best > reference + found["hit_tolerance"]
    return ", but a lower minimum is published: they were misled" if above else ""


def _ended(found: dict[str, Any]) -> str:
    reasons: list[str] = [search["stopped"] for search in found["search_list"]]
    kinds: list[str] = list(dict.fromkeys(reasons))
    said = {kind: STOPPED.get(kind, kind) for kind in kinds}
    if len(kinds) == 1:
        return said[kinds[0]]
    return ", ".join(f"{said[kind]} ({reasons.count(kind)})" for kind in kinds)


def _energies(found: dict[str, Any]) -> list[tuple[str, str]]:
    unit, best, count = found["energy_unit"], found["best_energy"], found["searches"]
    rows = [("best energy", "none" if best is None else f"{best:.6f} {unit}")]
    if found["gap"] is not None:
        said = (
            f"{found['gap']:.4g} between the nearest atoms of two; a longer search "
            "may join them"
        )
        rows.append(("separate parts", said))
    reference = found["reference_energy"]
    if reference is not None:
        gap = _gap(best, reference, found["hit_tolerance"])
        rows.append(("published minimum", f"{reference:.6f} {unit}{gap}"))
        if count > 1:
            rows.append(("searches that found it", _share(found["hits"], count)))
        if found.get("energies"):
            share = _share(found["start_hits"], len(found["energies"]))
            rows.append(("starts that found it", share))
    if found["target_energy"] is not None:
        reached = found["target_hits"]
        said = "reached" if reached else "not reached"
        if count > 1:
            said = _share(reached, count)
        rows.append((f"target {found['target_energy']:.8g}", said))
    return rows


def _gap(best: float | None, reference: float, tolerance: float) -> str:
    if best is None:
        return ""
    difference = best - reference
    if abs(difference) <= tolerance:
        return ", which the best equals"
    side = "above" if difference > 0 else "BELOW"
    return f", the best is {abs(difference):.6f} {side}"


def _share(hits: int, trials: int) -> str:
    low, high = wilson_interval(hits, trials)
    return (
        f"{hits} of {trials}, {100 * hits / trials:.1f} % "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    )
