"""Sequences of exchanges, against trying every pair at every step."""

from __future__ import annotations

from itertools import product

import numpy as np

from ase_l2h.search.auto.sequences import pair_costs, sequences_of_exchanges

SPECIES = np.array([0, 0, 0, 0, 1, 1, 1, 1])


def ising(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Fields and couplings of two elements; an atom is -1 or 1 by its element."""
    couplings = rng.normal(size=(8, 8))
    couplings = couplings + couplings.T
    np.fill_diagonal(couplings, 0.0)
    return rng.normal(size=8), couplings


def energy(fields: np.ndarray, couplings: np.ndarray, kinds: np.ndarray) -> float:
    spins = 2.0 * kinds - 1
    return float(fields @ spins + 0.5 * spins @ couplings @ spins)


def turning(fields: np.ndarray, couplings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flip energies of ``SPECIES``, and how they change each other."""
    flips = np.zeros((8, 2, 1))
    changes = np.zeros((8, 2, 8, 2, 1))
    for i in range(8):
        turned = SPECIES.copy()
        turned[i] = 1 - SPECIES[i]
        cost = energy(fields, couplings, turned) - energy(fields, couplings, SPECIES)
        flips[i, 1 - SPECIES[i], 0] = cost
        for j in set(range(8)) - {i}:
            both = turned.copy()
            both[j] = 1 - SPECIES[j]
            alone = SPECIES.copy()
            alone[j] = 1 - SPECIES[j]
            changes[i, 1 - SPECIES[i], j, 1 - SPECIES[j], 0] = (
                energy(fields, couplings, both)
                - energy(fields, couplings, turned)
                - energy(fields, couplings, alone)
                + energy(fields, couplings, SPECIES)
            )
    return flips, changes


def labelled() -> np.ndarray:
    """Positions that tell which atom was there."""
    return np.arange(24.0).reshape(3, 8, 1)


def elements_at(structure: np.ndarray) -> np.ndarray:
    """The element at each of the places of :func:`labelled`."""
    place = np.searchsorted(np.arange(8.0), structure[0])
    kinds = np.empty(8, int)
    kinds[place] = SPECIES
    return kinds


def test_a_pair_costs_what_both_flips_do_to_each_other(rng):
    """Exactly, where nothing but pairs of atoms have an energy."""
    fields, couplings = ising(rng)
    flips, changes = turning(fields, couplings)
    first, second = np.nonzero(np.triu(SPECIES[:, None] != SPECIES))
    costs = pair_costs(flips, changes, SPECIES, first, second)[:, 0]
    for cost, i, j in zip(costs, first, second, strict=True):
        swapped = SPECIES.copy()
        swapped[[i, j]] = swapped[[j, i]]
        expected = energy(fields, couplings, swapped)
        expected -= energy(fields, couplings, SPECIES)
        np.testing.assert_allclose(cost, expected, atol=1e-12)


def test_each_exchange_is_the_cheapest_after_those_before(rng):
    """And the structure that costs least of all is among those made."""
    for _ in range(10):
        fields, couplings = ising(rng)
        flips, changes = turning(fields, couplings)
        kinds, left, lowest = SPECIES.copy(), set(range(8)), np.inf
        wanted = {}
        for done in range(1, 4):
            tried = {}
            for i, j in product(sorted(left), repeat=2):
                if kinds[i] == SPECIES[i] == 0 and kinds[j] == SPECIES[j] == 1:
                    swapped = kinds.copy()
                    swapped[[i, j]] = 1, 0
                    tried[i, j] = energy(fields, couplings, swapped)
            i, j = min(tried, key=lambda pair: tried[pair])
            kinds[[i, j]] = 1, 0
            left -= {i, j}
            wanted[done] = kinds.copy()
            lowest = min(lowest, tried[i, j])
        made, owners = sequences_of_exchanges(
            labelled(), SPECIES, flips, changes, (1, 3)
        )
        assert set(owners.tolist()) == {0}
        np.testing.assert_array_equal(elements_at(made[..., 0]), wanted[1])
        np.testing.assert_array_equal(elements_at(made[..., 1]), wanted[3])
        found = [
            energy(fields, couplings, elements_at(made[..., k]))
            for k in range(made.shape[2])
        ]
        np.testing.assert_allclose(min(found), lowest)


def test_without_couplings_the_cheapest_that_share_no_atom_are_taken():
    flips = np.zeros((8, 2, 2))
    flips[:4, 1, 0], flips[4:, 0, 0] = [3, 1, 0, 2], [0, 2, 1, 3]
    flips[:4, 1, 1], flips[4:, 0, 1] = np.inf, 0.0
    flips[0, 1, 1] = 1.0
    positions = np.repeat(labelled(), 2, axis=2)
    made, owners = sequences_of_exchanges(positions, SPECIES, flips, None, (1, 2, 4))
    # Of the second, one atom may turn.
    assert owners.tolist() == [0, 1, 0, 0]
    assert [elements_at(made[..., k]).tolist() for k in range(4)] == [
        [0, 0, 1, 0, 0, 1, 1, 1],
        [1, 0, 0, 0, 0, 1, 1, 1],
        [0, 1, 1, 0, 0, 1, 0, 1],
        [1, 1, 1, 1, 0, 0, 0, 0],
    ]


def test_who_may_not_move_stays(rng):
    flips, changes = turning(*ising(rng))
    movable = np.array([True, False] * 4)
    made, _ = sequences_of_exchanges(
        labelled(), SPECIES, flips, changes, (1, 2, 3), movable
    )
    assert made.shape[2] >= 2
    for k in range(made.shape[2]):
        np.testing.assert_array_equal(made[:, ~movable, k], labelled()[:, ~movable, 0])


def test_alike_atoms_are_not_exchanged():
    positions = labelled()
    made, owners = sequences_of_exchanges(
        positions, np.zeros(8, int), np.zeros((8, 1, 1)), None, (2,)
    )
    assert made.shape == (3, 8, 0)
    assert owners.size == 0
