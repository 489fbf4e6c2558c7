from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from reference_data import evaluate as compiled
from reference_data import structures

from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.system import make_system

pytestmark = pytest.mark.usefixtures("x64")


def evaluate(config: str, truncation):
    """The named frame under Kob-Andersen; argon is A."""
    atoms = structures("kob_andersen_binary_lj")[config]
    potential = BinaryLennardJones.kob_andersen(truncation)
    system = make_system(
        np.where(atoms.symbols == "Ar", 0, 1),
        cell=atoms.cell.array if atoms.pbc.any() else None,
        cutoff=potential.cutoff,
    )
    return compiled(potential, jnp.asarray(atoms.positions.T), system)


def test_blj13_of_pele():
    """10 A and 3 B, Stoddard-Ford shifted: -48.6156136322, and a minimum."""
    found = evaluate("BLJ13_10A3B_free", "stoddard-ford")
    assert float(found.energy) == pytest.approx(-48.6156136322, abs=1e-9)
    assert np.abs(found.gradient).max() < 1e-3


def test_glass_of_stridernet_needs_image_sums():
    """The box (4.37) is shorter than twice the cut-off; LAMMPS: -8.1125655 per atom."""
    found = evaluate("KA100_glass", "truncated")
    assert float(found.energy) / 100 == pytest.approx(-8.11256553, abs=1e-8)


def test_random_start_of_stridernet():
    """LAMMPS prints 7.4681728e8 per atom in single precision."""
    found = evaluate("KA100_random_start", "truncated")
    assert float(found.energy) / 100 == pytest.approx(7.4681728e8, rel=1e-7)
    assert np.isfinite(found.gradient).all()


@pytest.mark.parametrize(
    ("truncation", "jump", "kink"),
    [
        ("truncated", True, True),
        ("shifted", False, True),
        ("stoddard-ford", False, False),
    ],
)
def test_behaviour_at_the_cut_off(truncation, jump, kink):
    """A batch of dimers, just inside and just outside, of each pair of species."""
    potential = BinaryLennardJones.kob_andersen(truncation)
    pairs = np.array([(0, 0), (0, 1), (1, 1)]).T
    rc = potential.rc[pairs[0], pairs[1]]
    for factor, inside in ((1 - 1e-9, True), (1 + 1e-9, False)):
        positions = jnp.zeros((3, 2, 3)).at[0, 1].set(rc * factor)
        found = compiled(potential, positions, make_system(pairs))
        slope = found.gradient[0, 1]
        np.testing.assert_array_equal(np.abs(found.energy) > 1e-3, jump and inside)
        np.testing.assert_array_equal(np.abs(slope) > 1e-3, kink and inside)
        if not inside:
            np.testing.assert_array_equal(found.energy, 0.0)


def test_equal_species_are_a_shifted_lennard_jones(rng):
    ones = np.ones((2, 2))
    mixture = BinaryLennardJones(1.3 * ones, 1.1 * ones, 2.2 * ones, "shifted")
    pure = LennardJones(epsilon=1.3, sigma=1.1, rc=2.2)
    positions = jnp.asarray(rng.uniform(0, 3, (3, 9)))
    species = np.arange(9) % 2
    one = compiled(mixture, positions, make_system(species))
    other = compiled(pure, positions, make_system(0 * species))
    assert float(one.energy) == pytest.approx(float(other.energy), rel=1e-12)
