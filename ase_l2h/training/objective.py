"""The meta-loss of a rule's unroll.

    L = min(E, 0) / |E_Adam|,   non-finite E counts as 0        (the paper's unit)

with E the energy after the last learned step and a real quench (FIRE). The final state
is still hot; a weak quench would hide its basin and so weaken the signal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ase_l2h._internal.promotion import compiled, promoting
from ase_l2h._internal.pytree import replace
from ase_l2h.optimizers.base import SearchState
from ase_l2h.optimizers.rule_steps import RuleOptimizer
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout.kernels import native
from ase_l2h.rollout.scan import (
    COMPILER_OPTIONS,
    advance,
    evaluate,
    initialise_state,
)
from ase_l2h.rules.adam import Adam
from ase_l2h.rules.base import Rule
from ase_l2h.rules.fire import Fire
from ase_l2h.rules.gradient_descent import GradientDescent
from ase_l2h.system import System

__all__ = [
    "LOOPS",
    "QUENCHES",
    "UNROLL_OPTIONS",
    "Unroll",
    "adam_reference",
    "capped_energy",
    "followed",
    "unroll",
    "with_horizon",
]


# The paper's quench is gradient descent at 0.001; 0.002 gives the same in half the
# steps.
QUENCHES: dict[str, Any] = {"fire": Fire(), "gd": GradientDescent(rate=0.002)}


class Loop(NamedTuple):
    """How a backend begins a search, steps it, and ends it; see ``rollout.scan``."""

    initialise: Callable[..., SearchState]
    advance: Callable[..., SearchState]
    evaluate: Callable[..., SearchState]


def _native_steps(
    optimizer: Any,
    potential: Potential,
    system: System,
    state: SearchState,
    key: Array,
    first: int,
    n_steps: int | Int[Array, ""],
) -> SearchState:
    # These kernels draw no random numbers, so key and step number do not matter.
    return native.advance(optimizer, potential, system, state, int(n_steps))


UNROLL_OPTIONS = COMPILER_OPTIONS
LOOPS = {
    "scan": Loop(initialise_state, advance, evaluate),
    "native": Loop(
        compiled(initialise_state),
        _native_steps,
        compiled(evaluate, compiler_options=UNROLL_OPTIONS),
    ),
}


class Unroll(NamedTuple):
    """Quenched energy and charged evaluations of each start, ``(*batch)``."""

    energy: Float[Array, "*batch"]
    evaluations: Int[Array, "*batch"]


def unroll(
    rule: Rule,
    potential: Potential,
    system: System,
    starts: Float[Array, "3 n *batch"],
    key: Array,
    horizon: int | Int[Array, ""],
    quench_steps: int | Int[Array, ""],
    quench_rule: Rule = QUENCHES["fire"],
    *,
    from_best: bool = False,
    loop: Loop = LOOPS["scan"],
) -> Unroll:
    """``horizon`` steps of the rule, then up to ``quench_steps`` of the quench.

    The quench starts from the last point, the paper's loss, or with ``from_best`` from
    the lowest point seen. Only with ``loop`` of the backend ``scan`` can this be
    compiled.
    """
    state = followed(rule, potential, system, starts, key, horizon, loop)
    final = state.best_positions if from_best else state.positions
    settled = followed(quench_rule, potential, system, final, key, quench_steps, loop)
    settled = loop.evaluate(potential, system, settled)
    return Unroll(settled.energy, state.evaluations + settled.evaluations)


def followed(
    rule: Rule,
    potential: Potential,
    system: System,
    positions: Float[Array | np.ndarray, "3 n *batch"],
    key: Array,
    n_steps: int | Int[Array, ""],
    loop: Loop = LOOPS["scan"],
) -> SearchState:
    """Take ``n_steps`` of a rule; the other arguments are those of :func:`unroll`."""
    optimizer = RuleOptimizer(rule)
    with promoting():
        state = loop.initialise(optimizer, potential, system, positions, key)
        return loop.advance(optimizer, potential, system, state, key, 0, n_steps)


def capped_energy(energy: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Energy capped at 0, that of separated atoms; non-finite energies count as 0.

    The cap comes before any clipping, because at +inf the difference of two arms is
    nan.
    """
    return jnp.where(jnp.isfinite(energy), jnp.minimum(energy, 0.0), 0.0)


def adam_reference(
    potential: Potential,
    system: System,
    starts: Float[Array, "3 n *batch"],
    key: Array,
    horizon: int = 2000,
) -> Float[Array, ""]:
    """The lowest energy Adam (rate 0.01) finds from ``starts``: the loss's unit."""
    result = unroll(Adam(), potential, system, starts, key, horizon, 100)
    return jnp.min(capped_energy(result.energy))


def with_horizon(rule: Any, horizon: int | Int[Array, ""]) -> Any:
    """The rule with its clock compressed to ``horizon`` steps."""
    return replace(rule, time_scale=jnp.float32(rule.reference_horizon / horizon))


jit_unroll = compiled(
    unroll, static_argnames=("from_best", "loop"), compiler_options=UNROLL_OPTIONS
)
jit_adam_reference = compiled(
    adam_reference, static_argnames="horizon", compiler_options=COMPILER_OPTIONS
)
