"""Formation-energy hull of a two-element cluster: search, folder, result.

    result = find_hull("AgAu", 38, folder="AgAu38")

Every composition is one search of the population method; after every round neighbours
in composition show each other their lowest structures. The folder keeps all that was
found, each file whole or not at all: a search that was interrupted or killed continues
there to the same result.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from ase_l2h._internal.processes import joint
from ase_l2h.errors import InputError
from ase_l2h.search.engine import KernelEngine
from ase_l2h.search.evaluator import Ledger
from ase_l2h.search.hull.folder import HullFolder
from ase_l2h.search.hull.neighbours import visitors_of
from ase_l2h.search.hull.system import HullSystem, hull_system
from ase_l2h.search.limits import Limits, checked_seed
from ase_l2h.search.method import SearchRun, State
from ase_l2h.search.names import POPULATIONS
from ase_l2h.search.population.method import Population, make_population
from ase_l2h.weights.load import Weights, load_weights

__all__ = [
    "DEFAULT_BUDGET",
    "HullResult",
    "HullSearch",
    "HullSettings",
    "find_hull",
]

DEFAULT_BUDGET = 1_000_000
# Learned hops of a composition in a full round: the compositions share the lanes.
WIDTH = 16
# Rounds without a lower energy anywhere after which a search is settled.
PATIENCE = 15


@dataclasses.dataclass(frozen=True)
class HullSettings:
    """What the result of a hull search depends on.

    Parameters
    ----------
    compositions
        Numbers of atoms of species 1 to search.
    method
        ``"population"``, ``"population-fresh"`` or ``"population-plain"``.
    budget
        Charged evaluations per composition. Never exceeded.
    patience
        Rounds without a lower energy anywhere after which the search ends.
    seed
        Everything random follows from it.
    width
        Learned hops per composition and round.
    """

    compositions: tuple[int, ...]
    method: str = "population"
    budget: int = DEFAULT_BUDGET
    patience: int = PATIENCE
    seed: int = 0
    width: int = WIDTH

    def __post_init__(self) -> None:
        if self.method not in POPULATIONS:
            raise InputError(
                f"no method named '{self.method}' for hulls; choose one of "
                f"{', '.join(POPULATIONS)}"
            )
        if not self.compositions:
            raise InputError("no composition is asked for; give one or more")
        for name in ("budget", "patience", "width"):
            if not 1 <= getattr(self, name) <= 10**12:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 to 10^12")
        checked_seed(self.seed)


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

    Under ``jax.distributed`` every process makes one, with the same arguments; they
    share the compositions, and the first alone reads and writes the folder.

    Parameters
    ----------
    system
        What to search.
    settings
        How.
    weights
        The learned optimizer's; None with ``"population-plain"``.
    folder
        Where to keep what is found; nothing is kept when None.
    update
        Add ``settings.budget`` to that of the search in the folder.
    backend
        See :class:`~ase_l2h.search.engine.KernelEngine`.
    interrupted
        Asked before every evaluation whether to stop.

    Raises
    ------
    InputError
        When the folder holds another search or damaged files, or cannot be written.
    """

    def __init__(
        self,
        system: HullSystem,
        settings: HullSettings,
        weights: Weights | None,
        folder: Path | None = None,
        *,
        update: bool = False,
        backend: str = "auto",
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.system, self.weights = system, weights
        # What cannot run is refused before there is a folder.
        self.engine = KernelEngine(system.potential, backend)
        self.method: Population = make_population(
            settings.method,
            system.problem(settings.compositions[-1]),
            weights,
            width=settings.width,
            patience=None,
        )
        identity = self._identity(settings)
        self.folder = HullFolder(folder, identity, [settings.budget, update])
        stored = self.folder.load()
        if stored is not None:
            budget = max(stored["budget"], settings.budget)
            if update:
                budget = stored["budget"] + settings.budget
            settings = dataclasses.replace(settings, budget=budget)
        self.settings = settings
        self.quiet, self.seconds = 0, 0.0
        self.rounds = 0
        share, processes = jax.process_index(), jax.process_count()
        # Of all processes, by composition: state, ledger, why it stopped.
        self.known: dict[int, dict[str, Any]] = {}
        self.own = settings.compositions[share::processes]
        self.run = self._run(interrupted)
        if stored is not None:
            self._restore(stored, update)

    def _run(self, interrupted: Callable[[], bool]) -> SearchRun | None:
        if not self.own:
            return None
        problems = [self.system.problem(m) for m in self.own]
        return SearchRun(
            self.method,
            problems,
            [(self.settings.seed, m) for m in self.own],
            Limits(evaluations=self.settings.budget),
            self.engine,
            interrupted=interrupted,
        )

    def _identity(self, settings: HullSettings) -> dict[str, Any]:
        """What a folder and a search must have in common."""
        chosen = dataclasses.asdict(settings)
        del chosen["budget"], chosen["patience"]
        potential = self.system.potential
        leaves = [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(potential)]
        return {
            "kind": "hull",
            "system": self.system.name,
            "n": self.system.n_atoms,
            "parameters": self.system.parameters,
            "potential": [type(potential).__name__, leaves],
            "weights": None if self.weights is None else self.weights.name,
            "weights_sha256": None if self.weights is None else self.weights.sha256,
            **json.loads(json.dumps(chosen)),
        }

    def _restore(self, stored: dict[str, Any], update: bool) -> None:
        self.rounds, self.seconds = stored["rounds"], stored["seconds"]
        self.quiet = 0 if update else stored["quiet"]
        self.known = {int(m): entry for m, entry in stored["compositions"].items()}
        if self.run is None:
            return
        self.run.restore(
            {
                "rounds": self.rounds,
                "seconds": self.seconds,
                "evaluations": stored["budget"],
                "searches": [self.known[m] for m in self.own],
            }
        )
        for m, search in zip(self.own, self.run.searches, strict=True):
            self.known[m]["stopped"] = search.stopped

    @property
    def finished(self) -> str | None:
        """Why there is nothing left to do: ``"budget"``, ``"settled"`` or None."""
        if self.rounds == 0:
            return None
        if all(entry["stopped"] is not None for entry in self.known.values()):
            return "budget"
        return "settled" if self.quiet >= self.settings.patience else None

    def charged(self) -> dict[int, int]:
        """Charged evaluations by number of atoms of species 1."""
        found = {m: _present(entry)["charged"] for m, entry in self.known.items()}
        if self.run is not None:
            for m, search in zip(self.own, self.run.searches, strict=True):
                found[m] = search.present.charged
        return {m: found.get(m, 0) for m in self.settings.compositions}

    def advance(self, seconds: float = math.inf) -> int:
        """One round, then everything to the folder; how many compositions fell.

        Raises
        ------
        CheckpointError
            When the folder cannot be written.
        """
        begun = time.monotonic()
        before = self._energies()
        entries, messages = joint(
            lambda: self._round(seconds), self.folder.packed_entries
        )
        self.known |= entries if len(messages) == 1 else self.folder.unpacked(messages)
        after = self._energies()
        unit = 1e-9
        fallen = sum(after[m] < before.get(m, math.inf) - unit for m in after)
        self.rounds += 1
        self.quiet = 0 if fallen else self.quiet + 1
        self.seconds += time.monotonic() - begun
        if any(e["stopped"] in ("interrupted", "time") for e in self.known.values()):
            # A round that was cut short never was: the folder stays as it is.
            return fallen
        self._introduce()
        joint(lambda: self._save(fallen))
        return fallen

    def _round(self, seconds: float) -> dict[int, dict[str, Any]]:
        """A round of this process's compositions; what there is of them then."""
        if self.run is None:
            return {}
        self.run.advance(seconds)
        stored = self.run.stored()["searches"]
        for entry, search in zip(stored, self.run.searches, strict=True):
            entry["stopped"] = search.stopped
        return dict(zip(self.own, stored, strict=True))

    def _energies(self) -> dict[int, float]:
        return {m: _present(entry)["energy"] for m, entry in self.known.items()}

    def _introduce(self) -> None:
        """Show every composition its neighbours' lowest structures."""
        if self.method.name == "population-fresh":
            return
        pools = {m: entry["state"]["pool"] for m, entry in self.known.items()}
        lengths = {m: self.system.problem(m).length for m in pools}
        species = {m: self.system.species(m) for m in pools}
        for m, entry in self.known.items():
            rng = np.random.default_rng([self.settings.seed, self.rounds, m, 1])
            state: State = entry["state"] | {
                "visitors": visitors_of(m, pools, species, lengths, rng)
            }
            entry["state"] = state
        if self.run is not None:
            for m, search in zip(self.own, self.run.searches, strict=True):
                search.state = self.known[m]["state"]

    def _save(self, fallen: int) -> None:
        self.folder.save(
            {
                "rounds": self.rounds,
                "quiet": self.quiet,
                "budget": self.settings.budget,
                "seconds": round(self.seconds, 3),
                "compositions": {str(m): entry for m, entry in self.known.items()},
            },
            {
                "round": self.rounds,
                "fallen": fallen,
                "charged_evaluations": sum(self.charged().values()),
                "energies": {
                    str(self.system.ones(m)): energy
                    for m, energy in self._energies().items()
                    if math.isfinite(energy)
                },
            },
        )

    def result(self, ended: str) -> HullResult:
        """What has been found."""
        structures = {}
        for m in self.settings.compositions:
            best = self._best(m)
            if best is not None and best.positions is not None and best.relaxed:
                structures[self.system.ones(m)] = self._atoms(
                    m, best.energy, best.positions
                )
        return HullResult(
            system=self.system,
            structures=dict(sorted(structures.items())),
            charged={self.system.ones(m): count for m, count in self.charged().items()},
            rounds=self.rounds,
            ended=ended,
            seconds=self.seconds,
            settings=self._identity(self.settings)
            | {"budget": self.settings.budget, "patience": self.settings.patience},
        )

    def _best(self, m: int) -> Ledger | None:
        if self.run is not None and m in self.own:
            return self.run.searches[self.own.index(m)].present
        return Ledger(**_present(self.known[m])) if m in self.known else None

    def _atoms(self, m: int, energy: float, positions: np.ndarray) -> Atoms:
        order = self.system.order
        symbols = [order[int(s)] for s in self.system.species(m)]
        # First element first, as in the name.
        place = np.argsort(
            [s != self.system.symbols[0] for s in symbols], kind="stable"
        )
        places = positions.T[place]
        atoms = Atoms([symbols[p] for p in place], places - places.mean(axis=0))
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        return atoms


def _present(entry: dict[str, Any]) -> dict[str, Any]:
    """All that a composition has been charged and has seen."""
    return entry["ledger"] if entry["tail"] is None else entry["tail"]


def find_hull(
    system: str | HullSystem,
    n_atoms: int | None = None,
    *,
    compositions: Iterable[int] | None = None,
    potential: str = "gupta",
    parameters: str | Path | None = None,
    method: str = "population",
    weights: str | None = None,
    budget: int = DEFAULT_BUDGET,
    max_seconds: float | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    update: bool = False,
    backend: str = "auto",
    interrupted: Callable[[], bool] = lambda: False,
    progress: Callable[[HullSearch, int], Any] | None = None,
) -> HullResult:
    """Search the lowest structures of all compositions of a two-element cluster.

    Parameters
    ----------
    system
        Two chemical symbols such as ``"AgAu"``, or what
        :func:`~ase_l2h.search.hull.system.hull_system` made of them.
    n_atoms
        Atoms per cluster.
    compositions
        Numbers of atoms of the first element; all of 0 to ``n_atoms`` when None.
    potential, parameters
        See :func:`~ase_l2h.search.hull.system.hull_system`.
    method
        ``"population"``; ``"population-fresh"``, only what begins at random;
        ``"population-plain"``, without learned optimizer.
    weights
        The learned optimizer's, several joined by ``+``; a portfolio when None.
    budget
        Charged evaluations per composition. Never exceeded.
    max_seconds
        Stop then. How far a search gets depends on the machine.
    seed
        Everything random follows from it.
    folder
        Keep everything there, and continue what is there; nothing is kept when None.
    update
        Add ``budget`` to the search in ``folder``.
    backend
        What runs the steps. Several processes (``jax.distributed``) share the
        compositions; all call this alike.
    interrupted
        Asked before every evaluation; True ends the search with what it has.
    progress
        Called with the search and the number of compositions that fell, after every
        round.

    Returns
    -------
    HullResult
        Also after Ctrl-C.

    Raises
    ------
    InputError
        For anything impossible; one sentence says what to do, and nothing is lost.
    CheckpointError
        When the folder cannot be written any more.
    """
    listed = None if compositions is None else list(compositions)
    Limits(seconds=max_seconds)
    prepared = joint(
        lambda: _prepared(
            system,
            n_atoms,
            listed,
            potential,
            parameters,
            method,
            weights,
            budget,
            seed,
        )
    )[0]
    search = HullSearch(
        *prepared,
        None if folder is None else Path(folder),
        update=update,
        backend=backend,
        interrupted=interrupted,
    )
    deadline = math.inf if max_seconds is None else time.monotonic() + max_seconds
    ended = search.finished
    try:
        while ended is None:
            fallen = search.advance(deadline - time.monotonic())
            if progress is not None:
                joint(lambda fallen=fallen: progress(search, fallen))
            stops = {entry["stopped"] for entry in search.known.values()}
            ended = next((s for s in ("interrupted", "time") if s in stops), None)
            ended = ended or search.finished
    except KeyboardInterrupt:
        ended = "interrupted"
    return search.result(ended)


def _prepared(
    system: str | HullSystem,
    n_atoms: int | None,
    compositions: Sequence[int] | None,
    potential: str,
    parameters: str | Path | None,
    method: str,
    weights: str | None,
    budget: int,
    seed: int,
) -> tuple[HullSystem, HullSettings, Weights | None]:
    if isinstance(system, str):
        if n_atoms is None:
            raise InputError("the number of atoms is missing; give n_atoms")
        system = hull_system(
            system, n_atoms, potential=potential, parameters=parameters
        )
    settings = HullSettings(
        compositions=system.species_counts(compositions),
        method=method,
        budget=budget,
        seed=seed,
    )
    if method == "population-plain":
        if weights is not None:
            raise InputError(f"method '{method}' uses no weights; leave them out")
        return system, settings, None
    from ase_l2h.search.population.method import SEVERAL_ELEMENTS

    return system, settings, load_weights(weights or SEVERAL_ELEMENTS)
