"""What people search clusters with, each as they would call it.

Every searcher is a function of the number of atoms, a seed and a ledger that ends it.
Lengths are in sigma, energies in epsilon.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import anneal
import numpy as np
from ase import Atoms
from ase.optimize import LBFGS
from ase.optimize.basin import BasinHopping
from ase_ga.data import PrepareDB
from ase_ga.particle_crossovers import CutSpliceCrossover
from ase_ga.standard_comparators import InteratomicDistanceComparator
from ase_ga.standardmutations import RattleMutation
from scipy.optimize import basinhopping

from benchmarks.peers.evolution import evolve
from benchmarks.peers.ledger import Ledger, LedgerCalculator

__all__ = ["SEARCHERS"]

STEPS = 10**9
ARGON = 18


def random_cluster(n: int, rng: np.random.Generator) -> np.ndarray:
    """Random points in a ball at about the density of the solid, none closer than 0.7.

    Too close a pair would begin with forces beyond any step control.
    """
    radius = 1.122 * ((3 * n / (4 * np.pi * np.sqrt(2))) ** (1 / 3) + 0.3)
    points: list[np.ndarray] = []
    while len(points) < n:
        point = rng.uniform(-radius, radius, 3)
        if np.linalg.norm(point) < radius and all(
            np.linalg.norm(point - other) > 0.7 for other in points
        ):
            points.append(point)
    return np.array(points)


def start(n: int, seed: int, ledger: Ledger) -> Atoms:
    """A random cluster with the ledger's calculator."""
    atoms = Atoms(f"Ar{n}", random_cluster(n, np.random.default_rng(seed)))
    atoms.calc = LedgerCalculator(ledger)
    return atoms


def ase_basin_hopping(n: int, seed: int, ledger: Ledger, **options: object) -> None:
    """ASE's BasinHopping, which draws from numpy's global generator."""
    np.random.seed(seed)  # noqa: NPY002
    with (
        tempfile.TemporaryDirectory() as folder,
        BasinHopping(
            start(n, seed, ledger),
            logfile=None,
            optimizer_logfile=None,
            trajectory=str(Path(folder) / "lowest.traj"),
            local_minima_trajectory=str(Path(folder) / "minima.traj"),
            **options,
        ) as hopping,
    ):
        hopping.run(STEPS)


def ase_stock(n: int, seed: int, ledger: Ledger) -> None:
    """Defaults: FIRE to 0.1, kicks of 0.1, 100 K (which is 0.0086 in units of eV)."""
    ase_basin_hopping(n, seed, ledger)


def ase_sane(n: int, seed: int, ledger: Ledger) -> None:
    """L-BFGS to 0.01, kicks of 0.1 sigma, a temperature of 0.8 epsilon.

    It goes on from the kicked structure, not from the minimum, so kicks of 0.4 sigma,
    best elsewhere, add up to disorder: of 0.1 to 0.4, 0.1 did best on LJ13 with other
    seeds than the reported ones.
    """
    ase_basin_hopping(
        n, seed, ledger, optimizer=LBFGS, fmax=0.01, dr=0.1, temperature=0.8
    )


def scipy_hopping(n: int, seed: int, ledger: Ledger) -> None:
    """The basinhopping as it comes (steps of 0.5, T = 1), L-BFGS-B with gradient."""

    def both(x: np.ndarray) -> tuple[float, np.ndarray]:
        energy, gradient = ledger.evaluate(x)
        return energy, gradient.ravel()

    generator = np.random.default_rng(seed)
    basinhopping(
        both,
        random_cluster(n, generator).ravel(),
        niter=STEPS,
        minimizer_kwargs={"method": "L-BFGS-B", "jac": True},
        rng=generator,
    )


def anneal_recommended(n: int, seed: int, ledger: Ledger) -> None:
    """cluster_search(recommended=True), which counts energies and gradients apart."""
    anneal.cluster_search(
        lambda x: ledger.evaluate(x)[0],
        lambda x: ledger.evaluate(x)[1].ravel(),
        n,
        budget=2 * ledger.budget,
        seed=seed,
        recommended=True,
    )


def cut_and_splice(n: int, seed: int, ledger: Ledger) -> None:
    """ase-ga: 20 clusters, Deaven and Ho's crossover, a rattle for one child in five.

    Relaxation by L-BFGS to 0.05; comparator and the rest as in ASE's tutorials.
    """
    rng = np.random.RandomState(seed)
    closest = {(ARGON, ARGON): 0.7}
    cell = np.eye(3) * 12.0
    crossover = CutSpliceCrossover(closest, keep_composition=True, rng=rng)
    rattle = RattleMutation(closest, n, rattle_strength=0.4, rng=rng)
    comparator = InteratomicDistanceComparator(
        n_top=n, pair_cor_cum_diff=0.015, pair_cor_max=0.7, dE=0.02, mic=False
    )

    def relax(atoms: Atoms) -> None:
        atoms.calc = LedgerCalculator(ledger)
        LBFGS(atoms, logfile=None).run(fmax=0.05, steps=500)
        atoms.info["key_value_pairs"]["raw_score"] = -atoms.get_potential_energy()

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "ga.db")
        empty = Atoms(cell=cell, pbc=False)
        prepared = PrepareDB(
            db_file_name=file,
            simulation_cell=empty,
            stoichiometry=[ARGON] * n,
            population_size=20,
        )
        generator = np.random.default_rng(seed)
        for _ in range(20):
            positions = random_cluster(n, generator) + 6.0
            prepared.add_unrelaxed_candidate(
                Atoms(f"Ar{n}", positions, cell=cell, pbc=False)
            )
        mutant = lambda child: rattle.get_new_individual([child])
        evolve(file, 20, comparator, crossover, mutant, 0.2, relax, rng)


SEARCHERS: dict[str, Callable[[int, int, Ledger], None]] = {
    "ase-stock": ase_stock,
    "ase-sane": ase_sane,
    "scipy": scipy_hopping,
    "anneal": anneal_recommended,
    "ase-ga": cut_and_splice,
}
