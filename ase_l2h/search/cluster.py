"""One cluster by all that works: the hybrid search of hulls, for one composition.

Learned hops from random starts and from what is known, fragments of ordered packings,
loosely bound atoms moved to vacant sites, and exchanges of unlike atoms; see
:mod:`ase_l2h.search.population.rounds`.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ase_l2h.potentials.base import Potential
from ase_l2h.potentials.units import species_units
from ase_l2h.rollout.batch import Device, Status, resolve_devices
from ase_l2h.search.hull.search import DEFAULT_WEIGHTS, ordered_packings
from ase_l2h.search.old_multistart import (
    Minimum,
    SearchResult,
    check_limits,
    distinct_minima,
    reached_below,
)
from ase_l2h.search.population.rounds import CompositionSearch, HullSettings
from ase_l2h.system import System
from ase_l2h.weights.load import Weights, load_weights

__all__ = ["DEFAULT_EVALUATIONS", "HYBRID", "cluster_weights", "find_cluster"]

HYBRID = "hybrid"
DEFAULT_EVALUATIONS = 200_000
# Of clusters of one element; alloys need rules that place the elements.
ONE_ELEMENT = "lj-icosahedral+lj"
# Rounds without a lower energy after which a population gives way to a new one.
PATIENCE = 8
TRACE = 40


class _Found(NamedTuple):
    """What a search found, lowest first; (evaluations, lowest energy) by round."""

    energies: list[float]
    positions: list[np.ndarray]
    course: list[tuple[int, float]]
    stopped: str


def cluster_weights(potential: Potential, name: str | None = None) -> Weights:
    """The weights of a name, or those that suit the number of the potential's species.

    Raises
    ------
    ValueError
        For weights that are not found.
    """
    if name is None:
        one = len(species_units(potential)[0]) == 1
        name = ONE_ELEMENT if one else DEFAULT_WEIGHTS
    return load_weights(name)


def find_cluster(
    potential: Potential,
    system: System,
    *,
    weights: str | None = None,
    n_searches: int = 1,
    budget: int = DEFAULT_EVALUATIONS,
    seed: int = 0,
    target_energy: float | None = None,
    max_seconds: float | None = None,
    device: str | Device | Sequence[Device] | None = None,
    progress: Callable[[int], object] | None = None,
) -> SearchResult:
    """Search for the lowest minimum of a free cluster of one or two elements.

    A search has a population of structures, kept by packing, and lowers it in rounds;
    after 8 rounds without a lower energy it begins again with another. Nothing
    is taken from ``system`` but which atoms there are.

    Parameters
    ----------
    potential, system
        What is minimised; species 0 and 1.
    weights
        Of the learned optimizer, several joined by ``+``; see :func:`cluster_weights`
        for what None means.
    n_searches
        Independent searches, one after the other.
    budget
        Charged evaluations of each. The last round may exceed it.
    seed
        Search k is the same whatever else is asked for.
    target_energy
        Stop after the round in which a relaxed energy comes within 1e-4 energy scales
        of this, or below.
    max_seconds
        Stop after the round that passes it.
    device
        See :func:`~ase_l2h.rollout.batch.rollout`.
    progress
        Called with the charged evaluations since the last call.

    Returns
    -------
    SearchResult
        Its "starts" are searches and its "steps" charged evaluations; ``minima`` are
        all that the populations held in the end. Also after Ctrl-C.

    Raises
    ------
    ValueError
        For anything but a free cluster, and impossible numbers.
    KeyboardInterrupt
        When there is nothing to return yet.
    """
    begun = time.monotonic()
    check_limits(seed, target_energy, max_seconds)
    ones = _checked(system, n_searches, budget)
    loaded = cluster_weights(potential, weights)
    devices = resolve_devices(device)
    deadline = math.inf if max_seconds is None else begun + max_seconds
    reached = reached_below(target_energy, system)
    packings = ordered_packings(system.n_atoms)

    found: list[_Found] = []
    stopped = "done"
    while len(found) < n_searches and stopped == "done":

        def population(epoch: int, left: int) -> CompositionSearch:
            state = np.random.SeedSequence((seed, len(found), epoch)).generate_state(1)
            settings = HullSettings(
                (ones,), budget=left, patience=PATIENCE, seed=int(state[0])
            )
            return CompositionSearch(
                potential,
                system.n_atoms,
                settings,
                loaded,
                templates=packings,
                devices=devices,
            )

        one = _one_search(population, ones, budget, reached, deadline, progress)
        if one is None:
            if not found:
                raise KeyboardInterrupt
            stopped = "interrupted"
            break
        found.append(one)
        stopped = one.stopped

    energies = np.array([one.energies[0] for one in found])
    trace, trace_steps = _trace([one.course for one in found])
    return SearchResult(
        method=HYBRID,
        weights=loaded,
        seed=seed,
        n_steps=budget,
        energies=energies,
        positions=_ordered(system, [one.positions[0] for one in found]),
        evaluations=np.array([one.course[-1][0] for one in found]),
        status=np.full(len(found), int(Status.CONVERGED)),
        minima=_minima(system, found),
        trace=trace,
        trace_steps=trace_steps,
        wall_seconds=time.monotonic() - begun,
        backend="scan",
        stopped=stopped,
    )


def _checked(system: System, n_searches: int, budget: int) -> int:
    """Number of atoms of species 1."""
    species = np.asarray(system.species)
    if system.cell is not None or system.free is not None:
        raise ValueError(
            "the hybrid method searches free clusters without fixed atoms; choose "
            "another method"
        )
    if species.ndim != 1 or not np.all((species == 0) | (species == 1)):
        raise ValueError(
            "the hybrid method takes clusters of one or two elements; choose another "
            "method"
        )
    if len(species) < 3:
        raise ValueError(
            f"the cluster has {len(species)} atoms; hybrid takes 3 or more"
        )
    if not 1 <= n_searches <= 100_000:
        raise ValueError(f"{n_searches} searches are asked for; give 1 to 100000")
    if not 1 <= budget <= 10**12:
        raise ValueError(f"the budget is {budget} evaluations; give 1 to 10^12")
    return int(species.sum())


def _one_search(
    population: Callable[[int, int], CompositionSearch],
    ones: int,
    budget: int,
    reached: float,
    deadline: float,
    progress: Callable[[int], object] | None,
) -> _Found | None:
    """Populations until the budget is spent; None where Ctrl-C left nothing."""
    kept: list[tuple[float, np.ndarray, np.ndarray]] = []
    course: list[tuple[int, float]] = []
    spent = epoch = 0
    stopped = "done"
    while stopped == "done" and spent < budget:
        search = population(epoch, budget - spent)
        try:
            while stopped == "done" and search.finished is None:
                before = int(search.charged.sum())
                search.advance()
                charged = int(search.charged.sum())
                best = search.best(ones)
                lowest = course[-1][1] if course else math.inf
                if best is not None:
                    lowest = min(lowest, best.energy)
                course.append((spent + charged, lowest))
                if progress is not None:
                    progress(charged - before)
                if lowest <= reached:
                    stopped = "target"
                elif time.monotonic() > deadline:
                    stopped = "time"
        except KeyboardInterrupt:
            stopped = "interrupted"
        spent += int(search.charged.sum())
        kept += [(c.energy, c.species, c.positions) for c in search.pools[ones].entries]
        epoch += 1
    if not kept:
        if stopped == "interrupted":
            return None
        raise ValueError(
            "no structure got a finite energy; check the potential and its parameters"
        )
    kept.sort(key=lambda entry: entry[0])
    return _Found(
        [energy for energy, _, _ in kept],
        # Atoms of species 0 first.
        [x[:, np.argsort(kinds, kind="stable")] for _, kinds, x in kept],
        course,
        stopped,
    )


def _ordered(system: System, positions: Sequence[np.ndarray]) -> np.ndarray:
    """``(3, n, k)``: atoms of species 0 first become those of ``system``."""
    species = np.asarray(system.species)
    place = np.argsort(np.argsort(species, kind="stable"), kind="stable")
    return np.stack([x[:, place] for x in positions], axis=-1)


def _minima(system: System, found: Sequence[_Found]) -> list[Minimum]:
    """Distinct ones of all searches."""
    energies = np.concatenate([one.energies for one in found])
    positions = _ordered(system, [x for one in found for x in one.positions])
    search = np.repeat(np.arange(len(found)), [len(one.energies) for one in found])
    return [
        dataclasses.replace(minimum, start=int(search[minimum.start]))
        for minimum in distinct_minima(energies, positions, system)
    ]


def _trace(
    courses: Sequence[Sequence[tuple[int, float]]],
) -> tuple[np.ndarray, np.ndarray]:
    """Lowest energies ``(blocks, searches)`` and the evaluations they belong to."""
    first = max(course[0][0] for course in courses)
    last = max(course[-1][0] for course in courses)
    steps = np.unique(np.linspace(first, last, TRACE).astype(int))
    rows = []
    for course in courses:
        charges, lowest = (np.array(column) for column in zip(*course, strict=True))
        rows.append(lowest[np.searchsorted(charges, steps, side="right") - 1])
    return np.stack(rows, axis=1), steps
