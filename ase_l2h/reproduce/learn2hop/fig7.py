"""Fig. 7 of the paper: excess energies of nanoalloys by every method.

Every method starts from the same random structures of every composition and keeps the
lowest minimum. Records in, table and picture out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import Records
from ase_l2h.potentials.parameters import gupta_set
from ase_l2h.potentials.units import atom_scales, reduced_units
from ase_l2h.report.figures import BLUE, GREY, VERMILLION
from ase_l2h.reproduce.learn2hop.pages import write_exhibit
from ase_l2h.system import System, make_system

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "BUDGETS",
    "METHODS",
    "Budget",
    "nanoalloy_records",
    "reproduce",
    "write_nanoalloys",
]

RECORDS = "fig7.jsonl"
N_ATOMS = 38
SYSTEMS = ("AgAu", "PdPt")


class Method(NamedTuple):
    """A line of the figure: how it is searched, and with how many times the steps."""

    method: str
    weights: str | None
    factor: int
    colour: str
    marker: str


METHODS = {
    "Adam": Method("adam", None, 1, GREY, "x"),
    "FIRE": Method("fire", None, 1, "#56B4E9", "+"),
    "BH": Method("bh", None, 1, "#E69F00", "v"),
    "BH 10x": Method("bh", None, 10, VERMILLION, "^"),
    "learned, AgAu": Method("learned", "gupta-agau", 1, BLUE, "o"),
    # Ag-Au, Ag-Pt and Pd-Au, as the paper's second optimizer.
    "learned, three alloys": Method("learned", "gupta-alloys", 1, "#009E73", "s"),
}


class Budget(NamedTuple):
    """Compositions (numbers of the first element), starts, and steps of a start."""

    compositions: tuple[int, ...]
    starts: int
    steps: int | None


BUDGETS = {
    "quick": Budget((0, 5, 10, 14, 19, 24, 28, 33, 38), 16, None),
    "paper": Budget(tuple(range(N_ATOMS + 1)), 150, 50_000),
}


def nanoalloy_records(
    folder: Path,
    budget: Budget,
    seed: int = 0,
    *,
    progress: Callable[[int, int, str], Any] | None = None,
    systems: Sequence[str] = SYSTEMS,
    methods: Sequence[str] = tuple(METHODS),
) -> list[dict[str, Any]]:
    """Run what is missing in the record in ``folder``; its lines for this budget.

    The learned optimizer takes the steps of the budget, or its horizon; Adam, FIRE and
    basin hopping then get as many charged evaluations as it was charged in all, before
    they are relaxed like it, and ``BH 10x`` ten times as many.
    """
    from ase_l2h.search.multistart import search

    records = Records(folder / RECORDS)
    learned = [name for name in methods if METHODS[name].method == "learned"]
    order = learned + [name for name in methods if name not in learned]
    total, finished = len(systems) * len(budget.compositions) * len(order), 0
    lines = []
    for system in systems:
        for count in budget.compositions:
            potential, mixture = _mixture(system, count)
            spent: int | None = None
            for name in order:
                method = METHODS[name]
                key = {
                    "system": system,
                    "method": name,
                    "n_first": count,
                    "seed": seed,
                    "starts": budget.starts,
                    "budget_steps": budget.steps,
                }
                steps = budget.steps
                if method.method != "learned" and spent is not None:
                    steps = spent * method.factor

                def run(method: Method = method, steps: int | None = steps) -> Any:
                    result = search(
                        potential,  # noqa: B023 - run before the next composition
                        mixture,  # noqa: B023
                        method=method.method,
                        weights=method.weights,
                        n_starts=budget.starts,
                        n_steps=steps,
                        seed=seed,
                    )
                    energies = result.energies[np.isfinite(result.energies)]
                    weights = result.weights
                    return {
                        "steps": result.n_steps,
                        "energy": float(energies.min()),
                        "mean": float(energies.mean()),
                        "charged_evaluations": result.charged_evaluations,
                        "weights_sha256": None if weights is None else weights.sha256,
                        "wall_seconds": round(result.wall_seconds, 3),
                    }

                line = records.get(key, run)
                lines.append(line)
                finished += 1
                if progress is not None:
                    progress(finished, total, f"{system} {count} {name}")
                if method.method == "learned" and spent is None:
                    spent = math.ceil(line["charged_evaluations"] / budget.starts)
    return lines


def _mixture(system: str, count: int) -> tuple[Any, System]:
    """Potential and system with ``count`` atoms of the first element.

    Pure clusters keep the potential of both elements, so that nothing is compiled
    again for them.
    """
    known = gupta_set(system)
    potential = known.potential()
    numbers = {system[:2]: count, system[2:]: N_ATOMS - count}
    # Species count in the order of the potential, which is that of atomic numbers.
    species = np.repeat(
        range(len(potential.symbols)), [numbers[s] for s in potential.symbols]
    )
    length, energy = reduced_units(potential, species)
    return potential, make_system(
        species,
        length_scale=length,
        energy_scale=energy,
        atom_scales=atom_scales(potential, species),
    )


def excess_curves(
    lines: Sequence[dict[str, Any]], system: str
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Compositions and excess energies (eV per cluster) of every method.

    Against the pure clusters as the best of all methods found them, so that a method
    that fails there does not look better elsewhere.
    """
    mine = [line for line in lines if line["system"] == system]
    pure = {
        end: min((r["energy"] for r in mine if r["n_first"] == end), default=math.nan)
        for end in (0, N_ATOMS)
    }
    curves = {}
    for name in METHODS:
        rows = sorted((r["n_first"], r["energy"]) for r in mine if r["method"] == name)
        if not rows:
            continue
        counts, energies = map(np.array, zip(*rows, strict=True))
        share = counts / N_ATOMS
        reference = share * pure[N_ATOMS] + (1 - share) * pure[0]
        curves[name] = (counts, energies - reference)
    return curves


