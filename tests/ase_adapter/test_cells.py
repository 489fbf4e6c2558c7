"""Cells that relax after a search: alone, by Learn2Hop, and under pressure."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.units import GPa

from ase_l2h.ase_adapter.calculators import LennardJones, StillingerWeber
from ase_l2h.ase_adapter.cells import KnownPotential, relax_cell
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.errors import InputError
from ase_l2h.potentials.lennard_jones import LennardJones as Pairs


def silicon(strain: float = 1.03) -> Atoms:
    """Diamond in a cell that is too large, shaken."""
    atoms = bulk("Si", cubic=True)
    atoms.set_cell(strain * atoms.cell, scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = StillingerWeber()
    return atoms


@pytest.mark.parametrize("pressure", [0.0, 5.0])
def test_learn2hop_relaxes_the_cell_of_a_filter(pressure, tmp_path):
    """Stillinger and Weber (1985): -2 epsilon per atom, at 5.431 angstrom."""
    atoms, log = silicon(), tmp_path / "log"
    given = atoms.cell.array.copy()
    cell = FrechetCellFilter(atoms, scalar_pressure=pressure * GPa)
    search = Learn2Hop(cell, method="fire", n_starts=1, seed=0, logfile=log)
    assert search.run(fmax=0.002)
    np.testing.assert_allclose(
        atoms.get_stress(), [-pressure * GPa] * 3 + [0.0] * 3, atol=1e-4
    )
    assert "space group Fd-3m to Fd-3m" in log.read_text()
    if pressure == 0:
        np.testing.assert_allclose(atoms.cell.lengths(), 5.431, atol=1e-3)
        assert atoms.get_potential_energy() / 8 == pytest.approx(-4.3366, abs=1e-4)
    else:
        assert atoms.cell.volume < 5.4**3
    # What the search has found is as it was, and nothing is done twice.
    energy, minimum = search.minima[0]
    np.testing.assert_array_equal(minimum.cell.array, given)
    assert energy > atoms.get_potential_energy()
    before, charged = atoms.get_positions(), search.charged_evaluations
    assert search.run(fmax=0.002)
    np.testing.assert_array_equal(atoms.get_positions(), before)
    assert search.charged_evaluations == charged


def test_a_search_that_is_cut_short_keeps_its_cell():
    atoms = silicon()
    given = atoms.cell.array.copy()
    search = Learn2Hop(
        FrechetCellFilter(atoms), method="fire", n_starts=1, seed=0, logfile=None,
        horizon=5000,
    )  # fmt: skip
    search.run(fmax=0.01, steps=0)
    np.testing.assert_array_equal(atoms.cell.array, given)


def test_symmetry_is_told_before_and_after():
    """A tetragonal cell of copper becomes cubic; EMT has its own lattice constant."""
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(np.diag([3.6, 3.6, 3.75]), scale_atoms=True)
    atoms.calc = EMT()
    told = relax_cell(atoms, fmax=1e-3)
    assert (told.space_group_before, told.space_group) == ("I4/mmm", "Fm-3m")
    assert told.converged
    assert told.energy < told.energy_before
    assert told.enthalpy == told.energy == atoms.get_potential_energy()
    assert told.volume == pytest.approx(atoms.cell.volume)
    assert "space group I4/mmm to Fm-3m" in str(told)
    short = relax_cell(FrechetCellFilter(atoms, scalar_pressure=0.1), steps=1)
    assert not short.converged
    assert "not converged" in str(short)
    assert short.enthalpy == pytest.approx(short.energy + 0.1 * short.volume)


def test_a_potential_is_a_calculator_again(rng):
    atoms = bulk("Ar", a=1.6, cubic=True)
    atoms.rattle(0.05, rng=rng)
    atoms.calc = KnownPotential(Pairs(sigma=0.9, epsilon=0.7, rc=2.2))
    other = atoms.copy()
    other.calc = LennardJones(sigma=0.9, epsilon=0.7, rc=2.2)
    assert atoms.get_potential_energy() == other.get_potential_energy()
    np.testing.assert_array_equal(atoms.get_stress(), other.get_stress())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda atoms: atoms.set_pbc([1, 1, 0]), "all three directions are periodic"),
        (
            lambda atoms: atoms.set_constraint(FixAtoms([0])),
            "would move the fixed atoms",
        ),
    ],
)
def test_cells_that_cannot_relax_are_refused(change, sentence):
    atoms = silicon()
    change(atoms)
    with pytest.raises(InputError, match=sentence):
        relax_cell(atoms)
    with pytest.raises(InputError, match=sentence):
        Learn2Hop(FrechetCellFilter(atoms))
