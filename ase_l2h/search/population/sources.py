"""Where the structures of a population come from."""

from __future__ import annotations

from typing import Any

import numpy as np

from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.population.exchange import (
    can_turn,
    random_exchanges,
    turned_into,
)
from ase_l2h.search.population.pool import Pool
from ase_l2h.search.requests import Relaxed, random_keys
from ase_l2h.search.starting import random_structures
from ase_l2h.starts.fragments import fragments
from ase_l2h.starts.symmetric import symmetric_starts
from ase_l2h.weights.load import Weights

__all__ = [
    "explored",
    "fragments_of",
    "hopped",
    "shaken",
    "symmetric_of",
    "visiting",
]

# Standard deviation of a shake of all atoms, and range of that before a learned hop, in
# bond lengths.
SHAKE = 0.25
BEFORE_HOP = (0.1, 0.4)
# Chance that a structure of the pool is the lowest of those it is drawn from.
GEOMETRIC = 0.35


def fragments_of(evaluator: Evaluator, rng: np.random.Generator, count: int) -> Relaxed:
    """Fragments of ordered packings, their elements placed at random, relaxed."""
    problem = evaluator.problem
    if problem.cell is not None or problem.free is not None:
        return evaluator.relax(random_structures(evaluator, rng, count))
    pieces = problem.length * fragments(problem.n_atoms, count, rng)
    return evaluator.relax(_permuted(pieces, rng))


def symmetric_of(evaluator: Evaluator, rng: np.random.Generator, count: int) -> Relaxed:
    """Random structures with point groups, or space groups of the cell, relaxed.

    A rattle breaks the symmetry, so that no saddle point is kept.
    """
    problem = evaluator.problem
    if problem.free is not None:
        return Relaxed.none(problem.n_atoms)
    cell = problem.cell
    starts = symmetric_starts(
        problem.n_atoms,
        count,
        rng,
        np.bincount(problem.species).tolist(),
        cell=None if cell is None else cell / problem.length,
    )
    return evaluator.relax(problem.length * _in_order(starts, problem.species))


def _in_order(positions: np.ndarray, species: np.ndarray) -> np.ndarray:
    """Atoms that come element by element, put where the species are."""
    place = np.argsort(np.argsort(species, kind="stable"), kind="stable")
    return positions[:, place]


def _permuted(positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every structure with its atoms in an order of its own."""
    order = np.argsort(rng.random(positions.shape[1:]), axis=0)
    return np.take_along_axis(positions, order[None], axis=1)


def explored(
    evaluator: Evaluator, rng: np.random.Generator, count: int, weights: Weights | None
) -> Relaxed:
    """Random starts: learned steps, then relaxed; only relaxed without weights."""
    starts = random_structures(evaluator, rng, count)
    if weights is None:
        return evaluator.relax(starts)
    rule = one_of(weights.rule, rng)
    keys = random_keys(rng, count)
    return evaluator.follow(rule, starts, weights.horizon, keys)


def one_of(rule: Any, rng: np.random.Generator) -> Any:
    """A rule of a portfolio, for a whole batch: its structures then fill the lanes."""
    if not isinstance(rule, tuple):
        return rule
    return rule[int(rng.integers(len(rule)))]


def drawn(pool: Pool, rng: np.random.Generator, count: int) -> np.ndarray:
    """Structures to begin from, ``(3, n, count)``: of all, and of motif classes.

    Half of them are drawn from a motif class chosen at random; the low ones more often.
    """
    rank = rng.geometric(GEOMETRIC, size=count) - 1
    classes, members = np.unique(pool.motifs, return_inverse=True)
    chosen = rng.integers(len(classes), size=count)
    index = np.minimum(rank, len(pool) - 1)
    for k in range(0, count, 2):
        own = np.flatnonzero(members == chosen[k])
        index[k] = own[min(int(rank[k]), len(own) - 1)]
    return np.array(pool.positions[..., index])


def shaken(
    evaluator: Evaluator, pool: Pool, rng: np.random.Generator, count: int
) -> np.ndarray:
    """Held structures, changed: all atoms a little, a few elsewhere, or exchanged."""
    problem = evaluator.problem
    positions = drawn(pool, rng, count)
    kind = rng.integers(3 if problem.n_species > 1 else 2, size=count)
    noise = rng.normal(scale=SHAKE * problem.length, size=positions.shape)
    positions = np.where(kind == 0, positions + noise, positions)
    index = np.flatnonzero(kind == 1)
    if index.size:
        positions[..., index] = _moved_outside(
            positions[..., index], problem.length, rng, problem.movable
        )
    index = np.flatnonzero(kind == 2)
    if index.size:
        positions[..., index] = random_exchanges(
            positions[..., index],
            problem.species,
            rng,
            most=4,
            movable=problem.movable,
        )
    return problem.with_fixed(positions)


def _moved_outside(
    positions: np.ndarray,
    length: float,
    rng: np.random.Generator,
    movable: np.ndarray,
) -> np.ndarray:
    """The one to three atoms with the fewest neighbours, put elsewhere outside."""
    n, count = positions.shape[1:]
    apart = positions[:, :, None] - positions[:, None, :]
    near = np.sum(np.sum(apart * apart, axis=0) < (1.25 * length) ** 2, axis=1)
    loose = near + rng.uniform(size=(n, count))
    loose[~movable] = np.inf
    rank = np.argsort(np.argsort(loose, axis=0), axis=0)
    moves = rank < rng.integers(1, 4, size=count)
    moves &= movable[:, None]
    centre = positions.mean(axis=1, keepdims=True)
    radius = np.sqrt(np.max(np.sum((positions - centre) ** 2, axis=0), axis=0))
    direction = rng.normal(size=positions.shape)
    direction /= np.linalg.norm(direction, axis=0)
    return np.where(moves, centre + radius * direction, positions)


def hopped(
    evaluator: Evaluator,
    pool: Pool,
    rng: np.random.Generator,
    count: int,
    rule: Any,
    n_steps: int,
) -> Relaxed:
    """Where short runs of the learned optimizer lead from held structures."""
    problem = evaluator.problem
    positions = drawn(pool, rng, count)
    scale = rng.uniform(*BEFORE_HOP, size=count) * problem.length
    noise = scale * rng.normal(size=positions.shape)
    positions = problem.with_fixed(positions + noise)
    keys = random_keys(rng, count)
    return evaluator.follow(one_of(rule, rng), positions, n_steps, keys)


def visiting(
    evaluator: Evaluator, visitors: dict[str, Any], rng: np.random.Generator
) -> np.ndarray:
    """Structures of other compositions, as many atoms turned as it takes.

    ``visitors`` has ``positions`` ``(3, n, k)``, ``species`` ``(n, k)``, ``energies``
    ``(k,)`` and the bond ``lengths`` ``(k,)`` of where they come from.
    """
    positions, species = visitors["positions"], visitors["species"]
    if positions.shape[2] == 0 or not can_turn(evaluator.problem):
        return np.zeros((3, evaluator.problem.n_atoms, 0))
    turned = turned_into(evaluator, positions, species, visitors["energies"], rng)
    return turned * (evaluator.problem.length / visitors["lengths"])
