"""Benchmarks are not installed with the package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmark_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of ``benchmarks`` by its name there.

    What the environment of the other searchers compiles with numba is Python here.
    """
    monkeypatch.syspath_prepend(str(ROOT))
    uncompiled = SimpleNamespace(njit=lambda **_: lambda function: function)
    monkeypatch.setitem(sys.modules, "numba", uncompiled)
    return lambda name: importlib.import_module(f"benchmarks.{name}")
