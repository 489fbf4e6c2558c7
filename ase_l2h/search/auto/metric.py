"""The curvature of a learned potential, by which relaxations by calls are shortened.

A relaxation that begins with a good guess of the inverse Hessian takes a few steps
where it would otherwise have to learn the difference between stiff bonds and soft
motions, one call at a time. The guess need not be exact: L-BFGS corrects its scale and
its directions on the way, see :class:`~ase_l2h.rules.lbfgs.Lbfgs`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ase_l2h.search.problem import Problem

__all__ = ["inverse_curvature"]

# Curvatures (energy scales per squared bond length) below this are taken for as large:
# along soft motions the learned potential is least reliable, and steps would be long. A
# bond has some hundred.
LEAST = 8.0


def inverse_curvature(problem: Problem, positions: np.ndarray) -> np.ndarray:
    """The inverse Hessian, made positive definite, ``(3n, 3n, batch)``.

    With the curvatures c and the directions v of the Hessian,

        M = sum_k v_k v_k^T / max(|c_k|, 8)

    in reduced units, see :func:`~ase_l2h.optimizers.rule_steps.observe`.

    Parameters
    ----------
    problem
        With a potential that JAX can differentiate.
    positions
        ``(3, n, batch)``.
    """
    size = 3 * problem.n_atoms
    unit = problem.length**2 / problem.energy_unit
    free = np.ones(size) if problem.free is None else problem.free.reshape(-1)
    inverses = np.empty((size, size, positions.shape[2]))
    for b in range(positions.shape[2]):
        with jax.enable_x64(True):
            place = np.asarray(positions[..., b], np.float64)
            hessian = _hessian(problem.potential, problem.system, place)
        hessian = np.nan_to_num(np.asarray(hessian)) * unit * np.outer(free, free)
        curvatures, directions = np.linalg.eigh(hessian)
        scaled = directions / np.maximum(np.abs(curvatures), LEAST)
        inverses[..., b] = scaled @ directions.T
    return inverses


@jax.jit
def _hessian(potential: Any, system: Any, positions: Any) -> jax.Array:
    def energy(flat: jax.Array) -> jax.Array:
        return jnp.sum(potential.atom_energies(flat.reshape(positions.shape), system))

    return jax.hessian(energy)(positions.reshape(-1))
