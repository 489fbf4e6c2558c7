"""Running a comparison: searches side by side, a line of the record for each run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ase_l2h._internal.machine import provenance
from ase_l2h.comparison.compile_clock import CompileClock, compile_clock
from ase_l2h.comparison.outcome import Comparison, comparison_of
from ase_l2h.comparison.protocol import (
    DEFAULT_METHODS,
    MethodSpec,
    Protocol,
    declare,
)
from ase_l2h.comparison.record import ComparisonRecord, runs_of
from ase_l2h.comparison.report import write_comparison
from ase_l2h.rollout.batch import resolve_device
from ase_l2h.search.driver import engine_for
from ase_l2h.search.limits import Limits
from ase_l2h.search.method import Method, SearchRun, run
from ase_l2h.search.problem import Problem
from ase_l2h.targets import Target

__all__ = ["compare", "run_protocol"]

# Runs side by side, so that the lanes of all cores are full for long.
SIDE_BY_SIDE = 128

# Runs that are done, runs in all, and what is under way.
Progress = Callable[[int, int, str], Any]


def compare(
    targets: str | Target | Problem | Sequence[str | Target | Problem],
    methods: str | Method | MethodSpec | Sequence[str | Method | MethodSpec] = (
        DEFAULT_METHODS
    ),
    *,
    runs: int = 20,
    budget: int = 100_000,
    seed: int = 0,
    energies: Mapping[str, int | float] | None = None,
    folder: str | Path | None = None,
    backend: str = "auto",
    device: Any = None,
    interrupted: Callable[[], bool] = lambda: False,
    on_progress: Progress | None = None,
) -> Comparison:
    """Compare methods by what a first encounter with the lowest minimum costs.

    Parameters
    ----------
    targets
        Names such as ``"LJ38"``, targets or problems. Runs begin with random
        structures; only where atoms are fixed, with those that a problem is given.
    methods
        ``METHOD[:WEIGHTS][@STEPS]`` with METHOD of
        :data:`~ase_l2h.search.names.METHODS`, or methods.
    runs
        Runs per method and target.
    budget
        Charged evaluations after which a run is cut off.
    seed
        Run k of a method on a target follows from ``(seed, k)`` alone.
    energies
        What counts as found, by the name of the target, in its unit; the lowest
        minimum known where nothing is said.
    folder
        Receives the record of all runs, tables and pictures. What is in the record is
        not run again: the same call goes on after whatever ended it, and more runs,
        methods and targets can be added.
    backend, device
        See :func:`~ase_l2h.search.driver.search_problem`.
    interrupted
        Asked before every evaluation; True ends the comparison.
    on_progress
        Called with runs that are done, runs in all, and what is under way.

    Raises
    ------
    InputError
        For what cannot be compared; the sentence says what to do, and nothing is run.
    RunError
        When the folder cannot be written any more.
    KeyboardInterrupt
        When ``interrupted``; runs that are done are in the record.
    """
    protocol = declare(
        targets,
        methods,
        runs=runs,
        budget=budget,
        seed=seed,
        energies=energies,
        backend=backend,
    )
    resolve_device(device)
    record = ComparisonRecord(None if folder is None else Path(folder))
    run_protocol(
        protocol,
        record,
        device=device,
        interrupted=interrupted,
        on_progress=on_progress,
    )
    comparison = comparison_of(record.lines, protocol.todict())
    if record.folder is not None:
        with record.writing():
            write_comparison(record.folder, comparison)
    return comparison


def run_protocol(
    protocol: Protocol,
    record: ComparisonRecord,
    *,
    device: Any = None,
    interrupted: Callable[[], bool] = lambda: False,
    on_progress: Progress | None = None,
) -> None:
    """Run what is missing in the record; the declaration goes there first.

    Raises
    ------
    RunError
        When the record cannot be written.
    KeyboardInterrupt
        When ``interrupted``; the same call goes on with the runs that are missing.
    """
    record.declare(protocol.todict())
    pairs = [(p, m) for p in protocol.problems for m in protocol.methods]
    total = len(pairs) * protocol.runs
    for number, (problem, spec) in enumerate(pairs):
        entry = protocol.entry(problem, spec)
        known = runs_of(record.lines, entry)
        missing = [k for k in range(protocol.runs) if k not in known]
        for first in range(0, len(missing), SIDE_BY_SIDE):
            block = _Block(protocol, problem, spec, entry, record, device)
            before = (number + 1) * protocol.runs - len(missing) + first

            def tell(done: int, what: str, before: int = before) -> None:
                if on_progress is not None:
                    on_progress(before + done, total, what)

            block.run(missing[first : first + SIDE_BY_SIDE], interrupted, tell)
    if on_progress is not None:
        on_progress(total, total, "done")


class _Block:
    """Runs of a method on a problem, side by side."""

    def __init__(
        self,
        protocol: Protocol,
        problem: Problem,
        spec: MethodSpec,
        entry: dict[str, Any],
        record: ComparisonRecord,
        device: Any,
    ) -> None:
        self.protocol, self.problem, self.spec = protocol, problem, spec
        self.entry, self.record = entry, record
        self.about = {"device": str(resolve_device(device).device_kind), **provenance()}
        self.engine = engine_for(problem, protocol.backend, device)

    def run(
        self,
        numbers: Sequence[int],
        interrupted: Callable[[], bool],
        tell: Callable[[int, str], Any],
    ) -> None:
        """Every run to its end; its line is written as soon as it is there."""
        count = len(numbers)
        self.seconds, self.compiled = np.zeros(count), np.zeros(count)
        self.charged = np.zeros(count, int)
        self.recorded: set[int] = set()
        what = f"{self.problem.name} {self.spec.name}"
        tell(0, what)
        with compile_clock() as clock:
            search = SearchRun(
                self.spec.make(self.problem),
                [self.problem] * count,
                [(self.protocol.seed, number) for number in numbers],
                Limits(self.protocol.budget, target_energy=self.problem.reference),
                self.engine,
                stop_together=False,
                interrupted=interrupted,
            )
            self.seen = time.monotonic(), clock.seconds

            def after_round(current: SearchRun) -> None:
                self._share(current, clock)
                self._record(current, numbers)
                tell(len(self.recorded), f"{what}, {current.charged:,} evaluations")

            run(search, on_round=after_round)
        if search.stopped == "interrupted":
            raise KeyboardInterrupt

    def _share(self, search: SearchRun, clock: CompileClock) -> None:
        """Divide the time of a round among the runs, by what they were charged."""
        charged = np.array([one.present.charged for one in search.searches])
        spent = charged - self.charged
        if not spent.any():
            return
        now, compiled = time.monotonic(), clock.seconds
        share = spent / spent.sum()
        compiling = compiled - self.seen[1]
        self.compiled += compiling * share
        self.seconds += max(0.0, now - self.seen[0] - compiling) * share
        self.charged, self.seen = charged, (now, compiled)

    def _record(self, search: SearchRun, numbers: Sequence[int]) -> None:
        """Lines of the runs that have ended since."""
        for k, one in enumerate(search.searches):
            if one.stopped in (None, "interrupted") or k in self.recorded:
                continue
            ledger = one.present
            energy = round(ledger.energy, 8) if np.isfinite(ledger.energy) else None
            self.record.append(
                {
                    "kind": "run",
                    **self.entry,
                    "run": numbers[k],
                    # A target that is met within the budget; nothing else is found.
                    "found": one.stopped == "target",
                    "evaluations": ledger.charged,
                    "energy": energy,
                    "stopped": one.stopped,
                    "seconds": round(float(self.seconds[k]), 6),
                    "compile_seconds": round(float(self.compiled[k]), 6),
                    "backend": self.engine.backend,
                    **self.about,
                }
            )
            self.recorded.add(k)
