"""Saddle points are found by their curvature, and left downhill."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from ase_l2h.ase_adapter.problem import problem_of
from ase_l2h.search.curvature import STEPS, descend_saddles, lowest_curvatures
from ase_l2h.search.driver import engine_for
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.ledger import Stopped
from ase_l2h.search.problem import Problem


def evaluator_of(problem: Problem, **limits) -> Evaluator:
    engine = engine_for(problem)
    return Evaluator(problem, lambda request: engine.execute([request])[0], **limits)


def chain() -> np.ndarray:
    positions = np.zeros((3, 3, 1))
    positions[0, :, 0] = [-1.1, 0.0, 1.1]
    return positions


def hexagon(distance: float) -> np.ndarray:
    """A centred hexagon in the plane z = 0, ``(3, 7, 1)``."""
    angles = np.pi / 3 * np.arange(6)
    ring = np.stack([np.cos(angles), np.sin(angles), 0 * angles])
    flat = np.concatenate([np.zeros((3, 1)), ring], axis=1)
    return distance * flat[..., None]


def icosahedron() -> np.ndarray:
    """Thirteen atoms, ``(3, 13, 1)``."""
    golden = (1 + np.sqrt(5)) / 2
    corners = [(0.0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    places = [np.roll(c, k) for c in corners for k in range(3)]
    return 0.57 * np.array([np.zeros(3), *places]).T[..., None]


def hessian(problem: Problem, positions: np.ndarray) -> np.ndarray:
    """Second derivatives in reduced units, ``(3 n, 3 n)``, by automatic ones."""
    with jax.enable_x64(True):
        energy = lambda x: problem.potential.energy(x.reshape(3, -1), problem.system)
        matrix = jax.hessian(energy)(jnp.asarray(positions.reshape(-1)))
    return np.asarray(matrix) * problem.length**2 / problem.energy_unit


def test_the_lowest_curvature_is_that_of_the_hessian():
    problem = Problem.of("LJ7")
    evaluator = evaluator_of(problem)
    rng = np.random.default_rng(5)
    relaxed = evaluator.polish(hexagon(1.1) + 1e-9 * rng.normal(size=(3, 7, 1)))
    for positions in (relaxed.positions, hexagon(1.11)):
        values, modes, cost = lowest_curvatures(evaluator, positions)
        expected = np.linalg.eigvalsh(hessian(problem, positions[..., 0]))
        assert values[0] == pytest.approx(expected[0], rel=1e-3, abs=1e-2)
        mode = modes[..., 0].reshape(-1)
        assert np.linalg.norm(mode) == pytest.approx(1, rel=1e-6)
        quotient = mode @ hessian(problem, positions[..., 0]) @ mode
        assert quotient == pytest.approx(values[0], rel=1e-3, abs=1e-2)
        assert cost == 3 * 7 - 6 + 1 <= STEPS


@pytest.mark.slow
def test_rotations_do_not_grow_from_rounding():
    """In the icosahedron, whose many equal curvatures end a Lanczos space early."""
    problem = Problem.of("LJ13")
    evaluator = evaluator_of(problem)
    relaxed = evaluator.polish(icosahedron())
    values, _, _ = lowest_curvatures(evaluator, relaxed.positions)
    expected = np.linalg.eigvalsh(hessian(problem, relaxed.positions[..., 0]))[6]
    assert expected == pytest.approx(53.74, abs=0.01)
    assert values[0] == pytest.approx(expected, abs=0.1)


def test_a_chain_of_three_becomes_a_triangle_and_every_gradient_is_charged():
    evaluator = evaluator_of(Problem.of("LJ3"))
    relaxed = evaluator.polish(chain())
    assert relaxed.energy[0] == pytest.approx(-2.031124, abs=1e-6)
    before = evaluator.charged
    below = descend_saddles(evaluator, relaxed.positions)
    assert below.energy[0] == pytest.approx(-3.0, abs=1e-9)
    assert below.converged[0]
    assert below.evaluations[0] == evaluator.charged - before


def test_minima_are_left_alone():
    evaluator = evaluator_of(Problem.of("LJ13"))
    rng = np.random.default_rng(2)
    starts = evaluator.spread(rng.normal(scale=1.2, size=(3, 13, 6)))
    relaxed = evaluator.polish(starts)
    same = descend_saddles(evaluator, relaxed.positions)
    kept = relaxed.converged
    assert np.count_nonzero(kept) >= 4
    np.testing.assert_allclose(same.energy[kept], relaxed.energy[kept], atol=1e-9)
    np.testing.assert_array_equal(
        same.positions[..., kept], relaxed.positions[..., kept]
    )


def test_a_batch_is_what_its_structures_are_alone():
    evaluator = evaluator_of(Problem.of("LJ3"))
    triangle = descend_saddles(evaluator, chain()).positions
    both = np.concatenate([chain(), triangle], axis=-1)
    together = descend_saddles(evaluator, both)
    assert together.energy == pytest.approx([-3.0, -3.0], abs=1e-9)
    np.testing.assert_array_equal(together.positions[..., 1], triangle[..., 0])
    assert together.evaluations[0] > together.evaluations[1]


@pytest.mark.parametrize("kind", ["silver", "copper by EMT"])
def test_flat_clusters_of_metals_rise_from_their_plane(kind: str):
    if kind == "silver":
        problem = Problem.of("Ag7")
        flat = hexagon(2.7)
    else:
        flat = hexagon(2.4)
        atoms = Atoms("Cu7", flat[..., 0].T, calculator=EMT())
        problem = problem_of(atoms, fmax=0.01)
    evaluator = evaluator_of(problem)
    relaxed = evaluator.polish(flat)
    assert np.ptp(relaxed.positions[2]) < 1e-6
    below = descend_saddles(evaluator, relaxed.positions)
    assert below.energy[0] < relaxed.energy[0] - 0.1
    assert below.converged[0]
    centred = below.positions[..., 0] - below.positions[..., 0].mean(axis=1)[:, None]
    assert np.linalg.svd(centred)[1][-1] > 0.5


def test_fixed_atoms_stay_and_their_plane_is_left_by_the_others():
    """Four of a flat hexagon's atoms are fixed; the others find a third dimension."""
    known = Problem.of("LJ7")
    free = np.ones((3, 7), bool)
    free[:, :4] = False
    system = dataclasses.replace(known.system, free=free)
    problem = Problem(known.potential, system, given=hexagon(1.1))
    evaluator = evaluator_of(problem)
    relaxed = evaluator.polish(hexagon(1.1))
    below = descend_saddles(evaluator, relaxed.positions)
    assert below.energy[0] < relaxed.energy[0] - 0.1
    np.testing.assert_array_equal(below.positions[:, :4], hexagon(1.1)[:, :4])


def test_it_stops_where_nothing_is_left_to_spend():
    evaluator = evaluator_of(Problem.of("LJ3"), limit=5)
    with pytest.raises(Stopped):
        descend_saddles(evaluator, chain())
    assert evaluator.charged <= 5


def test_what_has_no_energy_is_left_alone():
    evaluator = evaluator_of(Problem.of("LJ3"))
    lost = np.zeros((3, 3, 1))
    result = descend_saddles(evaluator, lost)
    assert not result.converged[0]
    assert result.energy[0] == np.inf
    np.testing.assert_array_equal(result.positions, lost)
