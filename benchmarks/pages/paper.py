"""``docs/paper.md`` and its pictures: the paper's tables and figures, from records.

    python -m benchmarks.pages.paper [FOLDER]

FOLDER is what ``ase-l2h reproduce all`` has written; its records are copied to
``benchmarks/records/reproduce-quick``. Without it, the records there are used. Those of
``ase-l2h reproduce table2 --budget paper --backend native`` are made in
``benchmarks/records/reproduce-paper``. Nothing is run.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ase_l2h._internal.records import Lines, read_lines, reading_only
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
BUDGET, SEED = "quick", 2026
# In the order of the page.
QUICK_NAMES = (
    *("table2", "fig3", "fig4", "fig5", "fig6"),
    *("table3", "fig7", "table6", "fig8"),
)
FULL_NAMES = ("table2", "fig5")
FULL_BACKEND = "native"


def copy_records(source: Path, folder: Path) -> None:
    """Copy the records of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)


def write() -> None:
    """The page and its pictures."""
    lines = [line for name in FILES for line in read_lines(QUICK / name)]
    page = [
        "# The paper's tables and figures",
        "",
        "One command makes every table and figure of the Learn2Hop paper, beside the "
        "paper's own numbers:",
        "",
        "```bash",
        f"ase-l2h reproduce all --budget {BUDGET} --seed {SEED}",
        "```",
        "",
        _provenance(lines),
        "",
        "[Differences from the paper](differences-from-the-paper.md) lists what the "
        "paper prints wrongly, and how we know.",
        "",
        *_sections(QUICK, QUICK_NAMES, BUDGET, "paper"),
    ]
    if FULL.exists():
        page += [
            "## At the paper's own numbers of starts and steps",
            "",
            f"Made by `ase-l2h reproduce table2 --budget paper --seed {SEED} --backend "
            f"{FULL_BACKEND}`; `fig5` is from the same searches.",
            "",
        ]
        with running_on(FULL_BACKEND):
            page += _sections(FULL, FULL_NAMES, "paper", "paper-full", "#")
    write_page(paths.DOCS / "paper.md", page)


def _sections(
    records: Path, names: Sequence[str], budget: str, prefix: str, deeper: str = ""
) -> list[str]:
    """Sections from the records of a folder; pictures get names with the prefix."""
    page = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        copy_records(records, folder)
        for name in names:
            item = TABLES_AND_FIGURES[name]
            try:
                with reading_only():
                    item.load()(folder, budget, SEED, lambda *_: None)
                text = (folder / f"{name}.md").read_text()
                page += [_embedded(text, prefix, deeper), ""]
            except LookupError:
                page += [f"##{deeper} {name}: {item.shows}", ""]
                page += ["Not in the records yet.", ""]
        for picture in sorted(folder.glob("*.png")):
            shutil.copyfile(picture, paths.IMAGES / f"{prefix}-{picture.name}")
    return page


def _embedded(text: str, prefix: str, deeper: str) -> str:
    """A page as a section of another."""
    text = re.sub(r"^(#+ )", rf"#{deeper}\1", text, flags=re.MULTILINE)
    return re.sub(r"\]\(([\w-]+\.png)\)", rf"](images/{prefix}-\1)", text).strip()


def _provenance(lines: Lines) -> str:
    machines = sorted({line["machine"] for line in lines if "machine" in line})
    seconds = sum(line.get("wall_seconds", 0.0) for line in lines)
    return (
        f"The numbers below have budget `{BUDGET}` and seed {SEED}. Searches and "
        f"trainings took {seconds / 60:.0f} minutes by the clock, with compilation, on "
        f"{'; '.join(machines)}, which other work shared. `--budget paper` is the full "
        "protocol: 150 starts of 50,000 steps."
    )


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
