"""Some compositions of a hull search: their method, their run, what is kept of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ase_l2h.search.auto.method import Auto, make_auto
from ase_l2h.search.auto.patience import EVALUATIONS
from ase_l2h.search.engine import Engine
from ase_l2h.search.hull.settings import HullSettings
from ase_l2h.search.hull.system import HullSystem
from ase_l2h.search.limits import Limits
from ase_l2h.search.method import CUT_SHORT, SearchRun
from ase_l2h.weights.load import Weights

__all__ = ["Entry", "entries_of", "hull_method", "put_back", "run_of"]

# State, ledger and rounds of a composition, and why it stopped.
Entry = dict[str, Any]
# Ordered packings are passed on between compositions, so each composition had better
# look for other structures itself: random point groups lead to polyicosahedra.
SHARES = (("symmetric", 4.0), ("fragments", 1.0))


def hull_method(
    system: HullSystem, settings: HullSettings, weights: Weights | None
) -> Auto:
    """What searches each composition."""
    first = system.problem(settings.compositions[-1])
    return make_auto(
        first,
        weights,
        without=settings.without,
        width=settings.width,
        widens=0,
        shares=SHARES,
        exact=True,
        # A composition starts again when its energy stalls, unless calls are dear.
        patience=EVALUATIONS if first.measure is None else None,
    )


def run_of(
    system: HullSystem,
    settings: HullSettings,
    method: Auto,
    engine: Engine,
    compositions: Sequence[int],
    interrupted: Callable[[], bool] = lambda: False,
) -> SearchRun:
    """A search of each of the ``compositions``, side by side."""
    return SearchRun(
        method,
        [system.problem(m) for m in compositions],
        [(settings.seed, m) for m in compositions],
        Limits(evaluations=settings.budget),
        engine,
        interrupted=interrupted,
    )


def entries_of(run: SearchRun, compositions: Sequence[int]) -> dict[int, Entry]:
    """What is kept of each.

    If a round was cut short, the tail holds what was found in it.
    """
    stored = run.stored()["searches"]
    for entry, search in zip(stored, run.searches, strict=True):
        entry["stopped"] = search.stopped
        if search.stopped in CUT_SHORT:
            entry["tail"] = dataclasses.asdict(search.present)
    return dict(zip(compositions, stored, strict=True))


def put_back(run: SearchRun, entries: Sequence[Entry], budget: int) -> None:
    """Go on with what :func:`entries_of` gave, of a search with that ``budget``."""
    run.restore(
        {
            "rounds": run.rounds,
            "seconds": run.seconds,
            "evaluations": budget,
            "searches": entries,
        }
    )
