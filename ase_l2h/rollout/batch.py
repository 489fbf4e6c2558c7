"""Repeat an optimizer's steps for many structures at once.

In ``scan`` a batch is cut into fixed, padded chunks: cache-sized, bit-reproducible, and
run side by side on the cores of a CPU (compiled code releases the interpreter lock). In
``native`` it stays whole, see :mod:`.trajectories`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ase_l2h.errors import InputError
from ase_l2h.optimizers.base import Optimizer, SearchState
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout import trajectories
from ase_l2h.rollout.backends import KERNELS, choose_backend, resolve_backend
from ase_l2h.rollout.chunks import (
    CHUNK,
    PAIRS,
    checked_positions,
    chunk_shape,
    precision,
)
from ase_l2h.rollout.devices import Device, resolve_device, resolve_devices
from ase_l2h.rollout.scan import (
    compiled_advance,
    compiled_evaluate,
    compiled_initialise,
)
from ase_l2h.rollout.status import Status, fragmented
from ase_l2h.system import System, take_batch

__all__ = [
    "Device",
    "Rollout",
    "RolloutResult",
    "Status",
    "resolve_device",
    "resolve_devices",
    "rollout",
]


class RolloutResult(NamedTuple):
    """Outcome of a rollout, numpy arrays with the batch last.

    ``energy`` belongs to ``positions``; ``best_*`` are the lowest seen on the way;
    ``trace`` holds the energy at the end of every block, ``(blocks, batch)``, and
    ``trace_steps`` the steps taken by then; ``backend`` says what ran.
    """

    positions: np.ndarray
    energy: np.ndarray
    force: np.ndarray
    best_positions: np.ndarray
    best_energy: np.ndarray
    evaluations: np.ndarray
    status: np.ndarray
    trace: np.ndarray
    trace_steps: np.ndarray
    backend: str


class Rollout:
    """A batch of searches that is advanced in blocks and can be looked at in between.

    Parameters
    ----------
    optimizer, potential, system
        What steps, on what. Of a list of k optimizers, structure i gets number i mod k.
        Per-structure leaves of ``system`` are cut with the batch.
    positions
        ``(3, n, batch)``; float64 runs in double precision, all else in single.
    key
        JAX random key; chunk c uses ``fold_in(key, c)``, in ``native`` split for its
        structures.
    backend, device
        See :func:`rollout`. Of a list of k devices, chunk c runs on number c mod k.
    chunk
        Largest chunk; fewer than it for more than 512 atoms, whose pairs fill memory.
    size
        Exact size of a chunk instead: a smaller batch then runs what was compiled for
        a larger one.

    Raises
    ------
    InputError
        For an unknown backend or device, for arrays that do not fit together, and for
        more than 2,000 atoms.
    """

    def __init__(
        self,
        optimizer: Optimizer | Sequence[Optimizer],
        potential: Potential,
        system: System,
        positions: np.ndarray | Array,
        key: Array,
        *,
        backend: str = "auto",
        device: str | Device | Sequence[Device] | None = None,
        chunk: int = CHUNK,
        size: int | None = None,
    ) -> None:
        positions = checked_positions(positions, system)
        for number in (chunk, 1 if size is None else size):
            if number < 1:
                raise InputError(f"chunk is {number}; give at least 1")
        resolve_backend(backend)
        self.devices = resolve_devices(device)
        self.device = self.devices[0]
        self.double = positions.dtype == np.float64
        self.count = positions.shape[2]
        self.steps = 0
        optimizers = list(optimizer) if isinstance(optimizer, Sequence) else [optimizer]
        if not optimizers:
            raise InputError("no optimizer is given; give one or more")
        platform = self.device.platform
        self.backend = choose_backend(
            backend, optimizers, potential, system, self.double, platform
        )
        # The last chunk of each optimizer is filled up with copies that do not move.
        self._members: list[np.ndarray] = []
        share = -(-self.count // len(optimizers))
        chunk = min(chunk, max(1, PAIRS // system.n_atoms**2))
        self.size = chunk_shape(share, chunk)[1]
        if self.backend == "cuda":
            # Each structure is a block of threads, so larger chunks are better.
            self.size = -(-share // len(self.devices))
        if size is not None:
            self.size = size
        together = share if self.backend == "native" else self.size
        with self._context():
            self._potentials = [jax.device_put(potential, d) for d in self.devices]
            self._optimizers, self._keys = [], []
            self._systems, self._states = [], []
            for k, each in enumerate(optimizers):
                placed = [jax.device_put(each, d) for d in self.devices]
                mine = np.arange(k, self.count, len(optimizers))
                for first in range(0, len(mine), together):
                    members = mine[first : first + together]
                    self._add_chunk(placed, system, positions, members, key)
        chunks = len(self._states)
        on_cpu = self.device.platform == "cpu"
        workers = (os.cpu_count() or 1) if on_cpu else len(self.devices)
        # Machine code distributes each chunk over the cores itself.
        self._workers = 1 if self.backend == "native" else min(chunks, workers)

    def _add_chunk(
        self,
        optimizers: Sequence[Optimizer],
        system: System,
        positions: np.ndarray,
        members: np.ndarray,
        key: Array,
    ) -> None:
        """Add a chunk with the structures ``members``, filled up to the size.

        ``optimizers`` are the copies of one optimizer on all devices.
        """
        where = len(self._states) % len(self.devices)
        optimizer, potential = optimizers[where], self._potentials[where]
        self._members.append(members)
        self._optimizers.append(optimizer)
        key = jax.random.fold_in(key, len(self._states))
        if self.backend == "native":
            part = take_batch(system, members)
            keys = np.asarray(jax.random.key_data(jax.random.split(key, len(members))))
            search = optimizer, potential, part
            state = trajectories.begin(*search, positions[..., members], keys.T)
            self._keys.append(key)
            self._systems.append(part)
            self._states.append(state)
            return
        index = np.pad(members, (0, self.size - len(members)), mode="edge")
        real = np.arange(self.size) < len(members)
        device = self.devices[where]
        key = jax.device_put(key, device)
        part = jax.device_put(take_batch(system, index), device)
        start = jax.device_put(jnp.asarray(positions[..., index]), device)
        state = compiled_initialise(optimizer, potential, part, start, key)
        active = jax.device_put(real, device)
        self._keys.append(key)
        self._systems.append(part)
        self._states.append(state._replace(active=active))

    def _potential(self, chunk: int) -> Potential:
        """The potential, on the device of a chunk."""
        return self._potentials[chunk % len(self.devices)]

    @contextlib.contextmanager
    def _context(self) -> Iterator[None]:
        with precision(self.double), jax.default_device(self.device):
            yield

    def _map(self, task: Callable[[int], SearchState]) -> None:
        def guarded(c: int) -> SearchState:
            with self._context():
                return jax.block_until_ready(task(c))

        indices = range(len(self._states))
        if self._workers == 1:
            self._states = [guarded(c) for c in indices]
        else:
            with ThreadPoolExecutor(self._workers) as pool:
                self._states = list(pool.map(guarded, indices))

    def advance(self, n_steps: int) -> None:
        """Take ``n_steps`` more steps, fewer where everything has converged."""

        def chunk(c: int) -> SearchState:
            search = self._optimizers[c], self._potential(c), self._systems[c]
            if self.backend == "scan":
                place = self._states[c], self._keys[c], self.steps, n_steps
                return compiled_advance(*search, *place)
            return KERNELS[self.backend].advance(*search, self._states[c], n_steps)

        self._map(chunk)
        self.steps += n_steps

    def evaluate(self) -> None:
        """Evaluate the present positions; what is still active is charged for it."""

        def chunk(c: int) -> SearchState:
            place = self._potential(c), self._systems[c], self._states[c]
            if self.backend == "native":
                return trajectories.evaluate(*place, backend="native")
            return compiled_evaluate(*place)

        self._map(chunk)

    def gather(self, field: str) -> np.ndarray:
        """A field of :class:`~ase_l2h.optimizers.base.SearchState` for the batch.

        ``"inner.quenches"``, say, is a field of the optimizer's own state.
        """
        return self._joined([attrgetter(field)(state) for state in self._states])

    def _joined(self, parts: Sequence[Any]) -> np.ndarray:
        """Per-structure values of the chunks, in the order of the batch."""
        arrays = [np.asarray(part) for part in parts]
        joined = np.empty((*arrays[0].shape[:-1], self.count), arrays[0].dtype)
        for members, array in zip(self._members, arrays, strict=True):
            joined[..., members] = array[..., : len(members)]
        return joined

    @property
    def finished(self) -> bool:
        """Whether every structure has converged."""
        return not self.gather("active").any()

    def status(self) -> np.ndarray:
        """:class:`Status` of every structure, ``(batch,)``."""
        active, energy = self.gather("active"), self.gather("energy")
        status = np.where(active, Status.RUNNING, Status.CONVERGED)
        if self._systems[0].cell is None:
            broken = [
                fragmented(np.asarray(state.positions), part.length_scale)
                for state, part in zip(self._states, self._systems, strict=True)
            ]
            apart = self._joined(broken)
            status = np.where(apart, Status.FRAGMENTED, status)
        return np.where(np.isfinite(energy), status, Status.NON_FINITE)

    def leaves(self) -> list[np.ndarray]:
        """All arrays of the state, to be stored and given to :meth:`restore`."""
        return [np.asarray(leaf) for leaf in jax.tree.leaves(self._states)]

    def restore(self, leaves: list[np.ndarray], steps: int) -> None:
        """Continue from stored :meth:`leaves` after ``steps`` steps, bit for bit.

        Raises
        ------
        InputError
            When the arrays belong to another run.
        """
        present, structure = jax.tree.flatten(self._states)
        shapes = [(leaf.shape, leaf.dtype) for leaf in present]
        if shapes != [(leaf.shape, leaf.dtype) for leaf in leaves]:
            raise InputError(
                "the stored state belongs to another structure, weights or number of "
                "starts; start anew"
            )
        with self._context():
            arrays = [
                np.array(stored)
                if isinstance(leaf, np.ndarray)
                else jax.device_put(jnp.asarray(stored), leaf.device)
                for stored, leaf in zip(leaves, present, strict=True)
            ]
        self._states = jax.tree.unflatten(structure, arrays)
        self.steps = steps


def rollout(
    optimizer: Optimizer,
    potential: Potential,
    system: System,
    positions: np.ndarray | Float[Array, "3 n batch"],
    *,
    key: Array,
    n_steps: int,
    block: int | None = None,
    backend: str = "auto",
    device: str | Device | Sequence[Device] | None = None,
    chunk: int = CHUNK,
    on_block: Callable[[Rollout], bool | None] | None = None,
) -> RolloutResult:
    """Take up to ``n_steps`` steps from every structure of a batch.

    Parameters
    ----------
    optimizer
        A :class:`~ase_l2h.optimizers.rule_steps.RuleOptimizer`, say.
    potential, system
        What is minimised. ``system``'s scales must be concrete.
    positions
        Starts ``(3, n, batch)``; float64 runs in double precision.
    key
        JAX random key.
    n_steps
        Steps per structure, each one charged evaluation; structures that converge
        stop earlier. One more evaluation is charged where the last point's energy is
        not known yet.
    block
        Steps between two looks at the batch; at most 20 blocks when None.
    backend
        ``"scan"``, ``"native"`` or ``"cuda"``, see :mod:`ase_l2h.rollout.backends`;
        ``"auto"`` takes ``"native"`` on a CPU and ``"cuda"`` on a GPU where that can
        run the search, else ``"scan"``. The result says what ran.
    device
        ``"cpu"``, ``"gpu"``, a JAX device, a list of devices that the chunks take in
        turn, or None for JAX's default.
    chunk
        Largest number of structures run as one array.
    on_block
        Called with the :class:`Rollout` after every block; True stops early.

    Returns
    -------
    RolloutResult

    Raises
    ------
    InputError
        For an unknown backend or device, arrays that do not fit together, and steps
        that are negative.
    """
    if n_steps < 0:
        raise InputError(f"{n_steps} steps are asked for; give 0 or more")
    # Rounded up, so that 39 steps make 20 blocks, not 39.
    block = max(1, -(-n_steps // 20)) if block is None else block
    if block < 1:
        raise InputError(f"block is {block}; give at least 1")
    run = Rollout(
        optimizer,
        potential,
        system,
        positions,
        key,
        backend=backend,
        device=device,
        chunk=chunk,
    )
    trace: list[np.ndarray] = []
    trace_steps: list[int] = []
    while run.steps < n_steps and not run.finished:
        run.advance(min(block, n_steps - run.steps))
        trace.append(run.gather("energy"))
        trace_steps.append(run.steps)
        if on_block is not None and on_block(run):
            break
    run.evaluate()
    return RolloutResult(
        positions=run.gather("positions"),
        energy=run.gather("energy"),
        force=run.gather("force"),
        best_positions=run.gather("best_positions"),
        best_energy=run.gather("best_energy"),
        evaluations=run.gather("evaluations"),
        status=run.status(),
        trace=np.array(trace).reshape((len(trace), run.count)),
        trace_steps=np.array(trace_steps, dtype=int),
        backend=run.backend,
    )
