"""Random starting structures: a uniform cube, then soft spheres until none overlap.

The paper's "harmonic initialisation" (appendix D.2), in reduced units. Its printed
schedule (1000 steps at 0.001) leaves overlaps of 0.16-0.45; rate 0.05 removes them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h._internal.promotion import compiled
from ase_l2h._internal.pytree import replace
from ase_l2h.errors import InputError
from ase_l2h.optimizers.rule_steps import RuleOptimizer
from ase_l2h.potentials.soft_sphere import SoftSphere
from ase_l2h.rollout import trajectories
from ase_l2h.rollout.backends import choose_backend
from ase_l2h.rollout.scan import advance, initialise_state
from ase_l2h.rules.gradient_descent import GradientDescent
from ase_l2h.system import System

__all__ = [
    "compiled_starts",
    "make_starts",
    "random_rotations",
    "random_starts",
    "spread",
    "start_box",
    "uniform_points",
]

BOX_EDGE = 3.0
# The paper's cube is used up to this size; beyond it the density is constant.
BOX_ATOMS = 38
OVERLAP = 1e-3
RATE = 0.05
MAX_STEPS = 500
# Starts drawn together by make_starts.
GROUP = 32


def start_box(n_atoms: int) -> float:
    """Edge of the starting cube in length scales: ``3 max(1, (n / 38)^(1/3))``."""
    return BOX_EDGE * max(1.0, (n_atoms / BOX_ATOMS) ** (1 / 3))


def random_rotations(key: Array, count: int) -> Float[Array, "3 3 count"]:
    """Rotation matrices uniform over SO(3), from normalised Gaussian quaternions."""
    q = jax.random.normal(key, (4, count))
    w, x, y, z = q / jnp.linalg.norm(q, axis=0)
    return jnp.stack(
        [
            jnp.stack(
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
            ),
            jnp.stack(
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
            ),
            jnp.stack(
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
            ),
        ]
    )


def random_starts(
    key: Array, system: System, count: int, rotate: bool = False
) -> Float[Array, "3 n count"]:
    """``count`` structures without overlaps, in the units of the potential.

    Uniform in a cube of edge :func:`start_box` (free clusters) or in the cell, then
    gradient descent on ``sum (1 - r/sigma)^2 / 2`` with sigma the length scale, rate
    0.05, at most 500 steps or until no atom feels more than 1e-3 of a diameter.
    Single precision, except under ``jax.enable_x64`` with a scale in double precision.

    Parameters
    ----------
    key
        JAX random key.
    system
        Species, scales and cell.
    count
        Number of structures.
    rotate
        Turn every structure by a random rotation (free clusters): the cube's axes then
        no longer agree with those of a frame-dependent rule.

    Raises
    ------
    InputError
        For systems with fixed atoms, whose places only the caller knows, and for films
        and wires.
    """
    if not all(system.periodic):
        raise InputError(
            "random starts fill a cell that is periodic in all directions; give starts "
            "of your own"
        )
    if system.free is not None:
        raise InputError(
            "random starts would move the fixed atoms; give starts of your own"
        )
    n = system.n_atoms
    dtype = jnp.asarray(system.length_scale).dtype
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.float32
    placing, turning, stepping = jax.random.split(key, 3)
    uniform = jax.random.uniform(placing, (3, n, count), dtype)
    if system.cell is None:
        positions = (uniform - 0.5) * start_box(n) * system.length_scale
    else:
        cell = jnp.asarray(system.cell, dtype)
        positions = jnp.einsum("ka,k...->a...", cell, uniform)
    positions = _apart(system, positions, stepping)
    if rotate and system.cell is None:
        rotations = random_rotations(turning, count).astype(dtype)
        positions = jnp.einsum("abc,bnc->anc", rotations, positions)
    return positions


def _apart(
    system: System, positions: Float[Array, "3 n count"], key: Array
) -> Float[Array, "3 n count"]:
    """Gradient descent on soft spheres until none overlap."""
    spheres = SoftSphere()
    # Their energy is dimensionless, so that the potential's unit does not change the
    # rate.
    system = replace(system, energy_scale=1.0)
    length = jnp.max(jnp.asarray(system.length_scale, positions.dtype))
    optimizer = RuleOptimizer(GradientDescent(RATE), fmax=OVERLAP / length)
    state = initialise_state(optimizer, spheres, system, positions, key)
    state = advance(optimizer, spheres, system, state, key, 0, MAX_STEPS)
    return state.positions


def uniform_points(system: System, count: int, rng: np.random.Generator) -> np.ndarray:
    """``(3, n, count)`` uniform in the starting cube, or in the cell; they overlap."""
    n = system.n_atoms
    points = rng.uniform(size=(3, n, count))
    if system.cell is not None:
        return np.einsum("ka,knc->anc", np.asarray(system.cell, float), points)
    return (points - 0.5) * (start_box(n) * np.asarray(system.length_scale, float))


def spread(system: System, positions: np.ndarray) -> np.ndarray:
    """Move atoms apart until none are nearer than a length scale.

    Parameters
    ----------
    system
        Scales, cell, and what may move; its scales may be given per structure.
    positions
        ``(3, n, count)``. The result for a structure does not depend on the others.

    Returns
    -------
    numpy.ndarray
        ``(3, n, count)`` in single precision.
    """
    length = np.asarray(system.length_scale, float)
    reduced = replace(system, length_scale=1.0, energy_scale=1.0, atom_scales=None)
    if system.cell is not None:
        reduced = replace(
            reduced,
            cell=np.asarray(system.cell) / length,
            images=np.asarray(system.images) / length,
        )
    spheres = SoftSphere(sigma=1.0)
    optimizer = RuleOptimizer(GradientDescent(RATE), fmax=OVERLAP)
    backend = choose_backend(
        "auto", [optimizer], spheres, reduced, False, "cpu", positions.shape[2]
    )
    start = np.asarray(positions / length, np.float32)
    keys = np.zeros((2, positions.shape[-1]), np.uint32)  # it draws nothing
    state = trajectories.begin(optimizer, spheres, reduced, start, keys)
    state = trajectories.advance(
        optimizer, spheres, reduced, state, MAX_STEPS, backend=backend
    )
    return np.asarray(state.positions, np.float32) * length.astype(np.float32)


compiled_starts = compiled(random_starts, static_argnames=("count", "rotate"))


def make_starts(
    system: System,
    seed: int,
    first: int,
    count: int,
    given: np.ndarray | None = None,
    rotate: bool = False,
) -> np.ndarray:
    """Starts ``first`` to ``first + count`` of a seed, ``(3, n, count)``.

    Random starts are drawn in groups of a fixed size, so that start i does not depend
    on how many are asked for; ``given`` ``(3, n, m)`` replaces the first m, in its own
    precision.

    Raises
    ------
    InputError
        When random starts are needed for a system with fixed atoms.
    """
    if given is not None and given.shape[-1] >= first + count:
        return given[..., first : first + count]
    key = jax.random.key(seed)
    groups = range(first // GROUP, -(-(first + count) // GROUP))
    keys = [jax.random.fold_in(key, g) for g in groups]
    drawn = [
        np.asarray(compiled_starts(own, system, count=GROUP, rotate=rotate))
        for own in keys
    ]
    offset = first - groups[0] * GROUP
    positions = np.concatenate(drawn, axis=-1)[..., offset : offset + count]
    if given is not None:
        own = given[..., first : first + count]
        positions = np.concatenate([own, positions[..., own.shape[-1] :]], axis=-1)
    return positions
