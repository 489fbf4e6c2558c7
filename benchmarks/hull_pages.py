"""What README.md and docs/hull.md say of measured hulls, from the committed records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.hulls import (
    FACTOR,
    LOWER,
    METHODS,
    RECORDS,
    hopping_beats,
    missed,
)

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ROOT / "benchmarks" / "records" / "hull-AgAu38.json"
UNTRAINED = SHOWN.with_name("hull-PdPt38.json")


def shown(path: Path = SHOWN) -> str:
    """A hull whose picture is shown."""
    record = json.loads(path.read_text())
    rows = record["rows"]
    lowest = min(rows, key=lambda row: row["excess_eV"])
    motifs = spans({row["n_A"]: row["motif"] for row in rows})
    name, n = record["system"], record["n_atoms"]
    return (
        f"`ase-l2h hull {name} --n {n} --seed {record['settings']['seed']}`: "
        f"{record['charged_evaluations']:,} charged evaluations in "
        f"{record['wall_seconds']:.0f} s on two cores (AMD EPYC); "
        f"{sum(row['on_hull'] for row in rows)} of {len(rows)} compositions are "
        f"vertices. The lowest excess energy is {lowest['excess_eV']:.3f} eV, at "
        f"{lowest['n_A']} {record['elements'][0]} atoms. Motifs by the number of "
        f"{record['elements'][0]} atoms: {motifs}."
    )


def spans(motifs: dict[int, str]) -> str:
    """Which numbers of atoms of the first element have which motif."""
    found: list[tuple[str, int, int]] = []
    for n_first, motif in motifs.items():
        begun = n_first
        if found and found[-1][0] == motif:
            begun = found.pop()[1]
        found.append((motif, begun, n_first))
    return ", ".join(
        f"{first if first == last else f'{first}-{last}'} {motif}"
        for motif, first, last in found
    )


def latest() -> dict[tuple[str, int], dict[str, Any]]:
    """The last record of every system."""
    records = map(json.loads, RECORDS.read_text().splitlines())
    return {(record["system"], record["n_atoms"]): record for record in records}


def methods() -> str:
    """Other methods with the evaluations of the first search of a system."""
    out = [
        "| system | method | charged evaluations | seconds | higher than `hybrid` at | "
        "lower at | mean difference, meV |",
        "|---|---|---|---|---|---|---|",
    ]
    hybrid = latest()
    for line in METHODS.read_text().splitlines():
        other = json.loads(line)
        first = hybrid[other["system"], other["n_atoms"]]["hulls"][0]
        gaps = [other["energies"][m] - e for m, e in first["energies"].items()]
        out.append(
            f"| {other['system']}{other['n_atoms']} | `{other['method']}` | "
            f"{sum(other['charged'].values()):,} ({sum(first['charged'].values()):,}) "
            f"| {other['seconds']:.0f} ({first['seconds']:.0f}) | "
            f"{sum(gap > LOWER for gap in gaps)} of {len(gaps)} | "
            f"{sum(gap < -LOWER for gap in gaps)} | "
            f"{1000 * sum(gaps) / len(gaps):+.0f} |"
        )
    out += [
        "",
        f"In brackets: `hybrid`. Higher or lower: by more than {1000 * LOWER:g} meV. "
        "Made by `python -m benchmarks.hulls SYSTEM N --against learned,bh`.",
    ]
    return "\n".join(out)


def measured() -> str:
    """Every system of the record: cost, vertices, other seed, basin hopping."""
    out = [
        "| system | seed | charged evaluations | seconds | vertices (atoms of the "
        "first element) | motifs | the other seed is lower | basin hopping is lower |",
        "|---|---|---|---|---|---|---|---|",
    ]
    machines = set()
    for record in latest().values():
        machines.add(record["machine"])
        for first, second in zip(record["hulls"], record["hulls"][::-1], strict=True):
            worse = missed(first, second)
            other = f"at {len(worse)} of {len(first['energies'])}"
            if first is second:
                other = "-"
            elif worse:
                other += f", by up to {1000 * max(worse.values()):.0f} meV"
            beaten = "-"
            if first is record["hulls"][0] and record["basin_hopping"]["compositions"]:
                tried = record["basin_hopping"]["compositions"]
                beaten = f"at {len(hopping_beats(record))} of {len(tried)}"
            out.append(
                f"| {record['system']}{record['n_atoms']} | {first['seed']} | "
                f"{sum(first['charged'].values()):,} | {first['seconds']:.0f} | "
                f"{', '.join(map(str, first['vertices']))} | "
                f"{spans({int(m): x for m, x in first['motifs'].items()})} | "
                f"{other} | {beaten} |"
            )
    out += [
        "",
        f"Lower means by more than {1000 * LOWER:g} meV. Basin hopping with exchanges "
        f"of unlike atoms (`--method bh` of `ase-l2h search`) got {FACTOR} times the "
        "charged evaluations of the first seed at each of eight compositions spread "
        "over the range. Made by `python -m benchmarks.hulls` on "
        f"{', '.join(sorted(machines))}; the searches shared the machine with other "
        "work, so the seconds are upper bounds.",
    ]
    return "\n".join(out)
