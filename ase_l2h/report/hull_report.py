"""What a hull search found: table, record, structures, report, picture."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ase.io

from ase_l2h._internal.files import write_atomically
from ase_l2h._internal.machine import versions
from ase_l2h.analysis.bonds import unlike_bonds
from ase_l2h.analysis.hull import Hull, composition_hull
from ase_l2h.analysis.motif import motif
from ase_l2h.analysis.symmetry import point_group
from ase_l2h.report.pages import csv_text, markdown_table
from ase_l2h.search.hull.settings import HullResult

__all__ = ["COLUMNS", "FILES", "hull_rows", "write_hull"]

FORMAT = "ase_l2h-hull-1"
# What is written into the folder of a hull.
FILES = (
    *("structures.extxyz", "hull.csv", "report.md", "hull.json"),
    *("hull.png", "hull.pdf"),
)
COLUMNS = (
    "n_A",
    "n_B",
    "energy_eV",
    "excess_eV",
    "excess_per_atom_eV",
    "on_hull",
    "second_difference_eV",
    "unlike_bonds",
    "motif",
    "point_group",
    "steady",
)
# Columns of the report, after the two elements.
HEADINGS = (
    *("energy", "excess", "per atom", "hull", "second difference"),
    *("unlike bonds", "motif", "point group", "steady"),
)


def hull_of(result: HullResult) -> Hull:
    """Excess energies and hull of what was found."""
    counts = list(result.structures)
    energies = [atoms.get_potential_energy() for atoms in result.structures.values()]
    return composition_hull(counts, energies, result.system.n_atoms)


def hull_rows(result: HullResult) -> list[dict[str, Any]]:
    """One row per composition, :data:`COLUMNS`; A and B as the system's name has them.

    ``steady`` is the share of a composition's evaluations since its energy last fell.
    Numbers that do not exist (no pure cluster, no neighbour) are NaN.
    """
    hull, n = hull_of(result), result.system.n_atoms
    rows = []
    for k, (count, atoms) in enumerate(result.structures.items()):
        rows.append(
            {
                "n_A": count,
                "n_B": n - count,
                "energy_eV": float(hull.energies[k]),
                "excess_eV": float(hull.excess[k]),
                "excess_per_atom_eV": float(hull.excess_per_atom[k]),
                "on_hull": bool(hull.on_hull[k]),
                "second_difference_eV": float(hull.second_difference[k]),
                "unlike_bonds": int(unlike_bonds(atoms)),
                "motif": motif(atoms).name,
                "point_group": point_group(atoms),
                "steady": 1 - result.fell[count] / result.charged[count],
            }
        )
    return rows


def hull_csv(rows: list[dict[str, Any]]) -> bytes:
    """The table as CSV; what does not exist is left empty."""
    cells = [{name: _cell(row[name]) for name in COLUMNS} for row in rows]
    return csv_text(cells, COLUMNS)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # Rounding to zero must not leave a sign.
        return "" if math.isnan(value) else f"{round(value, 8) + 0.0:.8f}"
    return value


def hull_record(result: HullResult, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything for machines."""
    settings = {k: v for k, v in result.settings.items() if k not in ("format",)}
    return {
        "format": FORMAT,
        "system": result.system.name,
        "elements": list(result.system.symbols),
        "n_atoms": result.system.n_atoms,
        "energy_unit": result.system.unit,
        "parameters": result.system.parameters,
        "settings": settings,
        "ended": result.ended,
        "rounds": result.rounds,
        "charged_evaluations": sum(result.charged.values()),
        "charged_evaluations_by_n_A": {str(k): v for k, v in result.charged.items()},
        "wall_seconds": round(result.seconds, 3),
        "rows": [{k: _number(v) for k, v in row.items()} for row in rows],
        "versions": versions(("ase-l2h", "ase", "jax", "numpy", "spglib")),
    }


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def hull_markdown(result: HullResult, rows: list[dict[str, Any]]) -> str:
    """A report for people."""
    system, (first, second) = result.system, result.system.symbols
    total = sum(result.charged.values())
    lines = [
        f"# {first}-{second}, {system.n_atoms} atoms",
        "",
        f"{len(rows)} compositions, potential parameters {system.parameters}, "
        f"{total:,} charged evaluations in {result.rounds} rounds and "
        f"{result.seconds:.0f} s; ended: {result.ended}. Seed "
        f"{result.settings['seed']}, weights {result.settings['weights']}.",
        "",
        "![Excess energies and hull](hull.png)",
        "",
        f"Excess energies against the pure clusters of {system.n_atoms} atoms, in "
        f"{system.unit}. The energies are the lowest found: upper bounds of the true "
        "minima. Steady is the share of a composition's evaluations since its energy "
        "last fell: near 1 the energy is likely to stay, near 0 it may fall further.",
        "",
        markdown_table((first, second, *HEADINGS), map(_cells, rows), numbers=False),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any]) -> list[Any]:
    """A row of the report."""
    number = lambda name: (
        "-" if math.isnan(row[name]) else f"{round(row[name], 4) + 0.0:.4f}"
    )
    return [
        row["n_A"],
        row["n_B"],
        *map(number, ("energy_eV", "excess_eV", "excess_per_atom_eV")),
        "vertex" if row["on_hull"] else "",
        number("second_difference_eV"),
        *(row[name] for name in ("unlike_bonds", "motif", "point_group")),
        f"{row['steady']:.2f}",
    ]


