"""Boxes shrink around what was learned, keep to the budget, and resume to the bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from ase_l2h._internal.pytree import pytree_dataclass, static_field
from ase_l2h.landscapes.boxes import Box, BoxSettings, minimise_in_boxes
from ase_l2h.landscapes.minimise import ActionSettings, minimise
from ase_l2h.potentials.analytic import SchafferF7

TURN = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0].astype(np.float32)
SHIFT = np.array([42.0, -31.0, 7.0, -48.0, 20.0], np.float32)


@pytree_dataclass
class Turned:
    """Schaffer F7 about other axes than those of the box."""

    function: Any
    dimension: int = static_field(default=5)
    bound: float = static_field(default=100.0)

    def energy(self, points):
        return self.function.energy(jnp.tensordot(TURN, points, axes=1))


ROUGH = Turned(SchafferF7(5, TURN @ SHIFT))
SETTINGS = ActionSettings(budget=40_000, warm=1.0, batch=64, looks=24, width=4, seed=5)
BOXES = BoxSettings(boxes=12, shrink=0.6, first_share=2.0)


@pytest.fixture(scope="module")
def result():
    return minimise_in_boxes(ROUGH, SETTINGS, BOXES, quiet=True)


@pytest.mark.slow
def test_the_minimum_of_a_rough_function_is_found(result):
    """For the same evaluations, one box stays far away from it."""
    far = lambda point: np.sqrt(np.mean((point - SHIFT) ** 2))
    whole = minimise(ROUGH, SETTINGS, quiet=True)
    assert far(result.minimum) < 0.5
    assert far(whole.point) > 4 * far(result.minimum)
    assert result.energy < 0.5 * whole.energy
    assert result.energy == min(line["energy"] for line in result.records)


def test_the_energy_is_that_of_the_point(result):
    value = float(ROUGH.energy(jnp.asarray(result.point)))
    assert value == pytest.approx(result.energy, rel=1e-2)


def test_charges_are_those_of_all_boxes(result):
    charges = [line["charged_evaluations"] for line in result.records]
    assert charges == sorted(charges)
    assert charges[-1] == result.charged_evaluations
    # Each box may end with one batch and one look more than its share.
    assert 40_000 <= charges[-1] <= 40_000 + 12 * 65
    assert {line["box"] for line in result.records} == set(range(12))


def test_a_stopped_run_ends_in_the_same_bits(result, tmp_path):
    seen = []

    def stop(point):
        seen.append(point)
        if len(seen) == 9:
            raise KeyboardInterrupt
        return {}

    run = lambda **more: minimise_in_boxes(
        ROUGH, SETTINGS, BOXES, folder=tmp_path, quiet=True, **more
    )
    with pytest.raises(KeyboardInterrupt):
        run(measure=stop)
    found = run()
    assert found.records == result.records
    assert found.point.tobytes() == result.point.tobytes()
    assert len(list(tmp_path.glob("box-*"))) == 12


def test_measured_points_are_those_of_the_whole_landscape(result):
    seen = []
    few = dataclasses.replace(SETTINGS, budget=4000, looks=4)
    found = minimise_in_boxes(
        ROUGH,
        few,
        BoxSettings(boxes=2),
        measure=lambda point: seen.append(point) or {"first": float(point[0])},
        quiet=True,
    )
    lowest = int(np.argmin([line["energy"] for line in found.records]))
    np.testing.assert_array_equal(seen[lowest], found.point)
    assert found.records[lowest]["first"] == seen[lowest][0]


def test_a_box_is_the_landscape_around_its_centre():
    box = Box(ROUGH, np.full(5, 3.0, np.float32), np.asarray(0.25, np.float32))
    assert (box.dimension, float(box.bound)) == (5, 25.0)
    points = jnp.asarray(np.random.default_rng(1).normal(size=(5, 4)), jnp.float32)
    np.testing.assert_array_equal(box.energy(points), ROUGH.energy(points + 3.0))


def test_budgets_add_up():
    budgets = BoxSettings(boxes=4, shrink=0.5, first_share=3.0).budgets(1001)
    assert sum(budgets) == 1001
    assert budgets[:3] == [500, 166, 166]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"boxes": 0}, "boxes is 0; give at least 1"),
        ({"shrink": 1.0}, "shrink is 1.0; give a number between 0 and 1"),
        ({"first_share": 0.0}, "first_share is 0.0; give a number above 0"),
    ],
)
def test_impossible_boxes_are_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        BoxSettings(**changes)
