"""What every rule keeps: a new rule enters by being listed in ``RULES``."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h._internal.pytree import replace
from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.rollout.scan import advance, initialise_state
from ase_l2h.rules import Adam, Fire, GradientDescent, Lbfgs
from ase_l2h.rules.base import Rule
from ase_l2h.rules.learned import (
    Adam4pRule,
    Adam4pStart,
    CoordinatewiseRule,
    EquivariantRule,
)
from ase_l2h.rules.learned.invariants import EquivariantFeatures
from ase_l2h.starts.random import make_starts
from ase_l2h.system import make_system
from ase_l2h.targets import named_target

D0 = 2 ** (1 / 6)
STEPS = 12


def learned(architecture, seed: int, features=None):
    """A rule whose output layer is not zero: an untrained one moves nothing."""
    rule = architecture.create(jax.random.key(seed), features, time_scale=50.0)
    noise = np.random.default_rng(seed)
    theta = dict(rule.theta)
    for name in ("kernel_out", "bias_out"):
        shape = theta[name].shape
        theta[name] = jnp.asarray(noise.normal(size=shape, scale=0.3), jnp.float32)
    theta["gamma"] = jnp.asarray(-1.0)
    return replace(rule, theta=theta)


RULES = {
    "gradient-descent": lambda: GradientDescent(rate=0.002),
    "adam": lambda: Adam(rate=0.02, b1=0.8, b2=0.99),
    "fire": lambda: Fire(dt=0.03),
    "lbfgs": lambda: Lbfgs(max_step=0.15),
    "adam4p": lambda: Adam4pRule.create(jax.random.key(0), Adam4pStart(rate=0.02)),
    "coordinatewise": lambda: learned(CoordinatewiseRule, 5),
    "equivariant": lambda: learned(EquivariantRule, 6),
    "equivariant-memory": lambda: learned(
        EquivariantRule, 7, EquivariantFeatures(memory=True, species=True)
    ),
}
# Adam and the paper's rule treat the coordinates one by one.
TURNS_WITH_THE_STRUCTURE = (
    "gradient-descent",
    "fire",
    "lbfgs",
    "equivariant",
    "equivariant-memory",
)


@pytest.fixture(params=RULES)
def rule(request) -> Rule:
    return RULES[request.param]()


@pytest.fixture(scope="module")
def starts() -> np.ndarray:
    """Distorted pentagonal bipyramids ``(3, 7, 4)``, centred, in units of sigma."""
    rng = np.random.default_rng(11)
    angle = 2 * np.pi * np.arange(5) / 5
    ring = 0.95 * D0 * np.stack([np.cos(angle), np.sin(angle), 0 * angle])
    apices = 0.6 * D0 * np.array([[0, 0], [0, 0], [1, -1]])
    shape = np.concatenate([ring, apices], axis=1)[:, :, None]
    starts = shape + rng.normal(size=(3, 7, 4), scale=0.04)
    return starts - starts.mean(axis=1, keepdims=True)


TRACES = []


def walk(rule, potential, system, positions, steps):
    """Positions after ``steps`` steps from ``(3, n, *batch)``."""
    # Runs when the walk is traced, and never when what was compiled is used again.
    TRACES.append(type(rule))
    optimizer, key = RuleOptimizer(rule), jax.random.key(0)
    state = initialise_state(optimizer, potential, system, positions, key)
    return advance(optimizer, potential, system, state, key, 0, steps).positions


jit_walk = jax.jit(walk)


def after(
    rule, positions, *, sigma=1.0, epsilon=1.0, steps=STEPS, free=None
) -> np.ndarray:
    """The walk in double precision, where tolerances can be tight."""
    system = make_system(
        np.zeros(7, int), length_scale=D0 * sigma, energy_scale=epsilon, free=free
    )
    with jax.enable_x64(True):
        potential = LennardJones(epsilon=epsilon, sigma=sigma)
        moved = jit_walk(rule, potential, system, jnp.asarray(positions), steps)
        assert moved.dtype == jnp.float64
        return np.asarray(moved)


def scaled(rule, factor: float):
    """The rule with every number in it multiplied, counts left alone."""
    return jax.tree.map(
        lambda leaf: leaf if isinstance(leaf, int) else leaf * factor, rule
    )


def rotation(seed: int) -> np.ndarray:
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn * np.linalg.det(turn)


def turned(matrix: np.ndarray, positions: np.ndarray) -> np.ndarray:
    return np.einsum("ab,bnc->anc", matrix, positions)


def test_a_rule_moves_the_atoms_and_leaves_the_centroid(rule, starts):
    """Without this the invariances below would hold for a rule that does nothing."""
    moved = after(rule, starts)
    assert np.all(np.max(np.abs(moved - starts), axis=(0, 1)) > 1e-3)
    np.testing.assert_allclose(moved.mean(axis=1), 0, atol=1e-14)


def test_a_batch_is_what_its_structures_are_alone(rule, starts):
    alone = [after(rule, starts[..., b]) for b in range(2)]
    batch = after(rule, starts)[..., :2]
    np.testing.assert_allclose(np.stack(alone, axis=-1), batch, rtol=0, atol=1e-9)


def test_atoms_have_no_numbers(rule, starts, rng):
    order = rng.permutation(7)
    np.testing.assert_allclose(
        after(rule, starts[:, order]), after(rule, starts)[:, order], rtol=0, atol=1e-9
    )


def test_a_trajectory_scales_with_the_units(rule, starts):
    """Argon or gold: in reduced units it is the same trajectory."""
    scaled = after(rule, 2.3 * starts, sigma=2.3, epsilon=0.4)
    np.testing.assert_allclose(scaled / 2.3, after(rule, starts), rtol=0, atol=1e-9)


def test_where_the_structure_lies_does_not_matter(rule, starts):
    shift = np.array([3.0, -5.0, 0.7]).reshape(3, 1, 1)
    np.testing.assert_allclose(
        after(rule, starts + shift), after(rule, starts), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("name", TURNS_WITH_THE_STRUCTURE)
def test_a_turned_start_gives_a_turned_trajectory(name, starts):
    rule, turn = RULES[name](), rotation(3)
    for matrix in (turn, -turn):
        np.testing.assert_allclose(
            after(rule, turned(matrix, starts)),
            turned(matrix, after(rule, starts)),
            rtol=0,
            atol=1e-9,
        )


def test_the_papers_rule_knows_its_axes_but_not_their_names(starts):
    """Exchanging the axes is exact; turning, or reversing an axis, is not.

    One network answers for x, y and z alike, but it is not an odd function: even a turn
    by 90 degrees, which reverses an axis, changes the result.
    """
    rule = RULES["coordinatewise"]()
    straight = after(rule, starts)
    cyclic = np.eye(3)[[1, 2, 0]]
    mirror = np.eye(3)[[1, 0, 2]]
    for matrix in (cyclic, cyclic.T, mirror):
        np.testing.assert_allclose(
            after(rule, turned(matrix, starts)), turned(matrix, straight), atol=1e-9
        )
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    for matrix in (quarter, np.diag([-1.0, 1, 1]), rotation(3)):
        difference = after(rule, turned(matrix, starts)) - turned(matrix, straight)
        assert np.max(np.abs(difference)) > 1e-3


@pytest.mark.often("equivariant", "fire")
def test_compiled_and_plain_python_agree(rule, starts):
    system = make_system(np.zeros(7, int), length_scale=D0)
    start, key, optimizer = starts[..., 0], jax.random.key(0), RuleOptimizer(rule)
    with jax.enable_x64(True):
        arguments = (system, LennardJones())
        state = optimizer.init(key, jnp.asarray(start), *arguments)
        plain = optimizer.step(key, state, *arguments).positions
    np.testing.assert_allclose(plain, after(rule, start, steps=1), rtol=0, atol=1e-12)


@pytest.mark.often("equivariant", "lbfgs")
def test_new_parameters_and_horizons_do_not_recompile(rule, starts):
    after(rule, starts)
    before = len(TRACES)
    first = after(scaled(rule, 1.01), starts, sigma=1.02, steps=5)
    assert len(TRACES) == before
    assert not np.array_equal(first, after(rule, starts, steps=5))


def test_fixed_coordinates_do_not_move_a_bit(rule, starts, rng):
    """Whole atoms and single coordinates; nothing is recentred."""
    free = rng.random((3, 7)) < 0.5
    free[:, 0], free[:, 1] = False, True
    start = starts + 3.0
    moved = after(rule, start, free=free)
    assert np.array_equal(moved[~free], start[~free])
    assert np.max(np.abs(moved - start)[free]) > 1e-3


@pytest.mark.often("equivariant", "adam")
def test_a_population_of_rules_is_a_vmap(rule, starts):
    """Each set of parameters acts as it does alone."""
    members = [scaled(rule, factor) for factor in (0.9, 1.0, 1.1)]
    system = make_system(np.zeros(7, int), length_scale=D0)
    with jax.enable_x64(True):
        stacked = jax.tree.map(lambda *leaves: jnp.asarray(leaves), *members)
        together = jax.jit(jax.vmap(walk, in_axes=(0, None, None, None, None)))(
            stacked, LennardJones(), system, jnp.asarray(starts), STEPS
        )
    for member, moved in zip(members, together, strict=True):
        np.testing.assert_allclose(moved, after(member, starts), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "name", ["Ag3Au4", pytest.param("Si8", marks=pytest.mark.slow)]
)
def test_added_features_have_no_effect_until_trained(name):
    """Free alloy and periodic cell; after training's first step they have one."""
    target = named_target(name)
    features = EquivariantFeatures(memory=True, species=True)
    plain = learned(EquivariantRule, 8)
    wide = plain.with_features(features)
    trained = learned(EquivariantRule, 8, features)
    start = jnp.asarray(make_starts(target.system, 3, 0, 2))
    moved = [
        np.asarray(jit_walk(rule, target.potential, target.system, start, 6))
        for rule in (plain, wide, trained)
    ]
    np.testing.assert_allclose(moved[1], moved[0], atol=1e-5)
    assert np.max(np.abs(moved[2] - moved[0])) > 1e-3
    with pytest.raises(ValueError, match=r"the weights use .*home"):
        wide.with_features(EquivariantFeatures())


