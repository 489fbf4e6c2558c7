"""Checkpoints: what goes in comes out, and what is damaged does not."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import save

from ase_l2h.training.checkpoint import load_checkpoint, save_checkpoint


class State(NamedTuple):
    """A state of the shapes that training has."""

    update: Any
    theta: Any
    outer: Any


@pytest.fixture
def state() -> State:
    rng = np.random.default_rng(3)
    theta = rng.normal(size=7).astype(np.float32)
    outer = (np.asarray(9, np.int32), {"mu": theta.T * 2, "empty": ()})
    return State(np.asarray(2**40, np.int64), theta, outer)


@pytest.fixture
def path(tmp_path, state):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, state, {"config": {"seed": 4, "tasks": ["LJ5"]}})
    return path


def blank(state: State) -> State:
    outer = (np.zeros((), np.int32), {"mu": np.zeros(7, np.float32), "empty": ()})
    return State(np.zeros((), np.int64), np.zeros(7, np.float32), outer)


def test_what_is_stored_comes_back_to_the_bit(path, state):
    """Scalars stay scalars: a counter of shape (1,) would recompile everything."""
    found, metadata = load_checkpoint(path, blank(state))
    assert metadata == {"config": {"seed": 4, "tasks": ["LJ5"]}}
    assert found.update.shape == found.outer[0].shape == ()
    assert found.update.dtype == np.int64
    assert found.outer[0].dtype == np.int32
    assert (found.update, found.outer[0]) == (2**40, 9)
    assert found.theta.tobytes() == state.theta.tobytes()
    assert found.outer[1]["mu"].tobytes() == state.outer[1]["mu"].tobytes()


def test_arrays_that_are_not_contiguous_are_stored_right(tmp_path):
    array = np.arange(12.0).reshape(3, 4)[:, ::2].T
    save_checkpoint(tmp_path / "c", [array], {})
    found, _ = load_checkpoint(tmp_path / "c", [np.zeros((2, 3))])
    np.testing.assert_array_equal(found[0], array)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(share, path, state):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="is not a checkpoint of this configuration"):
        load_checkpoint(path, blank(state))


@pytest.mark.parametrize(
    "content",
    [
        b"pickle" * 50,
        save({"leaf_0": np.zeros(3)}),
        save({"leaf_0": np.zeros(3)}, {"training": "{"}),
    ],
)
def test_something_else_is_refused(content, path, state):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a checkpoint of this configuration"):
        load_checkpoint(path, blank(state))


def test_a_checkpoint_of_other_shapes_or_types_is_refused(path, state):
    template = blank(state)
    for wrong in (
        template._replace(theta=np.zeros(8, np.float32)),
        template._replace(theta=np.zeros(7, np.float64)),
        template._replace(update=np.zeros(1, np.int64)),
    ):
        with pytest.raises(ValueError, match="start in another folder"):
            load_checkpoint(path, wrong)
    for wrong in (template[:2], (*template, np.zeros(()))):
        with pytest.raises(ValueError, match="it holds other arrays"):
            load_checkpoint(path, wrong)
