"""What README.md and ``docs/hull.md`` say of measured hulls."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ase_l2h._internal.records import read_lines
from ase_l2h.report.pages import markdown_table, replace_block
from benchmarks import paths
from benchmarks.hulls.compare import FACTOR, LOWER, hopping_gains, lower_energies
from benchmarks.hulls.search import METHODS, RECORDS
from benchmarks.hulls.seeds import RECORDS as SEEDS
from benchmarks.hulls.seeds import lowest_known, misses

__all__ = ["write"]

SHOWN = paths.RECORDS / "hull-AgAu38.json"
UNTRAINED = paths.RECORDS / "hull-PdPt38.json"


def write() -> None:
    """The generated parts of both pages."""
    page = paths.DOCS / "hull.md"
    replace_block(paths.README, "hull", caption(SHOWN))
    replace_block(page, "shown", shown(SHOWN))
    replace_block(page, "untrained", shown(UNTRAINED))
    if RECORDS.exists():
        replace_block(page, "measured", measured())
    if SEEDS.exists():
        replace_block(page, "seeds", many_seeds())
    if METHODS.exists():
        replace_block(page, "methods", methods())


def caption(path: Path) -> str:
    """What made the pictures of README.md, in a sentence."""
    record = json.loads(path.read_text())
    name, n = record["system"], record["n_atoms"]
    command = f"ase-l2h hull {name} --n {n} --seed {record['settings']['seed']}"
    return (
        f"Left: `ase-l2h search Ag19Au19 --plot`. Right: [`{command}`](docs/hull.md), "
        f"{len(record['rows'])} compositions in {record['wall_seconds']:.0f} s and "
        f"{record['charged_evaluations'] / 1e6:.1f} million evaluations on two cores "
        f"(AMD EPYC; [record]({path.relative_to(paths.ROOT)}))."
    )


def shown(path: Path) -> str:
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


def spans(motifs: Mapping[int, str]) -> str:
    """Which numbers of atoms of the first element have which motif."""
    ranges: list[tuple[str, int, int]] = []
    for count, motif in motifs.items():
        first = count
        if ranges and ranges[-1][0] == motif:
            first = ranges.pop()[1]
        ranges.append((motif, first, count))
    return ", ".join(
        f"{first if first == last else f'{first}-{last}'} {motif}"
        for motif, first, last in ranges
    )


def latest() -> dict[tuple[str, int], dict[str, Any]]:
    """The last record of every system."""
    records = read_lines(RECORDS)
    return {(record["system"], record["n_atoms"]): record for record in records}


def methods() -> str:
    """The search without some of its parts, beside the first search of a system."""
    rows = []
    whole = latest()
    for other in read_lines(METHODS):
        first = whole[other["system"], other["n_atoms"]]["hulls"][0]
        gaps = [other["energies"][m] - e for m, e in first["energies"].items()]
        charged = (sum(hull["charged"].values()) for hull in (other, first))
        rows.append(
            [
                f"{other['system']}{other['n_atoms']}",
                ", ".join(f"`{part}`" for part in other["method"].split("~")[1:]),
                "{:,} ({:,})".format(*charged),
                f"{other['seconds']:.0f} ({first['seconds']:.0f})",
                f"{sum(gap > LOWER for gap in gaps)} of {len(gaps)}",
                sum(gap < -LOWER for gap in gaps),
                f"{1000 * sum(gaps) / len(gaps):+.0f}",
            ]
        )
    header = ["system", "without", "charged evaluations", "seconds"]
    header += ["higher at", "lower at", "mean difference, meV"]
    return (
        f"{markdown_table(header, rows, numbers=False)}\n\n"
        "In brackets are the numbers of the whole search with the same seed. Higher "
        f"and lower mean by more than {1000 * LOWER:g} meV. Made by `python -m "
        "benchmarks.hulls SYSTEM N --against PARTS`."
    )


def many_seeds() -> str:
    """How often hulls of seeds that chose nothing have the lowest energies known."""
    lines = read_lines(SEEDS)
    rows = []
    for name, n_atoms in dict.fromkeys((x["system"], x["n_atoms"]) for x in lines):
        lowest = lowest_known(lines, name, n_atoms)
        own = [x for x in lines if (x["system"], x["n_atoms"]) == (name, n_atoms)]
        above = [misses(line["energies"], lowest) for line in own]
        where = Counter(m for gaps in above for m in gaps)
        highest = {m: max(gaps.get(m, 0.0) for gaps in above) for m in where}
        told = ", ".join(
            f"{m} ({where[m]} of {len(own)}, {1000 * highest[m]:.1f} meV)"
            for m in sorted(where, key=int)
        )
        charged = [sum(line["charged"].values()) for line in own]
        seconds = sorted(line["seconds"] for line in own)
        rows.append(
            [
                f"{name}{n_atoms}",
                f"{own[0]['seed']}-{own[-1]['seed']}",
                ", ".join(str(len(lowest) - len(gaps)) for gaps in above),
                told or "nowhere",
                f"{float(np.median(charged)):,.0f}",
                f"{seconds[0]:.0f}-{seconds[-1]:.0f}",
            ]
        )
    machines = sorted({line["machine"] for line in lines})
    header = ["system", "seeds", f"within {1000 * LOWER:g} meV of the lowest known"]
    header += ["above it at (seeds, largest gap)", "charged evaluations, median"]
    header += ["seconds"]
    return (
        f"{markdown_table(header, rows, numbers=False)}\n\n"
        "The third column counts compositions, with one number for each seed. The "
        "lowest known is that of all these seeds and of other searches. Made by "
        "`python -m benchmarks.hulls.seeds` on "
        f"{', '.join(machines)}."
    )


def measured() -> str:
    """Every system of the record: cost, vertices, other seed, basin hopping."""
    records = latest().values()
    rows = [row for record in records for row in _hull_rows(record)]
    machines = sorted({record["machine"] for record in records})
    header = ["system", "seed", "charged evaluations", "seconds"]
    header += ["vertices (atoms of the first element)", "motifs"]
    header += ["the other seed is lower", "basin hopping is lower"]
    return (
        f"{markdown_table(header, rows, numbers=False)}\n\n"
        f"Lower means by more than {1000 * LOWER:g} meV. Basin hopping with exchanges "
        "of unlike atoms (`--method bh` of `ase-l2h search`) ran at eight compositions "
        f"spread over the range. At each it got {FACTOR} times the charged evaluations "
        "of the first seed. Made by `python -m benchmarks.hulls` on "
        f"{', '.join(machines)}. The searches shared the machine with other work, so "
        "the seconds are upper bounds."
    )


def _hull_rows(record: dict[str, Any]) -> list[list[Any]]:
    """A row per seed of a system."""
    rows = []
    hulls = record["hulls"]
    for first, second in zip(hulls, hulls[::-1], strict=True):
        gains = lower_energies(first, second)
        other = f"at {len(gains)} of {len(first['energies'])}"
        if first is second:
            other = "-"
        elif gains:
            other += f", by up to {1000 * max(gains.values()):.0f} meV"
        beaten, tried = "-", record["basin_hopping"]["compositions"]
        if first is hulls[0] and tried:
            beaten = f"at {len(hopping_gains(record))} of {len(tried)}"
        rows.append(
            [
                f"{record['system']}{record['n_atoms']}",
                first["seed"],
                f"{sum(first['charged'].values()):,}",
                f"{first['seconds']:.0f}",
                ", ".join(map(str, first["vertices"])),
                spans({int(m): motif for m, motif in first["motifs"].items()}),
                other,
                beaten,
            ]
        )
    return rows
