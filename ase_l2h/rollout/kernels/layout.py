"""Input of the kernels in ``cpp/``: macros, flat arrays, one block of pointers.

One C++ source runs whole searches, on a GPU (:mod:`.cuda`) and on the host
(:mod:`.native`). This module has everything that both need: which searches the source
covers, the macros, and how a :class:`~ase_l2h.optimizers.base.SearchState` is turned
into pointers and back. Nothing here calls JAX: a launch must cost no more than the
copies of its arrays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ase_l2h._internal.remembered import Remembered
from ase_l2h.optimizers.base import SearchState
from ase_l2h.optimizers.basin_hopping.optimizer import BasinHopping
from ase_l2h.optimizers.basin_hopping.state import HoppingState
from ase_l2h.optimizers.rule_steps import GRADIENT_CLIP
from ase_l2h.rollout.kernels import hopping as chains
from ase_l2h.rollout.kernels.adapter import Parts
from ase_l2h.rollout.kernels.macros import Macros, single
from ase_l2h.rollout.kernels.potentials import POTENTIALS, potential_adapter
from ase_l2h.rollout.kernels.rules import RULES, rule_adapter, rule_of
from ase_l2h.system import System

__all__ = [
    "CHANGED",
    "KERNELS",
    "POINTERS",
    "begins",
    "definitions",
    "initial_state",
    "launch",
    "missing",
    "number_type",
    "on_chip_bytes",
    "row_count",
    "search_state",
]

KERNELS = Path(__file__).parent / "cpp"
# Fields of `struct Arguments` in cpp/arguments.h.
CHANGED = (
    *("positions", "energy", "force", "best_positions", "best_energy"),
    *("row_0", "row_1", "row_2", "row_3"),
    *("whole_0", "whole_1", "whole_2", "whole_3"),
    *("evaluations", "active", *chains.CHAIN),
)
POINTERS = (
    *CHANGED,
    *("keys", "steps_taken", "species", "free"),
    *("length_scale", "energy_scale", "atom_scales"),
    *("potential", "theta", "cell", "images", "feature_cell", "feature_images"),
)
NUMBERS = (
    *("n", "batch", "steps"),
    *("species_stride", "n_images", "n_feature_images", "only_evaluate"),
)
ARGUMENTS = np.dtype(
    [(name, np.uint64) for name in POINTERS]
    + [(name, np.int32) for name in NUMBERS]
    + [("fmax", np.float64), ("hopping", chains.OPTIONS)],
    align=True,
)
# All other arrays have the precision of the positions.
NUMBER_TYPES = chains.CHAIN | {
    "evaluations": np.int32,
    "active": np.uint8,
    "steps_taken": np.int32,
    "species": np.int32,
    "free": np.uint8,
    "keys": np.uint32,
}


# Caches of packed parameters, and of the arrays of systems without a batch axis.
_PARAMETERS: Remembered[tuple[np.ndarray, np.ndarray]] = Remembered()
_SYSTEMS: Remembered[tuple[dict[str, Any], dict[str, int]]] = Remembered()


def missing(
    optimizer: Any, potential: Any, system: System, double: bool = False
) -> str | None:
    """Why the kernels cannot run this search; None when they can."""
    rule = rule_of(optimizer)
    if isinstance(optimizer, BasinHopping):
        reason = chains.missing(optimizer)
        if reason is not None:
            return reason
    if type(rule) not in RULES:
        name = type(optimizer if rule is None else rule).__name__
        return (
            f"it has no kernel for {name}; there are kernels for EquivariantRule, "
            "CoordinatewiseRule, Adam, FIRE, L-BFGS, gradient descent and basin hopping"
        )
    if type(potential) not in POTENTIALS:
        return (
            f"it has no kernel for {type(potential).__name__}; there are kernels for "
            "LennardJones, Gupta and StillingerWeber"
        )
    if double and (isinstance(optimizer, BasinHopping) or not RULES[type(rule)].double):
        return "it works in single precision, except in quenches by L-BFGS and FIRE"
    if system.cell is not None and np.ndim(system.length_scale):
        return "a periodic batch must share one length scale"
    reason = potential_adapter(potential).reject_reason(potential)
    return reason or rule_adapter(rule).reject_reason(rule, system)


def definitions(optimizer: Any, potential: Any, system: System) -> Macros:
    """Macros that the source is compiled with."""
    rule = rule_of(optimizer)
    adapter, energies = rule_adapter(rule), potential_adapter(potential)
    hopping = isinstance(optimizer, BasinHopping)
    own_species = adapter.own_species(rule) or energies.own_species(potential)
    return {
        "POTENTIAL_HEADER": f'"potentials/{energies.header}.h"',
        "RULE_HEADER": f'"rules/{adapter.header}.h"',
        "HOPPING": int(hopping),
        "PERIODIC": int(system.cell is not None),
        "RECENTRED": int(system.recentred),
        "FIXED": int(system.free is not None),
        "LANE_SPECIES": int(np.ndim(system.species) > 1 and own_species),
        "GRADIENT_CLIP": single(GRADIENT_CLIP),
        "ARGUMENTS_BYTES": ARGUMENTS.itemsize,
        "ROW_COUNT": row_count(optimizer, potential),
        "THETA_FLOATS": sum(int(np.size(v)) for v in adapter.parameters(rule)),
        **energies.macros(potential),
        **adapter.macros(rule),
        **(chains.macros() if hopping else {}),
    }


def row_count(optimizer: Any, potential: Any) -> int:
    """Numbers per atom that a structure keeps on the chip."""
    rule, hopping = rule_of(optimizer), isinstance(optimizer, BasinHopping)
    scratch = potential_adapter(potential).scratch_rows
    return 14 + scratch + rule_adapter(rule).rows(rule, hopping)


def _flat(values: Sequence[Any], kind: Any) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(v, kind)) for v in values])


def begins(optimizer: Any, potential: Any) -> bool:
    """Whether :func:`initial_state` supports an optimizer, for any backend."""
    if isinstance(optimizer, BasinHopping) and optimizer.moves.surface is not None:
        # Other potentials may have no atom energies; only their `init` can tell.
        return type(potential) in POTENTIALS and type(optimizer.quench) in RULES
    return type(rule_of(optimizer)) in RULES


def initial_state(
    optimizer: Any, potential: Any, system: System, positions: np.ndarray, keys: Any
) -> SearchState:
    """The result of the optimizer's ``init``, in NumPy and with a key per structure."""
    rule = rule_of(optimizer)
    length = np.asarray(system.length_scale).astype(positions.dtype)
    inner = rule_adapter(rule).initial(rule, positions / length)
    if isinstance(optimizer, BasinHopping):
        inner = chains.initial(optimizer, system, positions, keys, inner)
    return search_state(positions, inner)


