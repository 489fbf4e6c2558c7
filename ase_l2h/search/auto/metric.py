"""The curvature of a learned potential, by which relaxations by calls are shortened.

A relaxation that begins with a good guess of the inverse Hessian takes a few steps
where it would otherwise have to learn the difference between stiff bonds and soft
motions, one call at a time. The guess need not be exact: L-BFGS corrects its scale and
its directions on the way, see :class:`~ase_l2h.rules.lbfgs.Lbfgs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ase_l2h._internal.blas import one_thread
from ase_l2h.search.problem import Problem

__all__ = ["curvature", "inverse_curvature"]

TABLES = ("p", "q", "r0", "xi", "A")
# Second moment of an atom without neighbours, in units of the largest hopping squared.
LONELY = 1e-6
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
        A free cluster with a Gupta potential without a cut-off.
    positions
        ``(3, n, batch)``.
    """
    size = 3 * problem.n_atoms
    unit = problem.length**2 / problem.energy_unit
    free = np.ones(size) if problem.free is None else problem.free.reshape(-1)
    inverses = np.empty((size, size, positions.shape[2]))
    for b in range(positions.shape[2]):
        with one_thread():
            hessian = curvature(problem.potential, problem.species, positions[..., b])
            hessian *= unit * np.outer(free, free)
            curvatures, directions = np.linalg.eigh(np.nan_to_num(hessian))
            scaled = directions / np.maximum(np.abs(curvatures), LEAST)
            inverses[..., b] = scaled @ directions.T
    return inverses


def curvature(potential: Any, species: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The Hessian ``(3n, 3n)`` of a free cluster by a Gupta potential, in its units.

    With the second moments B_i and their gradients g_i, the energy is a sum of pairs
    whose band terms weigh -1/(2 sqrt(B_i)) - 1/(2 sqrt(B_j)), and

        H = H_pairs + sum_i g_i g_i^T / (4 B_i^(3/2))

    Written out because automatic differentiation takes n^3 memory and the compilation
    of every size.
    """
    n = len(species)
    pair = np.ix_(species, species)
    p, q, r0, xi, a = (
        np.asarray(getattr(potential, name), float)[pair] for name in TABLES
    )
    vectors = np.asarray(positions, float)[:, :, None] - positions[:, None, :]
    distances = np.linalg.norm(vectors, axis=0)
    # Coincident atoms have no direction.
    apart = np.where(distances > 0, distances, np.inf)
    units, stretch = vectors / apart, distances / r0 - 1
    bonded = ~np.eye(n, dtype=bool)
    repulsion = bonded * a * np.exp(-p * stretch)
    band = bonded * xi**2 * np.exp(-2 * q * stretch)
    moments = np.maximum(np.sum(band, axis=1), LONELY * np.max(xi) ** 2)
    slope = -0.5 / np.sqrt(moments)
    weights = slope[:, None] + slope[None, :]
    first = -p / r0 * 2 * repulsion - 2 * q / r0 * weights * band
    second = (p / r0) ** 2 * 2 * repulsion + (2 * q / r0) ** 2 * weights * band
    along = np.einsum("xij,yij,ij->xyij", units, units, second - first / apart)
    across = np.einsum("xy,ij->xyij", np.eye(3), first / apart)
    blocks = -(along + across)
    diagonal = np.arange(n)
    blocks[:, :, diagonal, diagonal] = -np.sum(blocks, axis=3)
    gradients = 2 * q / r0 * band * units
    gradients[:, diagonal, diagonal] = -np.sum(gradients, axis=2)
    each = np.moveaxis(gradients, 1, 0).reshape(n, 3 * n)
    hessian = np.moveaxis(blocks, 2, 1).reshape(3 * n, 3 * n)
    return hessian + (each.T * (0.25 * moments**-1.5)) @ each
