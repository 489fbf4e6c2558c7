"""Basin hopping in the kernels: its options as numbers, its chains as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ase_l2h.optimizers.basin_hopping.moves import KICKS, packed_radius
from ase_l2h.optimizers.basin_hopping.optimizer import (
    FACTOR,
    LOOK,
    WINDOW,
    BasinHopping,
)
from ase_l2h.optimizers.basin_hopping.restarts import RestartState
from ase_l2h.optimizers.basin_hopping.state import SHARING, HoppingState
from ase_l2h.rollout.kernels.macros import Macros, single
from ase_l2h.rollout.kernels.threefry import children, uniforms
from ase_l2h.rules.adam import Adam
from ase_l2h.rules.fire import Fire
from ase_l2h.rules.lbfgs import Lbfgs
from ase_l2h.system import System

__all__ = [
    "CHAIN",
    "NONE",
    "OPTIONS",
    "chain_arrays",
    "initial",
    "macros",
    "missing",
    "numbers",
    "rebuilt",
]

QUENCHES = (Lbfgs, Adam, Fire)
# Arrays that the kernels change, in the order of `struct Arguments` in cpp/arguments.h.
CHAIN: dict[str, Any] = {
    "current_positions": np.float32,
    "current_energy": np.float32,
    "current_atoms": np.float32,
    "acceptance_bound": np.float32,
    "size": np.float32,
    "compressed": np.uint8,
    "pulling": np.uint8,
    "quench_evaluations": np.int32,
    "reached": np.float32,
    "looked": np.float32,
    "quenches": np.int32,
    "accepted": np.int32,
    "abandoned": np.int32,
    "lately_accepted": np.int32,
    "lowest": np.float32,
    "lowest_evaluations": np.int32,
    "lowest_quenches": np.int32,
    "stage_lowest": np.float32,
    "stage_stalled": np.int32,
    "stage_known": np.float32,
    "stage_begun": np.int32,
}
WHOLE = ("fixed_length", "kick", "surface_atoms", "stall", "reseed", "known")
# Fields of `struct HopOptions`.
OPTIONS = np.dtype(
    [
        (name, np.int32 if name in WHOLE else np.float32)
        for name in (
            *("temperature", "acceptance", "fmax", "fmax_lowest", "max_quench"),
            *("abandon", "target_energy", "hit", "fixed_length", "kick", "surface"),
            *("surface_atoms", "swap", "radius", "packed_radius", "share", "strength"),
            *("pull_fmax", "stall", "same", "reseed", "known"),
        )
    ],
    align=True,
)
# Options for searches that do not hop.
NONE = np.zeros((), OPTIONS)


def missing(optimizer: BasinHopping) -> str | None:
    """Why the kernels cannot run these settings; None when they can."""
    if type(optimizer.quench) not in QUENCHES:
        return "its quenches are L-BFGS, Adam or FIRE"
    return None


def macros() -> Macros:
    """Constants of cpp/hopping.h."""
    return {"FACTOR": single(FACTOR), "WINDOW": WINDOW, "LOOK": LOOK}


def numbers(optimizer: BasinHopping, system: System) -> np.ndarray:
    """``struct HopOptions``; options that are off are negative or infinite."""
    moves, stages, pull = optimizer.moves, optimizer.restarts, optimizer.compression
    values: dict[str, Any] = {
        name: getattr(optimizer, name)
        for name in (
            *("temperature", "fmax", "fmax_lowest", "max_quench", "target_energy"),
            *("hit", "fixed_length"),
        )
    }
    for name in ("acceptance", "abandon"):
        chosen = getattr(optimizer, name)
        values[name] = -1 if chosen is None else chosen
    surface = moves.surface if moves.needs_atom_energies(system) else None
    radius = moves.radius(system)
    values |= {
        "kick": KICKS.index(moves.kick),
        "surface": 0 if surface is None else surface,
        "surface_atoms": 0 if surface is None else moves.surface_atoms,
        "swap": -1 if moves.swap is None else moves.swap,
        "radius": np.inf if radius is None else radius,
        "packed_radius": packed_radius(system.n_atoms),
        "reseed": optimizer.reseeds(system),
        "stall": -1,
        "share": -1,
    }
    if stages is not None:
        values |= {"stall": stages.stall, "same": stages.same, "known": stages.n_known}
    if pull is not None and optimizer.compresses(system):
        values |= {"share": pull.share, "strength": pull.strength}
        values["pull_fmax"] = pull.fmax
    names = OPTIONS.names or ()
    return np.array(tuple(np.asarray(values.get(k, 0)).item() for k in names), OPTIONS)


def initial(
    optimizer: BasinHopping,
    system: System,
    positions: np.ndarray,
    keys: np.ndarray,
    memory: Any,
) -> HoppingState:
    """Chains before their first evaluation; ``memory`` is that of the quench's rule.

    The same as those of ``BasinHopping.init_with_keys``.
    """
    batch, dtype = positions.shape[2:], positions.dtype

    def infinite() -> Any:
        return np.full(batch, np.inf, dtype)

    def zero() -> Any:
        return np.zeros(batch, np.int32)

    compressed = np.zeros(batch, bool)
    pull, stages = optimizer.compression, optimizer.restarts
    if pull is not None and optimizer.compresses(system):
        drawing = children(children(keys, 0), SHARING)
        compressed = uniforms(drawing) < np.asarray(pull.share)
    stage = None
    if stages is not None:
        known: Any = np.full((stages.n_known, *batch), np.inf, dtype)
        stage = RestartState(infinite(), zero(), known, zero())
    atoms = optimizer.moves.needs_atom_energies(system)
    fields: dict[str, Any] = dict(
        quench=memory,
        stage=stage,
        keys=np.array(keys, np.uint32),
        current_positions=positions.copy(),
        current_energy=infinite(),
        current_atoms=np.zeros_like(positions[0]) if atoms else None,
        acceptance_bound=infinite(),
        size=np.full(batch, np.asarray(optimizer.moves.size), dtype),
        compressed=compressed,
        pulling=compressed.copy(),
        quench_evaluations=zero(),
        reached=infinite(),
        looked=infinite(),
        quenches=zero(),
        accepted=zero(),
        abandoned=zero(),
        lately_accepted=zero(),
        lowest=infinite(),
        lowest_evaluations=zero(),
        lowest_quenches=zero(),
    )
    return HoppingState(**fields)


def _field(inner: HoppingState, name: str) -> Any:
    if name.startswith("stage_"):
        return getattr(inner.stage, name.removeprefix("stage_"), None)
    return getattr(inner, name)


def chain_arrays(inner: HoppingState) -> dict[str, Any]:
    """The arrays of a state for the kernels, without its rule's memory."""
    arrays = {name: _field(inner, name) for name in CHAIN}
    arrays = {k: a for k, a in arrays.items() if a is not None and a.size}
    return arrays | {"keys": inner.keys}


def rebuilt(inner: HoppingState, memory: Any, held: dict[str, Any]) -> HoppingState:
    """The state after a launch, from the rule's ``memory`` and the changed arrays."""
    new = {}
    for name in CHAIN:
        if name in held:
            array, kind = held[name], _field(inner, name).dtype
            new[name] = array if array.dtype == kind else array.astype(kind)
    begun = {k: a for k, a in new.items() if k.startswith("stage_")}
    own = {k: a for k, a in new.items() if k not in begun}
    stage = inner.stage
    if stage is not None:
        stage = stage._replace(
            **{k.removeprefix("stage_"): a for k, a in begun.items()}
        )
    return inner._replace(quench=memory, stage=stage, **own)