def hull_structures(result: HullResult, rows: list[dict[str, Any]]) -> bytes:
    """All structures as extended XYZ, with their row as information."""
    images = []
    for row, atoms in zip(rows, result.structures.values(), strict=True):
        image = atoms.copy()
        image.calc = atoms.calc
        image.info.update({k: v for k, v in row.items() if _number(v) is not None})
        images.append(image)
    text = io.StringIO()
    ase.io.write(text, images, format="extxyz")
    return text.getvalue().encode()


def write_hull(result: HullResult, folder: Path) -> dict[str, Any]:
    """Write ``hull.csv``, ``.json``, ``.png``, ``.pdf``, structures and report.

    Returns
    -------
    dict
        The record in ``hull.json``.

    Raises
    ------
    OSError
        When a file cannot be written; the others are whole, old or new.
    """
    from ase_l2h.report.figures import save_figure
    from ase_l2h.report.hull_figure import hull_figure

    rows = hull_rows(result)
    record = hull_record(result, rows)
    figure = hull_figure(
        hull_of(result),
        [row["motif"] for row in rows],
        list(result.structures.values()),
        result.system.symbols,
        point_groups=[row["point_group"] for row in rows],
        unit=result.system.unit,
    )
    files: Mapping[str, bytes] = {
        "structures.extxyz": hull_structures(result, rows),
        "hull.csv": hull_csv(rows),
        "report.md": hull_markdown(result, rows).encode(),
        "hull.json": (json.dumps(record, indent=2, allow_nan=False) + "\n").encode(),
    }
    for name, content in files.items():
        write_atomically(folder / name, content)
    for form in ("png", "pdf"):
        save_figure(figure, folder / f"hull.{form}", form, dpi=200)
        figure.set_layout_engine("none")  # the second has the layout of the first
    return record


def table(record: Mapping[str, Any]) -> str:
    """What a terminal shows."""
    first, second = record["elements"]
    unit = record["energy_unit"]
    lines = [
        f"{first}-{second}, {record['n_atoms']} atoms: "
        f"{len(record['rows'])} compositions, "
        f"{record['charged_evaluations']:,} charged evaluations, "
        f"{record['wall_seconds']:.0f} s, ended: {record['ended']}",
        f"{first:>5} {second:>5} {'energy/' + unit:>15} {'excess/' + unit:>15}  hull  "
        f"{'unlike':>6}  steady  point group  motif",
    ]
    for row in record["rows"]:
        excess = row["excess_eV"]
        lines.append(
            f"{row['n_A']:5d} {row['n_B']:5d} {row['energy_eV']:15.6f} "
            f"{'-' if excess is None else f'{round(excess, 6) + 0.0:.6f}':>15}  "
            f"{'*' if row['on_hull'] else ' ':4}  {row['unlike_bonds']:6d}  "
            f"{row['steady']:6.2f}  "
            f"{row['point_group']:11}  {row['motif']}"
        )
    return "\n".join(lines)
