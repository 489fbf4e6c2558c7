"""Names of search methods: what ``--method`` and ``search(method=...)`` understand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_l2h.optimizers import (
    BasinHopping,
    Compression,
    Moves,
    Optimizer,
    Restarts,
    paper_basin_hopping,
)
from ase_l2h.optimizers.rule_steps import rule_optimizers
from ase_l2h.rules import Adam, Fire, GradientDescent
from ase_l2h.system import System
from ase_l2h.weights.load import Weights, load_weights

__all__ = [
    "HOPPING",
    "METHODS",
    "default_steps",
    "make_optimizer",
    "method_weights",
    "strong_basin_hopping",
]

METHODS = ("learned", "adam", "fire", "gd", "bh", "bh-paper")
# No rate of the paper's grid does better on LJ13 beyond its error; see docs.
CLASSICAL: dict[str, Any] = {
    "adam": Adam(rate=0.01),
    "fire": Fire(),
    "gd": GradientDescent(rate=0.002),
}
CLASSICAL_STEPS = 1000
# Methods that hop, and their steps: about a hundred hops; the paper's ten.
HOPPING = {"bh": 10_000, "bh-paper": 50_000}


def strong_basin_hopping(system: System) -> BasinHopping:
    """Basin hopping with settings that serve clusters of many sizes.

    Half of the stages compress, because compression finds compact clusters many times
    faster and hinders others. Alloys exchange unlike atoms in half of the hops.
    """
    alloy = len(np.unique(np.asarray(system.species))) > 1
    return BasinHopping(
        moves=Moves(surface=0.5, swap=0.5 if alloy else None),
        compression=Compression(strength=40.0, share=0.5),
        restarts=Restarts(stall=20),
    )


def method_weights(method: str, weights: str | None) -> Weights | None:
    """The weights of a method, None for one that has none.

    Raises
    ------
    ValueError
        For an unknown method, weights that are not found, or weights given to a method
        that has none.
    """
    if method == "learned":
        return load_weights(weights)
    if method not in METHODS:
        raise ValueError(
            f"no method named '{method}'; choose one of {', '.join(METHODS)}"
        )
    if weights is not None:
        raise ValueError(
            f"method '{method}' uses no weights; leave them out or choose 'learned'"
        )
    return None


def default_steps(method: str, weights: Weights | None) -> int:
    """Steps per start when nobody asks for others."""
    if weights is not None:
        return weights.horizon
    return HOPPING.get(method, CLASSICAL_STEPS)


def make_optimizer(
    method: str,
    weights: Weights | None,
    n_steps: int,
    system: System,
    target_energy: float | None = None,
) -> Optimizer | Sequence[Optimizer]:
    """The optimizer of a method, or several that the starts take in turn.

    Parameters
    ----------
    method, weights
        As :func:`method_weights` has checked and found them.
    n_steps
        The clock of a learned rule is compressed or stretched to these.
    system
        Basin hopping looks whether it is an alloy.
    target_energy
        Methods that hop stop there (the potential's unit).
    """
    if weights is not None:
        return rule_optimizers(weights.for_horizon(n_steps).rule)
    if method not in HOPPING:
        return rule_optimizers(CLASSICAL[method])
    hopping = paper_basin_hopping()
    if method == "bh":
        hopping = strong_basin_hopping(system)
    if target_energy is None:
        return hopping
    return hopping.towards(target_energy, system)