def test_exchanging_the_elements_changes_what_a_rule_does():
    """Silver is not gold to a rule with species, but to one without."""
    target = named_target("Ag3Au4")
    system = target.system
    turned_scales = replace(system, atom_scales=-np.asarray(system.atom_scales))
    start = jnp.asarray(make_starts(system, 4, 0, 2))
    for species, differs in ((False, False), (True, True)):
        rule = learned(EquivariantRule, 9, EquivariantFeatures(species=species))
        moved = [
            np.asarray(jit_walk(rule, target.potential, s, start, 6))
            for s in (system, turned_scales)
        ]
        assert bool(np.max(np.abs(moved[0] - moved[1])) > 1e-3) == differs


def test_the_rules_are_those_of_the_package():
    """A rule that is not listed above escapes the contract."""
    import ase_l2h.rules as package
    from ase_l2h.rules.learned import RULES as learned_rules

    exported = {getattr(package, name) for name in package.__all__}
    concrete = {
        item
        for item in exported
        if hasattr(item, "update")
        and not getattr(item, "_is_protocol", False)
        # Restarts of basin hopping have an update, too, but of something else.
        and "observation" in inspect.signature(item.update).parameters
    }
    listed = {type(make()) for make in RULES.values()}
    assert listed == concrete | set(learned_rules.values())
