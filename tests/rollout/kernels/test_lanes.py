"""What differs between the lanes of a vector, and what the potentials cut off.

Machine code against ``scan``, one step from states on the way: species of each
structure, fixed atoms, cut-offs, double precision.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
import pytest
from fused_steps import agree

from ase_l2h._internal.pytree import replace
from ase_l2h.optimizers import BasinHopping, Moves, RuleOptimizer
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.parameters import GUPTA_SETS
from ase_l2h.rollout import trajectories
from ase_l2h.rollout.kernels import native
from ase_l2h.rules import Adam, Fire, Lbfgs
from ase_l2h.rules.learned import CoordinatewiseRule, EquivariantRule
from ase_l2h.starts.random import make_starts
from ase_l2h.system import System, make_system, take_batch
from ase_l2h.targets import named_target

pytestmark = pytest.mark.compiler
COUNT = 19
LATTICE = np.array([[3.9, 0.0, 0.0], [0.4, 4.1, 0.0], [0.0, 0.3, 4.3]])


def learned(rule_type: Any, **features: Any) -> RuleOptimizer:
    """Small random weights: an untrained rule would not move."""
    chosen = rule_type.features_type(**features)
    rule = rule_type.create(jax.random.key(1), chosen, time_scale=3.0)
    rng = np.random.default_rng(3)
    theta = {
        name: np.asarray(a) + 0.2 * rng.normal(size=np.shape(a)).astype(np.float32)
        for name, a in rule.theta.items()
    }
    return RuleOptimizer(rule_type(theta, rule.time_scale, chosen))


# Quenches so short that most structures hop within a few steps.
HASTY = BasinHopping(moves=Moves(surface=0.8, swap=0.6), max_quench=4, fmax=1.0)
RULES: dict[str, Any] = {
    "lbfgs": RuleOptimizer(Lbfgs(), fmax=1e-3),
    "fire": RuleOptimizer(Fire()),
    "adam": RuleOptimizer(Adam(rate=0.02)),
    "equivariant": learned(EquivariantRule, memory=True, species=True),
    "coordinatewise": learned(CoordinatewiseRule, species_slots=2),
    "hopping": HASTY,
}


def some(cases: Iterable[str], slow: tuple[str, ...]) -> list[Any]:
    """All cases: each feature alone in the fast tests, all pairs of them in others."""
    return [pytest.param(c, marks=[pytest.mark.slow] * (c in slow)) for c in cases]


def gupta(name: str, rc: float | None = None, smooth: bool = False) -> Gupta:
    return Gupta.from_pairs(GUPTA_SETS[name].pairs, rc=rc, smooth=smooth)


def keys(count: int = COUNT) -> np.ndarray:
    split = jax.random.split(jax.random.key(7), count)
    return np.asarray(jax.random.key_data(split)).T


def compositions(kinds: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Of every structure its own, pure ones among them."""
    species = rng.integers(0, kinds, size=(n, COUNT))
    species[:, 0], species[:, 1] = 0, kinds - 1
    return species


def alloys(rng: np.random.Generator) -> System:
    """Nine atoms of two elements, each structure with its own units, too."""
    return make_system(
        compositions(2, 9, rng),
        length_scale=rng.uniform(2.7, 3.0, COUNT),
        energy_scale=rng.uniform(0.3, 0.5, COUNT),
        atom_scales=rng.uniform(-0.1, 0.1, (2, 9, COUNT)),
    )


def clouds(n: int, spacing: float, seed: int = 2) -> np.ndarray:
    """Loose clusters ``(3, n, COUNT)``, in single precision."""
    system = make_system(np.zeros(n, int), length_scale=spacing)
    return make_starts(system, seed, 0, COUNT).astype(np.float32)


def compare(
    optimizer: Any,
    potential: Any,
    system: System,
    starts: np.ndarray,
    tolerance: float = 2e-5,
    before: int = 7,
) -> tuple[Any, Any]:
    """One step by ``scan`` and by machine code, from where ``scan`` has come to."""
    search = optimizer, potential, system
    state = trajectories.begin(*search, starts, keys())
    state = trajectories.advance(*search, state, before, backend="scan")
    expected = trajectories.advance(*search, state, 1, backend="scan")
    found = trajectories.advance(*search, state, 1, backend="native")
    assert np.any(found.positions != state.positions)
    agree(expected, found, tolerance, type(optimizer).__name__)
    return state, found


@pytest.mark.often("equivariant")
@pytest.mark.parametrize("name", [r for r in RULES if r not in ("fire", "adam")])
def test_every_lane_has_its_own_species(name, rng):
    system = alloys(rng)
    state, found = compare(RULES[name], gupta("AgAu"), system, clouds(9, 2.9))
    if name == "hopping":
        hopped = found.inner.quenches - state.inner.quenches
        assert np.sum(hopped) > 5


@pytest.mark.slow
def test_every_lane_has_its_own_three_species(rng):
    system = make_system(compositions(3, 9, rng), length_scale=2.5)
    compare(RULES["lbfgs"], gupta("FeCoNi"), system, clouds(9, 2.5))


