"""What the kernels in ``kernels/`` take: macros, flat arrays, one block of pointers.

One C++ source runs whole searches, on a GPU (:mod:`.cuda`) and on the host
(:mod:`.native`). Everything that both need is here: which searches the source covers,
what it is compiled for, and how a :class:`~ase_l2h.optimizers.base.SearchState` becomes
pointers and comes back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ase_l2h.optimizers.base import SearchState
from ase_l2h.optimizers.basin_hopping.optimizer import BasinHopping
from ase_l2h.optimizers.basin_hopping.state import HoppingState
from ase_l2h.optimizers.rule_steps import reduced_system
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.lennard_jones import LennardJones
from ase_l2h.potentials.stillinger_weber import StillingerWeber
from ase_l2h.rollout.kernels import hopping as fused_hopping
from ase_l2h.rollout.kernels.adapters import (
    RULES,
    Parts,
    parts,
    rule_of,
    rule_rows,
    theta,
)
from ase_l2h.rules.lbfgs import Lbfgs
from ase_l2h.rules.learned import CoordinatewiseRule, EquivariantRule
from ase_l2h.system import System

__all__ = [
    "CHANGED",
    "KERNELS",
    "POINTERS",
    "definitions",
    "launch",
    "macros_as_options",
    "missing",
    "number_type",
    "on_chip_bytes",
    "row_count",
]

KERNELS = Path(__file__).parent / "cpp"
POTENTIALS = {LennardJones: 1, Gupta: 2, StillingerWeber: 3}
SCRATCH_ROWS = {LennardJones: 0, Gupta: 1, StillingerWeber: 10}
HIDDEN, STEP_ROWS = 32, 15
# Of `struct Arguments` in kernels/arguments.h.
CHANGED = (
    *("positions", "energy", "force", "best_positions", "best_energy"),
    *("row_0", "row_1", "row_2", "row_3"),
    *("whole_0", "whole_1", "whole_2", "whole_3"),
    *("evaluations", "active", *fused_hopping.CHAIN),
)
POINTERS = (
    *CHANGED,
    *("keys", "species", "length_scale", "energy_scale", "atom_scales"),
    *("potential", "theta", "cell", "images", "feature_cell", "feature_images"),
)
NUMBERS = (
    *("n", "batch", "steps", "first_step"),
    *("species_stride", "n_images", "n_feature_images"),
)
ARGUMENTS = np.dtype(
    [(name, np.uint64) for name in POINTERS]
    + [(name, np.int32) for name in NUMBERS]
    + [("fmax", np.float32), ("hopping", fused_hopping.OPTIONS)],
    align=True,
)
# Everything else is in single precision.
NUMBER_TYPES = fused_hopping.CHAIN | {
    "evaluations": np.int32,
    "active": np.uint8,
    "species": np.int32,
    "keys": np.uint32,
}


def missing(
    optimizer: Any, potential: Any, system: System, double: bool = False
) -> str | None:
    """Why the kernels cannot run this search; None when they can."""
    rule = rule_of(optimizer)
    if isinstance(optimizer, BasinHopping):
        reason = fused_hopping.missing(optimizer)
        if reason is not None:
            return reason
    if type(rule) not in RULES:
        name = type(optimizer if rule is None else rule).__name__
        return (
            f"they have no {name}; there are the learned rules, Adam, FIRE, L-BFGS and "
            "basin hopping"
        )
    if type(potential) not in POTENTIALS:
        return (
            f"they have no {type(potential).__name__}; there are LennardJones, Gupta "
            "and StillingerWeber"
        )
    if double:
        return "they work in single precision; give positions in float32"
    if system.free is not None:
        return "they move all atoms; this system has fixed ones"
    if isinstance(potential, (LennardJones, Gupta)) and potential.rc is not None:
        return "their Lennard-Jones and Gupta potentials have no cut-off"
    if isinstance(potential, StillingerWeber) and (potential.p, potential.q) != (4, 0):
        return "their Stillinger-Weber exponents are 4 and 0"
    if isinstance(potential, Gupta) and np.ndim(potential.A) != 2:
        return "they take one set of Gupta parameters"
    if isinstance(rule, CoordinatewiseRule) and rule.features.species_slots > 1:
        slots = rule.features.species_slots
        if int(np.max(np.asarray(system.species))) >= slots:
            return f"this rule tells {slots} species apart, and the system has more"
    return None


def definitions(optimizer: Any, potential: Any, system: System) -> dict[str, int | str]:
    """Macros that the source is compiled with."""
    rule = rule_of(optimizer)
    symbols = getattr(potential, "A", np.ones((1, 1)))
    macros: dict[str, int | str] = {
        "POTENTIAL": POTENTIALS[type(potential)],
        "RULE": RULES[type(rule)],
        "HOPPING": int(isinstance(optimizer, BasinHopping)),
        "PERIODIC": int(system.cell is not None),
        "RECENTRED": int(system.recentred),
        "SPECIES_COUNT": np.shape(symbols)[0] if isinstance(potential, Gupta) else 1,
        "ARGUMENTS_BYTES": ARGUMENTS.itemsize,
        "ROW_COUNT": row_count(optimizer, potential),
        "THETA_FLOATS": int(theta(rule).size),
    }
    if isinstance(rule, Lbfgs):
        macros["HISTORY"] = rule.memory
    if isinstance(rule, EquivariantRule):
        names = ("step", "progress", "atom_energies", "memory", "species")
        macros |= {n.upper(): int(getattr(rule.features, n)) for n in names}
    elif isinstance(rule, CoordinatewiseRule):
        features = rule.features
        names = ("gradients", "positions", "adam_like", "singular", "step", "radial")
        macros |= {n.upper(): int(getattr(features, n)) for n in names}
        macros |= {
            "DECAYED": int(features.decays),
            "SLOTS": features.species_slots,
            "HOT": features.n_species,
        }
    return macros


def row_count(optimizer: Any, potential: Any) -> int:
    """Numbers per atom that a structure keeps on the chip."""
    hopping = isinstance(optimizer, BasinHopping)
    own = rule_rows(rule_of(optimizer), hopping)
    return 14 + SCRATCH_ROWS[type(potential)] + own


def _parameters(potential: Any) -> np.ndarray:
    """Numbers of a potential in the order that potentials.h reads them."""
    if isinstance(potential, LennardJones):
        epsilon, sigma = np.float64(potential.epsilon), np.float64(potential.sigma)
        values: Any = [2 * epsilon, 48 * epsilon / sigma, 1 / sigma]
    elif isinstance(potential, Gupta):
        names = ("p", "q", "r0", "xi", "A")
        p, q, r0, xi, a = (np.asarray(getattr(potential, n), float) for n in names)
        values = [a * np.exp(p), p / r0, xi**2 * np.exp(2 * q), 2 * q / r0]
    else:
        names = ("epsilon", "sigma", "A", "B", "lam", "gamma", "a", "cos_theta0")
        values = [np.float64(getattr(potential, name)) for name in names]
    return np.ravel(np.asarray(values, np.float32))


@dataclasses.dataclass(frozen=True)
class Launch:
    """Arrays to hand to a kernel, and what becomes of them.

    ``arrays`` go by the names of ``POINTERS``; those that a search has no use for are
    missing, their pointers null. Those in ``CHANGED`` are written to.
    :func:`number_type` says as what a kernel reads them.
    """

    arrays: dict[str, Any]
    numbers: dict[str, Any]
    state: SearchState
    parts: Parts

    def block(self, address: Callable[[Any], int], held: dict[str, Any]) -> np.ndarray:
        """``struct Arguments`` with the addresses of ``held``."""
        block = np.zeros((), ARGUMENTS)
        for name, array in held.items():
            block[name] = address(array)
        for name, number in self.numbers.items():
            block[name] = number
        return block

    def finish(self, held: dict[str, Any], steps: int) -> SearchState:
        """The state out of arrays (JAX or numpy) that a kernel has changed."""
        rows = [held[f"row_{k}"] for k in range(len(self.parts.rows))]
        whole = [held[f"whole_{k}"] for k in range(len(self.parts.whole))]
        inner = self.parts.rebuild(rows, whole, steps)
        if isinstance(self.state.inner, HoppingState):
            inner = fused_hopping.rebuilt(self.state.inner, inner, held)
        fields = ("positions", "energy", "force", "best_positions", "best_energy")
        state = self.state._replace(
            **{name: held[name] for name in fields},
            evaluations=held["evaluations"],
            active=held["active"].astype(bool),
            inner=inner,
        )
        # All at once: one by one takes longer than a thousand steps of a small cluster.
        return jax.device_put(state)


def number_type(name: str) -> Any:
    """Type of the numbers behind a pointer."""
    return NUMBER_TYPES.get(name, np.float32)


def launch(
    optimizer: Any, potential: Any, system: System, state: SearchState, steps: int
) -> Launch:
    """Collect what a launch needs; scales are spread over the batch."""
    n, batch = state.positions.shape[1:]
    rule, inner = rule_of(optimizer), state.inner
    hopping = isinstance(inner, HoppingState)
    own = parts(rule, inner.quench if hopping else inner)
    single: list[str] = ["positions", "energy", "force"]
    single += ["best_positions", "best_energy"]
    arrays: dict[str, Any] = {name: getattr(state, name) for name in single}
    arrays |= {f"row_{k}": a for k, a in enumerate(own.rows)}
    arrays |= {f"whole_{k}": a for k, a in enumerate(own.whole)}
    arrays |= fused_hopping.chain_arrays(inner) if hopping else {}
    arrays |= {"evaluations": state.evaluations, "active": state.active}
    species = np.asarray(system.species, np.int32)
    stride = n if species.ndim == 2 else 0
    arrays["species"] = np.ascontiguousarray(species.T) if stride else species
    for name in ("length_scale", "energy_scale"):
        scale = np.asarray(getattr(system, name), np.float32)
        arrays[name] = np.array(np.broadcast_to(scale, (batch,)))
    seen = getattr(rule, "features", None)
    if system.atom_scales is not None and getattr(seen, "species", False):
        scales = np.asarray(system.atom_scales, np.float32)
        scales = scales.reshape(scales.shape + (1,) * (3 - scales.ndim))
        arrays["atom_scales"] = np.array(np.broadcast_to(scales, (2, n, batch)))
    arrays["potential"] = _parameters(potential)
    arrays["theta"] = theta(rule)
    counts = {"n_images": 0, "n_feature_images": 0}
    if system.cell is not None:
        reduced = reduced_system(system)
        for prefix, cell, images in (
            ("", system.cell, system.images),
            ("feature_", reduced.cell, reduced.feature_images),
        ):
            rows = np.asarray(cell, np.float64)
            both = np.concatenate([rows.ravel(), np.linalg.inv(rows).ravel()])
            arrays[f"{prefix}cell"] = both.astype(np.float32)
            arrays[f"{prefix}images"] = np.asarray(images, np.float32)
            counts[f"n_{prefix}images"] = len(arrays[f"{prefix}images"])
    numbers: dict[str, Any] = {
        "n": n,
        "batch": batch,
        "steps": steps,
        "first_step": own.step,
        "species_stride": stride,
        "fmax": float(np.asarray(optimizer.fmax)),
    } | counts
    if hopping:
        numbers["hopping"] = fused_hopping.numbers(optimizer, system)
    return Launch(arrays, numbers, state, own)


def on_chip_bytes(optimizer: Any, potential: Any, n_atoms: int) -> int:
    """Shared memory of a block: weights, step table, rows, first layer."""
    small = -(-(theta(rule_of(optimizer)).size + STEP_ROWS) // 4) * 4
    rows = row_count(optimizer, potential)
    return 4 * (small + rows * n_atoms + HIDDEN)


def macros_as_options(macros: dict[str, int | str]) -> Sequence[str]:
    """``-DNAME=VALUE`` for a compiler's command line."""
    return [f"-D{name}={value}" for name, value in macros.items()]
