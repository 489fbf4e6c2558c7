"""Pages of tables and pictures: Markdown tables, CSV, generated parts of a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ase_l2h._internal.files import write_atomically

__all__ = ["csv_text", "markdown_table", "replace_block", "write_page"]


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: bool = True
) -> str:
    """A table in Markdown.

    Parameters
    ----------
    header, rows
        Cells of the first line and of the others.
    numbers
        Align all columns but the first to the right.
    """
    align = "---:|" if numbers else "---|"
    lines = [f"| {' | '.join(header)} |", "|---|" + align * (len(header) - 1)]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines)


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> bytes:
    """Rows with the same entries as a file of comma-separated values.

    Without rows the file has the ``columns`` only, which are else those of the rows.
    """
    stream = io.StringIO()
    names = list(rows[0]) if rows else list(columns)
    if names:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue().encode()


def write_page(path: Path, lines: Iterable[str]) -> None:
    """Write a whole page; it ends with one line break."""
    write_atomically(path, ("\n".join(lines).rstrip() + "\n").encode())


def replace_block(path: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``.

    Raises
    ------
    ValueError
        When the page does not have each of the two marks once.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    page = path.read_text(encoding="utf-8")
    head, *rest = page.split(begin)
    _, *tail = "".join(rest).split(end)
    if len(rest) != 1 or len(tail) != 1:
        raise ValueError(f"{path} needs the marks {begin} and {end}, each once")
    write_atomically(path, f"{head}{begin}\n{text}\n{end}{tail[0]}".encode())
