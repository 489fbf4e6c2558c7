"""Stop, deadline and Ctrl-C of long work; nothing else here handles signals.

Python runs signal handlers in its main thread, between two instructions: not while that
thread waits for machine code. The file descriptor of ``signal.set_wakeup_fd`` knows of
a signal at once, so a thread listens there.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Literal

from ase_l2h.errors import InputError

__all__ = [
    "INTERRUPTED",
    "Stop",
    "interrupt_on_signals",
    "interrupts_held_back",
    "pass_over_interrupts",
    "signalled",
    "stop_on_signals",
]

NOTE = "stopping at the next safe point; interrupt again to quit at once"
# Exit code of what a signal has ended, as shells have it.
INTERRUPTED = 128 + signal.SIGINT
# Seconds that the main thread has to end the process in an orderly way.
GRACE = 0.3
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether long work is to end, and why. Threads may share one.

    Parameters
    ----------
    seconds
        Until then, counted from now; None is no limit.

    Attributes
    ----------
    deadline
        The same on the clock of ``time.monotonic``; infinite without a limit.
    requested
        Whether somebody has asked for the end.

    Raises
    ------
    InputError
        For a time that is not above 0.
    """

    def __init__(self, seconds: float | None = None) -> None:
        if seconds is not None and not seconds > 0:
            raise InputError(f"the time is {seconds} s; give a time above 0")
        self.deadline = math.inf if seconds is None else time.monotonic() + seconds
        self.requested = False

    def request(self) -> None:
        """Ask for the end."""
        self.requested = True

    @property
    def reason(self) -> Literal["interrupted", "time"] | None:
        """Why to end; None as long as there is no reason."""
        if self.requested:
            return "interrupted"
        return "time" if time.monotonic() >= self.deadline else None

    @property
    def remaining(self) -> float:
        """Seconds left; 0 when they are over, infinite without a limit."""
        return max(self.deadline - time.monotonic(), 0.0)

    def expired(self) -> bool:
        """Whether there is a reason to end."""
        return self.reason is not None

    def check(self) -> None:
        """Go on, or not.

        Raises
        ------
        KeyboardInterrupt
            When somebody has asked for the end.
        TimeoutError
            When the time is up.
        """
        reason = self.reason
        if reason == "interrupted":
            raise KeyboardInterrupt
        if reason == "time":
            raise TimeoutError("the time is up")


