"""A learned rule that does not care how the axes lie.

Every atom is described by rotation invariants; a small network turns them into
coefficients of vectors that turn with the structure:

    displacement_i = sum_k alpha d_ik sigmoid(beta m_ik + gamma) v_ik

with v the gradient, its running averages over their root mean square, the direction
from the centroid, and two sums over neighbours. One network call per atom, where the
paper's rule (:mod:`.coordinatewise`) needs three, and rotating the input rotates the
output. The training and the output parametrisation are the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ase_l2h._internal.pytree import pytree_dataclass, replace, static_field
from ase_l2h.errors import InputError
from ase_l2h.rules.base import Observation
from ase_l2h.rules.learned.features import DECAYS, scaled_time, step_sines
from ase_l2h.rules.learned.invariants import (
    FULL_SHELL,
    LOG_RANGE,
    SCALE_GAIN,
    TINY,
    VECTOR_CENTRES,
    EquivariantFeatures,
    surroundings,
)
from ase_l2h.rules.learned.network import FeatureMajorNetwork, initial_parameters
from ase_l2h.system import System

__all__ = ["EquivariantFeatures", "EquivariantRule", "EquivariantState"]


class EquivariantState(NamedTuple):
    """Steps, averages of the gradient, and progress of each structure.

    ``step`` is one clock for all, or ``(*batch)``: a clock for each.
    ``best_positions`` is None unless the rule remembers them.
    """

    step: Int[Array, "*count"]
    first: Float[Array, "decays 3 n *batch"]
    second: Float[Array, "decays n *batch"]
    best_energy: Float[Array, "*batch"]
    since_best: Float[Array, "*batch"]
    best_positions: Float[Array, "3 n *batch"] | None = None


def _log(values: Array) -> Array:
    """Natural logarithm over 10, floored at e^-10."""
    floor = math.exp(-LOG_RANGE)
    return jnp.log(jnp.maximum(values, floor)) / LOG_RANGE


def _norm(vectors: Array, axis: int) -> Array:
    return jnp.sqrt(jnp.sum(vectors * vectors, axis=axis) + TINY)


@pytree_dataclass
class EquivariantRule:
    """Learned displacement of every atom, equivariant under rotations.

    Parameters
    ----------
    theta
        The network's arrays, ``log_alpha``, ``beta`` and ``gamma``.
    time_scale
        The sines see ``t * time_scale``; ``50000 / horizon`` for another horizon.
    features
        Which inputs the network sees.
    """

    theta: Mapping[str, Float[Array | np.ndarray, "..."]]
    time_scale: float | Float[Array | np.ndarray, ""] = 1.0
    features: EquivariantFeatures = static_field(default=EquivariantFeatures())

    reference_horizon: ClassVar[int] = 50_000
    features_type: ClassVar[type] = EquivariantFeatures

    @classmethod
    def create(
        cls,
        key: Array,
        features: EquivariantFeatures | None = None,
        time_scale: float = 1.0,
    ) -> EquivariantRule:
        """An untrained rule: it does not move.

        LeCun-normal network with a zero output layer, alpha 0.1, beta 1, gamma -3.
        """
        features = EquivariantFeatures() if features is None else features
        network = FeatureMajorNetwork(outputs=2 * len(features.vectors))
        theta = initial_parameters(key, network, features.n_inputs)
        theta["log_alpha"] = jnp.asarray(math.log(0.1))
        theta["beta"] = jnp.asarray(1.0)
        theta["gamma"] = jnp.asarray(-3.0)
        return cls(theta=theta, time_scale=time_scale, features=features)

    def init(
        self, system: System, positions: Float[Array, "3 n *batch"]
    ) -> EquivariantState:
        """No steps taken."""
        dtype, shape = positions.dtype, positions.shape
        batch = shape[2:]
        return EquivariantState(
            step=jnp.zeros((), jnp.int32),
            first=jnp.zeros((len(DECAYS), *shape), dtype),
            second=jnp.zeros((len(DECAYS), *shape[1:]), dtype),
            best_energy=jnp.full(batch, jnp.inf, dtype),
            since_best=jnp.zeros(batch, dtype),
            best_positions=positions if self.features.memory else None,
        )

    def update(
        self, key: Array, observation: Observation, state: EquivariantState
    ) -> tuple[Float[Array, "3 n *batch"], EquivariantState]:
        """Average the gradient, look around, and let the network decide."""
        del key
        positions, gradient = observation.positions, observation.gradient
        system, dtype = observation.system, positions.dtype
        n, ones = positions.shape[1], (1,) * (positions.ndim - 2)
        if not system.recentred:
            # A centroid means nothing in a crystal or beside fixed atoms.
            centred = jnp.zeros_like(positions)
        else:
            centred = positions - jnp.mean(positions, axis=1, keepdims=True)

        step = state.step + 1
        decay = jnp.asarray(DECAYS, dtype).reshape((-1, 1, 1, *ones))
        square = jnp.sum(gradient * gradient, axis=0) / 3
        first = decay * state.first + (1 - decay) * gradient
        second = decay[:, 0] * state.second + (1 - decay[:, 0]) * square
        # 1 - d^t by expm1: at d = 0.9999 and t = 1 the difference loses four digits.
        correction = -1.0 / jnp.expm1(step.astype(dtype) * jnp.log(decay))
        rms = jnp.sqrt(second * correction[:, 0] + TINY)
        relative = first * (correction / rms[:, None])
        size = _norm(gradient, 0)
        unit_gradient = gradient / size
        radius = _norm(centred, 0)
        outward = centred / (radius + 1e-6)
        scales = self._atom_scales(positions, system)
        cohesion = None if scales is None else scales[1]
        around = surroundings(positions, system, cohesion)
        lengths = _norm(around.vectors, 1)
        pulls = around.vectors / (1.0 + lengths[:, None])
        lengths = lengths[: len(VECTOR_CENTRES)]
        adam = first[2] * (correction[2] / rms[4])

        lower = observation.energy < state.best_energy
        best = jnp.minimum(observation.energy, state.best_energy)
        since = jnp.where(lower, 0.0, state.since_best + 1)
        remembered = home = None
        if state.best_positions is not None:
            # RuleOptimizer recentres after the step: the first point may lie anywhere.
            place = centred if system.recentred else positions
            remembered = jnp.where(lower, place, state.best_positions)
            home = remembered - place
            away = _norm(home, 0)
            home = home / (1.0 + away)
        following = EquivariantState(step, first, second, best, since, remembered)

        log_size = _log(size)
        average = _norm(relative, 1)
        per_atom = [
            log_size[None],
            _log(rms),
            average,
            jnp.sum(relative * unit_gradient, axis=1),
            jnp.sum(unit_gradient * outward, axis=0)[None],
            (radius / n ** (1 / 3))[None],
            jnp.sum(adam * outward, axis=0)[None],
            around.shells / FULL_SHELL,
            lengths / FULL_SHELL,
            jnp.sum(pulls[1] * unit_gradient, axis=0)[None],
        ]
        if self.features.atom_energies:
            if observation.atom_energies is None:
                raise InputError(
                    "these weights need each atom's energy, which this potential does "
                    "not give; use weights trained without it"
                )
            per_atom.append(observation.atom_energies[None] / LOG_RANGE)
        if home is not None:
            per_atom.append(_log(away)[None])
            per_atom.append(jnp.sum(home * unit_gradient, axis=0)[None])
        if scales is not None:
            per_atom.append(scales)
            per_atom.append(around.near_cohesion[None] / FULL_SHELL)
        # Pooled over the structure: how hot it is.
        mean_log = jnp.mean(log_size, axis=0, keepdims=True)
        per_structure = [mean_log, jnp.mean(_log(rms[2]), axis=0, keepdims=True)]
        if self.features.progress:
            above = jnp.maximum(observation.energy - best, 0.0)
            above = jnp.where(jnp.isfinite(above), above, 0.0)
            per_structure.append(jnp.log1p(above)[None] / 4)
            per_structure.append(jnp.log1p(since)[None] / LOG_RANGE)
        if home is not None:
            per_structure.append(jnp.mean(_log(away), axis=0, keepdims=True))
        sizes = jnp.asarray([n / 100, n ** (-1 / 3)], dtype)
        shared = [
            jnp.broadcast_to(sizes.reshape((2, *[1] * step.ndim)), (2, *step.shape))
        ]
        if self.features.step:
            shared.append(step_sines(scaled_time(step, self.time_scale, dtype)))
        clock = step.shape or ones
        blocks = (
            jnp.concatenate(per_atom),
            jnp.stack(per_structure),
            jnp.concatenate(shared).reshape((-1, 1, *clock)),
        )

        coefficients = self._coefficients(blocks, dtype)
        vectors: list[Any] = [unit_gradient, adam, outward, *relative]
        vectors += [*pulls[: len(VECTOR_CENTRES)]]
        if home is not None:
            vectors.append(home)
        vectors += [*pulls[len(VECTOR_CENTRES) :]]
        displacement = jnp.zeros_like(positions)
        for coefficient, vector in zip(coefficients, vectors, strict=True):
            displacement = displacement - coefficient * vector
        return displacement, following

    def _atom_scales(
        self, positions: Float[Array, "3 n *batch"], system: System
    ) -> Float[Array, "2 n *batch"] | None:
        """What the rule sees of the elements, spread over the batch."""
        if not self.features.species:
            return None
        shape = (2, *positions.shape[1:])
        if system.atom_scales is None:
            return jnp.zeros(shape, positions.dtype)
        scales = SCALE_GAIN * jnp.asarray(system.atom_scales, positions.dtype)
        missing = (1,) * (len(shape) - scales.ndim)
        return jnp.broadcast_to(scales.reshape(scales.shape + missing), shape)

    def with_features(self, features: EquivariantFeatures) -> EquivariantRule:
        """The same rule with more inputs and vectors, which have no effect yet.

        Raises
        ------
        InputError
            When inputs the weights rely on would be dropped.
        """
        old = self.features
        gone = {*old.inputs, *old.vectors} - {*features.inputs, *features.vectors}
        if gone:
            raise InputError(
                f"the weights use {', '.join(sorted(gone))}; switch these features on"
            )
        theta = dict(self.theta)
        rows = [features.inputs.index(name) for name in old.inputs]
        kernel = np.asarray(theta["kernel_0"])
        wide = np.zeros((features.n_inputs, kernel.shape[1]), kernel.dtype)
        wide[rows] = kernel
        theta["kernel_0"] = jnp.asarray(wide)
        chosen = [features.vectors.index(name) for name in old.vectors]
        columns = chosen + [len(features.vectors) + c for c in chosen]
        for name in ("kernel_out", "bias_out"):
            array = np.asarray(theta[name])
            shape = (*array.shape[:-1], 2 * len(features.vectors))
            wide = np.zeros(shape, array.dtype)
            wide[..., columns] = array
            theta[name] = jnp.asarray(wide)
        return replace(self, theta=theta, features=features)

    def _coefficients(self, blocks: tuple[Array, ...], dtype: Any) -> Array:
        """``alpha d sigmoid(beta m + gamma)`` per vector: ``(k, n, *batch)``."""
        theta = {name: jnp.asarray(value, dtype) for name, value in self.theta.items()}
        parameters = {
            name: value
            for name, value in theta.items()
            if name.startswith(("kernel", "bias"))
        }
        count = len(self.features.vectors)
        network = FeatureMajorNetwork(outputs=2 * count)
        outputs: Any = network.apply({"params": parameters}, blocks)
        direction, size = outputs[:count], outputs[count:]
        gate = jax.nn.sigmoid(theta["beta"] * size + theta["gamma"])
        return jnp.exp(theta["log_alpha"]) * direction * gate
