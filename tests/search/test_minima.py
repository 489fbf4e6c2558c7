"""Which relaxed structures are the same minimum."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from reference_data import structures

from ase_l2h import search
from ase_l2h.search.driver import search_problem
from ase_l2h.search.limits import Limits
from ase_l2h.search.minima import distinct_minima
from ase_l2h.search.problem import Problem
from ase_l2h.system import make_system


def gram_rotation(seed: int) -> np.ndarray:
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn


def test_copies_of_a_minimum_are_merged_and_others_kept(rng):
    """Turned, mirrored, moved and renumbered copies of two minima, out of order."""
    first = structures("lj_global_minima_2_150")["LJ13"].positions.T
    second = structures("lj_global_minima_2_150")["LJ13"].positions.T.copy()
    second[:, 0] *= 1.5
    batch, energies = [], []
    for k in range(6):
        shape = first if k % 2 else second
        turn = gram_rotation(k) * (-1 if k > 2 else 1)
        moved = turn @ shape[:, rng.permutation(13)] + rng.normal(size=(3, 1))
        batch.append(moved)
        energies.append((-44.3 if k % 2 else -41.0) + 1e-7 * k)
    energies[4] = np.nan
    system = make_system(np.zeros(13, int))
    minima = distinct_minima(np.array(energies), np.stack(batch, axis=-1), system)
    assert [(m.count, m.first) for m in minima] == [(3, 1), (2, 0)]
    assert [m.energy for m in minima] == [energies[1], energies[0]]
    np.testing.assert_array_equal(minima[0].positions, batch[1].T)


def test_equal_energies_do_not_merge_different_structures(rng):
    system = make_system(np.zeros(5, int))
    batch = rng.normal(size=(3, 5, 4))
    minima = distinct_minima(np.full(4, -3.0), batch, system)
    assert [m.first for m in minima] == [0, 1, 2, 3]


def test_equal_structures_of_different_energy_are_kept_apart(rng):
    system = make_system(np.zeros(5, int), energy_scale=0.1)
    batch = np.repeat(rng.normal(size=(3, 5, 1)), 3, axis=2)
    energies = np.array([-3.0, -3.0 + 0.9e-6, -3.0 + 1.1e-6])
    assert [m.count for m in distinct_minima(energies, batch, system)] == [2, 1]


def test_atoms_of_unlike_species_are_told_apart(rng):
    """Exchanging two unlike atoms is another structure, even at the same energy."""
    system = make_system([0, 0, 1, 1, 1])
    shape = rng.normal(size=(3, 5))
    like, unlike = shape[:, [1, 0, 4, 2, 3]], shape[:, [2, 1, 0, 3, 4]]
    batch = np.stack([shape, like, unlike], axis=-1)
    minima = distinct_minima(np.full(3, -1.0), batch, system)
    assert [(m.count, m.first) for m in minima] == [(2, 0), (1, 2)]


def test_periodic_structures_are_compared_by_nearest_images(rng):
    """Moved as a whole, and each atom by other lattice vectors; then one atom alone."""
    cell = np.array([[4.0, 0, 0], [1.9, 3.5, 0], [-1.2, 1.6, 3.9]])
    system = make_system(np.zeros(6, int), cell=cell, cutoff=2.5)
    shape = cell.T @ rng.random((3, 6))
    moved = shape + rng.normal(size=(3, 1)) + cell.T @ rng.integers(-2, 3, size=(3, 6))
    other = shape.copy()
    other[:, 2] += 0.3
    batch = np.stack([shape, moved, other], axis=-1)
    minima = distinct_minima(np.full(3, -1.0), batch, system)
    assert [(m.count, m.first) for m in minima] == [(2, 0), (1, 2)]


def test_nothing_finite_is_no_minimum():
    system = make_system([0, 0])
    assert (
        distinct_minima(np.array([np.inf, np.nan]), np.zeros((3, 2, 2)), system) == []
    )


def test_where_no_energy_is_finite_the_result_says_so(caplog):
    problem = Problem.from_function(
        lambda x: jnp.sum(x) * jnp.nan, [18] * 5, length_scale=1.0, energy_scale=1.0
    )
    result = search_problem(problem, limits=Limits(evaluations=200), seed=0)
    assert result.best is None
    assert "gave a finite energy" in str(result.trouble)
    assert f"none of {result.charged_evaluations:,}" in caplog.text


def test_what_is_cut_short_is_not_blamed_on_the_energies(caplog):
    block = 2.3 * np.argwhere(np.ones((3, 3, 2)))[:13]
    copper = Atoms("Cu13", block, calculator=EMT())
    result = search(copper, limits=Limits(seconds=1e-3), seed=0)
    assert result.stopped == "time"
    assert result.charged_evaluations > 0
    assert result.trouble is None
    assert not caplog.records
