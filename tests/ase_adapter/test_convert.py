from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list

from ase_l2h.ase_adapter.calculators import LennardJones as OwnLennardJones
from ase_l2h.ase_adapter.convert import (
    species_of,
    system_of,
    to_atoms,
    unknown_units,
)
from ase_l2h.ase_adapter.optimizer import Learn2Hop
from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones
from ase_l2h.potentials.jax_md import FunctionPotential
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.parameters import gupta_set
from ase_l2h.potentials.stillinger_weber import StillingerWeber
from ase_l2h.potentials.units import reduced_units


def silicon() -> Atoms:
    return bulk("Si", "diamond", a=5.431, cubic=True)


def square(symbols: str = "Ar4", edge: float = 1.1) -> Atoms:
    """Four atoms at the corners of a square."""
    corners = edge * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    return Atoms(symbols, corners)


def test_cluster():
    """Positions in double precision; the cell of a free cluster is ignored."""
    atoms = square()
    atoms.set_cell([1, 2, 3])
    potential, system, positions = system_of(atoms, LennardJones(epsilon=0.5))
    assert isinstance(potential, LennardJones)
    assert positions.dtype == np.float64
    np.testing.assert_array_equal(positions, atoms.positions.T)
    assert system.cell is None
    assert system.free is None
    assert system.recentred
    assert system.length_scale == pytest.approx(2 ** (1 / 6))
    assert system.energy_scale == 0.5


def test_periodic_cell_brings_its_images():
    _, system, _ = system_of(silicon(), StillingerWeber())
    np.testing.assert_array_equal(system.cell, 5.431 * np.eye(3))
    # The range (3.77) exceeds half the cell, and so do the features (5.88).
    assert system.images.shape == (27, 3)
    assert system.feature_images.shape == (27, 3)
    assert not system.recentred


def test_round_trip_moves_fixed_atoms_too():
    """What a kernel computed is written back as it is; it kept fixed atoms itself."""
    atoms = square()
    atoms.set_constraint(FixAtoms([0]))
    _, _, positions = system_of(atoms, LennardJones())
    back = to_atoms(atoms, positions + 0.25)
    np.testing.assert_array_equal(back.positions, atoms.positions + 0.25)
    assert back is not atoms
    assert back.constraints
    assert back.calc is None


def test_species_ascend_with_the_atomic_number_among_those_present():
    atoms = square("AuAgAuAg", edge=2.9)
    potential, system, _ = system_of(atoms, gupta_set("AgAu").potential())
    assert potential.symbols == ("Ag", "Au")
    np.testing.assert_array_equal(system.species, [1, 0, 1, 0])
    atoms = square("NiFeFeNi", edge=2.5)
    potential, system, _ = system_of(atoms, gupta_set("FeCoNi").potential())
    assert potential.symbols == ("Fe", "Ni")
    np.testing.assert_array_equal(system.species, [1, 0, 0, 1])


def test_species_without_a_table():
    """One-species potentials ignore symbols; A and B of a mixture keep their roles."""
    symbols = ["Kr", "Ar", "Kr"]
    np.testing.assert_array_equal(species_of(symbols, LennardJones())[1], 0)
    mixture = BinaryLennardJones.kob_andersen()
    np.testing.assert_array_equal(species_of(symbols, mixture)[1], [1, 0, 1])
    np.testing.assert_array_equal(species_of(["Kr", "Kr"], mixture)[1], [1, 1])
    for potential in (None, FunctionPotential(lambda positions: 0.0)):
        np.testing.assert_array_equal(species_of(symbols, potential)[1], [1, 0, 1])


def test_units_of_an_unknown_calculator():
    """Mean of twice the covalent radii, and 3.5 eV / 8.61."""
    length, energy = unknown_units(["O", "H", "H"])
    assert length == pytest.approx(2 * (0.66 + 0.31 + 0.31) / 3)
    assert energy == pytest.approx(3.5 / 8.61)
    _, system, _ = system_of(molecule("H2O"))
    assert (system.length_scale, system.energy_scale) == (length, energy)
    _, system, _ = system_of(molecule("H2O"), length_scale=1.5, energy_scale=0.2)
    assert (system.length_scale, system.energy_scale) == (1.5, 0.2)


def test_only_atoms_are_taken():
    with pytest.raises(
        TypeError, match="filter FrechetCellFilter cannot be used; pass"
    ):
        system_of(FrechetCellFilter(silicon()), StillingerWeber())
    with pytest.raises(TypeError, match=r"needs an ase\.Atoms object, not list"):
        system_of([silicon()], StillingerWeber())


def nan_position() -> Atoms:
    atoms = square()
    atoms.positions[2, 1] = np.nan
    return atoms


