"""How much a search may spend, and when it is done."""

from __future__ import annotations

import dataclasses
import math

from ase_l2h._internal.arguments import checked_number
from ase_l2h.errors import InputError

__all__ = ["Limits", "checked_seed"]

MOST_EVALUATIONS = 10**12


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a search ends; None means no limit.

    Parameters
    ----------
    evaluations
        Charged evaluations of each search. Never exceeded.
    seconds
        Wall time of all searches together.
    settled
        End when so many independent attempts have met the lowest minimum; 0 never,
        None as the caller has it by default.
    target_energy
        End at a relaxed energy within 1e-4 energy scales of this, or below.

    Raises
    ------
    InputError
        For numbers that are no limits.
    """

    evaluations: int | None = None
    seconds: int | float | None = None
    target_energy: int | float | None = None
    settled: int | None = None

    def __post_init__(self) -> None:
        for name in ("evaluations", "settled"):
            checked_number(name, getattr(self, name))
        if not (isinstance(self.seconds, float) and math.isnan(self.seconds)):
            checked_number("seconds", self.seconds)
        count = self.evaluations
        if count is not None and not (
            count == int(count) and 1 <= count <= MOST_EVALUATIONS
        ):
            raise InputError(f"{count} evaluations are asked for; give 1 to 10^12")
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(f"the time is {self.seconds} s; give a time above 0")
        known = self.settled
        if known is not None and not (0 <= known <= 1000 and known == int(known)):
            raise InputError(f"settled is {known}; give a number from 0 to 1000")
        checked_number("target_energy", self.target_energy)


def checked_seed(seed: int) -> int:
    """The seed, where it is one.

    Raises
    ------
    InputError
        For anything but 0 to 2^32 - 1.
    """
    number = checked_number("seed", seed)
    if number is None or seed != int(seed) or not 0 <= seed < 2**32:
        raise InputError(f"the seed is {seed}; give a number from 0 to 2^32 - 1")
    return int(seed)
