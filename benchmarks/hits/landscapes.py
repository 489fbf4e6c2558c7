"""Landscapes in two halves: learned parts of `auto` see one of them, the other is told.

    python -m benchmarks.hits.landscapes

The halves are split by size (Lennard-Jones), by element, by pair of elements, by the
parameters of a family. What was learned, or chosen, was so on the side ``development``
and with seed 77; the side ``test`` is run once, with seed 2026.

A landscape has the lowest energy known for it in
``benchmarks/records/landscapes.jsonl``: the lowest of searches by `auto` with seed 1.
Lennard-Jones clusters have published ones, silicon its crystal. Lines that are in the
file are not run again.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from tqdm import tqdm

from ase_l2h._internal.machine import provenance
from ase_l2h._internal.records import Records, read_lines
from ase_l2h.ase_adapter.problem import pose
from ase_l2h.comparison.running import compare
from ase_l2h.search.problem import Problem
from benchmarks import paths

__all__ = ["LANDSCAPES", "RECORDS", "Landscape", "posed"]

RECORDS = paths.RECORDS / "landscapes.jsonl"
# Lower than any energy: a search for the lowest does not stop at one.
NEVER = -1e9
SEED, RUNS = 1, 12

Side = Literal["development", "test"]


class Landscape(NamedTuple):
    """Which side it stands on, of what family it is, and the budget of a run."""

    side: Side
    family: str
    budget: int


def _of(side: Side, family: str, budget: int, names: str) -> dict[str, Landscape]:
    return {name: Landscape(side, family, budget) for name in names.split()}


LJ, GUPTA, ALLOYS = "Lennard-Jones", "Gupta, one element", "Gupta, alloys"
MORSE, CHEN, CALLED, SILICON = "Morse", "Sutton-Chen", "EMT", "silicon"
LANDSCAPES: dict[str, Landscape] = {
    **_of("development", LJ, 100_000, "LJ17 LJ23 LJ28 LJ36 LJ41 LJ50 LJ60 LJ66 LJ76"),
    **_of("development", GUPTA, 60_000, "Au55@Au55 Au30@AgAu Ag38@AgAu Pd34@PdPt"),
    **_of("development", GUPTA, 60_000, "Co27@FeCoNi"),
    **_of("development", ALLOYS, 60_000, "Ag10Au28@AgAu Ag28Au10@AgAu Pd20Pt18@PdPt"),
    **_of("development", ALLOYS, 60_000, "Cu13Au20@CuAu"),
    **_of("development", MORSE, 8000, "Morse25-6 Morse25-14 Morse38-6"),
    **_of("development", CHEN, 8000, "SuttonChen-Ag31"),
    **_of("development", CALLED, 1500, "EMT-Cu20 EMT-Ag13Cu13"),
    **_of("development", SILICON, 60_000, "Si8"),
    **_of("test", LJ, 100_000, "LJ15 LJ21 LJ26 LJ31 LJ38 LJ45 LJ55 LJ63 LJ71 LJ75"),
    **_of("test", GUPTA, 60_000, "Cu40@CuAu Ni33@FeCoNi Pt36@AgPt Fe29@FeCoNi"),
    **_of("test", ALLOYS, 60_000, "Ag13Pt20@AgPt Pd17Au17@PdAu Co13Ni20@FeCoNi"),
    **_of("test", ALLOYS, 60_000, "Fe10Co10Ni10@FeCoNi"),
    **_of("test", MORSE, 8000, "Morse31-3 Morse31-10 Morse42-10"),
    **_of("test", CHEN, 8000, "SuttonChen-Au27 SuttonChen-Ni35"),
    **_of("test", CALLED, 1500, "EMT-Ni23 EMT-Ni12Pd12"),
    **_of("test", SILICON, 100_000, "Si64"),
}

# Exponents n and m, c, epsilon / eV and a / angstrom: A. P. Sutton and J. Chen, Phil.
# Mag. Lett. 61, 139 (1990).
SUTTON_CHEN = {
    "Ag": (12, 6, 144.41, 2.5415e-3, 4.09),
    "Au": (10, 8, 34.408, 1.2793e-2, 4.08),
    "Ni": (9, 6, 39.432, 1.5707e-2, 3.52),
}
# Energy of an atom in the crystal over that of a bond, of Lennard-Jones.
CRYSTAL = 8.61
COHESIVE = {"Ag": 2.96, "Au": 3.78, "Ni": 4.44}


def _distances(positions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Between all atoms, 1 of an atom to itself, and which pairs are none."""
    apart = positions[:, None] - positions[None]
    own = jnp.eye(len(positions))
    return jnp.sqrt(jnp.sum(apart * apart, axis=-1) + own), own > 0


