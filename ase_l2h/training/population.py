"""Unroll many sets of weights: over the threads of a CPU, devices, and hosts.

On a CPU every member of the population is a call of its own, and the calls share the
cores; its numbers do not depend on how many there are. On an accelerator a step costs
a launch whatever the batch, so all members of a task are one call, sharded over the
devices. Several processes (``jax.distributed``) each take a share of the members and
exchange the energies.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from ase_l2h._internal.promotion import compiled
from ase_l2h._internal.pytree import replace
from ase_l2h.errors import InputError
from ase_l2h.training.objective import (
    LOOPS,
    QUENCHES,
    UNROLL_OPTIONS,
    Unroll,
    capped_energy,
    unroll,
    with_horizon,
)
from ase_l2h.training.tasks import Task

__all__ = ["Member", "Population"]


class Member(NamedTuple):
    """One set of weights on one task.

    ``theta`` is flat; ``starts`` ``(3, n, starts)``; ``key`` drives rules that draw.
    """

    task: Task
    theta: np.ndarray
    starts: Float[Array, "3 n starts"]
    key: Array
    horizon: int


def _unroll_member(
    theta: Array,
    starts: Array,
    key: Array,
    horizon: Any,
    rule: Any,
    potential: Any,
    system: Any,
    quench_steps: Any,
    *,
    unravel: Callable[[Array], Any],
    quench: str,
    from_best: bool,
    backend: str = "scan",
) -> Unroll:
    rule = with_horizon(replace(rule, theta=unravel(theta)), horizon)
    return unroll(
        rule,
        potential,
        system,
        starts,
        key,
        horizon,
        quench_steps,
        QUENCHES[quench],
        from_best=from_best,
        loop=LOOPS[backend],
    )


class Population:
    """Unrolls members and returns their energies, the same on every process.

    Parameters
    ----------
    rule
        The architecture; its own weights are not used.
    unravel
        From a flat theta to the rule's.
    quench, quench_steps, from_best
        What follows the unroll, see :func:`~ase_l2h.training.objective.unroll`.
    together
        Members of a task in one call, or 0: one on a CPU, all on an accelerator.
    devices
        Where to run; this process's devices when None.
    backend
        ``"scan"``, or ``"native"``: machine code of this processor's cores, which takes
        members one by one.

    Raises
    ------
    InputError
        Where the backend takes no other device, or no several members in a call.
    """

    def __init__(
        self,
        rule: Any,
        unravel: Callable[[Array], Any],
        quench: str,
        quench_steps: int,
        *,
        from_best: bool = False,
        together: int = 0,
        devices: Sequence[Any] | None = None,
        backend: str = "scan",
    ) -> None:
        self.rule = rule
        self.quench_steps = quench_steps
        self.devices = list(jax.local_devices() if devices is None else devices)
        on_cpu = self.devices[0].platform == "cpu"
        self.together = together or (1 if on_cpu else 0)
        call = partial(
            _unroll_member, unravel=unravel, quench=quench, from_best=from_best
        )
        options = UNROLL_OPTIONS if on_cpu else None
        if backend == "scan":
            self._alone = compiled(call, compiler_options=options)
        elif on_cpu and self.together == 1:
            self._alone = partial(call, backend=backend)
        else:
            raise InputError(
                f"backend '{backend}' unrolls one set of weights at a time on a CPU; "
                "set together = 0 and run it there, or choose 'scan'"
            )
        axes = (0, 0, 0, 0, None, None, None, None)
        self._stacked = compiled(jax.vmap(call, in_axes=axes), compiler_options=options)
        mesh = Mesh(np.array(self.devices), ("members",))
        self._spread = NamedSharding(mesh, PartitionSpec("members"))
        self._copied = NamedSharding(mesh, PartitionSpec())
        self._workers = max(os.cpu_count() or 1, len(self.devices))

    def evaluate(self, members: Sequence[Member]) -> tuple[np.ndarray, np.ndarray]:
        """Capped energies ``(members, starts)`` and charged evaluations ``(members,)``.

        Every process must pass the same members.
        """
        # Longest first, so that no worker waits for a large cluster at the end;
        # distributed in that order, so that every process gets large and small ones.
        order = sorted(
            range(len(members)),
            key=lambda m: -members[m].task.target.n_atoms * members[m].horizon,
        )
        processes, process = jax.process_count(), jax.process_index()
        mine = order[process::processes]
        results = self._on_this_process([members[m] for m in mine])
        count, starts = len(members), members[0].starts.shape[-1]
        energy = np.zeros((count, starts))
        charged = np.zeros(count, np.int64)
        if processes == 1:
            shares = [results]
        else:
            shares = _exchanged(results, -(-count // processes), starts)
        for p, (energies, charges) in enumerate(shares):
            share = order[p::processes]
            energy[share] = energies[: len(share)]
            charged[share] = charges[: len(share)]
        return energy, charged

    def _on_this_process(
        self, members: Sequence[Member]
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.together == 1:
            with ThreadPoolExecutor(self._workers) as pool:
                results = list(pool.map(self._one, range(len(members)), members))
        else:
            results = self._many(members)
        energies = np.stack([_energies(result.energy) for result in results])
        charges = [int(np.sum(np.asarray(r.evaluations))) for r in results]
        return energies, np.array(charges, np.int64)

    def _one(self, number: int, member: Member) -> Unroll:
        target = member.task.target
        device = self.devices[number % len(self.devices)]
        arguments = (
            np.asarray(member.theta, np.float32),
            member.starts,
            member.key,
            np.int32(member.horizon),
            self.rule,
            target.potential,
            target.system,
            np.int32(self.quench_steps),
        )
        return self._alone(*jax.device_put(arguments, device))

    def _many(self, members: Sequence[Member]) -> list[Unroll]:
        results: list[Any] = [None] * len(members)
        groups: dict[str, list[int]] = {}
        for index, member in enumerate(members):
            groups.setdefault(member.task.target.name, []).append(index)
        for group in groups.values():
            size = self.together or len(group)
            # Fixed, padded chunks: one compilation, and the same bits every time.
            size = -(-size // len(self.devices)) * len(self.devices)
            for first in range(0, len(group), size):
                chunk = group[first : first + size]
                padded = chunk + [chunk[-1]] * (size - len(chunk))
                batch = self._chunk([members[m] for m in padded])
                energy = np.asarray(batch.energy)
                evaluations = np.asarray(batch.evaluations)
                for row, m in enumerate(chunk):
                    results[m] = Unroll(energy[row], evaluations[row])
        return results

    def _chunk(self, members: Sequence[Member]) -> Unroll:
        target = members[0].task.target
        spread = (
            jnp.asarray(np.stack([m.theta for m in members]), jnp.float32),
            jnp.stack([m.starts for m in members]),
            jnp.stack([m.key for m in members]),
            jnp.asarray([m.horizon for m in members], jnp.int32),
        )
        copied = (
            self.rule,
            target.potential,
            target.system,
            np.int32(self.quench_steps),
        )
        return self._stacked(
            *jax.device_put(spread, self._spread),
            *jax.device_put(copied, self._copied),
        )


def _energies(energy: Any) -> np.ndarray:
    return np.asarray(capped_energy(jnp.asarray(energy)), np.float64)


def _exchanged(
    results: tuple[np.ndarray, np.ndarray], rows: int, starts: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The results of all processes, in their order."""
    energy = np.zeros((rows, starts), np.float32)
    charged = np.zeros(rows, np.int32)
    energy[: len(results[0])] = results[0]
    charged[: len(results[1])] = results[1]
    energies, charges = multihost_utils.process_allgather((energy, charged))
    return [
        (np.asarray(e, np.float64), np.asarray(c, np.int64))
        for e, c in zip(energies, charges, strict=True)
    ]
