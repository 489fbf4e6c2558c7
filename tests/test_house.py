"""Rules that no linter knows: one place for signals and states, and a true map."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import ase_l2h

PACKAGE = Path(ase_l2h.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
# What lies at the top of the repository, beside what begins with a dot.
TOP = {
    *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "README.md"),
    *("RELEASING.md", "ase_l2h", "benchmarks", "docs", "pretrained", "pyproject.toml"),
    *("tests", "tutorials"),
}
STOPPING = {"_internal/stopping.py"}
# Whole or not at all; a checkpoint appends lines, too.
WRITERS = {"_internal/files.py", "_internal/checkpoint.py"}
# Lines are appended to record files, of which a half one is dropped when they are read;
# what a compiler makes is moved to its place when it is whole; what somebody asked for
# with -o or --plot is no state.
OTHERS = {
    "_internal/records.py",
    "ase_adapter/cache.py",
    "cli/outputs.py",
    "cli/results.py",
    # The hash of compiled code, in a file that then takes its name.
    "rollout/kernels/native.py",
}
SIGNALS = {
    "alarm",
    "pthread_sigmask",
    "set_wakeup_fd",
    "setitimer",
    "siginterrupt",
    "signal",
    "sigwait",
}


def modules() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())


def imports(tree: ast.AST) -> Iterator[str]:
    """Everything that is imported, as ``module`` and ``module.name``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call and the last word of what is called: ``load`` of ``a.load()``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute):
                yield called.attr, node
            elif isinstance(called, ast.Name):
                yield called.id, node


def writes(name: str, call: ast.Call) -> bool:
    """Whether a call writes a file in place."""
    if name in {"write_text", "write_bytes", "touch", "save_file"}:
        return True
    if name == "dump":
        return True
    # open(path, mode) and path.open(mode).
    if name in {"open", "fdopen"}:
        place = 1 if isinstance(call.func, ast.Name) or name == "fdopen" else 0
        modes = call.args[place : place + 1]
        modes += [word.value for word in call.keywords if word.arg == "mode"]
        return any(
            not isinstance(mode, ast.Constant)
            or bool(set(str(mode.value)) & set("wax+"))
            for mode in modes
        )
    return False


def test_only_one_module_handles_signals():
    users = {name for name, tree in modules() if "signal" in imports(tree)}
    assert users == STOPPING
    handlers = {
        name
        for name, tree in modules()
        for called, call in calls(tree)
        if called in SIGNALS
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "signal"
    }
    assert handlers == STOPPING


def test_files_are_written_whole_or_not_at_all():
    writers = {
        name
        for name, tree in modules()
        if any(writes(called, call) for called, call in calls(tree))
    }
    assert writers - OTHERS == WRITERS


def test_the_rules_see_what_they_are_to_see():
    """Each of these is what a module must not do."""
    for code in (
        "open('state.json', 'w')",
        "path.open('ab')",
        "path.open(mode='w')",
        "open(path, mode)",
        "path.write_text(text)",
        "json.dump(state, stream)",
        "safetensors.numpy.save_file(arrays, path)",
    ):
        ((name, call),) = calls(ast.parse(code))
        assert writes(name, call), code
    for code in ("open('state.json')", "path.open('rb')", "json.dumps(state)"):
        ((name, call),) = calls(ast.parse(code))
        assert not writes(name, call), code
    assert "signal" in imports(ast.parse("def f():\n    import signal"))
    assert "signal" in imports(ast.parse("from signal import SIGINT"))


def section(page: str, heading: str) -> str:
    """The text of a page below a heading, up to the next one."""
    _, _, rest = page.partition(f"\n## {heading}\n")
    assert rest, heading
    return rest.partition("\n## ")[0]


def test_the_map_of_contributing_is_that_of_the_import_rules():
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = [
        contract
        for contract in rules["tool"]["importlinter"]["contracts"]
        if contract["id"] == "layers"
    ]
    layers = [layer.replace("(", "").replace(")", "") for layer in contract["layers"]]
    page = (ROOT / "CONTRIBUTING.md").read_text()
    shown = section(page, "Who may import whom").split("```text\n")[1].split("\n```")[0]
    assert shown.split("\n") == layers
    # The table goes through the same floors, from the top.
    rooms = [room for layer in layers for room in layer.split(" | ")]
    table = section(page, "Where things are")
    named = re.findall(
        r"`(\w+)(?:/|\.py)`", "\n".join(re.findall(r"^\| .*?\|", table, re.M))
    )
    floor = {room: k for k, layer in enumerate(layers) for room in layer.split(" | ")}
    floors = [floor[name] for name in named if name != "data"]
    assert floors == sorted(floors)
    assert sorted(set(named) - {"data"}) == sorted(rooms)


def test_contributing_names_every_folder_and_module():
    page = section((ROOT / "CONTRIBUTING.md").read_text(), "Where things are")
    # The sources: an installed package has compiled files and the weights in it.
    for path in (ROOT / "ase_l2h").iterdir():
        if path.name == "__pycache__":
            continue
        if path.is_dir() and any(p.is_file() for p in path.glob("[!_]*")):
            assert f"| `{path.name}/`" in page or f", `{path.name}/`" in page, path
        elif path.suffix == ".py" and path.name != "__init__.py":
            assert f"`{path.name}`" in page, path


def test_nothing_that_a_run_left_lies_at_the_top():
    if not (ROOT / ".git").exists():
        pytest.skip("what is kept is known only in a checkout of git")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    tops = {line.partition("/")[0] for line in listed.splitlines()}
    assert tops - {name for name in tops if name.startswith(".")} == TOP


def test_no_test_imports_the_benchmarks_by_itself():
    """``tests/benchmarks`` is found in their place where the package is installed.

    The fixture ``benchmark_module`` knows where they are.
    """
    by_itself = [
        path.name
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if any(
            name.split(".")[0] == "benchmarks"
            for name in imports(ast.parse(path.read_text()))
        )
    ]
    assert by_itself == []


def test_shapes_are_checked_wherever_they_are_declared():
    """Tests check arrays where ``pyproject.toml`` says, so nobody may be forgotten."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]
    (checked,) = (
        option.partition("=")[2].split(",")
        for option in options["ini_options"]["addopts"]
        if option.startswith("--jaxtyping-packages=")
    )
    declaring = [
        f"ase_l2h.{path.removesuffix('.py').replace('/', '.')}"
        for path, tree in modules()
        if any(name.partition(".")[0] == "jaxtyping" for name in imports(tree))
    ]
    assert len(declaring) > 30
    assert {
        name
        for name in declaring
        if not any(name == part or name.startswith(f"{part}.") for part in checked)
    } == set()
