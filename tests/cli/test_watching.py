"""What a terminal shows of a search."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from ase_l2h._internal import progress
from ase_l2h.cli import watching as module
from ase_l2h.cli.target import resolve
from ase_l2h.cli.watching import Watching

LJ7 = -16.505384


@pytest.fixture
def screen(monkeypatch) -> io.StringIO:
    """Standard error of a terminal."""
    stream = io.StringIO()

    def shown(name, total, unit, enabled):
        bar = progress.progress_bar(name, total, unit, enabled)
        bar.disable, bar.fp = not enabled, stream
        bar.n = 0
        bar.update = lambda count: setattr(bar, "n", bar.n + count)
        bar.set_postfix_str = lambda *_, **__: None
        bar.close = lambda: None
        return bar

    monkeypatch.setattr(module, "progress_bar", shown)
    return stream


def test_every_fall_is_a_line_and_nothing_else_is(screen):
    with Watching(resolve("LJ7"), "auto", 1000, True) as watching:
        for charged, energy in (
            (10, float("inf")),
            (20, -14.0),
            (30, -14.0 - 1e-6),
            (40, LJ7),
        ):
            watching.after_round(SimpleNamespace(energy=energy, charged=charged))
    assert screen.getvalue().splitlines() == [
        "LJ7: 7 atoms, lj, by auto; the lowest published minimum is -16.505384 epsilon",
        "          20 evaluations: -14.000000 epsilon",
        "          40 evaluations: -16.505384 epsilon, the lowest published",
    ]


def test_who_asks_for_quiet_sees_nothing(screen):
    with Watching(resolve("LJ7"), "auto", 1000, False) as watching:
        watching.after_round(SimpleNamespace(energy=LJ7, charged=40))
    assert screen.getvalue() == ""
