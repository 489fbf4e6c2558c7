"""The table of ``docs/many-machines.md``."""

from __future__ import annotations

import numpy as np

from ase_l2h._internal.records import Lines, read_lines
from ase_l2h.report.pages import markdown_table, replace_block
from benchmarks import paths
from benchmarks.hits.overhead import CALLS, PARTS, RECORDS, SEEDS

__all__ = ["table", "write"]


def write() -> None:
    """The generated part of the page."""
    lines = read_lines(RECORDS)
    first = lines[0]
    text = (
        f"{table(lines)}\n\nMilliseconds of one core, medians of {len(SEEDS)} searches "
        f"of {CALLS} calls, and of {PARTS} parts of the campaign (seeds from "
        f"{SEEDS[0]}). Made by `{first['command']}` on "
        f"{first['machine']}."
    )
    replace_block(paths.DOCS / "many-machines.md", "overhead", text)


def table(lines: Lines) -> str:
    """Time beside the calls."""
    rows = [
        [
            line["system"],
            f"{np.median(line['plain_ms']):.1f}",
            f"{np.median(line['kept_ms']):.1f}",
        ]
        for line in lines
    ]
    kept = "with folder and cache"
    return markdown_table(["system", "beside each call (ms)", kept], rows)
