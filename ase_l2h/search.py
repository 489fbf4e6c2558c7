"""Many starts, a rollout, a double-precision quench, distinct minima.

What the command line, :class:`~ase_l2h.optimize.Learn2Hop` and hull searches call.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from ase_l2h.initialise import random_starts
from ase_l2h.optimizers import Adam, Descent, Fire, GradientDescent, Lbfgs
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout import Rollout
from ase_l2h.rollout.api import resolve_backend, resolve_device
from ase_l2h.system import System, take_batch
from ase_l2h.weights import Weights, load_weights

__all__ = [
    "METHODS",
    "Minimum",
    "Quench",
    "SearchResult",
    "distinct_minima",
    "quench",
    "relax_rollout",
    "search",
]

METHODS = ("learned", "adam", "fire", "gd")
# Learning rates are the best of the paper's grid on LJ13; see docs.
CLASSICAL: dict[str, Any] = {
    "adam": Adam(rate=0.01),
    "fire": Fire(),
    "gd": GradientDescent(rate=0.002),
}
CLASSICAL_STEPS = 1000
# Force at the end of a quench, in energy_scale / length_scale.
QUENCH_FMAX = 1e-6
QUENCH_STEPS = 1000
STARTS_PER_ROUND = 128


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
class Quench:
    """Relaxed structures: ``positions`` ``(3, n, batch)``, the rest ``(batch,)``."""

    positions: np.ndarray
    energy: np.ndarray
    force: np.ndarray
    evaluations: np.ndarray
    status: np.ndarray


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


def quench(
    potential: Potential,
    system: System,
    positions: np.ndarray | Float[Any, "3 n batch"],
    *,
    fmax: float | None = None,
    max_steps: int = QUENCH_STEPS,
    device: str | jax.Device | None = None,
    key: Any = None,
) -> Quench:
    """Relax a batch by L-BFGS in double precision.

    Parameters
    ----------
    potential, system, positions
        Structures ``(3, n, batch)`` in the units of the potential.
    fmax
        Largest force on an atom at the end; 1e-6 reduced units when None.
    max_steps
        Charged evaluations a structure may take.
    device
        Where to run.
    key
        Unused randomness of the rule contract.

    Returns
    -------
    Quench
    """
    if fmax is None:
        scale = np.asarray(system.energy_scale) / np.asarray(system.length_scale)
        fmax = QUENCH_FMAX * float(np.min(scale))
    run = Rollout(
        Descent(Lbfgs(), fmax=fmax),
        potential,
        system,
        np.asarray(positions, dtype=np.float64),
        jax.random.key(0) if key is None else key,
        device=device,
    )
    run.advance(max_steps)
    run.evaluate()
    return Quench(
        positions=run.gather("positions"),
        energy=run.gather("energy"),
        force=run.gather("force"),
        evaluations=run.gather("evaluations"),
        status=run.status(),
    )


def relax_rollout(
    run: Rollout, potential: Potential, system: System, device: Any = None
) -> Quench:
    """Relax where a rollout ended, or the lowest point it saw where that is lower.

    The last point is relaxed; where the rollout had already been below the result, the
    lowest point is relaxed too (and charged), so nothing found on the way is lost.
    """
    relaxed = quench(potential, system, run.gather("positions"), device=device)
    energy = np.where(np.isfinite(relaxed.energy), relaxed.energy, np.inf)
    unit = np.asarray(system.energy_scale)
    # Single precision cannot tell energies apart more finely than this.
    seen = run.gather("best_energy") + 1e-5 * (unit + np.abs(run.gather("best_energy")))
    missed = np.flatnonzero(seen < energy)
    if missed.size == 0:
        return relaxed
    second = quench(
        potential,
        take_batch(system, missed),
        run.gather("best_positions")[..., missed],
        device=device,
    )
    lower = np.nan_to_num(second.energy, nan=np.inf) < energy[missed]
    index = missed[lower]
    fields = {
        name: np.array(getattr(relaxed, name))
        for name in ("positions", "energy", "force", "status")
    }
    for name, values in fields.items():
        values[..., index] = getattr(second, name)[..., lower]
    evaluations = np.array(relaxed.evaluations)
    evaluations[missed] += second.evaluations
    return Quench(**fields, evaluations=evaluations)


def distinct_minima(
    energies: np.ndarray,
    positions: np.ndarray,
    system: System,
    tolerance: float = 1e-5,
) -> list[Minimum]:
    """Sort relaxed structures by energy and merge the equal ones.

    Two are the same minimum when their energies agree within ``tolerance`` energy
    scales and their sorted pair distances within 1e-2 length scales. Mirror images and
    permutations of like atoms are the same. Structures without a finite energy are
    left out.

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
    groups: list[tuple[float, np.ndarray, np.ndarray, int, int]] = []
    for index in np.argsort(energies, kind="stable"):
        energy = float(energies[index])
        if not np.isfinite(energy):
            continue
        structure = np.asarray(positions[..., index], dtype=float).T
        distances = _sorted_distances(structure, system)
        for k in range(len(groups) - 1, -1, -1):
            known, _, other, count, start = groups[k]
            if energy - known > tolerance * unit:
                break
            if np.max(np.abs(distances - other), initial=0.0) < 1e-2 * length:
                groups[k] = (*groups[k][:3], count + 1, min(start, int(index)))
                break
        else:
            groups.append((energy, structure, distances, 1, int(index)))
            continue
        if energy - groups[k][0] > tolerance * unit:
            groups.append((energy, structure, distances, 1, int(index)))
    return [Minimum(e, p, c, s) for e, p, _, c, s in groups]


