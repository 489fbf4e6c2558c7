"""Fig. 6: traces, updates at a frozen minimum, lucky starts; and where it all goes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.stats import ks_2samp

from ase_l2h._internal.records import Records, markdown_table
from ase_l2h.report.figures import GREY, LINES, VERMILLION, new_figure, tidy_axes
from ase_l2h.reproduce.learn2hop.behaviour import (
    HOPPED,
    KINDS,
    Look,
    basin_kinds,
    behaviour,
    frozen_updates,
)
from ase_l2h.reproduce.learn2hop.pages import RECORDS, write_exhibit
from ase_l2h.reproduce.learn2hop.searches import LINEUP, learned_entry
from ase_l2h.rollout import quench
from ase_l2h.search.multistart import HIT
from ase_l2h.targets import Target, named_target
from ase_l2h.weights.load import load_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BUDGETS", "reproduce"]

TARGET = "LJ13"
# Starts, steps (None: the weights' horizon), blocks of the trace, snapshots.
BUDGETS = {"quick": (48, None, 100, 20), "paper": (150, 50_000, 500, 200)}
ENTRIES = (LINEUP["adam"], LINEUP["paper"], learned_entry("universal", 0))
RANDOM_ORIENTATIONS = 20_000


def reproduce(
    folder: Path, budget: str, seed: int, progress: Callable[[int, int, str], Any]
) -> str:
    """The exhibit ``fig6``, see :mod:`ase_l2h.reproduce.registry`."""
    starts, steps, blocks, snapshots = BUDGETS[budget]
    records = Records(folder / RECORDS)
    target = named_target(TARGET)
    horizon = load_weights(ENTRIES[1].weights).horizon
    lines: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(ENTRIES):
        progress(number, 2 * len(ENTRIES), entry.label)
        length = steps or (
            horizon if entry.method == "adam" else load_weights(entry.weights).horizon
        )
        look = Look(starts, length, length // blocks, length // snapshots)
        sha = None if entry.method == "adam" else load_weights(entry.weights).sha256
        key = {"kind": "behaviour", "target": TARGET, "method": entry.method}
        key |= {"weights_sha256": sha, "seed": seed, **look._asdict()}
        make = functools.partial(behaviour, target, entry, look, seed)
        lines[entry.label] = records.get(key, make)
    minimum = functools.cache(functools.partial(_minimum, target, seed))
    frozen: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(ENTRIES[1:]):
        progress(len(ENTRIES) + number, 2 * len(ENTRIES), f"frozen, {entry.label}")
        weights = load_weights(entry.weights)
        length = steps or weights.horizon
        key = {"kind": "frozen", "target": TARGET, "weights_sha256": weights.sha256}
        key |= {"steps": length, "seed": seed}
        frozen[entry.label] = records.get(
            key,
            lambda entry=entry, length=length: {
                "sizes": frozen_updates(target, entry, minimum(), length, seed)
            },
        )
    progress(2 * len(ENTRIES), 2 * len(ENTRIES), "")
    text, rows = _tables(target, lines, frozen)
    taken = "the horizons of the weights" if steps is None else f"{steps:,} steps"
    left_out = (
        f"Budget '{budget}': {TARGET}, {starts} starts (the paper: 150), {taken} (the "
        f"paper: 50,000 steps), Adam with {lines[ENTRIES[0].label]['steps']:,}, seed "
        f"{seed}."
    )
    figures = {
        "": _traces(target, lines, frozen),
        "hops": _hops(target, lines),
    }
    title = "Fig. 6: how learned rules behave"
    return write_exhibit(folder, "fig6", title, text, rows, figures, left_out)


def _minimum(target: Target, seed: int) -> np.ndarray:
    """The published minimum: what random structures of the seed relax to lowest."""
    from ase_l2h.search.multistart import search

    found = search(
        target.potential,
        target.system,
        method="bh",
        n_starts=32,
        n_steps=2000,
        seed=seed,
    ).minima[0]
    assert target.reference is not None, "its minimum is published"
    assert found.energy < target.reference + HIT, "basin hopping finds LJ13"
    return quench(
        target.potential, target.system, found.positions.T[..., None]
    ).positions[..., 0]


def _hit(target: Target, energies: list[float]) -> np.ndarray:
    assert target.reference is not None, "its minimum is published"
    return np.array(energies, float) < target.reference + HIT


def _tables(
    target: Target, lines: dict[str, Any], frozen: dict[str, Any]
) -> tuple[str, list[dict[str, Any]]]:
    lucky = _hit(target, lines[ENTRIES[0].label]["energies"])
    scale = float(np.mean(np.asarray(target.system.energy_scale)))
    rows = []
    for label, line in lines.items():
        hits = _hit(target, line["energies"])
        moved = np.array(line["moved"], float)
        hopped = moved > HOPPED
        basins = np.array(line["basins"], float)
        energetic = np.abs(np.diff(basins, axis=0)) > HIT * scale
        kinds = basin_kinds(line["basins"], target.reference or 0.0, scale)
        charged = line["rollout_evaluations"] + line["quench_evaluations"]
        cosines = line["cosines"]
        # A result of scipy's own kind, whose fields are not declared.
        compared: Any = ks_2samp(cosines, _random_cosines()) if cosines else None
        sizes = frozen.get(label, {}).get("sizes")
        rows.append(
            {
                "method": label,
                "steps": line["steps"],
                "hits_lucky": f"{int(hits[lucky].sum())}/{int(lucky.sum())}",
                "hits_unlucky": f"{int(hits[~lucky].sum())}/{int((~lucky).sum())}",
                "snapshots": len(basins),
                "hops_per_start": round(float(hopped.sum(axis=0).mean()), 2),
                "hops_to_equal_energy": round(
                    float((hopped & ~energetic).sum(axis=0).mean()), 2
                ),
                "median_hop": round(float(np.median(moved[hopped])), 3)
                if hopped.any()
                else None,
                **{k: round(v, 3) for k, v in kinds.items()},
                "quench_share": round(line["quench_evaluations"] / charged, 3),
                "largest_frozen_update": None
                if sizes is None
                else round(max(sizes), 4),
                "median_frozen_update": None
                if sizes is None
                else round(float(np.median(sizes)), 6),
                "icosahedra": len(cosines),
                "mean_cosine": round(float(np.mean(cosines)), 4) if cosines else None,
                "p_random_orientation": None
                if compared is None
                else float(f"{compared.pvalue:.2g}"),
            }
        )
    names = {
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
    table = [
        [title, *("-" if row[key] is None else row[key] for row in rows)]
        for key, title in names.items()
    ]
    random = float(np.mean(_random_cosines()))
    text = markdown_table(["", *(row["method"] for row in rows)], table)
    text += (
        "\n\nAlignment: the largest |cosine| between a vertex and an axis, on average "
        f"{random:.4f} for random orientations. A rule blind to the frame finds "
        "structures in any orientation, but the starts fill a cube."
    )
    return text, rows


@functools.lru_cache(maxsize=1)
def _random_cosines() -> np.ndarray:
    """Alignments of icosahedra in random orientations."""
    golden = (1 + 5**0.5) / 2
    corners = [
        v for a in (1, -1) for v in ((0, a, golden), (a, golden, 0), (golden, 0, a))
    ]
    vertices = np.array(corners) / np.linalg.norm(corners[0])
    turns = Rotation.random(RANDOM_ORIENTATIONS, rng=np.random.default_rng(0))
    turned = np.einsum("rab,vb->rva", turns.as_matrix(), vertices)
    return np.abs(turned).max(axis=(1, 2))


def _plain(label: str) -> str:
    """A label without the marks of Markdown."""
    return label.replace("`", "")


def _traces(target: Target, lines: dict[str, Any], frozen: dict[str, Any]) -> Figure:
    """Three rows as in the paper, a column per rule."""
    reference = target.reference or 0.0
    lucky = _hit(target, lines[ENTRIES[0].label]["energies"])
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
        adam = np.array(lines[ENTRIES[0].label]["trace"], float) - reference
        adam_at = (
            lines[ENTRIES[0].label]["steps"] / len(adam) * np.arange(1, len(adam) + 1)
        )
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
    random = np.sort(_random_cosines())
    every = np.linspace(0, 1, random.size)
    turns.fill_between(random, every, color="#dddddd", label="random orientation")
    colours = {entry.label: entry.colour for entry in ENTRIES}
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
