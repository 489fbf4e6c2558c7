"""Molecules that a search keeps whole: their bonds, and changes that keep them.

Atoms nearer than 1.2 times the sum of their covalent radii are bonded, as with the
natural cut-offs of ASE. Starts put whole molecules beside each other. Changes turn
them, put them elsewhere, and turn parts of them about single bonds outside rings. All
atoms are then relaxed, and a structure that has lost or made a bond is given up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from ase_l2h.search.contacts import Contacts
from ase_l2h.starts.heaps import docked, heaped, turned

if TYPE_CHECKING:
    from ase_l2h.search.evaluator import Evaluator
    from ase_l2h.search.problem import Problem

__all__ = [
    "Molecules",
    "bonds_of",
    "packed",
    "packed_well",
    "rearranged",
    "refused_molecules",
]

# In sums of radii: atoms nearer than BOND are bonded at first; a bond lasts up to
# LASTS; a new bond exists below MADE. The gap avoids decisions near the border.
BOND, LASTS, MADE = 1.2, 1.3, 1.12
# Contact distance of different molecules, in sums of radii: that of a hydrogen bond.
CONTACT = 1.9
# Most tries to find a change that makes and breaks no bond.
TRIES = 20
# The evaluator ranks this many structures, preselected from twice as many; and the
# least difference of two of them, in eV of the crude potential.
SHORTLIST, ALIKE = 6, 2e-3
# Most molecules moved, and most bonds turned about, in one change.
MOST = 2
# Shakes of molecules, in radians and in bond lengths; and of the atoms of a single
# molecule.
TILT, SHIFT, SHAKE = 0.4, 0.3, 0.04


@dataclasses.dataclass(frozen=True, eq=False)
class Molecules:
    """Bonds that last.

    Parameters
    ----------
    radii
        Covalent radius of each atom, ``(n,)``.
    bonds
        Pairs of atoms ``(k, 2)``.
    contacts
        The crude potential between the molecules.
    """

    radii: np.ndarray
    bonds: np.ndarray
    contacts: Contacts

    @cached_property
    def labels(self) -> np.ndarray:
        """The molecule of each atom, ``(n,)``."""
        n = len(self.radii)
        graph = coo_array((np.ones(len(self.bonds)), self.bonds.T), shape=(n, n))
        return connected_components(graph, directed=False)[1]

    @cached_property
    def groups(self) -> list[np.ndarray]:
        """The atoms of each molecule."""
        return [
            np.flatnonzero(self.labels == k) for k in range(int(self.labels.max()) + 1)
        ]

    @cached_property
    def hinges(self) -> list[tuple[int, int, np.ndarray]]:
        """Bonds outside rings, and the atoms ``(k,)`` that turn about each.

        Both sides have other atoms.
        """
        n, found = len(self.radii), []
        for k, (i, j) in enumerate(self.bonds.tolist()):
            others = np.delete(self.bonds, k, axis=0)
            graph = coo_array((np.ones(len(others)), others.T), shape=(n, n))
            labels = connected_components(graph, directed=False)[1]
            if labels[i] == labels[j]:
                continue
            sides = [np.flatnonzero(labels == labels[end]) for end in (i, j)]
            if min(len(side) for side in sides) < 2:
                continue
            # The smaller side turns.
            small = int(len(sides[1]) <= len(sides[0]))
            end, start = ((i, j), (j, i))[small]
            found.append((start, end, sides[small]))
        return found

    @cached_property
    def _limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The largest and smallest distance allowed for each pair, ``(n, n, 1)``."""
        sums = self.radii[:, None] + self.radii
        bonded = np.zeros(sums.shape, bool)
        bonded[tuple(self.bonds.T)] = True
        bonded |= bonded.T
        farthest = np.where(bonded, LASTS * sums, np.inf)
        nearest = np.where(bonded, 0.0, MADE * sums)
        np.fill_diagonal(nearest, 0.0)
        return farthest[..., None], nearest[..., None]

    def whole(self, positions: np.ndarray) -> np.ndarray:
        """Which of ``(3, n, k)`` have these bonds and no others, mask ``(k,)``."""
        apart = _distances(positions)
        farthest, nearest = self._limits
        return np.all((apart <= farthest) & (apart >= nearest), axis=(0, 1))


