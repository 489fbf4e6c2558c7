"""The rules of the kernels, one adapter each: parameters, first state, layout.

A new rule is a header in ``cpp/rules`` and an adapter here, listed in ``RULES``. All
constants of the header come from the rule's own module, as macros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import optax

from ase_l2h.optimizers.basin_hopping.optimizer import BasinHopping
from ase_l2h.optimizers.rule_steps import RuleOptimizer
from ase_l2h.rollout.kernels.macros import Macros, single, singles
from ase_l2h.rules.adam import Adam
from ase_l2h.rules.fire import Fire, FireState
from ase_l2h.rules.lbfgs import Lbfgs, LbfgsState
from ase_l2h.rules.learned import CoordinatewiseRule, EquivariantRule
from ase_l2h.rules.learned.coordinatewise import LearnedState
from ase_l2h.rules.learned.equivariant import (
    FULL_SHELL,
    SCALE_GAIN,
    SHELL_CENTRES,
    SHELL_WIDTHS,
    TINY,
    VECTOR_CENTRES,
    VECTOR_WIDTHS,
    EquivariantState,
)
from ase_l2h.rules.learned.features import (
    DECAYS,
    ETAS,
    LOG_RANGE,
    MOMENT_OFFSET,
    RADIAL_CUTOFF,
    STEP_PERIODS,
    Moments,
)
from ase_l2h.rules.learned.network import FeatureMajorNetwork
from ase_l2h.system import System

__all__ = ["RULES", "Parts", "RuleAdapter", "rule_adapter", "rule_of"]

NETWORK_HIDDEN = FeatureMajorNetwork.hidden
CLOCK_ROWS = len(DECAYS) + len(STEP_PERIODS)


class Parts(NamedTuple):
    """A rule's state as arrays ``(rows, n, batch)`` and ``(batch)``.

    ``steps`` is what a learned rule's clock shows, ``()`` or ``(batch)``.
    """

    rows: list[Any]
    whole: list[Any]
    steps: Any = 0


class RuleAdapter:
    """How the kernels see a rule."""

    # In cpp/rules, without its ending.
    header: str
    # Numbers per structure that all threads share: first layer and clock.
    shared = 0
    # Whether the header's numbers suffice for double precision.
    double = False
    # Names of the parameters in the order of `parameters`, for classical rules.
    names: tuple[str, ...] = ()

    def reject_reason(self, rule: Any, system: System) -> str | None:
        """Why the kernels cannot take this rule there; None when they can."""
        return None

    def macros(self, rule: Any) -> Macros:
        """What the source is compiled for, besides the header."""
        return {"RULE_PARAMETERS": ",".join(self.names)}

    def own_species(self, rule: Any) -> bool:
        """Whether the rule looks at the species of single atoms."""
        return False

    def rows(self, rule: Any, hopping: bool) -> int:
        """Numbers per atom that a structure keeps on the chip."""
        raise NotImplementedError

    def parameters(self, rule: Any) -> list[Any]:
        """Numbers in the order in which the kernel reads them."""
        return [getattr(rule, name) for name in self.names]

    def initial(self, rule: Any, positions: np.ndarray) -> Any:
        """The rule's state before its first step; ``positions`` are reduced."""
        raise NotImplementedError

    def pack(self, state: Any) -> Parts:
        """The state, taken apart."""
        raise NotImplementedError

    def unpack(
        self, state: Any, rows: Sequence[Any], whole: Sequence[Any], n_steps: int
    ) -> Any:
        """``state`` after ``n_steps`` that have changed its parts."""
        raise NotImplementedError


def _like(array: Any, old: Any) -> Any:
    return array if array.dtype == old.dtype else array.astype(old.dtype)


def _all_like(arrays: Sequence[Any], old: Sequence[Any]) -> list[Any]:
    return [_like(a, b) for a, b in zip(arrays, old, strict=True)]


def _network(rule: Any, first: str) -> list[Any]:
    """Weights in the order of the layers, then the scalars."""
    names = [f"{kind}_{k}" for k in (0, 1, "out") for kind in ("kernel", "bias")]
    values = [rule.theta[name] for name in (*names, first, "beta", "gamma")]
    return [*values, rule.time_scale]


