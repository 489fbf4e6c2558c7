"""``pretrained/NAME.md``: a card per released weight file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ase_l2h.report.pages import markdown_table, write_page
from benchmarks import paths
from benchmarks.pages import horizons
from benchmarks.pages.summaries import Row, long_rows, manifest, result_rows

__all__ = ["write"]

NOTES = {
    "paper-lj13": "The paper's rule, trained on one size only, by selection (GA) at a "
    "fiftieth of the paper's horizon; hits were still rising when training ended. Kept "
    "to reproduce the paper and to study frame dependence; other weights do better.",
    "paper-lj-ga": "The paper's rule on six sizes: `paper-lj13`, trained further "
    "by GA; hardly any mutant beat its parent by the margin.",
    "paper-lj-esmc": (
        "The paper's rule on six sizes: `paper-lj13`, trained further by ESMC. It "
        "gains on the large sizes what it loses on LJ13: ESMC clips each loss at the "
        "loss of the unperturbed weights, so it does not notice when a start that "
        "used to hit no longer does. Made for long searches: after 50,000 steps it "
        "ends where the paper's rule does on clusters, and lower on 64 silicon atoms "
        "(Table 2 in the documentation). Training was stopped before its last update."
    ),
    "paper-au-55": "The paper's rule on Au55 alone: `paper-lj-esmc`, trained further "
    "by ESMC at a fiftieth of the paper's horizon. Made for long searches of that "
    "size: its mean after 50,000 steps is below that of the paper's own rule.",
    "universal-all": "`universal`, trained further on 13 targets of three potentials, "
    "64 silicon atoms among them: a little better on most, worse on LJ19 and LJ26.",
    "lj-fcc": "Trained on sizes whose minimum is cut from the fcc lattice, and biased "
    "towards such structures: it is quick where the minimum is one of them and blind "
    "elsewhere. Use it in a portfolio with weights of another bias.",
    "lj-icosahedral": "Trained on sizes whose minima are icosahedral, and biased "
    "towards such structures. Use it in a portfolio with weights of another bias.",
    "lj-19-55": (
        "`lj-icosahedral`, trained further by GA on LJ19, LJ31 and LJ55; it got worse "
        "on LJ31. Training was to take 120 updates. The weights of update 108 were "
        "chosen, because they had more hits from starts of seed 4242 than the last "
        "weights. By then the results of the last weights from the starts above had "
        "been seen as well, so the choice was not entirely blind."
    ),
    "lj-31": (
        "`lj-icosahedral`, trained further on LJ31 alone, by GA and then by ESMC. "
        "Hits are almost the only signal: one hit counts as much as a hundred spreads "
        "of the energies."
    ),
    "lj-75": "`lj-icosahedral`, trained further by GA on LJ75 alone at horizons of "
    "3,000 and 4,000 steps for the lowest mean energy. It ends deep in the wide "
    "icosahedral funnel, which is what a mean energy rewards, and misses the "
    "decahedral minimum.",
    "gupta-au-55": (
        "`gupta-au`, trained further by GA on Au55 alone at a horizon of 6,000 steps. "
        "Use it near that horizon only: at much longer horizons it loses what it has "
        "gained."
    ),
    "hop": (
        "`lj`, trained further on hops from minima of Lennard-Jones clusters and, in "
        "twelve of twenty tasks, of metals and alloys drawn at random. The method "
        "`hops` uses it; `docs/learned-rules.md` has what it is worth there. From "
        "random starts alone, other weights do better."
    ),
    "lj": (
        "One rule for six sizes with three kinds of order; the specialised weights "
        "are better for each kind."
    ),
}


def write() -> None:
    """Every card, measured numbers from the records."""
    rows = result_rows()
    long = [row for row in long_rows() if row["steps"] in horizons.HORIZONS]
    for name, entry in manifest()["weights"].items():
        measured, longer = (
            [row for row in some if row["sha256"] == entry["sha256"]]
            for some in (rows, long)
        )
        missed = [row["target"] for row in measured if not row["hits"]]
        page = [
            f"# `{name}`",
            "",
            *_training(name, entry),
        ]
        if not measured:
            write_page(paths.PRETRAINED / f"{name}.md", [*page, NOTES[name]])
            continue
        page += ["## Measured", "", _measured(entry, measured)]
        if longer:
            table = horizons.table([row | {"method": f"`{name}`"} for row in longer])
            page += ["", table]
        page += [
            "",
            "Starts are fresh, with a seed that training never saw. A target without a "
            "published energy is compared with the lowest energy that this package has "
            "found.",
            "",
            "## Known failures",
            "",
            f"Never reached the lowest known minimum of {', '.join(missed)}."
            if missed
            else "None among the targets above.",
        ]
        page += [NOTES[name]] if name in NOTES else []
        page.append("The first table is for the horizon above.")
        write_page(paths.PRETRAINED / f"{name}.md", page)


def _training(name: str, entry: dict[str, Any]) -> list[str]:
    """What a weight file is and how it was trained."""
    stages = [
        [
            number,
            ", ".join(stage["tasks"]),
            stage["updates"],
            stage["horizon"],
            stage["seed"],
            f"{stage['charged_evaluations']:.3g}",
            f"{stage['seconds']:.0f}",
        ]
        for number, stage in enumerate(entry["stages"], 1)
    ]
    header = ["stage", "tasks", "updates", "horizon", "seed", "charged evaluations"]
    return [
        f"Architecture `{entry['architecture']}`, horizon {entry['horizon']} steps, "
        f"licence {entry['licence']}, released after commit {entry['commit']}.",
        "",
        f"SHA-256 `{entry['sha256']}`, {entry['bytes']} bytes.",
        "",
        "## Training",
        "",
        markdown_table([*header, "seconds"], stages, numbers=False),
        "",
        f"Configurations and records of the stages: [{name}/]({name}). The times were "
        "taken on two cores that other work shared.",
        "",
    ]


def _measured(entry: dict[str, Any], rows: Sequence[Row]) -> str:
    """What the weights reach on every target."""
    table = []
    for row in rows:
        reach = row["to_minimum"]
        table.append(
            [
                row["target"],
                "yes" if row["target"] in entry["tasks"] else "no",
                f"{row['hits']}/{row['starts']}",
                f"{row['low']:.3f}-{row['high']:.3f}",
                f"{row['mean']:.4f}",
                f"{row['lowest']:.4f}",
                "not found" if reach is None else f"{reach:.0f}",
            ]
        )
    header = ["target", "trained on", "hits", "95 % interval", "mean energy", "lowest"]
    header.append("evaluations to the minimum")
    return markdown_table(header, table, numbers=False)
