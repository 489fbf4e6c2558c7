"""The rules of the kernels: how their state and parameters are laid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ase_l2h.optimizers.basin_hopping.optimizer import BasinHopping
from ase_l2h.optimizers.rule_steps import RuleOptimizer
from ase_l2h.rules.adam import Adam
from ase_l2h.rules.fire import Fire, FireState
from ase_l2h.rules.lbfgs import Lbfgs, LbfgsState
from ase_l2h.rules.learned import CoordinatewiseRule, EquivariantRule
from ase_l2h.rules.learned.features import Moments

__all__ = ["RULES", "Parts", "parts", "rule_of", "rule_rows", "theta"]

# Numbers of kernels/rules.h.
RULES = {EquivariantRule: 1, CoordinatewiseRule: 2, Adam: 3, Fire: 4, Lbfgs: 5}


def rule_of(optimizer: Any) -> Any:
    """What displaces the atoms, None where the kernels do not know the optimizer."""
    if isinstance(optimizer, BasinHopping):
        return optimizer.quench
    return optimizer.rule if isinstance(optimizer, RuleOptimizer) else None


def rule_rows(rule: Any, hopping: bool) -> int:
    """Numbers per atom that a rule keeps on the chip."""
    if isinstance(rule, Lbfgs):
        return 6 + 6 * rule.memory + 2
    own = {EquivariantRule: 24 + 2, CoordinatewiseRule: 36, Adam: 6, Fire: 3 + 3}
    rows = own[type(rule)]
    if isinstance(rule, EquivariantRule) and rule.features.memory:
        rows += 3 + 1
    if isinstance(rule, Adam) and hopping:
        rows += 2
    return rows


def theta(rule: Any) -> np.ndarray:
    """Weights in the order of the layers, or the parameters of a classical rule."""
    if isinstance(rule, (EquivariantRule, CoordinatewiseRule)):
        first = "log_alpha" if isinstance(rule, EquivariantRule) else "alpha"
        names = [f"{kind}_{k}" for k in (0, 1, "out") for kind in ("kernel", "bias")]
        values: list[Any] = [rule.theta[name] for name in (*names, first)]
        values += [rule.theta["beta"], rule.theta["gamma"], rule.time_scale]
    elif isinstance(rule, Adam):
        values = [rule.rate, rule.b1, rule.b2, rule.eps]
    elif isinstance(rule, Lbfgs):
        values = [rule.max_step, rule.first_step, rule.rise, rule.max_rejections]
    else:
        values = [rule.dt, rule.dt_max, rule.max_step, rule.alpha]
        values += [rule.f_inc, rule.f_dec, rule.f_alpha, rule.n_min]
    return np.concatenate([np.ravel(np.asarray(v, np.float32)) for v in values])


class Parts(NamedTuple):
    """A rule's state as arrays ``(rows, n, batch)`` and ``(batch)``, and back."""

    rows: list[Any]
    whole: list[Any]
    step: int
    rebuild: Callable[[list[Any], list[Any], int], Any]


def parts(rule: Any, inner: Any) -> Parts:
    """The state of a rule, taken apart."""

    def like(array: Any, old: Any) -> Any:
        return array.astype(old.dtype)

    if isinstance(rule, EquivariantRule):
        rows = [inner.first, inner.second]
        rows += [] if inner.best_positions is None else [inner.best_positions]

        def rebuild(rows: list[Any], whole: list[Any], steps: int) -> Any:
            home = inner.best_positions
            return inner._replace(
                step=inner.step + steps,
                first=like(rows[0], inner.first),
                second=like(rows[1], inner.second),
                best_energy=like(whole[0], inner.best_energy),
                since_best=like(whole[1], inner.since_best),
                best_positions=None if home is None else like(rows[2], home),
            )

        whole = [inner.best_energy, inner.since_best]
        return Parts(rows, whole, int(inner.step), rebuild)
    if isinstance(rule, CoordinatewiseRule):

        def rebuild(rows: list[Any], whole: list[Any], steps: int) -> Any:
            moments = [like(r, m) for r, m in zip(rows, inner.moments, strict=True)]
            return inner._replace(step=inner.step + steps, moments=Moments(*moments))

        return Parts(list(inner.moments), [], int(inner.step), rebuild)
    if isinstance(rule, Adam):

        def rebuild(rows: list[Any], whole: list[Any], steps: int) -> Any:
            first, *rest = inner
            first = first._replace(
                count=like(whole[0], first.count),
                mu=like(rows[0], first.mu),
                nu=like(rows[1], first.nu),
            )
            return (first, *rest)

        return Parts([inner[0].mu, inner[0].nu], [inner[0].count], 0, rebuild)
    if isinstance(rule, Lbfgs):
        places = ("gradient", "step", "s", "y")
        scalars = ("energy", "rejections", "started", "rho")

        def rebuild(rows: list[Any], whole: list[Any], steps: int) -> Any:
            new = dict(zip((*places, *scalars), (*rows, *whole), strict=True))
            return LbfgsState(**{k: like(a, getattr(inner, k)) for k, a in new.items()})

        rows, whole = ([getattr(inner, k) for k in ks] for ks in (places, scalars))
        return Parts(rows, whole, 0, rebuild)

    def rebuild(rows: list[Any], whole: list[Any], steps: int) -> Any:
        old = (inner.velocity, inner.dt, inner.alpha, inner.downhill)
        new = zip((rows[0], *whole), old, strict=True)
        return FireState(*(like(a, b) for a, b in new))

    return Parts([inner.velocity], [inner.dt, inner.alpha, inner.downhill], 0, rebuild)
