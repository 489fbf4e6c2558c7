"""What a method does between its start and its end: basins, hops, frozen updates.

On a Lennard-Jones cluster whose minimum is known. Snapshots on the way are relaxed to
see whose basin they are in; those quenches are a diagnosis and charged to nobody.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.spatial.transform import Rotation

from ase_l2h._internal.promotion import compiled, promoting
from ase_l2h.optimizers.rule_steps import (
    RuleOptimizer,
    charged_evaluation,
    observe,
    reduced_system,
)
from ase_l2h.reproduce.learn2hop.searches import MethodStyle
from ase_l2h.reproduce.searching import method_optimizer
from ase_l2h.rollout import Rollout, quench, relax_rollout
from ase_l2h.search.problem import HIT
from ase_l2h.search.registry import method_weights
from ase_l2h.starts.random import make_starts
from ase_l2h.targets import Target

__all__ = [
    "KINDS",
    "Look",
    "basin_kinds",
    "behaviour",
    "frozen_updates",
    "random_cosines",
    "vertex_cosines",
]

# Atoms of two relaxed snapshots of one structure that have not hopped agree within
# this, length scales (root mean square over the atoms).
HOPPED = 0.1
# Energies of two minima that are the same agree within this, energy scales.
SAME = 1e-4
RANDOM_ORIENTATIONS = 20_000
KINDS = ("the minimum's basin", "a basin seen before", "a new basin")


class Look(NamedTuple):
    """How closely: energies every so many steps, basins every so many."""

    starts: int
    steps: int
    trace_every: int
    snapshot_every: int


def behaviour(
    target: Target, style: MethodStyle, look: Look, seed: int
) -> dict[str, Any]:
    """Traces, basins, hops and orientations of a method that follows a rule.

    Returns
    -------
    dict
        ``trace`` ``[block][start]`` energies; ``basins`` ``[snapshot][start]`` energies
        of the relaxed snapshots and ``moved`` the root-mean-square displacements since
        the one before (length scales, turned onto each other); ``energies`` of the
        ends; ``rollout_evaluations`` and ``quench_evaluations``; ``cosines`` of
        :func:`vertex_cosines`.
    """
    weights = method_weights(style.method, style.weights)
    optimizer = method_optimizer(style.method, weights, look.steps, target.system)
    starts = make_starts(target.system, seed, 0, look.starts)
    run = Rollout(
        optimizer,
        target.potential,
        target.system,
        starts.astype(np.float32),
        jax.random.fold_in(jax.random.key(seed), look.steps),
    )
    trace, snapshots = [], []
    while run.steps < look.steps:
        run.advance(min(look.trace_every, look.steps - run.steps))
        trace.append(run.gather("energy"))
        if run.steps % look.snapshot_every == 0:
            snapshots.append(run.gather("positions"))
    rollout = run.gather("evaluations")
    relaxed = relax_rollout(run, target.potential, target.system)
    # All snapshots in one batch: one compilation.
    several = np.concatenate(snapshots, axis=-1)
    settled = quench(target.potential, target.system, several)
    shape = (len(snapshots), look.starts)
    positions = settled.positions.reshape((3, -1, *shape))
    return {
        "trace": _jsonable(np.array(trace, float), 4),
        "basins": _jsonable(settled.energy.reshape(shape), 6),
        "moved": _jsonable(_displacements(positions, target), 4),
        "energies": _jsonable(relaxed.energy, 8),
        "rollout_evaluations": int(rollout.sum()),
        "quench_evaluations": int(relaxed.evaluations.sum()),
        "cosines": vertex_cosines(target, relaxed.energy, relaxed.positions),
    }


def _jsonable(values: np.ndarray, digits: int) -> Any:
    """Nested lists of rounded numbers, None for what is not finite."""
    rounded = np.round(values.astype(float), digits).astype(object)
    rounded[~np.isfinite(values)] = None
    return rounded.tolist()


def _displacements(positions: np.ndarray, target: Target) -> np.ndarray:
    """From one snapshot to the next, ``[snapshot - 1][start]``, in length scales."""
    length = float(np.mean(np.asarray(target.system.length_scale)))
    _, n, count, starts = positions.shape
    moved = np.zeros((max(0, count - 1), starts))
    for k in range(count - 1):
        for start in range(starts):
            before, after = positions[:, :, k, start].T, positions[:, :, k + 1, start].T
            before, after = before - before.mean(axis=0), after - after.mean(axis=0)
            distance = Rotation.align_vectors(after, before)[1]
            moved[k, start] = distance / (np.sqrt(n) * length)
    return moved


def basin_kinds(
    basins: Sequence[Sequence[float]], reference: float, scale: float
) -> dict[str, float]:
    """Share of the snapshots in each of :data:`KINDS`."""
    counts = dict.fromkeys(KINDS, 0)
    for energies in np.array(basins, float).T:
        seen: list[float] = []
        for energy in energies:
            if abs(energy - reference) < SAME * scale:
                counts[KINDS[0]] += 1
            elif any(abs(energy - other) < SAME * scale for other in seen):
                counts[KINDS[1]] += 1
            else:
                counts[KINDS[2]] += 1
                seen.append(energy)
    total = sum(counts.values())
    return {kind: number / total for kind, number in counts.items()}


def vertex_cosines(
    target: Target, energies: np.ndarray, positions: np.ndarray
) -> list[float]:
    """Largest cosine between a vertex of each icosahedron found and an axis of space.

    For LJ13, whose minimum has one atom in the centre and twelve around it.
    """
    assert target.reference is not None, "orientations are taken of known minima"
    cosines = []
    for k in np.flatnonzero(energies < target.reference + HIT):
        atoms = positions[..., k].T
        atoms = atoms - atoms.mean(axis=0)
        radius = np.linalg.norm(atoms, axis=1)
        outer = atoms[radius > 0.5] / radius[radius > 0.5, None]
        cosines.append(round(float(np.abs(outer).max()), 5))
    return cosines


@functools.lru_cache(maxsize=1)
def random_cosines() -> np.ndarray:
    """The same cosine for icosahedra in random orientations."""
    golden = (1 + 5**0.5) / 2
    corners = [
        v for a in (1, -1) for v in ((0, a, golden), (a, golden, 0), (golden, 0, a))
    ]
    vertices = np.array(corners) / np.linalg.norm(corners[0])
    turns = Rotation.random(RANDOM_ORIENTATIONS, rng=np.random.default_rng(0))
    turned = np.einsum("rab,vb->rva", turns.as_matrix(), vertices)
    return np.abs(turned).max(axis=(1, 2))


def frozen_updates(
    target: Target, style: MethodStyle, positions: np.ndarray, steps: int, seed: int
) -> list[float]:
    """Size of the displacement a rule wants at every step at a minimum, never moved.

    The gradient there is zero, so what is left is what the rule does by its clock and
    its surroundings: the largest displacement of an atom, in length scales.

    Parameters
    ----------
    target, style
        Where and which rule.
    positions
        The minimum ``(3, n)``.
    steps
        How long; the clock is compressed or stretched to it.
    seed
        For rules that draw.
    """
    weights = method_weights(style.method, style.weights)
    optimizer = method_optimizer(style.method, weights, steps, target.system)
    assert isinstance(optimizer, RuleOptimizer), "one rule at a time is frozen"
    frozen = jnp.asarray(positions, jnp.float32)[..., None]
    sizes = _frozen(
        optimizer.rule, target.potential, target.system, frozen, steps, seed
    )
    return np.round(np.asarray(sizes, float), 7).tolist()


def _frozen(
    rule: Any, potential: Any, system: Any, positions: Array, steps: int, seed: int
) -> Array:
    with promoting():
        value = charged_evaluation(potential, positions, system)
        still = value._replace(gradient=jnp.zeros_like(value.gradient))
        observation = observe(still, positions, system)
    key = jax.random.key(seed)

    def step(state: Any, number: Array) -> tuple[Any, Array]:
        displacement, state = rule.update(
            jax.random.fold_in(key, number), observation, state
        )
        return state, jnp.sqrt(jnp.max(jnp.sum(displacement**2, axis=0)))

    @compiled
    def run(state: Any) -> Array:
        return jax.lax.scan(step, state, jnp.arange(steps))[1]

    return run(rule.init(reduced_system(system), observation.positions))
