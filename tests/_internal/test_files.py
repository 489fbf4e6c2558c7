"""Files that never come, or end, and names that no file can have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ase_l2h._internal.checkpoint import RUN, STATE, Checkpoint
from ase_l2h._internal.files import check_name, read_regular
from ase_l2h.comparison.record import ComparisonRecord
from ase_l2h.errors import InputError
from ase_l2h.report.figures import read_record
from ase_l2h.search.hull.system import hull_system
from ase_l2h.training.config import read_config

pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")


@pytest.fixture
def pipe(tmp_path) -> Path:
    """A pipe that nobody writes to."""
    os.mkfifo(tmp_path / "pipe.toml")
    return tmp_path / "pipe.toml"


@pipes
def test_a_pipe_is_not_waited_for(pipe):
    with pytest.raises(OSError, match="is not a regular file"):
        read_regular(pipe)


def test_a_device_is_not_read_for_ever():
    with pytest.raises(OSError, match="is not a regular file"):
        read_regular(Path("/dev/zero"))


@pipes
@pytest.mark.parametrize(
    "read",
    [
        read_config,
        read_record,
        lambda path: hull_system("CuAg", 3, parameters=path),
    ],
    ids=["training", "record", "hull"],
)
def test_pipes_as_input_are_one_sentence(read, pipe):
    with pytest.raises(InputError, match="is not a regular file"):
        read(pipe)


@pipes
@pytest.mark.parametrize("name", [RUN, STATE])
def test_pipes_in_a_folder_that_is_continued(name, tmp_path):
    kept = Checkpoint(tmp_path / "run", {"kind": "test"})
    kept.save({}, {})
    (tmp_path / "run" / name).unlink()
    os.mkfifo(tmp_path / "run" / name)
    with pytest.raises(InputError, match="is not a regular file"):
        Checkpoint(tmp_path / "run", {"kind": "test"}).load()


@pytest.mark.parametrize("name", ["n" * 5000, "null\0byte"])
def test_names_that_no_file_can_have(name, tmp_path):
    for refuse in (
        lambda: check_name("-o", name),
        lambda: Checkpoint(name, {}),
        lambda: ComparisonRecord(tmp_path / name),
    ):
        with pytest.raises(InputError, match="give another name") as caught:
            refuse()
        assert len(str(caught.value)) < 200


def test_names_of_what_is_there_or_not_yet(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "new", "file/below"):
        check_name("-o", tmp_path / name)
