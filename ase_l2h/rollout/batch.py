"""Repeat an optimizer's steps for many structures at once.

A batch is cut into fixed, padded chunks: cache-sized, bit-reproducible, and run side by
side on the cores of a CPU (compiled code releases the interpreter lock).
"""

from __future__ import annotations

import contextlib
import enum
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ase_l2h.errors import InputError
from ase_l2h.optimizers.base import Optimizer, SearchState
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout.backends import KERNELS, choose_backend, resolve_backend
from ase_l2h.rollout.scan import (
    COMPILER_OPTIONS,
    advance,
    evaluate,
    initialise_state,
)
from ase_l2h.system import MAX_ATOMS, System, take_batch

__all__ = [
    "Rollout",
    "RolloutResult",
    "Status",
    "chunk_shape",
    "fragmented",
    "rollout",
]

# Working sets of 32 to 64 structures stay in a core's cache at the usual sizes.
CHUNK = 64
# Sizes of chunks that fill vectors, and the fewest structures worth filling up to them:
# `python -m benchmarks` measures batches of 1, 8, 32, 128 and 512.
LANES = (32, 48, 64)
FEW = 6
# Structures times ordered pairs of a chunk: some potentials keep numbers per pair, and
# 2,000 atoms then take 64 MB instead of a gigabyte. No effect up to 512 atoms.
PAIRS = 2**24
# Two parts of a cluster further apart than this (reduced units) no longer belong
# together; third neighbours of a close packing are at 1.73.
BOND = 2.0

# jax.Device: JAX's compiled classes come without types.
Device = Any

_initialise = jax.jit(initialise_state)
_advance = jax.jit(advance, compiler_options=COMPILER_OPTIONS)
_evaluate = jax.jit(evaluate, compiler_options=COMPILER_OPTIONS)


class Status(enum.IntEnum):
    """How a structure ended.

    ``CONVERGED``: forces below the optimizer's fmax. ``RUNNING``: steps used up before.
    ``FRAGMENTED``: a cluster in two or more pieces. ``NON_FINITE``: no finite energy.
    """

    CONVERGED = 0
    RUNNING = 1
    FRAGMENTED = 2
    NON_FINITE = 3


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


def resolve_device(device: str | Device | None) -> Device:
    """A JAX device from ``None`` (JAX's default), ``"cpu"``, ``"gpu"`` or itself.

    Raises
    ------
    InputError
        When JAX has no such device here.
    """
    if isinstance(device, jax.Device):
        return device
    try:
        # Of several processes, each has its own.
        return jax.local_devices(backend=device)[0]
    except RuntimeError as error:
        found = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise InputError(
            f"JAX finds no '{device}' device here; use {found}, or install JAX for it"
        ) from error


def resolve_devices(device: str | Device | Sequence[Device] | None) -> list[Device]:
    """Several devices as they are, one as :func:`resolve_device` finds it.

    Raises
    ------
    InputError
        When JAX has no such device here, and for an empty list.
    """
    if device is None or isinstance(device, (str, jax.Device)):
        return [resolve_device(device)]
    devices = [resolve_device(each) for each in device]
    if not devices:
        raise InputError("the list of devices is empty; name one, or leave it out")
    return devices


def chunk_shape(count: int, largest: int = CHUNK) -> tuple[int, int]:
    """Number and size of the chunks of a batch, from its size alone.

    More than one chunk come in even numbers, so that two cores share the work. Six or
    more structures are filled up to whole vectors of lanes: XLA takes what is left
    over one by one, and 63 structures cost up to three times as much as 64.
    """
    chunks = math.ceil(count / largest)
    if chunks > 1 or count > LANES[0]:
        chunks += chunks % 2
    size = math.ceil(count / chunks)
    if size >= FEW:
        size = next((n for n in LANES if n >= size), largest)
    return chunks, min(size, largest)


