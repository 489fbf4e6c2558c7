"""Settings of the tests of rollouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ase_l2h.rollout.kernels import native


@pytest.fixture(scope="session")
def compiled_folder(tmp_path_factory) -> Path:
    """Where the tests of one session keep their machine code."""
    return tmp_path_factory.mktemp("machine-code")


@pytest.fixture(autouse=True)
def quick_machine_code(compiled_folder, monkeypatch) -> None:
    """Not the user's cache; without the optimisation that takes most of the time."""
    monkeypatch.setattr(native, "cache_folder", lambda: compiled_folder)
    monkeypatch.setattr(native, "FLAGS", (*native.FLAGS, "-O1"))
