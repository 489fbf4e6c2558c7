"""Lowest structures of every composition of a two-element cluster.

Rounds follow one another until the budget is spent or nothing falls any more. In a
round every composition gets

* structures from random starts by a learned optimizer, and fragments of icosahedra,
  decahedra and the fcc lattice;
* structures of its neighbours in composition, with as many atoms turned into the other
  element as it takes, and some of the geometries found anywhere;
* its own structures, of all packings, shaken and with atoms exchanged at random;
* what a learned optimizer makes of them in a short run;

and the best of all these descend by exchanges of unlike atoms and by moves of loosely
bound atoms to vacant sites. The compositions share
batches, so that cores stay busy. Everything random follows from the seed and the number
of the round: a search continues from its last round to the same bits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from ase_l2h._internal.processes import joint
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout.batch import Device
from ase_l2h.search.population.evaluator import (
    SAME,
    Candidate,
    Decorator,
    Pool,
    mark_of,
    transmuted,
)
from ase_l2h.search.population.vacancies import rearranged
from ase_l2h.weights.load import Weights

__all__ = ["METHODS", "CompositionSearch", "HullSettings", "exchanged"]

METHODS = ("hybrid", "learned", "bh")
# Structures of a composition that descend by exchanges in one round, of either kind.
DESCENTS = 4
# Structures of a composition that are shaken in one round.
SHAKES = 4
# Learned hops of a composition in one round, and their steps: short ones keep part of
# what the structure was.
HOPS = 16
HOP_STEPS = 80
# Only those within this (energy scales) of the composition's best are worth it.
WINDOW = 4.0

# Candidates of a round and charged evaluations by number of atoms of species 1.
Share = tuple[list[Candidate], np.ndarray]
# Fragments of ordered packings per composition and round.
FRAGMENTS = 4

Exchange = Callable[[Callable[[], Share]], Share]


@dataclasses.dataclass(frozen=True)
class HullSettings:
    """What the result of a hull search depends on.

    Parameters
    ----------
    compositions
        Numbers of atoms of the second element to search.
    method
        ``"hybrid"``; ``"learned"``, without shakes and neighbours; or ``"bh"``, the
        same without learned optimizer: random starts are relaxed instead.
    budget
        Charged evaluations per composition.
    patience
        Rounds without a lower energy anywhere after which the search ends.
    seed
        Everything random follows from it.
    starts
        Learned starts per composition and round.
    pool
        Distinct structures kept per composition and niche, see
        :class:`~ase_l2h.search.population.evaluator.Pool`.
    """

    compositions: tuple[int, ...]
    method: str = "hybrid"
    budget: int = 400_000
    patience: int = 15
    seed: int = 0
    starts: int = 8
    pool: int = 4

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(
                f"no method named '{self.method}'; choose one of {', '.join(METHODS)}"
            )
        if not self.compositions:
            raise ValueError("no composition is asked for; give one or more")
        for name in ("budget", "patience", "starts", "pool"):
            if not 1 <= getattr(self, name) <= 10**12:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 to 10^12")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"the seed is {self.seed}; give 0 to 2^32 - 1")


class CompositionSearch:
    """The search itself: pools of structures, advanced round by round.

    Parameters
    ----------
    potential
        Of two species, 0 and 1.
    n_atoms
        Size of the clusters.
    settings
        What to do.
    weights
        The learned optimizer's.
    templates
        Large pieces of ordered packings, ``(k, 3)`` with nearest neighbours at distance
        1: fragments of them are starting structures too.
    share
        This process's number and how many processes share the compositions.
    exchange
        Called with what does this process's share of a round; returns the candidates
        and charges of all processes.
    devices
        See :class:`~ase_l2h.search.population.evaluator.Decorator`.
    """

    def __init__(
        self,
        potential: Potential,
        n_atoms: int,
        settings: HullSettings,
        weights: Weights | None,
        *,
        templates: Sequence[np.ndarray] = (),
        share: tuple[int, int] = (0, 1),
        exchange: Exchange | None = None,
        devices: Sequence[Device] | None = None,
    ) -> None:
        self.settings, self.n = settings, n_atoms
        self.weights = weights
        self.decorator = Decorator(potential, n_atoms, devices)
        self.pools: dict[int, Pool] = {}
        for m in settings.compositions:
            unit = self.decorator.units(m)[1]
            self.pools[m] = Pool(settings.pool, SAME * unit, window=WINDOW * unit)
        self.templates = templates
        self.share, self.exchange = share, exchange
        self.rounds = 0
        # Rounds since anything fell.
        self.quiet = 0
        # Charged evaluations by number of atoms of species 1, (n + 1,).
        self.charged = np.zeros(n_atoms + 1, np.int64)

    @property
    def finished(self) -> str | None:
        """Why there is nothing left to do: ``"budget"``, ``"settled"`` or None."""
        if not self._open():
            return "budget"
        return "settled" if self.quiet >= self.settings.patience else None

    def _open(self) -> list[int]:
        """Compositions with budget left."""
        chosen = self.settings.compositions
        return [m for m in chosen if self.charged[m] < self.settings.budget]

    def best(self, composition: int) -> Candidate | None:
        """The lowest structure of a composition, None before there is one."""
        entries = self.pools[composition].entries
        return entries[0] if entries else None

    def advance(self) -> int:
        """One round; how many compositions fell."""
        process, processes = self.share
        mine = self._open()[process::processes]
        work = lambda: self._round(mine)
        polished, charges = work() if self.exchange is None else self.exchange(work)
        self.charged = self.charged + charges
        fallen = set()
        length = self.decorator.units(0)[0]
        for candidate in sorted(polished, key=lambda c: (c.composition(), c.energy)):
            m = candidate.composition()
            if self.pools[m].add(candidate, length):
                fallen.add(m)
        self.rounds += 1
        self.quiet = 0 if fallen else self.quiet + 1
        return len(fallen)

    def _round(self, mine: Sequence[int]) -> Share:
        """What a round finds of these compositions, and what that was charged."""
        self.decorator.charged[:] = 0
        if not mine:
            return [], self.decorator.charged.copy()
        method = self.settings.method
        # Composition by composition, whoever works on it.
        rngs = {m: self._generator(m) for m in mine}
        fresh = self._from_random_starts(rngs)
        known: list[Candidate] = []
        if method != "learned":
            fresh += self._from_templates(rngs)
            if self.rounds > 0:
                known += self._from_known(rngs)
        if method == "hybrid" and self.rounds > 0:
            known += self._hopped(rngs)
        # Each kind by itself: structures that descend from refined ones lie lower than
        # fresh ones with their elements at random, whatever those may become.
        descended = self.decorator.descend(
            self._shortlist(mine, fresh) + self._shortlist(mine, known)
        )
        if method != "learned":
            moved = rearranged(self.decorator, descended)
            lower = [c for c, d in zip(moved, descended, strict=True) if c is not d]
            descended = moved + self.decorator.descend(lower)
        polished = self.decorator.polish(
            self._worth_keeping(mine, descended + fresh + known)
        )
        return polished, self.decorator.charged.copy()

    def _generator(self, m: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, self.rounds, m])

    def _from_random_starts(
        self, rngs: Mapping[int, np.random.Generator]
    ) -> list[Candidate]:
        rows, seeds = [], []
        rule = None if self.weights is None else self.weights.rule
        starts = in_turn(self.settings.starts, rule)
        for m, rng in rngs.items():
            kinds = np.repeat([0, 1], [self.n - m, m])
            rows += [rng.permutation(kinds) for _ in range(starts)]
            seeds += [int(rng.integers(2**31))]
        species = np.stack(rows, axis=1)
        steps = 0 if self.weights is None else self.weights.horizon
        return self.decorator.explore(rule, species, steps, seeds)

    def _hopped(self, rngs: Mapping[int, np.random.Generator]) -> list[Candidate]:
        """Where short runs of the learned optimizer lead from known structures."""
        assert self.weights is not None
        rule = self.weights.for_horizon(HOP_STEPS).rule
        species, positions = [], []
        for m, rng in rngs.items():
            length = self.decorator.units(m)[0]
            for source in self._own(m, rng, in_turn(HOPS, rule)):
                scale = rng.uniform(0.1, 0.4) * length
                noise = rng.normal(scale=scale, size=source.positions.shape)
                species.append(source.species)
                positions.append(source.positions + noise)
        if not species:
            return []
        return self.decorator.follow(
            rule, np.stack(species, axis=1), np.stack(positions, axis=-1), HOP_STEPS
        )

    def _from_templates(
        self, rngs: Mapping[int, np.random.Generator]
    ) -> list[Candidate]:
        """Relaxed fragments of ordered packings, their elements placed at random."""
        if not self.templates:
            return []
        species, positions = [], []
        for m, rng in rngs.items():
            length = self.decorator.units(m)[0]
            kinds = np.repeat([0, 1], [self.n - m, m])
            for _ in range(FRAGMENTS):
                template = self.templates[int(rng.integers(len(self.templates)))]
                positions.append(length * fragment(template, self.n, rng))
                species.append(rng.permutation(kinds))
        return self.decorator.relax(
            np.stack(species, axis=1), np.stack(positions, axis=-1)
        )

    def _from_known(self, rngs: Mapping[int, np.random.Generator]) -> list[Candidate]:
        """Neighbours, geometries from anywhere, and shaken structures."""
        species, positions = [], []
        library = [e for pool in self.pools.values() for e in pool.entries]
        for m, rng in rngs.items():
            sources = [
                entry
                for other in (m - 2, m - 1, m + 1, m + 2)
                if other in self.pools
                for entry in self._leaders(other, rng)
            ]
            picks = rng.choice(len(library), min(3, len(library)), replace=False)
            sources += [library[int(k)] for k in picks]
            sources = [s for s in sources if s.composition() != m]
            for source, costs in zip(
                sources, self.decorator.flips(sources), strict=True
            ):
                species.append(transmuted(source, costs, m, rng))
                positions.append(self._rescaled(source, m))
            for source in self._own(m, rng, SHAKES):
                kinds, places = self._shaken(source, rng)
                species.append(kinds)
                positions.append(places)
        if not species:
            return []
        return self.decorator.relax(
            np.stack(species, axis=1), np.stack(positions, axis=-1)
        )

    def _leaders(self, m: int, rng: np.random.Generator) -> list[Candidate]:
        """The two lowest structures of a pool, and one that leads another niche."""
        pool = self.pools[m]
        others = [e[0] for e in pool.niches().values()]
        others = [e for e in others if all(e is not low for low in pool.entries[:2])]
        picked = [others[int(rng.integers(len(others)))]] if others else []
        return pool.entries[:2] + picked

    def _own(self, m: int, rng: np.random.Generator, count: int) -> list[Candidate]:
        """Structures to begin from: of all that are kept, and of niches at random.

        The low ones more often.
        """
        pool = self.pools[m]
        if not pool.entries:
            return []
        niches = list(pool.niches().values())
        drawn = [niches[int(k)] for k in rng.integers(len(niches), size=count // 2)]
        ranks = rng.geometric(0.35, size=count) - 1
        sources = [pool.entries] * (count - len(drawn)) + drawn
        return [
            entries[min(int(rank), len(entries) - 1)]
            for entries, rank in zip(sources, ranks, strict=True)
        ]

    def _shaken(
        self, source: Candidate, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Atoms exchanged at random, or moved: all a little, or a few to new places."""
        species, positions = source.species.copy(), source.positions.copy()
        length = self.decorator.units(source.composition())[0]
        ones, zeros = np.flatnonzero(species == 1), np.flatnonzero(species == 0)
        kind = rng.integers(3) if len(ones) and len(zeros) else 1 + rng.integers(2)
        if kind == 0:
            count = int(rng.integers(1, 1 + min(4, len(ones), len(zeros))))
            species[rng.choice(ones, count, replace=False)] = 0
            species[rng.choice(zeros, count, replace=False)] = 1
        elif kind == 1:
            positions = positions + rng.normal(
                scale=0.25 * length, size=positions.shape
            )
        else:
            self._move_loose_atoms(positions, length, rng)
        return species, positions

    def _move_loose_atoms(
        self, positions: np.ndarray, length: float, rng: np.random.Generator
    ) -> None:
        """Put the one to three atoms with the fewest neighbours elsewhere outside."""
        difference = positions[:, :, None] - positions[:, None, :]
        near = np.sum(difference**2, axis=0) < (1.25 * length) ** 2
        loose = np.argsort(near.sum(axis=0) + rng.uniform(size=self.n), kind="stable")
        centre = positions.mean(axis=1, keepdims=True)
        radius = np.linalg.norm(positions - centre, axis=0).max()
        for atom in loose[: int(rng.integers(1, 4))]:
            direction = rng.normal(size=3)
            direction /= np.linalg.norm(direction)
            positions[:, atom] = centre[:, 0] + radius * direction

    def _rescaled(self, source: Candidate, m: int) -> np.ndarray:
        """A source's positions with the mean bond length of another composition."""
        ratio = (
            self.decorator.units(m)[0] / self.decorator.units(source.composition())[0]
        )
        return source.positions * ratio

    def _shortlist(
        self, targets: Sequence[int], candidates: Sequence[Candidate]
    ) -> list[Candidate]:
        """Which candidates descend: low ones that are new, of several niches."""
        chosen: list[Candidate] = []
        alone = len(self.settings.compositions) == 1
        for m in targets:
            # Beside alloys, whose packings they get, pure clusters are found anyway.
            if m in (0, self.n) and not alone:
                continue
            unit = self.decorator.units(m)[1]
            new = self._new(m, candidates)
            lowest = min([self.pools[m].energy, *(c.energy for c in new[:1])])
            new = [c for c in new if c.energy <= lowest + WINDOW * unit]
            chosen += self._several(m, new)
        return chosen

    def _new(
        self,
        m: int,
        candidates: Sequence[Candidate],
        wanted: Callable[[Candidate], bool] = lambda _: True,
    ) -> list[Candidate]:
        """Wanted candidates unlike each other and the pool's, lowest first."""
        unit = self.decorator.units(m)[1]
        known = [e.energy for e in self.pools[m].entries]
        new: list[Candidate] = []
        mine = (c for c in candidates if c.composition() == m)
        for candidate in sorted(mine, key=lambda c: c.energy):
            unlike = all(abs(candidate.energy - e) >= 1e-3 * unit for e in known)
            if unlike and wanted(candidate):
                known.append(candidate.energy)
                new.append(candidate)
        return new

    def _several(self, m: int, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The first of these and the first of every other niche, then the next ones."""
        length = self.decorator.units(m)[0]
        niches = [mark_of(c.positions, length).niche for c in candidates]
        first = {niche: k for k, niche in reversed(list(enumerate(niches)))}
        order = sorted(range(len(candidates)), key=lambda k: (k != first[niches[k]], k))
        return [candidates[k] for k in order[:DESCENTS]]

    def _worth_keeping(
        self, targets: Sequence[int], candidates: Sequence[Candidate]
    ) -> list[Candidate]:
        """Candidates that would enter a pool, not more than four of a composition."""
        kept = []
        for m in targets:
            pool = self.pools[m]
            length = self.decorator.units(m)[0]
            new = self._new(m, candidates, lambda c, p=pool, d=length: p.wants(c, d))
            kept += self._several(m, new)
        return kept


def in_turn(count: int, rule: Any) -> int:
    """``count`` or a few more: as many structures for each rule of a portfolio.

    Which rule a structure gets then depends on no other composition.
    """
    rules = len(rule) if isinstance(rule, tuple) else 1
    return -(-count // rules) * rules


def fragment(
    template: np.ndarray, n_atoms: int, rng: np.random.Generator
) -> np.ndarray:
    """The atoms of ``template`` nearest to a point near its middle, ``(3, n)``.

    Nearest in an ellipsoid of random shape along z, the axis of a decahedron.
    """
    centre = template.mean(axis=0) + rng.uniform(-0.8, 0.8, size=3)
    # On the axis one time in two: there the centre has a symmetry to keep.
    centre[:2] *= rng.integers(2)
    offset = template - centre
    offset[:, 2] *= rng.uniform(0.75, 1.35)
    nearest = np.argsort(np.sum(offset**2, axis=1), kind="stable")[:n_atoms]
    chosen = template[nearest]
    return (chosen - chosen.mean(axis=0)).T


def exchanged(work: Callable[[], Share]) -> Share:
    """Candidates and summed charges of all processes, ``work`` being this one's."""
    _, messages = joint(work, _packed)
    together: list[Candidate] = []
    charges = []
    for message in messages:
        arrays = load(message)
        charges.append(arrays.pop("charges"))
        rows = (arrays[name] for name in ("energies", "species", "positions"))
        together += [
            Candidate(float(energy), species, positions)
            for energy, species, positions in zip(*rows, strict=True)
        ]
    return together, np.sum(charges, axis=0)


def _packed(share: Share) -> bytes:
    """In double precision, which JAX would round."""
    candidates, charges = share
    shape = (len(candidates), 3, len(charges) - 1)
    positions = np.empty(shape)
    species = np.empty((shape[0], shape[2]), np.int64)
    for k, candidate in enumerate(candidates):
        species[k], positions[k] = candidate.species, candidate.positions
    energies = np.array([c.energy for c in candidates], float)
    return save(
        {
            "energies": energies,
            "species": species,
            "positions": positions,
            "charges": np.asarray(charges, np.int64),
        }
    )
