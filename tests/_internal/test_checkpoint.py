"""Checkpoints: what goes in comes out, what is damaged does not, nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import save as safetensors_save

from ase_l2h._internal import checkpoint as module
from ase_l2h._internal.checkpoint import (
    PROGRESS,
    RUN,
    STATE,
    Checkpoint,
    CheckpointError,
    arrays_of_tree,
    load_jointly,
    tree_of_arrays,
)
from ase_l2h.errors import InputError, RunError

IDENTITY = {"run": "test", "seed": 4, "settings": {"rate": 0.1, "names": ["a", "b"]}}
ARRAYS = {
    "x": np.arange(12.0).reshape(3, 4)[:, ::2].T,
    "count": np.asarray(2**40, np.int64),
    "flags": np.array([True, False]),
    "none": np.zeros((3, 0), np.float32),
}
METADATA = {"rounds": 3, "lowest": -1.5, "open": None}


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "new" / "run"


@pytest.fixture
def kept(folder) -> Path:
    """A folder with two lines of progress."""
    checkpoint = Checkpoint(folder, IDENTITY)
    assert checkpoint.load() is None
    checkpoint.save({}, {}, {"round": 1})
    checkpoint.save(ARRAYS, METADATA, {"round": 2})
    return folder


def progress(folder: Path) -> list[int]:
    return [
        json.loads(s)["round"] for s in (folder / PROGRESS).read_text().splitlines()
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_what_is_kept_comes_back_to_the_bit(kept):
    loaded = Checkpoint(kept, dict(reversed(IDENTITY.items()))).load()
    assert loaded is not None
    arrays, metadata = loaded
    assert metadata == METADATA
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)
    assert progress(kept) == [1, 2]
    assert set(contents(kept)) == {RUN, STATE, PROGRESS}


def test_loading_changes_no_byte_and_makes_no_folder(kept, tmp_path):
    before = contents(kept)
    Checkpoint(kept, IDENTITY).load()
    assert contents(kept) == before
    assert Checkpoint(tmp_path / "other" / "run", IDENTITY).load() is None
    assert not (tmp_path / "other").exists()


def test_numpy_numbers_and_paths_are_written_as_json(folder):
    identity = {"run": "test", "folder": Path("a"), "sums": np.arange(2.0)}
    checkpoint = Checkpoint(folder, {**identity, "seed": np.int64(3), "nan": np.nan})
    checkpoint.save({}, {"energy": np.float64(-2)})
    same = {"run": "test", "folder": "a", "sums": [0.0, 1.0], "seed": 3, "nan": np.nan}
    assert Checkpoint(folder, same).load() == ({}, {"energy": -2.0})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 5}, "another seed"),
        ({"settings": {"rate": 0.2, "names": ["a"]}}, "other names and another rate"),
        ({"weights": "lj"}, "other weights"),
        ({"settings": None, "run": "other"}, "another kind of run"),
    ],
)
def test_another_run_is_refused_and_what_differs_is_named(kept, change, named):
    before = contents(kept)
    with pytest.raises(InputError, match=f"made with {named}; use the same"):
        Checkpoint(kept, {**IDENTITY, **change}).load()
    assert contents(kept) == before


def test_another_format_is_refused(kept):
    run = json.loads((kept / RUN).read_text())
    (kept / RUN).write_text(json.dumps({**run, "version": 0}))
    with pytest.raises(InputError, match="by another version of this program"):
        Checkpoint(kept, IDENTITY).load()


def test_what_is_no_folder_of_a_run_is_refused(tmp_path):
    file, foreign = tmp_path / "file", tmp_path / "foreign"
    file.write_text("mine")
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="is a file; give the name of a folder"):
        Checkpoint(file, IDENTITY).load()
    with pytest.raises(InputError, match="is not empty and holds no run"):
        Checkpoint(foreign, IDENTITY).load()
    with pytest.raises(InputError, match=r"cannot be .* too long\); give another"):
        Checkpoint(tmp_path / ("n" * 300), IDENTITY).load()
    assert {p.name for p in tmp_path.iterdir()} == {"file", "foreign"}


def test_a_folder_in_which_nothing_was_kept_is_anybodys(folder):
    """Killed before the first state; then the command is corrected."""
    first = Checkpoint(folder, IDENTITY)
    first.claim()
    first.append({"round": 1})
    (folder / f"{STATE}.partial").write_bytes(b"half")
    other = Checkpoint(folder, {**IDENTITY, "seed": 5})
    assert other.load() is None
    other.save({}, {}, {"round": 7})
    assert progress(folder) == [7]
    with pytest.raises(InputError, match="another seed"):
        first.load()


def test_a_lost_state_is_not_begun_anew(kept):
    (kept / STATE).unlink()
    (kept / "result.csv").write_text("1")
    with pytest.raises(InputError, match=f"its {STATE} is missing; choose another"):
        Checkpoint(kept, IDENTITY).load()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("name", [STATE, RUN])
def test_a_truncated_file_is_damaged(kept, name, share):
    content = (kept / name).read_bytes()
    (kept / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=f"{name} is damaged .*; choose another"):
        Checkpoint(kept, IDENTITY).load()


@pytest.mark.parametrize(
    "content",
    [
        b"pickle" * 50,
        safetensors_save({"x": np.zeros(3)}),
        safetensors_save({"x": np.zeros(3)}, {"state": "{"}),
        safetensors_save({"x": np.zeros(3)}, {"state": "[]"}),
        safetensors_save({"x": np.zeros(3)}, {"state": '{"lines": null}'}),
        safetensors_save({"x": np.zeros(3)}, {"state": '{"lines": 1, "metadata": 3}'}),
    ],
)
def test_another_file_is_damaged(kept, content):
    (kept / STATE).write_bytes(content)
    with pytest.raises(InputError, match=f"{STATE} is damaged"):
        Checkpoint(kept, IDENTITY).load()


def test_lines_after_the_last_state_are_dropped(kept):
    """Also one of which only a part was written."""
    with (kept / PROGRESS).open("a") as stream:
        stream.write('{"round": 3}\n{"round": 4, "lo')
    checkpoint = Checkpoint(kept, IDENTITY)
    checkpoint.load()
    assert [line["round"] for line in checkpoint.lines()] == [1, 2]
    checkpoint.append({"round": 30})
    checkpoint.append({"round": 31})
    checkpoint.save({}, {})
    assert progress(kept) == [1, 2, 30, 31]
    checkpoint.append({"round": 32})
    again = Checkpoint(kept, IDENTITY)
    again.load()
    again.save({}, {}, {"round": 33})
    assert progress(kept) == [1, 2, 30, 31, 33]


def test_lines_that_are_gone_are_missed_by_who_reads_them(kept):
    (kept / PROGRESS).write_text('{"round": 1}\n')
    checkpoint = Checkpoint(kept, IDENTITY)
    checkpoint.load()
    with pytest.raises(InputError, match=r"damaged .it has 1 of 2 lines"):
        checkpoint.lines()


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_loses_nothing(kept, monkeypatch):
    checkpoint = Checkpoint(kept, IDENTITY)
    checkpoint.load()
    with monkeypatch.context() as context:
        context.setattr(module, "write_atomically", full)
        with pytest.raises(
            CheckpointError, match=r"No space left .* free some space"
        ) as info:
            checkpoint.save({}, {"rounds": 9}, {"round": 3})
    assert isinstance(info.value, RunError)
    other = Checkpoint(kept, IDENTITY)
    loaded = other.load()
    assert loaded is not None
    assert loaded[1] == METADATA
    assert [line["round"] for line in other.lines()] == [1, 2]
    # And the same object can go on once there is room.
    checkpoint.save({}, {"rounds": 9}, {"round": 3})
    assert progress(kept) == [1, 2, 3]


def test_a_folder_that_is_gone_is_not_taken_for_a_full_disk(kept):
    checkpoint = Checkpoint(kept, IDENTITY)
    checkpoint.load()
    checkpoint.save({}, {"rounds": 8}, {"round": 3})
    shutil.rmtree(kept)
    with pytest.raises(CheckpointError, match=r"has been removed meanwhile; run the"):
        checkpoint.save({}, {"rounds": 9}, {"round": 3})


def test_a_folder_that_cannot_be_written_is_not_left_behind(folder, monkeypatch):
    monkeypatch.setattr(module, "write_atomically", full)
    checkpoint = Checkpoint(folder, IDENTITY)
    with pytest.raises(InputError, match=r"cannot write in the folder .* choose"):
        checkpoint.claim()
    with pytest.raises(CheckpointError, match="free some space and run the same again"):
        checkpoint.save({}, {})
    assert not folder.parent.exists()


def test_alone_a_joint_load_is_a_load(kept, tmp_path):
    loaded = load_jointly(Checkpoint(kept, IDENTITY))
    assert loaded is not None
    assert loaded[1] == METADATA
    assert load_jointly(Checkpoint(tmp_path / "nothing", IDENTITY)) is None


class State(NamedTuple):
    """A state of the shapes that training has."""

    update: Any
    theta: Any
    outer: Any


def state(seed: int = 3) -> State:
    theta = np.random.default_rng(seed).normal(size=7).astype(np.float32)
    outer = (np.asarray(9, np.int32), {"mu": theta * 2, "empty": ()})
    return State(np.asarray(2**40, np.int64), theta, outer)


def test_a_tree_comes_back_to_the_bit():
    """Scalars stay scalars: a counter of shape (1,) would recompile everything."""
    tree = state()
    arrays = arrays_of_tree(tree)
    assert sorted(arrays) == ["outer/0", "outer/1/mu", "theta", "update"]
    found = tree_of_arrays(state(5), arrays)
    assert type(found) is State
    assert found.update.shape == found.outer[0].shape == ()
    assert (found.update.dtype, found.outer[0].dtype) == (np.int64, np.int32)
    assert found.theta.tobytes() == tree.theta.tobytes()
    assert found.outer[1]["mu"].tobytes() == tree.outer[1]["mu"].tobytes()
    assert tree_of_arrays(np.zeros(2), arrays_of_tree(np.ones(2))).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            state()._replace(theta=np.zeros(8, np.float32)),
            "theta .float32 .7,. instead",
        ),
        (state()._replace(theta=np.zeros(7)), "theta .float32 .7,. instead of float64"),
        (state()._replace(update=np.zeros(1, np.int64)), "update .int64 .. instead"),
        (state()._replace(outer=()), "outer/0, outer/1/mu; choose another folder"),
        ((*state(), np.zeros(())), "theta, update"),
    ],
)
def test_a_tree_of_another_form_is_refused(other, said):
    with pytest.raises(InputError, match=said):
        tree_of_arrays(other, arrays_of_tree(state()))


# A run that counts its states and writes them as fast as it can.
CHILD = """
import sys
import numpy as np
from ase_l2h._internal.checkpoint import Checkpoint
checkpoint = Checkpoint(sys.argv[1], {"run": "killed"})
loaded = checkpoint.load()
number = 0 if loaded is None else loaded[1]["number"]
assert loaded is None or np.all(loaded[0]["x"] == number)
assert [line["number"] for line in checkpoint.lines()] == list(range(1, number + 1))
print("go", flush=True)
while True:
    number += 1
    x = np.full(20_000, number)
    if number % 2:
        checkpoint.append({"number": number})
    else:
        checkpoint.save({"x": x}, {"number": number}, {"number": number})
"""


def test_sigkill_at_any_moment_leaves_a_folder_that_goes_on(tmp_path):
    """The child itself finds states and lines to be whole and of the same number."""
    rng, folder, numbers = np.random.default_rng(99), tmp_path / "run", []
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        said = process.stdout.readline()
        time.sleep(float(rng.uniform(0, 0.3)))
        process.kill()
        _, errors = process.communicate(timeout=60)
        assert (said, process.returncode) == ("go\n", -signal.SIGKILL), errors
        loaded = Checkpoint(folder, {"run": "killed"}).load()
        numbers.append(0 if loaded is None else loaded[1]["number"])
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 4
