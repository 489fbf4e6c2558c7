"""Basin hopping: random moves between minima, each followed by a quench.

Z. Li and H. A. Scheraga, Proc. Natl. Acad. Sci. USA 84, 6611 (1987); D. J. Wales and
J. P. K. Doye, J. Phys. Chem. A 101, 5111 (1997). Stalled stages and the minima to avoid
are those of Wales's program GMIN (its NEWRESTART and AVOID).

A step is one charged evaluation of every structure, wherever it is in its quench:
structures hop when their own quench has ended and never wait for each other.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from ase_l2h._pytree import pytree_dataclass, static_field
from ase_l2h.optimizers.adam import Adam
from ase_l2h.optimizers.base import Rule, RuleState, SearchState
from ase_l2h.optimizers.descent import (
    Evaluation,
    charged_evaluation,
    displaced,
    free_mask,
    observe,
    reduced_system,
)
from ase_l2h.optimizers.lbfgs import Lbfgs
from ase_l2h.optimizers.moves import (
    KICKS,
    Kick,
    contain,
    kick,
    packed_radius,
    random_ball,
    surface_move,
    swap_move,
)
from ase_l2h.potentials.base import Potential, energy_and_gradient
from ase_l2h.system import System

__all__ = ["BasinHopping", "HoppingState", "paper_basin_hopping"]

Number = float | Float[Array | np.ndarray, ""]
Count = int | Int[Array | np.ndarray, ""]
# A batch hops in groups of a 32nd: most steps see one or two hops in a chunk of 64.
GROUPS = 32
# Evaluations between two looks at whether a quench is hopeless.
LOOK = 10
# Adjustment of the step, and quenches between two of them, as in GMIN.
FACTOR = 1.05
WINDOW = 50


class HoppingState(NamedTuple):
    """What basin hopping remembers of each structure; energies in the potential's unit.

    ``current_*`` is the minimum the chain is in, ``ceiling`` the highest energy that
    the present hop may end with, ``lowest*`` the lowest quenched minimum and the
    charged evaluations and quenches it took, ``stage_lowest`` the lowest since the
    last restart, ``stalled`` the hops since it fell, ``known`` the lowest of earlier
    stages, ``looked`` the energy when the quench was last looked at.
    """

    quench: RuleState
    keys: UInt32[Array, "2 *batch"]
    current_positions: Float[Array, "3 n *batch"]
    current_energy: Float[Array, "*batch"]
    current_atoms: Float[Array, "m *batch"]
    ceiling: Float[Array, "*batch"]
    kick_size: Float[Array, "*batch"]
    quench_evaluations: Int[Array, "*batch"]
    looked: Float[Array, "*batch"]
    quenches: Int[Array, "*batch"]
    accepted: Int[Array, "*batch"]
    abandoned: Int[Array, "*batch"]
    restarts: Int[Array, "*batch"]
    recently_accepted: Int[Array, "*batch"]
    lowest: Float[Array, "*batch"]
    lowest_evaluations: Int[Array, "*batch"]
    lowest_quenches: Int[Array, "*batch"]
    stage_lowest: Float[Array, "*batch"]
    stalled: Int[Array, "*batch"]
    known: Float[Array, "k *batch"]


class _Verdict(NamedTuple):
    """What becomes of each structure in this step."""

    ended: Bool[Array, "*batch"]
    accepted: Bool[Array, "*batch"]
    reseeded: Bool[Array, "*batch"]
    returned: Bool[Array, "*batch"]
    hit: Bool[Array, "*batch"]


@pytree_dataclass
class BasinHopping:
    """Metropolis walk between minima.

    Lengths, energies, forces in reduced units except where said. An option that is None
    is left out of the compiled program; other numbers change without compiling again.

    Parameters
    ----------
    quench
        Rule that relaxes.
    temperature
        Of the Metropolis test on the energies of the minima; at 0 only hops that do
        not climb are accepted.
    kick_size
        Of the first kick, see :func:`~ase_l2h.optimizers.moves.kick`.
    kick
        ``"cube"``, ``"ball"`` or ``"gaussian"``.
    fmax
        A quench ends once no force on an atom exceeds this.
    fmax_lowest
        The same for quenches that go below the lowest minimum of their chain, so that
        its energy is exact where it matters.
    max_quench
        Evaluations after which a quench is given up, its result rejected.
    acceptance
        Adjust the kick by 5 % every 50 quenches towards this share of accepted hops.
    surface
        After a kick, the atom bound most weakly is put on a random place of the
        surface if its energy is above ``surface`` times the lowest. Free clusters only.
    surface_atoms
        Up to so many atoms, the weakest first.
    swap
        Probability that a hop exchanges two unlike atoms instead of a kick.
    container
        Atoms further from the centroid than ``packed_radius(n) + container`` are pulled
        back when a kick or a quench has brought them there. Free clusters only.
    abandon
        Give up a quench that would end above what Metropolis accepts (the random number
        is drawn beforehand) if all it still gains is ``abandon`` times the energy
        gained in its last 10 evaluations.
    stall
        Hops without a new lowest energy after which a stage ends: its lowest minimum
        is known from then on, and the last hop is rejected.
    reseed
        A new stage starts from a random structure; False: where the chain is. With
        fixed atoms always there.
    n_known
        Number of known minima, the latest. A hop is rejected if it ends in one of them as the
        lowest minimum of its stage; with ``reseed`` the stage ends, too.
    same
        Energies so close belong to the same minimum.
    fixed_length
        Every quench takes ``max_quench`` evaluations, no less, and its last point
        counts as a minimum.
    target_energy
        A structure is done once a quench ends within ``hit`` of this (potential's
        unit), or below.
    hit
        See ``target_energy``.
    """

    quench: Rule = Lbfgs(max_step=0.1)
    temperature: Number = 0.8
    kick_size: Number = 0.36
    fmax: Number = 0.1
    fmax_lowest: Number = 1e-3
    max_quench: Count = 500
    acceptance: Number | None = None
    surface: Number | None = None
    swap: Number | None = None
    container: Number | None = 2.0
    abandon: Number | None = None
    stall: Count | None = None
    same: Number = 0.003
    target_energy: Number = -np.inf
    hit: Number = 1e-4
    kick: Kick = static_field(default="cube")
    surface_atoms: int = static_field(default=1)
    reseed: bool = static_field(default=False)
    n_known: int = static_field(default=0)
    fixed_length: bool = static_field(default=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be read.

        Raises
        ------
        ValueError
            For an unknown kick.
        """
        if self.kick not in KICKS:
            raise ValueError(
                f"no kick named '{self.kick}'; choose one of {', '.join(KICKS)}"
            )

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
        ValueError
            For surface moves with a potential that has no atom energies.
        """
        batch, dtype = positions.shape[2:], positions.dtype
        infinite = jnp.full(batch, jnp.inf, dtype)
        zero = jnp.zeros(batch, jnp.int32)
        inner = HoppingState(
            quench=self.quench.init(
                reduced_system(system), _reduced(positions, system)
            ),
            keys=jax.random.bits(key, (2, *batch), jnp.uint32),
            current_positions=positions,
            current_energy=infinite,
            current_atoms=self._atoms(positions, system, potential),
            ceiling=infinite,
            kick_size=jnp.full(batch, self.kick_size, dtype),
            quench_evaluations=zero,
            looked=infinite,
            quenches=zero,
            accepted=zero,
            abandoned=zero,
            restarts=zero,
            recently_accepted=zero,
            lowest=infinite,
            lowest_evaluations=zero,
            lowest_quenches=zero,
            stage_lowest=infinite,
            stalled=zero,
            known=jnp.full((self.n_known, *batch), jnp.inf, dtype),
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

    def _atoms(
        self, positions: Float[Array, "3 n *batch"], system: System, potential: Any
    ) -> Float[Array, "m *batch"]:
        """Room for atom energies, empty where no move needs them."""
        if self.surface is None or not system.recentred:
            return jnp.zeros((0, *positions.shape[2:]), positions.dtype)
        told = jax.eval_shape(energy_and_gradient, potential, positions, system)
        if told.atom_energies is None:
            raise ValueError(
                "surface moves need the energy of every atom, which this potential "
                "does not tell; leave surface moves out (surface=None)"
            )
        return jnp.zeros_like(positions[0])

    def step(
        self, key: Array, state: SearchState, system: System, potential: Potential
    ) -> SearchState:
        """Evaluate, then displace what is in a quench and move what has ended one."""
        positions, hop = state.positions, state.inner
        value = charged_evaluation(potential, positions, system)
        observation = observe(value, positions, system)
        displacement, quench = self.quench.update(key, observation, hop.quench)
        following = displaced(positions, displacement, state.active, system)

        evaluations = state.evaluations + state.active.astype(jnp.int32)
        verdict, hop = self._judge(value, evaluations, state, system)
        fresh = verdict.ended | verdict.returned
        hop = hop._replace(
            quench=_restarted(self.quench, quench, fresh, system, positions)
        )
        following, hop = jax.lax.cond(
            jnp.any(fresh),
            self._hop,
            lambda verdict, following, hop, *_: (following, hop),
            verdict,
            following,
            hop,
            positions,
            value.atom_energies,
            system,
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
            inner=hop,
        )

    def _judge(
        self,
        value: Evaluation,
        evaluations: Int[Array, "*batch"],
        state: SearchState,
        system: System,
    ) -> tuple[_Verdict, HoppingState]:
        """Which quenches have ended, and what to do with what they found."""
        hop, active = state.inner, state.active
        energy, dtype = value.energy, value.energy.dtype
        scale = jnp.asarray(system.energy_scale, dtype)
        length = jnp.asarray(system.length_scale, dtype)
        count = hop.quench_evaluations + active.astype(jnp.int32)
        spent = count >= self.max_quench
        looked, hopeless = hop.looked, jnp.zeros_like(spent)
        if self.fixed_length:
            settled = spent
        else:
            fmax = jnp.where(energy < hop.lowest, self.fmax_lowest, self.fmax)
            settled = value.force * length / scale < fmax
        if self.abandon is not None:
            look = count % LOOK == 0
            bound = energy - self.abandon * (looked - energy)
            hopeless = look & (bound > hop.ceiling)
            looked = jnp.where(look, energy, looked)
        ended = settled | spent | hopeless | ~jnp.isfinite(energy)
        returned = jnp.zeros_like(ended)
        if self.container is not None and system.recentred:
            squared = jnp.sum(state.positions * state.positions, axis=0)
            outside = jnp.max(squared, axis=0) > (self._radius(system) * length) ** 2
            returned = active & outside & settled & ~spent
        ended = active & ended & ~returned
        found = ended & settled & jnp.isfinite(energy)

        same = self.same * scale
        fell = found & (energy < hop.stage_lowest - same)
        avoided = fell & jnp.any(jnp.abs(energy - hop.known) < same, axis=0)
        stage_lowest = jnp.where(
            found, jnp.minimum(energy, hop.stage_lowest), hop.stage_lowest
        )
        stalled = jnp.where(fell, 0, hop.stalled + ended.astype(jnp.int32))
        known = hop.known
        stuck = jnp.zeros_like(ended)
        if self.stall is not None:
            stuck = ended & (stalled > self.stall)
            listed = jnp.any(jnp.abs(stage_lowest - known) < same, axis=0)
            if self.n_known:
                longer = jnp.concatenate([known[1:], stage_lowest[None]])
                known = jnp.where(stuck & ~listed, longer, known)
        accepted = found & (energy <= hop.ceiling) & ~avoided & ~stuck
        current_energy = jnp.where(accepted, energy, hop.current_energy)
        reseeded = jnp.zeros_like(ended)
        if self.reseed and system.free is None:
            reseeded = stuck | avoided
            current_energy = jnp.where(reseeded, jnp.inf, current_energy)
        begun = stuck | reseeded
        anew = jnp.where(found & ~reseeded, energy, current_energy)

        quenches = hop.quenches + ended.astype(jnp.int32)
        recently = hop.recently_accepted + accepted.astype(jnp.int32)
        kick_size = hop.kick_size
        if self.acceptance is not None:
            adjust = ended & (quenches % WINDOW == 0)
            often = recently > self.acceptance * WINDOW
            factor = jnp.where(often, FACTOR, 1.0 / FACTOR).astype(dtype)
            kick_size = jnp.where(adjust, kick_size * factor, kick_size)
            recently = jnp.where(adjust, 0, recently)
        lower = found & (energy < hop.lowest)
        target = self.target_energy + self.hit * scale
        hit = found & (energy <= target)
        verdict = _Verdict(ended, accepted, reseeded, returned, hit)
        return verdict, hop._replace(
            current_energy=current_energy,
            kick_size=kick_size,
            quench_evaluations=jnp.where(ended, 0, count),
            looked=jnp.where(ended | returned, jnp.inf, looked),
            quenches=quenches,
            accepted=hop.accepted + accepted.astype(jnp.int32),
            abandoned=hop.abandoned + (ended & ~found).astype(jnp.int32),
            restarts=hop.restarts + begun.astype(jnp.int32),
            recently_accepted=recently,
            lowest=jnp.where(lower, energy, hop.lowest),
            lowest_evaluations=jnp.where(lower, evaluations, hop.lowest_evaluations),
            lowest_quenches=jnp.where(lower, quenches, hop.lowest_quenches),
            stage_lowest=jnp.where(begun, anew, stage_lowest),
            stalled=jnp.where(begun, 0, stalled),
            known=known,
        )

    def _radius(self, system: System) -> Number:
        return packed_radius(system.n_atoms) + self.container

    def _hop(
        self,
        verdict: _Verdict,
        following: Float[Array, "3 n *batch"],
        hop: HoppingState,
        positions: Float[Array, "3 n *batch"],
        atom_energies: Float[Array, "n *batch"] | None,
        system: System,
    ) -> tuple[Float[Array, "3 n *batch"], HoppingState]:
        """Move the structures whose quench has ended, a group of them at a time.

        Random numbers for all structures, of which few hop, would cost as much as the
        evaluation.
        """
        batch = following.shape[2:]

        def flat(array: Any) -> Array:
            array = jnp.asarray(array)
            leading = array.shape[: array.ndim - len(batch)]
            return array.reshape((*leading, math.prod(batch)))

        def each(leaf: Any) -> Array:
            return flat(jnp.broadcast_to(jnp.asarray(leaf), batch))

        species = jnp.asarray(system.species)
        if species.ndim == 1:
            species = species.reshape(species.shape + (1,) * len(batch))
        species = jnp.broadcast_to(species, (species.shape[0], *batch))
        surface = hop.current_atoms.shape[0] > 0
        found_atoms = atom_energies if surface else hop.current_atoms
        given = (
            *(flat(mask) for mask in (verdict.accepted, verdict.reseeded)),
            flat(verdict.returned),
            flat(hop.keys),
            flat(hop.quenches),
            flat(hop.kick_size),
            flat(hop.current_energy),
            flat(positions),
            flat(found_atoms),
            flat(species),
            each(system.length_scale).astype(following.dtype),
            each(system.energy_scale).astype(following.dtype),
        )
        pending = flat(verdict.ended | verdict.returned)
        size = pending.shape[0]
        together = -(-size // GROUPS)

        def unfinished(carry: tuple[Array, ...]) -> Array:
            return jnp.any(carry[0])

        def body(carry: tuple[Array, ...]) -> tuple[Array, ...]:
            pending, changed = carry[0], carry[1:]
            (index,) = jnp.nonzero(pending, size=together, fill_value=size)

            def take(leaf: Array) -> Array:
                return jnp.take(leaf, index, axis=-1, mode="clip")

            new = jax.vmap(
                lambda *arguments: self._one(system, *arguments),
                in_axes=-1,
                out_axes=-1,
            )(*(take(leaf) for leaf in (*given, *changed)))
            changed = tuple(
                old.at[..., index].set(leaf, mode="drop")
                for old, leaf in zip(changed, new, strict=True)
            )
            return pending.at[index].set(False, mode="drop"), *changed

        changed = (following, hop.current_positions, hop.current_atoms, hop.ceiling)
        _, *moved = jax.lax.while_loop(
            unfinished, body, (pending, *(flat(leaf) for leaf in changed))
        )
        following, current, atoms, ceiling = (
            new.reshape(old.shape) for new, old in zip(moved, changed, strict=True)
        )
        return following, hop._replace(
            current_positions=current, current_atoms=atoms, ceiling=ceiling
        )

    def _one(
        self,
        system: System,
        accepted: Bool[Array, ""],
        reseeded: Bool[Array, ""],
        returned: Bool[Array, ""],
        seed: UInt32[Array, "2"],
        quenches: Int[Array, ""],
        kick_size: Float[Array, ""],
        current_energy: Float[Array, ""],
        evaluated: Float[Array, "3 n"],
        found_atoms: Float[Array, " m"],
        species: Int[Array, " n"],
        length: Float[Array, ""],
        scale: Float[Array, ""],
        following: Float[Array, "3 n"],
        current: Float[Array, "3 n"],
        atoms: Float[Array, " m"],
        ceiling: Float[Array, ""],
    ) -> tuple[Array, Array, Array, Array]:
        """Next point, minimum of the chain and ceiling of one structure."""
        del following
        # The numbers of a hop depend on the structure's key and the number of the hop
        # only, not on when it comes.
        key = jax.random.wrap_key_data(seed, impl="threefry2x32")
        key = jax.random.fold_in(key, quenches)
        proposing, seeding, metropolis = jax.random.split(key, 3)
        current = jnp.where(accepted, evaluated, current)
        atoms = jnp.where(accepted, found_atoms, atoms)
        proposed = self._propose(
            proposing, current / length, atoms, kick_size, species, system
        )
        if self.reseed and system.free is None:
            anew = self._random_structure(seeding, proposed, length, system)
            proposed = jnp.where(reseeded, anew, proposed)
            current = jnp.where(reseeded, anew * length, current)
        proposed = jnp.where(returned, evaluated / length, proposed)
        if system.recentred:
            proposed = proposed - jnp.mean(proposed, axis=1, keepdims=True)
            if self.container is not None:
                proposed, _ = contain(proposed, self._radius(system))
        proposed = proposed * length
        if system.free is not None:
            proposed = jnp.where(free_mask(system, proposed), proposed, current)
        climb = jax.random.exponential(metropolis, (), proposed.dtype)
        allowed = current_energy + self.temperature * scale * climb
        # A structure that was only pulled back is still in the same hop.
        return proposed, current, atoms, jnp.where(returned, ceiling, allowed)

    def _propose(
        self,
        key: Array,
        positions: Float[Array, "3 n"],
        atoms: Float[Array, " m"],
        kick_size: Float[Array, ""],
        species: Int[Array, " n"],
        system: System,
    ) -> Float[Array, "3 n"]:
        """A random move from a minimum, reduced units."""
        kicking, placing, choosing, swapping = jax.random.split(key, 4)
        proposed = kick(kicking, positions, kick_size, self.kick)
        if atoms.shape[0] and self.surface is not None:
            proposed = surface_move(
                placing, proposed, atoms, self.surface, self.surface_atoms
            )
        if self.swap is not None:
            movable = None if system.free is None else jnp.all(system.free, axis=0)
            swapped = swap_move(swapping, positions, species, movable)
            chosen = jax.random.uniform(choosing) < self.swap
            proposed = jnp.where(chosen, swapped, proposed)
        return proposed

    def _random_structure(
        self,
        key: Array,
        like: Float[Array, "3 n"],
        length: Float[Array, ""],
        system: System,
    ) -> Float[Array, "3 n"]:
        """A dense random cluster, or random points in the cell, reduced units."""
        n, dtype = like.shape[1], like.dtype
        if system.cell is None:
            return packed_radius(n) * random_ball(key, n, dtype)
        uniform = jax.random.uniform(key, (3, n), dtype)
        return jnp.asarray(system.cell, dtype).T @ uniform / length


def _reduced(
    positions: Float[Array, "3 n *batch"], system: System
) -> Float[Array, "3 n *batch"]:
    return positions / jnp.asarray(system.length_scale, positions.dtype)


def _restarted(
    rule: Rule,
    state: RuleState,
    where: Bool[Array, "*batch"],
    system: System,
    positions: Float[Array, "3 n *batch"],
) -> RuleState:
    """The state of a rule that has forgotten everything about some structures.

    Raises
    ------
    ValueError
        For a rule whose memory is not kept structure by structure.
    """
    own = getattr(rule, "restarted", None)
    if own is not None:
        return own(state, where)
    fresh = rule.init(reduced_system(system), _reduced(positions, system))

    def choose(new: Any, old: Any) -> Array:
        if jnp.shape(old)[jnp.ndim(old) - where.ndim :] != where.shape:
            raise ValueError(
                f"{type(rule).__name__} cannot quench in basin hopping: its memory is "
                "shared by the structures of a batch, which start their quenches at "
                "different times"
            )
        return jnp.where(where, new, old)

    return jax.tree.map(choose, fresh, state)


def paper_basin_hopping(
    sigma: Number = 0.4, steps: Count = 5000, rate: Number = 0.01
) -> BasinHopping:
    """Basin hopping as the Learn2Hop paper ran it (appendix C.2).

    Quenches of ``steps`` Adam steps, whether converged or not; Gaussian kicks of all
    coordinates; only improvements are accepted.

    Parameters
    ----------
    sigma
        Standard deviation of the kicks, reduced units; the paper takes the best of 0.2,
        0.4, 0.6 and 0.8 and does not say which that was.
    steps
        Evaluations per quench.
    rate
        Adam's learning rate.
    """
    return BasinHopping(
        quench=Adam(rate=rate),
        temperature=0.0,
        kick_size=sigma,
        kick="gaussian",
        max_quench=steps,
        container=None,
        fixed_length=True,
    )