class _Handlers:
    """What the signals of this process do, from the outermost context on.

    ``handled`` counts the signals that the main thread has seen, ``heard`` those that
    the listening thread has; several at once may be one for the former.
    """

    def __init__(self, exits: bool) -> None:
        self.exits = exits
        self.stops: list[tuple[Stop, str]] = []
        self.handled = self.heard = 0
        self.before: dict[int, Any] = {}
        self.silent = threading.Lock()
        self.code: Any = None

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals inside, and leave everything as it was found."""
        if self.exits:
            # Before anything else registers, so that it runs after all of that.
            atexit.register(self._leave)
        ear, mouth = socket.socketpair()
        mouth.setblocking(False)
        wakeup = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        thread = threading.Thread(
            target=self._listen, args=(ear, wakeup), name="ase_l2h signals", daemon=True
        )
        thread.start()
        try:
            for kind in SIGNALS:
                # A shell starts background jobs with SIGINT ignored; it stays so.
                if signal.getsignal(kind) not in (None, signal.SIG_IGN):
                    self.before[kind] = signal.signal(kind, self._handle)
            yield
        except SystemExit as end:
            self.code = end.code
            raise
        finally:
            if self.exits and self.signals:
                # The program is ending; another signal still ends it at once.
                for kind in self.before:
                    signal.signal(kind, _end)
                # Open as long as the process is there.
                mouth.detach()
            else:
                self.restore(wakeup)
                mouth.close()
                thread.join()

    def _leave(self) -> None:
        """The last of what runs at exit: leave an interrupted program here.

        Python would restore the default handlers and take libraries down that the
        interrupt may have caught half loaded; either changes the exit code.
        """
        if self.signals and self.code == INTERRUPTED:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            _end()

    @property
    def signals(self) -> int:
        """How many there were."""
        return max(self.handled, self.heard)

    def restore(self, wakeup: int) -> None:
        """Handlers and descriptor as they were found."""
        for kind, handler in self.before.items():
            signal.signal(kind, handler)
        signal.set_wakeup_fd(wakeup)

    def request(self) -> None:
        """Ask everything that runs to end; the innermost says what happens now."""
        running = self.stops[:]
        for stop, _ in running:
            stop.request()
        # The main thread or the listening one, whichever is first.
        if running and self.silent.acquire(blocking=False):
            # Not through sys.stderr, which the main thread may hold.
            with contextlib.suppress(OSError):
                os.write(2, f"\n{running[-1][1]}\n".encode())

    def _handle(self, _: int, frame: FrameType | None) -> None:
        self.handled += 1
        if self.stops and self.signals == 1:
            self.request()
            return
        if self.exits and _importing(frame):
            # Libraries abort where an exception meets them half loaded.
            with contextlib.suppress(OSError):
                os.write(2, b"Error: interrupted\n")
            _end()
        raise KeyboardInterrupt

    def _listen(self, ear: socket.socket, wakeup: int) -> None:
        with ear:
            while numbers := ear.recv(64):
                if wakeup >= 0:
                    with contextlib.suppress(OSError):
                        os.write(wakeup, numbers)
                for number in numbers:
                    if number in self.before:
                        self._hear()

    def _hear(self) -> None:
        self.heard += 1
        if self.heard == 1:
            self.request()
        elif self.exits:
            # The last resort: neither `finally` nor what is registered at exit runs. It
            # is for machine code that does not return; files are replaced atomically,
            # and what was printed has been flushed.
            time.sleep(GRACE)
            _end()


def _end(*_: Any) -> None:
    os._exit(INTERRUPTED)


def _importing(frame: FrameType | None) -> bool:
    """Whether the main thread is at an import."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False


_current: _Handlers | None = None
_forks_watched = False


def _forget() -> None:
    """In a forked child, whose signals are none of its parent's."""
    global _current
    if _current is not None:
        _current.restore(-1)
        _current = None


@contextlib.contextmanager
def _handlers(exits: bool) -> Iterator[_Handlers | None]:
    """The handlers in force, which the main thread installs; None where there are none.

    Only the main thread may install any.
    """
    global _current, _forks_watched
    if _current is not None or (
        threading.current_thread() is not threading.main_thread()
    ):
        yield _current
        return
    if not _forks_watched and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget)
        _forks_watched = True
    _current = _Handlers(exits)
    try:
        with _current.installed():
            yield _current
    finally:
        _current = None


def signalled() -> bool:
    """Whether a signal has come since the outermost context began."""
    return _current is not None and _current.signals > 0


@contextlib.contextmanager
def interrupt_on_signals(*, exits: bool = False) -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does.

    Parameters
    ----------
    exits
        Whether a second signal ends the process, with exit code 130, at the latest 0.3
        seconds later: for programs that end with this context, not for sessions.
        Contexts inside this one inherit it.
    """
    with _handlers(exits):
        yield


@contextlib.contextmanager
def stop_on_signals(note: str = NOTE, seconds: float | None = None) -> Iterator[Stop]:
    """The first SIGINT or SIGTERM is a request to stop; a second one interrupts.

    Handlers are installed by the main thread, and are afterwards as they were found. In
    another thread the :class:`Stop` follows the handlers of a surrounding context, if
    there is one. A stop made after a request is requested from the beginning.

    Parameters
    ----------
    note
        Written to standard error at the request: what happens now.
    seconds
        Time for the work; None is no limit.
    """
    stop = Stop(seconds)
    with _handlers(exits=False) as handlers:
        if handlers is None:
            yield stop
            return
        entry = (stop, note)
        handlers.stops.append(entry)
        try:
            if handlers.signals:
                stop.request()
            yield stop
        finally:
            handlers.stops.remove(entry)


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Processes that begin here get no SIGINT before ``pass_over_interrupts``."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def pass_over_interrupts() -> None:
    """SIGINT does nothing here; programs that this process starts see it."""
    signal.signal(signal.SIGINT, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