def search_state(positions: np.ndarray, inner: Any) -> SearchState:
    """A state before any evaluation."""
    batch, dtype = positions.shape[2:], positions.dtype
    fields: dict[str, Any] = dict(
        positions=positions,
        energy=np.full(batch, np.inf, dtype),
        force=np.full(batch, np.inf, dtype),
        best_positions=positions.copy(),
        best_energy=np.full(batch, np.inf, dtype),
        evaluations=np.zeros(batch, np.int32),
        active=np.ones(batch, bool),
        inner=inner,
    )
    return SearchState(**fields)


@dataclasses.dataclass(frozen=True)
class Launch:
    """Arrays for a kernel, and the state made from them afterwards.

    ``arrays`` have the names of ``POINTERS``; those that a search does not need are
    missing, with null pointers. The kernel writes to those in ``CHANGED``. Their types
    are given by :func:`number_type`.
    """

    arrays: dict[str, Any]
    numbers: dict[str, Any]
    state: SearchState
    parts: Parts | None
    rule: Any

    def block(self, address: Callable[[Any], int], held: dict[str, Any]) -> np.ndarray:
        """``struct Arguments`` with the addresses of ``held``."""
        values = [address(held[name]) if name in held else 0 for name in POINTERS]
        values += [self.numbers[name] for name in (*NUMBERS, "fmax", "hopping")]
        return np.array(tuple(values), ARGUMENTS)

    def finish(self, held: dict[str, Any], steps: int) -> SearchState:
        """The state from the arrays (JAX or NumPy) that a kernel has changed."""
        fields = ("positions", "energy", "force", "best_positions", "best_energy")
        changed = {name: held[name] for name in fields}
        changed |= {
            "evaluations": held["evaluations"],
            "active": held["active"].astype(bool),
        }
        if self.parts is None:
            return self.state._replace(**changed)
        rows = [held[f"row_{k}"] for k in range(len(self.parts.rows))]
        whole = [held[f"whole_{k}"] for k in range(len(self.parts.whole))]
        inner, hopping = self.state.inner, isinstance(self.state.inner, HoppingState)
        before = inner.quench if hopping else inner
        after = rule_adapter(self.rule).unpack(before, rows, whole, steps)
        inner = chains.rebuilt(inner, after, held) if hopping else after
        return self.state._replace(**changed, inner=inner)


def number_type(name: str, real: Any = np.float32) -> Any:
    """Type of the numbers behind a pointer, ``real`` where it follows the positions."""
    return NUMBER_TYPES.get(name, real)


