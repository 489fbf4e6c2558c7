"""Symmetric random starts: symmetry, distances, elements, and what they lead to."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import spglib

from ase_l2h.errors import InputError
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.rollout.quench import quench
from ase_l2h.starts.groups import point_groups
from ase_l2h.starts.symmetric import symmetric_starts
from ase_l2h.system import make_system
from ase_l2h.targets import named_target

# What spglib 2.7 and 2.8 announce, although nothing failed.
pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR:DeprecationWarning")

# The cube of 64 atoms of silicon, in bond lengths.
SILICON = 10.862 / 2.351 * np.eye(3)


def closest(positions: np.ndarray, cell: np.ndarray | None = None) -> np.ndarray:
    """Smallest distance of two atoms in every structure."""
    apart = positions[:, :, None] - positions[:, None]
    if cell is not None:
        edges = np.diag(cell)[:, None, None, None]
        apart = apart - edges * np.round(apart / edges)
    distances = np.sqrt(np.sum(apart**2, axis=0))
    return np.min(distances + 9 * np.eye(len(distances))[..., None], axis=(0, 1))


def symmetry(positions: np.ndarray, species: np.ndarray) -> int:
    """Order of the largest point group of ours that maps ``(n, 3)`` onto itself."""
    largest = 1
    for group in point_groups():
        (general,) = (site for site in group.sites if site.dimension == 3)
        images = np.einsum("gab,kb->gka", general.rotations, positions)
        apart = np.linalg.norm(images[:, :, None] - positions, axis=-1)
        alike = species[:, None] == species
        if np.all(np.min(apart + 9 * ~alike, axis=2) < 1e-6):
            largest = max(largest, general.size)
    return largest


@pytest.mark.parametrize("n_atoms", [1, 2, 7, 13, 38])
def test_every_cluster_has_a_symmetry_and_no_overlaps(n_atoms):
    starts = symmetric_starts(n_atoms, 40, np.random.default_rng(1), rattle=0.0)
    assert starts.shape == (3, n_atoms, 40)
    orders = [symmetry(starts[..., k].T, np.zeros(n_atoms)) for k in range(40)]
    assert min(orders) >= 2
    assert len(set(orders)) > 3 or n_atoms < 3
    if n_atoms > 1:
        distances = closest(starts)
        assert distances.min() > 0.5
        assert np.median(distances) > 0.85
        # As dense as matter: atoms have several neighbours, and none is lost.
        apart = np.linalg.norm(starts[:, :, None] - starts[:, None], axis=0)
        near = np.sum(apart < 1.5, axis=1) - 1
        assert near.mean() > min(n_atoms - 1, 7) * 0.55
        assert np.mean(near == 0) < 0.01


def test_a_rattle_breaks_the_symmetry_a_little():
    draw = lambda rattle: symmetric_starts(
        13, 20, np.random.default_rng(2), rattle=rattle
    )
    exact, shaken = draw(0.0), draw(0.02)
    noise = shaken - exact
    assert noise.std() == pytest.approx(0.02, rel=0.1)
    assert all(symmetry(shaken[..., k].T, np.zeros(13)) == 1 for k in range(20))


def test_a_seed_gives_its_starts_again_and_another_gives_others():
    draw = lambda seed: symmetric_starts(19, 6, np.random.default_rng(seed))
    np.testing.assert_array_equal(draw(4), draw(4))
    assert not np.any(draw(4) == draw(5))


@pytest.mark.parametrize("counts", [[8, 12], [6, 6, 8], [0, 20]])
def test_orbits_are_of_one_element_where_the_group_allows_it(counts):
    starts = symmetric_starts(20, 40, np.random.default_rng(3), counts, rattle=0.0)
    species = np.repeat(np.arange(len(counts)), counts)
    orders = np.array([symmetry(starts[..., k].T, species) for k in range(40)])
    assert np.mean(orders > 1) > 0.9


def test_elements_that_no_group_tells_apart_are_placed_at_random():
    """Nine atoms of nine elements would all have to be on one axis."""
    counts = [1] * 9
    starts = symmetric_starts(9, 30, np.random.default_rng(5), counts, rattle=0.0)
    assert np.all(np.isfinite(starts))
    assert closest(starts).min() > 0.4


def test_counts_have_to_add_up():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="do not add up to 5"):
        symmetric_starts(5, 1, rng, [2, 2])
    assert symmetric_starts(5, 0, rng).shape == (3, 5, 0)


def test_crystals_have_space_groups_of_the_cell():
    starts = symmetric_starts(
        64, 24, np.random.default_rng(6), cell=SILICON, rattle=0.0
    )
    assert starts.shape == (3, 64, 24)
    fractional = np.moveaxis(starts, 0, 1) / SILICON[0, 0]
    numbers = [
        spglib.get_symmetry_dataset(
            (SILICON, fractional[..., k], np.ones(64)), symprec=1e-5
        ).number
        for k in range(24)
    ]
    assert min(numbers) > 1
    assert len(set(numbers)) > 6
    distances = closest(starts, SILICON)
    assert np.median(distances) > 0.85
    assert np.mean(distances > 0.55) > 0.9


def test_crystals_of_two_elements_keep_their_counts():
    starts = symmetric_starts(
        16, 10, np.random.default_rng(7), [8, 8], cell=2.6 * np.eye(3), rattle=0.0
    )
    fractional = np.moveaxis(starts, 0, 1) / 2.6
    species = np.repeat([1, 2], 8)
    symmetric = [
        len(
            spglib.get_symmetry_dataset(
                (2.6 * np.eye(3), fractional[..., k], species), symprec=1e-5
            ).rotations
        )
        for k in range(10)
    ]
    assert np.mean(np.array(symmetric) > 1) > 0.8


def test_a_third_of_thirteen_atoms_become_the_icosahedron():
    """36 of 100 do; of random starts without symmetry far fewer."""
    starts = symmetric_starts(13, 200, np.random.default_rng(8))
    scale = 2 ** (1 / 6)
    with jax.enable_x64(True):
        system = make_system(np.zeros(13, int), length_scale=scale)
        relaxed = quench(LennardJones(), system, scale * starts, fmax=1e-4)
    share = np.mean(np.abs(relaxed.energy + 44.326801) < 1e-4)
    # Four standard errors below.
    assert share > 0.36 - 4 * np.sqrt(0.36 * 0.64 / 200)


@pytest.mark.slow
def test_some_of_sixty_four_silicon_atoms_become_the_crystal():
    """One or two starts in a hundred; of uniform ones none in many thousands."""
    target = named_target("Si64")
    cell, length = np.asarray(target.system.cell), 2.351
    starts = symmetric_starts(64, 512, np.random.default_rng(0), cell=cell / length)
    with jax.enable_x64(True):
        relaxed = quench(
            target.potential, target.system, length * starts, fmax=0.02, max_steps=150
        )
    assert np.sum(relaxed.energy < target.reference + 0.05) >= 2
