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
from ase_l2h.search.auto.bonds import RANGE, Pairs, faded, pairs_of, range_of
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
        With a Gupta potential, as of
        :func:`~ase_l2h.search.auto.learned_potential.modelled`.
    positions
        ``(3, n, batch)``.
    """
    size = 3 * problem.n_atoms
    unit = problem.length**2 / problem.energy_unit
    free = np.arange(size)
    if problem.free is not None:
        free = np.flatnonzero(problem.free.reshape(-1))
    block = np.ix_(free, free)
    inverses = np.empty((size, size, positions.shape[2]))
    for b in range(positions.shape[2]):
        with one_thread():
            hessian = unit * curvature(problem, positions[..., b])[block]
            curvatures, directions = np.linalg.eigh(np.nan_to_num(hessian))
            scaled = directions / np.maximum(np.abs(curvatures), LEAST)
            # Fixed coordinates stay where they are, whatever stands for them.
            inverses[..., b] = np.eye(size) / LEAST
            inverses[..., b][block] = scaled @ directions.T
    return inverses


def curvature(problem: Problem, positions: np.ndarray) -> np.ndarray:
    """The Hessian ``(3n, 3n)`` of a structure ``(3, n)``, in the problem's units.

    With the second moments B_i and their gradients g_i, the energy is a sum of pairs
    whose band terms weigh -1/(2 sqrt(B_i)) - 1/(2 sqrt(B_j)), and

        H = H_pairs + sum_i g_i g_i^T / (4 B_i^(3/2))

    Written out because automatic differentiation takes n^3 memory and the compilation
    of every size.
    """
    n, potential, reach = problem.n_atoms, problem.potential, range_of(problem)
    points = np.asarray(positions, float)[None]
    cell = None if reach is None else np.asarray(problem.system.cell, float)
    pairs = pairs_of(points, cell, problem.length * RANGE)
    if pairs.distances.size == 0:
        # No atom is in the range of another.
        return np.zeros((3 * n, 3 * n))
    kinds = pairs.kinds(problem.species, np.ones(n, bool))
    p, q, r0, xi, a = (
        np.asarray(getattr(potential, name), float)[kinds].reshape(n, -1)
        for name in TABLES
    )
    distances, units = pairs.distances[0], pairs.units()[0]
    fade = faded(distances, None if reach is None else reach * problem.length)
    apart = np.where(distances > 0, distances, np.inf)
    stretch = distances / r0 - 1
    repulsion, band = a * np.exp(-p * stretch), xi**2 * np.exp(-2 * q * stretch)
    moments = np.sum(fade.value * band, axis=1)
    moments = np.maximum(moments, LONELY * np.max(xi) ** 2)
    slope = -0.5 / np.sqrt(moments)
    weights = slope[:, None] + pairs.of_partner(slope[None])[0]
    p, q = p / r0, 2 * q / r0
    first = -p * 2 * fade.value * repulsion - q * weights * fade.value * band
    first += fade.slope * (2 * repulsion + weights * band)
    second = p**2 * 2 * fade.value * repulsion + q**2 * weights * fade.value * band
    second -= 2 * fade.slope * (2 * p * repulsion + q * weights * band)
    second += fade.bend * (2 * repulsion + weights * band)
    along = np.einsum("xik,yik,ik->xyik", units, units, second - first / apart)
    across = np.einsum("xy,ik->xyik", np.eye(3), first / apart)
    blocks = _scattered(pairs, along + across, n)
    gradients = _scattered(pairs, (fade.slope - fade.value * q) * band * units, n)
    each = np.moveaxis(gradients, 1, 0).reshape(n, 3 * n)
    hessian = np.moveaxis(blocks, 2, 1).reshape(3 * n, 3 * n)
    return hessian + (each.T * (0.25 * moments**-1.5)) @ each


def _scattered(pairs: Pairs, terms: np.ndarray, n: int) -> np.ndarray:
    """Terms of an atom and its neighbours ``(..., n, k)`` as ``(..., n, n)``.

    A neighbour receives the opposite of what the atom receives.
    """
    if pairs.partners is None:
        found = -terms
    else:
        found = np.zeros((*terms.shape[:-1], n))
        where: Any = (..., np.arange(n)[:, None], pairs.partners[0])
        np.subtract.at(found, where, terms)
    diagonal = np.arange(n)
    found[..., diagonal, diagonal] += np.sum(terms, axis=-1)
    return found