def bonds_of(positions: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Pairs of atoms ``(k, 2)`` of a structure ``(3, n)`` that are bonded."""
    near = _distances(positions) < BOND * (radii[:, None] + radii)
    return np.argwhere(np.triu(near, 1))


def _distances(positions: np.ndarray) -> np.ndarray:
    """Of all pairs, ``(n, n, ...)`` from ``(3, n, ...)``."""
    return np.linalg.norm(positions[:, :, None] - positions[:, None, :], axis=0)


def refused_molecules(problem: Problem) -> str | None:
    """Why methods that move single atoms refuse a problem; None if they do not."""
    if problem.molecules is None:
        return None
    return (
        "would break the molecules of the structure; choose 'auto', or let it break "
        "them: keep_molecules=False"
    )


def packed(problem: Problem, rng: np.random.Generator, count: int) -> np.ndarray:
    """Molecules of given structures packed at random, ``(3, n, count)``."""
    made = np.empty((3, problem.n_atoms, count))
    for k in range(count):
        given = _given(problem, rng)
        make = partial(_heaped, given, _of(problem), rng)
        made[..., k] = _lowest(given, _of(problem), make, 1)[0]
    return made


def packed_well(
    evaluator: Evaluator, rng: np.random.Generator, count: int
) -> np.ndarray:
    """As :func:`packed`, each the lowest of several by the evaluator."""
    problem = evaluator.problem
    made = np.empty((3, problem.n_atoms, count))
    for k in range(count):
        given = _given(problem, rng)
        make = partial(_heaped, given, _of(problem), rng)
        made[..., k] = _chosen(evaluator, given, make)
    return made


def rearranged(
    evaluator: Evaluator, positions: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Molecules put elsewhere, turned, bent, or all of them shaken.

    For each structure ``(3, n, k)`` the lowest of several changes.
    """
    problem = evaluator.problem
    changed = np.empty(positions.shape)
    for k in range(positions.shape[2]):
        place = positions[..., k]
        make = partial(_changed, place, _of(problem), problem.length, rng)
        changed[..., k] = _chosen(evaluator, place, make, known=place)
    return changed


def _of(problem: Problem) -> Molecules:
    assert problem.molecules is not None
    return problem.molecules


def _given(problem: Problem, rng: np.random.Generator) -> np.ndarray:
    return problem.given[..., int(rng.integers(problem.given.shape[2]))]


def _chosen(
    evaluator: Evaluator,
    lengths: np.ndarray,
    make: Callable[[], np.ndarray],
    known: np.ndarray | None = None,
) -> np.ndarray:
    """The lowest of a shortlist, by the evaluator instead of the crude potential.

    It differs from ``known``.
    """
    molecules = _of(evaluator.problem)
    if len(molecules.groups) == 1:
        return _tried(molecules, make)
    places = np.stack(_lowest(lengths, molecules, make, SHORTLIST, known), axis=-1)
    energies = evaluator.energies(places)
    return places[..., int(np.argmin(energies))]


def _heaped(
    given: np.ndarray, molecules: Molecules, rng: np.random.Generator
) -> np.ndarray:
    """Molecules turned and bent at random, packed one by one."""
    place = np.array(given)
    if molecules.hinges:
        place = _hinged(place, molecules, rng, len(molecules.hinges))
    return heaped(place, molecules.groups, CONTACT * molecules.radii, rng)


def _lowest(
    lengths: np.ndarray,
    molecules: Molecules,
    make: Callable[[], np.ndarray],
    count: int,
    known: np.ndarray | None = None,
) -> list[np.ndarray]:
    """The ``count`` lowest of twice as many structures made by ``make``.

    They are relaxed in the crude potential, with the bonds of ``lengths``; they are
    whole, and differ from each other and from ``known``. A single molecule is not
    relaxed, because the crude potential does not describe it. At least one structure is
    returned, even if none fits.
    """
    if len(molecules.groups) == 1:
        return [_tried(molecules, make) for _ in range(count)]
    relax = molecules.contacts.relaxed
    seen = [] if known is None else [relax(known, lengths)[1]]
    found = []
    for _ in range(2 * count):
        place, energy = relax(_tried(molecules, make), lengths)
        new = all(abs(energy - other) > ALIKE for other in seen)
        if new and molecules.whole(place[..., None])[0]:
            seen.append(energy)
            found.append((energy, place))
    found.sort(key=lambda pair: pair[0])
    return [place for _, place in found[:count]] or [_tried(molecules, make)]


def _tried(molecules: Molecules, change: Callable[[], np.ndarray]) -> np.ndarray:
    """The first change that keeps all bonds, or the last one."""
    place = change()
    for _ in range(TRIES):
        if molecules.whole(place[..., None])[0]:
            break
        place = change()
    return place


def _changed(
    place: np.ndarray, molecules: Molecules, length: float, rng: np.random.Generator
) -> np.ndarray:
    """One change of a structure ``(3, n)``."""
    count, place = len(molecules.groups), np.array(place)
    several = ["docked", "turned", "shaken"] if count > 1 else []
    kind = rng.choice([*several, *(["hinged"] if molecules.hinges else [])] or ["none"])
    chosen = rng.permutation(count)[: int(rng.integers(1, MOST + 1))]
    if kind == "hinged":
        turns = int(rng.integers(1, min(MOST, len(molecules.hinges)) + 1))
        place = _hinged(place, molecules, rng, turns)
    if kind in ("hinged", "none"):
        return place + rng.normal(scale=SHAKE * length, size=place.shape)
    sizes = CONTACT * molecules.radii
    for number in range(count) if kind == "shaken" else chosen:
        group = molecules.groups[number]
        if kind == "docked":
            others = np.flatnonzero(molecules.labels != number)
            place[:, group] = docked(place, others, group, sizes, rng)
            continue
        shaken = kind == "shaken"
        turn = Rotation.from_rotvec(rng.normal(scale=TILT, size=3))
        turn = turn if shaken else Rotation.random(None, rng)
        place[:, group] = turned(place[:, group], turn.as_matrix())
        if shaken:
            place[:, group] += rng.normal(scale=SHIFT * length, size=(3, 1))
    return place


def _hinged(
    place: np.ndarray, molecules: Molecules, rng: np.random.Generator, count: int
) -> np.ndarray:
    """Parts of molecules turned about ``count`` bonds, by any angle."""
    place = np.array(place)
    for number in rng.permutation(len(molecules.hinges))[:count]:
        start, end, side = molecules.hinges[number]
        axis = place[:, end] - place[:, start]
        angle = rng.uniform(0, 2 * np.pi)
        turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
        origin = place[:, end, None]
        place[:, side] = turn @ (place[:, side] - origin) + origin
    return place
