"""The parts of the method ``auto`` by name: where its structures come from.

A *source* makes structures from nothing, an *improver* changes one that the search
holds. Shares are those of the evaluations before anything is known about a problem,
chosen on development targets (docs/comparison.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from ase_l2h.errors import InputError
from ase_l2h.search.auto import changes, surrogate
from ase_l2h.search.auto.sources import fragment_structures, symmetric_structures
from ase_l2h.search.names import LEARNED
from ase_l2h.search.names import PARTS as PART_NAMES
from ase_l2h.search.problem import Problem

__all__ = [
    "PARTS",
    "Part",
    "checked_parts",
    "first_shares",
    "parts_for",
    "uses_weights",
]

Kind = Literal["source", "improver"]
Change = Callable[[np.ndarray, Problem, np.random.Generator], np.ndarray]
Source = Callable[[Problem, np.random.Generator, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the method.

    Parameters
    ----------
    name
        By which it is switched off.
    kind
        Whether it needs structures that are held.
    share
        Of the evaluations, at first.
    source, change
        What makes its structures, without an evaluation; None of both where that takes
        evaluations, see :class:`~ase_l2h.search.auto.method.Auto`.
    descends
        Whether its structures descend by moves to sites and by exchanges.
    """

    name: str
    kind: Kind
    share: float
    source: Source | None = None
    change: Change | None = None
    descends: bool = True


PARTS: tuple[Part, ...] = (
    Part("uniform", "source", 1.0),
    Part("symmetric", "source", 1.0, source=symmetric_structures),
    Part("fragments", "source", 4.0, source=fragment_structures),
    Part("learned-starts", "source", 0.1),
    Part("learned-hops", "improver", 0.1),
    Part("hopping", "improver", 0.1),
    Part("shakes", "improver", 0.1, change=changes.shaken),
    Part("melts", "improver", 0.5, change=changes.melted),
    Part("twists", "improver", 1.0, change=changes.twisted),
    Part("slides", "improver", 1.0, change=changes.slid),
    Part("moves", "improver", 0.5, change=changes.moved_outside),
    Part("shuffles", "improver", 1.0, change=changes.shuffled),
    Part(surrogate.PART, "improver", 4.0, descends=False),
    Part("swaps", "improver", 1.0, change=changes.swapped),
    Part("molecules", "improver", 4.0, descends=False),
)
# The parts that move whole molecules.
MOLECULAR = {"uniform", "molecules"}


# Every second attempt favours this source and multiplies the shares of the other
# sources by the factor.
FAVOURED, LEFT = "symmetric", 0.1
# Factors of shares where the learned potential has turned out to be a poor model,
# chosen on silicon clusters of 13, 14 and 16 atoms.
UNLIKE = {"hopping": 40.0, surrogate.PART: 0.1, "fragments": 0.1}


def checked_parts(without: Sequence[str]) -> tuple[str, ...]:
    """Names of parts to be left out, in order.

    Raises
    ------
    InputError
        For a name that is none, and where no source would be left.
    """
    if isinstance(without, str) or not isinstance(without, Iterable):
        raise InputError(f"without is {without!r}; give a list of names of parts")
    for name in without:
        if name not in PART_NAMES:
            raise InputError(
                f"no part named '{name}'; choose one of {', '.join(PART_NAMES)}"
            )
    sources = {part.name for part in PARTS if part.kind == "source"}
    if sources <= set(without):
        raise InputError(
            f"no source of structures is left; keep one of {', '.join(sorted(sources))}"
        )
    return tuple(sorted(set(without)))


def uses_weights(without: Sequence[str], given: bool) -> bool:
    """Whether a learned part is left.

    Raises
    ------
    InputError
        Where none is, and weights are ``given``.
    """
    left = not set(without) >= LEARNED
    if given and not left:
        raise InputError(
            "weights are given, and both learned parts are left out; leave the weights "
            "out, too"
        )
    return left


def parts_for(
    problem: Problem, without: Sequence[str], learned: bool
) -> tuple[Part, ...]:
    """The parts that a problem allows; there may be no source among them.

    Parameters
    ----------
    problem
        With fixed atoms or a cell there are no fragments, with one element no swaps;
        molecules that are kept whole have their own parts.
    without
        Names that are switched off.
    learned
        Whether there are weights.
    """
    impossible = set(without)
    if problem.molecules is not None:
        chosen = [part for part in PARTS if part.name in MOLECULAR - impossible]
        return tuple(dataclasses.replace(part, descends=False) for part in chosen)
    impossible.add("molecules")
    if problem.cell is not None or problem.free is not None or problem.n_atoms < 4:
        impossible.add("fragments")
    if problem.regional or problem.n_atoms < 4:
        impossible.add("symmetric")
    begins = {part.name for part in PARTS if part.kind == "source"} - LEARNED
    if not surrogate.learnable(problem) or impossible >= begins:
        impossible.add(surrogate.PART)
    if not learned:
        impossible |= LEARNED
    if problem.regional:
        # Relaxing a few atoms costs a fraction of a learned start.
        impossible.add("learned-starts")
    placed = int(problem.placed.sum())
    if placed < 4:
        impossible |= {"melts", "twists", "moves"}
    if placed < (1 if problem.free is not None else 4):
        impossible.add("shuffles")
    if problem.cell is not None:
        # A crystal has no outside and no sides to turn.
        impossible |= {"twists", "moves"}
    if problem.free is not None:
        impossible.add("twists")
    if problem.free is None or problem.sought.normal is None:
        # There is no surface to slide on.
        impossible.add("slides")
    if len(np.unique(problem.species[problem.movable])) < 2:
        impossible.add("swaps")
    return tuple(part for part in PARTS if part.name not in impossible)


def first_shares(
    parts: Sequence[Part], attempt: int, held: bool, unlike: bool = False
) -> list[float]:
    """Shares before anything is known; improvers need a structure in the pool.

    Every second attempt favours symmetric structures over packings and random places,
    to find minima that no packing leads to. Where bonds are ``unlike`` those of metals,
    basin hopping, which assumes nothing about them, gets most.
    """
    shares = {p.name: p.share if held or p.kind == "source" else 0.0 for p in parts}
    if unlike:
        shares = {name: UNLIKE.get(name, 1.0) * own for name, own in shares.items()}
    if attempt % 2 and shares.get(FAVOURED, 0.0) > 0:
        for part in parts:
            if part.kind == "source" and part.name != FAVOURED:
                shares[FAVOURED] += (1 - LEFT) * part.share
                shares[part.name] *= LEFT
    return list(shares.values())
