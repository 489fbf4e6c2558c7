"""Records: lines of JSON that are added as results come, and read by everything else.

A line that a killed run left half is dropped; what a line holds is never changed.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ase_l2h._internal.files import read_regular, write_atomically
from ase_l2h._internal.machine import provenance
from ase_l2h.errors import InputError

__all__ = ["Lines", "Records", "read_lines", "reading_only", "write_lines"]

# Classes and fields in the settings of records of release 0.1.0, and their names now.
FORMER_NAMES = {
    "Descent": "RuleOptimizer",
    "Stages": "Restarts",
    "stages": "restarts",
}

Lines = list[dict[str, Any]]

_reading: ContextVar[bool] = ContextVar("reading", default=False)


def _renamed(line: dict[str, Any]) -> dict[str, Any]:
    """The line, with the settings of an older release in today's words.

    Settings are part of what a line is found by; renaming a class must not make old
    results look like those of other settings.
    """
    settings = line.get("settings")
    if isinstance(settings, str):
        for former, name in FORMER_NAMES.items():
            settings = re.sub(rf"\b{former}\b", name, settings)
        line["settings"] = settings
    return line


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
        text = read_regular(path).decode()
        # A killed run may have left half a line.
        whole = text[: text.rfind("\n") + 1]
        lines = [json.loads(line) for line in whole.splitlines()]
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({error}); move it away to begin anew"
        ) from error
    if not all(isinstance(line, dict) for line in lines):
        raise InputError(f"{path} is not a record; move it away to begin anew")
    return [_renamed(line) for line in lines]


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Replace a record file by these lines, written as densely as can be."""
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    write_atomically(path, text.encode())


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
            content = read_regular(path)
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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")
        kept = json.loads(text)
        self.lines.append(kept)
        return kept

    def get(
        self, key: Mapping[str, Any], make: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """The line of ``key``, or one made now from ``key``, results and provenance.

        Parameters
        ----------
        key
            Entries that tell this line from all others.
        make
            Called when there is no such line; returns its other entries.

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
        return self.append({**key, **make(), **provenance()})