def _sorted_distances(positions: np.ndarray, system: System) -> np.ndarray:
    difference = positions[:, None] - positions[None]
    if system.cell is not None:
        cell = np.asarray(system.cell, dtype=float)
        difference = difference - np.round(difference @ np.linalg.inv(cell)) @ cell
    upper = np.triu_indices(len(positions), 1)
    return np.sort(np.linalg.norm(difference, axis=-1)[upper])


def make_rule(method: str, weights: str | None) -> tuple[Any, Weights | None]:
    """The rule of a method, with the weights it came from.

    Raises
    ------
    ValueError
        For an unknown method, or weights given to a method that has none.
    """
    if method == "learned":
        loaded = load_weights(weights)
        return loaded.rule, loaded
    if method not in CLASSICAL:
        raise ValueError(
            f"no method named '{method}'; choose one of {', '.join(METHODS)}"
        )
    if weights is not None:
        raise ValueError(
            f"method '{method}' uses no weights; leave them out or choose 'learned'"
        )
    return CLASSICAL[method], None


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
    device: str | jax.Device | None = None,
    progress: Callable[[int], Any] | None = None,
) -> SearchResult:
    """Search for the lowest minimum from many starts.

    Every start takes ``n_steps`` steps of the method and is then relaxed in double
    precision, see :func:`relax_rollout`.

    Parameters
    ----------
    potential, system
        What is minimised.
    method
        ``"learned"``, ``"adam"``, ``"fire"`` or ``"gd"``.
    weights
        Name or path of the learned rule's weights; the default weights when None.
    n_starts, n_steps
        Starts, and steps per start; the weights' horizon (else 1000) when None. The
        clock of a learned rule is compressed or stretched to ``n_steps``.
    seed
        Starts follow from it; start i is the same whatever else is asked for.
    starts
        ``(3, n, m)``: the first m starts, instead of random ones.
    rotate
        Turn random starts by random rotations.
    target_energy
        Stop after the round of starts in which a relaxed energy reaches this.
    max_seconds
        Stop then; the structures on their way are still relaxed.
    backend, device
        See :func:`~ase_l2h.rollout.api.rollout`.
    progress
        Called with the number of start-steps done since the last call.

    Returns
    -------
    SearchResult

    Raises
    ------
    ValueError
        For impossible arguments; the sentence says what to do.
    """
    begun = time.monotonic()
    if n_starts < 1 or n_starts > 1_000_000:
        raise ValueError(f"{n_starts} starts are asked for; give 1 to 1000000")
    if n_steps is not None and not 1 <= n_steps <= 10_000_000:
        raise ValueError(f"{n_steps} steps are asked for; give 1 to 10000000")
    if not 0 <= seed < 2**63:
        raise ValueError(f"the seed is {seed}; give a number from 0 to 2^63 - 1")
    if max_seconds is not None and not max_seconds > 0:
        raise ValueError(f"max_seconds is {max_seconds}; give a time above 0")
    resolve_backend(backend), resolve_device(device)
    rule, loaded = make_rule(method, weights)
    if n_steps is None:
        n_steps = CLASSICAL_STEPS if loaded is None else loaded.horizon
    if loaded is not None:
        rule = loaded.for_horizon(n_steps).rule
    deadline = None if max_seconds is None else begun + max_seconds

    rounds: list[dict[str, np.ndarray]] = []
    stopped = "done"
    done = 0
    per_round = STARTS_PER_ROUND if target_energy is not None else 4 * STARTS_PER_ROUND
    while done < n_starts and stopped == "done":
        count = min(per_round, n_starts - done)
        positions = _starts(system, seed, done, count, starts, rotate)
        outcome, stopped = _one_round(
            potential,
            system,
            rule,
            positions,
            jax.random.fold_in(jax.random.key(seed), done),
            n_steps,
            deadline,
            backend,
            device,
            progress,
        )
        rounds.append(outcome)
        done += count
        best = float(np.min(outcome["energies"]))
        if stopped == "done" and target_energy is not None and best <= target_energy:
            stopped = "target"

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
        backend=resolve_backend(backend),
        stopped=stopped,
        **joined,
    )


