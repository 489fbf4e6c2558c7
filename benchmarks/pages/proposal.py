"""The picture of what the learned potential does for a search, for ``docs/search.md``.

Before, on the way, after: one proposal, of ``benchmarks/records/proposal.jsonl``.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from ase import Atoms
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import StrMethodFormatter

from ase_l2h._internal.records import read_lines
from ase_l2h.report.figures import (
    BLUE,
    GREY,
    VERMILLION,
    draw_structure,
    new_figure,
    save_figure,
    species_handles,
    tidy_axes,
)
from ase_l2h.report.pages import replace_block
from benchmarks import paths
from benchmarks.hits.proposal import RECORDS

__all__ = ["figure", "write"]

PICTURE = "learned-proposal.png"
SIZE = 14
# Above and below the energies, as a share of their range.
ROOM = 0.08
# Energies this near are of one minimum (eV).
NEAR = 2e-3
# What an atom needs around its centre (A).
ATOM = 1.5


def write() -> None:
    """The picture, and what it shows in words."""
    (line,) = read_lines(RECORDS)
    save_figure(figure(line), paths.IMAGES / PICTURE, "png")
    replace_block(paths.DOCS / "search.md", "proposal", _caption(line))


def _caption(line: dict[str, Any]) -> str:
    searches, known = line["searches"], line["learned_from"]
    lowest = min(own["lowest"] for own in searches)
    met = sum(own["lowest"] < lowest + NEAR for own in searches)
    last = line["seed"] + line["seeds"] - 1
    return (
        f"One proposal in a search of {line['cluster']} by ASE's EMT (seed "
        f"{line['chosen']}). After {line['before']['calls']} calls the potential was "
        f"fitted to {known['structures']} relaxed structures, of which the search held "
        f"{known['minima']}. The search of it (blue, shifted so that the minimum "
        "before has its energy by EMT) began anew, with random structures and "
        "fragments of packings. "
        f"Its proposal took {line['after']['calls']} calls to relax. This proposal was "
        f"chosen from {len(searches)} searches of {line['calls']} calls (seeds "
        f"{line['seed']} to {last}), of which {met} met the lowest energy of all; in "
        f"{sum(own['fall'] == 0 for own in searches)} no proposal lowered the energy "
        f"(`{line['command']}`)."
    )


def figure(line: dict[str, Any]) -> Figure:
    """Structures above their energies; what calls of EMT brought is at both sides."""
    before, path, after = line["before"], line["path"], line["after"]
    ways = [path[k] for k in _chosen(path)]
    drawn = new_figure(13.5, 7.2)
    drawn.suptitle(_message(line), fontsize=SIZE + 4, weight="bold")
    names = ["before", "begun", "way", "proposed", "after"]
    below = ["searched", "learned", "learned", "learned", "relaxed"]
    mosaic: list[Any] = [names, below]
    panels = drawn.subplot_mosaic(mosaic, height_ratios=(1.0, 1.15))
    searched, learned, relaxed = parts = tuple(
        panels[name] for name in ("searched", "learned", "relaxed")
    )
    _draw_searched(searched, line)
    _draw_learned(learned, line)
    _draw_relaxed(relaxed, line)
    _set_frames(parts, line)
    points = [
        (searched, (before["calls"], before["energy"])),
        *((learned, (way["evaluations"], way["learned_energy"])) for way in ways),
        (relaxed, (after["calls"], after["energy"])),
    ]
    for name, (axes, point) in zip(names, points, strict=True):
        _join(axes, panels[name], point)
    _draw_structures([panels[name] for name in names], line)
    species = species_handles(_species(line))
    # Beside the curve, which has fallen by then.
    learned.legend(
        handles=species,
        loc="center",
        bbox_to_anchor=(0.66, 0.52),
        fontsize=SIZE,
        frameon=False,
    )
    return drawn


def _species(line: dict[str, Any]) -> list[int]:
    return sorted(set(Atoms(line["symbols"]).numbers.tolist()), reverse=True)


def _draw_structures(panels: list[Axes], line: dict[str, Any]) -> None:
    """Before, three on the way, and after, all on one scale."""
    before, path, after = line["before"], line["path"], line["after"]
    titles = [
        f"after {before['calls']} calls of EMT:\n{_named(before)}",
        "the search begins",
        "on the way",
        "proposed",
        f"relaxed by {after['calls']} calls:\n{_named(after)}",
    ]
    structures = [before, *(path[k] for k in _chosen(path)), after]
    places = [np.array(structure["positions"]) for structure in structures]
    places = [place - place.mean(axis=0) for place in places]
    views = [np.linalg.svd(place)[2].T for place in places]
    # What was proposed, and what it relaxes to, are seen from the same side.
    views[-2] = views[-1]
    reach = max(
        float(np.max(np.abs(p @ v))) for p, v in zip(places, views, strict=True)
    )
    for panel, title, place, view in zip(panels, titles, places, views, strict=True):
        draw_structure(panel, Atoms(line["symbols"], place), _species(line), view)
        panel.set_xlim(-reach - ATOM, reach + ATOM)
        panel.set_ylim(-reach - ATOM, reach + ATOM)
        panel.set_title(title, fontsize=SIZE)


def _message(line: dict[str, Any]) -> str:
    fall = line["before"]["energy"] - line["after"]["energy"]
    return (
        f"{line['cluster']}: {fall:.2f} eV lower, found without a call of EMT and "
        f"confirmed by {line['after']['calls']} calls"
    )


def _named(structure: dict[str, Any]) -> str:
    """Its motif and its point group, ``amorphous, C1``."""
    group = structure["group"]
    return f"{structure['motif']}, ${group[0]}_{{{group[1:]}}}$"


def _chosen(path: list[dict[str, Any]]) -> tuple[int, int, int]:
    """Falls that are drawn: the first, one half-way in evaluations, and the last."""
    counts = [fall["evaluations"] for fall in path]
    half = np.searchsorted(counts, (counts[0] + counts[-1]) / 2, side="right")
    return 0, int(half) - 1, len(path) - 1


def _draw_searched(axes: Axes, line: dict[str, Any]) -> None:
    """The lowest energy of the search, up to the proposal."""
    end, held = line["before"]["calls"], line["before"]["energy"]
    course = [point for point in line["course"] if point[0] <= end]
    counts, energies = zip(*course, strict=True)
    axes.step(counts, energies, where="post", color=VERMILLION, linewidth=3)
    axes.plot(end, held, "s", color=VERMILLION, markersize=8)
    _say(axes, (end, held), f"{held:.2f} eV", va="top")
    axes.set_xlim(0, 1.08 * end)
    axes.set_xticks([0, end])
    axes.set_xlabel("calls of EMT", fontsize=SIZE, color=VERMILLION)


def _draw_learned(axes: Axes, line: dict[str, Any]) -> None:
    """How the lowest energy fell on the learned potential."""
    path, end, held = line["path"], line["learned_evaluations"], line["before"]
    counts = [fall["evaluations"] for fall in path]
    energies = [fall["learned_energy"] for fall in path]
    axes.axhline(held["energy"], color=VERMILLION, linestyle="--", linewidth=1.5)
    chosen = _chosen(path)
    # Between two lines to structures.
    middle = (counts[chosen[1]] + 2 * counts[chosen[2]]) / 3
    _say(axes, (middle, held["energy"]), "lowest by EMT so far", ha="center")
    axes.step(
        [*counts, end],
        [*energies, energies[-1]],
        where="post",
        color=BLUE,
        linewidth=3,
    )
    for k in chosen:
        axes.plot(counts[k], energies[k], "s", color=BLUE, markersize=8)
    _say(axes, (end, energies[-1]), f"{energies[-1]:.2f} eV")
    axes.set_xlim(0, end)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel(
        "evaluations of the learned potential: no call of EMT",
        fontsize=SIZE,
        color=BLUE,
    )


def _draw_relaxed(axes: Axes, line: dict[str, Any]) -> None:
    """By EMT: what was proposed, and after its relaxation."""
    calls = line["after"]["calls"]
    energies = [line["proposed"]["energy"], line["after"]["energy"]]
    axes.plot([1, calls], energies, "s-", color=VERMILLION, linewidth=3, markersize=8)
    axes.axhline(line["before"]["energy"], color=VERMILLION, ls="--", lw=1.5)
    text = f"{energies[0]:.2f}, then {energies[1]:.2f} eV"
    _say(axes, (calls / 2, max(energies)), text, ha="center")
    axes.set_xlim(0, 1.08 * calls)
    axes.set_xticks([1, calls])
    axes.set_xlabel("more calls of EMT", fontsize=SIZE, color=VERMILLION)


def _say(
    axes: Axes,
    point: tuple[float, float],
    text: str,
    ha: Literal["center", "right"] = "right",
    va: Literal["top", "bottom"] = "bottom",
) -> None:
    """Words above a point or, from the ``top`` of the words on, below."""
    away = (0, 7 if va == "bottom" else -7)
    axes.annotate(
        text,
        point,
        away,
        textcoords="offset points",
        ha=ha,
        va=va,
        fontsize=SIZE - 1,
    )


def _set_frames(parts: tuple[Axes, ...], line: dict[str, Any]) -> None:
    """One scale of energies for all."""
    energies = [fall["learned_energy"] for fall in line["path"]]
    energies += [line["before"]["energy"], line["after"]["energy"]]
    room = ROOM * (max(energies) - min(energies))
    for axes in parts:
        axes.set_ylim(min(energies) - room, max(energies) + room)
        axes.tick_params(labelsize=SIZE - 1)
        tidy_axes(axes)
        # Lines to the structures lie behind.
        axes.patch.set_visible(False)
    for axes in parts[1:]:
        axes.tick_params(labelleft=False)
    parts[0].set_ylabel("lowest energy (eV)", fontsize=SIZE)


def _join(below: Axes, above: Axes, point: tuple[float, float]) -> None:
    """A thin line from a point to its structure, behind everything else."""
    joint = ConnectionPatch(
        point,
        (0.5, 0.02),
        below.transData,
        above.transAxes,
        color=GREY,
        linewidth=1.2,
        zorder=-1,
    )
    # It takes no part in the layout.
    joint.set_in_layout(False)
    below.figure.add_artist(joint)