def _network_macros() -> Macros:
    """Constants of cpp/rules/learned.h."""
    logarithms = np.log(np.float32(DECAYS).astype(np.float64))
    return {
        "HIDDEN": NETWORK_HIDDEN,
        "DECAY_COUNT": len(DECAYS),
        "DECAY_VALUES": singles(DECAYS),
        "LOG_DECAY_VALUES": singles(logarithms),
        "PERIOD_COUNT": len(STEP_PERIODS),
        "PERIOD_VALUES": singles(STEP_PERIODS),
        "LOG_RANGE": single(LOG_RANGE),
        "FLOOR": single(math.exp(-LOG_RANGE)),
        "INVERSE_FLOOR": single(math.exp(LOG_RANGE)),
        "TINY": single(TINY),
    }


class EquivariantAdapter(RuleAdapter):
    """Averages of the gradient per decay, and the best energy."""

    header, shared = "equivariant", NETWORK_HIDDEN + CLOCK_ROWS

    def macros(self, rule: EquivariantRule) -> Macros:
        """Switches of the features."""
        names = ("step", "progress", "atom_energies", "memory", "species")
        switches = {n.upper(): int(getattr(rule.features, n)) for n in names}
        return (
            _network_macros()
            | switches
            | {
                "SHELLS": len(SHELL_CENTRES),
                "SHELL_CENTRE_VALUES": singles(SHELL_CENTRES),
                "SHELL_WIDTH_VALUES": singles(SHELL_WIDTHS),
                "NEAR": len(VECTOR_CENTRES),
                "NEAR_CENTRE_VALUES": singles(VECTOR_CENTRES),
                "NEAR_WIDTH_VALUES": singles(VECTOR_WIDTHS),
                "FULL_SHELL": single(FULL_SHELL),
                "SCALE_GAIN": single(SCALE_GAIN),
            }
        )

    def rows(self, rule: EquivariantRule, hopping: bool) -> int:
        """Moments and two pooled numbers; the place remembered and one more."""
        return 4 * len(DECAYS) + 2 + 4 * rule.features.memory

    def parameters(self, rule: EquivariantRule) -> list[Any]:
        """The network, ``log_alpha``, ``beta``, ``gamma`` and the clock."""
        return _network(rule, "log_alpha")

    def initial(self, rule: EquivariantRule, positions: np.ndarray) -> EquivariantState:
        """No steps taken."""
        dtype, shape = positions.dtype, positions.shape
        batch = shape[2:]
        return EquivariantState(
            step=np.zeros(batch, np.int32),
            first=np.zeros((len(DECAYS), *shape), dtype),
            second=np.zeros((len(DECAYS), *shape[1:]), dtype),
            best_energy=np.full(batch, np.inf, dtype),
            since_best=np.zeros(batch, dtype),
            best_positions=positions.copy() if rule.features.memory else None,
        )

    def pack(self, state: EquivariantState) -> Parts:
        """First and second moments, the place remembered."""
        home = state.best_positions
        rows = [state.first, state.second, *([] if home is None else [home])]
        return Parts(rows, [state.best_energy, state.since_best], state.step)

    def unpack(
        self,
        state: EquivariantState,
        rows: Sequence[Any],
        whole: Sequence[Any],
        n_steps: int,
    ) -> EquivariantState:
        """The clock has gone on."""
        home = state.best_positions
        return state._replace(
            step=state.step + np.int32(n_steps),
            first=_like(rows[0], state.first),
            second=_like(rows[1], state.second),
            best_energy=_like(whole[0], state.best_energy),
            since_best=_like(whole[1], state.since_best),
            best_positions=None if home is None else _like(rows[2], home),
        )


