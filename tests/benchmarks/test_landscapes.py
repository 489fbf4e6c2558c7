"""Landscapes in two halves, and what is made of their records."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from ase_l2h.comparison.encounters import Encounters


@pytest.mark.often("Ni5Pt6Au4")
@pytest.mark.parametrize("formula", ["Cu13", "Ni5Pt6Au4"])
def test_effective_medium_theory_is_that_of_ase(benchmark_module, formula):
    functions = benchmark_module("hits.functions")
    atoms = Atoms(formula, calculator=EMT())
    atoms.positions = np.random.default_rng(1).normal(scale=3, size=(len(atoms), 3))
    problem = functions.emt_problem(
        list(atoms.symbols), atoms.numbers.tolist(), formula, 0.4
    )
    parameters = problem.potential.parameters
    with jax.enable_x64(True):
        energy, gradient = jax.value_and_grad(functions.effective_medium)(
            jnp.array(atoms.positions), **parameters
        )
    assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    assert np.array(gradient) == pytest.approx(-atoms.get_forces(), abs=1e-9)


def test_the_halves_have_no_composition_or_range_in_common(benchmark_module):
    known = benchmark_module("hits.landscapes").LANDSCAPES

    def kinds(side):
        """Elements, or the range, of every landscape, with its family."""
        names = [name for name, own in known.items() if own.side == side]
        parts = [name.split("-") for name in names]
        return {
            ("Morse", last)
            if first.startswith("Morse")
            else (first, "".join(sorted(set(re.findall("[A-Z][a-z]", last)))))
            for first, last in parts
            if first != "SW"
        }

    assert len(kinds("development")) > 8
    assert len(kinds("test")) > 12
    assert not kinds("development") & kinds("test")


@pytest.mark.slow
def test_ratios_are_of_means_and_their_interval_holds_them(benchmark_module):
    learned = benchmark_module("pages.learned")
    rng = np.random.default_rng(0)
    found = [
        learned.Pair(
            f"{k}",
            Encounters(np.ones(24, bool), rng.integers(100, 300, 24)),
            Encounters(np.ones(24, bool), rng.integers(50, 150, 24)),
        )
        for k in range(8)
    ]
    value, low, high = learned.geometric_mean(found)
    assert low < value < high
    assert value == pytest.approx(2, rel=0.1)
    nothing = Encounters(np.zeros(24, bool), np.full(24, 100))
    assert learned.Pair("none", nothing, nothing).ratio == 1
