"""How much a basin hopping costs until it first meets a known minimum.

A chain is a search like any other, see :mod:`ase_l2h.comparison.protocol`; what is
counted here besides are its quenches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ase_l2h.errors import InputError
from ase_l2h.optimizers import BasinHopping
from ase_l2h.search.driver import engine_for
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.hopping import Hopping
from ase_l2h.search.ledger import Stopped
from ase_l2h.search.limits import Limits, checked_seed
from ase_l2h.search.method import SearchRun, State, run
from ase_l2h.search.problem import Problem

__all__ = ["FirstEncounters", "first_encounters", "mean_wait"]


def mean_wait(found: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Mean count of a memoryless search until it finds, and its standard error.

    All that was spent over the number of encounters, the maximum-likelihood mean of
    exponential waits some of which are cut off; infinite without an encounter.
    """
    hits = int(np.sum(found))
    if hits == 0:
        return float("inf"), float("inf")
    mean = float(np.sum(counts)) / hits
    return mean, mean / hits**0.5


@dataclasses.dataclass(frozen=True)
class FirstEncounters:
    """One entry per chain.

    Parameters
    ----------
    found
        Whether the chain met the target; where not, ``evaluations`` and ``quenches``
        say how far it got (right-censored).
    evaluations
        Charged evaluations, the relaxations that confirm minima included.
    quenches
        Quenches of the chain, the one from its start included.
    energies
        Double-precision energy of the lowest minimum, the potential's unit.
    wall_seconds
        For all of them together, compilation included.
    backend
        What ran the chains, see :mod:`ase_l2h.rollout.backends`.
    """

    found: np.ndarray
    evaluations: np.ndarray
    quenches: np.ndarray
    energies: np.ndarray
    wall_seconds: float
    backend: str


def first_encounters(
    problem: Problem,
    hopping: BasinHopping,
    target_energy: int | float,
    *,
    chains: int = 100,
    first: int = 0,
    max_evaluations: int = 10_000_000,
    seed: int = 0,
    backend: str = "auto",
    device: Any = None,
    progress: Callable[[int], Any] | None = None,
) -> FirstEncounters:
    """Run chains until each has met ``target_energy`` or used up its evaluations.

    Parameters
    ----------
    problem, hopping
        What is searched, and the settings of a chain. Structures that the problem is
        given are where every chain begins.
    target_energy
        In the problem's unit.
    chains, first
        Number of chains, and of the first one. Chain i of a seed is the same whatever
        others run beside it.
    max_evaluations
        Charged evaluations after which a chain is given up; never exceeded.
    seed
        Starts and chains follow from it.
    backend, device
        See :func:`~ase_l2h.search.driver.engine_for`.
    progress
        Called with the number of chains that are done since the last call.

    Raises
    ------
    InputError
        For no chains or no evaluations, for a first chain before 0, and for a backend
        that cannot run the chains.
    KeyboardInterrupt
        After Ctrl-C.
    """
    if first < 0:
        raise InputError(f"the first chain is {first}; give 0 or more")
    if chains < 1 or max_evaluations < 1:
        raise InputError(
            f"{chains} chains of {max_evaluations} evaluations are asked for; give at "
            "least 1 of each"
        )
    method = _Counting("chains", lambda _: hopping, width=1)
    seeds = [(checked_seed(seed), first + chain) for chain in range(chains)]
    search = SearchRun(
        method,
        [problem] * chains,
        seeds,
        Limits(evaluations=max_evaluations, target_energy=target_energy),
        engine_for(problem, backend, device),
        stop_together=False,
    )
    done = 0

    def after_round(current: SearchRun) -> None:
        nonlocal done
        ended = sum(one.stopped is not None for one in current.searches)
        if progress is not None and ended > done:
            progress(ended - done)
        done = ended

    run(search, on_round=after_round)
    if search.stopped == "interrupted":
        raise KeyboardInterrupt
    result = search.result(seed=seed)
    return FirstEncounters(
        found=np.array([trace.stopped == "target" for trace in result.searches]),
        evaluations=np.array([trace.charged for trace in result.searches]),
        quenches=np.array([method.quenches.get(tuple(seed), 0) for seed in seeds]),
        energies=np.array([trace.energy for trace in result.searches]),
        wall_seconds=result.wall_seconds,
        backend=result.backend,
    )


@dataclasses.dataclass(frozen=True)
class _Counting(Hopping):
    """Hopping that notes how many quenches its chains have made, by their seeds.

    The state of a search does not say so, for it lacks the round that has met the
    target.
    """

    quenches: dict[Sequence[int], int] = dataclasses.field(default_factory=dict)

    def advance(self, state: State, evaluator: Evaluator) -> State:
        """A round; of a width of 1."""
        seed = tuple(state["seed"])

        def note(rollout: Any) -> None:
            self.quenches[seed] = int(rollout.inner.quenches[0])

        return super().advance(state, _Watched(evaluator, note))


class _Watched(Evaluator):
    """An evaluator, the same as another one, that shows chains after their steps."""

    def __init__(self, evaluator: Evaluator, note: Callable[[Any], None]) -> None:
        # Whatever it knows, its ledger among that.
        vars(self).update(vars(evaluator))
        self._note = note

    def advanced(
        self, optimizer: Any, state: Any, steps: int, *options: Any, **others: Any
    ) -> Any:
        """As any evaluator does."""
        try:
            state = super().advanced(optimizer, state, steps, *options, **others)
        except Stopped as stop:
            if stop.state is not None and isinstance(optimizer, BasinHopping):
                self._note(stop.state)
            raise
        if isinstance(optimizer, BasinHopping):
            self._note(state)
        return state
