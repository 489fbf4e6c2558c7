"""Named sets are confirmed by the tests of their potentials; here they are listed."""

from __future__ import annotations

import pytest

from ase_l2h.potentials.parameters import (
    GUPTA_SETS,
    STILLINGER_WEBER_SETS,
    gupta_set,
    gupta_sets_covering,
    stillinger_weber_set,
)


@pytest.mark.parametrize("name", GUPTA_SETS)
def test_gupta_sets_are_complete_and_cited(name):
    one = gupta_set(name)
    assert one.name == name
    assert one.source
    assert one.check
    species = len(one.symbols)
    assert len(one.pairs) == species * (species + 1) // 2
    assert one.potential().p.shape == (species, species)
    assert one.potential(rc=7.5).cutoff == 7.5


@pytest.mark.parametrize("name", STILLINGER_WEBER_SETS)
def test_stillinger_weber_sets_are_cited(name):
    one = stillinger_weber_set(name)
    assert one.source
    assert one.check
    assert one.potential().symbols == ("Si",)
    assert one.potential().cutoff == pytest.approx(3.77118, abs=1e-12)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="named 'AuAg'; choose one of Au, Au55, AgAu"):
        gupta_set("AuAg")
    with pytest.raises(ValueError, match="named 'Ge'; choose one of Si"):
        stillinger_weber_set("Ge")


def test_sets_covering_a_composition_come_smallest_first():
    assert gupta_sets_covering(["Au"])[:2] == ("Au", "Au55")
    assert gupta_sets_covering(["Pd", "Au"]) == ("PdAu", "PdAu_DFTfit")
    assert gupta_sets_covering(["Co"]) == ("FeCoNi",)
    assert gupta_sets_covering(["Ag", "Cu"]) == ()


def test_gold_of_the_two_alloys_differs():
    """One Au row must never be shared: the published energies need both."""
    assert gupta_set("AgAu").pairs["Au-Au"] != gupta_set("CuAu").pairs["Au-Au"]
