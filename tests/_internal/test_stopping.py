"""Stop, deadline and Ctrl-C, in this process and in programs of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ase_l2h._internal.stopping import Stop, interrupt_on_signals, stop_on_signals
from ase_l2h.errors import InputError

KINDS = (signal.SIGINT, signal.SIGTERM)
by_name = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
PREPARED = """
import os, signal, sys, threading, time
# Tests that run in the background may have SIGINT ignored, and hand that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
from ase_l2h._internal.stopping import interrupt_on_signals, stop_on_signals
"""


def program(code: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", PREPARED + code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen, word: str) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == f"{word}\n", (line, process.stderr)


def until(condition) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < 20
        time.sleep(0.002)


def test_nothing_asks_for_an_end():
    stop = Stop()
    stop.check()
    assert (stop.reason, stop.expired(), stop.requested) == (None, False, False)
    assert stop.remaining == stop.deadline == float("inf")


def test_time_runs_out():
    stop = Stop(0.05)
    assert not stop.expired()
    assert 0 < stop.remaining <= 0.05
    time.sleep(0.06)
    assert (stop.reason, stop.remaining, stop.expired()) == ("time", 0.0, True)
    with pytest.raises(TimeoutError, match="the time is up"):
        stop.check()


def test_a_request_counts_more_than_the_time():
    stop = Stop(1e-9)
    stop.request()
    assert stop.reason == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        stop.check()


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_time_that_is_none_is_refused(seconds):
    with pytest.raises(InputError, match="give a time above 0"):
        Stop(seconds)


@by_name
def test_the_first_signal_is_a_request_and_the_second_interrupts(kind, capfd):
    before = [signal.getsignal(k) for k in KINDS]
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    with stop_on_signals("the round is finished") as stop:
        assert not stop.requested
        os.kill(os.getpid(), kind)
        until(lambda: stop.requested)
        time.sleep(0.05)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            os.kill(os.getpid(), kind)
            time.sleep(10)
    assert capfd.readouterr().err == "\nthe round is finished\n"
    assert [signal.getsignal(k) for k in KINDS] == before
    assert signal.set_wakeup_fd(wakeup) == wakeup
    assert "ase_l2h signals" not in {thread.name for thread in threading.enumerate()}


@by_name
def test_without_a_stop_every_signal_interrupts(kind):
    with interrupt_on_signals():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012
                os.kill(os.getpid(), kind)
                time.sleep(10)


def test_handlers_are_as_found_after_a_failure():
    before = [signal.getsignal(k) for k in KINDS]
    with pytest.raises(ZeroDivisionError), stop_on_signals():
        raise ZeroDivisionError
    assert [signal.getsignal(k) for k in KINDS] == before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGTERM, before)


def test_all_that_runs_is_asked_to_end():
    """Stops inside one another, and one of another thread."""

    def work() -> bool:
        with stop_on_signals() as stop:
            begun.set()
            until(lambda: stop.requested)
            return True

    begun = threading.Event()
    with stop_on_signals() as outer, ThreadPoolExecutor(1) as pool:
        beside = pool.submit(work)
        begun.wait(10)
        with stop_on_signals() as inner:
            os.kill(os.getpid(), signal.SIGINT)
            until(lambda: inner.requested and outer.requested)
        assert beside.result(20)
        with stop_on_signals() as later:
            assert later.requested


def test_another_thread_installs_no_handlers():
    def work() -> tuple[list, bool]:
        with stop_on_signals(seconds=30.0) as stop:
            return [signal.getsignal(k) for k in KINDS], stop.expired()

    before = [signal.getsignal(k) for k in KINDS]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result(20) == (before, False)


# A thread that cannot be asked to end, and a main thread that Python cannot interrupt:
# one call of the C library, as machine code would be.
BUSY = """
import ctypes
library = ctypes.CDLL(None)
threading.Thread(target=library.sleep, args=(60,)).start()
with interrupt_on_signals(exits=True), stop_on_signals("asked") as stop:
    def watch():
        while not stop.requested:
            time.sleep(0.002)
        print("requested", flush=True)
    threading.Thread(target=watch, daemon=True).start()
    print("busy", flush=True)
    if sys.argv[1] == "main":
        # A signal would cut `sleep` short; the others get none.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        threading.Thread(
            target=lambda: (
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT]),
                time.sleep(60),
            ),
            daemon=True,
        ).start()
        library.sleep(60)
    else:
        time.sleep(60)
"""


@pytest.mark.parametrize("where", ["main", "beside"])
def test_a_second_signal_ends_a_program_that_machine_code_holds(where):
    process = program(BUSY, where)
    try:
        told(process, "busy")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        told(process, "requested")
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert time.monotonic() - begun < 3
    assert process.returncode == 130, errors
    assert errors.startswith("\nasked\n")


FORKED = """
with interrupt_on_signals(exits=True), stop_on_signals("asked") as stop:
    child = os.fork()
    if child == 0:
        try:
            os.write(1, b"ready\\n")
            time.sleep(60)
        except KeyboardInterrupt:
            os._exit(7)
        os._exit(8)
    os.write(1, f"{child}\\n".encode())
    _, status = os.waitpid(child, 0)
    time.sleep(0.5)
    print(os.waitstatus_to_exitcode(status), stop.requested, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are a thing of Unix")
def test_the_signals_of_a_forked_child_are_its_own():
    process = program(FORKED)
    try:
        assert process.stdout is not None
        said = sorted(process.stdout.readline().strip() for _ in range(2))
        assert said[1] == "ready"
        os.kill(int(said[0]), signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "7 False\n"), errors


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.25, 0.5])
def test_ctrl_c_within_the_first_half_second_of_the_command(delay):
    """From the moment on in which the command is read: while JAX is imported, say."""
    code = """
from ase_l2h.cli.main import Program, cli
parse_args = Program.parse_args
def marked(*args, **kwargs):
    print("go", flush=True)
    return parse_args(*args, **kwargs)
Program.parse_args = marked
cli()
"""
    arguments = ("search", "LJ150", "--quiet")
    process = program(code, *arguments)
    try:
        told(process, "go")
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert time.monotonic() - begun < 3
