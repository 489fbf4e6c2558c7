"""Who may write what is going to be run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ase_l2h._internal.private import written_by_others

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such owners")


def test_own_files_that_nobody_else_can_write_are_trusted(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    file.chmod(0o644)
    assert written_by_others(file) is None
    assert written_by_others(tmp_path) is None


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_files_that_others_can_write_are_not(tmp_path, mode):
    file = tmp_path / "file"
    file.write_text("")
    file.chmod(mode)
    assert f"run: chmod go-w {file}" in str(written_by_others(file))
    link = tmp_path / "link"
    link.symlink_to(file)
    assert str(file) in str(written_by_others(link))


def test_a_folder_above_counts_unless_it_is_sticky(tmp_path):
    above, folder = tmp_path / "above", tmp_path / "above" / "folder"
    folder.mkdir(parents=True)
    above.chmod(0o777)
    assert f"run: chmod o-w {above}" in str(written_by_others(folder))
    above.chmod(0o1777)
    assert written_by_others(folder) is None


def test_what_another_user_owns_is_not_trusted(tmp_path, monkeypatch):
    status = os.stat(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: status.st_uid + 1)
    if status.st_uid == 0:
        # What the administrator has installed is trusted.
        assert written_by_others(tmp_path) is None
        os.chown(tmp_path, 12345, -1)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "belongs to another user" in str(written_by_others(Path(tmp_path)))
