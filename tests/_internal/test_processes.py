"""Work that processes do together: threads stand for processes here."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import pytest

from ase_l2h._internal import processes as _processes
from ase_l2h._internal.processes import joint, local_devices
from ase_l2h.errors import InputError


@pytest.fixture
def both(monkeypatch):
    """Runs two functions at the same time, each as one process of two."""
    barrier = threading.Barrier(2, timeout=20)
    here, posts = threading.local(), [b"", b""]

    def gathered(message: bytes) -> list[bytes]:
        posts[here.process] = message
        barrier.wait()
        found = list(posts)
        barrier.wait()
        return found

    def run(process: int, work: Any) -> Any:
        here.process = process
        try:
            return joint(work, str.encode)
        except BaseException as error:
            return error

    def call(*works: Any) -> list[Any]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(run, range(2), works))

    monkeypatch.setattr(_processes, "gathered", gathered)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    return call


def raising(error: BaseException):
    def work() -> None:
        raise error

    return work


def test_everybody_learns_what_everybody_did(both):
    first, second = both(lambda: "one", lambda: "")
    assert first == ("one", [b"one", b""])
    assert second == ("", [b"one", b""])


@pytest.mark.parametrize(
    ("own", "others", "said"),
    [
        (InputError("no such pair"), InputError, "^no such pair$"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
        (MemoryError("no room"), RuntimeError, "^process 1 failed: no room$"),
    ],
)
def test_what_stops_one_stops_all(both, own, others, said):
    """The one with its own error, the others with one that says so."""
    first, second = both(lambda: "done", raising(own))
    assert second is own
    assert type(first) is others
    with pytest.raises(others, match=said):
        raise first


def test_two_failures_are_each_ones_own(both):
    errors = [ValueError("one"), MemoryError("two")]
    assert both(*map(raising, errors)) == errors


def test_alone_nothing_is_asked():
    assert joint(lambda: "x", str.encode) == ("x", [b"x"])
    error = MemoryError("alone")
    with pytest.raises(MemoryError) as caught:
        joint(raising(error))
    assert caught.value is error


def test_the_first_devices_are_taken():
    """JAX has two processors here, see conftest."""
    assert local_devices(1) == jax.local_devices()[:1]
    assert local_devices(2) == jax.local_devices()
    with pytest.raises(ValueError, match=r"3 devices .* finds 2 \(cpu\) here"):
        local_devices(3)