def launch(
    optimizer: Any,
    potential: Any,
    system: System,
    state: SearchState,
    steps: int,
    only_evaluate: bool = False,
) -> Launch:
    """Collect the arrays of a launch; scales are expanded to the batch.

    ``only_evaluate``: one evaluation at the present positions, without the rule's
    state.
    """
    n, batch = state.positions.shape[1:]
    rule, inner, kind = rule_of(optimizer), state.inner, state.positions.dtype
    fields = ("positions", "energy", "force", "best_positions", "best_energy")
    arrays: dict[str, Any] = {name: getattr(state, name) for name in fields}
    arrays |= {"evaluations": state.evaluations, "active": state.active}
    own, taken, hopping = None, 0, chains.NONE
    if not only_evaluate:
        if isinstance(inner, HoppingState):
            arrays |= chains.chain_arrays(inner)
            hopping = chains.numbers(optimizer, system)
            inner = inner.quench
        own = rule_adapter(rule).pack(inner)
        arrays |= {f"row_{k}": a for k, a in enumerate(own.rows)}
        arrays |= {f"whole_{k}": a for k, a in enumerate(own.whole)}
        taken = own.steps
    arrays["steps_taken"] = _spread(np.asarray(taken), batch)
    arrays["potential"], arrays["theta"] = _PARAMETERS.get(
        (potential, rule), kind, lambda: _parameters(potential, rule, kind)
    )
    # Systems with a batch axis are made for one launch.
    stride = n if np.ndim(system.species) == 2 else 0
    own_scales = np.ndim(system.length_scale) or np.ndim(system.energy_scale)
    if stride or own_scales:
        constant, counts = _system(system, kind)
    else:
        constant, counts = _SYSTEMS.get((system,), kind, lambda: _system(system, kind))
    arrays |= constant
    for name in ("length_scale", "energy_scale"):
        arrays[name] = _spread(arrays[name], batch)
    if system.atom_scales is not None and getattr(
        getattr(rule, "features", None), "species", False
    ):
        scales = np.asarray(system.atom_scales, kind)
        scales = scales.reshape(scales.shape + (1,) * (3 - scales.ndim))
        arrays["atom_scales"] = np.array(np.broadcast_to(scales, (2, n, batch)))
    numbers: dict[str, Any] = {
        "n": n,
        "batch": batch,
        "steps": steps,
        "species_stride": stride,
        "only_evaluate": int(only_evaluate),
        "fmax": float(np.asarray(optimizer.fmax)),
        "hopping": hopping,
    } | counts
    return Launch(arrays, numbers, state, own, rule)


def _spread(values: np.ndarray, batch: int) -> np.ndarray:
    """One number for each structure."""
    if values.ndim == 0:
        return np.full(batch, values)
    return np.array(np.broadcast_to(values, (batch,)))


def _parameters(potential: Any, rule: Any, kind: Any) -> tuple[np.ndarray, np.ndarray]:
    """The parameters of potential and rule, as the kernels read them."""
    return (
        _flat(potential_adapter(potential).parameters(potential), kind),
        _flat(rule_adapter(rule).parameters(rule), kind),
    )


def _system(system: System, kind: Any) -> tuple[dict[str, Any], dict[str, int]]:
    """Species, fixed atoms, scales, cells and images; how many images."""
    species = np.asarray(system.species, np.int32)
    arrays: dict[str, Any] = {
        "species": np.ascontiguousarray(species.T) if species.ndim == 2 else species
    }
    if system.free is not None:
        arrays["free"] = np.asarray(system.free)
    for name in ("length_scale", "energy_scale"):
        arrays[name] = np.asarray(getattr(system, name), kind)
    return arrays, _lattices(system, arrays, kind)


def _lattices(system: System, arrays: dict[str, Any], kind: Any) -> dict[str, int]:
    """Add cells and images, of the potential and, in reduced units, of the rule."""
    counts = {"n_images": 0, "n_feature_images": 0}
    if system.cell is None:
        return counts
    length = float(np.asarray(system.length_scale))
    for prefix, unit, images in (
        ("", 1.0, system.images),
        ("feature_", length, system.feature_images),
    ):
        rows = np.asarray(system.cell, np.float64) / unit
        both = np.concatenate([rows.ravel(), np.linalg.inv(rows).ravel()])
        arrays[f"{prefix}cell"] = both.astype(kind)
        shifts = np.asarray(images, np.float64) / unit
        arrays[f"{prefix}images"] = shifts.astype(kind)
        counts[f"n_{prefix}images"] = len(shifts)
    return counts


def on_chip_bytes(optimizer: Any, potential: Any, n_atoms: int) -> int:
    """Shared memory of a block: weights, rows, first layer, clock."""
    rule = rule_of(optimizer)
    weights = sum(int(np.size(v)) for v in rule_adapter(rule).parameters(rule))
    rows = row_count(optimizer, potential)
    shared = rule_adapter(rule).shared
    return 4 * (-(-weights // 4) * 4 + rows * n_atoms + shared)
