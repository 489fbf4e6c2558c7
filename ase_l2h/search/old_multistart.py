"""Many starts, a rollout, a double-precision quench, distinct minima.

What the command line, ``Learn2Hop`` and hull searches call.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ase_l2h.analysis.compare import (
    ENERGY_TOLERANCE,
    same_distances,
    sort_by_species,
)
from ase_l2h.optimizers import BasinHopping, Optimizer
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout import Quench, Rollout, quench, relax_rollout
from ase_l2h.rollout.backends import resolve_backend
from ase_l2h.rollout.batch import Device, resolve_devices
from ase_l2h.search.old_registry import (
    METHODS,
    default_steps,
    make_optimizer,
    method_weights,
)
from ase_l2h.starts.random import make_starts
from ase_l2h.system import System
from ase_l2h.weights.load import Weights

__all__ = [
    "METHODS",
    "Minimum",
    "Quench",
    "SearchResult",
    "check_limits",
    "distinct_minima",
    "hit_tolerance",
    "make_starts",
    "quench",
    "reached_below",
    "relax_rollout",
    "search",
]

STARTS_PER_ROUND = 128
# A target counts as reached within this many energy scales.
HIT = 1e-4
# Keys of rollouts, apart from those of the starts.
ROLLOUTS = 2**31


@dataclasses.dataclass(frozen=True)
class Minimum:
    """A relaxed structure.

    Parameters
    ----------
    energy
        Its energy in the potential's unit.
    positions
        ``(n, 3)``.
    count
        How many starts ended in it.
    start
        The first start that did.
    """

    energy: float
    positions: np.ndarray
    count: int
    start: int


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """Outcome of :func:`search`; every per-start array has one entry per start run.

    ``energies`` are relaxed energies, ``+inf`` where a start ended without a finite
    one; ``evaluations`` charged evaluations per start, quench included. ``stopped``
    says why the search ended: ``"done"``, ``"target"``, ``"time"`` or
    ``"interrupted"``.
    """

    method: str
    weights: Weights | None
    seed: int
    n_steps: int
    energies: np.ndarray
    positions: np.ndarray
    evaluations: np.ndarray
    status: np.ndarray
    minima: list[Minimum]
    trace: np.ndarray
    trace_steps: np.ndarray
    wall_seconds: float
    backend: str
    stopped: str

    @property
    def best_energy(self) -> float:
        """The lowest relaxed energy, ``inf`` when no start got anywhere."""
        return self.minima[0].energy if self.minima else float("inf")

    @property
    def charged_evaluations(self) -> int:
        """Total over all starts."""
        return int(np.sum(self.evaluations))


def distinct_minima(
    energies: np.ndarray,
    positions: np.ndarray,
    system: System,
    tolerance: float = ENERGY_TOLERANCE,
) -> list[Minimum]:
    """Sort relaxed structures by energy and merge the equal ones.

    Two are the same minimum when their energies agree within ``tolerance`` energy
    scales and their pair distances, sorted for each pair of species, within 1e-2
    length scales. Mirror images and permutations of like atoms are the same. Structures
    without a finite energy are left out.

    Parameters
    ----------
    energies
        ``(batch,)``.
    positions
        ``(3, n, batch)``.
    system
        Supplies scales and cell.
    tolerance
        Energy difference in energy scales.
    """
    length = float(np.max(np.asarray(system.length_scale)))
    unit = float(np.max(np.asarray(system.energy_scale)))
    groups: list[tuple[Minimum, np.ndarray]] = []
    for start in np.argsort(energies, kind="stable").tolist():
        energy = float(energies[start])
        if not np.isfinite(energy):
            continue
        structure = np.array(positions[..., start], dtype=float).T
        distances = _sorted_distances(structure, system, start)
        same = None
        # Sorted by energy: the candidates are the last groups.
        for k in range(len(groups) - 1, -1, -1):
            known, others = groups[k]
            if energy - known.energy > tolerance * unit:
                break
            if same_distances(distances, others, length):
                same = k
                break
        if same is None:
            groups.append((Minimum(energy, structure, 1, start), distances))
        else:
            known, others = groups[same]
            known = dataclasses.replace(
                known, count=known.count + 1, start=min(known.start, start)
            )
            groups[same] = known, others
    return [minimum for minimum, _ in groups]


def _sorted_distances(
    positions: np.ndarray, system: System, structure: int
) -> np.ndarray:
    """Distances of the nearest images, sorted within each pair of species."""
    first, second = np.triu_indices(len(positions), 1)
    difference = positions[first] - positions[second]
    if system.cell is not None:
        cell = np.asarray(system.cell, dtype=float)
        difference = difference - np.round(difference @ np.linalg.inv(cell)) @ cell
        # In a skewed cell the wrapped image need not be the nearest.
        difference = difference[:, None] + np.asarray(system.images, dtype=float)
        distances = np.min(np.linalg.norm(difference, axis=-1), axis=1)
    else:
        distances = np.linalg.norm(difference, axis=-1)
    species = np.asarray(system.species)
    species = species[:, structure] if species.ndim == 2 else species
    return sort_by_species(distances, species)


def search(
    potential: Potential,
    system: System,
    *,
    method: str = "learned",
    weights: str | None = None,
    n_starts: int = 150,
    n_steps: int | None = None,
    seed: int = 0,
    starts: np.ndarray | None = None,
    rotate: bool = False,
    target_energy: float | None = None,
    max_seconds: float | None = None,
    backend: str = "auto",
    device: str | Device | Sequence[Device] | None = None,
    progress: Callable[[int], Any] | None = None,
) -> SearchResult:
    """Search for the lowest minimum from many starts.

    Every start takes ``n_steps`` steps of the method and is then relaxed in double
    precision, see :func:`relax_rollout`; of a basin hopping the lowest point is.

    Parameters
    ----------
    potential, system
        What is minimised.
    method
        ``"learned"``, ``"adam"``, ``"fire"``, ``"gd"``, ``"bh"`` (basin hopping, see
        :func:`~ase_l2h.search.old_registry.strong_basin_hopping`) or ``"bh-paper"`` (the
        paper's,
        see :func:`~ase_l2h.optimizers.basin_hopping.optimizer.paper_basin_hopping`).
    weights
        Name or path of the learned rule's weights, or several joined by ``+``, which
        the starts take in turn; the default weights when None.
    n_starts, n_steps
        Starts, and steps per start, each one charged evaluation. When None: the
        weights' horizon, 10,000 for ``"bh"``, 50,000 for ``"bh-paper"``, else 1000. The
        clock of a learned rule is compressed or stretched to ``n_steps``.
    seed
        Starts follow from it; start i is the same whatever else is asked for.
    starts
        ``(3, n, m)``: the first m starts, instead of random ones. Free clusters are
        moved to the origin.
    rotate
        Turn random starts by random rotations.
    target_energy
        Stop after the round of starts in which a relaxed energy comes within 1e-4
        energy scales of this, or below. Basin hopping notices during the round.
    max_seconds
        Stop then; the structures on their way are still relaxed.
    backend, device
        See :func:`~ase_l2h.rollout.batch.rollout`.
    progress
        Called with the number of start-steps done since the last call.

    Returns
    -------
    SearchResult
        Also after Ctrl-C: during the steps, what was found is relaxed; later than that,
        the rounds before this one are returned.

    Raises
    ------
    ValueError
        For impossible arguments; the sentence says what to do.
    KeyboardInterrupt
        When there is nothing to return yet.
    """
    begun = time.monotonic()
    if n_starts < 1 or n_starts > 1_000_000:
        raise ValueError(f"{n_starts} starts are asked for; give 1 to 1000000")
    if n_steps is not None and not 1 <= n_steps <= 10_000_000:
        raise ValueError(f"{n_steps} steps are asked for; give 1 to 10000000")
    check_limits(seed, target_energy, max_seconds)
    resolve_backend(backend)
    device = resolve_devices(device)
    if starts is not None:
        starts = _checked_starts(starts, system)
    loaded = method_weights(method, weights)
    n_steps = default_steps(method, loaded) if n_steps is None else n_steps
    optimizer = make_optimizer(method, loaded, n_steps, system, target_energy)
    deadline = None if max_seconds is None else begun + max_seconds
    reached = reached_below(target_energy, system)
    rollout_key = jax.random.fold_in(jax.random.key(seed), ROLLOUTS)

    rounds: list[dict[str, np.ndarray]] = []
    stopped, backend_run = "done", backend
    done = 0
    per_round = STARTS_PER_ROUND if target_energy is not None else 4 * STARTS_PER_ROUND
    while done < n_starts and stopped == "done":
        count = min(per_round, n_starts - done)
        try:
            outcome, stopped, backend_run = _one_round(
                potential,
                system,
                optimizer,
                make_starts(system, seed, done, count, starts, rotate),
                jax.random.fold_in(rollout_key, done),
                n_steps,
                deadline,
                backend,
                device,
                progress,
            )
        except KeyboardInterrupt:
            if not rounds:
                raise
            stopped = "interrupted"
            break
        rounds.append(outcome)
        done += count
        best = float(np.min(outcome["energies"]))
        if stopped == "done" and best <= reached:
            stopped = "target"
        elif stopped == "done" and done < n_starts and _late(deadline):
            stopped = "time"

    joined = {
        name: np.concatenate([r[name] for r in rounds], axis=-1)
        for name in rounds[0]
        if name not in ("trace", "trace_steps")
    }
    shortest = min(len(r["trace_steps"]) for r in rounds)
    return SearchResult(
        method=method,
        weights=loaded,
        seed=seed,
        n_steps=n_steps,
        minima=distinct_minima(joined["energies"], joined["positions"], system),
        trace=np.concatenate([r["trace"][:shortest] for r in rounds], axis=1),
        trace_steps=rounds[0]["trace_steps"][:shortest],
        wall_seconds=time.monotonic() - begun,
        backend=backend_run,
        stopped=stopped,
        **joined,
    )


def check_limits(
    seed: int, target_energy: float | None, max_seconds: float | None
) -> None:
    """Refuse what no search can begin with or end at.

    Raises
    ------
    ValueError
        For an impossible seed, energy or time; the sentence says what to do.
    """
    # JAX seeds have 32 bits: 2^32 would silently repeat 0.
    if not 0 <= seed < 2**32:
        raise ValueError(f"the seed is {seed}; give a number from 0 to 2^32 - 1")
    if target_energy is not None and math.isnan(target_energy):
        raise ValueError("target_energy is not a number; give an energy")
    if max_seconds is not None and not max_seconds > 0:
        raise ValueError(f"max_seconds is {max_seconds}; give a time above 0")


def hit_tolerance(system: System) -> float:
    """How far above a minimum a relaxed energy still counts as it."""
    return HIT * float(np.mean(np.asarray(system.energy_scale)))


def reached_below(target_energy: float | None, system: System) -> float:
    """The highest relaxed energy that meets a target, ``-inf`` without one."""
    if target_energy is None:
        return -math.inf
    return target_energy + hit_tolerance(system)


def _checked_starts(starts: np.ndarray, system: System) -> np.ndarray:
    """The caller's starts in double precision, free clusters around the origin."""
    starts = np.asarray(starts, dtype=np.float64)
    if starts.ndim != 3 or starts.shape[:2] != (3, system.n_atoms):
        raise ValueError(
            f"starts have shape {starts.shape}; give (3, {system.n_atoms}, m)"
        )
    if not np.all(np.isfinite(starts)):
        raise ValueError("a start has positions that are not finite numbers; mend it")
    if system.recentred:
        starts = starts - np.mean(starts, axis=1, keepdims=True)
    return starts


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def _one_round(
    potential: Potential,
    system: System,
    optimizer: Optimizer | Sequence[Optimizer],
    positions: np.ndarray,
    key: Any,
    n_steps: int,
    deadline: float | None,
    backend: str,
    device: Any,
    progress: Callable[[int], Any] | None,
) -> tuple[dict[str, np.ndarray], str, str]:
    """Roll out and relax one batch; Ctrl-C and the deadline cut the rollout short.

    Also says why it stopped, and what ran.
    """
    hops = isinstance(optimizer, BasinHopping)
    run = Rollout(
        optimizer,
        potential,
        system,
        positions.astype(np.float32),
        key,
        backend=backend,
        device=device,
    )
    stopped = "done"
    trace, trace_steps = [], []
    block = -(-n_steps // 40)
    try:
        while run.steps < n_steps:
            taken = min(block, n_steps - run.steps)
            run.advance(taken)
            trace.append(run.gather("best_energy" if hops else "energy"))
            trace_steps.append(run.steps)
            if progress is not None:
                progress(taken * run.count)
            if hops and not np.all(run.gather("active")):
                break  # the target has been met
            if _late(deadline):
                stopped = "time"
                break
    except KeyboardInterrupt:
        stopped = "interrupted"
    if not hops:
        run.evaluate()
    relaxed = relax_rollout(
        run, potential, system, device, start=positions, last=not hops
    )
    outcome = {
        "energies": np.where(np.isfinite(relaxed.energy), relaxed.energy, np.inf),
        "positions": relaxed.positions,
        "evaluations": run.gather("evaluations") + relaxed.evaluations,
        "status": relaxed.status,
        "trace": np.array(trace).reshape((len(trace), run.count)),
        "trace_steps": np.array(trace_steps, dtype=int),
    }
    return outcome, stopped, run.backend
