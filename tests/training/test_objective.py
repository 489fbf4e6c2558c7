"""The meta-loss and the tasks it is computed for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h._internal.pytree import pytree_dataclass
from ase_l2h.rules import GradientDescent
from ase_l2h.rules.learned import EquivariantRule
from ase_l2h.targets import named_target
from ase_l2h.training.config import TrainingConfig
from ase_l2h.training.objective import capped_energy, jit_unroll, with_horizon
from ase_l2h.training.tasks import Task, make_task
from ase_l2h.training.trainer import Trainer, Trial

LJ5 = named_target("LJ5")
LJ5_MINIMUM = -9.103852


@pytree_dataclass
class Scatter:
    """A rule that sends the atoms apart, or to one place, or nowhere."""

    step: Any = 3.0

    def init(self, system: Any, positions: Any) -> None:
        """No memory."""

    def update(self, key: Any, observation: Any, state: Any) -> Any:
        """A multiple of the position."""
        return self.step * observation.positions, None


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task(LJ5)


def test_losses_are_capped_at_separated_atoms_and_never_non_finite():
    energy = jnp.asarray([-3.0, 0.0, 5.0, 1e30, jnp.inf, -jnp.inf, jnp.nan])
    assert capped_energy(energy).tolist() == [-3.0, 0, 0, 0, 0, 0, 0]


def test_an_unroll_is_quenched_from_its_last_point_and_charged_for_all_of_it(task):
    """Gradient descent and FIRE reach the minimum; an exploded unroll is worth 0."""
    starts = task.starts(jax.random.key(1), 6, rotate=False)
    arguments = (LJ5.potential, LJ5.system, starts, jax.random.key(2))
    good = jit_unroll(GradientDescent(rate=0.002), *arguments, 40, 400)
    assert np.all(good.evaluations == 40 + 400 + 1)
    np.testing.assert_allclose(good.energy, LJ5_MINIMUM, rtol=1e-3)
    apart = jit_unroll(Scatter(), *arguments, 10, 20)
    assert np.all(apart.evaluations == 10 + 20 + 1)
    assert np.all(np.abs(capped_energy(apart.energy)) < 1e-6)
    merged = jit_unroll(Scatter(step=-1.0), *arguments, 2, 20)
    assert np.all(~np.isfinite(merged.energy) | (merged.energy > 1e6))
    assert np.all(capped_energy(merged.energy) == 0)


def test_a_task_knows_its_reference_and_its_best(task):
    """LJ5 is easy: Adam finds the published minimum too."""
    np.testing.assert_allclose(task.reference, LJ5_MINIMUM, rtol=1e-5)
    assert task.best == min(LJ5_MINIMUM, task.reference)
    assert task.energy_scale == 1.0


def test_hits_are_counted_within_a_thousandth(task):
    energies = np.array([-9.1039, -9.1030, -9.1027, -9.0, 0.0])
    assert task.hits(energies, -9.103852).tolist() == [True, True, False, False, False]


def test_a_target_that_adam_cannot_bind_is_refused(monkeypatch):
    import ase_l2h.training.tasks as module

    monkeypatch.setattr(module, "jit_adam_reference", lambda *_, **__: 0.0)
    with pytest.raises(ValueError, match="no bound structure of LJ5"):
        make_task(LJ5)


def test_the_clock_of_a_rule_is_compressed_to_the_horizon():
    rule = with_horizon(EquivariantRule.create(jax.random.key(0)), 250)
    assert rule.time_scale == 200.0


# Base and two arms of each of two directions, two starts.
ENERGIES = np.array(
    [[-8.0, -6.0], [-9.10, -2.0], [-7.0, 0.0], [-8.5, -6.5], [-1.0, -6.2]]
)
TRIALS = [Trial(0, "LJ5", 0, (1, 2)), Trial(1, "LJ5", 0, (3, 4))]


def losses(task: Task, energies: Any, best: float, **entries: Any) -> np.ndarray:
    """``(directions, base and arms, starts)``."""
    config = TrainingConfig(tasks=("LJ5",), directions=2, **entries)
    return Trainer(config, {"LJ5": task})._losses(TRIALS, energies, {"LJ5": best})


def test_losses_in_the_papers_unit_are_energies_over_adams(task):
    found = losses(task, ENERGIES, task.best)
    wanted = np.stack([ENERGIES[[0, 1, 2]], ENERGIES[[0, 3, 4]]]) / 9.103852
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_losses_in_units_of_the_spread_count_hits(task):
    """The spread is that of all losses of the task, clipped at the base's."""
    found = losses(task, ENERGIES, -9.1005, normalise="spread", hit_bonus=0.5)
    unit = np.std([-8, -6, -9.1, -6, -8, -6, -8.5, -6.5, -8, -6.2])
    bonus = np.zeros((2, 3, 2))
    bonus[0, 1, 0] = 0.5
    wanted = np.stack([ENERGIES[[0, 1, 2]], ENERGIES[[0, 3, 4]]]) / unit - bonus
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_equal_energies_do_not_divide_by_a_spread_of_zero(task):
    found = losses(task, np.full((5, 2), -8.0), task.best, normalise="spread")
    np.testing.assert_allclose(found, -8.0 / 1e-3)


def test_the_loss_can_be_that_of_the_lowest_point_seen(task):
    """A rule that blows a minimum up: only the last point has forgotten it."""
    starts = task.starts(jax.random.key(3), 4, rotate=False)
    arguments = (LJ5.potential, LJ5.system)
    key = jax.random.key(2)
    settled = jit_unroll(GradientDescent(rate=0.002), *arguments, starts, key, 0, 0)
    final, best = (
        jit_unroll(Scatter(), *arguments, starts, key, 10, 0, from_best=choice)
        for choice in (False, True)
    )
    assert np.all(np.abs(final.energy) < 1e-6)
    np.testing.assert_allclose(best.energy, settled.energy, rtol=1e-5)