class CoordinatewiseAdapter(RuleAdapter):
    """Averages of the gradient and its square per decay and coordinate."""

    header, shared = "coordinatewise", NETWORK_HIDDEN + CLOCK_ROWS

    def reject_reason(self, rule: CoordinatewiseRule, system: System) -> str | None:
        """Where there are more species than slots."""
        slots = rule.features.species_slots
        if slots > 1 and int(np.max(np.asarray(system.species))) >= slots:
            return f"this rule tells {slots} species apart, and the system has more"
        return None

    def macros(self, rule: CoordinatewiseRule) -> Macros:
        """Switches of the features, and the number of species."""
        features = rule.features
        names = ("gradients", "positions", "adam_like", "singular", "step", "radial")
        switches = {n.upper(): int(getattr(features, n)) for n in names}
        return (
            _network_macros()
            | switches
            | {
                "ETA_COUNT": len(ETAS),
                "ETA_FIRST": single(ETAS[0]),
                "ETA_HALF": single(ETAS[1] / 2),
                "ETA_SIXTH": single(ETAS[5]),
                "CUTOFF_SQUARED": single(RADIAL_CUTOFF**2),
                "MOMENT_OFFSET": single(MOMENT_OFFSET),
                "DECAYED": int(features.decays),
                "SLOTS": features.species_slots,
                "HOT": features.n_species,
            }
        )

    def own_species(self, rule: CoordinatewiseRule) -> bool:
        """Where it tells species apart."""
        return rule.features.species_slots > 1

    def rows(self, rule: CoordinatewiseRule, hopping: bool) -> int:
        """Moments only."""
        return 6 * len(DECAYS)

    def parameters(self, rule: CoordinatewiseRule) -> list[Any]:
        """The network, ``alpha``, ``beta``, ``gamma`` and the clock."""
        return _network(rule, "alpha")

    def initial(self, rule: CoordinatewiseRule, positions: np.ndarray) -> LearnedState:
        """No steps taken."""
        shape = (len(DECAYS), *positions.shape)
        moments = Moments(*(np.zeros(shape, positions.dtype) for _ in range(2)))
        return LearnedState(np.zeros(positions.shape[2:], np.int32), moments)

    def pack(self, state: LearnedState) -> Parts:
        """First and second moments."""
        return Parts(list(state.moments), [], state.step)

    def unpack(
        self,
        state: LearnedState,
        rows: Sequence[Any],
        whole: Sequence[Any],
        n_steps: int,
    ) -> LearnedState:
        """The clock has gone on."""
        moments = Moments(*_all_like(rows, state.moments))
        return LearnedState(state.step + np.int32(n_steps), moments)


class AdamAdapter(RuleAdapter):
    """Moments, and a count of steps for every structure."""

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
        new = _all_like((*whole, *rows), (first.count, first.mu, first.nu))
        return (type(first)(*new), *rest)


class FireAdapter(RuleAdapter):
    """Velocities; time step, mixing and downhill steps."""

    header, double = "fire", True
    names = ("dt", "dt_max", "max_step", "alpha", "f_inc", "f_dec", "f_alpha", "n_min")

    def rows(self, rule: Fire, hopping: bool) -> int:
        """Velocities and three sums."""
        return 6

    def initial(self, rule: Fire, positions: np.ndarray) -> FireState:
        """At rest."""
        batch, dtype = positions.shape[2:], positions.dtype
        return FireState(
            velocity=np.zeros_like(positions),
            dt=np.full(batch, np.asarray(rule.dt), dtype),
            alpha=np.full(batch, np.asarray(rule.alpha), dtype),
            downhill=np.zeros(batch, np.int32),
        )

    def pack(self, state: FireState) -> Parts:
        """Velocities; the rest per structure."""
        return Parts([state.velocity], [state.dt, state.alpha, state.downhill])

    def unpack(
        self, state: FireState, rows: Sequence[Any], whole: Sequence[Any], n_steps: int
    ) -> FireState:
        """All of it has changed."""
        return FireState(*_all_like((*rows, *whole), state))


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
        return LbfgsState(
            gradient=np.zeros_like(positions),
            energy=np.full(batch, np.inf, dtype),
            step=np.zeros_like(positions),
            rejections=np.zeros(batch, np.int32),
            started=np.zeros(batch, bool),
            s=np.zeros(pairs, dtype),
            y=np.zeros(pairs, dtype),
            rho=np.zeros((rule.memory, *batch), dtype),
        )

    def pack(self, state: LbfgsState) -> Parts:
        """Places and scalars."""
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
        """All of it has changed."""
        names = (*self.places, *self.scalars)
        new = zip(names, (*rows, *whole), strict=True)
        return LbfgsState(**{k: _like(a, getattr(state, k)) for k, a in new})


RULES: dict[type, RuleAdapter] = {
    EquivariantRule: EquivariantAdapter(),
    CoordinatewiseRule: CoordinatewiseAdapter(),
    Adam: AdamAdapter(),
    Fire: FireAdapter(),
    Lbfgs: LbfgsAdapter(),
}


def rule_of(optimizer: Any) -> Any:
    """What displaces the atoms, None where the kernels do not know the optimizer."""
    if isinstance(optimizer, BasinHopping):
        return optimizer.quench
    return optimizer.rule if isinstance(optimizer, RuleOptimizer) else None


def rule_adapter(rule: Any) -> RuleAdapter:
    """The adapter of a rule that has one."""
    return RULES[type(rule)]
