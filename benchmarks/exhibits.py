"""Pages of the paper's exhibits and of the comparison, from committed records.

    python -m benchmarks.exhibits [FOLDER]

FOLDER is what ``ase-l2h reproduce all`` has written; its records are copied to
``benchmarks/records/reproduce-quick``. Without it, the records there are used. Those of
``ase-l2h reproduce table2 --budget paper --backend native`` are made in
``benchmarks/records/reproduce-paper``. Nothing is run: pages and pictures of ``docs``
are made from records only.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ase_l2h._internal.records import Lines, read_lines, reading_only
from ase_l2h.comparison.encounters import Encounters
from ase_l2h.comparison.outcome import Comparison
from ase_l2h.comparison.protocol import known_minimum
from ase_l2h.comparison.report import significant
from ase_l2h.report.figures import save_figure
from ase_l2h.reproduce.learn2hop.searches import running_on
from ase_l2h.reproduce.registry import TABLES_AND_FIGURES
from ase_l2h.search.evaluator import HIT
from ase_l2h.search.problem import Problem
from benchmarks import comparison, peers_page
from benchmarks.render import replace_between

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "records" / "reproduce-quick"
FULL_RECORDS = RECORDS.with_name("reproduce-paper")
DOCS = ROOT / "docs"
FILES = ("records.jsonl", "fig7.jsonl")
BUDGET, SEED = "quick", 2026
# Where the paper's exhibits stand in their page.
FULL = ("table2", "fig5")
FULL_BACKEND = "native"
ORDER = ("table2", "fig3", "fig4", "fig5", "fig6", "table3", "fig7", "table6", "fig8")


def copy_records(folder: Path) -> None:
    """Take over the records of a run."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (folder / name).exists():
            shutil.copyfile(folder / name, RECORDS / name)


def paper_page() -> None:
    """``docs/paper.md`` and its pictures."""
    lines = [line for name in FILES for line in read_lines(RECORDS / name)]
    page = [
        "# The paper's tables and figures",
        "",
        "Every exhibit of the Learn2Hop paper, beside the paper's own numbers, by one "
        "command:",
        "",
        "```bash",
        f"ase-l2h reproduce all --budget {BUDGET} --seed {SEED}",
        "```",
        "",
        _provenance(lines),
        "",
        "What the paper prints wrongly, and how that shows, is listed in "
        "[Differences from the paper](differences-from-the-paper.md).",
        "",
    ]
    page += _exhibits(RECORDS, ORDER, BUDGET, "paper")
    if FULL_RECORDS.exists():
        page += [
            "## At the paper's own numbers of starts and steps",
            "",
            f"`ase-l2h reproduce table2 --budget paper --seed {SEED} --backend "
            f"{FULL_BACKEND}`, and `fig5` from the same searches.",
            "",
        ]
        with running_on(FULL_BACKEND):
            page += _exhibits(FULL_RECORDS, FULL, "paper", "paper-full", "#")
    (DOCS / "paper.md").write_text("\n".join(page).rstrip() + "\n")


def _exhibits(
    records: Path, exhibits: Sequence[str], budget: str, prefix: str, deeper: str = ""
) -> list[str]:
    """Sections from the records of a folder; pictures get names with the prefix."""
    page = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in FILES:
            if (records / file).exists():
                shutil.copyfile(records / file, folder / file)
        for exhibit in exhibits:
            try:
                with reading_only():
                    make = TABLES_AND_FIGURES[exhibit].load()
                    make(folder, budget, SEED, lambda *_: None)
                text = (folder / f"{exhibit}.md").read_text()
                page += [_embedded(text, prefix, deeper), ""]
            except LookupError:
                what = f"{exhibit}: {TABLES_AND_FIGURES[exhibit].shows}"
                page += [f"##{deeper} {what}", "", "Not in the records yet.", ""]
        for picture in sorted(folder.glob("*.png")):
            shutil.copyfile(picture, DOCS / "images" / f"{prefix}-{picture.name}")
    return page


def _embedded(text: str, prefix: str, deeper: str) -> str:
    """A page as a section of another."""
    text = re.sub(r"^(#+ )", rf"#{deeper}\1", text, flags=re.MULTILINE)
    return re.sub(r"\]\(([\w-]+\.png)\)", rf"](images/{prefix}-\1)", text).strip()


