"""One update of a meta-training: perturb, unroll, estimate, step.

Everything random follows from the seed and the number of the update.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from ase_l2h._internal.pytree import replace
from ase_l2h.errors import InputError
from ase_l2h.optimizers.rule_steps import RuleOptimizer
from ase_l2h.rollout.backends import choose_backend
from ase_l2h.rules.learned import RULES
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.es import ES, Estimator
from ase_l2h.training.esmc import ESMC
from ase_l2h.training.ga import GA
from ase_l2h.training.objective import QUENCHES, with_horizon
from ase_l2h.training.population import Member, Population
from ase_l2h.training.tasks import Task
from ase_l2h.weights.load import load_weights

__all__ = ["Trainer", "TrainingState", "initial_rule"]

ESTIMATORS: dict[str, Callable[[TrainingConfig], Estimator]] = {
    "es": lambda config: ES(config.sigma, config.shaping),
    "esmc": lambda config: ESMC(config.sigma, config.shaping),
    "ga": lambda config: GA(config.sigma, config.margin),
}


# Energy scales by which an energy must fall below that of its minimum to count.
LEAST_FALL = 0.02


class TrainingState(NamedTuple):
    """What a checkpoint holds.

    ``best`` are the lowest energies known, in the order of the tasks.
    """

    update: np.ndarray
    theta: Any
    outer: Any
    charged: np.ndarray
    best: np.ndarray


def initial_rule(config: TrainingConfig) -> Any:
    """The rule a configuration starts from, untrained or from a weight file.

    Raises
    ------
    InputError
        For an unknown architecture or feature, and for a weight file of another one.
    """
    if config.architecture not in RULES:
        raise InputError(
            f"no architecture named '{config.architecture}'; choose one of "
            f"{', '.join(RULES)}"
        )
    architecture = RULES[config.architecture]
    known = [f.name for f in fields(architecture.features_type)]
    if unknown := sorted(set(config.features) - set(known)):
        raise InputError(
            f"{config.architecture} has no features named {', '.join(unknown)}; known "
            f"are {', '.join(known)}"
        )
    features = architecture.features_type(**config.features)
    if config.initial is not None:
        rule = load_weights(config.initial).rule
        if type(rule) is not architecture:
            raise InputError(
                f"{config.initial} holds weights of another architecture; set "
                "architecture as it is there"
            )
        if rule.features == features:
            return rule
        try:
            return rule.with_features(features)
        except (AttributeError, ValueError) as error:
            raise InputError(
                f"{config.initial} holds weights with other features ({error}); set "
                "features as they are there"
            ) from error
    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    return architecture.create(key, features)


def flattened(
    theta: Mapping[str, Array], log_alpha: bool = False
) -> tuple[Array, Callable[[Array], dict[str, Array]]]:
    """Weights as one vector, and the way back; ``log_alpha`` puts log(alpha) there.

    Raises
    ------
    InputError
        For weights without an alpha, or with one that is not positive.
    """
    if not log_alpha:
        return ravel_pytree(theta)
    if "alpha" not in theta:
        raise InputError("these weights have no alpha; leave log_alpha out")
    if not theta["alpha"] > 0:
        raise InputError(
            f"alpha is {float(theta['alpha']):.3g} and has no logarithm; leave "
            "log_alpha out, or start from other weights"
        )
    flat, unravel = ravel_pytree({**theta, "alpha": jnp.log(theta["alpha"])})

    def back(vector: Array) -> dict[str, Array]:
        searched = unravel(vector)
        return {**searched, "alpha": jnp.exp(searched["alpha"])}

    return flat, back


class Trial(NamedTuple):
    """A direction on a task: indices of its members, of the base and of each arm.

    ``held`` are the energies of the minima that are unrolled from, if they are.
    """

    direction: int
    name: str
    base: int
    arms: tuple[int, ...]
    held: np.ndarray | None = None


class Trainer:
    """One meta-training: builds tasks and optimizer, and takes updates.

    Parameters
    ----------
    config
        What to do.
    tasks
        By the names in ``config.tasks``.
    devices
        Where to unroll; this process's devices when None.

    Raises
    ------
    InputError
        Where the backend cannot run here, or not this rule, quench or task.
    """

    def __init__(
        self, config: TrainingConfig, tasks: Mapping[str, Task], devices: Any = None
    ) -> None:
        self.config = config
        self.key = jax.random.key(config.seed)
        self.rule = with_horizon(initial_rule(config), config.horizon)
        flat, self.unravel = flattened(self.rule.theta, config.log_alpha)
        self.estimator = ESTIMATORS[config.estimator](config)
        schedule = optax.exponential_decay(
            config.learning_rate, config.decay_every, config.decay, staircase=True
        )
        self.outer = self.estimator.outer(schedule)
        # Those of the configuration, as often as it names them, then those drawn.
        drawn = [name for name in tasks if name not in config.tasks]
        self.turns = (*config.tasks, *drawn)
        self.tasks = {name: tasks[name] for name in dict.fromkeys(self.turns)}
        searches = [RuleOptimizer(self.rule), RuleOptimizer(QUENCHES[config.quench])]
        for task in self.tasks.values():
            choose_backend(
                config.backend,
                searches,
                task.target.potential,
                task.target.system,
                double=False,
                platform="cpu",
            )
        self.population = Population(
            self.rule,
            self.unravel,
            config.quench,
            config.quench_steps,
            from_best=config.loss == "best",
            together=config.together,
            devices=devices,
            backend=config.backend,
        )
        self.initial = TrainingState(
            np.zeros((), np.int64),
            np.asarray(flat),
            jax.tree.map(np.asarray, self.outer.init(flat)),
            np.zeros((), np.int64),
            np.array([task.best for task in self.tasks.values()]),
        )

    def trained(self, state: TrainingState) -> Any:
        """The rule of a state."""
        return replace(self.rule, theta=self.unravel(jnp.asarray(state.theta)))

    def update(self, state: TrainingState) -> tuple[TrainingState, dict[str, Any]]:
        """One meta-gradient and one step of the outer optimizer."""
        number = int(state.update)
        gradient, best, record = self.estimate(state)
        gradient = jnp.asarray(gradient, jnp.float32)
        # optax raises floats to integer powers, which strict promotion forbids.
        with jax.numpy_dtype_promotion("standard"):
            change, outer = self.outer.update(
                gradient, jax.tree.map(jnp.asarray, state.outer)
            )
        charged = int(state.charged) + record["charged_evaluations"]
        following = TrainingState(
            np.asarray(number + 1),
            np.asarray(optax.apply_updates(jnp.asarray(state.theta), change)),
            jax.tree.map(np.asarray, outer),
            np.asarray(charged),
            np.array([best[name] for name in self.tasks]),
        )
        norm = float(jnp.linalg.norm(gradient))
        head = {"update": number + 1, **record, "gradient_norm": norm}
        return following, {**head, "charged_evaluations": charged}

    def estimate(
        self, state: TrainingState
    ) -> tuple[np.ndarray, dict[str, float], dict[str, Any]]:
        """Meta-gradient of an update, lowest energies known, and the record."""
        config, number = self.config, int(state.update)
        key = jax.random.fold_in(self.key, 2 + number)
        noise_key, *keys = jax.random.split(key, 4)
        shape = (config.directions, len(state.theta))
        noise = np.asarray(jax.random.normal(noise_key, shape))
        trials, members = self._plan(state, noise, keys)
        energy, charged = self.population.evaluate(members)

        best = dict(zip(self.tasks, state.best.tolist(), strict=True))
        for trial in trials:
            lowest = float(energy[[trial.base, *trial.arms]].min())
            best[trial.name] = min(best[trial.name], lowest)
        losses = self._losses(trials, energy, best)
        base, arms = losses[:, 0], np.moveaxis(losses[:, 1:], 0, 1)
        gradient = self.estimator.gradient(noise, base, arms)
        bases: dict[str, np.ndarray] = {}
        for trial in trials:
            parts = {t.base for t in trials if t.name == trial.name}
            bases[trial.name] = np.concatenate([energy[b] for b in sorted(parts)])
        relative = [
            float(np.mean(energies)) / abs(self.tasks[name].reference)
            for name, energies in bases.items()
        ]
        record = {
            "loss": float(np.mean(relative)),
            "hits": {
                name: round(
                    float(self.tasks[name].hits(energies, best[name]).mean()), 4
                )
                for name, energies in bases.items()
            },
            "lowest": {name: float(e.min()) for name, e in bases.items()},
            "charged_evaluations": int(charged.sum()),
        }
        fallen = {
            trial.name: self._judged(trial, energy)[0] < 0
            for trial in trials
            if trial.held is not None
        }
        if fallen:
            record["falls"] = {n: round(float(f.mean()), 4) for n, f in fallen.items()}
        if config.horizons:
            record["horizons"] = {t.name: members[t.base].horizon for t in trials}
        return gradient, best, record

    def _plan(
        self, state: TrainingState, noise: np.ndarray, keys: Any
    ) -> tuple[list[Trial], list[Member]]:
        """Plan the unrolls; ``keys`` are those of starts, unrolls and horizons."""
        config, horizons = self.config, self._horizons(keys[2])
        # Tasks get directions in turn, and each update continues the turn.
        turn = int(state.update) * config.directions
        members: list[Member] = []
        trials: list[Trial] = []
        bases: dict[tuple[str, int], int] = {}
        held: dict[int, np.ndarray | None] = {}
        for d in range(config.directions):
            dealt = self.turns[(turn + d) % len(self.turns)]
            names = [dealt] if config.deal else list(self.tasks)
            for name in names:
                source = -1 if config.share_starts else d
                if (name, source) not in bases:
                    bases[name, source] = len(members)
                    arguments = state.theta, name, source, horizons[name], *keys[:2]
                    member, held[len(members)] = self._base(*arguments)
                    members.append(member)
                base = bases[name, source]
                arms = []
                for sign in self.estimator.signs:
                    theta = state.theta + sign * (self.estimator.sigma * noise[d])
                    arms.append(len(members))
                    members.append(members[base]._replace(theta=theta))
                trials.append(Trial(d, name, base, tuple(arms), held[base]))
        return trials, members

    def _base(
        self,
        theta: np.ndarray,
        name: str,
        source: int,
        horizon: int,
        start_key: Any,
        key: Any,
    ) -> tuple[Member, np.ndarray | None]:
        """Unperturbed weights on a task, and the energies of the minima it has."""
        index = list(self.tasks).index(name)
        # Source -1, which is shared, comes first.
        draw = index + len(self.tasks) * (source + 1)
        start_key, key = (jax.random.fold_in(k, draw) for k in (start_key, key))
        config, task = self.config, self.tasks[name]
        if task.pool is None:
            starts, held = task.starts(start_key, config.starts, config.rotate), None
        else:
            starts, held = task.held(start_key, config.starts, config.rattle)
        return Member(task, theta, starts, key, horizon), held

    def _horizons(self, key: Any) -> dict[str, int]:
        """The horizon of each task in this update."""
        if not self.config.horizons:
            return dict.fromkeys(self.tasks, self.config.horizon)
        low, high = map(math.log, self.config.horizons)
        chances = np.asarray(jax.random.uniform(key, (len(self.tasks),)))
        drawn = [round(math.exp(low + (high - low) * float(c))) for c in chances]
        return dict(zip(self.tasks, drawn, strict=True))

    def _losses(
        self, trials: list[Trial], energy: np.ndarray, best: Mapping[str, float]
    ) -> np.ndarray:
        """Losses in the tasks' units, ``(directions, 1 + arms, starts * tasks)``."""
        rows: list[list[np.ndarray]] = [[] for _ in range(self.config.directions)]
        spreads: dict[str, float] = {}
        for name, task in self.tasks.items():
            mine = [trial for trial in trials if trial.name == name]
            spreads[name] = self._spread(task, mine, energy) if mine else 1.0
        for trial in trials:
            task, unit = self.tasks[trial.name], spreads[trial.name]
            loss = self._judged(trial, energy) / unit
            if self.config.hit_bonus:
                energies = energy[[trial.base, *trial.arms]]
                hits = task.hits(energies, best[trial.name])
                loss = loss - self.config.hit_bonus * hits
            rows[trial.direction].append(loss)
        return np.stack([np.concatenate(parts, axis=1) for parts in rows])

    def _judged(self, trial: Trial, energy: np.ndarray) -> np.ndarray:
        """Energies of base and arms; from minima by how much they fell, 0 if not."""
        energies = energy[[trial.base, *trial.arms]]
        if trial.held is None:
            return energies
        unit = self.tasks[trial.name].energy_scale
        return np.minimum(energies - trial.held + LEAST_FALL * unit, 0.0)

    def _spread(self, task: Task, trials: list[Trial], energy: np.ndarray) -> float:
        """Unit of a task's loss in this update.

        ``"spread"`` is that of the base and of all arms clipped at the base, so that an
        exploded arm does not set the scale.
        """
        if self.config.normalise == "adam":
            return abs(task.reference)
        judged = [self._judged(trial, energy) for trial in trials]
        bases = {t.base: own[0] for t, own in zip(trials, judged, strict=True)}
        pooled = [bases[b] for b in sorted(bases)]
        pooled += [np.minimum(own[0], arm) for own in judged for arm in own[1:]]
        return max(float(np.std(np.concatenate(pooled))), 1e-3 * task.energy_scale)
