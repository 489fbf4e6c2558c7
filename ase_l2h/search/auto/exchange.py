"""Exchanges of unlike atoms, for any number of elements and many structures at once.

Exchanges are ranked by *flip energies*: what it costs to turn one atom into another
element at fixed positions. Two atoms that are both cheap to turn are a good exchange.
After D. Schebarchov and D. J. Wales, Phys. Rev. Lett. 113, 156102 (2014), who minimise
over the permutations of the elements in biminima.

Atoms keep their species, so an exchange swaps the positions of two atoms, and a
potential that sees only positions is sufficient. Fixed atoms are not exchanged.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from ase_l2h.errors import InputTypeError
from ase_l2h.potentials.units import species_units
from ase_l2h.search.auto.sequences import (
    pair_costs,
    sequences_of_exchanges,
    unlike_pairs,
)
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem

__all__ = [
    "Exchanges",
    "can_turn",
    "exchange_proposals",
    "exchanged",
    "flip_energies",
    "random_exchanges",
    "ranked_exchanges",
    "some_exchanges",
]

# Numbers of exchanges carried out at once.
AT_ONCE = (2, 4, 8)
# Most couplings of flips in memory at once, eight bytes each.
MOST_COUPLINGS = 20_000_000


@runtime_checkable
class Costs(Protocol):
    """A source of flip energies."""

    def __call__(
        self,
        evaluator: Evaluator,
        positions: np.ndarray,
        species: np.ndarray,
        energies: np.ndarray,
    ) -> np.ndarray:
        """Flip energies ``(n, elements, batch)``."""
        ...

    def couplings(
        self, positions: np.ndarray, species: np.ndarray
    ) -> np.ndarray | None:
        """Changes of flip energies, see :func:`~.sequences.pair_costs`."""
        ...


class Exchanges(NamedTuple):
    """Pairs of unlike atoms ``first`` and ``second``, ``(k,)``, of structure ``owner``.

    Sorted by owner, the most promising pair of each owner first.
    """

    owners: np.ndarray
    first: np.ndarray
    second: np.ndarray


def can_turn(problem: Problem) -> bool:
    """Whether the potential can evaluate the structure with other species."""
    if problem.potential is None:
        return False
    try:
        return len(species_units(problem.potential)[0]) > 1
    except InputTypeError:
        return False


def exchange_proposals(
    evaluator: Evaluator,
    positions: np.ndarray,
    energies: np.ndarray,
    rng: np.random.Generator,
    *,
    shortlist: int = 24,
    costs: Costs | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Structures with two unlike atoms exchanged, and the index of each parent.

    Parameters
    ----------
    evaluator
        Takes flip energies, ``n`` times the number of other elements for each
        structure, where the potential knows species; otherwise exchanges are random.
    positions, energies
        ``(3, n, batch)`` and ``(batch,)``.
    rng
        For random exchanges.
    shortlist
        The most proposals for each structure.
    costs
        Gives the flip energies; they are measured when None.
    """
    problem = evaluator.problem
    species, movable = problem.species, problem.movable
    pairs = unlike_pairs(species, movable)
    batch = positions.shape[2]
    if not len(pairs[0]) or not batch:
        return positions[..., :0], np.zeros(0, int)
    if not can_turn(problem):
        chosen = some_exchanges(species, batch, shortlist, rng, movable)
        return exchanged(positions, chosen), chosen.owners
    kinds = np.repeat(species[:, None], batch, axis=1)
    if costs is None:
        elements = np.unique(species)
        flips = flip_energies(
            evaluator, positions, kinds, energies, elements, movable=movable
        )
    else:
        flips = costs(evaluator, positions, kinds, energies)
    made, owners = [], []
    size = max(1, MOST_COUPLINGS // flips[..., 0].size ** 2)
    for begin in range(0, batch, size):
        part = slice(begin, begin + size)
        places, own = positions[..., part], flips[..., part]
        couplings = None
        if costs is not None:
            couplings = costs.couplings(places, kinds[:, part])
        single = ranked_exchanges(own, species, shortlist, movable, couplings)
        several, whose = sequences_of_exchanges(
            places, species, own, couplings, AT_ONCE, movable
        )
        made += [exchanged(places, single), several]
        owners += [begin + single.owners, begin + whose]
    return np.concatenate(made, axis=-1), np.concatenate(owners)


def flip_energies(
    evaluator: Evaluator,
    positions: np.ndarray,
    species: np.ndarray,
    energies: np.ndarray,
    elements: np.ndarray,
    wanted: np.ndarray | None = None,
    movable: np.ndarray | None = None,
) -> np.ndarray:
    """The cost of turning each atom into each element, ``(n, elements, batch)``.

    At fixed positions, one evaluation each.

    Parameters
    ----------
    evaluator
        Takes the energies.
    positions, species, energies
        ``(3, n, batch)``, ``(n, batch)`` and ``(batch,)``.
    elements
        Species, ``(elements,)``.
    wanted
        Of which atoms and elements, ``(n, elements, batch)``; all when None.
    movable
        Atoms that may turn, ``(n,)``; all when None.

    Returns
    -------
    numpy.ndarray
        0 for an atom's own element, ``inf`` for what was not asked for.
    """
    own = species[:, None, :] == np.asarray(elements)[:, None]
    asked = ~own if wanted is None else ~own & wanted
    if movable is not None:
        asked &= movable[:, None, None]
    owner, atom, element = np.nonzero(np.moveaxis(asked, -1, 0))
    turned = species[:, owner]
    turned[atom, np.arange(len(atom))] = np.asarray(elements)[element]
    values = evaluator.energies(positions[..., owner], turned)
    costs = np.where(own, 0.0, np.inf)
    costs[atom, element, owner] = values - energies[owner]
    return costs


def ranked_exchanges(
    flips: np.ndarray,
    species: np.ndarray,
    count: int,
    movable: np.ndarray | None = None,
    couplings: np.ndarray | None = None,
) -> Exchanges:
    """The exchanges whose two flips cost least together.

    Parameters
    ----------
    flips
        See :func:`flip_energies`, ``(n, elements, batch)``, for all elements of
        ``species``, in ascending order.
    species
        ``(n,)``.
    count
        How many for each structure.
    movable
        Atoms that may take part, ``(n,)``; all when None.
    couplings
        How flips change each other, see :func:`~.sequences.pair_costs`.
    """
    first, second = unlike_pairs(species, movable)
    _, kind = np.unique(species, return_inverse=True)
    costs = pair_costs(flips, couplings, kind, first, second)
    return _lowest_pairs(costs, first, second, count)


def some_exchanges(
    species: np.ndarray,
    batch: int,
    count: int,
    rng: np.random.Generator,
    movable: np.ndarray | None = None,
) -> Exchanges:
    """``count`` different exchanges of each of ``batch`` structures, at random."""
    first, second = unlike_pairs(species, movable)
    return _lowest_pairs(rng.random((len(first), batch)), first, second, count)


def _lowest_pairs(
    costs: np.ndarray, first: np.ndarray, second: np.ndarray, count: int
) -> Exchanges:
    """The ``count`` lowest finite of ``(pairs, batch)`` for each structure."""
    order = np.argsort(costs, axis=0, kind="stable")[:count]
    finite = np.isfinite(np.take_along_axis(costs, order, axis=0)).T
    owners, _ = np.nonzero(finite)
    pair = order.T[finite]
    return Exchanges(owners, first[pair], second[pair])


def exchanged(positions: np.ndarray, exchanges: Exchanges) -> np.ndarray:
    """Structures ``(3, n, k)`` made of ``(3, n, batch)`` by one exchange each."""
    changed = np.take(positions, exchanges.owners, axis=2)
    first, second, number = (
        exchanges.first,
        exchanges.second,
        np.arange(len(exchanges.owners)),
    )
    changed[:, first, number] = positions[:, second, exchanges.owners]
    changed[:, second, number] = positions[:, first, exchanges.owners]
    return changed


def random_exchanges(
    positions: np.ndarray,
    species: np.ndarray,
    rng: np.random.Generator,
    *,
    most: int = 4,
    movable: np.ndarray | None = None,
) -> np.ndarray:
    """Every structure ``(3, n, batch)`` after one to ``most`` random exchanges.

    Parameters
    ----------
    positions, species
        ``(3, n, batch)`` and ``(n,)``.
    rng
        Draws the pairs.
    most
        Largest number of exchanges.
    movable
        Atoms that may take part, ``(n,)``; all when None.
    """
    changed = np.array(positions)
    first, second = unlike_pairs(species, movable)
    if not len(first):
        return changed
    batch = positions.shape[2]
    count = rng.integers(1, most + 1, size=batch)
    drawn = rng.integers(len(first), size=(most, batch))
    for turn, pair in enumerate(drawn):
        owner = np.flatnonzero(turn < count)
        i, j = first[pair[owner]], second[pair[owner]]
        kept = changed[:, i, owner]
        changed[:, i, owner] = changed[:, j, owner]
        changed[:, j, owner] = kept
    return changed
