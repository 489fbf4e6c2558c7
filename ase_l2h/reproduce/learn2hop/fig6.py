"""Fig. 6: traces, updates at a frozen minimum, lucky starts; and where it all goes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import ks_2samp

from ase_l2h._internal.records import Records
from ase_l2h.report.figures import GREY, LINES, VERMILLION, new_figure, tidy_axes
from ase_l2h.report.pages import markdown_table
from ase_l2h.reproduce.learn2hop.behaviour import (
    HOPPED,
    KINDS,
    Look,
    basin_kinds,
    behaviour,
    frozen_updates,
    random_cosines,
)
from ase_l2h.reproduce.learn2hop.searches import (
    METHOD_STYLES,
    MethodStyle,
    learned_style,
)
from ase_l2h.reproduce.output import RECORDS, Piece, collect, write_result
from ase_l2h.reproduce.registry import Progress
from ase_l2h.reproduce.searching import run_search
from ase_l2h.rollout import quench
from ase_l2h.search.problem import HIT
from ase_l2h.search.registry import method_weights
from ase_l2h.targets import Target, named_target
from ase_l2h.weights.load import load_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BUDGETS", "reproduce"]

TARGET = "LJ13"
# Starts, steps (None: the weights' horizon), blocks of the trace, snapshots.
FULL = (150, 50_000, 500, 200)
BUDGETS = {"quick": (48, None, 100, 20), "part": FULL, "paper": FULL}
STYLES = (METHOD_STYLES["adam"], METHOD_STYLES["paper"], learned_style("universal", 0))
ADAM = STYLES[0].label
# Rows of the table.
TITLES = {
    "hits_lucky": "hits from lucky starts (Adam finds the minimum)",
    "hits_unlucky": "hits from the others",
    "hops_per_start": "hops per start, between snapshots",
    "hops_to_equal_energy": "of which to the same energy (relabelled atoms)",
    "median_hop": "median hop: rms displacement of an atom (length scales)",
    **{kind: f"share of the steps in {kind}" for kind in KINDS},
    "quench_share": "share of the evaluations in the final quench",
    "largest_frozen_update": "largest update at the frozen minimum (length scales)",
    "median_frozen_update": "median of those updates",
    "mean_cosine": "mean alignment of the icosahedra found with the axes",
    "p_random_orientation": "p of a random orientation (Kolmogorov-Smirnov)",
}


def reproduce(folder: Path, budget: str, seed: int, progress: Progress) -> str:
    """``fig6`` of :mod:`ase_l2h.reproduce.registry`."""
    starts, steps, blocks, snapshots = BUDGETS[budget]
    target = named_target(TARGET)
    lengths = {style.label: steps or _horizon(style) for style in STYLES}
    looks = {
        label: Look(starts, length, length // blocks, length // snapshots)
        for label, length in lengths.items()
    }
    pieces = [
        *(_behaviour(target, style, looks[style.label], seed) for style in STYLES),
        *_frozen(target, lengths, seed),
    ]
    made = collect(Records(folder / RECORDS), pieces, progress)
    lines = dict(zip(lengths, made, strict=False))
    frozen = dict(zip(list(lengths)[1:], made[len(STYLES) :], strict=True))
    text, rows = _tables(target, lines, frozen)
    taken = "the horizons of the weights" if steps is None else f"{steps:,} steps"
    left_out = (
        f"Budget '{budget}': {TARGET}, {starts} starts (the paper: 150), {taken} (the "
        f"paper: 50,000 steps), Adam with {lines[ADAM]['steps']:,}, seed {seed}."
    )
    figures = {
        "": _traces(target, lines, frozen),
        "hops": _hops(target, lines),
    }
    title = "Fig. 6: how learned rules behave"
    return write_result(folder, "fig6", title, text, rows, figures, left_out)


def _horizon(style: MethodStyle) -> int:
    """Of the weights; Adam takes as many steps as the paper's rule."""
    name = METHOD_STYLES["paper"].weights if style.weights is None else style.weights
    return load_weights(name).horizon


def _behaviour(target: Target, style: MethodStyle, look: Look, seed: int) -> Piece:
    weights = method_weights(style.method, style.weights)
    sha = None if weights is None else weights.sha256
    key = {"kind": "behaviour", "target": TARGET, "method": style.method}
    key |= {"weights_sha256": sha, "seed": seed, **look._asdict()}
    make = functools.partial(behaviour, target, style, look, seed)
    return Piece(key, make, style.label)


