"""Saddle points among relaxed structures, and descents from them.

A relaxation along gradients keeps every symmetry of its start: a chain of atoms stays a
chain, a sheet stays flat, and both end in saddle points, where the forces vanish. The
lowest curvature detects this: a few Lanczos steps, one gradient each, find a direction
in which the energy falls, and a displacement along it breaks the symmetry.
"""

from __future__ import annotations

import numpy as np

from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.rules import GradientDescent
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Relaxed

__all__ = ["GAIN", "check_cost", "descend_saddles", "lowest_curvatures"]

# Lanczos steps, one gradient each; those of a calculator are expensive.
STEPS, CALCULATOR_STEPS = 30, 15
# Displacement between two gradients, in length scales. Kernels are exact to rounding;
# the forces of calculators are not, and a longer displacement exceeds their noise.
DIFFERENCE, CALCULATOR_DIFFERENCE = 1e-5, 1e-2
# Curvature in energy scales per squared length scale below which the energy falls. A
# chain of three Lennard-Jones atoms has -0.28, a bond some +100.
NEGATIVE = -0.05
# Displacement, along a falling direction, of the atom that moves most (length scales).
DISPLACEMENT = 0.1
# A saddle of higher order may lead to one of lower order.
DESCENTS = 3
# Least gain of a descent, in energy scales.
GAIN = 1e-6
SEED = 20210721


def check_cost(problem: Problem) -> int:
    """Most evaluations to decide whether one structure is a saddle point."""
    most = STEPS if problem.measure is None else CALCULATOR_STEPS
    # Two more for the structure itself.
    return 2 + min(most, 3 * problem.n_atoms)


def descend_saddles(evaluator: Evaluator, positions: np.ndarray) -> Relaxed:
    """Relax further the structures that are saddle points.

    Parameters
    ----------
    evaluator
        Charges every gradient: about 30 of a structure on a kernel and 15 on a
        calculator, and the relaxation of what is a saddle point.
    positions
        Relaxed structures, ``(3, n, batch)``.

    Returns
    -------
    Relaxed
        Minima as they were given, and of saddle points what lies below them. What has
        no finite energy is left alone and not converged.

    Raises
    ------
    Stopped
        As every request of an evaluator.
    """
    places = np.array(positions, float)
    energies, _ = _gradients(evaluator, places)
    spent, converged = np.ones(len(energies), int), np.isfinite(energies)
    pending = np.flatnonzero(converged)
    for _ in range(DESCENTS):
        if pending.size == 0:
            break
        curvatures, modes, cost = lowest_curvatures(evaluator, places[..., pending])
        spent[pending] += cost
        falling = curvatures < NEGATIVE
        pending = pending[falling]
        if pending.size == 0:
            break
        moved = places[..., pending] + _scaled(modes[..., falling], evaluator)
        relaxed = evaluator.polish(moved)
        spent[pending] += relaxed.evaluations
        gain = GAIN * evaluator.problem.energy_unit
        lower = relaxed.energy < energies[pending] - gain
        pending = pending[lower]
        places[..., pending] = relaxed.positions[..., lower]
        energies[pending] = relaxed.energy[lower]
        converged[pending] = relaxed.converged[lower]
    return Relaxed(places, energies, converged, spent)


def _scaled(modes: np.ndarray, evaluator: Evaluator) -> np.ndarray:
    largest = np.max(np.linalg.norm(modes, axis=0), axis=0)
    return modes * (DISPLACEMENT * evaluator.problem.length / largest)


