"""Wall time that JAX spends on tracing and compiling."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax.monitoring

__all__ = ["CompileClock", "compile_clock"]

# Tracing, lowering and compiling all report here.
EVENTS = "/jax/core/compile/"


class CompileClock:
    """Collects when anything was being compiled.

    Threads compile side by side and tracing is nested, so the times are intervals,
    and :attr:`seconds` is the length of their union.
    """

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def on_event(self, event: str, duration: float) -> None:
        """Note an event that ends now."""
        if event.startswith(EVENTS):
            now = time.monotonic()
            self._spans.append((now - duration, now))

    @property
    def seconds(self) -> float:
        """Wall time in which at least one thread compiled."""
        total, reached = 0.0, float("-inf")
        for begin, end in sorted(self._spans):
            total += max(0.0, end - max(begin, reached))
            reached = max(reached, end)
        return total


_running: list[CompileClock] = []
_lock = threading.Lock()
_listening = False


def _forward(event: str, duration_secs: float, **kwargs: Any) -> None:
    del kwargs
    for clock in tuple(_running):
        clock.on_event(event, duration_secs)


@contextlib.contextmanager
def compile_clock() -> Iterator[CompileClock]:
    """A clock of what is compiled inside the block, in any thread."""
    global _listening
    with _lock:
        if not _listening:
            # JAX has no public way to take a listener away: it stays, and forwards
            # nothing while no clock runs.
            jax.monitoring.register_event_duration_secs_listener(_forward)
            _listening = True
    clock = CompileClock()
    _running.append(clock)
    try:
        yield clock
    finally:
        _running.remove(clock)