def fragmented(
    positions: Float[Array, "3 n *batch"], length: Any
) -> Bool[Array, "*batch"]:
    """Whether a free cluster has fallen into pieces more than two lengths apart."""
    n, batch = positions.shape[1], positions.shape[2:]
    lengths = jnp.broadcast_to(jnp.asarray(length, positions.dtype), batch).reshape(-1)

    def apart(structure: tuple[Array, Array]) -> Array:
        points, unit = structure
        difference = points[:, :, None] - points[:, None]
        reach = jnp.sum(difference * difference, axis=0) < (BOND * unit) ** 2

        # Every atom is called by the smallest index that it has heard of from its
        # neighbours, or from whom it is called by, until nobody hears anything new.
        def spread(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            _, names = carry
            heard = jnp.min(jnp.where(reach, names[None], n), axis=1)
            return names, jnp.minimum(names, heard)[jnp.minimum(names, heard)]

        def news(carry: tuple[Array, Array]) -> Array:
            return jnp.any(carry[0] != carry[1])

        names = jnp.arange(n)
        _, names = jax.lax.while_loop(news, spread, (names - 1, names))
        return jnp.any(names != 0)

    # One at a time: the pairs of a whole batch of large clusters fill gigabytes.
    each = jnp.moveaxis(positions.reshape((3, n, -1)), -1, 0)
    return jax.lax.map(apart, (each, lengths)).reshape(batch)


_fragmented = jax.jit(fragmented)


def _check_batch(system: System, count: int) -> None:
    """Leaves with a batch axis must have one entry per structure."""
    sizes = {
        "species": np.shape(system.species)[1:],
        "length_scale": np.shape(system.length_scale),
        "energy_scale": np.shape(system.energy_scale),
    }
    for name, shape in sizes.items():
        if shape not in ((), (count,)):
            raise InputError(
                f"{name} is given per structure for a batch of {shape}, the positions "
                f"for one of ({count},); give as many of both"
            )


@contextlib.contextmanager
def _precision(double: bool) -> Iterator[None]:
    """64-bit numbers for this thread only: JAX's global flag stays as it is."""
    if double:
        with jax.enable_x64(True):
            yield
    else:
        yield


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
        JAX random key; chunk c uses ``fold_in(key, c)``.
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
        positions = np.asarray(positions)
        if positions.dtype != np.float64:
            positions = positions.astype(np.float32)
        if positions.ndim != 3 or positions.shape[0] != 3 or positions.shape[2] == 0:
            raise InputError(
                f"positions have shape {positions.shape}; a rollout takes (3, n, batch)"
            )
        if positions.shape[1] != system.n_atoms:
            raise InputError(
                f"positions hold {positions.shape[1]} atoms, the system "
                f"{system.n_atoms}; give positions (3, {system.n_atoms}, batch)"
            )
        _check_batch(system, positions.shape[2])
        for number in (chunk, 1 if size is None else size):
            if number < 1:
                raise InputError(f"a chunk of {number} is empty; give at least 1")
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
        if system.n_atoms > MAX_ATOMS:
            raise InputError(
                f"{system.n_atoms} atoms are more than {MAX_ATOMS}; every pair is "
                "taken into account, so choose a smaller structure"
            )
        share = -(-self.count // len(optimizers))
        chunk = min(chunk, max(1, PAIRS // system.n_atoms**2))
        self.size = chunk_shape(share, chunk)[1]
        if self.backend == "cuda":
            # Every structure is a block of threads: the more, the better.
            self.size = -(-share // len(self.devices))
        if size is not None:
            self.size = size
        with self._context():
            self._potentials = [jax.device_put(potential, d) for d in self.devices]
            self._optimizers, self._keys = [], []
            self._systems, self._states = [], []
            for k, each in enumerate(optimizers):
                placed = [jax.device_put(each, d) for d in self.devices]
                mine = np.arange(k, self.count, len(optimizers))
                for first in range(0, len(mine), self.size):
                    members = mine[first : first + self.size]
                    self._add_chunk(placed, system, positions, members, key)
        chunks = len(self._states)
        on_cpu = self.device.platform == "cpu"
        workers = (os.cpu_count() or 1) if on_cpu else len(self.devices)
        self._workers = min(chunks, workers)

    def _add_chunk(
        self,
        optimizers: Sequence[Optimizer],
        system: System,
        positions: np.ndarray,
        members: np.ndarray,
        key: Array,
    ) -> None:
        """The structures of the batch that ``members`` names, filled up to the size.

        ``optimizers`` is the same one on every device.
        """
        index = np.pad(members, (0, self.size - len(members)), mode="edge")
        real = np.arange(self.size) < len(members)
        where = len(self._states) % len(self.devices)
        device, optimizer = self.devices[where], optimizers[where]
        key = jax.device_put(jax.random.fold_in(key, len(self._states)), device)
        part = jax.device_put(take_batch(system, index), device)
        start = jax.device_put(jnp.asarray(positions[..., index]), device)
        state = _initialise(optimizer, self._potentials[where], part, start, key)
        active = jax.device_put(real, device)
        self._members.append(members)
        self._optimizers.append(optimizer)
        self._keys.append(key)
        self._systems.append(part)
        self._states.append(state._replace(active=active))

    def _potential(self, chunk: int) -> Potential:
        """The potential, on the device of a chunk."""
        return self._potentials[chunk % len(self.devices)]

    @contextlib.contextmanager
    def _context(self) -> Iterator[None]:
        with _precision(self.double), jax.default_device(self.device):
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
                return _advance(*search, *place)
            return KERNELS[self.backend].advance(*search, self._states[c], n_steps)

        self._map(chunk)
        self.steps += n_steps

    def evaluate(self) -> None:
        """Evaluate the present positions; what is still active is charged for it."""
        self._map(
            lambda c: _evaluate(self._potential(c), self._systems[c], self._states[c])
        )

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
            with self._context():
                broken = [
                    _fragmented(state.positions, part.length_scale)
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
                jax.device_put(jnp.asarray(stored), leaf.device)
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
        ``"auto"`` takes ``"cuda"`` on a GPU where that can run the search, else
        ``"scan"``. The result says what ran.
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
    # Rounded up: 39 steps are 20 blocks, not 39.
    block = max(1, -(-n_steps // 20)) if block is None else block
    if block < 1:
        raise InputError(f"a block of {block} steps leads nowhere; give at least 1")
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
