"""Neighbours in clusters and cells, and what a search learns beside fixed atoms."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc100
from ase.neighborlist import neighbor_list

from ase_l2h.potentials.cutoff import smoothly_cut
from ase_l2h.potentials.gupta import ONSET
from ase_l2h.potentials.units import LJ_CRYSTAL_COHESION
from ase_l2h.search.auto import bonds, learned_potential, metric, surrogate
from ase_l2h.search.auto.bonds import RANGE, faded, pairs_of
from ase_l2h.search.auto.learned_potential import fitted, modelled, prior, usable
from ase_l2h.search.auto.pool import Pool
from ase_l2h.search.driver import engine_for
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem
from ase_l2h.system import make_system

LENGTH = 2.5
FCC = LENGTH * 2**0.5


def nothing(positions: np.ndarray) -> tuple[float, np.ndarray]:
    """A calculator that nobody calls."""
    return 0.0, np.zeros_like(positions)


def problem_of(atoms: Atoms, fixed: int = 0) -> Problem:
    """Atoms by some calculator; the first ``fixed`` do not move."""
    free = None
    if fixed:
        free = np.ones((3, len(atoms)), bool)
        free[:, :fixed] = False
    _, species = np.unique(atoms.numbers, return_inverse=True)
    system = make_system(
        species,
        cell=np.array(atoms.cell) if any(atoms.pbc) else None,
        periodic=atoms.pbc.tolist(),
        cutoff=2 * LENGTH,
        free=free,
        length_scale=LENGTH,
        energy_scale=3.5 / LJ_CRYSTAL_COHESION,
    )
    return Problem(None, system, given=atoms.positions.T, measure=nothing)


def slab() -> Problem:
    """Six loose copper and gold atoms above a frozen layer, periodic in a plane."""
    atoms = fcc100("Cu", (3, 3, 2), a=FCC, vacuum=6.0, periodic=False)
    sites = np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 0.5]])
    height = atoms.positions[:, 2].max() + 0.7 * LENGTH
    above = np.column_stack([LENGTH * sites, np.full(5, height)])
    above = np.vstack([above, [LENGTH, LENGTH, height + 0.7 * LENGTH]])
    return problem_of(atoms + Atoms("Cu3Au3", positions=above), len(atoms))


def crystal() -> Problem:
    """Eight atoms in a cell so small that atoms see images of themselves."""
    atoms = bulk("Cu", a=FCC, cubic=True) * (2, 1, 1)
    atoms.symbols[:3] = "Au"
    atoms.positions += 0.05 * np.random.default_rng(0).normal(size=(8, 3))
    return problem_of(atoms)


def core() -> Problem:
    """A cluster of which some atoms are fixed."""
    atoms = bulk("Cu", a=FCC, cubic=True) * (2, 2, 1)
    atoms.pbc = False
    return problem_of(atoms, 5)


PROBLEMS = {"slab": slab, "crystal": crystal, "core": core}


def evaluator_of(problem: Problem) -> Evaluator:
    engine = engine_for(problem, backend="scan")
    return Evaluator(problem, lambda request: engine.execute([request])[0])


@pytest.mark.parametrize("periodic", [(True, True, True), (True, True, False)])
@pytest.mark.parametrize("most", [1, bonds.MOST_PAIRS])
def test_neighbours_in_a_cell_are_those_of_ase(periodic, most, monkeypatch):
    monkeypatch.setattr(bonds, "MOST_PAIRS", most)
    atoms = bulk("Cu", a=FCC) * (2, 2, 1)
    atoms.positions += 0.1 * np.random.default_rng(1).normal(size=(4, 3))
    atoms.pbc = periodic
    problem = problem_of(atoms)
    pairs = pairs_of(
        atoms.positions.T[None], np.asarray(problem.system.cell), 2.2 * LENGTH
    )
    bonded = np.isfinite(pairs.distances[0])
    owners, _ = np.nonzero(bonded)
    i, j, d, ways = neighbor_list("ijdD", atoms, 2.2 * LENGTH)
    found = np.column_stack(
        [owners, pairs.partners[0][bonded], *pairs.vectors[0][:, bonded]]
    )
    expected = np.column_stack([i, j, *-ways.T])
    for table in (found, expected):
        table[:] = table[np.lexsort(np.round(table, 6).T)]
    assert found == pytest.approx(expected, abs=1e-9)
    assert np.sort(pairs.distances[0][bonded]) == pytest.approx(np.sort(d))


def test_the_cut_off_is_that_of_the_potentials_with_its_derivatives():
    distances = np.linspace(0.5, 1.1, 400) * RANGE
    fade = faded(distances, RANGE)
    with jax.enable_x64(True):
        expected = smoothly_cut(
            jnp.ones(400), jnp.asarray(distances**2), RANGE, ONSET * RANGE
        )
    assert fade.value == pytest.approx(np.asarray(expected), abs=1e-12)
    step = 1e-6
    after, before = faded(distances + step, RANGE), faded(distances - step, RANGE)
    inside = np.abs(distances - RANGE) > 2 * step
    for name, by in (("value", "slope"), ("slope", "bend")):
        change = (getattr(after, name) - getattr(before, name)) / (2 * step)
        kink = np.abs(distances - ONSET * RANGE) < 2 * step
        smooth = inside & ~kink
        assert getattr(fade, by)[smooth] == pytest.approx(change[smooth], abs=1e-5)


@pytest.mark.parametrize("name", PROBLEMS)
def test_its_own_minima_fit_a_potential_exactly(name, monkeypatch):
    """The formulas of the fit are those of the potential that is then searched."""
    problem = PROBLEMS[name]()
    count = int(problem.species.max()) + 1
    pairs = count * (count + 1) // 2
    rng = np.random.default_rng(2)
    logs = prior()[0] + 0.05 * rng.normal(size=(pairs, 4))
    model = modelled(problem, logs)
    starts = problem.given + 0.1 * LENGTH * rng.normal(size=(3, problem.n_atoms, 4))
    low = evaluator_of(model).polish(problem.with_fixed(starts))
    assert low.converged.any()
    low = low.take(low.converged)
    asked = []

    def look(residuals, start, **_):
        asked.append(residuals(logs.ravel()))
        return SimpleNamespace(fun=residuals(start), x=start)

    monkeypatch.setattr(learned_potential, "least_squares", look)
    fitted(problem, low.energy, low.positions)
    free = 3 * problem.n_atoms if problem.free is None else int(problem.free.sum())
    told = low.energy.size * (1 + free)
    assert asked[0].size == told + 4 * pairs
    assert np.max(np.abs(asked[0][:told])) < 1e-3


@pytest.mark.often("core")
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_curvature_is_that_of_automatic_differentiation(name):
    problem = PROBLEMS[name]()
    count = int(problem.species.max()) + 1
    logs = np.tile(prior()[0], (count * (count + 1) // 2, 1))
    model, n = modelled(problem, logs), problem.n_atoms
    places = model.given[..., 0]
    with jax.enable_x64(True):

        def energy(flat):
            atoms = model.potential.atom_energies(flat.reshape(3, n), model.system)
            return jnp.sum(atoms)

        expected = np.asarray(jax.hessian(energy)(jnp.asarray(places.reshape(-1))))
    found = metric.curvature(model, places)
    free = np.ones(3 * n, bool) if model.free is None else model.free.reshape(-1)
    block = np.ix_(free, free)
    assert found[block] == pytest.approx(
        expected[block], abs=1e-9 * np.abs(expected).max()
    )


def test_a_model_of_a_surface_keeps_what_is_fixed_and_where_atoms_belong():
    problem = slab()
    model = modelled(problem, np.tile(prior()[0], (3, 1)))
    np.testing.assert_array_equal(model.free, problem.free)
    np.testing.assert_array_equal(model.given, problem.given)
    assert model.sought.normal == pytest.approx(problem.sought.normal)
    low = evaluator_of(model).relax(problem.given + 0.1)
    fixed = ~problem.free
    np.testing.assert_array_equal(
        model.with_fixed(low.positions)[fixed], problem.given[fixed]
    )


def test_atoms_that_coincide_or_left_the_surface_teach_nothing():
    problem = slab()
    places = np.repeat(problem.given, 3, axis=2)
    places[:, -1, 0] = places[:, -2, 0]
    places[2, -1, 1] += 4 * LENGTH
    np.testing.assert_array_equal(usable(problem, places), [False, False, True])


def test_what_is_fixed_need_not_touch_anything():
    """A frozen atom far from all others says nothing about the structure."""
    problem = slab()
    given = np.array(problem.given)
    given[2, 0] -= 6 * LENGTH
    away = dataclasses.replace(problem, given=given)
    assert usable(away, given).all()


@pytest.mark.parametrize(("name", "made"), [("slab", 6), ("crystal", 8)])
def test_neighbours_of_a_structure_leave_fixed_atoms_alone(name, made, monkeypatch):
    monkeypatch.setattr(surrogate, "compiler", lambda: "c++")
    monkeypatch.setattr(surrogate, "SCREENED", made)
    problem = PROBLEMS[name]()
    assert surrogate.learnable(problem)
    pool = Pool(4, 1e-4, LENGTH, n_atoms=problem.n_atoms, cell=problem.cell)
    known = surrogate.nothing_known(problem.n_atoms) | {
        "energies": np.array([-1.0]),
        "positions": problem.given,
    }
    model = surrogate.Model(problem, pool, known)
    beside = surrogate._neighbours(
        model, problem.given, np.random.default_rng(0)
    ).positions
    # All of the lowest, and only they.
    assert beside.shape[2] == made
    fixed = np.zeros((3, problem.n_atoms), bool) if problem.free is None else None
    fixed = ~problem.free if fixed is None else fixed
    # Kernels may hold them in single precision.
    assert np.allclose(beside[fixed], problem.given[fixed], atol=1e-5)
    changed = np.any(np.abs(beside - problem.given) > 0.2 * LENGTH, axis=(0, 1))
    assert np.mean(changed) > 0.5