def overlapping(fixed: tuple[int, ...] = ()) -> Atoms:
    """Two pairs too close; the closer one is named."""
    atoms = square(edge=3.0)
    atoms.positions[3] = atoms.positions[1] + [0, 0.1, 0]
    atoms.positions[2] = atoms.positions[0] + [0, 0.15, 0]
    atoms.set_constraint(FixAtoms(fixed))
    return atoms


def coincident() -> Atoms:
    atoms = square(edge=3.0)
    atoms.positions[3] = atoms.positions[1]
    return atoms


def overlapping_image() -> Atoms:
    """Apart in the cell, 0.15 apart through its wall."""
    atoms = silicon()
    atoms.positions += 0.001
    atoms.positions[2] = atoms.positions[0] + [5.281, 0, 0]
    return atoms


@pytest.mark.parametrize(
    ("atoms", "potential", "named", "moved"),
    [
        (overlapping(), LennardJones(), "atoms 1 and 3 overlap (0.1 apart)", 4),
        (overlapping((1,)), LennardJones(), "atoms 1 and 3 overlap (0.1 apart)", 3),
        (coincident(), LennardJones(), "atoms 1 and 3 overlap (0 apart)", 2),
        (overlapping_image(), StillingerWeber(), "atoms 0 and 2 overlap (0.15", 2),
    ],
    ids=["two pairs", "one fixed", "coincident", "image"],
)
def test_overlapping_atoms_are_moved_apart(atoms, potential, named, moved, caplog):
    """By little, the others not at all, and the log says so."""
    before = atoms.get_positions()
    found = [system_of(atoms, potential)[2].T for _ in range(2)]
    np.testing.assert_array_equal(*found)
    assert len(caplog.records) == 2
    assert caplog.messages[0].startswith(named)
    np.testing.assert_array_equal(atoms.positions, before)
    far = np.linalg.norm(found[0] - before, axis=1)
    assert np.count_nonzero(far) == moved
    closest = 0.2 * float(reduced_units(potential, np.zeros(len(atoms), int))[0])
    assert np.max(far) < 3 * closest
    atoms.set_positions(found[0], apply_constraint=False)
    assert len(neighbor_list("i", atoms, closest)) == 0


def with_cell(cell) -> Atoms:
    atoms = silicon()
    atoms.set_cell(cell)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "potential", "sentence"),
    [
        (nan_position(), LennardJones(), "position of atom 2 is not a finite number"),
        (
            overlapping((1, 3)),
            LennardJones(),
            "atoms 1 and 3 overlap: they are 0.1 apart",
        ),
        (Atoms(), LennardJones(), "the structure has no atoms"),
        (Atoms("Ar"), LennardJones(), "one atom; a search needs at least 2"),
        (with_cell([5.431, 5.431, 0]), StillingerWeber(), "lie in a plane"),
        (with_cell([5.431, 5.431, 1e-3]), StillingerWeber(), "too small or too flat"),
        (silicon(), LennardJones(), "has no cut-off, which a periodic cell needs"),
        (square("Ge4", 3.0), StillingerWeber(symbols=("Si",)), "no parameters for Ge"),
        (
            square("CuAu3", 3.0),
            gupta_set("AgAu").potential(),
            "no Gupta parameters for Cu; this set covers Ag, Au",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_structures_are_refused_in_one_sentence(atoms, potential, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        system_of(atoms, potential)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_scales_are_positive(value):
    with pytest.raises(
        ValueError, match=r"length_scale is .*; (it must be a pos|give a num)"
    ):
        system_of(square(), LennardJones(), length_scale=value)


def test_an_atom_too_close_to_its_own_image():
    atoms = Atoms("Ar2", [[0, 0, 0], [1, 1, 0.1]], cell=[2, 2, 0.15], pbc=True)
    with pytest.raises(ValueError, match=r"images of atom . are 0.15 apart"):
        system_of(atoms, LennardJones(rc=1.5))


def test_atoms_that_are_all_alike_need_no_element():
    """ASE's X, of which its own Lennard-Jones says that any species will do."""
    atoms = Atoms("X3", [[0, 0, 0], [1.1, 0, 0], [0, 1.1, 0]])
    _, system, _ = system_of(atoms, LennardJones())
    assert np.asarray(system.species).tolist() == [0, 0, 0]
    for calculator in (OwnLennardJones(), AseLennardJones(rc=10.0)):
        atoms.calc = calculator
        search = Learn2Hop(atoms, method="fire", n_starts=1, seed=0, logfile=None)
        assert search.run(fmax=1e-4)
        assert atoms.get_potential_energy() == pytest.approx(-3.0, abs=1e-2)
        assert atoms.get_chemical_symbols() == ["X"] * 3
    with pytest.raises(ValueError, match="'X' is not a chemical symbol"):
        system_of(atoms, gupta_set("AgAu").potential())