def nanoalloy_figure(lines: Sequence[dict[str, Any]]) -> Figure:
    """Excess energy per atom against composition, one panel per system."""
    from matplotlib.figure import Figure

    systems = list(dict.fromkeys(line["system"] for line in lines))
    figure = Figure(figsize=(5.2 * len(systems), 4.2), layout="constrained")
    panels = figure.subplots(1, len(systems), squeeze=False)[0]
    for panel, system in zip(panels, systems, strict=True):
        for name, (counts, excess) in excess_curves(lines, system).items():
            method = METHODS[name]
            panel.plot(
                counts,
                1000 * excess / N_ATOMS,
                color=method.colour,
                marker=method.marker,
                markersize=5,
                lw=1,
                label=name,
            )
        panel.axhline(0, color=GREY, lw=0.8, ls="--")
        panel.set_title(f"{system[:2]}$_m${system[2:]}$_{{{N_ATOMS}-m}}$")
        panel.set_xlabel(f"number of {system[:2]} atoms, $m$")
        panel.set_ylabel("excess energy per atom (meV)")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize="small")
    return figure


def nanoalloy_table(lines: Sequence[dict[str, Any]]) -> str:
    """How far every method lies above the lowest of all, in meV per cluster."""
    out = []
    for system in dict.fromkeys(line["system"] for line in lines):
        curves = excess_curves(lines, system)
        counts = sorted({int(c) for xs, _ in curves.values() for c in xs})
        lowest = {
            count: min(
                float(ys[xs == count][0]) for xs, ys in curves.values() if count in xs
            )
            for count in counts
        }
        out += [
            f"## {system}, {N_ATOMS} atoms: energy above the lowest found (meV)",
            "",
            f"| {system[:2]} atoms | " + " | ".join(curves) + " |",
            "|---|" + "---|" * len(curves),
        ]
        for count in counts:
            cells = [
                f"{1000 * (float(ys[xs == count][0]) - lowest[count]):.1f}"
                if count in xs
                else "-"
                for xs, ys in curves.values()
            ]
            out.append(f"| {count} | " + " | ".join(cells) + " |")
        means = []
        for xs, ys in curves.values():
            above = [y - lowest[int(x)] for x, y in zip(xs, ys, strict=True)]
            means.append(f"{1000 * np.mean(above):.1f}")
        out += ["| **mean** | " + " | ".join(means) + " |", ""]
    return "\n".join(out)


def write_nanoalloys(
    folder: Path, lines: Sequence[dict[str, Any]], left_out: str
) -> str:
    """Write ``fig7.md``, ``fig7.csv``, ``fig7.png`` and ``fig7.pdf`` from records.

    Parameters
    ----------
    folder
        Where to.
    lines
        From :func:`nanoalloy_records`.
    left_out
        A sentence on what this budget leaves out.
    """
    names = ("system", "method", "n_first", "energy", "mean", "starts", "steps")
    rows = [
        {name: line[name] for name in (*names, "charged_evaluations")} for line in lines
    ]
    return write_exhibit(
        folder,
        "fig7",
        "Fig. 7: excess energies of nanoalloys",
        nanoalloy_table(lines).strip(),
        rows,
        {"": nanoalloy_figure(lines)},
        left_out,
    )


def reproduce(
    folder: Path, budget: str, seed: int, progress: Callable[[int, int, str], Any]
) -> str:
    """The exhibit ``fig7``, see :mod:`ase_l2h.reproduce.registry`."""
    size = BUDGETS[budget]
    lines = nanoalloy_records(folder, size, seed, progress=progress)
    steps = "the weights' horizon" if size.steps is None else f"{size.steps} steps"
    left_out = (
        f"Budget '{budget}': {len(size.compositions)} of 39 compositions, "
        f"{size.starts} starts, {steps}, seed {seed}; the paper has 39, 150 and 50,000 "
        "steps. Adam, FIRE and basin hopping have as many charged evaluations as the "
        "optimizer trained on Ag-Au. It and the one trained on three alloys (Ag-Au, "
        "Ag-Pt, Pd-Au) are equivariant and saw Lennard-Jones clusters too; no Pd-Pt."
    )
    return write_nanoalloys(folder, lines, left_out)
