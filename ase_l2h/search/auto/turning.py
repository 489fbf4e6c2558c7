"""Structures of other compositions, with as many atoms turned as it takes.

Atoms of surplus elements turn into missing ones; flip energies decide which, see
:mod:`~ase_l2h.search.auto.exchange`.
"""

from __future__ import annotations

import numpy as np

from ase_l2h.search.auto.exchange import flip_energies
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.problem import Problem

__all__ = ["transmuted", "turned_at_random", "turned_into"]

# Random part of the cost of turning an atom, in units of the spread of these costs.
NOISE = 0.3


def turned_into(
    evaluator: Evaluator,
    positions: np.ndarray,
    species: np.ndarray,
    energies: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Structures of other compositions, with as many atoms turned as it takes.

    Parameters
    ----------
    evaluator
        Evaluates the flip energies, for the problem whose composition they get.
    positions, species, energies
        ``(3, n, k)``, ``(n, k)`` and ``(k,)`` of the given structures.
    rng
        See :func:`transmuted`.

    Returns
    -------
    numpy.ndarray
        ``(3, n, k)``, the atoms in the order of the problem's species.
    """
    target, movable = evaluator.problem.species, evaluator.problem.movable
    elements = np.unique(target)
    wanted = _may_turn(species, target, elements)
    costs = flip_energies(
        evaluator, positions, species, energies, elements, wanted, movable
    )
    order = transmuted(costs, species, target, rng, movable)
    return np.take_along_axis(positions, order[None], axis=1)


def turned_at_random(
    problem: Problem,
    positions: np.ndarray,
    species: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """As :func:`turned_into`, but with random atoms and without evaluations."""
    target = problem.species
    costs = rng.random((len(target), len(np.unique(target)), positions.shape[2]))
    order = transmuted(costs, species, target, rng, problem.movable)
    return np.take_along_axis(positions, order[None], axis=1)


def _may_turn(
    species: np.ndarray, target: np.ndarray, elements: np.ndarray
) -> np.ndarray:
    """Atoms of surplus elements, and the missing elements they may turn into.

    A mask ``(n, elements, k)``.
    """
    kinds = np.union1d(np.unique(species), elements)
    present = np.sum(species == kinds[:, None, None], axis=1)
    demand = np.sum(target == kinds[:, None], axis=1)[:, None]
    missing = (present < demand)[np.searchsorted(kinds, elements)]
    own = np.searchsorted(kinds, species)
    many = np.take_along_axis(present > demand, own, axis=0)
    return many[:, None, :] & missing


def transmuted(
    costs: np.ndarray,
    species: np.ndarray,
    target: np.ndarray,
    rng: np.random.Generator,
    movable: np.ndarray | None = None,
) -> np.ndarray:
    """Assign the atoms of other compositions to the atoms of this one.

    Atoms of surplus elements turn into missing ones, the cheapest first, with some
    noise.

    Parameters
    ----------
    costs
        See :func:`flip_energies`, ``(n, elements, k)`` for the elements of ``target``
        in ascending order.
    species
        ``(n, k)`` of the given structures.
    target
        Species of the target composition, ``(n,)``.
    rng
        Draws the noise.
    movable
        Atoms that may turn, ``(n,)``; the others must have their target species.

    Returns
    -------
    numpy.ndarray
        ``(n, k)``: atom i of the new structure is at the place of atom ``order[i]``.
    """
    n, batch = species.shape
    elements = np.unique(target)
    fixed = np.zeros(n, bool) if movable is None else ~movable
    turned = np.array(species)
    noise = rng.normal(size=costs.shape)
    allowed = _may_turn(turned, target, elements) & ~fixed[:, None, None]
    known = np.where(allowed & np.isfinite(costs), costs, np.nan)
    for column in np.flatnonzero(np.sum(np.isfinite(known), axis=(0, 1)) > 1):
        noise[..., column] *= NOISE * np.nanstd(known[..., column])
    noisy = np.minimum(costs, np.finfo(float).max / 4) + noise
    while np.any(allowed):
        flat = np.where(allowed, noisy, np.inf).reshape(-1, batch)
        atom, element = np.divmod(np.argmin(flat, axis=0), len(elements))
        busy = np.flatnonzero(np.any(allowed, axis=(0, 1)))
        turned[atom[busy], busy] = elements[element[busy]]
        allowed = _may_turn(turned, target, elements) & ~fixed[:, None, None]
    # Each fixed atom gets its own kind, so it stays where it is.
    own = np.max(target) + 1 + np.arange(n)
    kinds = np.where(fixed[:, None], own[:, None], turned)
    place = np.argsort(np.where(fixed, own, target), kind="stable")
    order = np.empty((n, batch), int)
    order[place] = np.argsort(kinds, axis=0, kind="stable")
    return order
