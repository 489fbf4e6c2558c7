"""What is compiled in one run is there in the next, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from ase_l2h.cli import compilation

PROGRAM = "from ase_l2h.cli.main import cli; cli()"
SEARCH = ("search", "LJ5", "--starts", "2", "--steps", "20", "--method", "gd")
SEARCH += ("--backend", "scan", "--json")


def run(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess:
    names = (compilation.COMPILED_VARIABLE, "ASE_L2H_CACHE", "TF_CPP_MIN_LOG_LEVEL")
    drop = {*names, *(name for name in os.environ if name.startswith("JAX_"))}
    environment = {k: v for k, v in os.environ.items() if k not in drop} | variables
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *SEARCH],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.slow
def test_a_second_run_compiles_nothing_and_finds_the_same(tmp_path):
    folder = tmp_path / "compiled"
    first = run(tmp_path, ASE_L2H_COMPILED=str(folder))
    assert first.returncode == 0, first.stderr
    kept = {p.name for p in folder.rglob("*-cache")}
    assert any("advance" in name for name in kept)
    second = run(tmp_path, ASE_L2H_COMPILED=str(folder))
    assert {p.name for p in folder.rglob("*-cache")} == kept
    assert second.stderr == first.stderr == ""
    one, two = (json.loads(r.stdout) for r in (first, second))
    for record in (one, two):
        for clock in ("wall_seconds", "search_seconds", "evaluations_per_second"):
            record.pop(clock)
    assert one == two


@pytest.mark.slow
def test_code_that_was_cut_off_is_compiled_anew_and_kept_again(tmp_path):
    folder = tmp_path / "compiled"
    first = run(tmp_path, ASE_L2H_COMPILED=str(folder))
    kept = sorted(folder.rglob("*-cache"))
    assert kept
    for path in kept:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    second = run(tmp_path, ASE_L2H_COMPILED=str(folder))
    assert second.returncode == 0
    assert second.stderr == ""
    assert sorted(folder.rglob("*-cache")) == kept
    for path in kept:
        zlib.decompress(path.read_bytes())
    energies = [json.loads(r.stdout)["energies"] for r in (first, second)]
    assert energies[0] == energies[1]


def test_what_is_incomplete_is_removed_once(tmp_path):
    whole = zlib.compress(b"code " * 1000)
    names = {"whole": whole, "cut": whole[:-3], "empty": b""}
    names["other"] = compilation.ZSTANDARD + b"..."
    for name, content in names.items():
        (tmp_path / name).write_bytes(content)
    compilation._remove_incomplete(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"whole", "other", compilation.STAMP}
    # What was there at the last look is not read again.
    old, new = tmp_path / "old", tmp_path / "new"
    for path, ago in ((old, -60), (new, 0)):
        path.write_bytes(b"")
        now = (tmp_path / compilation.STAMP).stat().st_mtime
        os.utime(path, (now + ago, now + ago))
    compilation._remove_incomplete(tmp_path)
    assert old.exists()
    assert not new.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no owners")
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_code_that_others_can_write_is_removed(fresh, mode, tmp_path):
    """In a folder of this user alone nobody gets at it, whatever its own mode."""
    fresh.setenv(compilation.COMPILED_VARIABLE, str(tmp_path))
    folder = compilation.compiled_folder()
    assert folder is not None
    folder.mkdir(parents=True)
    folder.chmod(mode)
    for name, bits in (("own", 0o644), ("open", 0o666)):
        (folder / name).write_bytes(zlib.compress(b""))
        (folder / name).chmod(bits)
    compilation.use_compilation_cache()
    left = {path.name for path in folder.iterdir()} - {compilation.STAMP}
    assert left == ({"own"} if mode == 0o755 else {"own", "open"})


@pytest.mark.slow
def test_a_folder_that_cannot_be_used_is_no_trouble(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    result = run(tmp_path, ASE_L2H_COMPILED=str(blocked))
    assert (result.returncode, result.stderr) == (0, "")
    assert blocked.read_text() == "in the way"


@pytest.fixture
def fresh(monkeypatch):
    """As if JAX was not loaded; whatever is set is undone."""
    monkeypatch.delitem(sys.modules, "jax")
    for name in (
        compilation.COMPILED_VARIABLE,
        compilation.FOLDER_VARIABLE,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES",
        "TF_CPP_MIN_LOG_LEVEL",
    ):
        # Set and deleted, so that the value of before comes back in any case.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_where_it_lies_and_how_it_is_switched_off(fresh, tmp_path):
    fresh.setenv("ASE_L2H_CACHE", str(tmp_path))
    folder = compilation.use_compilation_cache()
    assert folder is not None
    assert folder.parent == tmp_path / "compiled"
    assert os.environ[compilation.FOLDER_VARIABLE] == str(folder)
    # The user's own choice for JAX stands.
    assert compilation.use_compilation_cache() is None
    fresh.delenv(compilation.FOLDER_VARIABLE)
    fresh.setenv(compilation.COMPILED_VARIABLE, "Off")
    assert compilation.use_compilation_cache() is None
    assert compilation.FOLDER_VARIABLE not in os.environ


def test_a_library_user_s_jax_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("ASE_L2H_CACHE", str(tmp_path))
    monkeypatch.delenv(compilation.FOLDER_VARIABLE, raising=False)
    assert "jax" in sys.modules
    assert compilation.use_compilation_cache() is None
    assert not list(tmp_path.iterdir())


def test_what_was_not_used_for_longest_goes_first(fresh, tmp_path):
    fresh.setenv(compilation.COMPILED_VARIABLE, str(tmp_path))
    fresh.setattr(compilation, "MAX_BYTES", 25)
    folder = compilation.compiled_folder()
    assert folder is not None
    folder.mkdir()
    for age in range(5):
        path = folder / f"{age}-cache"
        path.write_bytes(zlib.compress(b"ab"))
        assert path.stat().st_size == 10
        os.utime(path, (1e9 - age, 1e9 - age))
    compilation.use_compilation_cache()
    left = {path.name for path in folder.iterdir()} - {compilation.STAMP}
    assert left == {"0-cache", "1-cache"}


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such permissions here")
def test_a_folder_that_others_can_write_is_not_used(fresh, tmp_path, capsys):
    fresh.setenv(compilation.COMPILED_VARIABLE, str(tmp_path))
    folder = compilation.compiled_folder()
    assert folder is not None
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    assert compilation.use_compilation_cache() is None
    assert compilation.FOLDER_VARIABLE not in os.environ
    assert f"run: chmod go-w {folder}" in capsys.readouterr().err
    folder.chmod(0o700)
    assert compilation.use_compilation_cache() == folder
