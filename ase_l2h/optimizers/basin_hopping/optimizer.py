"""Basin hopping: random moves between minima, each followed by a quench.

Z. Li and H. A. Scheraga, Proc. Natl. Acad. Sci. USA 84, 6611 (1987); D. J. Wales and
J. P. K. Doye, J. Phys. Chem. A 101, 5111 (1997).

A step is one charged evaluation of every structure, wherever it is in its quench:
structures hop when their own quench has ended and never wait for each other.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from ase_l2h._internal.pytree import pytree_dataclass, replace, static_field
from ase_l2h.errors import InputError
from ase_l2h.optimizers.base import SearchState
from ase_l2h.optimizers.basin_hopping.compression import Compression
from ase_l2h.optimizers.basin_hopping.moves import Moves
from ase_l2h.optimizers.basin_hopping.restarts import Restarts
from ase_l2h.optimizers.basin_hopping.state import (
    SHARING,
    HopOptions,
    HoppingState,
    Verdict,
    hop,
    restarted,
)
from ase_l2h.optimizers.rule_steps import (
    Evaluation,
    charged_evaluation,
    displaced,
    observe,
    reduced_system,
)
from ase_l2h.potentials.base import Potential, energy_and_gradient
from ase_l2h.rules.adam import Adam
from ase_l2h.rules.base import Rule
from ase_l2h.rules.lbfgs import Lbfgs
from ase_l2h.system import System

__all__ = ["BasinHopping", "HoppingState", "paper_basin_hopping"]

Number = float | Float[Array | np.ndarray, ""]
Count = int | Int[Array | np.ndarray, ""]
# Evaluations between two looks at whether a quench is hopeless.
LOOK = 10
# Adjustment of the kick, and quenches between two of them, as in GMIN.
FACTOR = 1.05
WINDOW = 50


@pytree_dataclass
class BasinHopping:
    """Metropolis walk between minima; energies, lengths and forces in reduced units.

    An option that is None is left out of the compiled program; other numbers change
    without compiling again.

    Parameters
    ----------
    quench
        Rule that relaxes.
    moves
        What a hop does.
    temperature
        Of the Metropolis test on the energies of the minima; at 0 only hops that do
        not climb are accepted.
    acceptance
        Adjust the size of the kick by 5 % every 50 quenches towards this share of
        accepted hops; None keeps it.
    stages
        When a chain has stalled and begins anew; None: never.
    compression
        Compress the cluster in the first phase of a quench. Free clusters without fixed
        atoms only.
    fmax
        A quench ends in a minimum once no force on an atom exceeds this.
    fmax_lowest
        The same for quenches that go below the lowest minimum of their chain, so that
        its energy is exact where it matters.
    max_quench
        Evaluations after which a quench is given up, its result rejected.
    abandon
        Give up a quench that would end above what the Metropolis test accepts (its
        random number is drawn beforehand) if all it still gains is ``abandon`` times
        what its lowest energy has gained in the last 10 evaluations. Some minima that
        would be accepted are lost: with 10, fewer than one in ten.
    target_energy
        A structure is done once a quench ends within ``hit`` (energy scales) of this
        (the potential's unit), or below.
    hit
        See ``target_energy``.
    fixed_length
        Every quench takes ``max_quench`` evaluations, no less, and its last point
        counts as a minimum.
    """

    quench: Rule = Lbfgs(max_step=0.1)
    moves: Moves = Moves()
    temperature: Number = 1.0
    acceptance: Number | None = None
    restarts: Restarts | None = None
    compression: Compression | None = None
    fmax: Number = 0.1
    fmax_lowest: Number = 1e-3
    max_quench: Count = 600
    abandon: Number | None = None
    target_energy: Number = -np.inf
    hit: Number = 1e-4
    fixed_length: bool = static_field(default=False)

    def init(
        self,
        key: Array,
        positions: Float[Array, "3 n *batch"],
        system: System,
        potential: Potential,
    ) -> SearchState:
        """State before the first evaluation, with a random key for every structure.

        Raises
        ------
        InputError
            For surface moves with a potential that has no atom energies.
        """
        keys = jax.random.bits(key, (2, *positions.shape[2:]), jnp.uint32)
        return self.init_with_keys(keys, positions, system, potential)

    def init_with_keys(
        self,
        keys: UInt32[Array, "2 *batch"],
        positions: Float[Array, "3 n *batch"],
        system: System,
        potential: Potential,
    ) -> SearchState:
        """:meth:`init` with the keys given: a structure draws from its own alone.

        Raises
        ------
        InputError
            For surface moves with a potential that has no atom energies.
        """
        batch, dtype = positions.shape[2:], positions.dtype
        length = jnp.asarray(system.length_scale, dtype)
        infinite = jnp.full(batch, jnp.inf, dtype)
        zero = jnp.zeros(batch, jnp.int32)
        compressed = jnp.zeros(batch, bool)
        if self.compression is not None and self.compresses(system):
            drawn = jax.vmap(_share_of_first_stage, in_axes=-1)
            shares = drawn(keys.reshape((2, -1))).reshape(batch)
            compressed = shares < self.compression.share
        inner = HoppingState(
            quench=self.quench.init(reduced_system(system), positions / length),
            stage=None if self.restarts is None else self.restarts.init(infinite),
            keys=keys,
            current_positions=positions,
            current_energy=infinite,
            current_atoms=self._room_for_atoms(positions, system, potential),
            acceptance_bound=infinite,
            size=jnp.full(batch, self.moves.size, dtype),
            compressed=compressed,
            pulling=compressed,
            quench_evaluations=zero,
            reached=infinite,
            looked=infinite,
            quenches=zero,
            accepted=zero,
            abandoned=zero,
            lately_accepted=zero,
            lowest=infinite,
            lowest_evaluations=zero,
            lowest_quenches=zero,
        )
        return SearchState(
            positions=positions,
            energy=infinite,
            force=infinite,
            best_positions=positions,
            best_energy=infinite,
            evaluations=zero,
            active=jnp.ones(batch, bool),
            inner=inner,
        )

    def towards(self, target_energy: float, system: System) -> BasinHopping:
        """The same with a target, to be met as closely as single precision can tell.

        What stops there is to be confirmed by a quench in double precision.
        """
        scale = float(np.max(np.asarray(system.energy_scale)))
        noise = 4 * float(np.finfo(np.float32).eps) * abs(target_energy) / scale
        return replace(self, target_energy=target_energy, hit=self.hit + noise)

    def compresses(self, system: System) -> bool:
        """Whether quenches of this system may begin compressed."""
        return self.compression is not None and system.recentred

    def reseeds(self, system: System) -> bool:
        """Whether new stages of this system start from random structures."""
        return (
            self.restarts is not None
            and self.restarts.reseed
            and system.free is None
            and all(system.periodic)
        )

    def _room_for_atoms(
        self, positions: Float[Array, "3 n *batch"], system: System, potential: Any
    ) -> Float[Array, "n *batch"] | None:
        """Atom energies of the current minimum, None where no move needs them."""
        if not self.moves.needs_atom_energies(system):
            return None
        told = jax.eval_shape(energy_and_gradient, potential, positions, system)
        if told.atom_energies is None:
            raise InputError(
                "surface moves need the energy of every atom, which this potential "
                "does not give; leave them out: Moves(surface=None)"
            )
        return jnp.zeros_like(positions[0])

    def step(
        self, key: Array, state: SearchState, system: System, potential: Potential
    ) -> SearchState:
        """Evaluate; displace what is in a quench, move what has ended one."""
        positions, inner = state.positions, state.inner
        value = charged_evaluation(potential, positions, system)
        observation = observe(value, positions, system)
        memory = inner.quench
        if self.compression is not None and self.compresses(system):
            observation, pulling = self.compression.pulled(observation, inner.pulling)
            released = inner.pulling & ~pulling
            memory = restarted(self.quench, memory, released, system, positions)
            inner = inner._replace(pulling=pulling)
        displacement, memory = self.quench.update(key, observation, memory)
        following = displaced(positions, displacement, state.active, system)

        evaluations = state.evaluations + state.active.astype(jnp.int32)
        # The quench's memory is large: it takes no part in what follows.
        inner = inner._replace(quench=None)
        verdict, judged = self._judge(value, state, inner, system)
        fresh = verdict.ended | verdict.returned
        memory = restarted(self.quench, memory, fresh, system, positions)
        following, inner = jax.lax.cond(
            jnp.any(fresh),
            lambda: hop(
                self._options(system),
                following,
                judged,
                verdict,
                positions,
                value.atom_energies,
                system,
            ),
            lambda: (following, judged),
        )
        energy = jnp.where(state.active, value.energy, state.energy)
        better = energy < state.best_energy
        return SearchState(
            positions=jnp.where(verdict.hit, positions, following),
            energy=energy,
            force=jnp.where(state.active, value.force, state.force),
            best_positions=jnp.where(better, positions, state.best_positions),
            best_energy=jnp.where(better, energy, state.best_energy),
            evaluations=evaluations,
            active=state.active & ~verdict.hit,
            inner=inner._replace(quench=memory),
        )

    def _options(self, system: System) -> HopOptions:
        share = None
        if self.compression is not None and self.compresses(system):
            share = self.compression.share
        return HopOptions(self.moves, self.temperature, share, self.reseeds(system))

    def _judge(
        self,
        value: Evaluation,
        state: SearchState,
        inner: HoppingState,
        system: System,
    ) -> tuple[Verdict, HoppingState]:
        """Which quenches have ended, and what to do with what they found."""
        active = state.active
        dtype = value.energy.dtype
        scale = jnp.asarray(system.energy_scale, dtype)
        length = jnp.asarray(system.length_scale, dtype)
        energy, force = value.energy / scale, value.force * length / scale
        count = inner.quench_evaluations + active.astype(jnp.int32)
        spent = count >= self.max_quench
        none = jnp.zeros_like(active)
        looked, hopeless = inner.looked, none
        # The lowest, not the last: a trial step that rises is taken back.
        reached = jnp.where(inner.pulling, jnp.inf, jnp.minimum(energy, inner.reached))
        if self.fixed_length:
            settled = spent
        else:
            fmax = jnp.where(energy < inner.lowest, self.fmax_lowest, self.fmax)
            settled = (force < fmax) & ~inner.pulling
        if self.abandon is not None:
            look = (count % LOOK == 0) & ~inner.pulling
            bound = reached - self.abandon * (looked - reached)
            hopeless = look & (bound > inner.acceptance_bound)
            looked = jnp.where(look, reached, looked)
        returned, radius = none, self.moves.radius(system)
        if radius is not None:
            squared = jnp.max(jnp.sum(state.positions**2, axis=0), axis=0)
            outside = squared > (radius * length) ** 2
            returned = active & settled & outside & ~spent
        ended = settled | spent | hopeless | ~jnp.isfinite(energy)
        ended = active & ended & ~returned
        found = ended & settled & jnp.isfinite(energy)

        accepted, begins, stage = (
            found & (energy <= inner.acceptance_bound),
            none,
            inner.stage,
        )
        if self.restarts is not None and stage is not None:
            rejected, begins, stage = self.restarts.update(
                stage, energy, ended, found, self.reseeds(system)
            )
            accepted = accepted & ~rejected
        # Else a structure that no quench can relax would be begun with for ever.
        nothing = jnp.isinf(inner.current_energy)
        moved = accepted | (ended & ~found & nothing & jnp.isfinite(energy))
        current_energy = jnp.where(accepted, energy, inner.current_energy)
        if self.reseeds(system):
            current_energy = jnp.where(begins, jnp.inf, current_energy)

        quenches = inner.quenches + ended.astype(jnp.int32)
        lately, size = inner.lately_accepted + accepted.astype(jnp.int32), inner.size
        if self.acceptance is not None:
            adjust = ended & (quenches % WINDOW == 0)
            often = lately.astype(dtype) > self.acceptance * WINDOW
            factor = jnp.where(often, FACTOR, 1.0 / FACTOR).astype(dtype)
            size = jnp.where(adjust, size * factor, size)
            lately = jnp.where(adjust, 0, lately)
        lower = found & (energy < inner.lowest)
        evaluations = state.evaluations + active.astype(jnp.int32)
        hit = found & (energy <= self.target_energy / scale + self.hit)
        verdict = Verdict(ended, accepted, moved, begins, returned, hit)
        return verdict, inner._replace(
            stage=stage,
            current_energy=current_energy,
            size=size,
            quench_evaluations=jnp.where(ended, 0, count),
            reached=jnp.where(ended | returned, jnp.inf, reached),
            looked=jnp.where(ended | returned, jnp.inf, looked),
            quenches=quenches,
            accepted=inner.accepted + accepted.astype(jnp.int32),
            abandoned=inner.abandoned + (ended & ~found).astype(jnp.int32),
            lately_accepted=lately,
            lowest=jnp.where(lower, energy, inner.lowest),
            lowest_evaluations=jnp.where(lower, evaluations, inner.lowest_evaluations),
            lowest_quenches=jnp.where(lower, quenches, inner.lowest_quenches),
        )


def _share_of_first_stage(key: Array) -> Array:
    """Uniform in [0, 1), as at the beginning of later stages, of a hop number 0."""
    hop = jax.random.fold_in(jax.random.wrap_key_data(key, impl="threefry2x32"), 0)
    return jax.random.uniform(jax.random.split(hop, 4)[SHARING], (), jnp.float32)


def paper_basin_hopping(
    sigma: Number = 0.2, steps: Count = 5000, rate: Number = 0.01
) -> BasinHopping:
    """Basin hopping as the Learn2Hop paper ran it (appendix C.2).

    Quenches of ``steps`` Adam steps, whether converged or not; Gaussian kicks of all
    coordinates; only improvements are accepted.

    Parameters
    ----------
    sigma
        Standard deviation of the kicks, reduced units. The paper takes the best of 0.2,
        0.4, 0.6 and 0.8 and does not say which that was; on LJ13 and LJ38 it is 0.2.
    steps
        Evaluations per quench.
    rate
        Adam's learning rate.
    """
    return BasinHopping(
        quench=Adam(rate=rate),
        moves=Moves(size=sigma, kick="gaussian", container=None),
        temperature=0.0,
        max_quench=steps,
        fixed_length=True,
    )
