"""What people search metal clusters with, each as they would call it, by ASE's EMT.

Every searcher is a function of a random cluster with the ledger's calculator and of a
seed; the ledger ends it. Settings and where they come from: ``settings.py``. Files are
written to the current folder. Packages are imported where they are used, since ours has
an environment of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from benchmarks.peers import settings
from benchmarks.peers.evolution import evolve
from benchmarks.peers.quench import Quench

__all__ = ["SEARCHERS"]

Searcher = Callable[[Atoms, int], None]
STEPS = 10**9


def _relaxed(atoms: Atoms) -> float:
    """The energy after L-BFGS to the force that all share."""
    Quench(atoms).run(settings.FMAX, settings.MOST_STEPS)
    return atoms.get_potential_energy()


def tuned_hopping(atoms: Atoms, seed: int) -> None:
    """Basin hopping as a script: all atoms displaced, always from the minimum."""
    dr, temperature = settings.TUNED
    rng = np.random.default_rng(seed)
    energy, held = _relaxed(atoms), atoms.get_positions()
    while True:
        atoms.set_positions(held + rng.uniform(-dr, dr, held.shape))
        trial = _relaxed(atoms)
        if rng.random() < np.exp(min(0.0, (energy - trial) / temperature)):
            energy, held = trial, atoms.get_positions()


class _Relaxing(Quench):
    """In the hands of ASE's BasinHopping, which sets no limit to the steps."""

    def run(self, fmax: float, steps: int = settings.MOST_STEPS) -> bool:
        return super().run(fmax, steps)


def _ase_hopping(atoms: Atoms, seed: int, dr: float, temperature: float) -> None:
    """ASE's BasinHopping, which draws from numpy's global generator."""
    from ase.optimize.basin import BasinHopping

    np.random.seed(seed)  # noqa: NPY002
    with BasinHopping(
        atoms,
        temperature=temperature,
        dr=dr,
        optimizer=_Relaxing,
        fmax=settings.FMAX,
        logfile=None,
        optimizer_logfile=None,
        trajectory="lowest.traj",
        local_minima_trajectory="minima.traj",
    ) as hopping:
        # The trajectory of all minima takes longer to write than they take to find.
        hopping.lm_trajectory = None
        hopping.run(STEPS)


def ase_hopping(atoms: Atoms, seed: int) -> None:
    """With steps and temperature for small steps."""
    _ase_hopping(atoms, seed, *settings.SANE)


def ase_tuned(atoms: Atoms, seed: int) -> None:
    """With those of the tuned basin hopping."""
    _ase_hopping(atoms, seed, *settings.TUNED)


def minima_hopping(atoms: Atoms, seed: int) -> None:
    """ASE's MinimaHopping as it comes, with the force that all share."""
    from ase.optimize.minimahopping import MinimaHopping

    MinimaHopping(atoms, fmax=settings.FMAX, rng=np.random.RandomState(seed))()


def anneal_search(atoms: Atoms, seed: int) -> None:
    """The ASE interface, in the mode that hops."""
    from anneal.ase import Anneal

    # Energies and gradients are counted apart there.
    budget = 4 * atoms.calc.ledger.budget
    Anneal(atoms, logfile=None, mode="search", seed=seed, budget=budget).run(
        fmax=settings.FMAX
    )


