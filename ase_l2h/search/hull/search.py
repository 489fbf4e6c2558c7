"""Formation-energy hull of a two-element cluster: search, folder, result.

    result = find_hull("AgAu", 38, folder="AgAu38")

The folder keeps everything that was found, round by round, each file whole or not at
all. A search that was interrupted or killed continues there to the same result.
"""

from __future__ import annotations

import dataclasses
import hashlib
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
from ase.cluster import Decahedron, Icosahedron, Octahedron

from ase_l2h._internal.processes import is_first_process, joint, local_devices
from ase_l2h.rollout.batch import Device
from ase_l2h.search.hull.folder import (
    FORMAT,
    STATE,
    FolderError,
    append_line,
    open_folder,
    parse_state,
    write_state,
)
from ase_l2h.search.hull.system import HullSystem, hull_system
from ase_l2h.search.population.evaluator import Candidate
from ase_l2h.search.population.rounds import (
    METHODS,
    CompositionSearch,
    HullSettings,
    exchanged,
)
from ase_l2h.weights.load import Weights, load_weights

__all__ = [
    "DEFAULT_BUDGET",
    "DEFAULT_WEIGHTS",
    "METHODS",
    "FolderError",
    "HullResult",
    "HullSearch",
    "find_hull",
]

# Optimizers of different taste: some place the elements, others know more packings.
DEFAULT_WEIGHTS = "gupta-alloys+gupta-agau+lj-icosahedral+lj"
DEFAULT_BUDGET = 1_000_000
# Lattice constant of an fcc crystal with nearest neighbours 1 apart.
SQRT2 = 2**0.5


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
        The learned optimizer's; None with method ``"bh"``.
    folder
        Where to keep what is found; nothing is kept when None.
    update
        Add ``settings.budget`` to that of the search in the folder.
    devices
        JAX devices of this process that share the work; the default one when None.

    Raises
    ------
    ValueError
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
        devices: Sequence[Device] | None = None,
    ) -> None:
        self.system, self.weights, self.folder = system, weights, folder
        self.seconds = 0.0
        self._begun = time.monotonic()
        state = self._opened(self._identity(settings), settings.budget, update)
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
            templates=ordered_packings(system.n_atoms),
            share=(jax.process_index(), processes),
            exchange=exchanged if processes > 1 else None,
            devices=devices,
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

    def _opened(
        self, identity: dict[str, Any], budget: int, update: bool
    ) -> dict[str, Any] | None:
        """What the folder holds, the same for every process."""
        wanted = json.dumps([identity, budget, update, str(self.folder)])
        digest = hashlib.sha256(wanted.encode()).digest()
        if len(set(joint(lambda: digest, bytes)[1])) > 1:
            raise ValueError(
                "the processes were started with different arguments; give all the same"
            )
        folder = self.folder
        if folder is None:
            return None
        path = folder / STATE
        state, messages = joint(
            lambda: open_folder(folder, identity) if is_first_process() else None,
            lambda state: b"" if state is None else path.read_bytes(),
        )
        if is_first_process() or not messages[0]:
            return state
        return parse_state(messages[0], path)

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
        """One round, then everything to the folder; how many compositions fell.

        Raises
        ------
        FolderError
            When the folder cannot be written.
        """
        fallen = self.search.advance()
        now = time.monotonic()
        self.seconds += now - self._begun
        self._begun = now
        joint(lambda: self._save(fallen))
        return fallen

    def _save(self, fallen: int) -> None:
        if self.folder is None or not is_first_process():
            return
        search = self.search
        entries = [e for pool in search.pools.values() for e in pool.entries]
        numbers = {
            "rounds": search.rounds,
            "quiet": search.quiet,
            "budget": self.settings.budget,
            "seconds": round(self.seconds, 3),
        }
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
        try:
            # The line first: a search killed in between writes it again.
            append_line(self.folder, line, search.rounds)
            write_state(self.folder, entries, search.charged, numbers)
        except OSError as error:
            raise FolderError(
                f"cannot write in the folder {self.folder} ({error.strerror}); make "
                "room and run the same again, it continues after the last round kept "
                "there"
            ) from error

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


def ordered_packings(n_atoms: int) -> list[np.ndarray]:
    """Icosahedron, decahedron and fcc octahedron with room for fragments.

    Each ``(k, 3)`` with nearest neighbours about 1 apart, at least four times as many
    atoms as asked for, built by :mod:`ase.cluster`.
    """
    shells = 3
    while True:
        pieces = [
            Icosahedron("Au", shells, latticeconstant=SQRT2),
            Decahedron("Au", shells + 1, shells + 1, 0, latticeconstant=SQRT2),
            Octahedron("Au", 2 * shells, latticeconstant=SQRT2),
        ]
        if min(map(len, pieces)) >= 4 * n_atoms:
            return [p.positions - p.positions.mean(axis=0) for p in pieces]
        shells += 1


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
    devices: int = 1,
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
        ``"hybrid"``, ``"learned"`` or ``"bh"``, see
        :class:`~ase_l2h.search.population.rounds.HullSettings`.
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
    devices
        How many JAX devices of this process share the work. Several processes
        (``jax.distributed``) share the compositions; all call this alike.
    progress
        Called with the search and the number of compositions that fell, after every
        round. It may raise KeyboardInterrupt to end the search.

    Returns
    -------
    HullResult
        Also after Ctrl-C.

    Raises
    ------
    ValueError
        For anything impossible; one sentence says what to do, and nothing is lost.
    FolderError
        When the folder cannot be written any more.
    """
    listed = None if compositions is None else list(compositions)

    def prepared() -> tuple[HullSystem, HullSettings, Weights | None]:
        chosen = system
        if isinstance(chosen, str):
            if n_atoms is None:
                raise ValueError("the number of atoms is missing; give n_atoms")
            chosen = hull_system(
                chosen, n_atoms, potential=potential, parameters=parameters
            )
        settings = HullSettings(
            compositions=chosen.species_counts(listed),
            method=method,
            budget=budget,
            seed=seed,
        )
        if method == "bh":
            if weights is not None:
                raise ValueError("method 'bh' uses no weights; leave them out")
            return chosen, settings, None
        return chosen, settings, load_weights(weights or DEFAULT_WEIGHTS)

    if max_seconds is not None and not max_seconds > 0:
        raise ValueError(f"max_seconds is {max_seconds}; give a time above 0")
    search = HullSearch(
        *joint(prepared)[0],
        None if folder is None else Path(folder),
        update=update,
        devices=joint(lambda: local_devices(devices))[0],
    )
    deadline = math.inf if max_seconds is None else time.monotonic() + max_seconds
    ended = search.search.finished

    def looked(fallen: int) -> bool:
        if progress is not None:
            progress(search, fallen)
        return time.monotonic() > deadline

    try:
        while ended is None:
            fallen = search.advance()
            ended = search.search.finished
            # Processes end together: one that is late makes all late.
            _, late = joint(lambda fallen=fallen: looked(fallen), lambda x: bytes([x]))
            if ended is None and any(map(any, late)):
                ended = "time"
    except KeyboardInterrupt:
        ended = "interrupted"
    return search.result(ended)
