"""The tutorials run as they stand, and draw their pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parent.parent / "tutorials").glob("*.py"))


def test_there_are_tutorials():
    assert len(TUTORIALS) >= 2


# `tests/cli/test_hull.py` and the examples of README and the guides do the same.
@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs_and_draws(path: Path, tmp_path: Path):
    if path.stem == "machine_learned_crystal" and find_spec("chgnet") is None:
        pytest.skip("CHGNet is not installed; pip install '.[chgnet]'")
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:ase_l2h", path],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    pictures = list(tmp_path.glob("*.png"))
    assert len(pictures) == 1
    assert pictures[0].stat().st_size > 5_000
