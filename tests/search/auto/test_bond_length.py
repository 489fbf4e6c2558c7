"""The bond length of a calculator nobody knows."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential

from ase_l2h import Limits, search
from ase_l2h.ase_adapter.problem import pose
from ase_l2h.search.auto.bond_length import (
    SHORTER,
    SPARED,
    STEP,
    at_measured_length,
    measured_length,
)
from ase_l2h.search.auto.sources import fragment_structures
from ase_l2h.search.calls import CalculatorEngine
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem
from ase_l2h.system import make_system


def evaluator_of(problem: Problem, limit: int | None = None) -> Evaluator:
    engine = CalculatorEngine()
    return Evaluator(problem, lambda request: engine.execute([request])[0], limit=limit)


def shortest(energy_of, n: int = 8) -> Problem:
    """Atoms whose energy depends on the shortest distance; no forces are asked for."""

    def measure(positions: np.ndarray) -> tuple[float, np.ndarray]:
        apart = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=0)
        distance = np.min(apart[np.triu_indices(n, 1)])
        return float(energy_of(distance)), np.zeros_like(positions)

    return Problem(None, make_system(np.zeros(n, int)), measure=measure, guessed=True)


def dip(distance: float, where: float, depth: float) -> float:
    return -depth * np.exp(-(((distance - where) / 0.08) ** 2))


@pytest.mark.parametrize(
    ("symbol", "guess", "bond"), [("Al", 2.42, 2.80), ("Cu", 2.64, 2.49)]
)
def test_neighbours_of_a_metal_are_as_far_apart_as_its_potential_has_them(
    symbol, guess, bond
):
    block = guess * np.argwhere(np.ones((2, 2, 2)))
    problem = pose(Atoms(f"{symbol}8", block, calculator=EMT())).problem
    evaluator = evaluator_of(problem)
    length, energy = measured_length(evaluator, np.random.default_rng(1))
    assert problem.length == pytest.approx(guess)
    assert length == pytest.approx(bond, rel=0.03)
    assert 3 <= evaluator.charged <= 6
    # The lowest of what was tried is not lost.
    assert evaluator.ledger.seen_energy == energy
    fragment = fragment_structures(problem, np.random.default_rng(1), 1) / guess
    sizes = length * np.array([0.96, 1.0, 1.04])
    energies = evaluator.energies(np.concatenate([x * fragment for x in sizes], -1))
    assert np.argmin(energies) == 1


def test_a_shallow_minimum_of_pairs_does_not_end_the_trials(rng):
    """As of sodium by GFN2-xTB: dimers at 3 angstrom, compact clusters at 4.3."""
    two = lambda r: dip(r, 1.0, 0.3) + dip(r, 1.36, 1.0) + 9 * (r < 0.93)
    length, _ = measured_length(evaluator_of(shortest(two)), rng)
    assert length == pytest.approx(1.36, rel=0.04)


def test_the_guess_stays_where_no_energy_is_finite_or_few_calls_are_left(rng):
    nothing = evaluator_of(shortest(lambda r: r + np.inf))
    assert measured_length(nothing, rng) == (1.0, np.inf)
    short = evaluator_of(shortest(lambda r: r), limit=SPARED)
    assert measured_length(short, rng) == (1.0, np.inf)
    assert short.charged == 0


def test_trials_end_where_the_energy_always_falls(rng):
    falling = evaluator_of(shortest(lambda r: r))
    assert measured_length(falling, rng)[0] == pytest.approx(STEP**SHORTER)


def test_an_attempt_keeps_what_it_measured_in_its_first_round(rng):
    evaluator = evaluator_of(shortest(lambda r: dip(r, 1.17, 1.0)))
    first = {"round": 0, "length": None}
    other, state, energy = at_measured_length(evaluator, first, rng)
    assert energy == evaluator.ledger.seen_energy
    assert other.problem.length == state["length"] == pytest.approx(1.17, rel=0.04)
    assert other.problem.force_unit == evaluator.problem.force_unit
    charged = evaluator.charged
    assert other.charged == charged > 0
    again, same, later = at_measured_length(evaluator, state | {"round": 5}, rng)
    assert same["length"] == again.problem.length == state["length"]
    assert evaluator.charged == charged
    assert later == np.inf


def test_sizes_of_atoms_follow_the_length():
    block = 2.6 * np.argwhere(np.ones((2, 2, 2)))
    problem = pose(Atoms("Cu4Au4", block, calculator=EMT())).problem
    longer = problem.with_length(1.1 * problem.length)
    np.testing.assert_allclose(longer.radii, 1.1 * problem.radii)
    assert longer.length == pytest.approx(1.1 * problem.length)


@pytest.mark.parametrize(
    "known",
    [
        pose(Atoms("Cu8", np.eye(8, 3), calculator=EMT()), length_scale=2.5),
        pose(molecule("CH3CH2OH", calculator=LennardJones())),
        pose(Atoms("Cu4", np.eye(4, 3), pbc=True, cell=[4] * 3, calculator=EMT())),
    ],
    ids=["given", "molecule", "crystal"],
)
def test_what_is_known_or_has_no_packing_is_not_measured(known, rng):
    evaluator = evaluator_of(known.problem)
    first = {"round": 0, "length": None}
    other, state, energy = at_measured_length(evaluator, first, rng)
    assert energy == np.inf
    assert other is evaluator
    assert state["length"] is None
    assert evaluator.charged == 0


class Soft(MorsePotential):
    """Bonds of 1.4 covalent radii; remembers all energies."""

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.energies.append(float(self.results["energy"]))


@pytest.mark.often("0-60", "1-60", "2-60", "1-120")
@pytest.mark.parametrize("calls", [60, 120])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_lowest_of_all_calls_is_what_is_relaxed_and_only_once(seed, calls):
    """Also where bonds are so long that neighbours would count as apart."""
    soft = Soft(epsilon=0.3, r0=4.7, rho0=6.0, rcut1=3.0, rcut2=4.0)
    soft.energies = []
    block = 3.5 * np.argwhere(np.ones((2, 2, 2)))
    result = search(
        Atoms("Na8", block, calculator=soft),
        limits=Limits(evaluations=calls),
        seed=seed,
    )
    # The first call is made before the search begins.
    assert len(soft.energies) <= calls + 1
    assert result.best_energy <= min(soft.energies) + 1e-6
    assert result.best.relaxed
    # A relaxation that is repeated has the same energies in the same order.
    runs = np.lib.stride_tricks.sliding_window_view(np.round(soft.energies, 6), 6)
    moving = runs[np.ptp(runs, axis=1) > 1e-3]
    assert len(np.unique(moving, axis=0)) == len(moving)
