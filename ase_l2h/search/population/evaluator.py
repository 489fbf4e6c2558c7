"""Structures of one size and any composition: relaxed, decorated, pooled.

A *homotop* is one of the ways to place two elements on the sites of a cluster. What
here is asked for many structures of different compositions is done in one batch: the
species are a per-structure leaf of the system.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.optimizers.rule_steps import rule_optimizers
from ase_l2h.potentials.base import Potential
from ase_l2h.potentials.units import atom_scales, reduced_units, species_units
from ase_l2h.rollout import Rollout, quench
from ase_l2h.rollout.batch import Device
from ase_l2h.rollout.quench import QUENCH_FMAX
from ase_l2h.rules import Lbfgs
from ase_l2h.starts.random import make_starts
from ase_l2h.system import System, make_system

__all__ = ["Candidate", "Change", "Decorator", "Pool", "transmuted"]

# Structures that are run as one array.
CHUNK = 64
# Force (reduced) at which a relaxation of the search ends, and its longest.
LOOSE_FMAX = 5e-3
LOOSE_STEPS = 150
# Energies that differ by less (reduced) are those of one structure.
SAME = 2e-5

# Species ``(n,)`` and positions ``(3, n)`` of a changed structure.
Change = tuple[np.ndarray, np.ndarray]

# Compiled once for all searches.
_energy = jax.jit(
    lambda potential, positions, system: potential.energy(positions, system)
)


class Candidate(NamedTuple):
    """A structure: ``species`` ``(n,)``, ``positions`` ``(3, n)`` and its energy."""

    energy: float
    species: np.ndarray
    positions: np.ndarray

    def composition(self) -> int:
        """Number of atoms of species 1."""
        return int(np.sum(self.species))


class Pool:
    """The lowest distinct structures of one composition, lowest first.

    Structures are kept by *niche*, that is by how many of their bonds have five common
    neighbours: none in close packing, a few along the axis of a decahedron, more in
    icosahedra and most in polyicosahedra. Otherwise the homotops of whichever packing
    is refined first would push out all others before those are refined.

    Parameters
    ----------
    size
        How many are kept of one niche.
    same
        Energies that differ by less are those of one structure.
    per_shape
        How many homotops of one geometry are kept.
    window
        A niche whose lowest structure lies further than this above the lowest of all
        is given up.
    """

    def __init__(
        self, size: int, same: float, per_shape: int = 2, window: float = math.inf
    ) -> None:
        self.size, self.same = size, same
        self.per_shape, self.window = per_shape, window
        self.entries: list[Candidate] = []
        self._marks: list[Mark] = []

    @property
    def energy(self) -> float:
        """The lowest, ``inf`` when there is none."""
        return self.entries[0].energy if self.entries else math.inf

    def niches(self) -> dict[int, list[Candidate]]:
        """Structures by niche, niches and structures in the order of energy."""
        found: dict[int, list[Candidate]] = {}
        for entry, mark in zip(self.entries, self._marks, strict=True):
            found.setdefault(mark.niche, []).append(entry)
        return found

    def wants(self, candidate: Candidate, length: float) -> bool:
        """Whether a candidate would be kept if this were its energy after polishing."""
        energies = [entry.energy for entry in self.entries]
        if not candidate.energy < self.energy + self.window:
            return False
        if any(abs(candidate.energy - e) < self.same for e in energies):
            return False
        mine = self.niches().get(mark_of(candidate.positions, length).niche, [])
        return len(mine) < self.size or candidate.energy < mine[-1].energy

    def add(self, candidate: Candidate, length: float) -> bool:
        """Keep a candidate if it belongs here; whether it is the new lowest."""
        if not np.isfinite(candidate.energy):
            return False
        energies = np.array([entry.energy for entry in self.entries])
        if np.any(np.abs(energies - candidate.energy) < self.same):
            return False
        lower = candidate.energy < self.energy - self.same
        place = int(np.searchsorted(energies, candidate.energy))
        mark = mark_of(candidate.positions, length)
        self.entries.insert(place, candidate)
        self._marks.insert(place, mark)
        self._trim(lambda m: m.shape == mark.shape, self.per_shape)
        self._trim(lambda m: m.niche == mark.niche, self.size)
        lowest = {n: e[0].energy for n, e in self.niches().items()}
        kept = {n for n, e in lowest.items() if e <= self.energy + self.window}
        self._trim(lambda m: m.niche not in kept, 0)
        return lower

    def _trim(self, alike: Callable[[Mark], bool], count: int) -> None:
        """Of the entries that are alike, keep the ``count`` lowest."""
        for k in [k for k, mark in enumerate(self._marks) if alike(mark)][count:][::-1]:
            del self.entries[k], self._marks[k]


# Fewest bonds with five common neighbours of each niche but the first.
NICHES = (1, 6, 15, 25, 33, 41)


class Mark(NamedTuple):
    """A geometry, species ignored: niche, and histogram of coordination numbers."""

    niche: int
    shape: tuple[int, ...]


def mark_of(positions: np.ndarray, length: float) -> Mark:
    """The mark of positions ``(3, n)`` whose bonds are about ``length``."""
    difference = positions[:, :, None] - positions[:, None, :]
    squared = np.sum(difference * difference, axis=0)
    bonded = squared < (1.25 * length) ** 2
    np.fill_diagonal(bonded, False)
    adjacency = bonded.astype(float)
    common = (adjacency @ adjacency)[bonded]
    fivefold = int(np.sum(common == 5)) // 2
    near = bonded.sum(axis=0)
    histogram = np.bincount(np.clip(near, 0, 15), minlength=16)
    return Mark(int(np.searchsorted(NICHES, fivefold, "right")), (*histogram.tolist(),))


def swapped(species: np.ndarray, i: int, j: int) -> np.ndarray:
    """Species with those of atoms i and j exchanged."""
    species = species.copy()
    species[i], species[j] = species[j], species[i]
    return species


class Decorator:
    """Energies and relaxations of candidates of any composition of two elements.

    Every charged evaluation is counted for its composition in ``charged``,
    ``(n + 1,)``.

    Parameters
    ----------
    potential
        A potential of two species.
    n_atoms
        Size of the clusters.
    devices
        That share the work; JAX's default when None.
    """

    def __init__(
        self,
        potential: Potential,
        n_atoms: int,
        devices: Sequence[Device] | None = None,
    ) -> None:
        self.potential, self.n = potential, n_atoms
        self.devices = jax.local_devices()[:1] if devices is None else list(devices)
        self.charged = np.zeros(n_atoms + 1, np.int64)
        self._energy = _energy

    def system(self, species: np.ndarray) -> System:
        """The system of species ``(n, batch)``."""
        length, energy = reduced_units(self.potential, species)
        scales = atom_scales(self.potential, species)
        if scales is None:
            # One structure for all batches: what is compiled once serves for all.
            scales = np.zeros((2, *species.shape))
        return make_system(
            species, length_scale=length, energy_scale=energy, atom_scales=scales
        )

    def units(self, composition: int) -> tuple[float, float]:
        """Length and energy scale of a composition."""
        species = np.repeat([0, 1], [self.n - composition, composition])
        length, energy = reduced_units(self.potential, species)
        return float(length), float(energy)

    @cached_property
    def force_unit(self) -> float:
        """The smallest of all compositions.

        The same for every batch: no result depends on what else is in the batch.
        """
        kinds = len(species_units(self.potential)[0])
        units = [self.units(m) for m in range(self.n + 1 if kinds > 1 else 1)]
        return min(energy / length for length, energy in units)

    def single_points(self, species: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Energies of ``(n, batch)`` and ``(3, n, batch)``, not relaxed."""
        count = species.shape[1]
        values = []
        for first in range(0, count, CHUNK):
            part = np.minimum(np.arange(first, first + CHUNK), count - 1)
            device = self.devices[len(values) % len(self.devices)]
            system = self.system(species[:, part]).astype(jnp.float32)
            places = np.asarray(positions[..., part], np.float32)
            values.append(
                self._energy(*jax.device_put((self.potential, places, system), device))
            )
        # Not before all are under way: devices work side by side.
        energies = np.concatenate([np.asarray(v, float) for v in values])[:count]
        np.add.at(self.charged, species.sum(axis=0), 1)
        return np.where(np.isfinite(energies), energies, np.inf)

    def relax(self, species: np.ndarray, positions: np.ndarray) -> list[Candidate]:
        """Relax ``(n, batch)``, ``(3, n, batch)`` in single precision."""
        if species.shape[1] == 0:
            return []
        run = Rollout(
            RuleOptimizer(Lbfgs(), fmax=LOOSE_FMAX * self.force_unit),
            self.potential,
            self.system(species),
            np.asarray(positions, np.float32),
            jax.random.key(0),  # L-BFGS draws nothing
            device=self.devices,
            size=CHUNK,
        )
        run.advance(LOOSE_STEPS)
        run.evaluate()
        return self._collected(run, species)

    def _collected(self, run: Rollout, species: np.ndarray) -> list[Candidate]:
        np.add.at(self.charged, species.sum(axis=0), run.gather("evaluations"))
        energies, found = run.gather("energy"), run.gather("positions")
        energies = np.where(np.isfinite(energies), energies, np.inf).astype(float)
        return [
            Candidate(float(energies[b]), species[:, b], found[..., b].astype(float))
            for b in range(species.shape[1])
        ]

    def polish(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Relax to the last digits in double precision."""
        if not candidates:
            return []
        species = np.stack([c.species for c in candidates], axis=1)
        relaxed = quench(
            self.potential,
            self.system(species),
            np.stack([c.positions for c in candidates], axis=-1),
            fmax=QUENCH_FMAX * self.force_unit,
            device=self.devices,
            size=CHUNK,
        )
        np.add.at(self.charged, species.sum(axis=0), relaxed.evaluations)
        return [
            Candidate(
                float(relaxed.energy[b]), species[:, b], relaxed.positions[..., b]
            )
            for b in range(len(candidates))
        ]

    def explore(
        self, rule: Any, species: np.ndarray, n_steps: int, seeds: Sequence[int]
    ) -> list[Candidate]:
        """Random starts for species ``(n, batch)``, learned steps, relaxation.

        The batch is made of equal blocks, one for each of ``seeds``. Without ``rule``
        the starts are relaxed as they are.
        """
        system = self.system(species)
        unit = make_system(np.zeros(self.n, int))
        share = species.shape[1] // len(seeds)
        starts = np.concatenate(
            [make_starts(unit, seed, 0, share) for seed in seeds], axis=-1
        )
        starts = starts * np.asarray(system.length_scale)
        if rule is None:
            return self.relax(species, starts)
        return self.follow(rule, species, starts, n_steps)

    def follow(
        self, rule: Any, species: np.ndarray, positions: np.ndarray, n_steps: int
    ) -> list[Candidate]:
        """Learned steps for ``(n, batch)`` from ``(3, n, batch)``, then relaxation.

        Of a learned optimizer's last and lowest point, that with the lower minimum.
        """
        run = Rollout(
            rule_optimizers(rule),
            self.potential,
            self.system(species),
            positions.astype(np.float32),
            jax.random.key(0),  # learned rules draw nothing
            device=self.devices,
            size=CHUNK,
        )
        run.advance(n_steps)
        np.add.at(self.charged, species.sum(axis=0), run.gather("evaluations"))
        final = self.relax(species, run.gather("positions"))
        best = self.relax(species, run.gather("best_positions"))
        return [
            min(pair, key=lambda c: c.energy) for pair in zip(final, best, strict=True)
        ]

    def descend(
        self,
        candidates: Sequence[Candidate],
        *,
        shortlist: int = 24,
        trials: int = 6,
        sweeps: int = 40,
    ) -> list[Candidate]:
        """Exchange unlike atoms while that lowers the energy.

        Every sweep ranks all exchanges by the energies of turning one atom into the
        other element, at fixed positions; takes the energies of the ``shortlist`` best
        exchanges at fixed positions; and relaxes the ``trials`` best of these. The
        lowest is taken if it lies below.
        """
        return self.improve(
            candidates,
            lambda structures: self._exchanges(structures, shortlist),
            trials=trials,
            sweeps=sweeps,
        )

    def improve(
        self,
        candidates: Sequence[Candidate],
        propose: Callable[[Sequence[Candidate]], list[list[Change]]],
        *,
        trials: int,
        sweeps: int,
    ) -> list[Candidate]:
        """Change structures while that lowers their energies.

        Every sweep takes the energies of what ``propose`` makes of each structure (its
        species and positions anew) as it is, relaxes the ``trials`` lowest of these,
        and takes the lowest if it lies below. A structure that did not fall, or of
        which nothing was proposed, is done.
        """
        present = list(candidates)
        active = list(range(len(present)))
        for _ in range(sweeps):
            changes = propose([present[k] for k in active])
            owners = np.repeat(active, [len(mine) for mine in changes])
            if not len(owners):
                break
            species, positions = zip(
                *(c for mine in changes for c in mine), strict=True
            )
            energies = self.single_points(
                np.stack(species, axis=1), np.stack(positions, axis=-1)
            )
            chosen: list[int] = []
            for k in active:
                mine = np.flatnonzero((owners == k) & np.isfinite(energies))
                chosen += mine[
                    np.argsort(energies[mine], kind="stable")[:trials]
                ].tolist()
            if not chosen:
                break
            relaxed = self.relax(
                np.stack([species[c] for c in chosen], axis=1),
                np.stack([positions[c] for c in chosen], axis=-1),
            )
            improved = []
            for k in active:
                of_k = (
                    r for r, c in zip(relaxed, chosen, strict=True) if owners[c] == k
                )
                best = min(of_k, key=lambda c: c.energy, default=present[k])
                unit = self.units(present[k].composition())[1]
                if best.energy < present[k].energy - SAME * unit:
                    present[k] = best
                    improved.append(k)
            active = improved
        return present

    def _exchanges(
        self, structures: Sequence[Candidate], shortlist: int
    ) -> list[list[Change]]:
        """The exchanges of unlike atoms that promise most, of every structure."""
        mixed = [s for s in structures if 0 < s.composition() < self.n]
        gains = iter(self.flips(mixed))
        changes: list[list[Change]] = []
        for structure in structures:
            changes.append([])
            ones = np.flatnonzero(structure.species == 1)
            zeros = np.flatnonzero(structure.species == 0)
            if not (len(ones) and len(zeros)):
                continue
            gain = next(gains)
            sums = gain[zeros][:, None] + gain[ones][None]
            for pair in np.argsort(sums, axis=None, kind="stable")[:shortlist]:
                i, j = np.unravel_index(pair, sums.shape)
                species = swapped(structure.species, int(zeros[i]), int(ones[j]))
                changes[-1].append((species, structure.positions))
        return changes

    def flips(self, structures: Sequence[Candidate]) -> np.ndarray:
        """Energy of turning each atom into the other element, ``(structures, n)``.

        At fixed positions. The energies belong to neighbouring compositions, whose
        charge they are.
        """
        n = self.n
        if not structures:
            return np.zeros((0, n))
        species = np.stack([s.species for s in structures])
        turned = np.repeat(species[:, None], n, axis=1)
        atoms = np.arange(n)
        turned[:, atoms, atoms] = 1 - turned[:, atoms, atoms]
        positions = np.stack([s.positions for s in structures])
        repeated = np.repeat(positions[:, None], n, axis=1)
        energies = self.single_points(
            turned.reshape(-1, n).T, np.moveaxis(repeated.reshape(-1, 3, n), 0, -1)
        )
        base = np.array([s.energy for s in structures])
        return energies.reshape(-1, n) - base[:, None]


def transmuted(
    structure: Candidate,
    costs: np.ndarray,
    composition: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Species with as many atoms turned as ``composition`` needs.

    The atoms whose turning costs least at fixed positions, see :meth:`Decorator.flips`,
    with some chance.
    """
    species = structure.species.copy()
    missing = composition - structure.composition()
    old = 0 if missing > 0 else 1
    sites = np.flatnonzero(species == old)
    spread = np.std(costs[sites]) if len(sites) > 1 else 0.0
    noisy = costs[sites] + 0.3 * spread * rng.normal(size=len(sites))
    species[sites[np.argsort(noisy)[: abs(missing)]]] = 1 - old
    return species