@pytest.mark.parametrize("name", ["lbfgs", "hopping", "coordinatewise"])
def test_species_go_with_their_structure(name, rng):
    """Shuffled, and cut to fewer: the same bits."""
    system, starts = alloys(rng), clouds(9, 2.9)
    optimizer, potential = RULES[name], gupta("AgAu")
    state = trajectories.begin(optimizer, potential, system, starts, keys())
    whole = trajectories.advance(
        optimizer, potential, system, state, 30, backend="native"
    )
    index = rng.permutation(COUNT)[:11]
    part = take_batch(system, index)
    state = trajectories.begin(
        optimizer, potential, part, starts[..., index], keys()[:, index]
    )
    few = trajectories.advance(optimizer, potential, part, state, 30, backend="native")
    for one, other in zip(jax.tree.leaves(few), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(one, other[..., index])


@pytest.mark.often("equivariant")
@pytest.mark.parametrize("name", some(RULES, slow=("fire", "adam")))
def test_fixed_coordinates_stay_exactly(name, rng):
    """Two atoms, and one coordinate of a third; all else moves as in ``scan``."""
    free = np.ones((3, 9), bool)
    free[:, :2] = free[1, 4] = False
    system = replace(alloys(rng), free=free)
    optimizer, potential, starts = RULES[name], gupta("AgAu"), clouds(9, 2.9)
    compare(optimizer, potential, system, starts)
    state = trajectories.begin(optimizer, potential, system, starts, keys())
    found = trajectories.advance(
        optimizer, potential, system, state, 40, backend="native"
    )
    np.testing.assert_array_equal(found.positions[~free], starts[~free])
    np.testing.assert_array_equal(found.best_positions[~free], starts[~free])
    assert np.all(np.any(found.positions[free] != starts[free], axis=1))


def periodic(species: np.ndarray, cutoff: float) -> System:
    return make_system(species, cell=LATTICE, cutoff=cutoff, length_scale=1.1)


CUT_OFF = {
    "shifted": LennardJones(epsilon=0.7, sigma=1.1, rc=2.1),
    "smooth": LennardJones(epsilon=0.7, sigma=1.1, rc=2.3, smooth=True),
    "onset": LennardJones(epsilon=0.7, sigma=1.1, rc=2.3, ro=1.4, smooth=True),
}
CELLS = ("free", "periodic")


@pytest.mark.often("smooth-periodic")
@pytest.mark.parametrize(
    "case",
    some(
        (f"{name}-{cell}" for name in CUT_OFF for cell in CELLS),
        slow=("shifted-periodic", "smooth-free", "onset-free"),
    ),
)
def test_a_cut_off_lennard_jones_is_that_of_scan(case):
    potential, cell = CUT_OFF[case.split("-")[0]], case.endswith("periodic")
    species = np.zeros(9, int)
    system = periodic(species, potential.rc) if cell else make_system(species)
    optimizer = RuleOptimizer(Fire())
    starts = clouds(9, 1.25)
    compare(optimizer, potential, system, starts)
    double = starts.astype(np.float64)
    found, expected = (
        trajectories.energies(potential, system, double, backend=backend)
        for backend in ("native", "scan")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    uncut = LennardJones(epsilon=0.7, sigma=1.1)
    if not cell:
        other = trajectories.energies(uncut, system, double, backend="native")
        assert np.all(np.abs(other / found - 1) > 1e-3)


@pytest.mark.often("free-hard")
@pytest.mark.parametrize(
    "case",
    some(
        (f"{cell}-{end}" for cell in CELLS for end in ("hard", "smooth")),
        slow=("free-smooth", "periodic-hard"),
    ),
)
def test_a_cut_off_alloy_is_that_of_scan(case, rng):
    cell, smooth = case.startswith("periodic"), case.endswith("smooth")
    potential = gupta("AgAu", rc=4.2, smooth=smooth)
    species = compositions(2, 9, rng)
    system = make_system(species, length_scale=2.9)
    if cell:
        system = make_system(species, cell=2.6 * LATTICE, cutoff=4.2, length_scale=2.9)
    compare(RULES["fire"], potential, system, clouds(9, 2.9))


TARGETS = ("LJ13", "Ag4Au5", "Si8")


@pytest.mark.often("LJ13", "Ag4Au5")
@pytest.mark.parametrize("name", TARGETS)
def test_single_points_in_double_precision(name):
    target = named_target(name)
    starts = make_starts(target.system, 4, 0, COUNT).astype(np.float64)
    found, expected = (
        trajectories.energies(target.potential, target.system, starts, backend=backend)
        for backend in ("native", "scan")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.often("LJ13-lbfgs", "Ag4Au5-fire")
@pytest.mark.parametrize(
    "case",
    some(
        (
            f"{x}-{rule}"
            for x in ("LJ13", "Ag4Au5", "Si8")
            for rule in ("lbfgs", "fire")
        ),
        slow=("LJ13-fire", "Ag4Au5-lbfgs", "Si8-fire"),
    ),
)
def test_steps_in_double_precision_are_those_of_scan(case):
    name, rule = case.split("-")
    target = named_target(name)
    starts = make_starts(target.system, 4, 0, COUNT).astype(np.float64)
    compare(RULES[rule], target.potential, target.system, starts, 1e-11)


def test_other_rules_in_double_precision_are_refused():
    target = named_target("LJ13")
    for name in ("adam", "equivariant", "hopping"):
        reason = native.supports(RULES[name], target.potential, target.system, True)
        assert "single precision" in str(reason)
    for name in ("lbfgs", "fire"):
        reason = native.supports(RULES[name], target.potential, target.system, True)
        assert reason is None
