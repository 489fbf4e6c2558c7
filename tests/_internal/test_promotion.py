"""Promotion of ranks that a user's code forbids is no trouble."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

import ase_l2h
from ase_l2h import Learn2Hop, LennardJones, Limits
from ase_l2h._internal.promotion import compiled

TRIANGLE = np.array([[0, 0, 0], [1.1, 0, 0], [0, 1.2, 0.1]])


@pytest.fixture(autouse=True)
def strict():
    # Traces of other tests would pass over the check.
    jax.clear_caches()
    with jax.numpy_rank_promotion("raise"):
        yield
        with pytest.raises(ValueError, match="rank_promotion"):
            jnp.ones(3) + jnp.ones((2, 3))


def test_a_compiled_function_may_promote():
    total = compiled(lambda x, y: x + y)(jnp.ones(3), jnp.ones((2, 3)))
    assert total.shape == (2, 3)


def test_forces_of_a_calculator():
    atoms = Atoms("Ar3", TRIANGLE, calculator=LennardJones())
    assert np.allclose(atoms.get_forces().sum(axis=0), 0)


@pytest.mark.parametrize("backend", ["scan", "native"])
def test_a_search_by_name(backend):
    limits = Limits(evaluations=400)
    result = ase_l2h.search("LJ3", method="bh", limits=limits, backend=backend)
    assert result.minima[0].energy == pytest.approx(-3.0, abs=1e-3)


@pytest.mark.parametrize(
    ("symbols", "scale", "calculator"), [("Ar3", 1, LennardJones), ("Cu3", 2.2, EMT)]
)
def test_learn2hop(symbols, scale, calculator):
    atoms = Atoms(symbols, scale * TRIANGLE, calculator=calculator())
    search = Learn2Hop(atoms, evaluations=60, seed=0, logfile=None)
    search.run(fmax=0.1, steps=2)
    assert search.minima
