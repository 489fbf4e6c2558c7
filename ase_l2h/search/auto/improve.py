"""Structures changed as long as that lowers their energies.

A sweep evaluates all proposals without relaxation, relaxes the lowest of them a little,
one or a few for each structure, and continues with the lowest result if it is lower. An
atom at a better place gains about one bond, which shows long before the forces vanish;
most proposals do not deserve a full relaxation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ase_l2h.search.auto.exchange import Costs, exchange_proposals
from ase_l2h.search.auto.sites import barred_in, gathered, moves_in
from ase_l2h.search.evaluator import Evaluator
from ase_l2h.search.requests import Relaxed, joined

__all__ = [
    "ROUGH",
    "SAME",
    "WINDOW",
    "Proposals",
    "all_relaxed",
    "exchange_descent",
    "improve",
    "site_descent",
]

# Energies that differ by less (energy scales) are those of one structure.
SAME = 2e-5
# Largest force, in reduced units, after which a trial is compared.
ROUGH = 0.3
# Energy scales above the lowest within which a structure is relaxed well and kept.
WINDOW = 1.5
# Vacant sites tried in a sweep, and loose atoms that are moved to them.
MOVERS, SITES = 1, 4
# Exchanges evaluated after ranking, and how many of these are relaxed.
SHORTLIST, EXCHANGES = 3, 1
SWEEPS = 30
# Proposals more than this many energy scales above the structure are discarded.
HOPELESS = 1.0
# A structure is given up if this many times its last fall would not reach the goal.
FALLS = 6


class Proposals(NamedTuple):
    """Changed structures ``(3, n, k)`` and which of the batch each comes from."""

    positions: np.ndarray
    owners: np.ndarray


Propose = Callable[[np.ndarray, np.ndarray], Proposals]


def improve(
    evaluator: Evaluator,
    start: Relaxed,
    propose: Propose,
    *,
    trials: int,
    sweeps: int = SWEEPS,
    goal: float = math.inf,
) -> Relaxed:
    """Sweep until nothing falls.

    Parameters
    ----------
    evaluator
        Takes energies and relaxes.
    start
        Structures relaxed roughly, or well.
    propose
        From positions ``(3, n, k)`` and energies ``(k,)`` to proposals.
    trials
        How many proposals of a structure are relaxed in a sweep.
    sweeps
        The most sweeps.
    goal
        An energy; a structure that will not fall so far, as its last fall shows, is
        given up.

    Returns
    -------
    Relaxed
        The batch, roughly relaxed where it fell; evaluations include those of here.
    """
    positions, energies = np.array(start.positions), np.array(start.energy)
    spent = np.array(start.evaluations, float)
    active = np.flatnonzero(np.isfinite(energies))
    threshold = SAME * evaluator.problem.energy_unit
    most = HOPELESS * evaluator.problem.energy_unit
    rough = ROUGH * evaluator.problem.force_unit
    for _ in range(sweeps):
        if active.size == 0:
            break
        before = evaluator.charged
        proposals = propose(positions[..., active], energies[active])
        if proposals.owners.size == 0:
            break
        values = evaluator.energies(proposals.positions)
        spent[active] += (evaluator.charged - before) / active.size
        chosen = lowest_of_each(proposals.owners, values, trials)
        rise = values[chosen] - energies[active[proposals.owners[chosen]]]
        chosen = chosen[rise < most]
        relaxed = evaluator.relax(proposals.positions[..., chosen], fmax=rough)
        owners = proposals.owners[chosen]
        np.add.at(spent, active[owners], relaxed.evaluations)
        best = chosen_lowest(owners, relaxed.energy)
        lower = relaxed.energy[best] < energies[active[owners[best]]] - threshold
        best = best[lower]
        active = active[owners[best]]
        fall = energies[active] - relaxed.energy[best]
        positions[..., active] = relaxed.positions[..., best]
        energies[active] = relaxed.energy[best]
        active = active[energies[active] - FALLS * fall <= goal]
    return start._replace(positions=positions, energy=energies, evaluations=spent)


def all_relaxed(
    evaluator: Evaluator, groups: Sequence[np.ndarray | Relaxed], fmax: float
) -> Relaxed:
    """Groups of structures as one batch, in order.

    Groups ``(3, n, k)`` that are not relaxed yet are relaxed as one batch, which fills
    the vector lanes.
    """
    raw = [group for group in groups if isinstance(group, np.ndarray)]
    if not raw:
        return joined([group for group in groups if isinstance(group, Relaxed)])
    relaxed = evaluator.relax(np.concatenate(raw, axis=-1), fmax=fmax)
    ordered, first = [], 0
    for group in groups:
        if isinstance(group, Relaxed):
            ordered.append(group)
            continue
        after = first + group.shape[2]
        ordered.append(relaxed.take(slice(first, after)))
        first = after
    return joined(ordered)


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


def site_descent(
    evaluator: Evaluator, start: Relaxed, goal: float = math.inf
) -> Relaxed:
    """Move the loosest atom to the best vacant site while that lowers the energy.

    At first all atoms that make more bonds elsewhere are moved without evaluations;
    then one at a time. ``goal`` as for :func:`improve`.

    After the dynamic lattice search of X. Shao, L. Cheng and W. Cai, J. Comput. Chem.
    25, 1693 (2004): the sites follow from the structure itself, whatever its packing.
    """
    problem = evaluator.problem
    barred = barred_in(problem)

    def gather(positions: np.ndarray, _: np.ndarray) -> Proposals:
        changed = gathered(positions, problem.length, problem.placed, barred)
        index = np.flatnonzero(np.any(changed != positions, axis=(0, 1)))
        return Proposals(changed[..., index], index)

    def propose(positions: np.ndarray, _: np.ndarray) -> Proposals:
        moves = moves_in(problem, positions, movers=MOVERS, sites=SITES)
        return Proposals(moves.positions, moves.owners)

    if problem.cell is None:
        start = improve(evaluator, start, gather, trials=1, sweeps=2)
    return improve(evaluator, start, propose, trials=1, goal=goal)


def exchange_descent(
    evaluator: Evaluator,
    start: Relaxed,
    rng: np.random.Generator,
    goal: float = math.inf,
    costs: Costs | None = None,
) -> Relaxed:
    """Exchange unlike atoms while that lowers the energy.

    ``goal`` as for :func:`improve`, ``costs`` as for
    :func:`~ase_l2h.search.auto.exchange.exchange_proposals`.

    Exchanges are ranked by the energies of turning single atoms into the other element
    where the potential can tell them, else drawn at random.
    """

    def propose(positions: np.ndarray, energies: np.ndarray) -> Proposals:
        moved, owners = exchange_proposals(
            evaluator, positions, energies, rng, shortlist=SHORTLIST, costs=costs
        )
        return Proposals(moved, owners)

    return improve(evaluator, start, propose, trials=EXCHANGES, goal=goal)
