"""Relaxation of whole batches, in double precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Float

from ase_l2h.optimizers.rule_steps import RuleOptimizer
from ase_l2h.potentials.base import Potential
from ase_l2h.rollout.batch import Device, Rollout, Status
from ase_l2h.rules.lbfgs import Lbfgs
from ase_l2h.system import System, take_batch

__all__ = ["Quench", "quench", "relax_rollout"]

# Force at the end of a quench, in energy_scale / length_scale.
QUENCH_FMAX = 1e-6
QUENCH_STEPS = 1000


@dataclasses.dataclass(frozen=True)
class Quench:
    """Relaxed structures: ``positions`` ``(3, n, batch)``, the rest ``(batch,)``.

    ``energy`` belongs to ``positions``, and so does ``force``, ``inf`` where it is not
    known: at the lowest point of a structure that went up again without converging.
    """

    positions: np.ndarray
    energy: np.ndarray
    force: np.ndarray
    evaluations: np.ndarray
    status: np.ndarray


def quench(
    potential: Potential,
    system: System,
    positions: np.ndarray | Float[Array, "3 n batch"],
    *,
    fmax: float | None = None,
    max_steps: int = QUENCH_STEPS,
    device: str | Device | Sequence[Device] | None = None,
    size: int | None = None,
) -> Quench:
    """Relax a batch by L-BFGS in double precision.

    Parameters
    ----------
    potential, system, positions
        Structures ``(3, n, batch)`` in the units of the potential.
    fmax
        Largest force on an atom at the end; 1e-6 reduced units when None.
    max_steps
        Charged evaluations a structure may take, and one more for the energy of the
        last point where it has not converged.
    device
        Where to run; the chunks take the devices of a list in turn.
    size
        Exact chunk size, see :class:`~ase_l2h.rollout.batch.Rollout`.

    Returns
    -------
    Quench
        No energy is higher than that of its start.
    """
    if fmax is None:
        scale = np.asarray(system.energy_scale) / np.asarray(system.length_scale)
        fmax = QUENCH_FMAX * float(np.min(scale))
    run = Rollout(
        RuleOptimizer(Lbfgs(), fmax=fmax),
        potential,
        system,
        np.asarray(positions, dtype=np.float64),
        jax.random.key(0),  # L-BFGS draws nothing
        device=device,
        size=size,
    )
    run.advance(max_steps)
    run.evaluate()
    status, energy = run.status(), run.gather("energy")
    best = run.gather("best_energy")
    # A converged structure may be a rounding error above its lowest point.
    climbed = (status != Status.CONVERGED) & (best < energy)
    return Quench(
        positions=np.where(
            climbed, run.gather("best_positions"), run.gather("positions")
        ),
        energy=np.where(climbed, best, energy),
        force=np.where(climbed, np.inf, run.gather("force")),
        evaluations=run.gather("evaluations"),
        status=status,
    )


def relax_rollout(
    run: Rollout,
    potential: Potential,
    system: System,
    device: str | Device | Sequence[Device] | None = None,
    start: np.ndarray | None = None,
    last: bool = True,
) -> Quench:
    """Relax the last point of a rollout, or its lowest one if that leads lower.

    The last point is relaxed; where the rollout had already been below the result, the
    lowest point is relaxed too (and charged), so nothing found on the way is lost.

    Parameters
    ----------
    run, potential, system, device
        The rollout and what it minimised.
    start
        ``(3, n, batch)`` in double precision: fixed coordinates are taken from here,
        not from the rollout's single precision. None takes all from the rollout.
    last
        False: relax only the lowest point, because the last one is arbitrary.
    """

    def exact(field: str) -> np.ndarray:
        positions = run.gather(field).astype(np.float64)
        if start is None or system.free is None:
            return positions
        return np.where(np.asarray(system.free)[..., None], positions, start)

    if not last:
        return quench(potential, system, exact("best_positions"), device=device)
    relaxed = quench(potential, system, exact("positions"), device=device)
    energy = np.where(np.isfinite(relaxed.energy), relaxed.energy, np.inf)
    best = run.gather("best_energy").astype(np.float64)
    # Single precision does not resolve smaller differences of energy.
    seen = best + 1e-5 * (np.asarray(system.energy_scale) + np.abs(best))
    missed = np.flatnonzero(seen < energy)
    if missed.size == 0:
        return relaxed
    second = quench(
        potential,
        take_batch(system, missed),
        exact("best_positions")[..., missed],
        device=device,
        # The shape of the first quench, so that nothing is compiled again.
        size=run.size,
    )
    lower = second.energy < energy[missed]
    index = missed[lower]
    fields = {
        name: np.array(getattr(relaxed, name))
        for name in ("positions", "energy", "force", "status")
    }
    for name, values in fields.items():
        values[..., index] = getattr(second, name)[..., lower]
    evaluations = np.array(relaxed.evaluations)
    evaluations[missed] += second.evaluations
    return Quench(**fields, evaluations=evaluations)
