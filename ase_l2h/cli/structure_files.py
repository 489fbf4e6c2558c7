"""Structures from files: which ones are meant, and what is refused about them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_l2h._internal.arguments import half_extent
from ase_l2h.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["check_alike", "check_atoms", "find_file", "read_frames", "searchable"]

# Their readers skip structures line by line, without a look at where the file ends.
COUNTED = ("xyz", "extxyz", "lammps-dump-text")
# Farther from the origin, double precision has too few digits left for forces.
FARTHEST = 1e7
_PART = r"\s*(-?\d{1,9})?\s*"
_RANGE = re.compile(f"{_PART}:{_PART}(?::{_PART})?")


def find_file(target: str) -> tuple[str, str | None] | None:
    """Path and index of TARGET where it is a file, ``FILE`` or ``FILE@INDEX``.

    A folder is no file: it does not hide a formula of the same name.

    Raises
    ------
    InputError
        For what cannot be read twice, such as a pipe.
    """
    candidates: list[tuple[str, str | None]] = [(target, None)]
    head, sign, tail = target.rpartition("@")
    if sign:
        candidates.append((head, tail))
    for path, index in candidates:
        # Unlike those of pathlib, these take any text.
        if os.path.isfile(path):
            return path, index
        if os.path.exists(path) and not os.path.isdir(path):
            raise InputError(
                f"'{path}' is not a regular file; save the structure first"
            )
    return None


def read_frames(
    path: str,
    index: str | None,
    form: str | None,
    max_atoms: int,
    types: str | None = None,
) -> tuple[list[Atoms], str | None]:
    """The structures of a file that are meant, and what should be said about that.

    Parameters
    ----------
    path
        An existing file.
    index
        As in ASE: ``"0"`` is the first, ``"-1"`` the last, ``":"`` are all; the last
        when None.
    form
        Name of ASE's format; by content and name when None.
    max_atoms
        Files that announce larger structures are not read.
    types
        Elements of the types that LAMMPS numbers, such as ``"1=Cu,2=Au"``.

    Raises
    ------
    InputError
        When ASE cannot read it, there is no such structure, or its atoms are no
        elements.
    """
    chosen, elements = _parsed(path, index), _elements(types)
    kind = _format(path, form)
    if kind.name in COUNTED:
        _check_counts(path, kind.name, max_atoms)
    found = _read(path, slice(None) if kind.single else chosen, kind.name)
    found = found[chosen] if kind.single else found
    if not found:
        said = "no structure" if index is None else f"no structure '{index}'"
        raise InputError(f"'{path}' holds {said}; the first is 0, the last is -1")
    for atoms in found:
        atoms.calc = None
        if elements is not None:
            _name_types(path, atoms, elements)
        _check_elements(path, kind.name, atoms)
    if index is None and not kind.single and _has_second(path, kind.name):
        return found, (
            f"'{path}' holds several structures, and the last is taken; '{path}@0' is "
            f"the first, '{path}@:' are all"
        )
    return found, None


def _parsed(path: str, index: str | None) -> slice:
    """Always a range: past the end, readers of single structures give any they like."""
    index = "-1" if index is None else index
    if re.fullmatch(r"\s*-?\d{1,9}\s*", index):
        first = int(index)
        return slice(first, None if first == -1 else first + 1)
    match = _RANGE.fullmatch(index)
    if match is None or (match[3] is not None and int(match[3]) == 0):
        raise InputError(
            f"'{index}' is not an index of structures in '{path}'; give a number "
            "from 0 on, -1 for the last, or a range such as 0:10"
        )
    return slice(*(None if part is None else int(part) for part in match.groups()))


def _format(path: str, form: str | None) -> Any:
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    if form is not None:
        if form not in ioformats or not ioformats[form].can_read:
            raise InputError(
                f"ASE cannot read the format '{form}'; 'ase info --formats' lists them"
            )
        return ioformats[form]
    try:
        return ioformats[filetype(path)]
    except (UnknownFileTypeError, KeyError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> InputError:
    reason = str(error).splitlines()[0] if str(error) else "no reason given"
    return InputError(
        f"'{path}' cannot be read as a structure ({type(error).__name__}: {reason}); "
        "give a file that ASE reads, or its --format"
    )


def _check_counts(path: str, kind: str, max_atoms: int) -> None:
    """Refuse numbers of atoms for which a reader would count lines for ever."""
    from ase.io.formats import open_with_compression

    def check(line: str) -> int | None:
        try:
            count = int(line)
        except ValueError:
            # Their reader says what is wrong.
            return None
        if count > max_atoms:
            raise InputError(
                f"'{path}' announces more than {max_atoms} atoms; every pair is taken "
                "into account, so choose a smaller structure"
            )
        return count

    try:
        with open_with_compression(path, "r") as stream:
            while line := stream.readline():
                if kind == "lammps-dump-text":
                    if line.startswith("ITEM: NUMBER OF ATOMS"):
                        check(stream.readline())
                    continue
                count = check(line)
                if count is None:
                    return
                for _ in range(count + 1):
                    stream.readline()
    except (OSError, EOFError, UnicodeError) as error:
        raise _unreadable(path, error) from error


def _read(path: str, chosen: slice, kind: str) -> list[Atoms]:
    import ase.io

    try:
        found = ase.io.read(path, chosen, kind, do_not_split_by_at_sign=True)
    # Readers of some eighty formats raise whatever they meet.
    except Exception as error:
        raise _unreadable(path, error) from error
    return found if isinstance(found, list) else [found]


def _has_second(path: str, kind: str) -> bool:
    try:
        return len(_read(path, slice(-2, None), kind)) > 1
    except InputError:
        return False


def _check_elements(path: str, kind: str, atoms: Atoms) -> None:
    """Refuse atoms of which nobody knows what they are."""
    sites = atoms.info.get("occupancy")
    shared = isinstance(sites, dict) and any(
        len(site) > 1 or any(share < 1 - 1e-6 for share in site.values())
        for site in sites.values()
    )
    shares = atoms.arrays.get("occupancy")
    if shares is not None:
        # In the format of the Protein Data Bank some programs write 0 for all.
        shared = shared or bool(np.any((shares > 0) & (shares < 1 - 1e-6)))
    if shared:
        raise InputError(
            f"'{path}' has partially occupied sites, which stand for many structures; "
            "put one element, or none, on every site"
        )
    types = atoms.arrays.get("type") if kind.startswith("lammps") else None
    if types is not None and len(atoms) and np.array_equal(types, atoms.numbers):
        numbered = ",".join(f"{k}=..." for k in np.unique(types))
        raise InputError(
            f"'{path}' numbers the types of its atoms and does not say which elements "
            f"they are; give --types {numbered}"
        )


def _elements(types: str | None) -> dict[int, int] | None:
    """Atomic numbers of types, from ``"1=Cu,2=Au"``."""
    from ase_l2h.potentials.elements import atomic_number

    if types is None:
        return None
    elements = {}
    for pair in types.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*=\s*([A-Z][a-z]?)\s*", pair)
        if match is None or int(match[1]) in elements:
            raise InputError(
                f"--types is '{types}'; give every type once with its element, such as "
                "1=Cu,2=Au"
            )
        elements[int(match[1])] = atomic_number(match[2])
    return elements


def _name_types(path: str, atoms: Atoms, elements: dict[int, int]) -> None:
    """Give the atoms the elements of their types."""
    types = atoms.arrays.get("type")
    if types is None:
        raise InputError(
            f"'{path}' does not number the types of its atoms; leave --types out"
        )
    missing = sorted(set(types.tolist()) - set(elements))
    if missing:
        raise InputError(
            f"'{path}' has atoms of type {missing[0]}; name its element in --types, too"
        )
    atoms.numbers[:] = [elements[k] for k in types.tolist()]
    # A type that happens to be its atomic number would look unnamed.
    atoms.set_array("type", None)


def searchable(atoms: Atoms, periodic: bool) -> Atoms:
    """Atoms as a template of results: without what is known of the old positions.

    Raises
    ------
    InputError
        For constraints that a search cannot keep.
    """
    from ase_l2h.ase_adapter.constraints import free_mask
    from ase_l2h.ase_adapter.lasting import lasting

    clean = lasting(atoms)
    if not periodic:
        clean.pbc = False
    # What a search cannot keep is refused here.
    free_mask(clean)
    return clean


def check_atoms(atoms: Atoms, max_atoms: int) -> None:
    """Refuse what is too small, too large or too far away to be searched.

    Raises
    ------
    InputError
        In the words of the command line.
    """
    count = len(atoms)
    if count < 2:
        raise InputError(f"it holds {count} atom(s); a search needs at least 2")
    if count > max_atoms:
        raise InputError(
            f"it holds more than {max_atoms} atoms; every pair is taken into account, "
            "so choose a smaller structure"
        )
    # NaN compares false; its own sentence comes later.
    if half_extent(atoms.positions.T) > FARTHEST:
        raise InputError(
            "its atoms are so far apart that few digits remain for distances; check "
            "the unit of length"
        )
    if np.any(np.abs(atoms.positions) > FARTHEST):
        raise InputError(
            "its coordinates are so large that few digits remain for distances; move "
            "the structure to the origin"
        )


def check_alike(first: Atoms, other: Atoms, number: int) -> None:
    """Refuse structures that are not of the same problem as the first.

    Raises
    ------
    InputError
        Naming the structure.
    """
    from ase_l2h.ase_adapter.constraints import free_mask

    where = f"structure {number} of those chosen"
    if not np.array_equal(first.numbers, other.numbers):
        raise InputError(
            f"{where} has other atoms than the first; choose structures with the "
            "same atoms"
        )
    same_cell = np.allclose(first.cell, other.cell, rtol=0, atol=1e-6)
    if not np.array_equal(first.pbc, other.pbc) or (first.pbc.any() and not same_cell):
        raise InputError(
            f"{where} has another cell than the first; choose structures with the "
            "same cell"
        )
    free, also = free_mask(first), free_mask(other)
    same = (free is None) == (also is None)
    if same and free is not None and also is not None:
        fixed = ~free.T
        same = np.array_equal(free, also) and np.array_equal(
            first.positions[fixed], other.positions[fixed]
        )
    if not same:
        raise InputError(f"{where} has other fixed atoms than the first")
