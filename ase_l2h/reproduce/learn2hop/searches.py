"""Searches that exhibits are made of: one method, one target, many starts, one line."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
import numpy as np

from ase_l2h._internal.records import Lines, Records
from ase_l2h.comparison.compile_clock import compile_clock
from ase_l2h.comparison.protocol import COMPILED, named_backend
from ase_l2h.optimizers import BasinHopping, paper_basin_hopping
from ase_l2h.report.figures import PAIRED
from ase_l2h.rollout import Rollout, relax_rollout
from ase_l2h.rollout.backends import resolve_backend
from ase_l2h.search.multistart import hit_tolerance, search
from ase_l2h.search.registry import make_optimizer, method_weights
from ase_l2h.starts.random import make_starts
from ase_l2h.targets import Target
from ase_l2h.weights.load import manifest

__all__ = [
    "LINEUP",
    "Entry",
    "Found",
    "Job",
    "find",
    "labelled",
    "learned_entry",
    "ran_on",
    "run_jobs",
    "running_on",
    "searched",
    "step_count",
]

# A hop of the paper's basin hopping takes a tenth of its steps.
PAPER_HOPS = 10
# Half of the last decimal of the energies that the paper prints.
PRINTED = 0.005

Progress = Callable[[int, int, str], Any]

_BACKEND: ContextVar[str] = ContextVar("backend", default="auto")


@contextlib.contextmanager
def running_on(backend: str) -> Iterator[None]:
    """Inside, searches that other backends than ``scan`` can run take this one.

    Raises
    ------
    InputError
        For an unknown backend, and for one that cannot run here.
    """
    token = _BACKEND.set(resolve_backend(backend))
    try:
        yield
    finally:
        _BACKEND.reset(token)


def ran_on() -> str:
    """A sentence, after a space, on the backend that :func:`running_on` names."""
    if _BACKEND.get() == "auto":
        return ""
    return f" The backend `{_BACKEND.get()}` ran {', '.join(COMPILED)}."


class Entry(NamedTuple):
    """A method as it appears in tables and pictures."""

    label: str
    method: str
    weights: str | None
    colour: str
    marker: str


LINEUP = {
    "adam": Entry("Adam", "adam", None, "#9A9A9A", "x"),
    "fire": Entry("FIRE", "fire", None, "#56B4E9", "+"),
    "bh-paper": Entry("BH, the paper's", "bh-paper", None, "#E69F00", "v"),
    "bh": Entry("BH, strong", "bh", None, "#D55E00", "^"),
    "paper": Entry("learned, paper's rule", "learned", "paper-lj13", "#CC79A7", "s"),
    "paper-esmc": Entry(
        "learned, paper's rule, ESMC", "learned", "paper-lj-esmc", "#009E73", "D"
    ),
    "default": Entry("learned, default", "learned", None, "#0072B2", "o"),
}


def learned_entry(name: str, number: int) -> Entry:
    """Released weights as an entry of their own, coloured by their number."""
    label = f"learned, `{name}`"
    return Entry(
        label, "learned", name, PAIRED[number % len(PAIRED)], "sDP*"[number % 4]
    )


def labelled(entry: Entry) -> str:
    """The label with what the weights are called."""
    if entry.method != "learned":
        return entry.label
    if entry.weights is None:
        return f"{entry.label} (`{manifest()['default']}`)"
    return (
        entry.label
        if entry.weights in entry.label
        else (f"{entry.label} (`{entry.weights}`)")
    )


class Job(NamedTuple):
    """A search: ``steps`` None takes the horizon of the weights."""

    target: Target
    entry: Entry
    steps: int | None
    starts: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search found, from its line: energies are infinite where there is none."""

    line: dict[str, Any]

    @functools.cached_property
    def energies(self) -> np.ndarray:
        """Relaxed energy of every start."""
        values = self.line["energies"]
        return np.array([math.inf if e is None else e for e in values])

    @property
    def mean(self) -> float:
        """Mean over the starts that ended with a finite energy."""
        return float(np.mean(self.energies[np.isfinite(self.energies)]))

    @property
    def lowest(self) -> float:
        """The lowest energy."""
        return float(np.min(self.energies))

    @property
    def hits(self) -> int | None:
        """Starts that reached the reference; None without one."""
        if self.line["reference"] is None:
            return None
        return int(
            np.sum(self.energies <= self.line["reference"] + self.line["within"])
        )

    @property
    def per_start(self) -> float:
        """Charged evaluations per start."""
        return self.line["charged_evaluations"] / self.line["n_starts"]


