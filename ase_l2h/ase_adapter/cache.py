"""Every call of a calculator in an extended XYZ file, so that none is made twice.

One frame for each call: positions, energy and forces with all digits, which is also a
training set for potentials. A half-written frame of a killed run is cut off when the
file is opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ase_l2h.ase_adapter.remote import energy_of
from ase_l2h.errors import InputError

__all__ = ["CallCache"]

PROPERTIES = "Properties=species:S:1:pos:R:3:forces:R:3"
# Relative and absolute tolerance of the energy of one calculator (units of energy).
RELATIVE, ABSOLUTE = 1e-6, 1e-3
_HEADER = re.compile(
    r'Lattice="([^"]*)" .*energy=(\S+) pbc="([^"]*)" potential=([0-9a-f]{16})$'
)


class CallCache:
    """Calls of one calculator, of any structures.

    Parameters
    ----------
    path
        The file, created if needed. Only one process at a time may use it.
    told
        What identifies the calculator, JSON-able.

    Raises
    ------
    InputError
        For a file of another calculator, one of another kind, and one in use.
    """

    def __init__(self, path: str | Path, told: Any) -> None:
        self.path = Path(path)
        text = json.dumps(told, sort_keys=True, default=str)
        self.potential = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._known: dict[bytes, tuple[float, np.ndarray]] = {}
        # One stored structure of each composition, to check the calculator with.
        self._first: dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray, float]] = {}
        # Makes a call; None uses the calculator of the atoms.
        self.evaluate: Callable[[Atoms], tuple[float, Any]] | None = None
        self._stream = self._opened()
        try:
            self._read()
        except BaseException:
            self._stream.close()
            raise

    def __len__(self) -> int:
        """The number of calls kept."""
        return len(self._known)

    def _opened(self) -> IO[bytes]:
        try:
            stream = self.path.open("a+b")
        except OSError as error:
            raise InputError(
                f"the cache {self.path} cannot be written ({error.strerror}); give "
                "another file"
            ) from error
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                stream.close()
                raise InputError(
                    f"the cache {self.path} is in use by another process; give each "
                    "process its own file"
                ) from error
        return stream

    def _read(self) -> None:
        self._stream.seek(0)
        whole = 0
        while True:
            first = self._stream.readline()
            if not first:
                break
            if not first.strip().isdigit():
                if not first.endswith(b"\n"):
                    break
                raise self._foreign("it does not begin with a number of atoms")
            lines = [self._stream.readline() for _ in range(int(first) + 1)]
            if not lines[-1].endswith(b"\n"):
                break
            self._take(lines)
            whole = self._stream.tell()
        # A half-written frame of a killed run.
        self._stream.truncate(whole)
        self._stream.seek(0, 2)

    def _foreign(self, why: str) -> InputError:
        return InputError(
            f"{self.path} is not a cache of calls ({why}); give another file"
        )

    def _take(self, lines: list[bytes]) -> None:
        match = _HEADER.search(lines[0].decode(errors="replace").strip())
        if match is None or PROPERTIES.encode() not in lines[0]:
            raise self._foreign("a frame has no energy, forces and potential")
        if match[4] != self.potential:
            raise InputError(
                f"{self.path} holds calls of another calculator, or with other "
                "parameters; give another file"
            )
        rows = [line.split() for line in lines[1:]]
        try:
            numbers = np.array([atomic_numbers[row[0].decode()] for row in rows])
            values = np.array([[float(x) for x in row[1:7]] for row in rows])
            cell = np.array(match[1].split(), float).reshape(3, 3)
            energy = float(match[2])
        except (KeyError, ValueError) as error:
            raise self._foreign(f"a frame cannot be read: {error}") from error
        periodic = np.array([flag == "T" for flag in match[3].split()])
        positions, forces = values[:, :3], values[:, 3:]
        key = self._key(numbers, cell, periodic, positions)
        self._known[key] = energy, -forces
        kind = numbers.tobytes()
        self._first.setdefault(kind, (positions, cell, periodic, energy))

    @staticmethod
    def _key(
        numbers: np.ndarray, cell: np.ndarray, periodic: np.ndarray, place: np.ndarray
    ) -> bytes:
        digest = hashlib.sha256(np.asarray(numbers, np.int64).tobytes())
        digest.update(np.asarray(periodic, bool).tobytes())
        digest.update((np.asarray(cell, float) + 0.0).tobytes())
        digest.update((np.ascontiguousarray(place, float) + 0.0).tobytes())
        return digest.digest()

    def find(
        self, atoms: Atoms, positions: np.ndarray
    ) -> tuple[float, np.ndarray] | None:
        """Energy and gradient ``(n, 3)`` of ``atoms`` at ``positions``; None if new.

        Raises
        ------
        InputError
            If the calculator of ``atoms`` now gives another energy than is stored.
        """
        self._check(atoms)
        key = self._key(atoms.numbers, atoms.cell.array, atoms.pbc, positions)
        found = self._known.get(key)
        if found is None:
            return None
        energy, gradient = found
        return energy, gradient.copy()

    def _check(self, atoms: Atoms) -> None:
        """Call the calculator once for a stored structure, to compare it."""
        stored = self._first.pop(atoms.numbers.tobytes(), None)
        if stored is None or atoms.calc is None:
            return
        positions, cell, periodic, energy = stored
        again = Atoms(atoms.numbers, positions, cell=cell, pbc=periodic)
        for name in ("initial_magmoms", "initial_charges", "tags"):
            if name in atoms.arrays:
                again.set_array(name, atoms.arrays[name].copy())
        again.info.update(atoms.info)
        if self.evaluate is not None:
            said = self.evaluate(again)[0]
        else:
            again.calc = atoms.calc
            said = energy_of(again)
        if not abs(said - energy) <= ABSOLUTE + RELATIVE * abs(energy):
            raise InputError(
                f"the calculator gives {said:.10g} for a structure whose energy in "
                f"the cache {self.path} is {energy:.10g}; give another file"
            )

    def add(
        self, atoms: Atoms, positions: np.ndarray, energy: float, gradient: np.ndarray
    ) -> None:
        """Keep a call. An incomplete frame is cut off at the next reading."""
        cell, pbc = atoms.cell.array, atoms.pbc
        key = self._key(atoms.numbers, cell, pbc, positions)
        if key in self._known:
            return
        self._known[key] = energy, np.array(gradient)
        lattice = " ".join(repr(float(x)) for x in cell.ravel())
        flags = " ".join("T" if flag else "F" for flag in pbc)
        lines = [
            str(len(atoms)),
            f'Lattice="{lattice}" {PROPERTIES} energy={float(energy)!r} pbc="{flags}" '
            f"potential={self.potential}",
        ]
        for symbol, place, slope in zip(
            atoms.get_chemical_symbols(), positions, gradient, strict=True
        ):
            numbers = (*place, *(-slope))
            lines.append(" ".join([symbol, *(repr(float(x)) for x in numbers)]))
        if self._stream.closed:
            self._stream = self._opened()
        self._stream.write(("\n".join(lines) + "\n").encode())
        self._stream.flush()

    def close(self) -> None:
        """Release the file; another call takes it again."""
        self._stream.close()
