"""Lines of a record that are not there yet are measured, with a progress bar."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ase_l2h._internal.records import Records

__all__ = ["measure_missing"]


def measure_missing(
    path: Path,
    keys: Sequence[Mapping[str, Any]],
    measured: Callable[..., dict[str, Any]],
) -> None:
    """Append ``measured(**key)`` for every key that the record lacks.

    Parameters
    ----------
    path
        The record.
    keys
        What tells its lines apart; the texts of a key name it on the bar.
    measured
        The rest of a line.
    """
    records = Records(path)
    for key in (bar := tqdm(keys, unit="search")):
        bar.set_description(" ".join(x for x in key.values() if isinstance(x, str)))
        records.get(key, functools.partial(measured, **key))
