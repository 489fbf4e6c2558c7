"""Fig. 7 of the paper: excess energies of nanoalloys by every method.

Every method starts from the same random structures of every composition and keeps the
lowest minimum. Records in, table and picture out.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ase_l2h._internal.records import Lines, Records
from ase_l2h.potentials.parameters import gupta_set
from ase_l2h.report.figures import BLUE, GREY, VERMILLION, new_figure
from ase_l2h.report.pages import markdown_table
from ase_l2h.reproduce.output import write_result
from ase_l2h.reproduce.registry import Progress
from ase_l2h.reproduce.searching import run_search
from ase_l2h.search.engine import composition_system
from ase_l2h.system import System

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
    "part": Budget((0, 10, 19, 28, 38), 150, 50_000),
    "paper": Budget(tuple(range(N_ATOMS + 1)), 150, 50_000),
}


def nanoalloy_records(
    folder: Path,
    budget: Budget,
    seed: int = 0,
    *,
    progress: Progress = lambda *_: None,
    systems: Sequence[str] = SYSTEMS,
    methods: Sequence[str] = tuple(METHODS),
) -> Lines:
    """Run what is missing in the record in ``folder``; its lines for this budget.

    The learned optimizer takes the steps of the budget, or its horizon; Adam, FIRE and
    basin hopping then get as many charged evaluations as it was charged in all, before
    they are relaxed like it, and ``BH 10x`` ten times as many.
    """
    records = Records(folder / RECORDS)
    learned = [name for name in methods if METHODS[name].method == "learned"]
    order = learned + [name for name in methods if name not in learned]
    total = len(systems) * len(budget.compositions) * len(order)
    lines: Lines = []
    for system, count in itertools.product(systems, budget.compositions):
        spent: int | None = None
        for name in order:
            method, steps = METHODS[name], budget.steps
            if method.method != "learned" and spent is not None:
                steps = spent * method.factor
            key = {
                "system": system,
                "method": name,
                "n_first": count,
                "seed": seed,
                "starts": budget.starts,
                "budget_steps": budget.steps,
            }
            progress(len(lines), total, f"{system} {count} {name}")
            run = functools.partial(_search, system, count, method, steps)
            line = records.get(key, functools.partial(run, budget.starts, seed))
            lines.append(line)
            if method.method == "learned" and spent is None:
                spent = math.ceil(line["charged_evaluations"] / budget.starts)
    progress(total, total, "")
    return lines


def _search(
    system: str, count: int, method: Method, steps: int | None, starts: int, seed: int
) -> dict[str, Any]:
    """A search of one composition, without its key and provenance."""
    potential, mixture = _mixture(system, count)
    result = run_search(
        potential,
        mixture,
        method=method.method,
        weights=method.weights,
        starts=starts,
        steps=steps,
        seed=seed,
    )
    energies = result.energies[np.isfinite(result.energies)]
    return {
        "steps": result.n_steps,
        "energy": float(energies.min()),
        "mean": float(energies.mean()),
        "charged_evaluations": result.charged_evaluations,
        "weights_sha256": None if result.weights is None else result.weights.sha256,
        "wall_seconds": round(result.wall_seconds, 3),
    }


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
    return potential, composition_system(potential, species)


def excess_curves(
    lines: Sequence[dict[str, Any]], system: str
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Compositions and excess energies (eV per cluster) of every method.

    Against the pure clusters as the best of all methods found them, so that a method
    that fails there does not look better elsewhere.
    """
    lines = [line for line in lines if line["system"] == system]
    pure = {
        end: min((r["energy"] for r in lines if r["n_first"] == end), default=math.nan)
        for end in (0, N_ATOMS)
    }
    curves = {}
    for name in METHODS:
        rows = sorted((r["n_first"], r["energy"]) for r in lines if r["method"] == name)
        if not rows:
            continue
        counts, energies = map(np.array, zip(*rows, strict=True))
        share = counts / N_ATOMS
        reference = share * pure[N_ATOMS] + (1 - share) * pure[0]
        curves[name] = (counts, energies - reference)
    return curves


def nanoalloy_figure(lines: Sequence[dict[str, Any]]) -> Figure:
    """Excess energy per atom against composition, one panel per system."""
    systems = list(dict.fromkeys(line["system"] for line in lines))
    figure = new_figure(5.2 * len(systems), 4.2)
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
    text = []
    for system in dict.fromkeys(line["system"] for line in lines):
        curves = excess_curves(lines, system)
        energies = {name: dict(zip(*c, strict=True)) for name, c in curves.items()}
        counts = sorted({count for known in energies.values() for count in known})
        lowest = {
            count: min(known[count] for known in energies.values() if count in known)
            for count in counts
        }
        above = {
            name: {m: 1000 * (energy - lowest[m]) for m, energy in known.items()}
            for name, known in energies.items()
        }
        rows: list[list[Any]] = [
            [m, *(f"{a[m]:.1f}" if m in a else "-" for a in above.values())]
            for m in counts
        ]
        means = (f"{np.mean(list(a.values())):.1f}" for a in above.values())
        text += [
            f"## {system}, {N_ATOMS} atoms: energy above the lowest found (meV)",
            "",
            markdown_table(
                [f"{system[:2]} atoms", *curves],
                [*rows, ["**mean**", *means]],
                numbers=False,
            ),
            "",
        ]
    return "\n".join(text)


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
    return write_result(
        folder,
        "fig7",
        "Fig. 7: excess energies of nanoalloys",
        nanoalloy_table(lines).strip(),
        rows,
        {"": nanoalloy_figure(lines)},
        left_out,
    )


def reproduce(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """``fig7`` of :mod:`ase_l2h.reproduce.registry`."""
    size = BUDGETS[budget]
    lines = nanoalloy_records(folder, size, seed, progress=progress)
    steps = "the weights' horizon" if size.steps is None else f"{size.steps} steps"
    left_out = (
        f"Budget '{budget}': {len(size.compositions)} of 39 compositions, "
        f"{size.starts} starts, {steps}, seed {seed}; the paper has 39, 150 and "
        "50,000 steps. Adam, FIRE and basin hopping have as many charged evaluations "
        "as the optimizer trained on Ag-Au. It and the one trained on three alloys "
        "(Ag-Au, Ag-Pt, Pd-Au) are equivariant. Both were also trained on "
        "Lennard-Jones clusters, and neither on Pd-Pt."
    )
    return write_nanoalloys(folder, lines, left_out)
