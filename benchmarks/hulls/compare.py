"""Hulls beside each other: where another search is lower, and by how much."""

from __future__ import annotations

from typing import Any

__all__ = ["FACTOR", "LOWER", "hopping_gains", "lower_energies", "table"]

# Evaluations of basin hopping, in those of the search it is compared with.
FACTOR = 10
# What counts as lower, in eV.
LOWER = 1e-3


def lower_energies(first: dict[str, Any], second: dict[str, Any]) -> dict[str, float]:
    """By how much (eV) the second search is lower, where it is."""
    gaps = {m: e - second["energies"][m] for m, e in first["energies"].items()}
    return {m: gap for m, gap in gaps.items() if gap > LOWER}


def hopping_gains(record: dict[str, Any]) -> dict[str, float]:
    """By how much (eV) basin hopping is lower than the first search, where it is."""
    energies = record["hulls"][0]["energies"]
    hopping = record["basin_hopping"]["compositions"]
    gaps = {m: energies[m] - result["energy"] for m, result in hopping.items()}
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
            result = hopping[n_first]
            difference = result["energy"] - energy
            line += f" {1000 * difference:+19.3f} {result['charged']:17,}"
        lines.append(line)
    lines.append(
        f"lower by more than {1000 * LOWER:g} meV: seed {second['seed']} at "
        f"{len(lower_energies(first, second))} of {len(first['energies'])} "
        f"compositions, basin hopping ({FACTOR} times the evaluations) at "
        f"{len(hopping_gains(record))} of {len(hopping)}"
    )
    return "\n".join(lines)
