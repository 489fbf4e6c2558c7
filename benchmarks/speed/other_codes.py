"""What people use for the same energies: jax-md, ASE's Python calculator, torch-sim.

jax-md as its users batch it, ``jax.vmap`` over the energy function; ASE's
Lennard-Jones calculator driven by its FIRE, one structure after another; torch-sim
where it is installed.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from ase_l2h.targets import Target
from benchmarks.speed.natural import kind

__all__ = ["ase_rate", "jax_md_energy", "torch_sim_runner"]

FAR = 1e3


def jax_md_energy(target: Target) -> Callable[[Any], Any] | None:
    """jax-md's energy of one structure ``(n, 3)``; None where it has none.

    Its Gupta potential knows one element.
    """
    from jax_md import energy, space

    # It asks for double precision, whatever JAX is set to.
    warnings.filterwarnings("ignore", message="Explicitly requested dtype float64")
    displacement, _ = space.free()
    potential: Any = target.potential
    if target.system.cell is not None:
        edge = float(np.asarray(target.system.cell)[0, 0])
        displacement, _ = space.periodic(edge)
    if kind(target) == "LJ":
        return energy.lennard_jones_pair(displacement, r_onset=FAR, r_cutoff=2 * FAR)
    if kind(target) == "SW":
        names = ("sigma", "A", "B", "lam", "gamma", "epsilon")
        return energy.stillinger_weber(
            displacement,
            cutoff=float(potential.a * potential.sigma),
            **{name: float(getattr(potential, name)) for name in names},
        )
    if len(potential.symbols) > 1:
        return None
    p, q, r0, xi, strength = (
        float(np.asarray(getattr(potential, name))[0, 0])
        for name in ("p", "q", "r0", "xi", "A")
    )
    # U/2 (A sum - sqrt(sum)): U is twice the hopping integral.
    return energy.gupta_potential(
        displacement, p, q, r0, 2.0 * xi, strength / xi, cutoff=FAR
    )


def ase_rate(starts: np.ndarray, seconds: float) -> dict[str, float]:
    """Steps per second of ASE's FIRE with ASE's Lennard-Jones, one core.

    One force evaluation is a step. Uncut as far as ASE lets it be: no pair of these
    clusters is beyond the cut-off.
    """
    from ase import Atoms
    from ase.calculators.lj import LennardJones
    from ase.optimize import FIRE

    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        which = done % starts.shape[-1]
        atoms = Atoms("Ar" * starts.shape[1], positions=starts[..., which].T)
        atoms.calc = LennardJones(rc=FAR)
        optimizer = FIRE(atoms, logfile=None)
        for _ in optimizer.irun(fmax=1e-9, steps=20):
            done += 1
            if time.perf_counter() - begun > seconds:
                break
    return {"evaluations_per_second": done / (time.perf_counter() - begun)}


def torch_sim_runner(target: Target, starts: np.ndarray) -> Callable[[int], Any] | str:
    """Calls torch-sim's Lennard-Jones on the whole batch; else a sentence why not."""
    if find_spec("torch_sim") is None:
        return "torch-sim is not installed here"
    if kind(target) != "LJ":
        return "torch-sim has no such potential"
    import torch
    from torch_sim.models.lennard_jones import LennardJonesModel
    from torch_sim.state import SimState

    count, n = starts.shape[-1], target.n_atoms
    flat = np.moveaxis(starts, -1, 0).swapaxes(1, 2).reshape(count * n, 3)
    state = SimState(
        positions=torch.tensor(flat, dtype=torch.float32),
        masses=torch.ones(count * n),
        cell=torch.eye(3).repeat(count, 1, 1) * FAR,
        pbc=False,
        atomic_numbers=torch.full((count * n,), 18),
        system_idx=torch.arange(count).repeat_interleave(n),
    )
    # All pairs at once, its faster way for small clusters; it takes the structures of a
    # batch one by one either way.
    model = LennardJonesModel(
        sigma=1.0,
        epsilon=1.0,
        cutoff=FAR / 3,
        dtype=torch.float32,
        compute_forces=True,
        use_neighbor_list=False,
    )

    def run(calls: int) -> np.ndarray:
        energies: Any = None
        for _ in range(calls):
            energies = model(state)["energy"]
        return energies.detach().numpy()

    return run
