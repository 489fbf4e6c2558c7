"""What the potential that the default learns does for searches of an alloy by EMT.

    python -m benchmarks.hits.proposal

`auto` searches Ag13Cu13 with calls of ASE's EMT, from atoms at random places, once for
each seed from 77 on. Proposals of the part `surrogate` are watched that the search of
the learned potential ended in; those beside a held structure are left out. In every
search the one counts by which its lowest energy fell most. Of these the one with the
lowest minimum is chosen, and where minima are the same, the one of the largest fall.
The one line of ``benchmarks/records/proposal.jsonl`` has the minimum before, how the
lowest energy fell in the search of the learned potential, what was proposed, and what
EMT made of it. ``python -m benchmarks.pages proposal`` draws it.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from tqdm import tqdm

from ase_l2h._internal.records import Records
from ase_l2h.analysis.motif import motif
from ase_l2h.analysis.symmetry import point_group
from ase_l2h.ase_adapter.front import search
from ase_l2h.search.auto import surrogate
from ase_l2h.search.auto.pool import Pool
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.ledger import State
from ase_l2h.search.limits import Limits
from ase_l2h.search.method import Method, SearchRun
from ase_l2h.search.problem import Problem
from benchmarks import paths
from benchmarks.peers.clusters import random_metal

__all__ = ["KEY", "RECORDS", "measured"]

RECORDS = paths.RECORDS / "proposal.jsonl"
# Seeds from ``seed`` on; an attempt does not end within so many calls.
KEY = {"cluster": "Ag13Cu13", "method": "auto", "seed": 77, "seeds": 12, "calls": 600}
# Decimals of positions (A) and energies (eV), and those by which minima are the same.
PLACES, DIGITS, SAME = 4, 6, 3


class Fall(NamedTuple):
    """A lower energy in a search of the learned potential."""

    evaluations: int
    energy: float
    positions: np.ndarray


class Proposal(NamedTuple):
    """The lowest minimum before (EMT), what was proposed, and what that took.

    ``learned`` are energies of these two by the learned potential. It was fitted to so
    many ``structures``: the ``minima`` that are held, and what was relaxed roughly.
    """

    energy: float
    before: np.ndarray
    proposed: np.ndarray
    learned: np.ndarray
    path: list[Fall]
    evaluations: int
    structures: int
    minima: int


class Observer:
    """Sees the proposals of one search, and keeps the one that brought most."""

    def __init__(self) -> None:
        self.inner: Evaluator | None = None
        self.path: list[Fall] = []
        self.pending: Proposal | None = None
        self.charged = 0
        self.fall = 0.0
        self.best: dict[str, Any] = {}
        self._proposed = surrogate.proposed

    def evaluator(self, problem: Problem, submit: Any, **options: Any) -> Evaluator:
        """One that notes every fall, where it has a limit, as that of the search."""
        if options.get("limit") is None:
            return Evaluator(problem, submit, **options)
        self.path = path = []

        class Watched(Evaluator):
            def note(self, energy: float, positions: np.ndarray, *told: Any) -> None:
                super().note(energy, positions, *told)
                if energy < min((fall.energy for fall in path), default=np.inf):
                    path.append(Fall(self.charged, float(energy), np.array(positions)))

        self.inner = Watched(problem, submit, **options)
        return self.inner

    def proposed(
        self,
        model: surrogate.Model,
        method: Method,
        pool: Pool,
        known: State,
        *drawn: Any,
    ) -> np.ndarray:
        """As the part does, and remember it until its round has ended."""
        self.inner = None
        made = self._proposed(model, method, pool, known, *drawn)
        if self.inner is None or not len(pool):
            return made
        both = np.stack([pool.positions[..., 0], made[..., 0]], axis=-1)
        learned = model.evaluator().energies(both)
        if not self.path or learned[1] > self.path[-1].energy + 10**-SAME:
            # A neighbour of what is held: the search has not found it.
            return made
        self.pending = Proposal(
            energy=pool.energy,
            before=both[..., 0],
            proposed=both[..., 1],
            learned=learned,
            path=self.path,
            evaluations=self.inner.charged,
            structures=model.learned,
            minima=len(pool),
        )
        return made

    def on_round(self, run: SearchRun) -> None:
        """A round has ended; it has made one structure."""
        (own,) = run.searches
        proposal, self.pending = self.pending, None
        before, self.charged = self.charged, own.ledger.charged
        if proposal is None:
            return
        pool = own.state["pool"]
        fall = proposal.energy - float(pool["energies"][0])
        if fall > self.fall:
            self.fall = fall
            after = _told(own.problem, pool["positions"][..., 0])
            after["calls"] = self.charged - before
            course = [(n, round(e, DIGITS)) for n, e in own.ledger.course]
            self.best = _line(own.problem, proposal, before)
            self.best |= {"course": course, "after": after}


def _told(problem: Problem, positions: np.ndarray) -> dict[str, Any]:
    """A structure with its energy by EMT, its motif and its point group."""
    atoms = Atoms(list(problem.symbols), positions.T, calculator=EMT())
    return {
        "energy": round(float(atoms.get_potential_energy()), DIGITS),
        "motif": motif(atoms).name,
        "group": point_group(atoms),
        "positions": np.round(positions.T, PLACES).tolist(),
    }


def _line(problem: Problem, proposal: Proposal, spent: int) -> dict[str, Any]:
    """All but what EMT made of it.

    The fit knows no constant: the minimum before has the same energy by both.
    """
    shift = proposal.energy - float(proposal.learned[0])
    learned = lambda energy: round(float(energy) + shift, DIGITS)
    return {
        "symbols": list(problem.symbols),
        "before": {**_told(problem, proposal.before), "calls": spent},
        "learned_from": {
            "structures": proposal.structures,
            "minima": proposal.minima,
        },
        "learned_evaluations": proposal.evaluations,
        "path": [
            {
                "evaluations": fall.evaluations,
                "learned_energy": learned(fall.energy),
                "positions": np.round(fall.positions.T, PLACES).tolist(),
            }
            for fall in proposal.path
        ],
        "proposed": {
            "learned_energy": learned(proposal.learned[1]),
            **_told(problem, proposal.proposed),
        },
    }


def _searched(cluster: str, method: str, seed: int, calls: int) -> dict[str, Any]:
    """One search: its lowest energy, and the proposal by which that fell most."""
    atoms = random_metal(cluster, np.random.default_rng(seed))
    atoms.calc = EMT()
    observer = Observer()
    with mock.patch.multiple(
        surrogate, proposed=observer.proposed, Evaluator=observer.evaluator
    ):
        result = search(
            atoms,
            method=method,
            limits=Limits(evaluations=calls),
            seed=seed,
            on_round=observer.on_round,
        )
    return {
        "seed": seed,
        "lowest": round(result.best_energy, DIGITS),
        "fall": round(observer.fall, DIGITS),
        "best": observer.best,
    }


def measured(
    cluster: str, method: str, seed: int, seeds: int, calls: int
) -> dict[str, Any]:
    """All searches, and the proposal that counts."""
    searches = [
        _searched(cluster, method, own, calls)
        for own in tqdm(range(seed, seed + seeds), unit="search")
    ]
    proposals = [done.pop("best") for done in searches]
    _, _, k = min(
        (round(proposal["after"]["energy"], SAME), -searches[k]["fall"], k)
        for k, proposal in enumerate(proposals)
        if proposal
    )
    return {
        "chosen": searches[k]["seed"],
        **proposals[k],
        "searches": searches,
        "command": "python -m benchmarks.hits.proposal",
    }


def main() -> None:
    """Run it where it has not been run."""
    Records(RECORDS).get(KEY, lambda: measured(**KEY))


if __name__ == "__main__":
    main()
