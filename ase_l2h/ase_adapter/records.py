"""Output and storage of Learn2Hop: minima as Atoms, and the restart folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize.optimize import RestartError

from ase_l2h._internal.checkpoint import Checkpoint
from ase_l2h._internal.files import check_name
from ase_l2h.ase_adapter.lasting import lasting
from ase_l2h.ase_adapter.session import SearchSession
from ase_l2h.errors import InputError, InputTypeError
from ase_l2h.search.stored import from_arrays, to_arrays

__all__ = ["SearchFolder", "as_minimum", "check_files"]

# Seconds between two stored states of a running search.
SAVE_SECONDS = 1.0


def as_minimum(template: Atoms, energy: float, positions: np.ndarray) -> Atoms:
    """A structure ``(n, 3)`` with its energy and lasting properties of a template.

    See :func:`~ase_l2h.ase_adapter.lasting.lasting`.
    """
    atoms = lasting(template, positions)
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms


def check_files(logfile: Any, trajectory: Any, **others: Any) -> None:
    """Refuse what cannot be files to write, and files that would overwrite each other.

    Raises
    ------
    InputTypeError
        For anything but a name or an open file.
    InputError
        For a folder, a file in a folder that is missing, names that no file can have,
        and one name for two.
    """
    files = {"logfile": logfile, "trajectory": trajectory}
    for name, path in files.items():
        _check_path(name, path)
    taken: dict[str, str] = {}
    for name, path in (files | others).items():
        if not isinstance(path, str | os.PathLike) or path in ("", "-"):
            continue
        place = os.path.realpath(path) if "\0" not in str(path) else str(path)
        if place in taken:
            raise InputError(
                f"{name} and {taken[place]} are both '{path}'; give them two names"
            )
        taken[place] = name


def _check_path(name: str, path: Any) -> None:
    """Refuse anything that cannot be the name of a file to write."""
    if path is None or hasattr(path, "write") or path == "-":
        return
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(
            f"{name} is of type {type(path).__name__}; give a file name, an open file "
            "or None"
        )
    check_name(name, path)
    if Path(path).is_dir():
        raise InputError(f"{name} is '{path}', which is a folder; give a file name")
    folder = Path(path).parent
    if not folder.is_dir():
        raise InputError(
            f"the {name} {path} cannot be made: there is no {folder}; create that first"
        )


class SearchFolder:
    """The restart folder of a search.

    Parameters
    ----------
    folder
        Where.
    session
        The search.
    identity
        Settings that folder and search must share, besides the problem.
    comm
        ASE's communicator; the first rank writes.

    Raises
    ------
    InputError
        For what cannot be a folder.
    """

    def __init__(
        self, folder: Any, session: SearchSession, identity: dict[str, Any], comm: Any
    ) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise InputTypeError(
                f"restart is of type {type(folder).__name__}; give the name of a folder"
            )
        check_name("restart", folder)
        if not os.fspath(folder):
            raise InputError("restart is empty; give the name of a folder")
        self.folder, self.session, self.comm = Path(folder), session, comm
        if not self.folder.absolute().parent.is_dir():
            raise InputError(
                f"the restart folder {folder} cannot be made: there is no "
                f"{self.folder.parent}; create that first"
            )
        common = {
            "kind": "Learn2Hop",
            "problem": session.placed.fingerprint,
            "searches": session.searches,
            "backend": session.backend,
        }
        self._checkpoint = Checkpoint(folder, common | identity)
        self._saved = -SAVE_SECONDS

    def continued(self, seed: int | None) -> dict[str, Any] | None:
        """Continue the session from the folder; returns the stored state, or None.

        Raises
        ------
        ase.optimize.optimize.RestartError
            For a folder that is damaged or belongs to another search, also to one of
            another ``seed`` where that is not None.
        """
        try:
            found = self._checkpoint.load()
            if found is None:
                return None
            stored = from_arrays(*found)
            if seed not in (None, stored["session"]["seed"]):
                raise InputError(f"{self.folder} was made with another seed")
            self.session.resume(stored["session"])
        except InputError as error:
            raise RestartError(
                f"the search in {self.folder} cannot be continued: {error}"
            ) from error
        except (KeyError, TypeError, ValueError) as error:
            raise RestartError(
                f"{self.folder} is damaged ({error!r}); choose another folder"
            ) from error
        return stored

    def save(self, state: Callable[[], dict[str, Any]], at_once: bool) -> None:
        """Store a state, unless the last one is only a few seconds older."""
        now = time.monotonic()
        if self.comm.rank != 0 or (not at_once and now - self._saved < SAVE_SECONDS):
            return
        self._checkpoint.save(*to_arrays(state()))
        self._saved = time.monotonic()