def _frozen(target: Target, lengths: Mapping[str, int], seed: int) -> list[Piece]:
    """What the learned rules want at the minimum, which is looked for only once."""
    minimum = functools.cache(functools.partial(_minimum, target, seed))

    def make(style: MethodStyle, steps: int) -> dict[str, Any]:
        return {"sizes": frozen_updates(target, style, minimum(), steps, seed)}

    pieces = []
    for style in STYLES[1:]:
        steps, sha = lengths[style.label], load_weights(style.weights).sha256
        key = {"kind": "frozen", "target": TARGET, "weights_sha256": sha}
        key |= {"steps": steps, "seed": seed}
        what = f"frozen, {style.label}"
        pieces.append(Piece(key, functools.partial(make, style, steps), what))
    return pieces


def _minimum(target: Target, seed: int) -> np.ndarray:
    """The published minimum ``(3, n)``: the lowest that basin hopping finds."""
    best = run_search(
        target.potential,
        target.system,
        method="bh",
        starts=32,
        steps=2000,
        seed=seed,
    ).minima[0]
    assert target.reference is not None, "its minimum is published"
    assert best.energy < target.reference + HIT, "basin hopping finds LJ13"
    relaxed = quench(target.potential, target.system, best.positions.T[..., None])
    return relaxed.positions[..., 0]


def _hit(target: Target, energies: list[float]) -> np.ndarray:
    assert target.reference is not None, "its minimum is published"
    return np.array(energies, float) < target.reference + HIT


def _row(
    target: Target,
    label: str,
    line: dict[str, Any],
    sizes: list[float] | None,
    lucky: np.ndarray,
) -> dict[str, Any]:
    """What a method does: ``sizes`` of its frozen updates, ``lucky`` starts."""
    scale = float(np.mean(np.asarray(target.system.energy_scale)))
    hits = _hit(target, line["energies"])
    moved, basins = np.array(line["moved"], float), np.array(line["basins"], float)
    hopped = moved > HOPPED
    energetic = np.abs(np.diff(basins, axis=0)) > HIT * scale
    relabelled = (hopped & ~energetic).sum(axis=0).mean()
    kinds = basin_kinds(line["basins"], target.reference or 0.0, scale)
    charged = line["rollout_evaluations"] + line["quench_evaluations"]
    cosines = line["cosines"]
    row = {
        "method": label,
        "steps": line["steps"],
        "hits_lucky": f"{int(hits[lucky].sum())}/{int(lucky.sum())}",
        "hits_unlucky": f"{int(hits[~lucky].sum())}/{int((~lucky).sum())}",
        "snapshots": len(basins),
        "hops_per_start": round(float(hopped.sum(axis=0).mean()), 2),
        "hops_to_equal_energy": round(float(relabelled), 2),
        "median_hop": None,
        **{kind: round(share, 3) for kind, share in kinds.items()},
        "quench_share": round(line["quench_evaluations"] / charged, 3),
        "largest_frozen_update": None,
        "median_frozen_update": None,
        "icosahedra": len(cosines),
        "mean_cosine": None,
        "p_random_orientation": None,
    }
    if hopped.any():
        row["median_hop"] = round(float(np.median(moved[hopped])), 3)
    if sizes is not None:
        row["largest_frozen_update"] = round(max(sizes), 4)
        row["median_frozen_update"] = round(float(np.median(sizes)), 6)
    if cosines:
        row["mean_cosine"] = round(float(np.mean(cosines)), 4)
        # A result of scipy's own kind, whose fields are not declared.
        compared: Any = ks_2samp(cosines, random_cosines())
        row["p_random_orientation"] = float(f"{compared.pvalue:.2g}")
    return row


def _tables(
    target: Target, lines: dict[str, Any], frozen: dict[str, Any]
) -> tuple[str, list[dict[str, Any]]]:
    lucky = _hit(target, lines[ADAM]["energies"])
    rows = [
        _row(target, label, line, frozen.get(label, {}).get("sizes"), lucky)
        for label, line in lines.items()
    ]
    table = [
        [title, *("-" if row[key] is None else row[key] for row in rows)]
        for key, title in TITLES.items()
    ]
    random = float(np.mean(random_cosines()))
    text = markdown_table(["", *(row["method"] for row in rows)], table)
    text += (
        "\n\nAlignment: the largest |cosine| between a vertex and an axis, on "
        f"average {random:.4f} for random orientations. A rule that does not depend "
        "on the frame finds structures in any orientation; the starts, however, fill "
        "a cube."
    )
    return text, rows


def _plain(label: str) -> str:
    """A label without the marks of Markdown."""
    return label.replace("`", "")


