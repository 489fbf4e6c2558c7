"""Rules of the house that no linter knows: signals and states have one place each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import ase_l2h

PACKAGE = Path(ase_l2h.__file__).parent
STOPPING = {"_internal/stopping.py"}
# Whole or not at all; a checkpoint appends lines, too.
WRITERS = {"_internal/files.py", "_internal/checkpoint.py"}
# Lines are appended to record files, of which a half one is dropped when they are read;
# what a compiler makes is moved to its place when it is whole; what somebody asked for
# with -o or --plot is no state.
OTHERS = {
    "_internal/records.py",
    "cli/outputs.py",
    "cli/search.py",
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
