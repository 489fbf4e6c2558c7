"""Engines execute the requests of searches: kernels on whole batches.

Requests of the same kind become one batch, so that the vector lanes of all cores are
full even if every search asks for only a few structures. The result for a structure
never depends on the rest of its batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from ase_l2h._internal.pytree import replace
from ase_l2h.optimizers import RuleOptimizer, SearchState
from ase_l2h.potentials.units import atom_scales, reduced_units
from ase_l2h.rollout import trajectories
from ase_l2h.rollout.backends import choose_backend, resolve_backend
from ase_l2h.rollout.batch import resolve_device
from ase_l2h.rules import Lbfgs
from ase_l2h.search.problem import Problem
from ase_l2h.search.requests import (
    Advance,
    Begin,
    Points,
    Request,
    Spread,
    joined_states,
)
from ase_l2h.starts.random import spread
from ase_l2h.system import System, make_system, take_batch

__all__ = ["Engine", "KernelEngine"]

RELAXATION = RuleOptimizer(Lbfgs())
# Work (structures times n^2) of one request, about half a second.
LAUNCH = {"native": 1e9, "cuda": 1e10, "scan": 5e7}


@runtime_checkable
class Engine(Protocol):
    """Carries out requests, several at once.

    ``launch`` is the most work of one request, see
    :class:`~ase_l2h.search.evaluator.Evaluator`; ``backend`` says what ran.
    """

    @property
    def launch(self) -> float:
        """The most work of one request."""
        ...

    @property
    def backend(self) -> str:
        """What ran most evaluations."""
        ...

    def execute(self, requests: Sequence[Request]) -> list[Any]:
        """The answers, in order."""
        ...


class KernelEngine:
    """Requests on a compiled potential.

    Parameters
    ----------
    potential
        Of all the problems.
    backend
        ``"auto"`` takes machine code wherever a compiler and a kernel exist.
    device
        For ``scan`` and ``cuda``, see :func:`~ase_l2h.rollout.batch.resolve_device`.

    Raises
    ------
    InputError
        For an unknown backend or device, and later where the backend named cannot run
        what is asked for.
    """

    def __init__(self, potential: Any, backend: str = "auto", device: Any = None):
        self.potential = potential
        self.asked = resolve_backend(backend)
        self.device = resolve_device(device)
        # Evaluations by the backend that ran them, and what ran those before these.
        self._ran: Counter[str] = Counter()
        self.former: str | None = None
        self._chosen: dict[Any, str] = {}
        self._keys: dict[int, tuple[Any, Any]] = {}
        self._systems: dict[Any, System] = {}

    @property
    def launch(self) -> float:
        """The most work of one request, for the slowest backend that may run."""
        return LAUNCH[self.backend if self._ran else "scan"]

    @property
    def backend(self) -> str:
        """What ran most evaluations."""
        if self._ran:
            return self._ran.most_common(1)[0][0]
        return self.former or self.asked

    def execute(self, requests: Sequence[Request]) -> list[Any]:
        """The answers, in order."""
        if len(requests) == 1:
            return self._together(requests)
        groups: dict[Any, list[int]] = {}
        for k, request in enumerate(requests):
            groups.setdefault(self._group(k, request), []).append(k)
        answers: list[Any] = [None] * len(requests)
        for members in groups.values():
            results = self._together([requests[k] for k in members])
            for k, result in zip(members, results, strict=True):
                answers[k] = result
        return answers

    def _group(self, k: int, request: Request) -> Any:
        """Requests with the same value are executed together."""
        if isinstance(request, Begin):
            return ("begin", k)
        n = request.problem.n_atoms
        if isinstance(request, Points):
            # Requests with their own species run other code, whose last bits may
            # differ.
            return ("points", n, request.species is None)
        if isinstance(request, Spread):
            return ("spread", n)
        state = request.state
        leaves, structure = jax.tree.flatten(state.inner)
        clocks = tuple(
            np.asarray(leaf).tobytes() for leaf in leaves if np.ndim(leaf) == 0
        )
        dtype = np.asarray(state.positions).dtype.str
        value = self._value(request.optimizer)
        return ("advance", n, value, request.n_steps, dtype, structure, *clocks)

    def _value(self, optimizer: Any) -> Any:
        """A value that is the same for equal optimizers."""
        known = self._keys.get(id(optimizer))
        if known is not None and known[0] is optimizer:
            return known[1]
        leaves, structure = jax.tree.flatten(optimizer)
        value = structure, tuple(np.asarray(leaf).tobytes() for leaf in leaves)
        if len(self._keys) > 1000:
            self._keys.clear()
        self._keys[id(optimizer)] = optimizer, value
        return value

    def _together(self, requests: Sequence[Any]) -> list[Any]:
        first = requests[0]
        if isinstance(first, Begin):
            return [self._begin(first)]
        if isinstance(first, Points):
            return self._points(requests)
        if isinstance(first, Spread):
            return self._spread(requests)
        return self._advance(requests)

    def _begin(self, request: Begin) -> SearchState:
        return trajectories.begin(
            request.optimizer,
            self.potential,
            request.problem.system,
            request.positions,
            request.keys,
        )

    def _advance(self, requests: Sequence[Advance]) -> list[SearchState]:
        first = requests[0]
        counts = [np.shape(r.state.active)[-1] for r in requests]
        system = self._system([r.problem for r in requests], counts)
        states = [r.state for r in requests]
        state = states[0] if len(states) == 1 else joined_states(states)
        double = np.asarray(state.positions).dtype == np.float64
        # Finished structures take no vector lane.
        active = np.flatnonzero(state.active)
        backend = self._backend(first.optimizer, double, system, len(active))
        before = int(np.sum(state.evaluations))
        whole = len(active) == np.shape(state.active)[-1]
        part = state if whole else _members(state, active)
        # Machine code needs no device, and setting one in JAX takes time.
        there = (
            nullcontext() if backend == "native" else jax.default_device(self.device)
        )
        with there:
            part = trajectories.advance(
                first.optimizer,
                self.potential,
                system if whole else take_batch(system, active),
                part,
                first.n_steps,
                backend=backend,
            )
        state = part if whole else _replaced(state, active, part)
        self._ran[backend] += int(np.sum(state.evaluations)) - before
        return _parts(state, counts)

    def _backend(self, optimizer: Any, double: bool, system: System, batch: int) -> str:
        structure, _ = self._value(optimizer)
        case = (structure, double, np.ndim(system.species), system.cell is None)
        if case not in self._chosen:
            # Only the reference backend runs in every precision.
            asked = self.asked if not double or self.asked == "scan" else "auto"
            self._chosen[case] = choose_backend(
                asked,
                [optimizer],
                self.potential,
                system,
                double,
                self.device.platform,
                batch,
            )
        return self._chosen[case]

    def _system(self, problems: Sequence[Problem], counts: Sequence[int]) -> System:
        """The system of a batch: one for all, or with species per structure."""
        first = problems[0]
        # Problems that may share batches always run the code for species per structure,
        # so that their bits do not depend on the batch.
        alone = first.common_force is None
        if alone and all(p.system is first.system for p in problems):
            return first.system
        repeated = [p for p, count in zip(problems, counts, strict=True)
                    for _ in range(count)]  # fmt: skip
        scales = [p.system.atom_scales for p in repeated]
        some = next((s for s in scales if s is not None), None)
        columns = None
        if some is not None:
            none = np.zeros_like(np.asarray(some))
            columns = np.stack(
                [none if s is None else np.asarray(s) for s in scales], axis=-1
            )
        return replace(
            first.system,
            species=np.stack([p.species for p in repeated], axis=-1),
            length_scale=np.array([p.length for p in repeated]),
            energy_scale=np.array([p.energy_unit for p in repeated]),
            atom_scales=columns,
        )

    def _points(self, requests: Sequence[Points]) -> list[np.ndarray]:
        counts = [r.positions.shape[2] for r in requests]
        positions = np.concatenate([r.positions for r in requests], axis=-1)
        problems = [r.problem for r in requests]
        if all(r.species is None for r in requests):
            system = self._system(problems, counts)
        else:
            columns = [
                np.repeat(r.problem.species[:, None], c, axis=1)
                if r.species is None
                else r.species
                for r, c in zip(requests, counts, strict=True)
            ]
            system = self._decorated(problems[0], np.concatenate(columns, axis=1))
        positions = positions.astype(np.float32)
        # The machine code of a relaxation also evaluates single points.
        backend = self._backend(RELAXATION, False, system, positions.shape[2])
        values = trajectories.energies(
            self.potential, system, positions, backend=backend
        )
        edges = np.cumsum([0, *counts])
        return [values[a:b] for a, b in pairwise(edges)]

    def _spread(self, requests: Sequence[Spread]) -> list[np.ndarray]:
        counts = [r.positions.shape[2] for r in requests]
        positions = np.concatenate([r.positions for r in requests], axis=-1)
        system = self._system([r.problem for r in requests], counts)
        apart = spread(system, positions)
        edges = np.cumsum([0, *counts])
        return [apart[..., a:b] for a, b in pairwise(edges)]

    def _decorated(self, problem: Problem, species: np.ndarray) -> System:
        """A problem's system with its own species for each structure."""
        length, energy = reduced_units(self.potential, species)
        return replace(
            problem.system,
            species=species,
            length_scale=length,
            energy_scale=energy,
            atom_scales=None,
        )


def _members(state: SearchState, index: np.ndarray) -> SearchState:
    """The part of a state that has these structures."""
    return jax.tree.map(lambda x: x[..., index] if np.ndim(x) else x, state)


def _replaced(state: SearchState, index: np.ndarray, part: SearchState) -> SearchState:
    """A state with some structures replaced."""

    def put(old: Any, new: Any) -> Any:
        if np.ndim(old) == 0:
            return new
        whole = np.array(old)
        whole[..., index] = new
        return whole

    return jax.tree.map(put, state, part)


def _parts(state: SearchState, counts: Sequence[int]) -> list[SearchState]:
    """A state cut into the states of the requests."""
    if len(counts) == 1:
        return [state]
    edges = np.cumsum([0, *counts])
    return [
        jax.tree.map(lambda x, a=a, b=b: x[..., a:b] if np.ndim(x) else x, state)
        for a, b in pairwise(edges)
    ]


def composition_system(potential: Any, species: np.ndarray) -> System:
    """A free cluster of these atoms, in the potential's units."""
    length, energy = reduced_units(potential, species)
    return make_system(
        species,
        length_scale=length,
        energy_scale=energy,
        atom_scales=atom_scales(potential, species),
    )
