"""Energies of clusters as functions of JAX, for which there is no machine code.

All pairs are taken into account. Parameters are arrays, so that another element or
another range compiles nothing anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import jax
import jax.numpy as jnp
import numpy as np
from ase.calculators.emt import beta
from ase.calculators.emt import parameters as emt_parameters
from ase.units import Bohr

from ase_l2h.search.problem import Problem

__all__ = ["effective_medium", "emt_problem", "morse_problem", "sutton_chen_problem"]

# Energy of an atom in the crystal over that of a bond, of Lennard-Jones.
CRYSTAL = 8.61
# Exponents n and m, c, epsilon / eV and a / angstrom: A. P. Sutton and J. Chen, Phil.
# Mag. Lett. 61, 139 (1990). Last the energy of an atom in the crystal / eV.
SUTTON_CHEN = {
    "Ag": (12, 6, 144.41, 2.5415e-3, 4.09, 2.96),
    "Au": (10, 8, 34.408, 1.2793e-2, 4.08, 3.78),
    "Ni": (9, 6, 39.432, 1.5707e-2, 3.52, 4.44),
    "Cu": (9, 6, 39.432, 1.2382e-2, 3.61, 3.5),
    "Pt": (10, 8, 34.408, 1.9833e-2, 3.92, 5.86),
}


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


def morse_problem(n_atoms: int, rho: float, name: str) -> Problem:
    """A cluster whose pairs have the range 1 / rho."""
    return Problem.from_function(
        morse,
        [18] * n_atoms,
        length_scale=1.0,
        energy_scale=1.0,
        parameters={"rho": float(rho)},
        name=name,
    )


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


def sutton_chen_problem(symbol: str, n_atoms: int, name: str) -> Problem:
    """A cluster of an element by Sutton and Chen."""
    n, m, c, epsilon, a, cohesion = SUTTON_CHEN[symbol]
    return Problem.from_function(
        sutton_chen,
        [1] * n_atoms,
        length_scale=a / 2**0.5,
        energy_scale=cohesion / CRYSTAL,
        parameters={
            "n": float(n),
            "m": float(m),
            "c": c,
            "epsilon": epsilon,
            "a": a,
        },
        name=name,
    )


def _cutoff() -> tuple[float, float]:
    """Where the smooth cut-off lies, and how steep it is."""
    nearest = beta * Bohr * max(row[1] for row in emt_parameters.values())
    middle = nearest * (3**0.5 + 2) / 2
    return middle, log(1e4 - 1) / (2 * nearest - middle)


def _emt_rows(symbols: Sequence[str]) -> dict[str, np.ndarray]:
    """Parameters of every atom, in angstrom and eV."""
    rows = np.array([emt_parameters[symbol] for symbol in symbols]).T
    e0, s0, v0, eta, kappa, decay, n0 = rows
    s0, eta, kappa, decay, n0 = (
        s0 * Bohr,
        eta / Bohr,
        kappa / Bohr,
        decay / Bohr,
        n0 / Bohr**3,
    )
    middle, slope = _cutoff()
    # Sums over the first three shells of the crystal.
    radii = beta * s0 * np.sqrt([[1.0], [2.0], [3.0]])
    share = np.array([[12], [6], [24]]) / 12 / (1 + np.exp(slope * (radii - middle)))
    away = radii - beta * s0
    return {
        "e0": e0,
        "s0": s0,
        "v0": v0,
        "eta": eta,
        "kappa": kappa,
        "decay": decay,
        "n0": n0,
        "first": np.sum(share * np.exp(-eta * away), axis=0),
        "second": np.sum(share * np.exp(-kappa / beta * away), axis=0),
    }


def effective_medium(
    positions: jax.Array,
    e0: jax.Array,
    s0: jax.Array,
    v0: jax.Array,
    eta: jax.Array,
    kappa: jax.Array,
    decay: jax.Array,
    n0: jax.Array,
    first: jax.Array,
    second: jax.Array,
) -> jax.Array:
    """That of ``ase.calculators.emt``; parameters of every atom, ``(n,)``."""
    distances, own = _distances(positions)
    middle, slope = _cutoff()
    inside = jnp.where(own | (distances > middle + 0.5), 0.0, 1.0)
    share = inside / (1 + jnp.exp(slope * (distances - middle))) * n0 / n0[:, None]
    dense = jnp.sum(jnp.exp(-eta * (distances - beta * s0)) * share, axis=1)
    # A lone atom is far from all others, not infinitely.
    away = -jnp.log(jnp.maximum(dense, 1e-30) / (12 * first)) / (beta * eta)
    pairs = jnp.sum(jnp.exp(-kappa * (distances / beta - s0)) * share, axis=1)
    energy = e0 * (1 + decay * away) * jnp.exp(-decay * away) - e0
    energy += 6 * v0 * jnp.exp(-kappa * away) - 0.5 * v0 / second * pairs
    return jnp.sum(energy)


def emt_problem(
    symbols: Sequence[str], numbers: Sequence[int], name: str, energy_scale: float
) -> Problem:
    """A cluster by effective-medium theory."""
    rows = _emt_rows(symbols)
    return Problem.from_function(
        effective_medium,
        numbers,
        length_scale=float(beta * np.mean(rows["s0"])),
        energy_scale=energy_scale,
        parameters=rows,
        name=name,
    )
