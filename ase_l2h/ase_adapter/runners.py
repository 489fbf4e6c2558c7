"""The two ways in which Learn2Hop takes its inner steps.

A :class:`KernelWalk` runs all starts in a compiled rollout of a known potential. A
:class:`CalculatorWalk` asks the atoms' calculator once per inner step and start. Both
drive the same optimizer, a rule joined with energies, and keep the same state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ase_l2h.optimizers import RuleOptimizer
from ase_l2h.optimizers.rule_steps import rule_optimizers
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout import Rollout, quench, relax_rollout
from ase_l2h.rollout.calculator import CalculatorRollout
from ase_l2h.rules import Lbfgs
from ase_l2h.system import System

__all__ = ["CalculatorWalk", "Frame", "KernelWalk", "Probe", "Structure", "Walk"]

# A quench of 100 atoms needs some 150 calls down to 0.02 eV/angstrom.
CALCULATOR_QUENCH_STEPS = 500
# Energy scales above the found structure from where on two atoms have collided, and
# calculators warn of overflow.
COLLISION = 1e6


class Structure(NamedTuple):
    """Energy and ASE positions ``(n, 3)``."""

    energy: float
    positions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Frame:
    """Between ASE's positions and a walk's, which lie around the origin.

    Small coordinates keep single precision sharp, and the user's centroid is given
    back. Fixed coordinates are given back bit for bit.

    Parameters
    ----------
    found
        ``(n, 3)`` where the walk begins, as ASE has it.
    free
        Mask ``(3, n)`` of movable coordinates; None when all may move.
    """

    found: np.ndarray
    free: np.ndarray | None = None

    @property
    def _centre(self) -> np.ndarray:
        return np.mean(self.found, axis=0)

    def inside(self, positions: np.ndarray) -> np.ndarray:
        """``(n, 3)`` of ASE to ``(3, n)`` of a walk."""
        return np.ascontiguousarray((positions - self._centre).T)

    def outside(self, positions: np.ndarray) -> np.ndarray:
        """``(3, n)`` of a walk to ``(n, 3)`` of ASE."""
        moved = np.asarray(positions, dtype=float).T + self._centre
        if self.free is not None:
            moved = np.where(self.free.T, moved, self.found)
        # There and back costs a last digit, and with it a calculator's cached result.
        rounding = 1e-14 * (1 + np.max(np.abs(self.found)))
        same = np.max(np.abs(moved - self.found)) < rounding
        return self.found.copy() if same else moved


class Probe:
    """The user's atoms as a function of positions, every new point counted.

    Parameters
    ----------
    atoms
        The ``ase.Atoms`` that are moved.
    optimizable
        ASE's view of them: energy, and gradient with constraints applied.
    """

    def __init__(self, atoms: Any, optimizable: Any) -> None:
        self.atoms = atoms
        self.optimizable = optimizable
        # One for the structure as it is found.
        self.calls = 1

    def move(self, positions: np.ndarray) -> None:
        """Put the atoms at ``(n, 3)``."""
        if not np.array_equal(positions, self.atoms.positions):
            # What is fixed is where it was; ASE's own adjustment would round the rest.
            self.atoms.set_positions(positions, apply_constraint=False)
            self.calls += 1

    def measure(self) -> tuple[float, np.ndarray]:
        """Energy, and gradient ``(n, 3)``, where the atoms are."""
        # Forces first: many calculators then give the energy without another call.
        gradient = np.asarray(self.optimizable.get_gradient(), dtype=float)
        return float(self.optimizable.get_value()), gradient.reshape((-1, 3))


class Walk:
    """A rollout seen through a frame: what both walks have in common.

    The *leader* is the start that has seen the lowest energy so far.
    """

    run: Any
    system: System
    frame: Frame

    @property
    def steps(self) -> int:
        """Inner steps taken."""
        return self.run.steps

    @property
    def leader(self) -> int:
        """The start that has seen the lowest energy."""
        return int(np.argmin(self.run.gather("best_energy")))

    @property
    def charged_evaluations(self) -> int:
        """Of all starts, relaxations included."""
        raise NotImplementedError

    def advance(self, n_steps: int, expired: Callable[[], bool]) -> None:
        """Take up to ``n_steps`` inner steps with every start."""
        raise NotImplementedError

    def lowest_seen(self) -> Structure:
        """The lowest point any start has passed, not relaxed."""
        b = self.leader
        positions = self.frame.outside(self.run.gather("best_positions")[..., b])
        return Structure(float(self.run.gather("best_energy")[b]), positions)

    def shown(self) -> np.ndarray:
        """The leader's present structure, ``(n, 3)``."""
        return self.frame.outside(self.run.gather("positions")[..., self.leader])

    def relax(self, fmax: float, all_starts: bool) -> list[Structure]:
        """Relax where the starts are, or the lowest they saw where that is lower.

        Forces end below ``fmax`` (units of the atoms) in the lowest structure.
        """
        raise NotImplementedError

    def polish(self, positions: np.ndarray, fmax: float) -> Structure:
        """Relax one structure ``(n, 3)`` until forces are well below ``fmax``."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`resume` needs: arrays and numbers."""
        return {"inner_steps": self.steps, "leaves": self.run.leaves()}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a stored :meth:`state`, bit for bit."""
        self.run.restore(state["leaves"], state["inner_steps"])


@jax.jit
def _kernel_energy(potential: Any, system: System, positions: Array) -> Array:
    return potential.energy(positions, system)


class KernelWalk(Walk):
    """All starts at once in a compiled rollout of a known potential.

    Parameters
    ----------
    rule, potential, system, frame
        What steps, on what, and where the user's atoms are.
    starts
        ``(3, n, batch)`` in the frame.
    key
        JAX random key.
    backend, device
        See :func:`~ase_l2h.rollout.batch.rollout`.
    """

    def __init__(
        self,
        rule: Any,
        potential: Potential,
        system: System,
        frame: Frame,
        starts: np.ndarray,
        key: Array,
        backend: str,
        device: Any,
    ) -> None:
        self.potential, self.system, self.frame = potential, system, frame
        self.device = device
        self.relaxation_evaluations = 0
        self.run = Rollout(
            rule_optimizers(rule),
            potential,
            system,
            np.asarray(starts, dtype=np.float32),
            key,
            backend=backend,
            device=device,
        )

    @property
    def charged_evaluations(self) -> int:
        """Of all starts; ASE's look at the leader is the kernel's next point."""
        return int(np.sum(self.run.gather("evaluations"))) + self.relaxation_evaluations

    def advance(self, n_steps: int, expired: Callable[[], bool]) -> None:
        """Take ``n_steps`` inner steps with every start."""
        self.run.advance(n_steps)

    def energy(self, positions: np.ndarray) -> float:
        """The kernel's energy of ``(n, 3)`` in double precision."""
        with jax.enable_x64(True):
            inside = jnp.asarray(self.frame.inside(positions))
            return float(_kernel_energy(self.potential, self.system, inside))

    def lowest_seen(self) -> Structure:
        """The lowest point any start has passed, its energy in double precision."""
        seen = super().lowest_seen()
        return seen._replace(energy=self.energy(seen.positions))

    def shown(self) -> np.ndarray:
        """The leader's present structure, or its best while atoms collide."""
        present, best = super().shown(), self.lowest_seen()
        height = self.energy(present) - best.energy
        apart = height < COLLISION * float(self.system.energy_scale)
        return present if apart else best.positions

    def relax(self, fmax: float, all_starts: bool = True) -> list[Structure]:
        """Relax every start in double precision."""
        relaxed = relax_rollout(self.run, self.potential, self.system, self.device)
        self.relaxation_evaluations += int(np.sum(relaxed.evaluations))
        found = [
            Structure(float(energy), self.frame.outside(relaxed.positions[..., b]))
            for b, energy in enumerate(relaxed.energy)
            if np.isfinite(energy)
        ]
        if not found:
            return found
        best = min(found, key=lambda structure: structure.energy)
        force = relaxed.force[int(np.nanargmin(relaxed.energy))]
        # Single precision has moved what is fixed by a last digit.
        if self.frame.free is not None or not force < fmax / 2:
            found.append(self.polish(best.positions, fmax))
        return found

    def polish(self, positions: np.ndarray, fmax: float) -> Structure:
        """Relax one structure in double precision."""
        relaxed = quench(
            self.potential,
            self.system,
            self.frame.inside(positions)[..., None],
            fmax=fmax / 2,
            device=self.device,
        )
        self.relaxation_evaluations += int(relaxed.evaluations[0])
        outside = self.frame.outside(relaxed.positions[..., 0])
        return Structure(float(relaxed.energy[0]), outside)

    def state(self) -> dict[str, Any]:
        """Rollout and evaluations."""
        return super().state() | {"relaxation": self.relaxation_evaluations}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue bit for bit."""
        super().resume(state)
        self.relaxation_evaluations = state["relaxation"]


class CalculatorWalk(Walk):
    """One calculator call per inner step and start, on the user's own atoms.

    Parameters
    ----------
    rule, system, frame, starts, key
        As for :class:`KernelWalk`.
    probe
        The atoms.
    """

    def __init__(
        self,
        rule: Any,
        system: System,
        frame: Frame,
        starts: np.ndarray,
        key: Array,
        probe: Probe,
    ) -> None:
        self.system, self.frame, self.probe = system, frame, probe
        self._key = key
        # One call at a time is too few starts for a portfolio: its first rule.
        rule = rule[0] if isinstance(rule, tuple) else rule
        self.run = CalculatorRollout(
            RuleOptimizer(rule), system, starts, key, self._measure
        )

    def _measure(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        self.probe.move(self.frame.outside(positions))
        energy, gradient = self.probe.measure()
        return energy, gradient.T

    @property
    def charged_evaluations(self) -> int:
        """Calls of the calculator."""
        return self.probe.calls

    def advance(self, n_steps: int, expired: Callable[[], bool]) -> None:
        """Take up to ``n_steps`` inner steps with every start."""
        self.run.advance(n_steps, expired)

    def relax(self, fmax: float, all_starts: bool) -> list[Structure]:
        """Relax every start, or only the leader, by L-BFGS."""
        starts = range(self.run.count) if all_starts else [self.leader]
        found = []
        for b in starts:
            present = self.run.gather("positions")[..., b]
            relaxed = self.polish(self.frame.outside(present), fmax)
            # Not so when energy or forces failed on the way.
            if not relaxed.energy <= self.run.gather("best_energy")[b]:
                best = self.run.gather("best_positions")[..., b]
                found.append(relaxed)
                relaxed = self.polish(self.frame.outside(best), fmax)
            found.append(relaxed)
        return [structure for structure in found if np.isfinite(structure.energy)]

    def polish(self, positions: np.ndarray, fmax: float) -> Structure:
        """Relax one structure by L-BFGS."""
        run = CalculatorRollout(
            RuleOptimizer(Lbfgs(), fmax=fmax / 2),
            self.system,
            self.frame.inside(positions)[..., None],
            self._key,
            self._measure,
        )
        run.advance(CALCULATOR_QUENCH_STEPS)
        # Without convergence, `positions` have not been evaluated.
        last = "" if not run.gather("active")[0] else "best_"
        outside = self.frame.outside(run.gather(last + "positions")[..., 0])
        return Structure(float(run.gather(last + "energy")[0]), outside)

    def state(self) -> dict[str, Any]:
        """Rollout and calls."""
        return super().state() | {"calls": self.probe.calls}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue bit for bit."""
        super().resume(state)
        self.probe.calls = state["calls"]
