"""What Learn2Hop knows about one structure: walk under way, minima, where atoms are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from ase_l2h.ase_adapter.calculators import potential_of
from ase_l2h.ase_adapter.convert import system_of
from ase_l2h.ase_adapter.runners import (
    CalculatorWalk,
    Frame,
    KernelWalk,
    Probe,
    Structure,
)
from ase_l2h.search.multistart import ROLLOUTS, distinct_minima, make_starts
from ase_l2h.system import System

__all__ = ["Exploration", "Problem", "structure_of"]

# Energy scales within which two equal minima agree: relaxed by a kernel to the last
# digits, or by a calculator to the user's fmax and no further.
TOLERANCE = {"kernel": 1e-5, "calculator": 1e-2}
# Kernel and calculator differ by rounding, unless they are not the same potential.
AGREEMENT = 1e-6
# Relative rounding of an energy in double precision, summed over some 10^4 pairs.
ROUNDING = 1e-12

logger = logging.getLogger(__name__)


def structure_of(atoms: Any) -> Atoms:
    """The Atoms that an optimizer has been given.

    Raises
    ------
    TypeError
        For filters, NEBs and anything else that is not just Atoms.
    """
    if isinstance(atoms, Atoms):
        return atoms
    make = getattr(atoms, "__ase_optimizable__", None)
    inner = getattr(make() if callable(make) else None, "atoms", None)
    if isinstance(inner, Atoms):
        return inner
    kind = type(atoms).__name__
    if isinstance(getattr(atoms, "atoms", None), Atoms):
        raise TypeError(
            f"a search moves atoms only, so the filter {kind} cannot be used; pass the "
            "Atoms it wraps, and relax the cell afterwards"
        )
    raise TypeError(
        f"Learn2Hop searches for minima of one ase.Atoms object, not of a {kind}; "
        "pass Atoms with a calculator"
    )


class Problem(NamedTuple):
    """What is minimised: ``potential`` is None where only the calculator knows."""

    potential: Any
    system: System
    frame: Frame

    @classmethod
    def of(
        cls, atoms: Atoms, length_scale: float | None, energy_scale: float | None
    ) -> Problem:
        """The problem that atoms with a calculator pose.

        Raises
        ------
        ValueError
            When it cannot be searched.
        """
        if atoms.calc is None:
            raise ValueError(
                "the structure has no calculator; set atoms.calc, for example to "
                "LennardJones() of ase_l2h or to any ASE calculator"
            )
        if isinstance(atoms.calc, SinglePointCalculator):
            raise ValueError(
                "the structure carries stored results instead of a calculator, as "
                "files do; set atoms.calc to one that can compute"
            )
        potential, system, _ = system_of(
            atoms,
            potential_of(atoms.calc),
            length_scale=length_scale,
            energy_scale=energy_scale,
        )
        free = None if system.free is None else np.asarray(system.free)
        return cls(potential, system, Frame(atoms.get_positions(), free))

    @property
    def kind(self) -> str:
        """``"kernel"`` or ``"calculator"``."""
        return "calculator" if self.potential is None else "kernel"

    @property
    def energy_scale(self) -> float:
        """Unit in which the rule sees energies."""
        return float(self.system.energy_scale)

    def same_as(self, other: Problem) -> bool:
        """Whether energies and structures of the two can be compared."""
        ours, theirs = jax.tree.flatten(self[:2]), jax.tree.flatten(other[:2])
        return ours[1] == theirs[1] and all(
            np.array_equal(a, b) for a, b in zip(ours[0], theirs[0], strict=True)
        )


class Exploration:
    """A walk, what has been found, and the user's atoms, moved through one door.

    Parameters
    ----------
    atoms, optimizable
        The user's structure, and ASE's view of its energy and forces.
    rule
        What steps.
    n_starts, seed
        Number of starts and their seed; a further walk takes the next seed.
    length_scale, energy_scale, backend, device
        As for :class:`~ase_l2h.ase_adapter.optimizer.Learn2Hop`.
    on_slow
        Called with the :class:`Problem` before the first walk of an unknown calculator.

    Attributes
    ----------
    problem
        As the atoms pose it; checked at once.
    walk
        The walk under way.
    found
        The structure as it was before the walk.
    minima
        Relaxed minima, distinct, lowest first.
    """

    def __init__(
        self,
        atoms: Atoms,
        optimizable: Any,
        *,
        rule: Any = None,
        n_starts: int = 1,
        seed: int = 0,
        length_scale: float | None = None,
        energy_scale: float | None = None,
        backend: str = "auto",
        device: Any = None,
        on_slow: Callable[[Problem], None] | None = None,
    ) -> None:
        self.atoms, self.optimizable = atoms, optimizable
        self.rule, self.n_starts, self.seed = rule, n_starts, seed
        self.scales = {"length_scale": length_scale, "energy_scale": energy_scale}
        self.backend, self.device, self.on_slow = backend, device, on_slow
        self.problem = self._pose()
        self.walk: KernelWalk | CalculatorWalk | None = None
        self.found = Structure(np.inf, self.problem.frame.found)
        self.minima: list[Structure] = []
        self._walks = 0
        self._earlier_evaluations = 0
        self._calculator = atoms.calc
        self._placed = self.problem.frame.found
        # What the user looks at, before the walk gets there in its next step.
        self._shown: list[Structure] = []

    def _pose(self) -> Problem:
        problem = Problem.of(self.atoms, **self.scales)
        if problem.frame.free is not None and self.n_starts > 1:
            raise ValueError(
                f"n_starts is {self.n_starts}, but fresh random starts would move the "
                "fixed atoms; use n_starts=1, or remove the constraint"
            )
        return problem

    @property
    def charged_evaluations(self) -> int:
        """Of all walks, relaxations included."""
        present = 0 if self.walk is None else self.walk.charged_evaluations
        return self._earlier_evaluations + present

    @property
    def best(self) -> Structure:
        """The lowest of what was found, relaxed, shown and seen."""
        known = [self.found, *self.minima[:1], *self._shown]
        if self.walk is not None and self.walk.steps:
            known.append(self.walk.lowest_seen())
        return min(known, key=lambda structure: structure.energy)

    @property
    def disturbed(self) -> bool:
        """Whether anybody else has moved the atoms or changed their calculator."""
        moved = not np.array_equal(self._placed, self.atoms.positions)
        return moved or self._calculator is not self.atoms.calc

    def begin(self) -> None:
        """Start a walk from where the atoms are."""
        problem = self._pose()
        same = self._calculator is self.atoms.calc
        if not same or not problem.same_as(self.problem):
            self.minima = []
        self.problem = problem
        self._start_walk(None)

    def _start_walk(self, found: Structure | None) -> None:
        atoms, (potential, system, frame) = self.atoms, self.problem
        if potential is None and self.walk is None and self.on_slow is not None:
            self.on_slow(self.problem)
        probe = Probe(atoms, self.optimizable)
        if found is None:
            energy, gradient = probe.measure()
            if not (np.isfinite(energy) and np.all(np.isfinite(gradient))):
                raise ValueError(
                    "the calculator gives no finite energy and forces for the "
                    "structure; start from a sensible one"
                )
            found = Structure(energy, frame.found)
        own = frame.inside(frame.found)[..., None]
        seed = (self.seed + self._walks) % 2**32
        drawn = make_starts(system, seed, 0, self.n_starts, own)
        starts = np.concatenate([own, drawn[..., 1:]], axis=-1)
        key = jax.random.fold_in(jax.random.key(seed), ROLLOUTS)
        self._earlier_evaluations = self.charged_evaluations
        if potential is None:
            self.walk = CalculatorWalk(self.rule, system, frame, starts, key, probe)
        else:
            self.walk = KernelWalk(
                self.rule,
                potential,
                system,
                frame,
                starts,
                key,
                self.backend,
                self.device,
            )
            self.backend = self.walk.run.backend
        self._walks += 1
        self.found = found
        self._shown = []
        self._calculator = atoms.calc
        self._placed = atoms.get_positions()
        self._check()

    def _measure(self) -> float:
        """ASE's energy where the atoms are."""
        # Gradients first, for calculators that then know the energy as well.
        self.optimizable.get_gradient()
        return float(self.optimizable.get_value())

    def _place(self, positions: np.ndarray) -> None:
        """Put the atoms at ``(n, 3)`` and check the kernel there."""
        if isinstance(self.walk, CalculatorWalk):
            self.walk.probe.move(positions)
        elif not np.array_equal(positions, self.atoms.positions):
            self.atoms.set_positions(positions, apply_constraint=False)
        self._placed = self.atoms.get_positions()
        self._check()

    def _check(self) -> None:
        """Compare the kernel with the calculator where the atoms are.

        Raises
        ------
        RuntimeError
            When they disagree; the atoms are back where they were found.
        """
        if not isinstance(self.walk, KernelWalk):
            return
        said, expected = self._measure(), self.walk.energy(self._placed)
        if abs(said - expected) <= AGREEMENT * (
            self.problem.energy_scale + abs(expected)
        ):
            return
        self.walk, self.minima = None, []
        self.atoms.set_positions(self.found.positions, apply_constraint=False)
        raise RuntimeError(
            f"the calculator's energy is {said:.10g}, the kernel's {expected:.10g}; "
            "wrap the calculator in ase.calculators.mixing.SumCalculator([...]) to "
            "search without the kernel, and report its parameters"
        )

    def show(self) -> None:
        """Put the leader's present structure into the atoms."""
        assert self.walk is not None
        self._shown = []
        self._place(self.walk.shown())
        energy = self._measure()
        self._shown = [Structure(energy, self._placed)]

    def look_deeper(self, fmax: float) -> float:
        """Relax the best so far and remember it; its energy."""
        assert self.walk is not None
        relaxed = self.walk.polish(self.best.positions, fmax)
        self._remember([relaxed])
        return relaxed.energy

    def settle(self, fmax: float, all_starts: bool) -> None:
        """Relax the walk, and put the best of all into the atoms.

        Parameters
        ----------
        fmax
            Largest force on an atom.
        all_starts
            Relax more than the leader, where that costs calls of a calculator.
        """
        walk = self.walk
        assert walk is not None
        self._shown = []
        self._remember(walk.relax(fmax, all_starts))
        if not self.minima or self.found.energy < self.minima[0].energy:
            # Nothing lies below what was there, so relax that.
            self._remember([walk.polish(self.found.positions, fmax)])
        self.place_best(fmax)

    def place_best(self, fmax: float) -> None:
        """Put the best of all into the atoms, relaxed further where ``fmax`` asks."""
        walk, best = self.walk, self.best
        assert walk is not None
        self._place(best.positions)
        if not self.optimizable.converged(self.optimizable.get_gradient(), fmax):
            polished = walk.polish(best.positions, fmax)
            self._remember([polished])
            if polished.energy <= best.energy + ROUNDING * abs(best.energy):
                self._place(polished.positions)
        highest = self.found.energy + ROUNDING * abs(self.found.energy)
        if self._measure() > highest:
            self._place(self.found.positions)

    def put_best(self) -> None:
        """After an interrupt: the best so far into the atoms, not relaxed."""
        if self.walk is None:
            return
        try:
            self._place(self.best.positions)
        except Exception:
            # What has ended the run is on its way to the user and says more.
            logger.exception("the best structure could not be put into the atoms")
            self.atoms.set_positions(self.found.positions, apply_constraint=False)

    def _remember(self, relaxed: list[Structure]) -> None:
        known = [s for s in [*self.minima, *relaxed] if np.isfinite(s.energy)]
        if not known:
            return
        distinct = distinct_minima(
            np.array([s.energy for s in known]),
            np.stack([s.positions.T for s in known], axis=-1),
            self.problem.system,
            TOLERANCE[self.problem.kind],
        )
        self.minima = [Structure(m.energy, m.positions) for m in distinct]

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`resume` needs: arrays, numbers and lists."""
        assert self.walk is not None
        return {
            "seed": self.seed,
            "walks": self._walks,
            "positions": self.atoms.get_positions(),
            "found": list(self.found),
            "minima": [list(minimum) for minimum in self.minima],
            "earlier_evaluations": self._earlier_evaluations,
            "walk": self.walk.state(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a stored :meth:`state`, bit for bit."""
        self.seed = state["seed"]
        self.atoms.set_positions(state["positions"], apply_constraint=False)
        found = Structure(*state["found"])
        frame = Frame(found.positions, self.problem.frame.free)
        self.problem = self.problem._replace(frame=frame)
        self._walks = state["walks"] - 1
        self._start_walk(found)
        assert self.walk is not None
        self.walk.resume(state["walk"])
        self._earlier_evaluations = state["earlier_evaluations"]
        self.minima = [Structure(*minimum) for minimum in state["minima"]]
