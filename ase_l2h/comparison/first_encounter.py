"""How much a basin hopping costs until it first meets a known minimum.

Every chain runs until one of its own, charged quenches ends within 1e-4 energy scales
of the target; a quench in double precision, charged too, confirms it. Chains that have
met it make room for others, so the machine stays busy; all are run to their end, none
is left out because it takes long.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ase_l2h.errors import InputError
from ase_l2h.optimizers.base import SearchState
from ase_l2h.optimizers.basin_hopping.optimizer import BasinHopping
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout import quench
from ase_l2h.rollout.backends import KERNELS, choose_backend
from ase_l2h.rollout.batch import Device, resolve_device
from ase_l2h.rollout.scan import COMPILER_OPTIONS, advance, initialise_state
from ase_l2h.search.multistart import HIT
from ase_l2h.starts.random import make_starts
from ase_l2h.system import System, take_batch

__all__ = ["FirstEncounters", "first_encounters", "mean_wait"]

# Chains side by side in one array, and arrays side by side.
LANES, WORKERS = 32, 2
# Steps between two looks at who is done.
BLOCK = 2000
# Keys of the chains, apart from those of the starts.
FIRST_ENCOUNTERS = 2**31 + 1

_initialise = jax.jit(initialise_state)
_advance = jax.jit(advance, compiler_options=COMPILER_OPTIONS)


def mean_wait(found: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Mean count of a memoryless search until it finds, and its standard error.

    All that was spent over the number of encounters, the maximum-likelihood mean of
    exponential waits some of which are cut off; infinite without an encounter.
    """
    hits = int(np.sum(found))
    if hits == 0:
        return float("inf"), float("inf")
    mean = float(np.sum(counts)) / hits
    return mean, mean / hits**0.5


@dataclasses.dataclass(frozen=True)
class FirstEncounters:
    """One entry per chain.

    Parameters
    ----------
    found
        Whether the chain met the target; where not, ``evaluations`` and ``quenches``
        say how far it got (right-censored).
    evaluations
        Charged evaluations, the confirming quench included.
    quenches
        Quenches of the chain, the one from its start included.
    energies
        Double-precision energy of the lowest minimum, the potential's unit.
    wall_seconds
        For all of them together, compilation included.
    backend
        What ran the chains, see :mod:`ase_l2h.rollout.backends`.
    """

    found: np.ndarray
    evaluations: np.ndarray
    quenches: np.ndarray
    energies: np.ndarray
    wall_seconds: float
    backend: str


def first_encounters(
    potential: Potential,
    system: System,
    optimizer: BasinHopping,
    target_energy: float,
    *,
    chains: int = 100,
    first: int = 0,
    max_evaluations: int = 10_000_000,
    seed: int = 0,
    starts: np.ndarray | None = None,
    backend: str = "auto",
    device: str | Device | None = None,
    progress: Callable[[int], Any] | None = None,
) -> FirstEncounters:
    """Run chains until each has met ``target_energy`` or used up its evaluations.

    Parameters
    ----------
    potential, system, optimizer
        What is searched, and how; the optimizer's own target is replaced.
    target_energy
        In the potential's unit.
    chains, first
        Number of chains, and of the first one. Chain i of a seed is the same whatever
        others run beside it, up to rounding: the width of the arrays changes that.
    max_evaluations
        Charged evaluations after which a chain is given up; it may take up to 2,000
        more before that is noticed.
    seed
        Starts and chains follow from it.
    starts
        ``(3, n, m)``: first points of chains 0 to m - 1, instead of random ones.
    backend
        ``"scan"``, ``"native"`` or ``"cuda"``; ``"auto"`` takes ``"cuda"`` on a GPU
        where that can run the chains, else ``"scan"``.
    device
        Where to run.
    progress
        Called with the number of chains that are done since the last call.

    Raises
    ------
    InputError
        For no chains or no evaluations, for a first chain before 0, and for a backend
        that cannot run the chains.
    """
    if first < 0:
        raise InputError(f"the first chain is {first}; give 0 or more")
    if chains < 1 or max_evaluations < 1:
        raise InputError(
            f"{chains} chains of {max_evaluations} evaluations are asked for; give at "
            "least 1 of each"
        )
    begun = time.monotonic()
    place = resolve_device(device)
    scale = float(np.mean(np.asarray(system.energy_scale)))
    optimizer = optimizer.towards(target_energy, system)
    search = (optimizer, potential, system)
    backend = choose_backend(
        backend, [optimizer], potential, system, False, place.platform
    )
    positions = make_starts(system, seed, first, chains, starts).astype(np.float32)
    lowest = np.array(positions)
    outcome = {name: np.zeros(chains, int) for name in ("evaluations", "quenches")}
    met = np.zeros(chains, bool)
    key = jax.random.fold_in(jax.random.key(seed), FIRST_ENCOUNTERS)
    keys = [jax.random.fold_in(key, first + chain) for chain in range(chains)]

    def work(worker: int) -> None:
        waiting = list(range(chains))[worker::WORKERS]
        if not waiting:
            return
        with jax.default_device(place):
            lanes = _Lanes(*search, positions, waiting, keys, backend)
            while lanes.busy:
                lanes.advance(BLOCK)
                chain, state = lanes.finished(max_evaluations)
                if not chain.size:
                    continue
                met[chain] = ~state["active"]
                lowest[..., chain] = state["best_positions"]
                for name in outcome:
                    outcome[name][chain] = state[name]
                if progress is not None:
                    progress(chain.size)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, range(WORKERS)))
    relaxed = quench(potential, system, lowest, device=place)
    found = met & (relaxed.energy <= target_energy + HIT * scale)
    charged = outcome["evaluations"] + np.where(found, relaxed.evaluations, 0)
    return FirstEncounters(
        found=found,
        evaluations=charged,
        quenches=outcome["quenches"],
        energies=relaxed.energy,
        wall_seconds=time.monotonic() - begun,
        backend=backend,
    )


