"""Landscapes drawn at random: what is drawn, and that they hold together."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.errors import InputError
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.system import make_system
from ase_l2h.training.drawn import Drawn, drawn_targets

TABLE = {"count": 6, "sizes": [12, 30], "alloys": 2}


def test_a_table_says_how_many_of_which_sizes():
    targets = drawn_targets(Drawn.of(TABLE), seed=3)
    assert len(targets) == 6
    assert [f"-n{target.n_atoms}" in name for name, target in targets.items()] == [
        True
    ] * 6
    assert all(12 <= target.n_atoms <= 30 for target in targets.values())
    species = [len(set(target.symbols)) for target in targets.values()]
    assert species == [2, 2, 1, 1, 1, 1]


def test_a_seed_draws_the_same_and_another_others():
    first, again, other = (drawn_targets(Drawn.of(TABLE), seed) for seed in (3, 3, 4))
    exponents = lambda targets: [float(t.potential.p[0, 0]) for t in targets.values()]
    assert list(first) == list(again)
    assert exponents(first) == exponents(again)
    assert not set(exponents(first)) & set(exponents(other))


def test_twelve_neighbours_at_the_natural_distance_feel_no_force():
    """An atom with neighbours on a cuboctahedron, of which only it interacts."""
    drawn = drawn_targets(Drawn.of({"count": 3, "sizes": [12, 12]}), 5)
    for target in drawn.values():
        potential = target.potential
        assert isinstance(potential, Gupta)
        p, q, xi, a = (
            float(table[0, 0])
            for table in (potential.p, potential.q, potential.xi, potential.A)
        )
        # E(r) = 12 A exp(-p x) - xi sqrt(12) exp(-q x), at x = 0.
        assert 12 * a * p == pytest.approx(xi * np.sqrt(12) * q)
        assert 12 * a < xi * np.sqrt(12)


def test_energies_are_finite_and_unlike_atoms_attract():
    target = next(iter(drawn_targets(Drawn.of(TABLE), 8).values()))
    pair = make_system(np.array([0, 1]))
    apart = lambda r: jnp.array([[0.0, r], [0.0, 0.0], [0.0, 0.0]])[..., None]
    energy = lambda r: float(target.potential.energy(apart(r), pair)[0])
    length = float(np.asarray(target.potential.r0)[0, 1])
    assert energy(length) < energy(3 * length) < 0


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"count": 2, "sizes": [12, 30], "size": 3}, "unknown entries size"),
        ({"count": 2}, "lacks sizes"),
        ({}, "lacks count and sizes"),
        ({"count": 2.5, "sizes": [12, 30]}, "whole numbers"),
        ({"count": 2, "sizes": 30}, "whole numbers"),
        ({"count": 2, "sizes": [30, 12]}, "smallest, largest"),
        ({"count": 2, "sizes": [12, 30], "alloys": 3}, "no more alloys"),
    ],
)
def test_what_cannot_be_drawn_is_refused(table, words):
    with pytest.raises(InputError, match=words):
        Drawn.of(table)
