"""What a hull search depends on, and what it finds."""

from __future__ import annotations

import dataclasses
from typing import Any

from ase import Atoms

from ase_l2h.errors import InputError
from ase_l2h.search.auto.parts import checked_parts
from ase_l2h.search.hull.system import HullSystem
from ase_l2h.search.limits import checked_seed

__all__ = ["DEFAULT_BUDGET", "HullResult", "HullSettings"]

# Evaluations of a composition; the second if each is a call of a calculator.
DEFAULT_BUDGET = 1_000_000
DEFAULT_CALLS = 2000
# Structures that a composition makes in a round; the compositions share the lanes. If
# each evaluation is a call, rounds are short so that results are used sooner.
WIDTH, CALLED_WIDTH = 16, 2
# A search is settled after so many rounds without a lower energy anywhere.
PATIENCE = 30


@dataclasses.dataclass(frozen=True)
class HullSettings:
    """What the result of a hull search depends on.

    Parameters
    ----------
    compositions
        Numbers of atoms of species 1 to search.
    budget
        Charged evaluations per composition. Never exceeded.
    patience
        Rounds without a lower energy anywhere after which the search ends.
    seed
        Everything random follows from it.
    width
        Structures per composition and round.
    without
        Parts of the method that are left out, see :mod:`~ase_l2h.search.auto.parts`.
    """

    compositions: tuple[int, ...]
    budget: int = DEFAULT_BUDGET
    patience: int = PATIENCE
    seed: int = 0
    width: int = WIDTH
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "without", checked_parts(self.without))
        if not self.compositions:
            raise InputError("no composition is asked for; give one or more")
        for name in ("budget", "patience", "width"):
            if not 1 <= getattr(self, name) <= 10**12:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 to 10^12")
        checked_seed(self.seed)


@dataclasses.dataclass(frozen=True)
class HullResult:
    """The lowest structure of every composition.

    Parameters
    ----------
    system
        What was searched.
    structures
        By number of atoms of the first element, each with its energy; compositions of
        which nothing was found are missing.
    charged
        Charged evaluations by number of atoms of the first element.
    fell
        Charged evaluations at the last fall of each composition's energy.
    rounds
        Rounds taken.
    ended
        ``"budget"``, ``"settled"``, ``"time"``, ``"interrupted"``, or ``"failed"``
        where too many calls of a calculator in a row have failed.
    seconds
        Wall time over all parts of the search.
    settings
        What the result depends on, JSON-able.
    """

    system: HullSystem
    structures: dict[int, Atoms]
    charged: dict[int, int]
    fell: dict[int, int]
    rounds: int
    ended: str
    seconds: float
    settings: dict[str, Any]
