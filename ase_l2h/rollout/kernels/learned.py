"""Adapters of the learned rules.

All constants of the headers come from the rules' own modules, as macros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_l2h.rollout.kernels.adapter import Parts, RuleAdapter, all_like, like
from ase_l2h.rollout.kernels.macros import Macros, single, singles
from ase_l2h.rules.learned import CoordinatewiseRule, EquivariantRule
from ase_l2h.rules.learned.coordinatewise import LearnedState
from ase_l2h.rules.learned.equivariant import EquivariantState
from ase_l2h.rules.learned.features import (
    DECAYS,
    ETAS,
    LOG_RANGE,
    MOMENT_OFFSET,
    RADIAL_CUTOFF,
    STEP_PERIODS,
    Moments,
)
from ase_l2h.rules.learned.invariants import (
    FULL_SHELL,
    SCALE_GAIN,
    SHELL_CENTRES,
    SHELL_WIDTHS,
    TINY,
    VECTOR_CENTRES,
    VECTOR_WIDTHS,
)
from ase_l2h.rules.learned.network import FeatureMajorNetwork
from ase_l2h.system import System

__all__ = ["CoordinatewiseAdapter", "EquivariantAdapter"]

NETWORK_HIDDEN = FeatureMajorNetwork.hidden
CLOCK_ROWS = len(DECAYS) + len(STEP_PERIODS)


def _network(rule: Any, first: str) -> list[Any]:
    """Weights in the order of the layers, then the scalars."""
    names = [f"{kind}_{k}" for k in (0, 1, "out") for kind in ("kernel", "bias")]
    values = [rule.theta[name] for name in (*names, first, "beta", "gamma")]
    return [*values, rule.time_scale]


def _network_macros() -> Macros:
    """Constants of cpp/rules/learned.h."""
    logarithms = np.log(np.asarray(DECAYS, np.float32).astype(np.float64))
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
    """State: averages of the gradient per decay, and the best energy."""

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
        """Moments, two pooled numbers, the remembered position and one more."""
        return 4 * len(DECAYS) + 2 + 4 * rule.features.memory

    def parameters(self, rule: EquivariantRule) -> list[Any]:
        """The network, ``log_alpha``, ``beta``, ``gamma`` and the clock."""
        return _network(rule, "log_alpha")

    def initial(self, rule: EquivariantRule, positions: np.ndarray) -> EquivariantState:
        """No steps taken."""
        dtype, shape = positions.dtype, positions.shape
        batch = shape[2:]
        fields: dict[str, Any] = dict(
            step=np.zeros(batch, np.int32),
            first=np.zeros((len(DECAYS), *shape), dtype),
            second=np.zeros((len(DECAYS), *shape[1:]), dtype),
            best_energy=np.full(batch, np.inf, dtype),
            since_best=np.zeros(batch, dtype),
            best_positions=positions.copy() if rule.features.memory else None,
        )
        return EquivariantState(**fields)

    def pack(self, state: EquivariantState) -> Parts:
        """First and second moments, and the remembered position."""
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
        """The state with its clock advanced."""
        home = state.best_positions
        return state._replace(
            step=state.step + np.int32(n_steps),
            first=like(rows[0], state.first),
            second=like(rows[1], state.second),
            best_energy=like(whole[0], state.best_energy),
            since_best=like(whole[1], state.since_best),
            best_positions=None if home is None else like(rows[2], home),
        )


class CoordinatewiseAdapter(RuleAdapter):
    """State: averages of the gradient and its square per decay and coordinate."""

    header, shared = "coordinatewise", NETWORK_HIDDEN + CLOCK_ROWS

    def reject_reason(self, rule: CoordinatewiseRule, system: System) -> str | None:
        """Rejected with more species than slots."""
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
        """True if it distinguishes species."""
        return rule.features.species_slots > 1

    def rows(self, rule: CoordinatewiseRule, hopping: bool) -> int:
        """Only the moments."""
        return 6 * len(DECAYS)

    def parameters(self, rule: CoordinatewiseRule) -> list[Any]:
        """The network, ``alpha``, ``beta``, ``gamma`` and the clock."""
        return _network(rule, "alpha")

    def initial(self, rule: CoordinatewiseRule, positions: np.ndarray) -> LearnedState:
        """No steps taken."""
        shape = (len(DECAYS), *positions.shape)
        zeros: Any = [np.zeros(shape, positions.dtype) for _ in range(2)]
        steps: Any = np.zeros(positions.shape[2:], np.int32)
        return LearnedState(steps, Moments(*zeros))

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
        """The state with its clock advanced."""
        moments = Moments(*all_like(rows, state.moments))
        return LearnedState(state.step + np.int32(n_steps), moments)
