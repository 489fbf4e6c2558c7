"""Structures changed as long as that lowers their energies.

A sweep takes the energies of all that is proposed, as it stands; relaxes the lowest of
it, a few for each structure; and goes on with the lowest of these where it lies below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.requests import Relaxed

__all__ = [
    "SAME",
    "Improvement",
    "Proposals",
    "exchange_descent",
    "improve",
    "site_descent",
]

# Energies that differ by less (energy scales) are those of one structure.
SAME = 2e-5
# Vacant sites tried in a sweep, and loose atoms that move there.
MOVERS, SITES = 4, 24
# Exchanges that are looked at after they were ranked.
SHORTLIST = 24


class Proposals(NamedTuple):
    """Changed structures ``(3, n, k)`` and which of the batch each comes from."""

    positions: np.ndarray
    owners: np.ndarray


class Improvement(NamedTuple):
    """The batch after its sweeps, and which structures of it fell."""

    relaxed: Relaxed
    fell: np.ndarray


Propose = Callable[[np.ndarray, np.ndarray], Proposals]


def improve(
    evaluator: Evaluator,
    start: Relaxed,
    propose: Propose,
    *,
    trials: int,
    sweeps: int,
) -> Improvement:
    """Sweep until nothing falls.

    Parameters
    ----------
    evaluator
        Takes energies and relaxes.
    start
        Relaxed structures.
    propose
        From positions ``(3, n, k)`` and energies ``(k,)`` to what may become of them.
    trials
        How many proposals of a structure are relaxed in a sweep.
    sweeps
        The most sweeps.
    """
    positions, energies = np.array(start.positions), np.array(start.energy)
    active = np.flatnonzero(np.isfinite(energies))
    fell = np.zeros(len(energies), bool)
    threshold = SAME * evaluator.problem.energy_unit
    for _ in range(sweeps):
        if active.size == 0:
            break
        proposals = propose(positions[..., active], energies[active])
        if proposals.owners.size == 0:
            break
        values = evaluator.energies(proposals.positions)
        chosen = lowest_of_each(proposals.owners, values, trials)
        relaxed = evaluator.relax(proposals.positions[..., chosen])
        owners = proposals.owners[chosen]
        best = chosen_lowest(owners, relaxed.energy)
        lower = relaxed.energy[best] < energies[active[owners[best]]] - threshold
        best = best[lower]
        active = active[owners[best]]
        positions[..., active] = relaxed.positions[..., best]
        energies[active] = relaxed.energy[best]
        fell[active] = True
    return Improvement(start._replace(positions=positions, energy=energies), fell)


def lowest_of_each(owners: np.ndarray, energies: np.ndarray, count: int) -> np.ndarray:
    """Indices of the ``count`` lowest finite energies of each owner."""
    order = np.lexsort((energies, owners))
    order = order[np.isfinite(energies[order])]
    sorted_owners = owners[order]
    first = np.searchsorted(sorted_owners, sorted_owners, side="left")
    return order[np.arange(len(order)) - first < count]


def chosen_lowest(owners: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Index of the lowest of each owner that has a finite one."""
    return lowest_of_each(owners, energies, 1)


def site_descent(evaluator: Evaluator, start: Relaxed) -> Improvement:
    """Move loosely bound atoms to vacant sites while that lowers the energy.

    After the dynamic lattice search of X. Shao, L. Cheng and W. Cai, J. Comput. Chem.
    25, 1693 (2004): the sites are those of the structure as it is, of whatever packing.
    """
    from ase_l2h.search.population.sites import site_moves

    problem = evaluator.problem

    def propose(positions: np.ndarray, _: np.ndarray) -> Proposals:
        moves = site_moves(
            positions,
            problem.length,
            movers=MOVERS,
            sites=SITES,
            cell=problem.cell,
            free=problem.free,
        )
        return Proposals(moves.positions, moves.owners)

    return improve(evaluator, start, propose, trials=4, sweeps=12)


def exchange_descent(
    evaluator: Evaluator, start: Relaxed, rng: np.random.Generator
) -> Improvement:
    """Exchange unlike atoms while that lowers the energy.

    Exchanges are ranked by the energies of turning single atoms into the other element
    where the potential can tell them, else drawn at random.
    """
    from ase_l2h.search.population.exchange import exchange_proposals

    def propose(positions: np.ndarray, energies: np.ndarray) -> Proposals:
        moved, owners = exchange_proposals(
            evaluator, positions, energies, rng, shortlist=SHORTLIST
        )
        return Proposals(moved, owners)

    return improve(evaluator, start, propose, trials=6, sweeps=40)
