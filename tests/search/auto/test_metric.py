"""The curvature of a learned potential, and what it saves."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.errors import RunError
from ase_l2h.rollout.kernels.native import compiler
from ase_l2h.search.auto import metric
from ase_l2h.search.auto.metric import inverse_curvature
from ase_l2h.search.driver import engine_for
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem
from ase_l2h.starts.fragments import fragments
from ase_l2h.system import make_system


def evaluator_of(problem: Problem) -> Evaluator:
    engine = engine_for(problem, backend="scan")
    return Evaluator(problem, lambda request: engine.execute([request])[0])


@pytest.fixture(scope="module")
def gold():
    """Au13, and its lowest minimum."""
    problem = Problem.of("Au13")
    starts = problem.length * fragments(13, 1, np.random.default_rng(1), ["fcc"])
    return problem, evaluator_of(problem).polish(starts).positions


def forces(problem: Problem, positions: np.ndarray) -> np.ndarray:
    """Reduced gradients ``(39, k)`` by central differences of the energy."""
    step = 1e-4 * problem.length
    moved = np.repeat(positions[..., None], 39, axis=-1)
    gradient = []
    for sign in (1, -1):
        shifted = np.array(moved)
        for k in range(39):
            shifted[k // 13, k % 13, ..., k] += sign * step
        flat = shifted.reshape(3, 13, -1)
        energies = np.array(
            problem.potential.atom_energies(jnp.asarray(flat), problem.system), float
        ).sum(axis=0)
        gradient.append(energies.reshape(-1, 39).T)
    scale = problem.length / problem.energy_unit
    return (gradient[0] - gradient[1]) / (2 * step) * scale


def test_it_is_the_inverse_of_the_hessian_where_that_is_stiff(gold, monkeypatch):
    problem, places = gold
    inverse = inverse_curvature(problem, places)[..., 0]
    assert np.allclose(inverse, inverse.T)
    weakest, stiffest = np.linalg.eigvalsh(inverse)[[0, -1]]
    assert 0 < weakest < stiffest <= 1 / metric.LEAST + 1e-12
    # A displacement along the stiffest motion, and the force that it causes.
    _, motions = np.linalg.eigh(inverse)
    displacement = 1e-3 * motions[:, 0]
    moved = places + problem.length * displacement.reshape(3, 13, 1)
    with jax.enable_x64(True):
        change = forces(problem, moved) - forces(problem, places)
    assert inverse @ change[:, 0] == pytest.approx(displacement, abs=2e-5)


@pytest.mark.often("Ag7Au8")
@pytest.mark.parametrize("name", ["Au13", "Ag7Au8"])
def test_the_curvature_is_that_of_automatic_differentiation(name):
    problem = Problem.of(name)
    n = problem.n_atoms
    places = problem.length * fragments(n, 1, np.random.default_rng(1))[..., 0]
    with jax.enable_x64(True):

        def energy(flat):
            places = flat.reshape(3, n)
            return jnp.sum(problem.potential.atom_energies(places, problem.system))

        expected = jax.hessian(energy)(jnp.asarray(places.reshape(-1)))
        expected = np.asarray(expected)
    found = metric.curvature(problem, places)
    assert found == pytest.approx(expected, abs=1e-9 * np.abs(expected).max())


def test_lonely_and_coincident_atoms_have_a_finite_curvature(gold):
    problem, places = gold
    odd = np.repeat(places, 2, axis=2)
    odd[0, 0, 0] += 400 * problem.length
    odd[:, 0, 1] = odd[:, 1, 1]
    assert np.all(np.isfinite(inverse_curvature(problem, odd)))


def test_fixed_atoms_have_no_part_in_it(gold):
    problem, places = gold
    free = np.ones((3, 13), bool)
    free[:, :4] = False
    system = dataclasses.replace(problem.system, free=free)
    problem = dataclasses.replace(problem, system=system, given=places)
    inverse = inverse_curvature(problem, places)[..., 0].reshape(3, 13, 3, 13)
    assert np.max(np.abs(inverse[:, 4:, :, :4])) < 1e-12
    assert np.max(np.abs(inverse[:, 4:, :, 4:])) > 1e-3


def test_relaxations_with_it_take_fewer_evaluations(gold):
    problem, places = gold
    rng = np.random.default_rng(0)
    starts = places + 0.05 * problem.length * rng.normal(size=(3, 13, 8))
    plain = evaluator_of(problem)
    curved = plain.with_metric(lambda x: inverse_curvature(problem, x))
    slow, fast = plain.refine(starts), curved.refine(starts)
    assert fast.converged.all()
    assert np.median(fast.evaluations) < 0.7 * np.median(slow.evaluations)


def test_a_guess_that_is_wrong_in_scale_costs_little(gold):
    problem, places = gold
    rng = np.random.default_rng(0)
    starts = places + 0.1 * problem.length * rng.normal(size=(3, 13, 8))
    plain = evaluator_of(problem)
    right = plain.with_metric(lambda x: inverse_curvature(problem, x)).refine(starts)
    for factor in (0.1, 10.0):
        wrong = plain.with_metric(
            lambda x, f=factor: f * inverse_curvature(problem, x)
        ).refine(starts)
        assert wrong.converged.all()
        assert np.median(wrong.evaluations) < 2 * np.median(right.evaluations)


def test_structures_with_and_without_a_guess_share_an_engine(gold):
    """They have unlike states, so they cannot share a batch."""
    problem, places = gold
    engine = engine_for(problem, backend="scan")
    rng = np.random.default_rng(0)
    starts = places + 0.1 * problem.length * rng.normal(size=(3, 13, 2))
    asked = []

    def submit(request):
        asked.append(request)
        return engine.execute([request])[0]

    plain = Evaluator(problem, submit)
    plain.relax(starts)
    first = next(r for r in asked if hasattr(r, "state"))
    asked.clear()
    plain.with_metric(lambda x: inverse_curvature(problem, x)).relax(starts)
    second = next(r for r in asked if hasattr(r, "state"))
    together = engine.execute([first, second])
    apart = [engine.execute([request])[0] for request in (first, second)]
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)


@pytest.mark.skipif(compiler() is None, reason="there is no machine code")
def test_machine_code_does_not_ignore_a_guess(gold):
    problem, places = gold
    engine = engine_for(problem, backend="native")
    evaluator = Evaluator(problem, lambda request: engine.execute([request])[0])
    guessing = evaluator.with_metric(lambda x: inverse_curvature(problem, x))
    with pytest.raises(RunError, match="machine code takes no guess"):
        guessing.relax(places)


def test_atoms_in_nobody_s_range_have_no_curvature():
    calls = Problem.of("Cu2")
    cell = 40 * calls.length * np.eye(3)
    system = make_system(
        [0, 0], cell=cell, cutoff=calls.length,
        length_scale=calls.length, energy_scale=calls.energy_unit,
    )  # fmt: skip
    apart = np.zeros((3, 2, 1))
    apart[0, 1] = 20 * calls.length
    problem = dataclasses.replace(calls, system=system)
    assert not np.any(metric.curvature(problem, apart[..., 0]))
    assert np.allclose(
        inverse_curvature(problem, apart)[..., 0], np.eye(6) / metric.LEAST
    )
