"""Programs in processes of their own, and folders of hull searches compared."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import child_programs
from safetensors import safe_open

__all__ = [
    "assert_same_folder",
    "contents",
    "finish",
    "free_address",
    "interrupt_after_a_round",
    "kept",
    "start",
]

# argv = folder of compiled programs, that of machine code and its compiler options,
# "wait" or "go on", arguments of the command.
# Says when a round has been kept, and may wait there for a signal.
PROGRAM = f"""
import signal, sys, threading
# Tests that run in the background may have SIGINT ignored, and hand that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
import jax
jax.config.update("jax_compilation_cache_dir", sys.argv.pop(1))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
{child_programs.PRELUDE}
from ase_l2h.search.hull import search as hull_search
from ase_l2h._internal import stopping
from ase_l2h.cli.main import cli
waits, arrived = sys.argv.pop(1) == "wait", threading.Event()
request = stopping.Stop.request
def requested(self):
    request(self)
    arrived.set()
stopping.Stop.request = requested
advance = hull_search.HullSearch.advance
def marked(self, *seconds):
    fallen = advance(self, *seconds)
    print("kept", file=sys.stderr, flush=True)
    if waits:
        arrived.wait(60)
    return fallen
hull_search.HullSearch.advance = marked
print("go", file=sys.stderr, flush=True)
cli()
"""


def start(compiled: Path, *arguments: object, wait: bool = False) -> subprocess.Popen:
    """The program with these arguments; ``wait`` for a signal after every round.

    Standard error goes to a file of its own: a full pipe would stop the process.
    """
    # Compiled as in the tests themselves: folders are compared bit for bit.
    errors = compiled / f"{time.monotonic_ns()}.err"
    shared = child_programs.arguments()
    command = [sys.executable, "-c", PROGRAM, compiled, *shared]
    command.append("wait" if wait else "go on")
    with errors.open("w") as stream:
        process = subprocess.Popen(
            [str(word) for word in (*command, *arguments)],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env=child_programs.environment() | {"JAX_PLATFORMS": "cpu"},
        )
    process.errors = errors  # type: ignore[attr-defined]
    return process


def errors_of(process: subprocess.Popen) -> str:
    return process.errors.read_text()  # type: ignore[attr-defined]


def kept(process: subprocess.Popen, word: str = "kept") -> None:
    """Wait until a process has kept a round."""
    begun = time.monotonic()
    while f"{word}\n" not in errors_of(process):
        assert process.poll() is None, errors_of(process)[-3000:]
        assert time.monotonic() - begun < 240
        time.sleep(0.02)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code, standard output and error."""
    try:
        stdout, _ = process.communicate(timeout=240)
    finally:
        process.kill()
    return process.returncode, stdout, errors_of(process)


def interrupt_after_a_round(compiled: Path, *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and error of a command that gets a SIGINT."""
    process = start(compiled, *arguments, wait=True)
    kept(process)
    process.send_signal(signal.SIGINT)
    return finish(process)


def free_address() -> str:
    """An unused address of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def assert_same_folder(folder: Path, other: Path) -> None:
    """Every file to the byte, but for wall times."""
    assert {p.name for p in folder.iterdir()} == {p.name for p in other.iterdir()}
    for name, content in contents(folder).items():
        second = (other / name).read_bytes()
        if name == "state.safetensors":
            assert_same_state(folder / name, other / name)
        elif name == "hull.json":
            assert timeless(content) == timeless(second)
        elif name == "report.md":
            assert without_seconds(content) == without_seconds(second)
        else:
            assert content == second, name


def timeless(content: bytes) -> dict:
    record = json.loads(content)
    assert record.pop("wall_seconds") > 0
    return record


def without_seconds(report: bytes) -> bytes:
    changed, count = re.subn(rb" and [0-9]+ s; ended", b"; ended", report)
    assert count == 1
    return changed


def assert_same_state(path: Path, other: Path) -> None:
    """Arrays to the bit; safetensors writes metadata in any order."""
    with safe_open(path, "numpy") as a, safe_open(other, "numpy") as b:
        texts = [json.loads(stream.metadata()["state"]) for stream in (a, b)]
        numbers = [text["metadata"]["state"] for text in texts]
        assert all(float.fromhex(n.pop("seconds")["float"]) > 0 for n in numbers)
        assert numbers[0] == numbers[1]
        assert set(a.keys()) == set(b.keys())
        for key in a.keys():  # noqa: SIM118
            first, second = a.get_tensor(key), b.get_tensor(key)
            assert first.dtype == second.dtype
            assert first.tobytes() == second.tobytes(), key
