"""Learn2Hop as an ASE optimizer: it takes the place of BFGS and goes on to look deeper.

A. Merchant, L. Metz, S. S. Schoenholz, E. D. Cubuk, "Learn2Hop: Learned Optimization on
Rough Landscapes", ICML 2021 (arXiv:2107.09661).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.jsonio import encode
from ase.optimize.optimize import Dynamics, Optimizer, RestartError
from ase.parallel import world

from ase_l2h._internal.arguments import checked_count, checked_number, checked_seed
from ase_l2h._internal.files import write_atomically
from ase_l2h.ase_adapter.runners import Structure
from ase_l2h.ase_adapter.session import Exploration, Problem, structure_of
from ase_l2h.rollout.backends import BACKENDS, resolve_backend
from ase_l2h.rollout.batch import Device, resolve_device
from ase_l2h.search.multistart import HIT
from ase_l2h.weights.load import Weights, load_weights

__all__ = ["Learn2Hop"]

RESTART_FORMAT = "ase_l2h-restart-1"
# Blocks of inner steps in a whole run, each one ASE step and one line of the log.
BLOCKS = 100
# Inner steps when every one of them costs a call of the calculator.
CALCULATOR_HORIZON = 300
# With a target, the leader is relaxed this often on the way, to see how deep it lies.
TARGET_CHECKS = 10

logger = logging.getLogger(__name__)


class Learn2Hop(Optimizer):
    """Global optimization by a learned rule, then relaxation to ``fmax``.

    Every inner step is a displacement that a small network chooses from gradients,
    their history and each atom's surroundings; it is trained to leave poor minima. A
    run takes ``horizon`` inner steps in blocks of some hundredth; one block is one ASE
    step, with one line in the log and one call of the observers. Inside the last step
    the structures are relaxed, and the best of all is put into ``atoms``.

    * With a calculator that
      :func:`~ase_l2h.ase_adapter.calculators.potential_of` recognises, all
      starts run at once in a compiled kernel. ASE's calculator is asked once per
      block, which also checks the kernel.
    * Any other calculator is asked once per inner step and start, and the log says so.
      The horizon is then short, and the starts are relaxed to ``fmax`` and no further.

    During a run ``atoms`` hold the present structure of the leading start: the one that
    has seen the lowest energy so far. It is hot, so the log's energy moves up and down;
    the last column is the lowest energy seen. When :meth:`run` returns, when
    :meth:`irun` is exhausted or abandoned, and after an exception or Ctrl-C, ``atoms``
    hold the best structure found, and never a worse one than at the beginning.

    Another run continues one that ``steps``, ``max_seconds`` or an interrupt has cut
    short. Where the horizon has been used up it returns at once, as ASE's optimizers do
    at a minimum; where the atoms have been moved since, it is a new search from there.

    Parameters
    ----------
    atoms
        Structure with a calculator: a cluster, or periodic in all three directions.
        ``FixAtoms`` and ``FixCartesian`` are obeyed. ASE's wrapper of Atoms is accepted
        too, so that ``ase.optimize.basin.BasinHopping`` can use this class (or a
        subclass that sets a short ``horizon``; BasinHopping passes no arguments on).
    weights
        Name or path of the learned rule's weights, see
        :func:`~ase_l2h.weights.load.load_weights`, or loaded ones; the default when
        None.
    horizon
        Inner steps of every start. By default that of the weights, and at most 300 with
        an unknown calculator; the rule's clock is compressed or stretched to it.
    n_starts
        Number of starts. The first is the structure itself, the others are fresh random
        ones, which are refused where atoms are fixed.
    rng
        Seed of the starts: a number below 2^32, a numpy Generator, from which one is
        drawn, or None for fresh entropy. :attr:`seed` and :meth:`todict` tell it.
    device
        ``"cpu"``, ``"gpu"``, a JAX device, or None for JAX's default.
    backend
        Of a recognised calculator's rollout, see
        :func:`~ase_l2h.rollout.batch.rollout`.
    target_energy
        Stop when this energy is reached within 1e-4 energy scales. With a recognised
        calculator the leader is relaxed, and charged, ten times on the way to see.
    max_seconds
        Stop a run after this wall time, at the end of a block or, with an unknown
        calculator, of an inner step. Relaxing what has been found comes on top.
    length_scale, energy_scale
        Reduced units of the rule. By default those of the potential; for an unknown
        calculator twice the mean covalent radius, and 3.5 eV / 8.61.
    restart
        JSON file with the state after every step: walks, seed, best structures, number
        of steps and, unlike in ASE's other optimizers, the positions of ``atoms``. When
        it exists the search continues where it was, bit for bit on the same machine.
    logfile, trajectory, append_trajectory, **kwargs
        As for every :class:`ase.optimize.optimize.Optimizer`. None is a silent log.

    Raises
    ------
    ValueError, TypeError
        For anything that cannot be searched, filters and other constraints among it;
        one sentence says what to do, and nothing has been touched.
    ase.optimize.optimize.RestartError
        For a restart file that is damaged or belongs to another search.

    Examples
    --------
    >>> search = Learn2Hop(atoms, n_starts=20, rng=0)  # doctest: +SKIP
    >>> search.run(fmax=0.01)  # doctest: +SKIP
    True
    """

    def __init__(
        self,
        atoms: Any,
        weights: str | Path | Weights | None = None,
        horizon: int | None = None,
        n_starts: int = 1,
        rng: int | np.random.Generator | None = None,
        device: str | Device | None = None,
        backend: str = "auto",
        target_energy: float | None = None,
        max_seconds: float | None = None,
        length_scale: float | None = None,
        energy_scale: float | None = None,
        restart: str | Path | None = None,
        logfile: IO | str | Path | None = "-",
        trajectory: Any = None,
        append_trajectory: bool = False,
        **kwargs: Any,
    ) -> None:
        # Everything is checked before the base class removes an old trajectory.
        structure = structure_of(atoms)
        self.n_starts = checked_count("n_starts", n_starts, 1_000_000)
        self.target_energy = checked_number("target_energy", target_energy)
        self.max_seconds = checked_number("max_seconds", max_seconds)
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds is {max_seconds}; give a time above 0")
        comm = kwargs.get("comm", world)
        self.seed = checked_seed(rng, comm)
        self._exploration = Exploration(
            structure,
            atoms.__ase_optimizable__(),
            n_starts=self.n_starts,
            seed=self.seed,
            length_scale=length_scale,
            energy_scale=energy_scale,
            backend=resolve_backend(backend),
            device=resolve_device(device),
            on_slow=self._say_slow,
        )
        loaded = weights if isinstance(weights, Weights) else load_weights(weights)
        self._kind = self._exploration.problem.kind
        if horizon is None:
            horizon = loaded.horizon
            if self._kind == "calculator":
                horizon = min(horizon, CALCULATOR_HORIZON)
        self.horizon = checked_count("horizon", horizon, 10_000_000)
        self.weights = loaded.for_horizon(self.horizon)
        self._exploration.rule = self.weights.rule
        # Between 50 and 100 blocks.
        self.block = math.ceil(self.horizon / BLOCKS)
        # Why the search has ended: "horizon", "target", "time" or "steps".
        self._ended: str | None = None
        self._deadline = math.inf
        self.atoms, self.comm = atoms, comm
        self.restart = None if restart is None else Path(restart)
        self._stored = self._checked_restart(isinstance(rng, int | np.integer))
        super().__init__(
            atoms,
            restart=self.restart,
            logfile=logfile,
            trajectory=trajectory,
            append_trajectory=append_trajectory,
            **kwargs,
        )

    # What has been found.

    @property
    def charged_evaluations(self) -> int:
        """Energies with gradients of one structure at one point, relaxations included.

        With an unknown calculator these are its calls.
        """
        return self._exploration.charged_evaluations

    @property
    def minima(self) -> list[tuple[float, Atoms]]:
        """Distinct relaxed minima of all runs as ``(energy, Atoms)``, lowest first.

        The Atoms carry their energy. Mirror images and permutations of like atoms are
        the same minimum.
        """
        return [(m.energy, self._as_atoms(m)) for m in self._exploration.minima]

    def get_minimum(self) -> tuple[float, Atoms]:
        """The best structure so far, ``(energy, Atoms)``.

        Relaxed once a run has ended; until then the lowest that has been seen.
        """
        if self._exploration.walk is None:
            self._begin()
        best = self._exploration.best
        return best.energy, self._as_atoms(best)

    def _as_atoms(self, structure: Structure) -> Atoms:
        atoms = self._exploration.atoms.copy()
        atoms.set_positions(structure.positions, apply_constraint=False)
        atoms.calc = SinglePointCalculator(atoms, energy=structure.energy)
        return atoms

    # Running.

    def run(self, fmax: float = 0.05, steps: int | None = None) -> bool:
        """Search, relax, and leave the best structure in ``atoms``.

        Parameters
        ----------
        fmax
            Largest force on an atom at the end, in the units of the calculator.
        steps
            Largest number of ASE steps (blocks of inner steps); what is left of the
            horizon when None.

        Returns
        -------
        bool
            Whether ``fmax`` has been met.
        """
        converged = False
        for last in self.irun(fmax, steps):
            converged = last
        return converged

    def irun(
        self, fmax: float = 0.05, steps: int | None = None
    ) -> Generator[bool, None, None]:
        """:meth:`run` as a generator: one item before the first step and after each.

        Leaving the loop early puts the best structure so far into ``atoms``, not
        relaxed; :meth:`get_minimum` returns it too.
        """
        if steps is not None and steps < 0:
            raise ValueError(f"steps is {steps}; give 0 or more")
        self.fmax = fmax
        return self._irun(steps)

    def _irun(self, steps: int | None) -> Generator[bool, None, None]:
        if self._exploration.walk is None or self._exploration.disturbed:
            self._begin()
        walk = self._exploration.walk
        assert walk is not None
        if self._ended in ("steps", "time"):
            self._ended = None
        if steps is None:
            # One at least: it relaxes further where fmax has been lowered.
            steps = max(1, math.ceil((self.horizon - walk.steps) / self.block))
        seconds = math.inf if self.max_seconds is None else self.max_seconds
        self._deadline = time.monotonic() + seconds
        begun, complete = self.nsteps, False
        try:
            for converged in Dynamics.irun(self, steps=steps):
                # Whoever takes the last item may never come back for the end.
                complete = self._ended is not None or self.nsteps >= self.max_steps
                yield bool(converged)
                if self._ended is not None and self.nsteps > begun:
                    return
        finally:
            if not complete:
                self._exploration.put_best()

    def gradient_converged(self, gradient: np.ndarray) -> bool:
        """False until the search has ended, then whether ``fmax`` is met."""
        if self._ended is None and self.nsteps < self.max_steps:
            return False
        return bool(super().gradient_converged(gradient))

    def step(self) -> None:
        """One block of inner steps; the relaxation as well, where it is the last."""
        exploration = self._exploration
        if exploration.walk is None:
            self._begin()
        walk, fmax = exploration.walk, 0.05 if self.fmax is None else self.fmax
        assert walk is not None
        if self._ended in ("horizon", "target"):
            # Asked for tighter forces than before.
            exploration.place_best(fmax)
        else:
            before = walk.steps
            walk.advance(min(self.block, self.horizon - before), self._expired)
            if walk.steps >= self.horizon:
                self._ended = "horizon"
            elif self._reached_target(before, fmax):
                self._ended = "target"
            elif self._expired():
                self._ended = "time"
            elif self.nsteps + 1 == self.max_steps:
                self._ended = "steps"
            if self._ended is None:
                exploration.show()
            else:
                exploration.settle(fmax, all_starts=self._ended == "horizon")
        self._save(self.nsteps + 1)

    def _begin(self) -> None:
        self._exploration.begin()
        self._ended = None
        self._save(self.nsteps)

    def _expired(self) -> bool:
        late = np.array([time.monotonic() > self._deadline], dtype=int)
        if self.max_seconds is not None:
            # Clocks differ; every rank must stop at the same step.
            self.comm.broadcast(late, 0)
        return bool(late[0])

    def _reached_target(self, before: int, fmax: float) -> bool:
        """Whether the target is reached, by a step that began after ``before``."""
        exploration = self._exploration
        if self.target_energy is None or exploration.walk is None:
            return False
        reached = self.target_energy + HIT * exploration.problem.energy_scale
        if exploration.best.energy <= reached:
            return True
        part = self.horizon / TARGET_CHECKS
        due = exploration.walk.steps // part > before // part
        affordable = self._kind == "kernel"
        return due and affordable and exploration.look_deeper(fmax) <= reached

    # Records.

    def log(self, gradient: np.ndarray) -> None:
        """ASE's line (step, time, energy, fmax) and the lowest energy seen."""
        fmax, name = self.optimizable.gradient_norm(gradient), type(self).__name__
        if self.nsteps == 0:
            self.logfile.write(
                f"{'':{len(name)}}  {'Step':>4} {'Time':>8} {'Energy':>15}  "
                f"{'fmax':>12} {'best':>17}\n"
            )
        energy, best = self.optimizable.get_value(), self._exploration.best.energy
        self.logfile.write(
            f"{name}:  {self.nsteps:3d} {time.strftime('%H:%M:%S')} {energy:15.6f} "
            f"{fmax:15.6f} {best:15.6f}\n"
        )

    def _say_slow(self, problem: Problem) -> None:
        calculator = type(self._exploration.atoms.calc).__name__
        note = (
            f"{type(self).__name__}: no kernel for {calculator}, so one call of it per "
            f"inner step, {self.horizon} a start; length scale "
            f"{float(problem.system.length_scale):.4g}, energy scale "
            f"{problem.energy_scale:.4g}"
        )
        logger.info(note)
        self.logfile.write(note + "\n")

    def todict(self) -> dict[str, Any]:
        """What a trajectory says of it: settings, seed, and the hash of the weights."""
        return super().todict() | {
            "weights": self.weights.name,
            "weights_sha256": self.weights.sha256,
            "horizon": self.horizon,
            "n_starts": self.n_starts,
            "seed": self.seed,
            "backend": self._backend,
        }

    @property
    def _backend(self) -> str:
        return self._exploration.backend if self._kind == "kernel" else "calculator"

    # Restart.

    def _identity(self) -> dict[str, Any]:
        """What a restart file and its search must have in common."""
        atoms = self._exploration.atoms
        return {
            "weights": self.weights.sha256,
            "horizon": self.horizon,
            "n_starts": self.n_starts,
            "backend": self._backend,
            "numbers": atoms.numbers.tolist(),
            "cell": np.asarray(atoms.cell).tolist() if atoms.pbc.any() else None,
        }

    def _save(self, nsteps: int) -> None:
        if self.restart is not None:
            progress = {"nsteps": nsteps, "ended": self._ended}
            self.dump(
                {"format": RESTART_FORMAT}
                | self._identity()
                | progress
                | self._exploration.state()
            )

    def dump(self, data: Any) -> None:
        """Write the restart file, whole or not at all: a kill may come at any time."""
        if self.comm.rank == 0 and self.restart is not None:
            write_atomically(Path(self.restart), encode(data).encode())

    def _checked_restart(self, seeded: bool) -> dict[str, Any] | None:
        """Content of the restart file, if there is one."""
        if self.restart is None:
            return None
        if not self.restart.parent.is_dir():
            raise ValueError(
                f"the restart file {self.restart} cannot be written, its folder does "
                "not exist; create the folder"
            )
        if not self.restart.is_file():
            return None
        data: Any = self.load()
        if not isinstance(data, dict) or data.get("format") != RESTART_FORMAT:
            raise RestartError(
                f"{self.restart} is no restart file of Learn2Hop; give another name"
            )
        wanted = self._identity() | ({"seed": self.seed} if seeded else {})
        stored = data.get("backend")
        if wanted["backend"] == "auto" and stored in BACKENDS:
            # What it was found to be in the first part serves the others too.
            wanted["backend"] = stored
            self._exploration.backend = resolve_backend(stored)
        for name, value in wanted.items():
            if data.get(name) != value:
                raise RestartError(
                    f"{self.restart} belongs to another search, with other {name}; "
                    "use the same arguments and structure, or remove the file"
                )
        return data

    def read(self) -> None:
        """Take over the restart file; ASE's constructor calls it where there is one."""
        assert self._stored is not None
        self._exploration.resume(self._stored)
        self.seed, self.nsteps = self._stored["seed"], self._stored["nsteps"]
        self._ended = self._stored["ended"]
        self._stored = None