START_GROUP = 32
_jit_starts = jax.jit(random_starts, static_argnames=("count", "rotate"))


def _starts(
    system: System,
    seed: int,
    first: int,
    count: int,
    given: np.ndarray | None,
    rotate: bool,
) -> np.ndarray:
    """Starts ``first`` to ``first + count``, drawn in groups of a fixed size.

    The groups make start i independent of how many are asked for.
    """
    key = jax.random.key(seed)
    groups = range(first // START_GROUP, -(-(first + count) // START_GROUP))
    drawn = [
        np.asarray(
            _jit_starts(
                jax.random.fold_in(key, g), system, count=START_GROUP, rotate=rotate
            )
        )
        for g in groups
    ]
    offset = first - groups[0] * START_GROUP
    positions = np.concatenate(drawn, axis=-1)[..., offset : offset + count]
    if given is not None:
        own = np.asarray(given, positions.dtype)[..., first : first + count]
        positions = np.concatenate([own, positions[..., own.shape[-1] :]], axis=-1)
    return positions


def _one_round(
    potential: Potential,
    system: System,
    rule: Any,
    positions: np.ndarray,
    key: Any,
    n_steps: int,
    deadline: float | None,
    backend: str,
    device: Any,
    progress: Callable[[int], Any] | None,
) -> tuple[dict[str, np.ndarray], str]:
    """Roll out and relax one batch; Ctrl-C and the deadline cut the rollout short."""
    run = Rollout(
        Descent(rule), potential, system, positions, key, backend=backend, device=device
    )
    stopped = "done"
    trace, trace_steps = [], []
    block = max(1, n_steps // 40)
    try:
        while run.steps < n_steps:
            taken = min(block, n_steps - run.steps)
            run.advance(taken)
            trace.append(run.gather("energy"))
            trace_steps.append(run.steps)
            if progress is not None:
                progress(taken * run.count)
            if deadline is not None and time.monotonic() > deadline:
                stopped = "time"
                break
    except KeyboardInterrupt:
        stopped = "interrupted"
    run.evaluate()
    relaxed = relax_rollout(run, potential, system, device)
    return {
        "energies": np.where(np.isfinite(relaxed.energy), relaxed.energy, np.inf),
        "positions": relaxed.positions,
        "evaluations": run.gather("evaluations") + relaxed.evaluations,
        "status": relaxed.status,
        "trace": np.array(trace).reshape((len(trace), run.count)),
        "trace_steps": np.array(trace_steps, dtype=int),
    }, stopped
