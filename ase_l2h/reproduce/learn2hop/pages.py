"""Files of an exhibit: Markdown, CSV and pictures, all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_l2h._internal.files import write_atomically
from ase_l2h._internal.records import csv_text
from ase_l2h.report.figures import save_figure
from ase_l2h.reproduce.learn2hop.paper import paper_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RECORDS", "write_exhibit"]

# The record that exhibits in a folder share.
RECORDS = "records.jsonl"


def write_exhibit(
    folder: Path,
    name: str,
    title: str,
    text: str,
    rows: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Figure],
    left_out: str,
) -> str:
    """Write an exhibit; returns its text.

    Parameters
    ----------
    folder, name
        ``folder/name.md`` and ``.csv``; a picture called ``""`` is ``name.png``, one
        called ``"b"`` is ``name-b.png``.
    title, text
        Heading, and tables in Markdown.
    rows
        Of the CSV file.
    figures
        Pictures by name.
    left_out
        Sentences on the budget: what it was and what it leaves out.
    """
    write_atomically(folder / f"{name}.csv", csv_text(rows))
    page = [f"# {title}", "", text, ""]
    says = paper_numbers().get(name, {})
    if "says" in says:
        page += [f"The paper ({says['source']}): {says['says']}", ""]
    for suffix, figure in figures.items():
        stem = f"{name}-{suffix}" if suffix else name
        for form in ("png", "pdf"):
            save_figure(figure, folder / f"{stem}.{form}", form)
        page += [f"![{title}]({stem}.png)", ""]
    page += [left_out, ""]
    write_atomically(folder / f"{name}.md", "\n".join(page).encode())
    return f"{text}\n\n{left_out}"
