"""The record of a comparison: a declaration, then a line for every run.

A run's line has the entries of its method and target (see
:meth:`~ase_l2h.comparison.protocol.Protocol.entry`), its number ``run``, whether it
``found`` the target, what it was charged, its lowest energy, and its share of the wall
time of the runs beside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ase_l2h._internal.files import check_name, not_written
from ase_l2h._internal.records import Lines, Records
from ase_l2h.errors import InputError, RunError

__all__ = ["RECORD", "ComparisonRecord", "runs_of"]

RECORD = "records.jsonl"


class ComparisonRecord:
    """The lines of a comparison, kept in a folder or in memory only.

    Parameters
    ----------
    folder
        Where; None keeps nothing. It is made with the first line.

    Raises
    ------
    InputError
        When what is there cannot be read, or is no record.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._records: Records | None = None
        self._lines: Lines = []
        if folder is None:
            return
        check_name("the folder", folder)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; choose another folder")
        path = folder / RECORD
        if path.exists() and not path.is_file():
            raise InputError(
                f"{path} is not a file, and the record belongs there; move it away, "
                "or choose another folder"
            )
        try:
            self._records = Records(path)
        except OSError as error:
            raise InputError(
                f"the folder {folder} cannot be read ({error.strerror}); choose another"
            ) from error

    @property
    def lines(self) -> Lines:
        """All lines, in their order."""
        return self._lines if self._records is None else self._records.lines

    def declare(self, declaration: Mapping[str, Any]) -> None:
        """Add a declaration, unless it is the last one.

        Raises
        ------
        InputError
            When the folder cannot be written.
        """
        declared = [line for line in self.lines if line.get("kind") == "protocol"]
        if declared and declared[-1] == declaration:
            return
        try:
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
            self._append(declaration)
        except OSError as error:
            raise InputError(
                f"cannot write in the folder {self.folder} ({error.strerror}); choose "
                "another"
            ) from error

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line.

        Raises
        ------
        RunError
            When it cannot be written; the lines before are kept.
        """
        with self.writing():
            self._append(line)

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._records is None:
            self._lines.append(dict(line))
            return
        if self.lines and not self._records.path.exists():
            # Its other lines would be missing in a file made anew.
            raise FileNotFoundError(self._records.path)
        self._records.append(line)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, a file of the folder that cannot be written is a RunError."""
        try:
            yield
        except OSError as error:
            raise RunError(
                not_written(self.folder, error, "after the last run kept there")
            ) from error


def runs_of(lines: Lines, entry: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The runs of an entry of a declaration, by their numbers."""
    runs = {}
    for line in lines:
        if line.get("kind") == "run" and all(
            line.get(name) == value for name, value in entry.items()
        ):
            runs[line["run"]] = line
    return dict(sorted(runs.items()))
