"""What every table and figure has in common: its records, and its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ase_l2h._internal.files import write_atomically
from ase_l2h._internal.records import Lines, Records
from ase_l2h.report.figures import save_figure
from ase_l2h.report.pages import csv_text, write_page
from ase_l2h.reproduce.learn2hop.paper import paper_numbers
from ase_l2h.reproduce.registry import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RECORDS", "Piece", "collect", "csv_rows", "write_result"]

# The record that tables and figures in a folder share.
RECORDS = "records.jsonl"
# Entries of a line that are no results.
HIDDEN = ("trace", "machine", "versions", "rates", "record")


class Piece(NamedTuple):
    """A piece of work: the key of its line, how to make it, and what to call it."""

    key: Mapping[str, Any]
    make: Callable[[], Mapping[str, Any]]
    what: str


def collect(
    records: Records,
    pieces: Sequence[Piece],
    progress: Progress,
    done: int = 0,
    of: int | None = None,
) -> Lines:
    """The lines of all pieces, in their order; what is in the records is not run again.

    ``progress`` counts from ``done``, out of ``of`` or of the pieces.
    """
    total = len(pieces) if of is None else of
    lines = []
    for number, piece in enumerate(pieces):
        progress(done + number, total, piece.what)
        lines.append(records.get(piece.key, piece.make))
    progress(done + len(pieces), total, "")
    return lines


def csv_rows(lines: Lines) -> list[dict[str, Any]]:
    """Lines as rows of a CSV file: everything but courses and provenance."""
    return [{k: v for k, v in line.items() if k not in HIDDEN} for line in lines]


def write_result(
    folder: Path,
    name: str,
    title: str,
    text: str,
    rows: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Figure],
    left_out: str,
) -> str:
    """Write the files of a table or figure; returns its text.

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
    published = paper_numbers().get(name, {})
    if "says" in published:
        page += [f"The paper ({published['source']}): {published['says']}", ""]
    for suffix, figure in figures.items():
        stem = f"{name}-{suffix}" if suffix else name
        for form in ("png", "pdf"):
            save_figure(figure, folder / f"{stem}.{form}", form)
        page += [f"![{title}]({stem}.png)", ""]
    write_page(folder / f"{name}.md", [*page, left_out])
    return f"{text}\n\n{left_out}"
