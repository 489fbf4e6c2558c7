"""The rounds of a hull search: its compositions side by side, its folder."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from ase_l2h._internal.processes import joint
from ase_l2h.errors import InputError
from ase_l2h.search.auto.improve import SAME
from ase_l2h.search.auto.method import Auto
from ase_l2h.search.callers import Calls
from ase_l2h.search.checking import check_lowest
from ase_l2h.search.driver import engine_for
from ase_l2h.search.hull.folder import HullFolder
from ase_l2h.search.hull.neighbours import visitors_of
from ase_l2h.search.hull.settings import HullResult, HullSettings
from ase_l2h.search.hull.share import entries_of, hull_method, put_back, run_of
from ase_l2h.search.hull.system import HullSystem
from ase_l2h.search.hull.team import Team
from ase_l2h.search.ledger import Ledger
from ase_l2h.search.method import CUT_SHORT, SearchRun, State
from ase_l2h.weights.load import Weights

__all__ = ["HullSearch"]


def _present(entry: dict[str, Any]) -> dict[str, Any]:
    """All that a composition has been charged and has seen."""
    return entry["ledger"] if entry["tail"] is None else entry["tail"]


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
        The learned optimizer's; None without one.
    folder
        Where to keep what is found; nothing is kept when None.
    update
        Add ``settings.budget`` to that of the search in the folder.
    backend, calls
        See :func:`~ase_l2h.search.driver.engine_for`.
    workers
        Processes of this machine that share the compositions, for compiled potentials.
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
        folder: str | Path | None = None,
        *,
        update: bool = False,
        backend: str = "auto",
        calls: Calls | None = None,
        workers: int = 1,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.system, self.weights, self.backend = system, weights, backend
        # Refuse what cannot run before the folder is made.
        first = system.problem(settings.compositions[-1])
        if workers > 1 and first.measure is not None:
            raise InputError(
                "workers share the compositions of a compiled potential; give calls, "
                "which share those of a calculator"
            )
        self.engine = engine_for(first, backend, calls=calls)
        self.method: Auto = hull_method(system, settings, weights)
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
        self._interrupted = interrupted
        self.run: SearchRun | None = None
        if self.own:
            self.run = run_of(
                system, settings, self.method, self.engine, self.own, interrupted
            )
        # The processes that share the compositions from the second round on.
        self._workers, self._team = workers, None
        if stored is not None:
            self._restore(stored, update)

    def _identity(self, settings: HullSettings) -> dict[str, Any]:
        """What a folder and a search must have in common."""
        chosen = dataclasses.asdict(settings)
        del chosen["budget"], chosen["patience"]
        return {
            "kind": "hull",
            "system": self.system.name,
            "n": self.system.n_atoms,
            "parameters": self.system.parameters,
            "potential": self.system.told(),
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
        put_back(self.run, [self.known[m] for m in self.own], stored["budget"])
        for m, search in zip(self.own, self.run.searches, strict=True):
            self.known[m]["stopped"] = search.stopped

    @property
    def finished(self) -> str | None:
        """Why nothing is left to do, ``"budget"`` or ``"settled"``, or None."""
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
        # Two relaxations of one minimum differ by less.
        fallen = sum(
            after[m]
            < before.get(m, math.inf) - SAME * self.system.problem(m).energy_unit
            for m in after
        )
        self.rounds += 1
        self.quiet = 0 if fallen else self.quiet + 1
        self.seconds += time.monotonic() - begun
        if any(entry["stopped"] in CUT_SHORT for entry in self.known.values()):
            # The folder keeps whole rounds only.
            return fallen
        self._introduce()
        joint(lambda: self._save(fallen))
        return fallen

    def leave_saddles(self) -> None:
        """Go down from lowest structures that are saddle points, within the budget.

        This is not kept in the folder: a search that is continued does it again.
        """
        entries, messages = joint(self._left_saddles, self.folder.packed_entries)
        self.known |= entries if len(messages) == 1 else self.folder.unpacked(messages)

    def _left_saddles(self) -> dict[int, dict[str, Any]]:
        entries: dict[int, dict[str, Any]] = {}
        if self.run is None:
            return entries
        for m, search in zip(self.own, self.run.searches, strict=True):
            check_lowest(self.run, search)
            ledger = dataclasses.asdict(search.present)
            entries[m] = self.known[m] | {"ledger": ledger, "tail": None}
        return entries

    def _round(self, seconds: float) -> dict[int, dict[str, Any]]:
        """A round of this process's compositions; what there is of them then."""
        if self.run is None:
            return {}
        if self.rounds and self._workers > 1:
            self._advance_team(self.run, seconds)
        else:
            self.run.advance(seconds)
        return entries_of(self.run, self.own)

    def _advance_team(self, run: SearchRun, seconds: float) -> None:
        """A round in other processes; what none of them completes is done here."""
        budget = self.settings.budget
        if self._team is None:
            self._team = Team(
                *(self._workers, self.system, self.settings, self.weights),
                self.backend,
            )
        entries = entries_of(run, self.own)
        going = {m: e for m, e in entries.items() if e["stopped"] is None}
        begun = time.monotonic()
        done = self._team.advance(going, budget, seconds, self._interrupted)
        put_back(run, list((entries | done).values()), budget)
        if len(done) < len(going):
            # A process was killed, or the search was interrupted.
            left = [m for m in going if m not in done]
            part = run_of(
                *(self.system, self.settings, self.method, self.engine, left),
                self._interrupted,
            )
            put_back(part, [entries[m] for m in left], budget)
            part.advance(seconds - (time.monotonic() - begun))
            for m, search in zip(left, part.searches, strict=True):
                run.searches[self.own.index(m)] = search

    def close(self) -> None:
        """End the processes that share the compositions."""
        if self._team is not None:
            self._team.close()

    def _energies(self) -> dict[int, float]:
        return {m: _present(entry)["energy"] for m, entry in self.known.items()}

    def _introduce(self) -> None:
        """Show every composition its neighbours' lowest structures."""
        if "neighbours" in self.method.without:
            return
        # The order must not depend on which process sent them.
        self.known = dict(sorted(self.known.items()))
        pools = {m: entry["state"]["pool"] for m, entry in self.known.items()}
        lengths = {
            m: entry["state"].get("length") or self.system.problem(m).length
            for m, entry in self.known.items()
        }
        species = {m: self.system.species(m) for m in pools}
        for m, entry in self.known.items():
            rng = np.random.default_rng([self.settings.seed, self.rounds, m, 1])
            known = entry["state"].get("introduced", np.zeros(0))
            visitors = visitors_of(m, pools, species, lengths, rng, known)
            state: State = entry["state"] | {
                "visitors": visitors,
                "introduced": np.concatenate([known, visitors["energies"]]),
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
        structures, fell = {}, {}
        for m in self.settings.compositions:
            best = self._best(m)
            if best is not None and best.positions is not None and best.relaxed:
                fell[self.system.ones(m)] = self._last_fall(m, best)
                structures[self.system.ones(m)] = self._atoms(
                    m, best.energy, best.positions
                )
        return HullResult(
            system=self.system,
            structures=dict(sorted(structures.items())),
            charged={self.system.ones(m): count for m, count in self.charged().items()},
            fell=fell,
            rounds=self.rounds,
            ended=ended,
            seconds=self.seconds,
            settings=self._identity(self.settings)
            | {"budget": self.settings.budget, "patience": self.settings.patience},
        )

    def _last_fall(self, m: int, best: Ledger) -> int:
        """Charged evaluations at the last fall that is more than rounding."""
        lowest = best.energy + SAME * self.system.problem(m).energy_unit
        return next(count for count, energy in best.course if energy <= lowest)

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
