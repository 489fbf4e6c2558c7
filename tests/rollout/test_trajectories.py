"""The functional rollout: states of NumPy arrays, independent of their company."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.optimizers import (
    BasinHopping,
    Compression,
    Moves,
    Restarts,
    RuleOptimizer,
)
from ase_l2h.potentials.soft_sphere import SoftSphere
from ase_l2h.rollout import trajectories
from ase_l2h.rollout.backends import choose_backend
from ase_l2h.rules import Adam, Fire, GradientDescent, Lbfgs
from ase_l2h.rules.learned import CoordinatewiseRule, EquivariantRule
from ase_l2h.starts.random import make_starts
from ase_l2h.system import take_batch
from ase_l2h.targets import named_target

COUNT = 37


def learned(rule_type: Any, **features: Any) -> Any:
    """Small random weights: an untrained rule would not move."""
    chosen = rule_type.features_type(**features)
    rule = rule_type.create(jax.random.key(1), chosen, time_scale=3.0)
    rng = np.random.default_rng(3)
    theta = {
        name: np.asarray(a) + 0.2 * rng.normal(size=np.shape(a)).astype(np.float32)
        for name, a in rule.theta.items()
    }
    return rule_type(theta, rule.time_scale, chosen)


HOPPING = BasinHopping(
    moves=Moves(surface=0.8),
    restarts=Restarts(stall=3, n_known=2),
    compression=Compression(share=0.5),
)
OPTIMIZERS: dict[str, Any] = {
    "adam": RuleOptimizer(Adam(rate=0.02)),
    "fire": RuleOptimizer(Fire()),
    "lbfgs": RuleOptimizer(Lbfgs(), fmax=1e-2),
    "equivariant": RuleOptimizer(learned(EquivariantRule, memory=True)),
    "coordinatewise": RuleOptimizer(learned(CoordinatewiseRule)),
    "hopping": HOPPING,
}
BACKENDS = ["scan", pytest.param("native", marks=pytest.mark.compiler)]


def problem(name: str, count: int = COUNT) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    target = named_target(name)
    starts = make_starts(target.system, 4, 0, count).astype(np.float32)
    keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(7), count)))
    return target.potential, target.system, starts, keys.T


def same_bits(a: Any, b: Any) -> None:
    found, expected = jax.tree.leaves(a), jax.tree.leaves(b)
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert type(one) is np.ndarray
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def taken(tree: Any, index: np.ndarray) -> Any:
    return jax.tree.map(lambda leaf: leaf[..., index], tree)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_state_is_the_one_of_init(name):
    """Built without JAX, and yet what the optimizer itself begins with."""
    potential, system, starts, keys = problem("LJ7")
    optimizer = OPTIMIZERS[name]
    found = trajectories.begin(optimizer, potential, system, starts, keys)
    starts = jnp.asarray(starts)
    if name == "hopping":
        expected = optimizer.init_with_keys(
            jnp.asarray(keys), starts, system, potential
        )
        assert 8 < np.sum(found.inner.compressed) < 30
    else:
        expected = optimizer.init(jax.random.key(0), starts, system, potential)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(
        jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
    ):
        assert type(one) is np.ndarray
        assert one.shape[-1] == COUNT
        np.testing.assert_allclose(one, np.broadcast_to(other, one.shape), rtol=1e-6)


@pytest.mark.often(
    "equivariant-native", "equivariant-scan", "fire-scan", "hopping-native"
)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_company_and_order_do_not_change_a_bit(name, backend):
    """Nor do the number of threads and where a run is cut."""
    potential, system, starts, keys = problem("LJ7")
    search = OPTIMIZERS[name], potential, system
    state = trajectories.begin(*search, starts, keys)
    whole = trajectories.advance(*search, state, 40, backend=backend)
    assert np.any(whole.positions != starts)
    index = np.random.default_rng(1).permutation(COUNT)[:21]
    few = trajectories.begin(*search, starts[..., index], keys[:, index])
    few = trajectories.advance(*search, few, 13, backend=backend, threads=1)
    few = trajectories.advance(*search, few, 27, backend=backend)
    same_bits(few, taken(whole, index))


@pytest.mark.compiler
@pytest.mark.parametrize("name", ["equivariant", "coordinatewise"])
def test_structures_with_different_clocks_may_be_joined(name):
    potential, system, starts, keys = problem("LJ7")
    search = OPTIMIZERS[name], potential, system
    for backend in ("native", "scan"):
        young = trajectories.begin(*search, starts, keys)
        old = trajectories.advance(*search, young, 9, backend=backend)
        join = lambda a, b: np.concatenate([a, b], axis=-1)
        both = jax.tree.map(join, taken(young, np.arange(5)), old)
        both = trajectories.advance(*search, both, 4, backend=backend)
        alone = trajectories.advance(*search, old, 4, backend=backend)
        same_bits(taken(both, np.arange(5, 5 + COUNT)), alone)
        alone = trajectories.advance(*search, young, 4, backend=backend)
        same_bits(taken(both, np.arange(5)), taken(alone, np.arange(5)))
        np.testing.assert_array_equal(both.inner.step[[0, 6]], [4, 13])


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_active_is_evaluated_and_charged(backend):
    potential, system, starts, keys = problem("LJ7")
    optimizer = OPTIMIZERS["adam"]
    state = trajectories.begin(optimizer, potential, system, starts, keys)
    active = np.arange(COUNT) % 3 > 0
    state = state._replace(active=active)
    found = trajectories.evaluate(potential, system, state, backend=backend)
    np.testing.assert_array_equal(found.evaluations, active)
    np.testing.assert_array_equal(found.active, active)
    np.testing.assert_array_equal(found.positions, starts)
    energy = np.asarray(potential.energy(jnp.asarray(starts), system))
    np.testing.assert_allclose(found.energy[active], energy[active], rtol=2e-5)
    assert np.all(np.isinf(found.energy[~active]))
    np.testing.assert_array_equal(found.best_energy, found.energy)
    assert np.all(np.isfinite(found.force[active]))
    assert found.inner is state.inner


@pytest.mark.parametrize("backend", BACKENDS)
def test_single_energies_are_infinite_where_atoms_coincide(backend):
    potential, system, starts, _ = problem("LJ7")
    starts[:, 0, 2] = starts[:, 1, 2]
    found = trajectories.energies(potential, system, starts, backend=backend)
    assert found.dtype == np.float64
    assert found[2] == np.inf
    expected = np.delete(np.asarray(potential.energy(jnp.asarray(starts), system)), 2)
    np.testing.assert_allclose(np.delete(found, 2), expected, rtol=2e-5)


@pytest.mark.compiler
def test_the_lean_path_calls_no_jax(monkeypatch):
    """Not even to move an array: each call would cost more than the kernel."""
    potential, system, starts, keys = problem("LJ7")
    system = take_batch(system, np.arange(COUNT))

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("JAX was called")

    np.asarray(system.species)
    for name in ("asarray", "array", "zeros", "full", "where"):
        monkeypatch.setattr(jax.numpy, name, refused)
    for name in ("device_put", "jit", "eval_shape"):
        monkeypatch.setattr(jax, name, refused)
    monkeypatch.setattr(jax.core, "Trace", refused, raising=False)
    for optimizer in OPTIMIZERS.values():
        state = trajectories.begin(optimizer, potential, system, starts, keys)
        trajectories.advance(optimizer, potential, system, state, 3, backend="native")
    trajectories.evaluate(potential, system, state, backend="native")


def test_other_rules_and_potentials_run_in_scan():
    potential = SoftSphere()
    _, system, starts, keys = problem("LJ7", 5)
    for optimizer in (RuleOptimizer(GradientDescent()), BasinHopping(quench=Fire())):
        state = trajectories.begin(optimizer, potential, system, starts, keys)
        found = trajectories.advance(
            optimizer, potential, system, state, 5, backend="scan"
        )
        assert found.evaluations.tolist() == [5] * 5
        assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("backend", BACKENDS)
def test_double_precision_follows_the_positions(backend):
    """And ends in a published minimum (the Cambridge Cluster Database)."""
    potential, system, starts, keys = problem("LJ7", 20)
    search = RuleOptimizer(Lbfgs(), fmax=1e-6), potential, system
    state = trajectories.begin(*search, starts.astype(np.float64), keys)
    found = trajectories.advance(*search, state, 600, backend=backend)
    floating = [x for x in jax.tree.leaves(found) if x.dtype.kind == "f"]
    assert {leaf.dtype for leaf in floating} == {np.dtype(np.float64)}
    assert not found.active.any()
    assert np.all(found.force < 1e-6)
    np.testing.assert_allclose(np.min(found.energy), -16.505384, rtol=0, atol=1e-6)
    points = trajectories.energies(potential, system, found.positions, backend=backend)
    np.testing.assert_allclose(points, found.energy, rtol=1e-12)
    assert jax.config.read("jax_enable_x64") is False


@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.parametrize("name", ["Ag6Au7", "LJ13", "Si8"])
def test_few_structures_do_the_same_in_half_of_the_lanes(name):
    """Code for half as many lanes has no bits of its own."""
    potential, system, starts, keys = problem(name, 9)
    few = starts[..., :3], keys[:, :3]
    for optimizer in OPTIMIZERS.values():
        search = (optimizer, potential, system)
        if choose_backend("auto", [optimizer], *search[1:], False, "cpu") != "native":
            continue
        wide = trajectories.begin(*search, starts, keys)
        wide = trajectories.advance(*search, wide, 30, backend="native")
        narrow = trajectories.begin(*search, *few)
        narrow = trajectories.advance(*search, narrow, 30, backend="native")
        same_bits(taken(wide, np.arange(3)), narrow)
