"""Pictures of structures and trainings: records in, matplotlib figures out.

Colours are those of M. Okabe and K. Ito (2008), told apart with any colour vision;
every distinction is also made by lightness, line style or a label. Figures are built
without pyplot, so nothing is left open and no display is needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_l2h._internal.files import read_regular
from ase_l2h.errors import InputError
from ase_l2h.report.statistics import running_mean

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = [
    "draw_structure",
    "new_figure",
    "picture_format",
    "read_record",
    "save_figure",
    "species_handles",
    "tidy_axes",
    "training_figure",
]

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#9A9A9A"
# Neighbours in this list differ in lightness as well.
SPECIES = (BLUE, "#E69F00", "#009E73", "#F0E442", "#CC79A7")
LINES = ("-", "--", "-.", ":")
PAIRED = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Updates that a hit rate is the mean of.
SMOOTH = 9


def picture_format(path: Path) -> str:
    """The picture format of a file's name.

    Raises
    ------
    InputError
        When matplotlib draws no such format.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    form = path.suffix.lstrip(".").lower()
    known = FigureCanvasBase.get_supported_filetypes()
    if form not in known:
        raise InputError(
            f"{path} names no picture format; end it in one of "
            f"{', '.join(sorted(known))}"
        )
    return form


def save_figure(figure: Figure, path: Path, form: str, dpi: int = 150) -> None:
    """Write a figure in the given format, whole or not at all."""
    from io import BytesIO

    from ase_l2h._internal.files import write_atomically

    # A date in the file would make equal pictures unlike.
    metadata = {"CreationDate": None} if form == "pdf" else None
    content = BytesIO()
    figure.savefig(content, format=form, dpi=dpi, metadata=metadata)
    write_atomically(path, content.getvalue())


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, laid out by constraints."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def tidy_axes(axes: Axes) -> None:
    """No box around the axes, a faint grid behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def draw_structure(
    axes: Axes,
    atoms: Atoms,
    species: Sequence[int] | None = None,
    view: np.ndarray | None = None,
) -> None:
    """Draw atoms as shaded spheres, far ones paler, with the box of a periodic cell.

    A cluster is turned so that it is seen along its shortest principal axis, tilted a
    little; a cell is tilted only.

    Parameters
    ----------
    axes, atoms
        Where to draw what.
    species
        Atomic numbers in the order of their colours, the same for several pictures,
        which then have no legend of their own; those of ``atoms``, ascending, when
        None.
    view
        Columns ``(3, 3)``: right, up and towards the reader, instead of that.
    """
    from ase.data import covalent_radii
    from matplotlib.colors import to_rgb

    positions = atoms.get_positions()
    periodic = bool(atoms.pbc.any())
    positions = atoms.get_positions(wrap=True) if periodic else positions
    frame = _view(positions, periodic) if view is None else view
    centre = positions.mean(axis=0)
    turned = (positions - centre) @ frame
    radii = covalent_radii[atoms.numbers]
    radii = radii * (0.5 * _nearest(atoms) / np.mean(radii))
    numbers = atoms.numbers.tolist()
    kinds = sorted(set(numbers)) if species is None else list(species)
    depth = turned[:, 2]
    span = max(float(np.ptp(depth)), 1e-9)
    for i in np.argsort(depth):
        colour = np.array(to_rgb(SPECIES[kinds.index(numbers[i]) % len(SPECIES)]))
        # Far atoms fade towards the white of the page.
        fade = 0.6 * (depth.max() - depth[i]) / span
        _sphere(axes, turned[i], float(radii[i]), colour + (1 - colour) * fade, fade)
    if periodic:
        _box(axes, (np.asarray(atoms.cell), centre, frame))
    if species is None and len(kinds) > 1:
        handles = species_handles(kinds)
        axes.legend(
            handles=handles, loc="upper right", fontsize="small", framealpha=0.9
        )
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set_axis_off()


def species_handles(species: Sequence[int]) -> list[Line2D]:
    """Entries of a legend of chemical elements, in the order of their colours."""
    from ase.data import chemical_symbols
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            color=SPECIES[kind % len(SPECIES)],
            markeredgecolor="black",
            label=chemical_symbols[number],
        )
        for kind, number in enumerate(species)
    ]


def _sphere(
    axes: Axes, at: np.ndarray, radius: float, colour: np.ndarray, fade: float
) -> None:
    from matplotlib.patches import Circle

    edge = np.full(3, 0.15 + 0.5 * fade)
    body = Circle((at[0], at[1]), radius, facecolor=colour, edgecolor=edge, lw=0.8)
    axes.add_patch(body)
    for share in (0.62, 0.4, 0.2):
        spot = (at[0] - 0.25 * radius, at[1] + 0.25 * radius)
        light = Circle(spot, share * radius, facecolor="white", alpha=0.16, lw=0)
        axes.add_patch(light)


def _box(axes: Axes, placed: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    cell, centre, frame = placed
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    turned = (corners @ cell - centre) @ frame
    for a in range(8):
        for b in range(a + 1, 8):
            if np.abs(corners[a] - corners[b]).sum() == 1:
                line = turned[[a, b], :2].T
                axes.plot(line[0], line[1], color="black", linewidth=0.8, alpha=0.6)


def _view(positions: np.ndarray, periodic: bool) -> np.ndarray:
    """Columns: right, up and towards the reader."""
    tilt_x, tilt_y = np.deg2rad(12.0), np.deg2rad(17.0)
    about_x = np.array(
        [
            [1, 0, 0],
            [0, np.cos(tilt_x), -np.sin(tilt_x)],
            [0, np.sin(tilt_x), np.cos(tilt_x)],
        ]
    )
    about_y = np.array(
        [
            [np.cos(tilt_y), 0, np.sin(tilt_y)],
            [0, 1, 0],
            [-np.sin(tilt_y), 0, np.cos(tilt_y)],
        ]
    )
    axes = np.eye(3)
    if not periodic:
        _, _, rows = np.linalg.svd(positions - positions.mean(axis=0))
        axes = rows.T
    return axes @ about_y @ about_x


def _nearest(atoms: Atoms) -> float:
    """Median distance to the nearest neighbour."""
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    np.fill_diagonal(distances, np.inf)
    return float(np.median(distances.min(axis=1)))


def read_record(path: Path) -> list[dict[str, Any]]:
    """The lines of a training record.

    Raises
    ------
    InputError
        When there is no record, or it is empty or damaged.
    """
    try:
        lines = read_regular(path).decode().splitlines()
        rows = [json.loads(line) for line in lines]
        for row in rows:
            _ = row["update"], row["loss"], dict(row["hits"])
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the training record {path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a training record ({error})") from error
    if not rows:
        raise InputError(f"{path} holds no update yet; try again later")
    return rows


def training_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """Meta-loss and hit rates over the updates of a training record."""
    figure = new_figure(8.0, 6.4)
    losses, hits = figure.subplots(2, 1, sharex=True)
    updates = np.array([row["update"] for row in rows])
    losses.plot(updates, [row["loss"] for row in rows], color=BLUE)
    losses.set_ylabel("meta-loss")
    tasks = list(dict.fromkeys(name for row in rows for name in row["hits"]))
    for k, task in enumerate(tasks):
        # A task may sit out some updates.
        present = [row for row in rows if task in row["hits"]]
        hits.plot(
            [row["update"] for row in present],
            running_mean([100 * row["hits"][task] for row in present], SMOOTH),
            color=PAIRED[k % len(PAIRED)],
            linestyle=LINES[k % len(LINES)],
            label=task,
        )
    hits.set_ylim(-3, 103)
    hits.set_ylabel(f"starts that reach the best (%),\nmean of up to {SMOOTH} updates")
    hits.set_xlabel("update")
    hits.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axes in (losses, hits):
        tidy_axes(axes)
    return figure
