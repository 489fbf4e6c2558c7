"""The step that all rules share: what it evaluates, charges, remembers and clips."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_data import structures

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.optimizers.rule_steps import (
    GRADIENT_CLIP,
    charged_evaluation,
    reduced_system,
)
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.rollout.scan import advance, evaluate, initialise_state
from ase_l2h.rules import Fire, GradientDescent, Lbfgs
from ase_l2h.system import make_system

KEY = jax.random.key(0)


def lj_minimum(n: int) -> tuple[np.ndarray, float]:
    """Published minimum of LJ_n, centred ``(3, n)``, and its energy."""
    atoms = structures("lj_global_minima_2_150")[f"LJ{n}"]
    positions = atoms.positions.T - atoms.positions.mean(axis=0)[:, None]
    return positions, float(atoms.info["energy_table"])


@jax.jit
def descend(optimizer, potential, system, positions, steps):
    state = initialise_state(optimizer, potential, system, positions, KEY)
    return advance(optimizer, potential, system, state, KEY, 0, steps)


@pytree_dataclass
class Echo:
    """A rule that moves nothing and remembers the gradient it was shown."""

    def init(self, system: Any, positions: Any) -> Any:
        """No gradient yet."""
        return jnp.zeros_like(positions)

    def update(self, key: Any, observation: Any, state: Any) -> Any:
        """Stand still."""
        return jnp.zeros_like(state), observation.gradient


@pytree_dataclass
class Explode:
    """A rule that answers ``nan`` for the first atom."""

    def init(self, system: Any, positions: Any) -> None:
        """No memory."""

    def update(self, key: Any, observation: Any, state: Any) -> Any:
        """Nonsense for one atom, a step along x for the others."""
        step = jnp.zeros_like(observation.positions).at[0].set(0.1)
        return step.at[:, 0].set(jnp.nan), None


@pytree_dataclass
class Wells:
    """Independent atoms with prescribed energies and slopes, to provoke failures."""

    energies: Any
    slope: Any = 1.0

    @property
    def cutoff(self) -> float:
        """No pairs."""
        return float("inf")

    def atom_energies(self, positions: Any, system: Any) -> None:
        """Not known."""

    def energy(self, positions: Any, system: Any) -> Any:
        """A plane plus a constant per structure."""
        return self.energies + self.slope * jnp.sum(positions, axis=(0, 1))


@pytest.mark.parametrize(
    ("rule", "n", "charge"),
    [(Lbfgs(), 13, 50), (Lbfgs(), 38, 75), (Fire(), 13, 200), (Fire(), 38, 240)],
    ids=["lbfgs-13", "lbfgs-38", "fire-13", "fire-38"],
)
def test_quenchers_find_the_way_back_to_a_known_minimum(rule, n, charge):
    """Within the stated number of evaluations, from eight perturbed copies.

    Double precision; the target is the published energy to all its six decimals.
    """
    minimum, energy = lj_minimum(n)
    rng = np.random.default_rng(n)
    starts = minimum[..., None] + rng.normal(size=(3, n, 8), scale=0.06)
    system = make_system(np.zeros(n, int), length_scale=2 ** (1 / 6))
    with jax.enable_x64(True):
        state = descend(
            RuleOptimizer(rule, fmax=1e-5),
            LennardJones(),
            system,
            jnp.asarray(starts),
            charge,
        )
        state = jax.tree.map(np.asarray, state._replace(inner=None))
    assert not state.active.any(), state.force
    assert state.evaluations.max() <= charge
    np.testing.assert_allclose(state.energy, energy, rtol=0, atol=1e-6)


def test_what_has_converged_is_neither_moved_nor_charged():
    minimum, _ = lj_minimum(7)
    rng = np.random.default_rng(3)
    starts = np.stack([minimum, minimum + rng.normal(size=(3, 7), scale=0.1)], axis=-1)
    system = make_system(np.zeros(7, int))
    with jax.enable_x64(True):
        optimizer = RuleOptimizer(GradientDescent(rate=0.001), fmax=1e-3)
        arguments = (optimizer, LennardJones(), system, jnp.asarray(starts))
        early = descend(*arguments, 1)
        late = descend(*arguments, 30)
    assert list(early.active) == [False, True]
    assert np.array_equal(late.positions[..., 0], starts[..., 0])
    assert not np.array_equal(late.positions[..., 1], starts[..., 1])
    assert list(late.evaluations) == [1, 30]
    assert late.energy[0] == early.energy[0]
    with jax.enable_x64(True):
        settled = evaluate(LennardJones(), system, late)
    assert list(settled.evaluations) == [1, 31]


def test_the_best_is_the_lowest_energy_that_was_evaluated():
    """Steps far too long climb and fall; judged by a log of every evaluation."""
    rng = np.random.default_rng(8)
    minimum, _ = lj_minimum(7)
    starts = minimum[..., None] + rng.normal(size=(3, 7, 6), scale=0.15)
    system, potential = make_system(np.zeros(7, int)), LennardJones()
    optimizer = RuleOptimizer(GradientDescent(rate=0.03, max_step=0.2))
    positions = jnp.asarray(starts, jnp.float32)
    energies, places = [], []
    for steps in range(40):
        state = descend(optimizer, potential, system, positions, steps)
        places.append(np.asarray(state.positions))
        if steps:
            energies.append(np.asarray(state.energy))
    final = descend(optimizer, potential, system, positions, 39)
    lowest = np.argmin(energies, axis=0)
    assert len(set(lowest)) > 1
    assert np.any(lowest < 38)
    np.testing.assert_array_equal(final.best_energy, np.min(energies, axis=0))
    for b, step in enumerate(lowest):
        np.testing.assert_array_equal(
            final.best_positions[..., b], places[step][..., b]
        )


def test_lbfgs_takes_a_step_back_that_raised_the_energy():
    """To a tenth of it, and again a tenth, from the last point that was accepted."""
    rng = np.random.default_rng(5)
    minimum, _ = lj_minimum(7)
    start = minimum + rng.normal(size=(3, 7), scale=0.2)
    rule = Lbfgs(first_step=0.05, max_step=0.5)
    with jax.enable_x64(True):
        arguments = (LennardJones(), make_system(np.zeros(7, int)), jnp.asarray(start))
        states = [
            descend(RuleOptimizer(rule), *arguments, steps) for steps in range(40)
        ]
    places = [np.asarray(s.positions) for s in states]
    places = [p - p.mean(axis=1, keepdims=True) for p in places]
    energies = [float(s.energy) for s in states[1:]]
    accepted, rejections, most = 0, 0, 0
    for k, energy in enumerate(energies[1:-1], start=1):
        tried = places[k] - places[accepted]
        if energy <= energies[accepted] + 1e-6 * abs(energies[accepted]):
            accepted, rejections = k, 0
            continue
        rejections += 1
        most = max(most, rejections)
        assert rejections <= rule.max_rejections
        following = places[k + 1] - places[accepted]
        np.testing.assert_allclose(following, 0.1 * tried, atol=1e-12)
    assert most >= 1
    assert energies[-1] < energies[0]


def test_evaluate_brings_energy_and_force_to_the_last_point():
    minimum, _ = lj_minimum(7)
    system = make_system(np.zeros(7, int))
    start = jnp.asarray(1.02 * minimum, jnp.float32)
    state = descend(RuleOptimizer(GradientDescent()), LennardJones(), system, start, 3)
    settled = jax.jit(evaluate)(LennardJones(), system, state)
    value = charged_evaluation(LennardJones(), state.positions, system)
    assert settled.force < state.force
    np.testing.assert_allclose(settled.force, value.force, rtol=1e-5)
    np.testing.assert_allclose(settled.energy, value.energy, rtol=1e-6)
    np.testing.assert_array_equal(settled.best_positions, state.positions)


def test_coincident_atoms_are_no_minimum():
    """Infinite energy, no gradient: neither converged nor moved, and never the best."""
    positions = np.array([[0, 0, 5], [0, 0, 0], [0, 0, 0]], np.float32)
    system, potential = make_system([0, 0, 0]), LennardJones()
    state = descend(
        RuleOptimizer(Lbfgs(), fmax=0.1), potential, system, jnp.asarray(positions), 5
    )
    assert state.energy == np.inf
    assert state.force == np.inf
    assert state.active
    assert state.best_energy == np.inf
    assert np.all(np.isfinite(state.positions))


def test_a_gradient_that_overflows_is_no_minimum():
    """At 0.001 sigma a single-precision energy is finite, its slope is not."""
    positions = jnp.asarray([[0, 1e-3], [0, 0], [0, 0]], jnp.float32)
    value = charged_evaluation(LennardJones(), positions, make_system([0, 0]))
    assert np.isfinite(value.energy)
    assert value.force == np.inf
    assert np.all(np.isfinite(value.gradient))
    state = descend(
        RuleOptimizer(Fire(), fmax=0.1),
        LennardJones(),
        make_system([0, 0]),
        positions,
        3,
    )
    assert state.active


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_energy_that_is_not_finite_counts_as_infinite(bad):
    system = make_system([0, 0])
    positions = jnp.zeros((3, 2, 2), jnp.float32)
    potential = Wells(energies=jnp.asarray([bad, -1.0], jnp.float32))
    value = charged_evaluation(potential, positions, system)
    assert list(value.energy) == [np.inf, -1.0]
    assert value.force[0] == np.inf
    np.testing.assert_allclose(value.force[1], np.sqrt(3), rtol=1e-6)
    state = RuleOptimizer(Echo()).step(
        KEY,
        RuleOptimizer(Echo()).init(KEY, positions, system, potential),
        system,
        potential,
    )
    assert list(state.best_energy) == [np.inf, -1.0]


def test_a_rule_that_answers_nan_moves_nothing_there():
    minimum, _ = lj_minimum(7)
    system = make_system(np.zeros(7, int), free=np.ones((3, 7), bool))
    start = jnp.asarray(minimum, jnp.float32)
    state = descend(RuleOptimizer(Explode()), LennardJones(), system, start, 1)
    moved = np.asarray(state.positions - start)
    assert np.all(moved[:, 0] == 0)
    np.testing.assert_allclose(moved[0, 1:], 0.1, rtol=1e-5)


def test_gradients_are_clipped_by_their_norm_on_an_atom():
    """The direction of a collision survives, whichever way the axes lie."""
    direction = np.array([1.0, 2.0, -2.0]) / 3
    separation = 0.2
    positions = np.stack([0 * direction, separation * direction, [0, 0, 2.0]], axis=1)
    system, potential = make_system([0, 0, 0]), LennardJones()
    seen = descend(
        RuleOptimizer(Echo()), potential, system, jnp.asarray(positions, jnp.float32), 1
    ).inner
    norms = np.linalg.norm(np.asarray(seen), axis=0)
    np.testing.assert_allclose(norms[:2], GRADIENT_CLIP, rtol=1e-5)
    np.testing.assert_allclose(seen[:, 0] / GRADIENT_CLIP, direction, atol=1e-4)
    # The third atom feels next to nothing, and that is left as it is.
    value = charged_evaluation(potential, jnp.asarray(positions, jnp.float32), system)
    assert 0 < norms[2] < 10
    np.testing.assert_allclose(seen[:, 2], value.gradient[:, 2], rtol=1e-4)


def test_a_rule_sees_a_periodic_cell_in_reduced_units():
    cell = np.diag([4.0, 5.0, 6.0])
    system = make_system([0, 0], cell=cell, cutoff=3.0, length_scale=2.0)
    reduced = reduced_system(system)
    assert reduced.cell is not None
    assert reduced.images is not None
    np.testing.assert_allclose(reduced.cell, cell / 2)
    np.testing.assert_allclose(reduced.images, np.asarray(system.images) / 2)
    assert (reduced.length_scale, reduced.energy_scale) == (1.0, 1.0)


def test_a_periodic_batch_of_several_scales_is_refused():
    system = make_system(
        [0, 0], cell=4 * np.eye(3), cutoff=1.0, length_scale=np.array([1.0, 2.0])
    )
    with pytest.raises(ValueError, match="must share one length scale"):
        reduced_system(system)
