"""What is built is what users need: weights, types, licence, and the README's word."""

from __future__ import annotations

import ast
import itertools
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from the source distribution as an index would get it."""
    out = tmp_path_factory.mktemp("dist")
    command = ["-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    result = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def contents(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_weights_and_the_type_marker(contents):
    """With cards and records of the trainings; of the role `history`, cards alone."""
    manifest = json.loads((ROOT / "pretrained" / "manifest.json").read_text())
    weights = manifest["weights"].items()
    history = {name for name, entry in weights if entry["role"] == "history"}
    files = [p for p in (ROOT / "pretrained").rglob("*") if p.is_file()]
    left_out = {
        path
        for path in files
        if (path.suffix == ".safetensors" and path.stem in history)
        or path.parent.name in history
    }
    assert {path.stem for path in left_out} >= history
    bundled = {
        f"ase_l2h/{path.relative_to(ROOT).as_posix()}"
        for path in files
        if path not in left_out
    }
    assert bundled == {x for x in contents if x.startswith("ase_l2h/pretrained/")}
    assert "ase_l2h/py.typed" in contents
    assert any(name.endswith("licenses/LICENSE") for name in contents)


def test_the_wheel_holds_the_package_and_nothing_else(contents):
    modules = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "ase_l2h").rglob("*.py")
    }
    assert modules <= contents
    package, metadata = sorted({name.partition("/")[0] for name in contents})
    assert package == "ase_l2h"
    assert metadata.endswith(".dist-info")
    assert not [name for name in contents if name.endswith((".pyc", ".pkl"))]


def pretrained_folder_seen_from(site: Path, cwd: Path) -> Path:
    """Where a fresh interpreter with ``site`` on its path finds, and loads, weights."""
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from ase_l2h.weights.load import load_weights, pretrained_folder\n"
        "load_weights(); print(pretrained_folder())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd
    )
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip())


@pytest.mark.slow
def test_an_unpacked_wheel_finds_its_own_weights(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    found = pretrained_folder_seen_from(tmp_path, tmp_path)
    assert found == tmp_path / "ase_l2h" / "pretrained"


@pytest.mark.slow
def test_an_editable_install_finds_the_weights_of_the_checkout(tmp_path):
    """Such an install puts the checkout on the path and copies nothing."""
    assert pretrained_folder_seen_from(ROOT, tmp_path) == ROOT / "pretrained"


def python_blocks() -> list[str]:
    return [block.split("```")[0] for block in README.split("```python\n")[1:]]


@pytest.mark.parametrize("code", python_blocks(), ids=itertools.count())
def test_the_example_of_the_readme_is_short(code):
    assert len(ast.parse(code).body) <= 10


# Optimised, which takes half a minute; the fast tests run it with the examples of the
# guides.
@pytest.mark.slow
@pytest.mark.parametrize("code", python_blocks(), ids=itertools.count())
def test_the_example_of_the_readme_runs_as_printed(code, tmp_path):
    # ASE 3.29 under NumPy 2.5 warns of the second.
    warnings = ["-W", "error", "-W", "ignore:Setting the shape on a NumPy array"]
    result = subprocess.run(
        [sys.executable, *warnings, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    # Wales and Doye (1997): the icosahedron, and the truncated octahedron.
    published = -173.928427 if "LJ38" in code else -44.326801
    assert float(result.stdout.split()[-1]) == pytest.approx(published, abs=1e-4)


def test_ci_runs_the_test_command_of_the_readme():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert f".venv/bin/{ci[-1]}\n" in README
