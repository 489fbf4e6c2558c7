"""From a method's name to the method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_l2h._internal.arguments import checked_count
from ase_l2h.errors import InputError
from ase_l2h.optimizers import (
    BasinHopping,
    Compression,
    Moves,
    Restarts,
    paper_basin_hopping,
)
from ase_l2h.potentials.jax_md import FunctionPotential
from ase_l2h.rules import Adam, Fire, GradientDescent
from ase_l2h.search.hopping import Hopping
from ase_l2h.search.method import Method
from ase_l2h.search.multistart import Multistart
from ase_l2h.search.names import HOP, METHODS, PARTS, WITH_WEIGHTS
from ase_l2h.search.problem import Problem
from ase_l2h.system import System
from ase_l2h.weights.load import Weights, load_weights

__all__ = [
    "CLASSICAL",
    "default_steps",
    "make_method",
    "method_weights",
    "strong_basin_hopping",
    "strong_hopping",
]

# On LJ13 no other rate of the paper's grid is significantly better; see docs.
CLASSICAL: dict[str, Any] = {
    "adam": Adam(rate=0.01),
    "fire": Fire(),
    "gd": GradientDescent(rate=0.002),
}
CLASSICAL_STEPS = 1000
# Most steps, starts, structures side by side.
MOST = 10_000_000
# Share of the hops in the method `hops`, against 1 of the starts.
HOPS = 9.0
# Structures of one search side by side: two cores with vectors of sixteen.
WIDTH = 32
# Inner steps of a learned start if each costs a call of a calculator.
CALCULATOR_STEPS = 300


def strong_basin_hopping(system: System, atom_energies: bool = True) -> BasinHopping:
    """Basin hopping with settings that serve structures of many sizes.

    Half of the restarts compress, because compression finds compact clusters many times
    faster and hinders others. Alloys exchange unlike atoms in half of the hops. Where
    nobody tells the energies of the atoms, no loosely bound ones are moved.
    """
    alloy = len(np.unique(np.asarray(system.species))) > 1
    return BasinHopping(
        moves=Moves(
            surface=0.5 if atom_energies else None, swap=0.5 if alloy else None
        ),
        compression=Compression(strength=40.0, share=0.5),
        restarts=Restarts(stall=20),
    )


def strong_hopping(problem: Problem) -> BasinHopping:
    """:func:`strong_basin_hopping` adapted to a problem."""
    told = not isinstance(problem.potential, FunctionPotential | type(None))
    return strong_basin_hopping(problem.system, told)


def _paper(problem: Problem) -> BasinHopping:
    return paper_basin_hopping()


def method_weights(method: str, weights: str | None) -> Weights | None:
    """The weights of a method, None for one that has none.

    Raises
    ------
    InputError
        For an unknown method, weights that are not found, or weights given to a method
        that has none.
    """
    if method not in METHODS:
        raise InputError(
            f"no method named '{method}'; choose one of {', '.join(METHODS)}"
        )
    if method not in WITH_WEIGHTS:
        if weights is not None:
            raise InputError(
                f"method '{method}' uses no weights; leave them out or choose 'learned'"
            )
        return None
    if weights is None and method == "auto":
        return None
    return load_weights(HOP if weights is None and method == "hops" else weights)


def default_steps(
    method: str, weights: Weights | None, problem: Problem | None = None
) -> int | None:
    """Default steps per start; None for methods without an end."""
    if weights is not None:
        steps = weights.horizon
        calls = problem is not None and problem.measure is not None
        return min(steps, CALCULATOR_STEPS) if calls else steps
    return CLASSICAL_STEPS if method in CLASSICAL else None


def make_method(
    name: str,
    problem: Problem,
    *,
    weights: str | Weights | None = None,
    steps: int | None = None,
    starts: int | None = None,
    width: int | None = None,
    without: Sequence[str] = (),
) -> Method:
    """The method of a name, ready for a problem.

    Parameters
    ----------
    name
        One of :data:`~ase_l2h.search.names.METHODS`.
    problem
        What is to be searched.
    weights
        Of the learned optimizer: a name, a path, several joined by ``+``, or loaded
        ones; the default when None.
    steps
        Inner steps of every start, or evaluations of every chain.
    starts
        Starts after which the search is done; None goes on until a limit.
    width
        Structures side by side in one search; 32 when None (8 for ``"auto"``), and one
        at a time where each costs a call of a calculator.
    without
        Parts of ``"auto"`` that are left out, see :mod:`~ase_l2h.search.auto.parts`.

    Raises
    ------
    InputError
        For what the method does not take; the sentence says what to do.
    """
    for label, count in (("steps", steps), ("starts", starts), ("width", width)):
        if count is not None:
            checked_count(label, count, MOST)
    if isinstance(weights, Weights) and name in WITH_WEIGHTS:
        loaded: Weights | None = weights
    else:
        chosen_name = weights.name if isinstance(weights, Weights) else weights
        loaded = method_weights(name, chosen_name)
    calls = problem.measure is not None
    if without and name != "auto":
        raise InputError(
            f"the method '{name}' has no parts that can be left out; only 'auto' has"
        )
    if name in ("auto", "hops"):
        if steps is not None or starts is not None:
            raise InputError(
                f"the method '{name}' takes no steps or starts; give it evaluations"
            )
        return _auto(name, problem, loaded, width, without)
    if width is None:
        width = 1 if calls else WIDTH
    if name in ("bh", "bh-paper"):
        if starts is not None:
            width, steps = starts, steps or (10_000 if name == "bh" else 50_000)
        settings = strong_hopping if name == "bh" else _paper
        return Hopping(name, settings, width=width, n_steps=steps)
    count = default_steps(name, loaded, problem) if steps is None else steps
    assert count is not None
    if loaded is None:
        rules, settings_of = (CLASSICAL[name],), {}
    else:
        chosen = loaded.for_horizon(count)
        rules = chosen.rule if isinstance(chosen.rule, tuple) else (chosen.rule,)
        settings_of = {"weights": loaded.name, "weights_sha256": loaded.sha256}
    if starts is not None:
        width = min(max(width, WIDTH), starts)
    return Multistart(
        name, rules, count, width=width, n_starts=starts, settings=settings_of
    )


def _auto(
    name: str,
    problem: Problem,
    weights: Weights | None,
    width: int | None,
    without: Sequence[str],
) -> Method:
    """`auto`, or of its parts only those of the learned optimizer."""
    from ase_l2h.search.auto.method import HOP_STEPS, make_auto
    from ase_l2h.search.auto.parts import checked_parts
    from ase_l2h.search.auto.patience import CALLS

    options: dict[str, Any] = {"without": checked_parts(without)}
    if name == "hops":
        assert weights is not None
        # A few atoms beside many fixed ones begin at random places, as in `auto`.
        source = "uniform" if problem.regional else "learned-starts"
        shares = ((source, 1.0), ("learned-hops", HOPS))
        others = set(PARTS) - {part for part, _ in shares}
        options |= {"without": tuple(sorted(others)), "shares": shares, "name": name}
        options["hop_steps"] = min(weights.horizon, HOP_STEPS)
    if problem.measure is not None:
        # Calls are expensive: one structure at a time, or as many as are asked for from
        # the first round on, and shorter attempts.
        width = 1 if width is None else width
        options |= {"patience": CALLS, "widens": 0}
    if width is not None:
        options["width"] = width
    return make_auto(problem, weights, **options)