def _provenance(lines: Lines) -> str:
    machines = sorted({line["machine"] for line in lines if "machine" in line})
    seconds = sum(line.get("wall_seconds", 0.0) for line in lines)
    return (
        f"Budget `{BUDGET}`, seed {SEED}, on {'; '.join(machines)}, which other work "
        f"shared: searches and trainings took {seconds / 60:.0f} minutes by the clock, "
        "compilation included. `--budget paper` is the full protocol: 150 starts "
        "of 50,000 steps."
    )


def comparison_page() -> None:
    """``docs/comparison.md`` and its pictures: what has been run to its end."""
    page = [
        "# What a first encounter costs",
        "",
        "All methods, by charged evaluations to the first encounter with the lowest "
        "minimum known (`python -m benchmarks.comparison`; `ase-l2h compare` does the "
        "same for other targets and methods). `hybrid` is given fragments of ordered "
        "packings, the learned rules were trained on some of these targets, see their "
        "cards; neither is charged here.",
        "",
    ]
    tables: list[str] = []
    verdicts: list[str] = []
    for name in comparison.TARGETS:
        begun = comparison.recorded(name)
        if begun is None:
            continue
        shown = _finished(begun)
        if not shown.encounters:
            continue
        tables += [str(shown), ""]
        declared, problem = begun.targets[name], Problem.of(name)
        known = known_minimum(problem)
        lower = known is not None and known < declared - HIT * problem.energy_unit
        if lower:
            tables += [
                f"After this was declared, a lower minimum came to light, {known:.6f}.",
                "",
            ]
        if comparison.TARGETS[name].remark:
            tables += [comparison.TARGETS[name].remark, ""]
        left = [
            _spent(method, runs)
            for (_, method), runs in begun.encounters.items()
            if method not in shown.methods
        ]
        if left:
            tables += [f"Not run to the end, and left out: {', '.join(left)}.", ""]
        tables += [f"![Success on {name}](images/compare-{name}.png)", ""]
        figure = shown.figure()
        save_figure(figure, DOCS / "images" / f"compare-{name}.png", "png")
        said = name
        if lower:
            said += f" (to {declared:.6f}, not the lowest known)"
        met = {method: runs for (_, method), runs in shown.encounters.items()}
        verdicts.append(_verdict(said, met))
    page += ["## Who wins where", "", *verdicts, "", *tables, *peers_page.section()]
    replace_between(ROOT / "README.md", "wins", "\n".join(verdicts))
    replace_between(ROOT / "README.md", "peers", "\n".join(peers_page.verdicts()))
    (DOCS / "comparison.md").write_text("\n".join(page).rstrip() + "\n")


def _finished(begun: Comparison) -> Comparison:
    """The methods whose runs are all there; half a sample would be biased."""
    whole = {
        method
        for (_, method), runs in begun.encounters.items()
        if runs.found.size == begun.runs
    }
    return begun.of(methods=[name for name in begun.methods if name in whole])


def _spent(name: str, runs: Encounters) -> str:
    """What the record has of a method that was begun."""
    spent = significant(int(np.sum(runs.evaluations)))
    return f"`{name}` ({runs.hits} found in {spent} evaluations)"


def _verdict(target: str, met: dict[str, Encounters]) -> str:
    """One sentence: the cheapest method, and how far the learned ones are from it."""
    means = {name: runs.mean for name, runs in met.items()}
    best = min(means, key=lambda name: means[name].value)
    if not math.isfinite(means[best].value):
        return f"* {target}: nobody found it."
    least = means[best].value
    learned = [name for name in means if name.startswith("learned")]
    others = ("hybrid", *learned, "bh")
    others = [name for name in others if name in means and name != best]
    parts = []
    for name in others:
        mean = means[name]
        if math.isfinite(mean.value):
            parts.append(f"`{name}` needs {significant(mean.value / least)} times that")
        else:
            parts.append(f"`{name}` above {significant(mean.low / least)} times that")
    cheapest = f"`{best}` is the cheapest, {significant(least)} evaluations on average"
    return f"* {target}: {'; '.join([cheapest, *parts])}."


def main() -> None:
    """Copy records if there are any, and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    arguments = parser.parse_args()
    if arguments.folder is not None:
        copy_records(arguments.folder)
    if RECORDS.exists():
        paper_page()
    comparison_page()


if __name__ == "__main__":
    main()
