"""``docs/paper.md`` and its pictures: the paper's tables and figures, from records.

    python -m benchmarks.pages.paper [FOLDER]

FOLDER is what ``ase-l2h reproduce all`` has written; its records are copied to
``benchmarks/records/reproduce-quick``. Without it, the records there are used. Those of
the budgets ``part`` and ``paper``, with ``--backend native``, are in
``benchmarks/records/reproduce-paper``. Each table and figure has the largest budget
that is recorded in full. Nothing is run.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from ase_l2h._internal.records import read_lines, reading_only
from ase_l2h.report.pages import write_page
from ase_l2h.reproduce.learn2hop import fig7
from ase_l2h.reproduce.learn2hop.searches import running_on
from ase_l2h.reproduce.output import RECORDS
from ase_l2h.reproduce.registry import TABLES_AND_FIGURES
from benchmarks import paths

__all__ = ["write"]

QUICK = paths.RECORDS / "reproduce-quick"
FULL = paths.RECORDS / "reproduce-paper"
FILES = (RECORDS, fig7.RECORDS)
SEED = 2026
# In the order of the page.
NAMES = (
    *("table2", "fig3", "fig4", "fig5", "fig6"),
    *("table3", "fig7", "table6", "fig8"),
)
FULL_BACKEND = "native"


class Source(NamedTuple):
    """A budget, the folder of its records, and the backend of its searches."""

    budget: str
    records: Path
    backend: str


# The largest first.
SOURCES = (
    Source("paper", FULL, FULL_BACKEND),
    Source("part", FULL, FULL_BACKEND),
    Source("quick", QUICK, "auto"),
)


def copy_records(source: Path, folder: Path) -> None:
    """Copy the records of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)


def write() -> None:
    """The page and its pictures."""
    sections, budgets = [], {}
    for name in NAMES:
        source, text = _section(name)
        budgets[name] = None if source is None else source.budget
        sections += [text, ""]
    page = [
        "# The paper's tables and figures",
        "",
        "One command makes every table and figure of the Learn2Hop paper, beside the "
        "paper's own numbers:",
        "",
        "```bash",
        f"ase-l2h reproduce all --budget quick --seed {SEED}",
        "```",
        "",
        "The budget `quick` takes minutes. `paper` is the full protocol, 150 starts "
        "of 50,000 steps, and takes days. `part` has as many starts and steps, but "
        "some of the sizes, compositions and trainings only. Below, each has the "
        "largest budget that is recorded: "
        f"{_by_budget(budgets)}. Those of `part` and `paper` were made with "
        f"`--backend {FULL_BACKEND}`.",
        "",
        *_provenance(),
        "",
        "[Differences from the paper](differences-from-the-paper.md) lists what the "
        "paper prints wrongly, and how we know.",
        "",
        *sections,
    ]
    write_page(paths.DOCS / "paper.md", page)


def _section(name: str) -> tuple[Source | None, str]:
    """A table or figure with the largest budget that is recorded in full."""
    item = TABLES_AND_FIGURES[name]
    for source in SOURCES:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            copy_records(source.records, folder)
            try:
                with reading_only(), running_on(source.backend):
                    item.load()(folder, source.budget, SEED, lambda *_: None)
            except LookupError:
                continue
            for picture in sorted(folder.glob("*.png")):
                shutil.copyfile(picture, paths.IMAGES / f"paper-{picture.name}")
            return source, _embedded((folder / f"{name}.md").read_text())
    return None, f"## {name}: {item.shows}\n\nNot in the records yet."


def _by_budget(budgets: dict[str, str | None]) -> str:
    """Which has which budget, in words."""
    return "; ".join(
        f"`{source.budget}`: {', '.join(names)}"
        for source in SOURCES
        if (names := [name for name in NAMES if budgets[name] == source.budget])
    )


def _embedded(text: str) -> str:
    """A page as a section of another."""
    text = re.sub(r"^(#+ )", r"#\1", text, flags=re.MULTILINE)
    return re.sub(r"\]\(([\w-]+\.png)\)", r"](images/paper-\1)", text).strip()


def _provenance() -> list[str]:
    """How long what is recorded took, and on what."""
    said = []
    for records, of in ((QUICK, "`quick`"), (FULL, "the larger budgets")):
        lines = [line for name in FILES for line in read_lines(records / name)]
        if lines:
            machines = sorted({line["machine"] for line in lines if "machine" in line})
            minutes = sum(line.get("wall_seconds", 0.0) for line in lines) / 60
            said.append(f"{minutes:,.0f} minutes for {of} ({'; '.join(machines)})")
    return [
        f"All have seed {SEED}. By the clock, with compilation and beside other work, "
        f"the records took {' and '.join(said)}."
    ]


def main() -> None:
    """Copy records if there are any, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    arguments = parser.parse_args()
    if arguments.folder is not None:
        copy_records(arguments.folder, QUICK)
    write()


if __name__ == "__main__":
    main()
