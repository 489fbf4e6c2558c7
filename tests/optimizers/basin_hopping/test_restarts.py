"""Restarts: when a chain has stalled, and which minima it must not accept."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h.optimizers import Restarts


def walk(restarts: Restarts, energies: list[float | None]) -> tuple[list, list, list]:
    """Feed the ends of quenches, None for one without a minimum.

    Returns where hops were rejected, where stages began, and the states.
    """
    state = restarts.init(jnp.zeros(()))
    rejected, begun, states = [], [], []
    for number, energy in enumerate(energies):
        reject, begins, state = restarts.update(
            state,
            jnp.asarray(np.inf if energy is None else energy, jnp.float32),
            jnp.asarray(True),
            jnp.asarray(energy is not None),
            restarts.reseed,
        )
        states.append(state)
        if reject:
            rejected.append(number)
        if begins:
            begun.append(number)
    return rejected, begun, states


def test_a_stage_ends_with_the_hop_after_the_stall():
    """GMIN's count: the lowest at quench 1, then three stalls, the next is rejected."""
    energies: list[float | None] = [-3.0, -5.0, -4.0, -5.0, -4.9, -4.5, -4.0]
    rejected, begun, states = walk(Restarts(stall=3), energies)
    assert rejected == begun == [5]
    assert [int(s.stalled) for s in states] == [0, 0, 1, 2, 3, 0, 1]
    assert int(states[-1].begun) == 1
    # Without new random structures the stage goes on from the last minimum.
    np.testing.assert_allclose(states[5].lowest, -4.5)


def test_a_lower_minimum_prolongs_a_stage_and_noise_does_not():
    rejected, _, _ = walk(Restarts(stall=2), [-1.0, -1.0, -1.1, -1.1, -1.2, -1.2])
    assert rejected == []
    rejected, _, _ = walk(
        Restarts(stall=2, same=0.01), [-1.0, -1.001, -1.002, -1.003, -1.2]
    )
    assert rejected == [3]


def test_quenches_without_a_minimum_stall_and_lower_nothing():
    rejected, begun, states = walk(Restarts(stall=2), [-1.0, None, None, None])
    assert rejected == begun == [3]
    np.testing.assert_allclose(states[2].lowest, -1.0)


def test_a_new_random_stage_knows_no_lowest_minimum():
    rejected, begun, states = walk(
        Restarts(stall=1, reseed=True), [-5.0, -4.0, -4.0, -1.0, -0.5]
    )
    assert rejected == begun == [2]
    assert np.isinf(states[2].lowest)
    # The first minimum of the new stage is its lowest, however high.
    np.testing.assert_allclose(states[3].lowest, -1.0)
    assert [int(s.stalled) for s in states] == [0, 1, 0, 0, 1]


def test_lowest_minima_of_earlier_stages_are_avoided():
    """Only as the lowest of a stage: on the way up they may be met."""
    stages = Restarts(stall=1, reseed=True, n_known=2)
    rejected, begun, states = walk(
        stages, [-5.0, -4.0, -4.0, -3.0, -5.001, -2.0, -6.0, -5.0]
    )
    # -5 ends its stage at 2; met again at 4 as the lowest, it begins a new one.
    assert rejected == begun == [2, 4]
    # At 7 the stage knows -6, and -5 is no discovery.
    np.testing.assert_allclose(np.sort(states[-1].known)[0], -5.0)
    unaware = Restarts(stall=1, reseed=True)
    assert walk(unaware, [-5.0, -4.0, -4.0, -3.0, -5.001])[0] == [2]


def test_a_stage_that_goes_on_rejects_a_known_minimum_without_a_new_stage():
    stages = Restarts(stall=1, n_known=2)
    rejected, begun, _ = walk(stages, [-5.0, -4.0, -4.0, -5.0, -6.0])
    assert (rejected, begun) == ([2, 3], [2])


def test_the_oldest_known_minima_are_forgotten_and_none_is_listed_twice():
    stages = Restarts(stall=0, reseed=True, n_known=2)
    # With no patience at all every second quench ends a stage.
    _, begun, states = walk(stages, [-5.0, -4.0, -6.0, -4.0, -7.0, -4.0])
    assert begun == [1, 3, 5]
    np.testing.assert_allclose(states[1].known, [np.inf, -5.0])
    np.testing.assert_allclose(states[3].known, [-5.0, -6.0])
    np.testing.assert_allclose(states[5].known, [-6.0, -7.0])
    # Within `same` of a listed one: not listed again.
    _, _, states = walk(Restarts(stall=2, n_known=2), [-5.0] * 4 + [-4.0, -5.0] * 3)
    assert np.isinf(states[-1].known).sum() == 1


def test_structures_still_in_a_quench_are_left_alone():
    restarts = Restarts(stall=0, reseed=True, n_known=1)
    state = restarts.init(jnp.zeros(2))
    ended = jnp.asarray([True, False])
    for energy in (-5.0, -4.0):
        energies = jnp.full(2, energy)
        _, begins, state = restarts.update(state, energies, ended, ended, True)
    assert begins.tolist() == [True, False]
    assert state.begun.tolist() == [1, 0]
    assert state.stalled.tolist() == [0, 0]
    np.testing.assert_allclose(state.known, [[-5.0, np.inf]])


@pytest.mark.parametrize("n_known", [0, 3])
def test_memory_has_the_size_asked_for(n_known):
    assert Restarts(n_known=n_known).init(jnp.zeros((4,))).known.shape == (n_known, 4)
