"""Checks of arguments that several entry points share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ase_l2h.errors import InputError, InputTypeError

__all__ = [
    "check_fixed",
    "check_reach",
    "checked_count",
    "checked_number",
    "checked_seed",
    "half_extent",
]

# Of a bond: the coarsest spacing of coordinates that forces can still be relaxed with.
SPACING = 1e-7


def checked_count(name: str, value: Any, most: int, least: int = 1) -> int:
    """A whole number from ``least`` to ``most``.

    Raises
    ------
    InputError
        When it is anything else.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        raise InputError(
            f"{name} is {value!r}; give a whole number from {least} to {most}"
        )
    return int(value)


def checked_number(name: str, value: Any) -> float | None:
    """A number, or None for None.

    Raises
    ------
    InputError
        When it is anything else, NaN included.
    """
    if value is None:
        return None
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or math.isnan(value):
        raise InputError(f"{name} is {value!r}; give a number")
    return float(value)


def check_reach(positions: np.ndarray, length: float) -> None:
    """Refuse finite positions so far away that digits of the distances are lost.

    Raises
    ------
    InputError
        Where double precision is coarser there than 1e-7 of a bond's ``length``.
    """
    reach = float(np.max(np.abs(positions), initial=0.0))
    half = half_extent(positions)
    if np.spacing(half) > SPACING * length:
        raise InputError(
            f"atoms lie up to {2 * half:.3g} apart, too far for double precision to "
            "resolve their distances; check the unit of length"
        )
    if np.spacing(reach) > SPACING * length:
        raise InputError(
            f"the atoms lie up to {reach:.3g} from the origin, where double "
            "precision cannot resolve their distances; move the structure to the "
            "origin first"
        )


def half_extent(positions: np.ndarray) -> float:
    """How far from the origin atoms lie that are centred there; ``(3, n, ...)``."""
    if positions.size == 0:
        return 0.0
    half = positions.max(axis=1) / 2 - positions.min(axis=1) / 2
    return float(np.max(half))


def check_fixed(given: np.ndarray, free: np.ndarray) -> None:
    """Refuse fixed coordinates without values; ``free`` is a mask ``(3, n)``."""
    if given.shape[2] == 0:
        raise InputError(
            "some coordinates are fixed, but no structure gives their values; give one"
        )
    fixed = given[~free]
    if not np.array_equal(fixed, np.repeat(fixed[:, :1], fixed.shape[1], axis=1)):
        raise InputError(
            "the given structures differ in fixed coordinates; give structures that "
            "agree there"
        )


def checked_seed(rng: Any, comm: Any) -> int:
    """A seed from 0 to 2^32 - 1, the same on every rank.

    Parameters
    ----------
    rng
        The seed itself, a generator, from which one number is drawn, or None for fresh
        entropy.
    comm
        ASE's communicator.

    Raises
    ------
    InputError
        For a seed outside the range: JAX would silently fold it back.
    InputTypeError
        For anything else.
    """
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        if not 0 <= rng < 2**32:
            raise InputError(f"rng is {rng}; give a seed from 0 to 2^32 - 1")
        return int(rng)
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise InputTypeError(
            f"rng is of type {type(rng).__name__}; give a seed, a "
            "numpy.random.Generator or None"
        )
    generator = np.random.default_rng() if rng is None else rng
    drawn = generator.integers(2**32, size=1)
    comm.broadcast(drawn, 0)
    return int(drawn[0])