def morse(positions: jax.Array, rho: jax.Array) -> jax.Array:
    """Pairs of the range 1 / rho, of depth 1 at the distance 1."""
    distances, own = _distances(positions)
    decay = jnp.exp(-rho * (distances - 1))
    return 0.5 * jnp.sum(jnp.where(own, 0.0, decay * (decay - 2)))


def sutton_chen(
    positions: jax.Array,
    n: jax.Array,
    m: jax.Array,
    c: jax.Array,
    epsilon: jax.Array,
    a: jax.Array,
) -> jax.Array:
    """Repulsion of pairs, and bonds as the root of the density of an atom."""
    distances, own = _distances(positions)
    repulsion = jnp.where(own, 0.0, (a / distances) ** n)
    density = jnp.sum(jnp.where(own, 0.0, (a / distances) ** m), axis=1)
    return epsilon * (0.5 * jnp.sum(repulsion) - c * jnp.sum(jnp.sqrt(density)))


def _morse(name: str) -> Problem:
    n, rho = (int(part) for part in name.removeprefix("Morse").split("-"))
    return Problem.from_function(
        morse,
        [18] * n,
        length_scale=1.0,
        energy_scale=1.0,
        parameters={"rho": float(rho)},
        name=name,
    )


def _sutton_chen(name: str) -> Problem:
    match = re.fullmatch(r"SuttonChen-([A-Z][a-z])([0-9]+)", name)
    assert match is not None
    n, m, c, epsilon, a = SUTTON_CHEN[match.group(1)]
    atoms = Atoms(match.group(1) + match.group(2))
    return Problem.from_function(
        sutton_chen,
        atoms.numbers.tolist(),
        length_scale=a / 2**0.5,
        energy_scale=COHESIVE[match.group(1)] / CRYSTAL,
        parameters={
            "n": float(n),
            "m": float(m),
            "c": c,
            "epsilon": epsilon,
            "a": a,
        },
        name=name,
    )


def _called(name: str) -> Problem:
    atoms = Atoms(name.removeprefix("EMT-"))
    atoms.positions = 10 * np.random.default_rng(0).random((len(atoms), 3))
    atoms.calc = EMT()
    problem = pose(atoms).problem
    return dataclasses.replace(problem, name=name, given=problem.given[..., :0])


KINDS: dict[str, Callable[[str], Problem]] = {
    "Morse": _morse,
    "SuttonChen": _sutton_chen,
    "EMT": _called,
}


def posed(name: str) -> Problem:
    """The problem of a landscape, with the lowest energy known where there is one."""
    kind = next((kind for kind in KINDS if name.startswith(kind)), None)
    if kind is not None:
        problem = KINDS[kind](name)
    else:
        formula, _, parameters = name.partition("@")
        problem = Problem.of(formula, parameters or None)
        problem = dataclasses.replace(problem, name=name)
    if problem.reference is not None:
        return problem
    known = [line["lowest"] for line in read_lines(RECORDS) if line["target"] == name]
    return dataclasses.replace(problem, reference=min(known, default=None))


def searched(target: str, seed: int, runs: int, budget: int) -> dict[str, Any]:
    """The lowest of searches by the default."""
    problem = posed(target)
    comparison = compare(
        problem, "auto", runs=runs, budget=budget, seed=seed, energies={target: NEVER}
    )
    lowest = comparison.encounters[target, "auto"].lowest
    return {"lowest": lowest, **provenance()}


def main() -> None:
    """Search for the lowest minima that are missing."""
    records = Records(RECORDS)
    wanted = [name for name in LANDSCAPES if not name.startswith(("LJ", "Si"))]
    for target in (bar := tqdm(wanted, unit="landscape")):
        bar.set_description(target)
        key = {
            "target": target,
            "seed": SEED,
            "runs": RUNS,
            "budget": LANDSCAPES[target].budget,
        }
        records.get(key, lambda key=key: searched(**key))


if __name__ == "__main__":
    main()
