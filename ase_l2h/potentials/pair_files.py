"""Potentials from files of one's own: TOML with one row for each pair of elements.

    "Ag-Au" = [p, q, r0, xi, A]        # Gupta, angstrom and eV
    "Ar-Kr" = [epsilon, sigma]         # Lennard-Jones

with every like and unlike pair once.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ase_l2h._internal.files import read_regular
from ase_l2h.errors import InputError
from ase_l2h.potentials.base import Potential
from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.parameters import GUPTA_SETS

__all__ = ["potential_from_file"]

# Numbers in a row of each family.
WIDTHS = {"gupta": 5, "lj": 2}
# Without a cut-off a cluster sees all pairs; binary Lennard-Jones needs a number.
FAR = 1e3


def potential_from_file(
    path: str | Path, symbols: Sequence[str], family: str
) -> Potential:
    """The potential of a file's rows, for these elements.

    Parameters
    ----------
    path
        A TOML file; rows of other pairs are left alone.
    symbols
        The elements; the potential numbers them by atomic number, or of Lennard-Jones
        in the order given here.
    family
        ``"gupta"`` or ``"lj"``.

    Raises
    ------
    InputError
        For a file that cannot be read, and rows that are missing or no numbers.
    """
    elements = list(dict.fromkeys(symbols))
    rows = _read_rows(Path(path), elements, WIDTHS[family])
    if family == "gupta":
        pairs = {
            "-".join(sorted(pair) if len(pair) == 2 else [*pair] * 2): tuple(row)
            for pair, row in rows.items()
        }
        return Gupta.from_pairs(pairs)
    tables = np.array(
        [[rows[frozenset((a, b))] for b in elements] for a in elements], dtype=float
    )
    far = np.full(tables.shape[:2], FAR) * tables[..., 1].max()
    return BinaryLennardJones(
        tables[..., 0], tables[..., 1], far, "truncated", tuple(elements)
    )


def _read_rows(
    path: Path, elements: Sequence[str], width: int
) -> dict[frozenset[str], list[float]]:
    """One row of ``width`` positive numbers for each pair."""
    try:
        content: Any = tomllib.loads(read_regular(path).decode())
    except OSError as error:
        raise InputError(
            f"'{path}' is neither a Gupta parameter set nor a file that can be read "
            f"({error.strerror}); the sets are {', '.join(GUPTA_SETS)}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from error
    rows = {}
    for pair in itertools.combinations_with_replacement(elements, 2):
        names = {"-".join(pair), "-".join(reversed(pair))}
        found = [content[name] for name in names if name in content]
        if len(found) != 1:
            raise InputError(
                f"{path} must have one row for {'-'.join(pair)}; write "
                f'"{"-".join(pair)}" = [{width} numbers]'
            )
        row = found[0]
        sound = isinstance(row, list) and len(row) == width
        numbers = (int, float)
        if not sound or not all(
            isinstance(v, numbers) and not isinstance(v, bool) and 0 < v < float("inf")
            for v in row
        ):
            raise InputError(
                f"{path}: the row for {'-'.join(pair)} must be {width} positive numbers"
            )
        rows[frozenset(pair)] = [float(v) for v in row]
    return rows
