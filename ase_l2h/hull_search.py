"""Formation-energy hull of a two-element cluster: search, folder, result.

    result = find_hull("AgAu", 38, folder="AgAu38")

The folder keeps everything that was found, round by round, each file whole or not at
all. A search that was interrupted or killed continues there to the same result.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from ase_l2h._composition_search import (
    METHODS,
    CompositionSearch,
    HullSettings,
    exchanged,
)
from ase_l2h._homotops import Candidate
from ase_l2h._hull_folder import FORMAT, append_line, open_folder, write_state
from ase_l2h._hull_system import HullSystem, hull_system
from ase_l2h.weights import Weights, load_weights

__all__ = [
    "DEFAULT_BUDGET",
    "DEFAULT_WEIGHTS",
    "METHODS",
    "HullResult",
    "HullSearch",
    "find_hull",
]

# Optimizers of different taste: close-packed and icosahedral structures.
DEFAULT_WEIGHTS = "lj-fcc+lj-icosahedral+lj+universal"
DEFAULT_BUDGET = 200_000


@dataclasses.dataclass(frozen=True)
class HullResult:
    """The lowest structure of every composition.

    Parameters
    ----------
    system
        What was searched.
    structures
        By number of atoms of the first element, each with its energy; compositions of
        which nothing was found are missing.
    charged
        Charged evaluations by number of atoms of the first element.
    rounds
        Rounds taken.
    ended
        ``"budget"``, ``"settled"``, ``"time"`` or ``"interrupted"``.
    seconds
        Wall time over all parts of the search.
    settings
        What the result depends on, JSON-able.
    """

    system: HullSystem
    structures: dict[int, Atoms]
    charged: dict[int, int]
    rounds: int
    ended: str
    seconds: float
    settings: dict[str, Any]


class HullSearch:
    """A hull search with its folder.

    Parameters
    ----------
    system
        What to search.
    settings
        How.
    weights
        The learned optimizer's; None with method ``"bh"``.
    folder
        Where to keep what is found; nothing is kept when None.
    update
        Add ``settings.budget`` to that of the search in the folder.

    Raises
    ------
    ValueError
        When the folder holds another search or damaged files.
    OSError
        When it cannot be written.
    """

    def __init__(
        self,
        system: HullSystem,
        settings: HullSettings,
        weights: Weights | None,
        folder: Path | None = None,
        *,
        update: bool = False,
    ) -> None:
        self.system, self.weights, self.folder = system, weights, folder
        self.seconds = 0.0
        self._begun = time.monotonic()
        identity = self._identity(settings)
        state: dict[str, Any] | None = None
        if folder is not None:
            state = open_folder(folder, identity)
        if state is not None:
            budget = max(state["budget"], settings.budget)
            if update:
                budget = state["budget"] + settings.budget
            settings = dataclasses.replace(settings, budget=budget)
            self.seconds = state["seconds"]
        self.settings = settings
        processes = jax.process_count()
        self.search = CompositionSearch(
            system.potential,
            system.n_atoms,
            settings,
            weights,
            share=(jax.process_index(), processes),
            exchange=self._exchange if processes > 1 else None,
        )
        if state is not None:
            self._restore(state, update)

    def _identity(self, settings: HullSettings) -> dict[str, Any]:
        """What a folder and a search must have in common."""
        chosen = dataclasses.asdict(settings)
        del chosen["budget"], chosen["patience"]
        potential = self.system.potential
        leaves = [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(potential)]
        return {
            "format": FORMAT,
            "system": self.system.name,
            "n": self.system.n_atoms,
            "parameters": self.system.parameters,
            "potential": [type(potential).__name__, leaves],
            "weights": None if self.weights is None else self.weights.name,
            "weights_sha256": None if self.weights is None else self.weights.sha256,
            **json.loads(json.dumps(chosen)),
        }

    def _restore(self, state: dict[str, Any], update: bool) -> None:
        search = self.search
        length = search.decorator.units(0)[0]
        for candidate in state["candidates"]:
            search.pools[candidate.composition()].add(candidate, length)
        search.charged = state["charged"]
        search.rounds, search.quiet = state["rounds"], state["quiet"]
        if update:
            search.quiet = 0

    def advance(self) -> int:
        """One round, then everything to the folder; how many compositions fell."""
        fallen = self.search.advance()
        now = time.monotonic()
        self.seconds += now - self._begun
        self._begun = now
        if self.folder is not None and jax.process_index() == 0:
            self._save(fallen)
        return fallen

    def _save(self, fallen: int) -> None:
        assert self.folder is not None
        search = self.search
        entries = [e for pool in search.pools.values() for e in pool.entries]
        numbers = {
            "rounds": search.rounds,
            "quiet": search.quiet,
            "budget": self.settings.budget,
            "seconds": round(self.seconds, 3),
        }
        write_state(self.folder, entries, search.charged, numbers)
        line = {
            "round": search.rounds,
            "fallen": fallen,
            "charged_evaluations": int(search.charged.sum()),
            "energies": {
                str(self.system.ones(m)): pool.energy
                for m, pool in search.pools.items()
                if pool.entries
            },
        }
        append_line(self.folder, line, search.rounds)

    def _exchange(
        self, candidates: list[Candidate], charges: np.ndarray
    ) -> tuple[list[Candidate], np.ndarray]:
        return exchanged(candidates, charges, self.system.n_atoms)

    def result(self, ended: str) -> HullResult:
        """What has been found."""
        search, structures = self.search, {}
        for ones in self.settings.compositions:
            best = search.best(ones)
            if best is not None:
                structures[self.system.ones(ones)] = self._atoms(best)
        return HullResult(
            system=self.system,
            structures=dict(sorted(structures.items())),
            charged={
                self.system.ones(m): int(search.charged[m])
                for m in self.settings.compositions
            },
            rounds=search.rounds,
            ended=ended,
            seconds=self.seconds,
            settings=self._identity(self.settings)
            | {"budget": self.settings.budget, "patience": self.settings.patience},
        )

    def _atoms(self, candidate: Candidate) -> Atoms:
        order = self.system.order
        symbols = [order[int(s)] for s in candidate.species]
        # First element first, as in the name.
        place = np.argsort(
            [s != self.system.symbols[0] for s in symbols], kind="stable"
        )
        positions = candidate.positions.T[place]
        atoms = Atoms([symbols[p] for p in place], positions - positions.mean(axis=0))
        atoms.calc = SinglePointCalculator(atoms, energy=candidate.energy)
        return atoms


def find_hull(
    system: str | HullSystem,
    n_atoms: int | None = None,
    *,
    compositions: Iterable[int] | None = None,
    potential: str = "gupta",
    parameters: str | Path | None = None,
    method: str = "hybrid",
    weights: str | None = None,
    budget: int = DEFAULT_BUDGET,
    max_seconds: float | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    update: bool = False,
    progress: Callable[[HullSearch, int], Any] | None = None,
) -> HullResult:
    """Search the lowest structures of all compositions of a two-element cluster.

    Parameters
    ----------
    system
        Two chemical symbols such as ``"AgAu"``, or what
        :func:`~ase_l2h._hull_system.hull_system` made of them.
    n_atoms
        Atoms per cluster.
    compositions
        Numbers of atoms of the first element; all of 0 to ``n_atoms`` when None.
    potential, parameters
        See :func:`~ase_l2h._hull_system.hull_system`.
    method
        ``"hybrid"``, ``"learned"`` or ``"bh"``, see
        :class:`~ase_l2h._composition_search.HullSettings`.
    weights
        The learned optimizer's, several joined by ``+``; a portfolio when None.
    budget
        Charged evaluations per composition. The last round may exceed it.
    max_seconds
        Stop after the round that passes this wall time. How far a search gets then
        depends on the machine.
    seed
        Everything random follows from it.
    folder
        Keep everything there, and continue what is there; nothing is kept when None.
    update
        Add ``budget`` to the search in ``folder``.
    progress
        Called with the search and the number of compositions that fell, after every
        round.

    Returns
    -------
    HullResult
        Also after Ctrl-C.

    Raises
    ------
    ValueError
        For anything impossible; one sentence says what to do, and nothing is lost.
    """
    if isinstance(system, str):
        if n_atoms is None:
            raise ValueError("the number of atoms is missing; give n_atoms")
        system = hull_system(
            system, n_atoms, potential=potential, parameters=parameters
        )
    n = system.n_atoms
    chosen = range(n + 1) if compositions is None else list(compositions)
    for count in chosen:
        if not 0 <= count <= n:
            raise ValueError(
                f"{count} atoms of {system.symbols[0]} in a cluster of {n} are "
                f"impossible; give 0 to {n}"
            )
    if max_seconds is not None and not max_seconds > 0:
        raise ValueError(f"max_seconds is {max_seconds}; give a time above 0")
    settings = HullSettings(
        compositions=tuple(sorted({system.ones(count) for count in chosen})),
        method=method,
        budget=budget,
        seed=seed,
    )
    loaded = None if method == "bh" else load_weights(weights or DEFAULT_WEIGHTS)
    if method == "bh" and weights is not None:
        raise ValueError("method 'bh' uses no weights; leave them out")
    place = None if folder is None else Path(folder)
    search = HullSearch(system, settings, loaded, place, update=update)
    deadline = math.inf if max_seconds is None else time.monotonic() + max_seconds
    ended = search.search.finished
    try:
        while ended is None:
            fallen = search.advance()
            ended = search.search.finished
            if progress is not None:
                progress(search, fallen)
            if ended is None and time.monotonic() > deadline:
                ended = "time"
    except KeyboardInterrupt:
        ended = "interrupted"
    return search.result(ended)
