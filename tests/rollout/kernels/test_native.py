"""Compiled machine code that is kept: nothing unseen is loaded."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.rollout import Rollout
from ase_l2h.rollout.kernels import compilers, layout, native
from ase_l2h.rules import Fire
from ase_l2h.targets import named_target

pytestmark = pytest.mark.compiler
TARGET = named_target("LJ7")
SEARCH: tuple[Any, ...] = (RuleOptimizer(Fire()), TARGET.potential, TARGET.system)


@pytest.fixture
def compiled(tmp_path) -> Path:
    """A library in a folder of the test's own, compiled once for all tests."""
    made = build(native.cache_folder() / "native")
    folder = tmp_path / "native"
    folder.mkdir(mode=0o700)
    for file in (made, made.with_suffix(".sha256")):
        shutil.copy2(file, folder)
    return folder / made.name


@pytest.fixture
def calls(monkeypatch) -> list[list[str]]:
    """Command lines of the compiler from here on, which does not run."""
    seen: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        seen.append(command)
        Path(command[-1]).write_bytes(b"new")
        return type("Result", (), {"returncode": 0, "stderr": "", "stdout": ""})

    monkeypatch.setattr(compilers.subprocess, "run", run)
    return seen


def build(folder: Path) -> Path:
    return native.build(layout.definitions(*SEARCH), folder)


def test_what_is_there_is_used(compiled, calls):
    assert build(compiled.parent) == compiled
    assert calls == []
    assert compiled.stat().st_mode & 0o077 == 0


def truncate(library: Path) -> None:
    content = library.read_bytes()
    library.write_bytes(content[: len(content) // 2])


def alter(library: Path) -> None:
    content = bytearray(library.read_bytes())
    content[len(content) // 2] ^= 1
    library.write_bytes(content)


def forget_hash(library: Path) -> None:
    library.with_suffix(".sha256").unlink()


def open_to_others(library: Path) -> None:
    library.chmod(0o666)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "is damaged"),
        (alter, "is damaged"),
        (forget_hash, "cannot be read"),
        (open_to_others, "others can write"),
    ],
)
def test_what_cannot_be_trusted_is_compiled_anew(damage, said, compiled, calls, caplog):
    damage(compiled)
    with caplog.at_level(logging.WARNING):
        assert build(compiled.parent) == compiled
    assert len(calls) == 1
    assert "compiling the machine code again" in caplog.text
    assert said in caplog.text
    assert compiled.read_bytes() == b"new"
    # And what is new is trusted.
    assert build(compiled.parent) == compiled
    assert len(calls) == 1


def test_a_folder_that_others_can_write_is_not_used(compiled, calls, caplog):
    folder = compiled.parent
    folder.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        library = build(folder)
    assert library.parent != folder
    assert library.parent.stat().st_mode & 0o077 == 0
    assert f"others can write {folder}; run: chmod go-w {folder}" in caplog.text
    assert len(calls) == 1
    folder.chmod(0o700)
    assert build(folder) == compiled


def test_a_folder_that_cannot_be_made_is_no_trouble(tmp_path, calls, caplog):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        library = build(tmp_path / "file" / "native")
    assert library.read_bytes() == b"new"
    assert "temporary folder" in caplog.text


def test_the_compiler_may_have_arguments(tmp_path, monkeypatch, calls):
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f"#!{sys.executable}\n")
    wrapper.chmod(0o700)
    monkeypatch.setenv("CXX", f"{wrapper} 'g++' -pipe")
    assert native.compiler() == str(wrapper)
    build(tmp_path / "native")
    assert calls[0][:3] == [str(wrapper), "g++", "-pipe"]
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    assert native.compiler() is None
    assert "no C++ compiler" in str(native.supports(*SEARCH))


def test_each_kind_of_processor_has_its_own_file(tmp_path, monkeypatch, calls):
    here = build(tmp_path / "native")
    monkeypatch.setattr(native, "_processor", lambda: "flags: another")
    assert build(tmp_path / "native") != here


def test_where_compiling_fails_auto_is_scan_and_says_so(tmp_path, monkeypatch, caplog):
    broken = tmp_path / "broken"
    broken.write_text(f"#!{sys.executable}\nraise SystemExit('too old for this')\n")
    broken.chmod(0o700)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setattr(native, "cache_folder", lambda: tmp_path)
    native._built.cache_clear()
    starts = np.random.default_rng(1).normal(size=(3, 7, 4)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        run = Rollout(*SEARCH, starts, jax.random.key(0))
    assert run.backend == "scan"
    assert "'scan' runs instead of 'native'" in caplog.text
    assert "too old for this" in caplog.text
    assert not list((tmp_path / "native").glob("*.so"))
    assert os.environ["CXX"] == str(broken)


@pytest.mark.parametrize(
    ("defined", "width"),
    [
        ("#define __AVX512F__ 1\n#define __AVX__ 1", 64),
        ("#define __AVX__ 1", 32),
        ("", 16),
    ],
)
def test_a_vector_is_as_wide_as_the_processors(defined, width, monkeypatch):
    """Wider ones compile for a minute, and are four times slower."""
    told = type("Result", (), {"stdout": defined, "stderr": "", "returncode": 0})
    monkeypatch.setattr(compilers.subprocess, "run", lambda *_, **__: told)
    native._widest.cache_clear()
    assert native.widest() == width
    native._widest.cache_clear()
