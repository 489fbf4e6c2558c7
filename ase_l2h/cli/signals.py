"""Ctrl-C and SIGTERM stop a search at its next safe point."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["StopRequest", "interrupt_on_sigterm", "stop_on_signals"]

NOTE = "stopping: what was found is being relaxed; once more to give up"


class StopRequest:
    """Whether somebody asked to stop; ``note`` tells them what happens now."""

    def __init__(self, note: str = NOTE) -> None:
        self.made, self.note = False, f"\n{note}\n".encode()

    def watch(self, progress: Callable[[int], Any]) -> Callable[[int], None]:
        """``progress`` that raises KeyboardInterrupt once a stop is asked for.

        Search reports progress where it can stop and keep what it has.
        """

        def report(done: int) -> None:
            progress(done)
            if self.made:
                raise KeyboardInterrupt

        return report

    def _handle(self, *_: Any) -> None:
        if self.made:
            raise KeyboardInterrupt
        self.made = True
        # Not through sys.stderr, which the signal may have interrupted.
        with contextlib.suppress(OSError):
            os.write(2, self.note)


@contextlib.contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@contextlib.contextmanager
def stop_on_signals(note: str = NOTE) -> Iterator[StopRequest]:
    """The first SIGINT or SIGTERM is a request; the second interrupts at once."""
    request = StopRequest(note)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {
        kind: handler
        for kind in (signal.SIGINT, signal.SIGTERM)
        # A shell starts background jobs with SIGINT ignored; it stays so.
        if (handler := signal.getsignal(kind)) not in (None, signal.SIG_IGN)
    }
    for kind in before:
        signal.signal(kind, request._handle)
    try:
        yield request
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
