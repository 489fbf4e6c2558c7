"""Records: lines of JSON that are added as results come, and read by everything else.

A line that a killed run left half is dropped; what a line holds is never changed.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ase_l2h._internal.files import write_atomically
from ase_l2h.errors import InputError

__all__ = [
    "Lines",
    "Records",
    "csv_text",
    "machine_class",
    "markdown_table",
    "read_lines",
    "reading_only",
    "software",
]

PACKAGES = ("ase-l2h", "jax", "jaxlib", "flax", "numpy", "scipy")

Lines = list[dict[str, Any]]

_reading: ContextVar[bool] = ContextVar("reading", default=False)


def machine_class() -> str:
    """Processor and number of cores this process may use: ``AMD EPYC, 2 cores``."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    # What a scheduler or taskset leaves to this process, where the system tells.
    allowed = getattr(os, "sched_getaffinity", None)
    cores = (os.cpu_count() or 1) if allowed is None else len(allowed(0))
    return f"{model}, {cores} core{'' if cores == 1 else 's'}"


def software() -> dict[str, str]:
    """Versions that numbers depend on."""
    return {"python": platform.python_version()} | {n: version(n) for n in PACKAGES}


def read_lines(path: Path) -> Lines:
    """The whole lines of a record file; none where there is no file.

    Raises
    ------
    InputError
        When a line is no JSON object.
    """
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        # A killed run may have left half a line.
        found = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({error}); move it away to begin anew"
        ) from error
    if not all(isinstance(line, dict) for line in found):
        raise InputError(f"{path} is no record; move it away to begin anew")
    return found


@contextlib.contextmanager
def reading_only() -> Iterator[None]:
    """Inside, what is not in the records is an error instead of being made."""
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


class Records:
    """A record file: what is in it is not made again.

    Parameters
    ----------
    path
        The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = read_lines(path)
        if path.exists():
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                write_atomically(path, whole)

    def find(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The line whose entries are those of ``key``, or None."""
        for line in self.lines:
            if all(line.get(name) == value for name, value in key.items()):
                return line
        return None

    def append(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Add a line; what cannot be written as JSON is an error."""
        text = json.dumps(line, allow_nan=False)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")
        kept = json.loads(text)
        self.lines.append(kept)
        return kept

    def get(
        self, key: Mapping[str, Any], make: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """The line of ``key``, or one made now from ``key``, results and provenance.

        Raises
        ------
        LookupError
            Inside :func:`reading_only`, when there is no such line.
        """
        known = self.find(key)
        if known is not None:
            return known
        if _reading.get():
            raise LookupError(f"{self.path} lacks the results of {dict(key)}")
        origin = {"machine": machine_class(), "versions": software()}
        return self.append({**key, **make(), **origin})


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown; the first column is text, the others are numbers."""
    lines = [f"| {' | '.join(header)} |"]
    lines.append("|---|" + "---:|" * (len(header) - 1))
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows with the same entries as a file of comma-separated values."""
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue().encode()