def step_count(job: Job) -> int:
    """Steps per start of a job."""
    if job.steps is not None:
        return job.steps
    weights = method_weights(job.entry.method, job.entry.weights)
    assert weights is not None, "only weights have a horizon"
    return weights.horizon


def _within(target: Target) -> float:
    """How far above the reference counts as reached.

    Energies that are known to two decimals only are reached when they agree in them.
    """
    exact = hit_tolerance(target.system)
    known = target.reference
    return PRINTED if known is not None and round(known, 2) == known else exact


def _optimizer(job: Job) -> Any:
    """The optimizer of a method without weights."""
    steps = step_count(job)
    if job.entry.method == "bh-paper":
        return paper_basin_hopping(steps=max(1, steps // PAPER_HOPS))
    return make_optimizer(job.entry.method, None, steps, job.target.system)


def _named(job: Job) -> str | None:
    return named_backend(_BACKEND.get(), job.entry.method)


def _key(job: Job) -> dict[str, Any]:
    weights = method_weights(job.entry.method, job.entry.weights)
    return {
        "kind": "search",
        "target": job.target.name,
        "reference": job.target.reference,
        "within": _within(job.target),
        "method": job.entry.method,
        "weights_sha256": None if weights is None else weights.sha256,
        "settings": None if weights is not None else repr(_optimizer(job)),
        "n_steps": step_count(job),
        "n_starts": job.starts,
        "seed": job.seed,
        "backend": _named(job),
    }


def run_jobs(
    records: Records,
    jobs: Sequence[Job],
    progress: Progress,
    done: int = 0,
    of: int = 0,
) -> list[Found]:
    """The searches of the jobs in their order; those in the record are not run again.

    ``progress`` counts from ``done``, out of ``of`` or of the jobs.
    """
    found = []
    for number, job in enumerate(jobs):
        progress(done + number, of or len(jobs), f"{job.target.name} {job.entry.label}")
        found.append(Found(records.get(_key(job), functools.partial(_run, job))))
    progress(done + len(jobs), of or len(jobs), "")
    return found


def find(records: Lines, job: Job) -> Found | None:
    """The search of a job, if it is in the record."""
    key = _key(job)
    for line in records:
        if all(line.get(name) == value for name, value in key.items()):
            return Found(line)
    return None


def searched(job: Job) -> dict[str, Any]:
    """A search as entries of a line of one's own, without its provenance."""
    return {**_key(job), **_run(job)}


def _run(job: Job) -> dict[str, Any]:
    with compile_clock() as clock:
        begun = time.monotonic()
        if job.entry.method == "bh-paper":
            energies, charged = _hop(job)
            name = None
        else:
            result = search(
                job.target.potential,
                job.target.system,
                method=job.entry.method,
                weights=job.entry.weights,
                n_starts=job.starts,
                n_steps=step_count(job),
                seed=job.seed,
                backend=_named(job) or "auto",
            )
            if result.stopped != "done":
                # What was cut short is not the search that was asked for.
                raise KeyboardInterrupt
            energies, charged = result.energies, result.charged_evaluations
            name = None if result.weights is None else result.weights.name
        wall = time.monotonic() - begun
    return {
        "weights": name,
        "energies": [round(float(e), 8) if np.isfinite(e) else None for e in energies],
        "charged_evaluations": charged,
        "wall_seconds": round(wall, 3),
        "compile_seconds": round(clock.seconds, 3),
    }


def _hop(job: Job) -> tuple[np.ndarray, int]:
    """The paper's basin hopping with its ten hops, however long they are."""
    target, optimizer = job.target, _optimizer(job)
    assert isinstance(optimizer, BasinHopping), "what hops is a basin hopping"
    positions = make_starts(target.system, job.seed, 0, job.starts)
    run = Rollout(
        optimizer,
        target.potential,
        target.system,
        positions.astype(np.float32),
        jax.random.fold_in(jax.random.key(job.seed), PAPER_HOPS),
        backend=_named(job) or "auto",
    )
    run.advance(step_count(job))
    relaxed = relax_rollout(run, target.potential, target.system, last=False)
    energies = np.where(np.isfinite(relaxed.energy), relaxed.energy, np.inf)
    return energies, int(np.sum(run.gather("evaluations") + relaxed.evaluations))
