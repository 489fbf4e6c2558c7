"""A thousand atoms and more: exact, bounded in memory, and refused beyond."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_data import evaluate as energy_and_gradient
from reference_data import structures

from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.rollout import Rollout, Status, quench
from ase_l2h.rollout.scan import evaluate, initialise_state
from ase_l2h.rules import Adam
from ase_l2h.system import MAX_ATOMS, make_system
from ase_l2h.targets import named_target


def lattice(n: int, spacing: float, seed: int = 0) -> np.ndarray:
    """A shaken piece of the fcc lattice, ``(3, n)``, unlike any symmetric cluster."""
    cells = np.array(list(np.ndindex(9, 9, 9)), float)
    basis = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    sites = (cells[:, None] + basis).reshape(-1, 3) * spacing * 2**0.5
    order = np.argsort(np.linalg.norm(sites - sites.mean(axis=0), axis=1))
    rng = np.random.default_rng(seed)
    chosen = sites[order[:n]] + rng.normal(scale=0.05 * spacing, size=(n, 3))
    return (chosen - chosen.mean(axis=0)).T


def lennard_jones_by_hand(positions: np.ndarray) -> tuple[float, np.ndarray]:
    d = positions[:, :, None] - positions[:, None]
    squared = np.sum(d**2, axis=0)
    np.fill_diagonal(squared, np.inf)
    s6 = squared**-3
    slope = 24 * (s6 - 2 * s6**2) / squared
    return 2 * np.sum(s6**2 - s6), np.sum(slope * d, axis=2)


def gupta_by_hand(target: Any, positions: np.ndarray) -> tuple[float, np.ndarray]:
    species = np.asarray(target.system.species)
    pairs = np.ix_(species, species)
    names = ("p", "q", "r0", "xi", "A")
    p, q, r0, xi, a = (np.asarray(getattr(target.potential, n))[pairs] for n in names)
    d = positions[:, :, None] - positions[:, None]
    r = np.sqrt(np.sum(d**2, axis=0))
    np.fill_diagonal(r, np.inf)
    repulsion = a * np.exp(-p * (r / r0 - 1))
    hopping = xi**2 * np.exp(-2 * q * (r / r0 - 1))
    root = np.sqrt(hopping.sum(axis=1))
    inverse = 1 / root[:, None] + 1 / root[None]
    slope = -2 * p / r0 * repulsion + q / r0 * hopping * inverse
    return repulsion.sum() - root.sum(), np.sum(slope / r * d, axis=2)


def test_energy_and_gradient_of_a_thousand_atoms(x64):
    target = named_target("LJ1000")
    positions = lattice(1000, 1.09)
    energy, gradient = lennard_jones_by_hand(positions)
    found = energy_and_gradient(target.potential, positions[..., None], target.system)
    np.testing.assert_allclose(found.energy[0], energy, rtol=1e-12)
    np.testing.assert_allclose(found.gradient[..., 0], gradient, rtol=1e-8, atol=1e-8)


def test_energy_and_gradient_of_a_large_alloy(x64):
    target = named_target("Ag400Au200")
    positions = lattice(600, 2.85)
    energy, gradient = gupta_by_hand(target, positions)
    found = energy_and_gradient(target.potential, positions[..., None], target.system)
    np.testing.assert_allclose(found.energy[0], energy, rtol=1e-12)
    np.testing.assert_allclose(found.gradient[..., 0], gradient, rtol=1e-8, atol=1e-8)


@pytest.mark.slow
def test_the_published_minimum_of_lj1000_is_one(x64):
    """Shaken by a twentieth of a bond, it relaxes to its energy again."""
    atoms = structures("lj1000")["LJ1000"]
    assert atoms.info["energy_table"] == -7128.821829
    target = named_target("LJ1000")
    rng = np.random.default_rng(1)
    shaken = atoms.positions.T + rng.normal(scale=0.03, size=(3, 1000))
    relaxed = quench(target.potential, target.system, shaken[..., None])
    assert relaxed.status[0] == Status.CONVERGED
    assert abs(relaxed.energy[0] - atoms.info["energy_table"]) < 2e-6


def test_memory_of_the_largest_search_is_bounded():
    """Gupta keeps numbers per pair: chunks shrink, until they fit."""
    half = MAX_ATOMS // 2
    target = named_target(f"Ag{half}Au{MAX_ATOMS - half}")
    starts = np.repeat(lattice(MAX_ATOMS, 2.85)[..., None], 64, axis=2)
    optimizer = RuleOptimizer(Adam())
    run = Rollout(optimizer, target.potential, target.system, starts, jax.random.key(0))
    assert run.size == 4
    state = jax.eval_shape(
        initialise_state,
        optimizer,
        target.potential,
        target.system,
        jnp.zeros((3, MAX_ATOMS, run.size)),
        jax.random.key(0),
    )
    compiled = jax.jit(evaluate).lower(target.potential, target.system, state).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 300e6


def test_more_atoms_are_refused():
    system = make_system(np.zeros(MAX_ATOMS + 1, int))
    positions = np.zeros((3, MAX_ATOMS + 1, 1))
    target = named_target("LJ13")
    with pytest.raises(ValueError, match=f"more than {MAX_ATOMS}; every pair"):
        quench(target.potential, system, positions)