def _traces(target: Target, lines: dict[str, Any], frozen: dict[str, Any]) -> Figure:
    """Three rows as in the paper, a column per rule."""
    reference = target.reference or 0.0
    lucky = _hit(target, lines[ADAM]["energies"])
    figure = new_figure(9.6, 8.4)
    panels = figure.subplots(3, len(frozen), squeeze=False)
    for column, label in zip(panels.T, frozen, strict=True):
        line = lines[label]
        above = np.array(line["trace"], float) - reference
        every = line["steps"] // len(above)
        at = every * np.arange(1, len(above) + 1)
        hits = _hit(target, line["energies"])
        for start in range(above.shape[1]):
            column[0].plot(at, above[:, start], color=GREY, alpha=0.25, lw=0.7)
        # The first start that was not lucky, and yet hits.
        shown = np.flatnonzero(hits & ~lucky)
        one = int(shown[0]) if shown.size else 0
        column[0].plot(at, above[:, one], color=VERMILLION, lw=1.5, label="one start")
        column[0].set_title(_plain(label))
        column[1].semilogy(np.maximum(frozen[label]["sizes"], 1e-9), lw=0.8)
        adam = np.array(lines[ADAM]["trace"], float) - reference
        adam_at = lines[ADAM]["steps"] / len(adam) * np.arange(1, len(adam) + 1)
        for mask, style, name in ((lucky, "-", "lucky"), (~lucky, "--", "unlucky")):
            if not mask.any():
                continue
            column[2].plot(
                at,
                np.nanmedian(above[:, mask], axis=1),
                style,
                color="#0072B2",
                label=f"learned, {name} starts",
            )
            column[2].plot(
                adam_at,
                np.nanmedian(adam[:, mask], axis=1),
                style,
                color=GREY,
                label=f"Adam, {name} starts",
            )
        column[2].set_xlabel("step")
        for panel in (column[0], column[2]):
            panel.set_yscale("asinh", linear_width=1.0)
            panel.set_ylim(-0.3, 100)
            panel.set_yticks([0, 1, 3, 10, 30, 100])
            panel.yaxis.set_major_formatter("{x:g}")
            panel.minorticks_off()
        for panel in column:
            tidy_axes(panel)
    panels[0][0].set_ylabel("energy above the minimum ($\\epsilon$)")
    panels[1][0].set_ylabel("largest update at the frozen\nminimum (length scales)")
    panels[2][0].set_ylabel("median energy above\nthe minimum ($\\epsilon$)")
    panels[0][0].legend(frameon=False, fontsize="small")
    panels[2][0].legend(frameon=False, fontsize="small")
    return figure


def _hops(target: Target, lines: dict[str, Any]) -> Figure:
    """Orientations, lengths of hops, and where the steps are spent."""
    scale = float(np.mean(np.asarray(target.system.energy_scale)))
    figure = new_figure(12.0, 3.8)
    turns, lengths, shares = figure.subplots(1, 3)
    random = np.sort(random_cosines())
    every = np.linspace(0, 1, random.size)
    turns.fill_between(random, every, color="#dddddd", label="random orientation")
    colours = {style.label: style.colour for style in STYLES}
    left = np.zeros(len(lines))
    for k, (label, line) in enumerate(lines.items()):
        look = {"color": colours[label], "ls": LINES[k]}
        name = _plain(label)
        # Cumulative: a histogram of a few structures says nothing.
        if line["cosines"]:
            cosines = np.sort(line["cosines"])
            share = np.arange(1, cosines.size + 1) / cosines.size
            turns.step(cosines, share, where="post", lw=1.6, label=name, **look)
        moved = np.array(line["moved"], float).ravel()
        hops = np.sort(moved[moved > HOPPED])
        if hops.size:
            per_start = np.arange(hops.size, 0, -1) / len(line["energies"])
            lengths.step(hops, per_start, where="post", lw=1.6, label=name, **look)
    for kind, shade in zip(KINDS, ("#009E73", "#BBBBBB", "#E69F00"), strict=True):
        width = np.array(
            [
                basin_kinds(line["basins"], target.reference or 0.0, scale)[kind]
                for line in lines.values()
            ]
        )
        shares.barh(list(map(_plain, lines)), width, left=left, color=shade, label=kind)
        left = left + width
    turns.set_xlabel("largest |cosine| between a vertex and an axis")
    turns.set_ylabel("share of the icosahedra found\nthat are aligned less")
    lengths.set_xlabel("rms displacement of a hop (length scales)")
    lengths.set_ylabel("hops per start that are longer")
    shares.set_xlabel("share of the steps")
    shares.invert_yaxis()
    for panel in (turns, lengths, shares):
        tidy_axes(panel)
    turns.legend(frameon=False, fontsize="small", loc="upper left")
    lengths.legend(frameon=False, fontsize="small")
    shares.legend(
        frameon=False,
        fontsize="x-small",
        loc="lower center",
        bbox_to_anchor=(0.4, 1.0),
        ncols=3,
        columnspacing=0.8,
        handlelength=1.0,
    )
    return figure
