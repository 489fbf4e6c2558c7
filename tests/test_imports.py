"""Importing is cheap, changes nothing, and the core needs neither ASE nor jax-md."""

from __future__ import annotations

import json
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = Path(sys.executable).with_name("ase-l2h")
COLD_SECONDS = 0.5
HEAVY = ("jax", "jaxlib", "flax", "jax_md", "ase", "matplotlib", "pymatgen", "spglib")
COLD = {
    "import": ["-c", "import ase_l2h"],
    "help": [str(SCRIPT), "--help"],
    "version": [str(SCRIPT), "--version"],
}


def run_python(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess:
    """Run this interpreter; fail with its standard error when it does."""
    result = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=timeout
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result


def modules_loaded(*arguments: str) -> set[str]:
    """Modules that a run of the interpreter imports."""
    trace = run_python("-X", "importtime", *arguments).stderr
    names = re.findall(r"^import time:.*\|\s+([\w.]+)$", trace, re.MULTILINE)
    assert "ase_l2h" in names
    return set(names)


def packages_loaded(*arguments: str) -> set[str]:
    """Top-level packages that a run of the interpreter imports."""
    return {name.partition(".")[0] for name in modules_loaded(*arguments)}


@pytest.mark.parametrize("arguments", COLD.values(), ids=COLD)
def test_a_cold_start_loads_no_heavy_package(arguments):
    assert packages_loaded(*arguments).isdisjoint(HEAVY)


def test_a_search_does_not_wait_for_imports_that_it_does_not_need():
    """``ase.io`` and ``ase.cluster`` bring half of SciPy along: a second of waiting."""
    few = ["--method", "learned", "--starts", "2", "--steps", "5", "--json"]
    few += ["--backend", "scan"]
    search = [str(SCRIPT), "search", "LJ5", *few]
    loaded = modules_loaded(*search)
    assert {"jax", "ase"} <= loaded
    assert loaded.isdisjoint({"ase.io", "ase.cluster", "scipy.integrate"})


def test_processes_that_make_calls_do_not_load_jax():
    """Each would wait for seconds, and hold a few hundred megabytes."""
    loaded = packages_loaded("-c", "import ase_l2h.ase_adapter.remote")
    assert loaded.isdisjoint({"jax", "scipy"})


@pytest.mark.parametrize("arguments", COLD.values(), ids=COLD)
def test_a_cold_start_is_fast(arguments):
    """In processor time, the best of several runs: wall time measures the neighbours.

    A cold start waits for nothing, so on an idle machine the two are the same.
    """
    seconds = []
    for _ in range(5):
        before = os.times()
        run_python(*arguments)
        after = os.times()
        seconds.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
    assert min(seconds) < COLD_SECONDS


def test_the_names_of_the_package_are_those_of_its_modules():
    """In a fresh interpreter, in either order: functions never shadow modules."""
    run_python(
        "-c",
        "import ase_l2h, importlib, types\n"
        "import ase_l2h.ase_adapter.optimizer\n"
        "assert set(ase_l2h.__all__) < set(dir(ase_l2h))\n"
        "values = {name: getattr(ase_l2h, name) for name in ase_l2h.__all__}\n"
        "for name, value in values.items():\n"
        "    assert value is getattr(ase_l2h, name), name\n"
        "    home = ase_l2h._HOME.get(name)\n"
        "    if home is None:\n"
        "        assert isinstance(value, types.ModuleType), name\n"
        "        assert value.__name__ == f'ase_l2h.{name}'\n"
        "    else:\n"
        "        assert value.__module__.startswith('ase_l2h.'), name\n"
        "        home = importlib.import_module(f'ase_l2h.{home}')\n"
        "        assert getattr(home, name) is value\n",
    )


def test_an_unknown_name_is_an_attribute_error():
    import ase_l2h

    with pytest.raises(AttributeError, match="no attribute 'Learn2Hope'"):
        ase_l2h.Learn2Hope  # noqa: B018


def test_the_version_is_that_of_pyproject():
    import ase_l2h

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert ase_l2h.__version__ == project["version"]
    assert project["version"] in run_python(str(SCRIPT), "--version").stdout
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {project['version']}\n" in citation


def test_importing_every_module_changes_nothing(tmp_path):
    """No JAX flag, no environment variable, no file; jax-md and pyplot stay out."""
    import ase_l2h

    names = sorted(
        module.name
        for module in pkgutil.walk_packages(ase_l2h.__path__, "ase_l2h.")
        if not module.name.endswith("__main__")
    )
    assert "ase_l2h.rollout.scan" in names
    code = (
        "import importlib, json, os, sys, logging, jax\n"
        "flags, environment = dict(jax.config.values), dict(os.environ)\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        # Importing more of JAX may register further flags.
        "assert {name: jax.config.values[name] for name in flags} == flags\n"
        "assert dict(os.environ) == environment\n"
        "assert not logging.getLogger().handlers\n"
        "assert not os.listdir('.')\n"
        "lazy = {'jax_md', 'matplotlib.pyplot', 'pymatgen', 'cupy', 'pooch'}\n"
        "print(json.dumps(sorted(lazy & set(sys.modules))))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == []


def test_the_core_runs_where_ase_and_jax_md_are_missing():
    """None in ``sys.modules`` makes an import fail as if the package were absent."""
    run_python(
        "-c",
        "import sys\n"
        "for name in ('ase', 'jax_md', 'spglib', 'matplotlib', 'pymatgen', 'pooch',\n"
        "             'requests'):\n"
        "    sys.modules[name] = None\n"
        "import ase_l2h.search.multistart, ase_l2h.training.train, ase_l2h.rollout\n"
        "ase_l2h.make_system([0, 0]), ase_l2h.SearchResult, ase_l2h.load_weights()\n",
    )
