"""The rules of the kernels by class, and the adapters of the classical ones.

A new rule is a header in ``cpp/rules`` and an adapter, listed in ``RULES``. All
constants of the header come from the rule's own module, as macros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optax

from ase_l2h.errors import RunError
from ase_l2h.optimizers.basin_hopping.optimizer import BasinHopping
from ase_l2h.optimizers.rule_steps import RuleOptimizer
from ase_l2h.rollout.kernels.adapter import Parts, RuleAdapter, all_like, like
from ase_l2h.rollout.kernels.learned import CoordinatewiseAdapter, EquivariantAdapter
from ase_l2h.rollout.kernels.macros import Macros
from ase_l2h.rules.adam import Adam
from ase_l2h.rules.fire import Fire, FireState
from ase_l2h.rules.gradient_descent import GradientDescent
from ase_l2h.rules.lbfgs import Lbfgs, LbfgsState
from ase_l2h.rules.learned import CoordinatewiseRule, EquivariantRule

__all__ = ["RULES", "rule_adapter", "rule_of"]


class AdamAdapter(RuleAdapter):
    """State: moments, and a count of steps for every structure."""

    header = "adam"
    names = ("rate", "b1", "b2", "eps")

    def rows(self, rule: Adam, hopping: bool) -> int:
        """Two more for the pull of a compressed quench."""
        return 6 + 2 * hopping

    def initial(self, rule: Adam, positions: np.ndarray) -> Any:
        """As optax has it."""
        count = np.zeros(positions.shape[2:], np.int32)
        moments = (np.zeros_like(positions) for _ in range(2))
        return optax.ScaleByAdamState(count, *moments), optax.EmptyState()

    def pack(self, state: Any) -> Parts:
        """First and second moments; the count."""
        return Parts([state[0].mu, state[0].nu], [state[0].count])

    def unpack(
        self, state: Any, rows: Sequence[Any], whole: Sequence[Any], n_steps: int
    ) -> Any:
        """Counted by the kernel, structure by structure."""
        first, *rest = state
        new = all_like((*whole, *rows), (first.count, first.mu, first.nu))
        return (type(first)(*new), *rest)


class FireAdapter(RuleAdapter):
    """State: velocities; time step, mixing and downhill steps."""

    header, double = "fire", True
    names = ("dt", "dt_max", "max_step", "alpha", "f_inc", "f_dec", "f_alpha", "n_min")

    def rows(self, rule: Fire, hopping: bool) -> int:
        """Velocities and three sums."""
        return 6

    def initial(self, rule: Fire, positions: np.ndarray) -> FireState:
        """At rest."""
        batch, dtype = positions.shape[2:], positions.dtype
        fields: dict[str, Any] = dict(
            velocity=np.zeros_like(positions),
            dt=np.full(batch, np.asarray(rule.dt), dtype),
            alpha=np.full(batch, np.asarray(rule.alpha), dtype),
            downhill=np.zeros(batch, np.int32),
        )
        return FireState(**fields)

    def pack(self, state: FireState) -> Parts:
        """Velocities; the rest per structure."""
        return Parts([state.velocity], [state.dt, state.alpha, state.downhill])

    def unpack(
        self, state: FireState, rows: Sequence[Any], whole: Sequence[Any], n_steps: int
    ) -> FireState:
        """The state, in which everything has changed."""
        return FireState(*all_like((*rows, *whole), state))


class LbfgsAdapter(RuleAdapter):
    """The last accepted point, the step tried, and the curvature pairs."""

    header, double = "lbfgs", True
    names = ("max_step", "first_step", "rise", "max_rejections")
    places = ("gradient", "step", "s", "y")
    scalars = ("energy", "rejections", "started", "rho")

    def macros(self, rule: Lbfgs) -> Macros:
        """How many pairs are remembered."""
        return super().macros(rule) | {"HISTORY": rule.memory}

    def rows(self, rule: Lbfgs, hopping: bool) -> int:
        """Gradient, step, pairs and two sums."""
        return 6 + 6 * rule.memory + 2

    def initial(self, rule: Lbfgs, positions: np.ndarray) -> LbfgsState:
        """Empty memory."""
        batch, dtype = positions.shape[2:], positions.dtype
        pairs = (rule.memory, *positions.shape)
        fields: dict[str, Any] = dict(
            gradient=np.zeros_like(positions),
            energy=np.full(batch, np.inf, dtype),
            step=np.zeros_like(positions),
            rejections=np.zeros(batch, np.int32),
            started=np.zeros(batch, bool),
            s=np.zeros(pairs, dtype),
            y=np.zeros(pairs, dtype),
            rho=np.zeros((rule.memory, *batch), dtype),
        )
        return LbfgsState(**fields)

    def pack(self, state: LbfgsState) -> Parts:
        """Places and scalars."""
        if state.metric is not None:
            raise RunError("machine code takes no guess of the curvature; use 'scan'")
        rows, whole = (
            [getattr(state, name) for name in names]
            for names in (self.places, self.scalars)
        )
        return Parts(rows, whole)

    def unpack(
        self,
        state: LbfgsState,
        rows: Sequence[Any],
        whole: Sequence[Any],
        n_steps: int,
    ) -> LbfgsState:
        """The state, in which everything has changed."""
        names = (*self.places, *self.scalars)
        new = zip(names, (*rows, *whole), strict=True)
        return LbfgsState(**{k: like(a, getattr(state, k)) for k, a in new})


class GradientDescentAdapter(RuleAdapter):
    """There is no state."""

    header, double = "gradient_descent", True
    names = ("rate", "max_step")

    def rows(self, rule: GradientDescent, hopping: bool) -> int:
        """Two for the pull of a compressed quench."""
        return 2 * hopping

    def initial(self, rule: GradientDescent, positions: np.ndarray) -> Any:
        """None, as in the rule."""
        return None

    def pack(self, state: Any) -> Parts:
        """Nothing."""
        return Parts([], [])

    def unpack(
        self, state: Any, rows: Sequence[Any], whole: Sequence[Any], n_steps: int
    ) -> Any:
        """The unchanged state."""
        return state


RULES: dict[type, RuleAdapter] = {
    EquivariantRule: EquivariantAdapter(),
    CoordinatewiseRule: CoordinatewiseAdapter(),
    Adam: AdamAdapter(),
    Fire: FireAdapter(),
    Lbfgs: LbfgsAdapter(),
    GradientDescent: GradientDescentAdapter(),
}


def rule_of(optimizer: Any) -> Any:
    """The rule of an optimizer, None if the kernels do not know the optimizer."""
    if isinstance(optimizer, BasinHopping):
        return optimizer.quench
    return optimizer.rule if isinstance(optimizer, RuleOptimizer) else None


def rule_adapter(rule: Any) -> RuleAdapter:
    """The adapter of a rule that has one."""
    return RULES[type(rule)]
