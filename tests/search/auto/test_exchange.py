"""Exchanges of unlike atoms against trying every one of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from ase_l2h.potentials.binary_lennard_jones import BinaryLennardJones
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.search.auto.exchange import (
    can_turn,
    exchange_proposals,
    exchanged,
    flip_energies,
    random_exchanges,
    ranked_exchanges,
    some_exchanges,
)
from ase_l2h.search.auto.turning import transmuted, turned_into
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import Points
from ase_l2h.system import make_system

# In ascending order, as the atoms of a composition are, and not.
TWO = np.array([0, 0, 0, 1, 1])
THREE = np.array([2, 0, 1, 1, 0, 2, 2, 0])
DEPTH = np.array([1.0, 2.5, 4.5])


def field_energy(positions: np.ndarray, species: np.ndarray) -> np.ndarray:
    """Atoms that feel only where they are: the cost of an exchange is that of flips."""
    return -np.sum(DEPTH[species] / (1 + np.sum(positions**2, axis=0)), axis=0)


def make_evaluator(
    species: np.ndarray, free: np.ndarray | None = None, names_species: bool = True
) -> Evaluator:
    table = np.full((3, 3), 1.0)
    potential = BinaryLennardJones(table, table, 2.5 * table, symbols=("A", "B", "C"))
    system = make_system(species, free=free)
    # Where fixed atoms are, a problem has to be told.
    given = np.zeros((3, len(species), 0 if free is None else 1))
    problem = Problem(potential if names_species else LennardJones(), system, given)

    def submit(request: Points) -> np.ndarray:
        own = np.repeat(species[:, None], request.positions.shape[2], axis=1)
        chosen = own if request.species is None else request.species
        return field_energy(request.positions, chosen)

    return Evaluator(problem, submit)


def places(rng: np.random.Generator, n: int, batch: int) -> np.ndarray:
    return rng.normal(size=(3, n, batch))


@pytest.mark.parametrize("species", [TWO, THREE], ids=["two", "three"])
def test_flip_energies_are_those_of_turned_atoms(rng, species):
    evaluator, n = make_evaluator(species), len(species)
    positions, elements = places(rng, n, 4), np.unique(species)
    kinds = np.stack([rng.permutation(species) for _ in range(4)], axis=1)
    energies = field_energy(positions, kinds)
    costs = flip_energies(evaluator, positions, kinds, energies, elements)
    assert costs.shape == (n, len(elements), 4)
    assert evaluator.charged == n * (len(elements) - 1) * 4
    for k in range(4):
        for atom in range(n):
            for e, element in enumerate(elements):
                turned = kinds[:, [k]].copy()
                turned[atom] = element
                after = field_energy(positions[..., [k]], turned)[0]
                assert costs[atom, e, k] == pytest.approx(after - energies[k])


@pytest.mark.parametrize("species", [TWO, THREE], ids=["two", "three"])
def test_the_best_exchanges_come_first(rng, species):
    """Where the cost of an exchange is that of its flips, they are the best of all."""
    evaluator, n = make_evaluator(species), len(species)
    positions = places(rng, n, 5)
    kinds = np.repeat(species[:, None], 5, axis=1)
    energies = field_energy(positions, kinds)
    moved, owners = exchange_proposals(evaluator, positions, energies, rng, shortlist=4)
    # Those of several at once come after them.
    moved, owners = moved[..., :20], owners[:20]
    assert owners.tolist() == [k for k in range(5) for _ in range(4)]
    after = field_energy(moved, np.repeat(species[:, None], 20, axis=1))
    for k in range(5):
        every = []
        for i, j in combinations(range(n), 2):
            if species[i] != species[j]:
                trial = positions[..., k].copy()
                trial[:, [i, j]] = trial[:, [j, i]]
                every.append(field_energy(trial, species))
        np.testing.assert_allclose(after[owners == k], np.sort(every)[:4])


def test_exchanges_swap_positions_of_unlike_atoms(rng):
    positions = places(rng, len(THREE), 3)
    chosen = some_exchanges(THREE, 3, 6, rng)
    assert len(chosen.owners) == 18
    moved = exchanged(positions, chosen)
    for k in range(18):
        owner, i, j = chosen.owners[k], chosen.first[k], chosen.second[k]
        assert THREE[i] != THREE[j]
        expected = positions[..., owner].copy()
        expected[:, [i, j]] = expected[:, [j, i]]
        np.testing.assert_array_equal(moved[..., k], expected)
    pairs = set(zip(chosen.owners, chosen.first, chosen.second, strict=True))
    assert len(pairs) == 18


def test_structures_may_be_looked_at_one_by_one(rng, monkeypatch):
    """As they are where a few of them would fill the memory."""
    evaluator = make_evaluator(THREE)
    positions = places(rng, 8, 5)
    energies = field_energy(positions, THREE[:, None])

    def proposed() -> set[tuple]:
        found = exchange_proposals(evaluator, positions, energies, rng, shortlist=4)
        return {
            (int(owner), *place.ravel())
            for place, owner in zip(np.moveaxis(found[0], -1, 0), found[1], strict=True)
        }

    together = proposed()
    monkeypatch.setattr("ase_l2h.search.auto.exchange.MOST_COUPLINGS", 1)
    assert proposed() == together
    assert len(together) > 5 * 4


def test_a_potential_that_knows_only_positions_gets_random_exchanges(rng):
    evaluator = make_evaluator(TWO, names_species=False)
    assert not can_turn(evaluator.problem)
    assert can_turn(make_evaluator(TWO).problem)
    positions = places(rng, 5, 2)
    moved, owners = exchange_proposals(evaluator, positions, np.zeros(2), rng)
    # All six exchanges of each.
    assert owners.tolist() == [0] * 6 + [1] * 6
    assert len(np.unique(moved[0, :, :6].T, axis=0)) == 6
    assert evaluator.charged == 0


def test_where_all_atoms_are_alike_nothing_is_exchanged(rng):
    evaluator = make_evaluator(np.zeros(5, int))
    positions = places(rng, 5, 2)
    moved, owners = exchange_proposals(evaluator, positions, np.zeros(2), rng)
    assert moved.shape == (3, 5, 0)
    assert owners.size == 0
    np.testing.assert_array_equal(
        random_exchanges(positions, np.zeros(5, int), rng), positions
    )


def test_flips_without_a_finite_energy_are_not_chosen():
    flips = np.zeros((5, 2, 1))
    flips[:3, 1, 0] = [np.inf, 2.0, 1.0]
    flips[3:, 0, 0] = [5.0, np.inf]
    chosen = ranked_exchanges(flips, TWO, 10)
    assert list(zip(chosen.first.tolist(), chosen.second.tolist(), strict=True)) == [
        (2, 3),
        (1, 3),
    ]


@pytest.mark.parametrize("species", [TWO, THREE], ids=["two", "three"])
def test_random_exchanges_permute_the_atoms_of_different_kinds(rng, species):
    positions = places(rng, len(species), 200)
    moved = random_exchanges(positions, species, rng, most=3)
    apart = np.sum((moved[:, :, None] - positions[:, None]) ** 2, axis=0)
    source = apart.argmin(axis=1)
    # A permutation of each structure, with atoms of another kind at few places.
    assert np.all(np.sort(source, axis=0) == np.arange(len(species))[:, None])
    np.testing.assert_array_equal(np.take_along_axis(apart, source[:, None], axis=1), 0)
    foreign = np.sum(species[source] != species[:, None], axis=0)
    assert foreign.max() <= 6
    assert np.mean(foreign >= 2) > 0.8
    assert len(np.unique(foreign)) > 2


def test_fixed_atoms_are_not_exchanged(rng):
    free = np.ones((3, 5), bool)
    free[:, 0] = False
    # An atom that slides on a plane cannot take another's place.
    free[2, 4] = False
    evaluator = make_evaluator(TWO, free)
    positions = places(rng, 5, 6)
    movable = evaluator.problem.movable
    moved, owners = exchange_proposals(evaluator, positions, np.zeros(6), rng)
    assert len(owners) == 6 * 2
    shaken = random_exchanges(positions, TWO, rng, movable=movable)
    for changed, sources in ((moved, owners), (shaken, np.arange(6))):
        for atom in (0, 4):
            np.testing.assert_array_equal(
                changed[:, atom], positions[:, atom, :][:, sources]
            )
    assert not np.array_equal(shaken, positions)


@pytest.mark.parametrize(
    ("start", "target"),
    [
        ([0, 0, 0, 0, 1], [0, 0, 1, 1, 1]),
        ([0, 1, 1, 1, 1], [0, 0, 0, 0, 1]),
        ([0, 0, 0, 0, 0], [1, 1, 1, 1, 1]),
        ([0, 0, 1, 1, 2, 2, 2, 0], [2, 0, 1, 1, 1, 1, 2, 0]),
        ([0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 2, 2]),
    ],
)
def test_the_cheapest_atoms_turn(rng, start, target, monkeypatch):
    """Without the random part: the lowest of all ways in a field of single atoms."""
    monkeypatch.setattr("ase_l2h.search.auto.turning.NOISE", 0.0)
    start, target = np.array(start), np.array(target)
    evaluator, n = make_evaluator(target), len(start)
    positions = places(rng, n, 6)
    species = np.stack([rng.permutation(start) for _ in range(6)], axis=1)
    energies = field_energy(positions, species)
    turned = turned_into(evaluator, positions, species, energies, rng)
    for k in range(6):
        # The same places; as many atoms as needed are of another kind there.
        apart = np.sum((turned[:, :, None, k] - positions[:, None, :, k]) ** 2, axis=0)
        order = apart.argmin(axis=1)
        assert sorted(order) == list(range(n))
        missing = sum(
            max(0, np.sum(target == e) - np.sum(start == e)) for e in range(3)
        )
        assert np.sum(species[order, k] != target) == missing
    if len(np.unique(np.concatenate([start, target]))) > 2:
        return
    # With two elements the best set is that of the atoms cheapest to turn.
    cost = field_energy(turned, np.repeat(target[:, None], 6, axis=1)) - energies
    for k in range(6):
        old = 0 if np.sum(target) > np.sum(start) else 1
        value = (DEPTH[old] - DEPTH[1 - old]) / (
            1 + np.sum(positions[:, species[:, k] == old, k] ** 2, axis=0)
        )
        count = abs(int(np.sum(target) - np.sum(start)))
        assert cost[k] == pytest.approx(np.sort(value)[:count].sum())


def test_only_flips_that_are_needed_are_charged(rng):
    target = np.array([0, 0, 1, 1, 1])
    evaluator = make_evaluator(target)
    positions = places(rng, 5, 2)
    species = np.array([[0, 0, 0, 0, 1], [0, 1, 1, 1, 1]]).T
    turned_into(evaluator, positions, species, np.zeros(2), rng)
    assert evaluator.charged == 8


def test_turning_has_some_chance(rng):
    costs = np.zeros((5, 2, 400))
    costs[:, 1] = np.arange(5)[:, None]
    species = np.zeros((5, 400), int)
    order = transmuted(costs, species, np.array([0, 0, 0, 0, 1]), rng)
    counts = np.bincount(order[4], minlength=5)
    assert counts[0] > 250
    assert counts[1] > 5
    assert counts[4] == 0


def test_fixed_atoms_stay_what_and_where_they_are(rng):
    species = np.array([[1, 0, 0, 1, 0, 0]]).T
    target = np.array([1, 0, 1, 1, 0, 1])
    movable = np.array([False, False, True, True, True, True])
    order = transmuted(np.zeros((6, 2, 1)), species, target, rng, movable)
    assert order[:2, 0].tolist() == [0, 1]
    assert sorted(order[:, 0]) == list(range(6))