class _Lanes:
    """Chains side by side; one that is done makes room for one that waits."""

    def __init__(
        self,
        optimizer: BasinHopping,
        potential: Potential,
        system: System,
        positions: np.ndarray,
        waiting: list[int],
        keys: list[jax.Array],
        backend: str,
    ) -> None:
        self.optimizer, self.potential, self.system = optimizer, potential, system
        self.backend = backend
        self.positions, self.waiting = positions, waiting
        self.keys = keys
        self.chain = np.full(min(LANES, len(waiting)), -1)
        # What every lane holds, also when nobody looks at it any more.
        self.held = np.full(self.chain.shape, waiting[0])
        self.state: Any = None
        self._fill()

    @property
    def busy(self) -> bool:
        """Whether a chain is under way."""
        return bool(np.any(self.chain >= 0))

    def advance(self, n_steps: int) -> None:
        """Take steps with all lanes."""
        search = self.optimizer, self.potential, self.part, self.state
        if self.backend == "scan":
            # Hops have keys of their own.
            state = _advance(*search, self.keys[0], 0, n_steps)
        else:
            state = KERNELS[self.backend].advance(*search, n_steps)
        self.state = jax.block_until_ready(state)

    def finished(self, limit: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Chains that are done, with their state; others take their places."""
        state = self.state
        active, spent = np.asarray(state.active), np.asarray(state.evaluations)
        done = (~active | (spent >= limit)) & (self.chain >= 0)
        chain = self.chain[done]
        if not chain.size:
            return chain, {}
        fields = {
            "active": state.active,
            "evaluations": state.evaluations,
            "quenches": state.inner.quenches,
            "best_positions": state.best_positions,
        }
        found = {name: np.asarray(leaf)[..., done] for name, leaf in fields.items()}
        self.chain[done] = -1
        self.state = state._replace(active=jnp.asarray(active & (self.chain >= 0)))
        self._fill()
        return chain, found

    def _fill(self) -> None:
        free = np.flatnonzero(self.chain < 0)[: len(self.waiting)]
        if not free.size:
            return
        members, self.waiting = self.waiting[: free.size], self.waiting[free.size :]
        self.chain[free] = self.held[free] = members
        self.part = take_batch(self.system, self.held)
        # One by one: what a chain draws must not depend on who else has just begun.
        fresh = jax.tree.map(
            lambda *leaves: jnp.concatenate(leaves, axis=-1),
            *[self._fresh(chain) for chain in members],
        )
        if self.state is None:
            self.state = fresh
        else:
            self.state = jax.tree.map(
                lambda old, new: old.at[..., free].set(new), self.state, fresh
            )

    def _fresh(self, chain: int) -> SearchState:
        """State of one chain, a batch of one, before its first evaluation."""
        one = np.array([chain])
        return _initialise(
            self.optimizer,
            self.potential,
            take_batch(self.system, one),
            jnp.asarray(self.positions[..., one]),
            self.keys[chain],
        )
