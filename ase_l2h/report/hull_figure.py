"""Picture of a nanoalloy hull: excess energies, vertices, second differences.

Motifs are told apart by colour and by the shape of the marker, vertices by a ring: the
picture can be read in grey and with any colour vision.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ase_l2h.analysis.motif import MOTIFS
from ase_l2h.errors import InputError
from ase_l2h.report.figures import (
    GREY,
    PAIRED,
    VERMILLION,
    draw_structure,
    new_figure,
    species_handles,
    tidy_axes,
)

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_l2h.analysis.hull import Hull

__all__ = ["hull_figure"]

# Colour and marker of each motif.
STYLES = dict(
    zip(
        MOTIFS,
        [
            (VERMILLION, "o"),
            (PAIRED[0], "p"),
            (PAIRED[2], "s"),
            (PAIRED[4], "^"),
            (PAIRED[3], "h"),
            (PAIRED[5], "*"),
            (GREY, "X"),
            ("black", "D"),
        ],
        strict=True,
    )
)
# More would be too small to see.
PICTURES = 8


def hull_figure(
    hull: Hull,
    motifs: Sequence[str],
    structures: Sequence[Atoms | None],
    symbols: Sequence[str],
    *,
    point_groups: Sequence[str] | None = None,
    unit: str = "eV",
    title: str | None = None,
) -> Figure:
    """Excess energy per atom against composition, with second differences below.

    Parameters
    ----------
    hull
        From :func:`~ase_l2h.analysis.hull.composition_hull`. Without the pure clusters
        there is no excess; the energy per atom is drawn instead.
    motifs
        Name of each structure's motif, one of :data:`~ase_l2h.analysis.motif.MOTIFS`.
    structures
        Each structure, or None. Those of up to eight vertices, spread evenly, are drawn
        along the top and lettered.
    symbols
        The species A and B, of which ``hull.n_a`` counts the first.
    point_groups
        Schoenflies symbol of each structure, written below its picture.
    unit
        Name of the unit of the energies.
    title
        Heading; what is shown and for how many atoms when None.

    Raises
    ------
    InputError
        When there is not one motif and structure for each energy, or a motif has no
        such name.
    """
    _check(hull, motifs, structures, point_groups)
    a, b = symbols[0], symbols[-1]
    pictured = _pictured(hull, structures)
    figure = new_figure(9.0, 7.6 if pictured else 5.8)
    figure.suptitle(title or f"{a}$_m${b}$_{{{hull.n_atoms}-m}}$", fontsize="large")
    rows = figure.add_gridspec(3, 1, height_ratios=(1.7 if pictured else 0.01, 4, 1.6))
    excess = figure.add_subplot(rows[1])
    second = figure.add_subplot(rows[2], sharex=excess)
    letters = dict(zip(pictured, string.ascii_lowercase, strict=False))
    _draw_excess(excess, hull, motifs, letters, unit)
    _draw_second(second, hull, unit)
    excess.tick_params(labelbottom=False)
    second.set_xlabel(f"number of {a} atoms, $m$")
    if pictured:
        strip = rows[0].subgridspec(1, len(pictured))
        axes = [figure.add_subplot(strip[k]) for k in range(len(pictured))]
        numbers = _draw_structures(axes, [structures[k] for k in pictured], symbols)
        groups = {} if point_groups is None else dict(enumerate(point_groups))
        for picture, (index, letter) in zip(axes, letters.items(), strict=True):
            label = rf"$\bf{{{letter}}}$  {_formula(a, b, hull, index)}"
            picture.set_title(label + _group(groups.get(index)), fontsize="small")
        _add_legend(figure, numbers)
    return figure


def _add_legend(figure: Figure, numbers: Sequence[int]) -> None:
    """The elements of the pictures, above them."""
    figure.legend(
        handles=species_handles(numbers),
        loc="upper right",
        fontsize="small",
        ncols=2,
        frameon=False,
    )


def _check(
    hull: Hull,
    motifs: Sequence[str],
    structures: Sequence[Atoms | None],
    point_groups: Sequence[str] | None,
) -> None:
    lists = {"motifs": motifs, "structures": structures, "point groups": point_groups}
    for name, values in lists.items():
        if values is not None and len(values) != len(hull.n_a):
            raise InputError(
                f"there are {len(values)} {name} for {len(hull.n_a)} energies; give "
                "one for each"
            )
    if unknown := sorted(set(motifs) - set(MOTIFS)):
        raise InputError(
            f"no motif is named '{unknown[0]}'; choose among {', '.join(MOTIFS)}"
        )


def _pictured(hull: Hull, structures: Sequence[Atoms | None]) -> list[int]:
    """Vertices with a structure, at most eight, spread over the compositions."""
    left = [k for k in hull.vertices.tolist() if structures[k] is not None]
    chosen = left[:1]
    while left and len(chosen) < PICTURES:
        # The vertex farthest from those chosen, at first the other end; of several, the
        # most stable against its neighbours.
        gaps = [min(abs(hull.n_a[k] - hull.n_a[c]) for c in chosen) for k in left]
        stability = np.nan_to_num(hull.second_difference[left], nan=-np.inf)
        best = int(np.lexsort((stability, gaps))[-1])
        if gaps[best] == 0:
            break
        chosen.append(left[best])
    return sorted(chosen, key=lambda k: hull.n_a[k])


def _draw_structures(
    axes: Sequence[Axes], structures: Sequence[Atoms | None], symbols: Sequence[str]
) -> list[int]:
    """Draw clusters on one scale and in the same colours; return the species."""
    from ase.data import atomic_numbers

    clusters = [atoms for atoms in structures if atoms is not None]
    # Both species of the pair, whichever are pictured: colours agree between hulls.
    present = {n for atoms in clusters for n in atoms.numbers.tolist()}
    numbers = sorted(present | {atomic_numbers[symbol] for symbol in symbols})
    for picture, atoms in zip(axes, clusters, strict=True):
        draw_structure(picture, atoms, numbers)
    limits = np.array([[*p.get_xlim(), *p.get_ylim()] for p in axes])
    half = np.max(limits[:, 1::2] - limits[:, ::2]) / 2
    for picture, (left, right, low, high) in zip(axes, limits.tolist(), strict=True):
        across, up = (left + right) / 2, (low + high) / 2
        picture.set_xlim(across - half, across + half)
        picture.set_ylim(up - half, up + half)
    return numbers


def _draw_excess(
    axes: Axes,
    hull: Hull,
    motifs: Sequence[str],
    letters: dict[int, str],
    unit: str,
) -> None:
    tidy_axes(axes)
    values, label = hull.excess_per_atom, "excess energy"
    if not np.all(np.isfinite(values)):
        values, label = hull.energies / hull.n_atoms, "energy"
    elif unit == "eV":
        values, unit = 1000 * values, "meV"
    axes.set_ylabel(f"{label} per atom ({unit})")
    if label == "excess energy":
        axes.axhline(0.0, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
    # Many compositions leave little room for each.
    size = 52 if len(np.unique(hull.n_a)) <= 60 else 26
    at = hull.vertices
    axes.plot(
        hull.n_a[at], values[at], color="black", linewidth=1.2, zorder=2, label="hull"
    )
    for name, (colour, marker) in STYLES.items():
        chosen = [k for k, other in enumerate(motifs) if other == name]
        if chosen:
            axes.scatter(
                hull.n_a[chosen],
                values[chosen],
                # A star fills little of its circle.
                s=1.8 * size if marker == "*" else size,
                marker=marker,
                color=colour,
                edgecolors="black",
                linewidths=0.6,
                label=name,
                zorder=4,
            )
    axes.scatter(
        hull.n_a[at],
        values[at],
        s=3 * size,
        facecolors="none",
        edgecolors="black",
        linewidths=1.1,
        label="vertex",
        zorder=3,
    )
    _draw_letters(axes, hull.n_a, values, letters)
    axes.margins(y=0.14)
    axes.legend(fontsize="small", framealpha=0.9, loc="best")


def _draw_letters(
    axes: Axes, counts: np.ndarray, values: np.ndarray, letters: dict[int, str]
) -> None:
    """Which points are pictured above."""
    for k, letter in letters.items():
        axes.annotate(
            letter,
            (counts[k], values[k]),
            xytext=(0, -11),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize="small",
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )


def _draw_second(axes: Axes, hull: Hull, unit: str) -> None:
    """Bars; those of vertices are filled."""
    from matplotlib.ticker import MaxNLocator

    tidy_axes(axes)
    # One bar for each composition, however many structures it has.
    _, first = np.unique(hull.n_a, return_index=True)
    vertex = np.isin(hull.n_a[first], hull.n_a[hull.on_hull])
    heights = hull.second_difference[first]
    for shown, face in ((vertex, PAIRED[0]), (~vertex, "white")):
        bars = shown & np.isfinite(heights)
        axes.bar(
            hull.n_a[first][bars],
            heights[bars],
            width=0.7,
            facecolor=face,
            edgecolor=PAIRED[0],
        )
    if not np.any(np.isfinite(heights)):
        axes.text(
            0.5,
            0.5,
            "no composition has both neighbours",
            ha="center",
            va="bottom",
            transform=axes.transAxes,
        )
        axes.set_yticks([0.0])
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.set_ylabel(f"second\ndifference ({unit})")
    axes.set_xlim(-0.03 * hull.n_atoms - 0.3, 1.03 * hull.n_atoms + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _formula(a: str, b: str, hull: Hull, index: int) -> str:
    """``Ag$_{5}$Au$_{8}$``."""
    n_a = int(hull.n_a[index])
    parts = ((a, n_a), (b, hull.n_atoms - n_a))
    return "".join(
        symbol + (f"$_{{{n}}}$" if n > 1 else "") for symbol, n in parts if n
    )


def _group(name: str | None) -> str:
    """A line with a Schoenflies symbol and its subscript, ``$C_{5v}$``, if any."""
    if name is None:
        return ""
    letter, rest = re.fullmatch(r"(.)(.*)", name).groups()  # pyright: ignore
    rest = rest.replace("*", r"\infty ")
    return f"\n${letter}_{{{rest}}}$" if rest else f"\n${letter}$"
