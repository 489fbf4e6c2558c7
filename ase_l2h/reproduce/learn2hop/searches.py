"""Searches that tables and figures are made of: a method, a target, many starts."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
import numpy as np

from ase_l2h._internal.records import Records
from ase_l2h.comparison.compile_clock import compile_clock
from ase_l2h.comparison.protocol import COMPILED, named_backend
from ase_l2h.optimizers import BasinHopping, paper_basin_hopping
from ase_l2h.report.figures import PAIRED
from ase_l2h.reproduce.output import Piece, collect
from ase_l2h.reproduce.registry import Progress
from ase_l2h.reproduce.searching import method_optimizer, run_search
from ase_l2h.rollout import Rollout, relax_rollout
from ase_l2h.rollout.backends import resolve_backend
from ase_l2h.search.problem import HIT
from ase_l2h.search.registry import method_weights
from ase_l2h.starts.random import make_starts
from ase_l2h.targets import Target
from ase_l2h.weights.load import manifest

__all__ = [
    "METHOD_STYLES",
    "MethodStyle",
    "SearchOutcome",
    "SearchSpec",
    "backend_note",
    "full_label",
    "learned_style",
    "run_searches",
    "running_on",
    "search_line",
    "step_count",
]

# A hop of the paper's basin hopping takes a tenth of its steps.
PAPER_HOPS = 10
# Half of the last decimal of the energies that the paper prints.
PRINTED = 0.005

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


def backend_note() -> str:
    """A sentence, after a space, on the backend that :func:`running_on` names."""
    if _BACKEND.get() == "auto":
        return ""
    return f" The backend `{_BACKEND.get()}` ran {', '.join(COMPILED)}."


class MethodStyle(NamedTuple):
    """A method as it appears in tables and pictures."""

    label: str
    method: str
    weights: str | None
    colour: str
    marker: str


METHOD_STYLES = {
    "adam": MethodStyle("Adam", "adam", None, "#9A9A9A", "x"),
    "fire": MethodStyle("FIRE", "fire", None, "#56B4E9", "+"),
    "bh-paper": MethodStyle("BH, the paper's", "bh-paper", None, "#E69F00", "v"),
    "bh": MethodStyle("BH, strong", "bh", None, "#D55E00", "^"),
    "paper": MethodStyle(
        "learned, paper's rule", "learned", "paper-lj13", "#CC79A7", "s"
    ),
    "paper-esmc": MethodStyle(
        "learned, paper's rule, ESMC", "learned", "paper-lj-esmc", "#009E73", "D"
    ),
    "default": MethodStyle("learned, default", "learned", None, "#0072B2", "o"),
}


def learned_style(name: str, number: int) -> MethodStyle:
    """Released weights as a method of their own, coloured by their number."""
    colour, marker = PAIRED[number % len(PAIRED)], "sDP*"[number % 4]
    return MethodStyle(f"learned, `{name}`", "learned", name, colour, marker)


def full_label(style: MethodStyle) -> str:
    """The label with what the weights are called."""
    if style.method != "learned":
        return style.label
    name = style.weights or manifest()["default"]
    return style.label if name in style.label else f"{style.label} (`{name}`)"


class SearchSpec(NamedTuple):
    """A search: ``steps`` None takes the horizon of the weights."""

    target: Target
    style: MethodStyle
    steps: int | None
    starts: int
    seed: int


@dataclasses.dataclass(frozen=True)
class SearchOutcome:
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


def step_count(spec: SearchSpec) -> int:
    """Steps per start of a search."""
    if spec.steps is not None:
        return spec.steps
    weights = method_weights(spec.style.method, spec.style.weights)
    assert weights is not None, "only weights have a horizon"
    return weights.horizon


def _within(target: Target) -> float:
    """How far above the reference counts as reached.

    Energies that are known to two decimals only are reached when they agree in them.
    """
    exact = HIT * float(np.mean(np.asarray(target.system.energy_scale)))
    known = target.reference
    return PRINTED if known is not None and round(known, 2) == known else exact


def _optimizer(spec: SearchSpec) -> Any:
    """The optimizer of a method without weights."""
    steps = step_count(spec)
    if spec.style.method == "bh-paper":
        return paper_basin_hopping(steps=max(1, steps // PAPER_HOPS))
    return method_optimizer(spec.style.method, None, steps, spec.target.system)


def _backend(spec: SearchSpec) -> str | None:
    return named_backend(_BACKEND.get(), spec.style.method)


def _key(spec: SearchSpec) -> dict[str, Any]:
    weights = method_weights(spec.style.method, spec.style.weights)
    return {
        "kind": "search",
        "target": spec.target.name,
        "reference": spec.target.reference,
        "within": _within(spec.target),
        "method": spec.style.method,
        "weights_sha256": None if weights is None else weights.sha256,
        "settings": None if weights is not None else repr(_optimizer(spec)),
        "n_steps": step_count(spec),
        "n_starts": spec.starts,
        "seed": spec.seed,
        "backend": _backend(spec),
    }


def run_searches(
    records: Records,
    specs: Sequence[SearchSpec],
    progress: Progress,
    done: int = 0,
    of: int | None = None,
) -> list[SearchOutcome]:
    """The searches in their order; those in the records are not run again.

    ``progress`` counts from ``done``, out of ``of`` or of the searches.
    """
    pieces = [
        Piece(
            _key(spec),
            functools.partial(_run, spec),
            f"{spec.target.name} {spec.style.label}",
        )
        for spec in specs
    ]
    return list(map(SearchOutcome, collect(records, pieces, progress, done, of)))


def search_line(spec: SearchSpec) -> dict[str, Any]:
    """A search as entries of a line of one's own, without its provenance."""
    return {**_key(spec), **_run(spec)}


def _run(spec: SearchSpec) -> dict[str, Any]:
    with compile_clock() as clock:
        begun = time.monotonic()
        name = None
        if spec.style.method == "bh-paper":
            energies, charged = _hop(spec)
        else:
            result = run_search(
                spec.target.potential,
                spec.target.system,
                method=spec.style.method,
                weights=spec.style.weights,
                starts=spec.starts,
                steps=step_count(spec),
                seed=spec.seed,
                backend=_backend(spec) or "auto",
            )
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


def _hop(spec: SearchSpec) -> tuple[np.ndarray, int]:
    """The paper's basin hopping with its ten hops, however long they are."""
    target, optimizer = spec.target, _optimizer(spec)
    assert isinstance(optimizer, BasinHopping), "what hops is a basin hopping"
    positions = make_starts(target.system, spec.seed, 0, spec.starts)
    run = Rollout(
        optimizer,
        target.potential,
        target.system,
        positions.astype(np.float32),
        jax.random.fold_in(jax.random.key(spec.seed), PAPER_HOPS),
        backend=_backend(spec) or "auto",
    )
    run.advance(step_count(spec))
    relaxed = relax_rollout(run, target.potential, target.system, last=False)
    energies = np.where(np.isfinite(relaxed.energy), relaxed.energy, np.inf)
    return energies, int(np.sum(run.gather("evaluations") + relaxed.evaluations))