def lowest_curvatures(
    evaluator: Evaluator, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Upper bounds of the lowest curvatures, by Lanczos on differences of gradients.

    Translations are left out, and rotations of free clusters without fixed atoms.

    Parameters
    ----------
    evaluator
        Charges the gradients.
    positions
        ``(3, n, batch)``.

    Returns
    -------
    tuple
        Curvatures in energy scales per squared length scale, ``(batch,)``, +inf where a
        gradient failed; their directions, ``(3, n, batch)`` of norm 1; and the
        evaluations charged for each structure.
    """
    calls = evaluator.problem.measure is not None
    step = CALCULATOR_DIFFERENCE if calls else DIFFERENCE
    frames = [_still(evaluator, positions[..., b]) for b in range(positions.shape[2])]
    most = CALCULATOR_STEPS if calls else STEPS
    count = min([most, *(frame.shape[0] - frame.shape[1] for frame in frames)])
    if count < 1:
        batch = positions.shape[2]
        return np.full(batch, np.inf), np.zeros_like(positions), 0
    rng = np.random.default_rng(SEED)
    vector = rng.normal(size=(frames[0].shape[0], len(frames)))
    vector = _normalised(_without(vector, frames))
    basis, diagonal, beside = [vector], [], []
    _, origin = _gradients(evaluator, positions)
    for k in range(count):
        moved = positions + _spread(basis[k], evaluator) * step
        _, gradient = _gradients(evaluator, moved)
        product = _packed(gradient - origin, evaluator) / step
        diagonal.append(np.sum(basis[k] * product, axis=0))
        # Orthogonalised twice, against rounding. The rigid motions are removed as well,
        # or they grow from rounding until they hide low curvatures.
        for _ in range(2):
            product = _without(product, frames)
            for other in basis:
                product = product - other * np.sum(other * product, axis=0)
        beside.append(np.linalg.norm(product, axis=0))
        basis.append(_normalised(product))
    values, modes = _lowest(np.array(diagonal), np.array(beside), np.array(basis[:-1]))
    return values, _spread(modes, evaluator) / evaluator.problem.length, count + 1


def _lowest(
    diagonal: np.ndarray, beside: np.ndarray, basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest eigenvalue of each tridiagonal matrix, and its direction."""
    count, batch = diagonal.shape
    values, modes = np.full(batch, np.inf), np.zeros(basis.shape[1:])
    for b in range(batch):
        if not np.all(np.isfinite(diagonal[:, b])):
            continue
        # An exhausted Krylov space decouples, and what follows is noise.
        empty = np.flatnonzero(beside[:-1, b] < 1e-8 * np.max(np.abs(diagonal[:, b])))
        size = int(empty[0]) + 1 if empty.size else count
        off = np.diag(beside[: size - 1, b], 1)
        found, vectors = np.linalg.eigh(np.diag(diagonal[:size, b]) + off + off.T)
        values[b] = found[0]
        modes[:, b] = vectors[:, 0] @ basis[:size, :, b]
    return values, modes


def _gradients(
    evaluator: Evaluator, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Energies ``(batch,)`` and reduced gradients ``(3, n, batch)``, NaN where failed.

    One step of gradient descent with rate 1 is minus the gradient.
    """
    system, length = evaluator.problem.system, evaluator.problem.length
    downhill = RuleOptimizer(GradientDescent(rate=1.0, max_step=1e5))
    keys = np.zeros((2, positions.shape[2]), np.uint32)
    state = evaluator.begin(downhill, positions, keys, double=True)
    state = evaluator.advanced(downhill, state, 1)
    gradient = (positions - np.asarray(state.positions, float)) / length
    if system.recentred:
        gradient = gradient - np.mean(gradient, axis=1, keepdims=True)
    energies = np.asarray(state.energy, float)
    sound = np.isfinite(energies) & np.isfinite(state.force)
    return np.where(sound, energies, np.inf), np.where(sound, gradient, np.nan)


def _packed(gradient: np.ndarray, evaluator: Evaluator) -> np.ndarray:
    """``(3, n, batch)`` as vectors of the free coordinates, ``(free, batch)``."""
    free = evaluator.problem.free
    if free is None:
        return gradient.reshape(-1, gradient.shape[2])
    return gradient[free]


def _spread(vectors: np.ndarray, evaluator: Evaluator) -> np.ndarray:
    """Vectors in length scales as displacements ``(3, n, batch)``."""
    problem = evaluator.problem
    free = np.ones((3, problem.n_atoms), bool) if problem.free is None else problem.free
    displacements = np.zeros((3, problem.n_atoms, vectors.shape[1]))
    displacements[free] = vectors * problem.length
    return displacements


def _still(evaluator: Evaluator, positions: np.ndarray) -> np.ndarray:
    """Orthonormal rigid motions ``(free, k)``, which cost no energy."""
    problem = evaluator.problem
    size = 3 * problem.n_atoms if problem.free is None else int(problem.free.sum())
    if problem.free is not None:
        return np.zeros((size, 0))
    motions = [np.outer(axis, np.ones(problem.n_atoms)) for axis in np.eye(3)]
    if problem.cell is None:
        arms = positions - np.mean(positions, axis=1, keepdims=True)
        arms = arms / problem.length
        motions += [np.cross(axis, arms.T).T for axis in np.eye(3)]
    left, strengths, _ = np.linalg.svd(
        np.array(motions).reshape(len(motions), -1).T, full_matrices=False
    )
    # One rotation of a linear structure moves nothing.
    return left[:, strengths > 1e-3]


def _without(vectors: np.ndarray, frames: list[np.ndarray]) -> np.ndarray:
    """Vectors ``(free, batch)`` without the rigid motions of each structure."""
    columns = [
        column - frame @ (frame.T @ column)
        for column, frame in zip(vectors.T, frames, strict=True)
    ]
    return np.stack(columns, axis=-1)


def _normalised(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=0)
    return vectors / np.where(norms > 0, norms, 1.0)
