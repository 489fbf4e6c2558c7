from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from ase_l2h.errors import InputError
from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.jax_md import FunctionPotential
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.parameters import gupta_set
from ase_l2h.potentials.stillinger_weber import StillingerWeber
from ase_l2h.potentials.units import fcc_cohesive_energy, reduced_units


def like_row(name: str, symbol: str) -> tuple[float, ...]:
    return gupta_set(name).pairs[f"{symbol}-{symbol}"]


@pytest.mark.parametrize(
    ("symbol", "energy", "lattice"),
    # Computed independently: all shells within 20 angstrom.
    [("Ag", 2.993065, 4.076801), ("Au", 3.824933, 4.076735)],
)
def test_fcc_crystal(symbol, energy, lattice):
    found = fcc_cohesive_energy(*like_row("AgAu", symbol))
    np.testing.assert_allclose(found, (energy, lattice), rtol=0, atol=6e-7)


def test_fcc_crystal_with_a_cut_off_is_what_the_calculator_gives():
    from ase_l2h.ase_adapter.calculators import Gupta

    cohesion, lattice = fcc_cohesive_energy(*like_row("Au", "Au"), rc=6.0)
    atoms = bulk("Au", "fcc", a=lattice)
    atoms.calc = Gupta("Au", rc=6.0)
    assert atoms.get_potential_energy() == pytest.approx(-cohesion, rel=1e-10)


def test_lennard_jones_and_mixtures():
    d0 = 2 ** (1 / 6)
    assert reduced_units(LennardJones(epsilon=0.4, sigma=3.0), [0, 0]) == pytest.approx(
        (3.0 * d0, 0.4)
    )
    mixture = BinaryLennardJones.kob_andersen()
    assert reduced_units(mixture, [0, 0, 0, 1]) == pytest.approx(
        ((3 + 0.88) / 4 * d0, 3.5 / 4)
    )


def test_alloys_take_the_composition_mean():
    potential = gupta_set("AgAu").potential()
    length, energy = reduced_units(potential, [0, 1, 1])
    assert length == pytest.approx((2.8921 + 2 * 2.885) / 3)
    assert energy == pytest.approx((2.993065 + 2 * 3.824933) / 3 / 8.61, rel=1e-6)
    lengths, energies = reduced_units(potential, np.array([[0, 1], [1, 1], [1, 0]]))
    np.testing.assert_allclose(lengths, [length, length])
    np.testing.assert_allclose(energies, [energy, energy])


def test_silicon():
    length, energy = reduced_units(StillingerWeber(), [0, 0])
    assert length == pytest.approx(2.351)
    assert energy == pytest.approx(2 * 2.1683 / 8.61)


def test_functions_have_no_units_of_their_own():
    with pytest.raises(TypeError, match="set length_scale and energy_scale yourself"):
        reduced_units(FunctionPotential(lambda positions: 0.0), [0])


def test_gupta_columns_in_another_order_are_named():
    p, q, r0, xi, A = like_row("Au", "Au")
    swapped = Gupta.from_pairs({"Au-Au": (A, p, q, r0, xi)})
    with pytest.raises(InputError, match=r"pair Au-Au .* the order is p, q, r0, xi, A"):
        reduced_units(swapped, [0, 0])
