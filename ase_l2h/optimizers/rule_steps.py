"""Drive any rule on any potential: evaluate, observe, displace."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ase_l2h._internal.pytree import pytree_dataclass, replace
from ase_l2h.errors import InputError
from ase_l2h.optimizers.base import SearchState
from ase_l2h.potentials.base import Potential, energy_and_gradient
from ase_l2h.rules.base import Observation, Rule, largest_norm
from ase_l2h.system import System

__all__ = [
    "GRADIENT_CLIP",
    "Evaluation",
    "RuleOptimizer",
    "charged_evaluation",
    "displaced",
    "free_mask",
    "observe",
    "reduced_system",
    "rule_optimizers",
]

# The paper clips gradients at 1e5 (reduced units): beyond it two atoms have collided
# and only the direction carries information. Here the norm of each atom's gradient is
# clipped, not each coordinate, which would tie a collision to the axes.
GRADIENT_CLIP = 1e5


def _clipped(gradient: Float[Array, "3 n *batch"]) -> Float[Array, "3 n *batch"]:
    # Coordinates first: the square of 1e30 overflows in single precision.
    gradient = jnp.clip(gradient, -1e15, 1e15)
    norm = jnp.sqrt(jnp.sum(gradient * gradient, axis=0))
    return gradient * (GRADIENT_CLIP / jnp.maximum(norm, GRADIENT_CLIP))


class Evaluation(NamedTuple):
    """One charged evaluation, made safe.

    ``energy`` is ``+inf`` where it is not finite; ``gradient`` is zero where it is not
    finite and on fixed coordinates; ``force`` is the largest norm on an atom, ``+inf``
    where energy or gradient are not finite, so that no collision passes for a minimum.
    """

    energy: Float[Array, "*batch"]
    atom_energies: Float[Array, "n *batch"] | None
    gradient: Float[Array, "3 n *batch"]
    force: Float[Array, "*batch"]


def charged_evaluation(
    potential: Potential, positions: Float[Array, "3 n *batch"], system: System
) -> Evaluation:
    """Energy and gradient in the units of the potential, with failures as values."""
    value = energy_and_gradient(potential, positions, system)
    finite = jnp.isfinite(value.gradient)
    gradient = jnp.where(finite, value.gradient, 0.0)
    energy = jnp.where(jnp.isfinite(value.energy), value.energy, jnp.inf)
    if system.free is not None:
        gradient = jnp.where(free_mask(system, positions), gradient, 0.0)
    sound = jnp.all(finite, axis=(0, 1)) & jnp.isfinite(energy)
    force = jnp.where(sound, largest_norm(gradient), jnp.inf)
    return Evaluation(energy, value.atom_energies, gradient, force)


def free_mask(system: System, positions: Float[Array, "3 n *batch"]) -> Array:
    """``system.free`` with trailing axes for the batch of ``positions``."""
    mask = jnp.asarray(system.free)
    return mask.reshape(mask.shape + (1,) * (positions.ndim - 2))


def reduced_system(system: System) -> System:
    """The system with lengths in units of its length scale, as rules see it."""
    if system.cell is None:
        return replace(system, length_scale=1.0, energy_scale=1.0)
    length = jnp.asarray(system.length_scale)
    if length.ndim:
        raise InputError(
            "a periodic batch must share one length scale; search cells of different "
            "materials in separate calls"
        )
    return replace(
        system,
        cell=jnp.asarray(system.cell) / length,
        images=jnp.asarray(system.images) / length,
        feature_images=jnp.asarray(system.feature_images) / length,
        length_scale=1.0,
        energy_scale=1.0,
    )


def observe(
    value: Evaluation, positions: Float[Array, "3 n *batch"], system: System
) -> Observation:
    """An evaluation in reduced units, its gradient clipped, for a rule to see."""
    length = jnp.asarray(system.length_scale, positions.dtype)
    scale = jnp.asarray(system.energy_scale, positions.dtype)
    atoms = value.atom_energies
    return Observation(
        positions=positions / length,
        gradient=_clipped(value.gradient * length / scale),
        energy=value.energy / scale,
        atom_energies=None if atoms is None else atoms / scale,
        system=reduced_system(system),
    )


def displaced(
    positions: Float[Array, "3 n *batch"],
    displacement: Float[Array, "3 n *batch"],
    moving: Bool[Array, "*batch"],
    system: System,
) -> Float[Array, "3 n *batch"]:
    """Positions after a rule's displacement (reduced units).

    What is not finite, not free or not ``moving`` stays; free clusters are recentred.
    """
    displacement = jnp.where(jnp.isfinite(displacement), displacement, 0.0)
    displacement = displacement * jnp.asarray(system.length_scale, positions.dtype)
    displacement = jnp.where(moving, displacement, 0.0)
    if system.free is not None:
        displacement = jnp.where(free_mask(system, positions), displacement, 0.0)
    following = positions + displacement
    if system.recentred:
        centred = following - jnp.mean(following, axis=1, keepdims=True)
        following = jnp.where(moving, centred, following)
    return following


@pytree_dataclass
class RuleOptimizer:
    """One charged evaluation and one displacement of ``rule`` per step.

    Parameters
    ----------
    rule
        Any :class:`~ase_l2h.rules.base.Rule`.
    fmax
        A structure stops, and is charged no more, once no force on an atom exceeds
        this (units of the potential). The default 0 never stops.
    """

    rule: Rule
    fmax: float | Float[Array | np.ndarray, ""] = 0.0

    def init(
        self,
        key: Array,
        positions: Float[Array, "3 n *batch"],
        system: System,
        potential: Potential,
    ) -> SearchState:
        """State before the first evaluation."""
        del key, potential
        batch = positions.shape[2:]
        infinite = jnp.full(batch, jnp.inf, positions.dtype)
        reduced = positions / jnp.asarray(system.length_scale, positions.dtype)
        return SearchState(
            positions=positions,
            energy=infinite,
            force=infinite,
            best_positions=positions,
            best_energy=infinite,
            evaluations=jnp.zeros(batch, jnp.int32),
            active=jnp.ones(batch, bool),
            inner=self.rule.init(reduced_system(system), reduced),
        )

    def step(
        self, key: Array, state: SearchState, system: System, potential: Potential
    ) -> SearchState:
        """Evaluate, remember the best, displace what has not converged."""
        positions = state.positions
        value = charged_evaluation(potential, positions, system)
        moving = state.active & ~(value.force < self.fmax)
        observation = observe(value, positions, system)
        displacement, inner = self.rule.update(key, observation, state.inner)
        following = displaced(positions, displacement, moving, system)

        energy = jnp.where(state.active, value.energy, state.energy)
        better = energy < state.best_energy
        return SearchState(
            positions=following,
            energy=energy,
            force=jnp.where(state.active, value.force, state.force),
            best_positions=jnp.where(better, positions, state.best_positions),
            best_energy=jnp.where(better, energy, state.best_energy),
            evaluations=state.evaluations + state.active.astype(jnp.int32),
            active=moving,
            inner=inner,
        )


def rule_optimizers(rule: Any) -> RuleOptimizer | list[RuleOptimizer]:
    """The optimizer of a rule, or the list of those of a tuple of rules."""
    if isinstance(rule, tuple):
        return [RuleOptimizer(each) for each in rule]
    return RuleOptimizer(rule)
