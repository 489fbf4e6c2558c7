"""Landscapes in two halves: what is learned, or chosen, sees one of them alone.

    python -m benchmarks.hits.landscapes

The halves are split by element, by pair of elements, by the range of Morse clusters and
by size. The side ``development`` was looked at, with seed 77; the side ``test`` is run
once, with seed 2026. All are energies that no machine code knows: calculators of ASE,
and functions of JAX.

A landscape has the lowest energy known for it in
``benchmarks/records/landscapes.jsonl``: that of searches by `auto` with seed 1. Lines
that are in the file are not run again.
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
from ase_l2h.potentials.parameters import stillinger_weber_set
from ase_l2h.potentials.units import reduced_units
from ase_l2h.search.problem import Problem
from ase_l2h.system import make_system
from benchmarks import paths

__all__ = ["LANDSCAPES", "RECORDS", "Landscape", "posed"]

RECORDS = paths.RECORDS / "landscapes.jsonl"
# Lower than any energy: a search for the lowest does not stop at one.
NEVER = -1e9
SEED, RUNS = 1, 8

Side = Literal["development", "test"]


class Landscape(NamedTuple):
    """Which side it stands on, of what family it is, and the budget of a run."""

    side: Side
    family: str
    budget: int


def _of(side: Side, family: str, budget: int, names: str) -> dict[str, Landscape]:
    return {name: Landscape(side, family, budget) for name in names.split()}


EMT_ONE, EMT_MORE = "EMT, one element", "EMT, alloys"
MORSE, CHEN, SILICON = "Morse", "Sutton-Chen", "silicon clusters"
LANDSCAPES: dict[str, Landscape] = {
    **_of("development", EMT_ONE, 1200, "EMT-Cu20 EMT-Pd24 EMT-Cu27 EMT-Ag30"),
    **_of("development", EMT_MORE, 1200, "EMT-Ag13Cu13 EMT-Cu10Pd14 EMT-Cu7Ag7Pd6"),
    **_of("development", MORSE, 4000, "Morse25-6 Morse25-14 Morse38-6"),
    **_of("development", CHEN, 4000, "SuttonChen-Ag31 SuttonChen-Cu25"),
    **_of("development", SILICON, 4000, "SW-Si13"),
    **_of("test", EMT_ONE, 1200, "EMT-Ni23 EMT-Au24 EMT-Pt25 EMT-Al21 EMT-Ni27"),
    **_of("test", EMT_MORE, 1200, "EMT-Ni12Pt12 EMT-Au10Pt16 EMT-Al8Ni12 EMT-Pd9Au17"),
    **_of("test", EMT_MORE, 1200, "EMT-Ni6Pt7Au7 EMT-Cu7Ag7Au6"),
    **_of("test", MORSE, 4000, "Morse31-3 Morse31-10 Morse34-3 Morse34-6 Morse34-10"),
    **_of("test", CHEN, 4000, "SuttonChen-Au27 SuttonChen-Ni27 SuttonChen-Pt34"),
    **_of("test", SILICON, 4000, "SW-Si16"),
}

# Exponents n and m, c, epsilon / eV and a / angstrom: A. P. Sutton and J. Chen, Phil.
# Mag. Lett. 61, 139 (1990).
SUTTON_CHEN = {
    "Ag": (12, 6, 144.41, 2.5415e-3, 4.09),
    "Au": (10, 8, 34.408, 1.2793e-2, 4.08),
    "Ni": (9, 6, 39.432, 1.5707e-2, 3.52),
    "Cu": (9, 6, 39.432, 1.2382e-2, 3.61),
    "Pt": (10, 8, 34.408, 1.9833e-2, 3.92),
}
# Energy of an atom in the crystal over that of a bond, of Lennard-Jones.
CRYSTAL = 8.61
COHESIVE = {"Ag": 2.96, "Au": 3.78, "Ni": 4.44, "Cu": 3.5, "Pt": 5.86}


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


def _silicon(name: str) -> Problem:
    n = int(name.removeprefix("SW-Si"))
    potential = stillinger_weber_set("Si").potential()
    length, energy = reduced_units(potential, np.zeros(n, int))
    system = make_system(np.zeros(n, int))
    return Problem.from_function(
        lambda positions: potential.energy(positions.T[..., None], system)[0],
        [14] * n,
        length_scale=length,
        energy_scale=energy,
        name=name,
    )


KINDS: dict[str, Callable[[str], Problem]] = {
    "Morse": _morse,
    "SuttonChen": _sutton_chen,
    "EMT": _called,
    "SW": _silicon,
}


def posed(name: str) -> Problem:
    """The problem of a landscape, with the lowest energy known where there is one."""
    kind = next(kind for kind in KINDS if name.startswith(kind))
    known = [line["lowest"] for line in read_lines(RECORDS) if line["target"] == name]
    reference = min(known, default=None)
    return dataclasses.replace(KINDS[kind](name), reference=reference)


def searched(
    target: str, method: str, seed: int, runs: int, budget: int
) -> dict[str, Any]:
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
    for target in (bar := tqdm(LANDSCAPES, unit="landscape")):
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