def agox_hopping(atoms: Atoms, seed: int) -> None:
    """AGOX's basin hopping as its documentation puts it together, on from the atoms.

    Its own first structure would be another random one.
    """
    from agox import AGOX
    from agox.candidates import StandardCandidate
    from agox.databases import Database
    from agox.environments import Environment
    from agox.evaluators import LocalOptimizationEvaluator
    from agox.generators import RattleGenerator
    from agox.samplers import MetropolisSampler

    side = settings.ROOM * np.ptp(atoms.positions, axis=0).max()
    room = {"cell": np.eye(3) * side, "corner": np.full(3, side / 2)}
    environment = Environment(
        template=Atoms(cell=np.eye(3) * 2 * side),
        symbols=str(atoms.symbols),
        confinement_cell=room["cell"],
        confinement_corner=room["corner"],
        print_report=False,
    )
    sampler = MetropolisSampler(temperature=settings.AGOX_TEMPERATURE, order=4)
    generator = RattleGenerator(
        confinement_cell=room["cell"],
        confinement_corner=room["corner"],
        n_rattle=max(1, round(settings.AGOX_RATTLED * len(atoms))),
        environment=environment,
        sampler=sampler,
        order=1,
    )
    evaluator = LocalOptimizationEvaluator(
        atoms.calc,
        optimizer=Quench,
        optimizer_run_kwargs={"fmax": settings.FMAX, "steps": settings.MOST_STEPS},
        gets={"get_key": "candidates"},
        store_trajectory=False,
        order=3,
    )
    search = AGOX(generator, Database("agox.db"), sampler, evaluator, seed=seed)
    _relaxed(atoms)
    first = atoms.copy()
    first.translate(side - first.positions.mean(axis=0))
    first.calc = SinglePointCalculator(
        first, energy=atoms.get_potential_energy(), forces=atoms.get_forces()
    )
    held = StandardCandidate.from_atoms(environment.get_template(), first)
    for key, value in (("uuid", "0"), ("spawn_uuids", ["0"]), ("search_iteration", 0)):
        held.add_meta_information(key, value)
    sampler.setup(held)
    search.run(N_iterations=STEPS)


def cut_and_splice(atoms: Atoms, seed: int) -> None:
    """ase-ga: Deaven and Ho's crossover, and mutations of some of the children.

    The population begins with the atoms and other random clusters.
    """
    from ase_ga.data import PrepareDB
    from ase_ga.particle_crossovers import CutSpliceCrossover
    from ase_ga.standard_comparators import InteratomicDistanceComparator
    from ase_ga.standardmutations import PermutationMutation, RattleMutation
    from ase_ga.utilities import closest_distances_generator

    n, calculator = len(atoms), atoms.calc
    rng = np.random.RandomState(seed)
    kinds = sorted(set(atoms.numbers.tolist()))
    closest = closest_distances_generator(kinds, settings.GA_CLOSEST)
    crossover = CutSpliceCrossover(closest, keep_composition=True, rng=rng)
    mutations = [
        RattleMutation(closest, n, rattle_strength=settings.GA_RATTLE, rng=rng)
    ]
    if len(kinds) > 1:
        mutations.append(PermutationMutation(n, rng=rng))
    comparator = InteratomicDistanceComparator(
        n_top=n, pair_cor_cum_diff=0.015, pair_cor_max=0.7, dE=0.02, mic=False
    )

    def relax(candidate: Atoms) -> None:
        candidate.calc = calculator
        energy = _relaxed(candidate)
        candidate.calc = SinglePointCalculator(
            candidate, energy=energy, forces=candidate.get_forces()
        )
        candidate.info["key_value_pairs"]["raw_score"] = -energy

    side = settings.ROOM * np.ptp(atoms.positions, axis=0).max()
    cell = Atoms(cell=np.eye(3) * side, pbc=False)
    prepared = PrepareDB(
        db_file_name="ga.db",
        simulation_cell=cell,
        stoichiometry=atoms.numbers.tolist(),
        population_size=settings.GA_POPULATION,
    )
    generator = np.random.default_rng(seed)
    for _ in range(settings.GA_POPULATION):
        # The first has the seed of the atoms, and is them.
        one = random_metal(str(atoms.symbols), generator)
        one.set_cell(cell.cell)
        one.translate(np.full(3, side / 2))
        prepared.add_unrelaxed_candidate(one)

    def mutant(child: Atoms) -> tuple[Atoms | None, str]:
        return mutations[rng.randint(len(mutations))].get_new_individual([child])

    size, share = settings.GA_POPULATION, settings.GA_MUTATED
    evolve("ga.db", size, comparator, crossover, mutant, share, relax, rng)


def learn2hop(atoms: Atoms, seed: int) -> None:
    """Ours as it comes: the default method without any option."""
    from ase_l2h import Learn2Hop

    Learn2Hop(atoms, seed=seed, logfile=None).run(fmax=settings.FMAX)


SEARCHERS: dict[str, Searcher] = {
    "learn2hop": learn2hop,
    "tuned-hopping": tuned_hopping,
    "ase-hopping": ase_hopping,
    "ase-tuned": ase_tuned,
    "anneal": anneal_search,
    "ase-ga": cut_and_splice,
    "agox": agox_hopping,
    "minima-hopping": minima_hopping,
}
